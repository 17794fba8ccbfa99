"""Pictures of what the gates decided by, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.gate import Picture
from churn_assets.learning.judging.rules import LOSSES
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.metrics import (
    Z_95_ONE_SIDED,
    calibration_error,
    f1_differences,
)
from churn_assets.pages.plots import BLUE, GREY, RED, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Paint = Callable[[Axes, Verdict, Evidence], None]

_CURVE = 300
"""Points of a curve, however many rows it comes from."""
_MOST = 15
"""Slices or inputs that fit one below the other."""
_LETTERS = 24
_SMALL = 7
"""Size of print where there is much of it."""


def shows(*numbers: str) -> Callable[[Paint], Picture]:
    """Make a picture of a function that paints some numbers of a verdict.

    There is no picture where none of them is there: nothing was compared, or decided at all.
    """

    def picture_of(paint: Paint) -> Picture:
        @wraps(paint)
        def picture(verdict: Verdict, evidence: Evidence) -> bytes | None:
            if all(verdict.numbers.get(name) in (None, [], {}) for name in numbers):
                return None
            return draw(lambda axes: paint(axes, verdict, evidence))

        return picture

    return picture_of


@shows("roc_auc")
def ranks(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """The Challenger's ROC curve."""
    auc, bound = (verdict.numbers[name] for name in ("roc_auc", "roc_auc_lower_95"))
    _curves(axes, evidence, [evidence.challenger])
    axes.set(title=f"ROC AUC {auc:.3f}, bound {bound:.3f}")


@shows("roc_auc_difference")
def ranks_of_both(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """ROC curves of both."""
    difference, bound = (verdict.numbers[f"roc_auc_difference{end}"] for end in ("", "_lower_95"))
    _curves(axes, evidence, _both(evidence))
    axes.set(title=f"AUC difference {difference:+.4f}, bound {bound:+.4f}")


def _curves(axes: Axes, evidence: Evidence, contenders: Sequence[Contender]) -> None:
    """ROC curves, with the decisions that the thresholds make."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    for contender in contenders:
        if contender is evidence.challenger:
            _curve(axes, contender, evidence, BLUE, "Challenger")
        else:
            _curve(axes, contender, evidence, GREY, "Champion")
    axes.set(xlabel="false positive rate", ylabel="true positive rate")
    axes.legend(loc="lower right", frameon=False)


def _curve(axes: Axes, contender: Contender, evidence: Evidence, color: str, name: str) -> None:
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(evidence.labels, contender.scores)
    points = np.linspace(0, len(false_rate) - 1, min(_CURVE, len(false_rate))).astype(int)
    decided, labels = contender.decisions, evidence.labels
    label = f"{name} {contender.version}"
    axes.plot(false_rate[points], true_rate[points], color=color, label=label)
    axes.plot(decided[~labels].mean(), decided[labels].mean(), "o", color=color)


@shows("difference")
def f1_gain(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """The paired bootstrap of the F1 difference."""
    theirs, ours = (contender.decisions for contender in _both(evidence))
    _, resampled = f1_differences(evidence.labels, ours, theirs)
    axes.hist(resampled, bins=40, color=BLUE, alpha=0.5)
    _difference(axes, verdict, "difference")
    axes.set(
        title=f"F1 {verdict.numbers['challenger_f1']:.3f} against "
        f"{verdict.numbers['champion_f1']:.3f}",
        xlabel="F1 gained, paired bootstrap",
        yticks=[],
    )


@shows("brier_gain")
def brier_gain(axes: Axes, verdict: Verdict, _: Evidence) -> None:
    """The Brier gain as it is distributed over samples."""
    gain, lower = (verdict.numbers[name] for name in ("brier_gain", "brier_gain_lower_95"))
    deviation = (gain - lower) / Z_95_ONE_SIDED
    away = np.linspace(-4, 4, _CURVE)
    axes.fill_between(gain + deviation * away, np.exp(-(away**2) / 2), color=BLUE, alpha=0.5)
    _difference(axes, verdict, "brier_gain")
    axes.set(
        title=f"Brier gain {gain:+.4f}, bound {lower:+.4f}",
        xlabel="Brier score gained",
        yticks=[],
        ylim=(0, 1.1),
    )
    axes.locator_params(axis="x", nbins=5)


def _difference(axes: Axes, verdict: Verdict, name: str) -> None:
    """An estimate, its lower bound, and 0."""
    axes.axvline(0, color=GREY, label="no difference")
    axes.axvline(verdict.numbers[name], color=BLUE, label="found")
    axes.axvline(
        verdict.numbers[f"{name}_lower_95"], color=BLUE, linestyle="--", label="lower 95 % bound"
    )
    axes.legend(frameon=False, fontsize=_SMALL)


@shows("mean_score")
def scores_by_outcome(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """How the scores of those who churned and of those who stayed are spread."""
    scores, labels, edges = (
        evidence.challenger.scores,
        evidence.labels,
        np.linspace(0, 1, 26).tolist(),
    )
    for name, color, rows in (("stayed", GREY, ~labels), ("churned", BLUE, labels)):
        axes.hist(scores[rows], edges, density=True, color=color, alpha=0.6, label=name)
    axes.axvline(verdict.numbers["mean_score"], color=BLUE, label="mean score")
    axes.axvline(verdict.numbers["rate"], color=GREY, linestyle="--", label="rate of churn")
    axes.set(
        title=f"Brier score {verdict.numbers['brier']:.4f}, base rate's "
        f"{verdict.numbers['brier_of_the_rate']:.4f}",
        xlabel="score",
        yticks=[],
    )
    axes.legend(frameon=False, fontsize=_SMALL)


@shows("champion_value")
def values(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """Simulated value of both, with the interval of the difference on the Challenger's."""
    numbers, (champion, challenger) = verdict.numbers, _both(evidence)
    ours, theirs = numbers["challenger_value"], numbers["champion_value"]
    axes.bar([0, 1], [theirs, ours], width=0.6, color=[GREY, BLUE if verdict.passed else RED])
    ends = theirs + np.array([numbers["difference_lower_95"], numbers["difference_upper_95"]])
    # A bootstrap's quantile may lie beyond what was found.
    reach = np.maximum([[ours - ends[0]], [ends[1] - ours]], 0)
    axes.errorbar([1], [ours], yerr=reach, color="black", capsize=4)
    axes.axhline(numbers["least_value"], color=RED, linestyle="--", linewidth=0.8)
    axes.set(
        title=f"Value, {numbers['currency']} for {numbers['customers']:,} customers",
        xticks=[0, 1],
        xticklabels=[
            f"Champion {champion.version}\n{theirs:,.0f}",
            f"Challenger {challenger.version}\n{ours:,.0f}",
        ],
    )


@shows("found")
def floors(axes: Axes, verdict: Verdict, _: Evidence) -> None:
    """Each metric beside its floor."""
    metrics, floor = verdict.numbers["found"], verdict.numbers["floors"]
    missed = [
        value > floor[name] if name in LOSSES else value < floor[name]
        for name, value in metrics.items()
    ]
    places = np.arange(len(metrics))
    axes.barh(places, list(metrics.values()), color=[RED if below else BLUE for below in missed])
    axes.scatter(list(floor.values()), places, marker="|", s=400, color="black", zorder=3)
    axes.set(title="Metrics and their floors", yticks=places, yticklabels=list(metrics))
    axes.invert_yaxis()


@shows("calibration_error")
def calibration(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """The rate of churn by the mean score, and where chance alone would put it."""
    curve = calibration_error(evidence.labels, evidence.challenger.scores)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":")
    axes.fill_between(
        curve.predicted, curve.low, curve.high, color=GREY, alpha=0.4, label="99 % of chance"
    )
    axes.plot(curve.predicted, curve.observed, "o-", color=BLUE, label="tenths of the rows")
    axes.set(
        title=f"Calibration error {curve.error:.3f}, "
        f"most {verdict.numbers['most_calibration_error']:.3f}",
        xlabel="mean score",
        ylabel="rate of churn",
    )
    axes.legend(loc="upper left", frameon=False, fontsize=_SMALL)


@shows("slices")
def slices(axes: Axes, verdict: Verdict, evidence: Evidence) -> None:
    """F1 of both in each slice; the worst first where there are many."""
    groups = sorted(verdict.numbers["slices"], key=lambda group: group.get("difference", 0.0))
    judged = groups[:_MOST]
    places = np.arange(len(judged))
    ours = np.array([group["challenger_f1"] for group in judged])
    if evidence.champion is not None:
        theirs = np.array([group["champion_f1"] for group in judged])
        worse = ours < theirs - verdict.numbers["tolerance"]
        axes.hlines(places, ours, theirs, color=[RED if is_worse else GREY for is_worse in worse])
        axes.plot(theirs, places, "o", color=GREY, label=f"Champion {evidence.champion.version}")
    axes.plot(ours, places, "o", color=BLUE, label=f"Challenger {evidence.challenger.version}")
    names = [f"{group['slice']} {group['group']} ({group['rows']:,})" for group in judged]
    axes.set(title="F1 by slice", xlabel="F1 at the own threshold", ylim=(len(judged) - 0.5, -0.5))
    axes.set_yticks(places, names, fontsize=_SMALL)
    axes.legend(frameon=False, fontsize=_SMALL)


@shows("monotone", "score_ranges")
def stress(axes: Axes, verdict: Verdict, _: Evidence) -> None:
    """Scores as one input grows, where it must be monotone; else the widest while one is amiss."""
    sweeps, ranges = verdict.numbers["monotone"], verdict.numbers["score_ranges"]
    if sweeps:
        for name, sweep in sweeps.items():
            share = np.linspace(0, 1, len(sweep["values"]))
            color = RED if sweep["broken"] else None
            axes.plot(share, sweep["scores"], color=color, label=name[:_LETTERS])
        axes.set(
            title="Mean score as an input grows",
            xlabel="the input, from least to greatest",
            ylabel="mean score",
        )
        axes.legend(frameon=False, fontsize=_SMALL)
        return
    widest = sorted(ranges, key=lambda name: ranges[name][0] - ranges[name][1])[:_MOST]
    ends = [ranges[name] for name in widest]
    places = np.arange(len(ends))
    low, high = zip(*ends, strict=True)
    axes.hlines(places, low, high, color=BLUE, linewidth=3)
    axes.set(title="Scores while an input is hostile", xlabel="score", xlim=(-0.02, 1.02))
    axes.set_yticks(places, [name[:_LETTERS] for name in widest], fontsize=_SMALL)
    axes.invert_yaxis()


def _both(evidence: Evidence) -> list[Contender]:
    """The Champion and the Challenger, where there are both."""
    return [contender for contender in (evidence.champion, evidence.challenger) if contender]

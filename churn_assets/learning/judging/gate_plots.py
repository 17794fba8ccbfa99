"""Pictures of what the gates decided by, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

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
from churn_assets.learning.plots import decided_dot, diagonal, roc_line
from churn_assets.pages.plots import (
    BLUE,
    GREY,
    INK,
    MORE,
    PALE,
    RED,
    Area,
    Axis,
    Bars,
    Line,
    Mark,
    Rule,
    bars,
    draw,
)

if TYPE_CHECKING:
    Paint = Callable[[Verdict, Evidence], bytes]

_CURVE = 100
"""Points of a curve, however many rows it comes from."""
_BINS = 25
_MOST = 12
"""Slices or inputs that fit one below the other."""
_FEW = 4
_MOST_LINES = 5
"""Lines whose colours tell them apart."""


def shows(*numbers: str) -> Callable[[Paint], Picture]:
    """Make a picture of a function that draws some numbers of a verdict.

    There is no picture where none of them is there: nothing was compared, or decided at all.
    """

    def picture_of(paint: Paint) -> Picture:
        @wraps(paint)
        def picture(verdict: Verdict, evidence: Evidence) -> bytes | None:
            if all(verdict.numbers.get(name) in (None, [], {}) for name in numbers):
                return None
            return paint(verdict, evidence)

        return picture

    return picture_of


@shows("roc_auc")
def ranks(verdict: Verdict, evidence: Evidence) -> bytes:
    """The Challenger's ROC curve."""
    auc, bound = (verdict.numbers[name] for name in ("roc_auc", "roc_auc_lower_95"))
    return _curves(f"ROC AUC {auc:.3f}, at least {bound:.3f}", evidence, [evidence.challenger])


@shows("roc_auc_difference")
def ranks_of_both(verdict: Verdict, evidence: Evidence) -> bytes:
    """ROC curves of both."""
    difference, bound = (verdict.numbers[f"roc_auc_difference{end}"] for end in ("", "_lower_95"))
    title = f"ROC AUC {difference:+.3f}, at least {bound:+.3f}"
    return _curves(title, evidence, _both(evidence))


def _curves(title: str, evidence: Evidence, contenders: Sequence[Contender]) -> bytes:
    """ROC curves, with the decisions that the thresholds make."""
    marks: list[Mark] = [diagonal("guessing")]
    for contender in contenders:
        colour, name = _whose(contender, evidence)
        marks += [
            roc_line(evidence.labels, contender.scores, colour, name),
            decided_dot(evidence.labels, contender.decisions, colour),
        ]
    return draw(
        title,
        marks,
        Axis("share of stayers taken for churners", 0, 1, is_share=True),
        Axis("share of churners found", 0, 1, is_share=True),
    )


@shows("difference")
def f1_gain(verdict: Verdict, evidence: Evidence) -> bytes:
    """The paired bootstrap of the F1 difference."""
    theirs, ours = (contender.decisions for contender in _both(evidence))
    _, resampled = f1_differences(evidence.labels, ours, theirs)
    numbers = verdict.numbers
    return draw(
        f"F1 {numbers['challenger_f1']:.3f}, Champion's {numbers['champion_f1']:.3f}",
        [_histogram(*np.histogram(resampled, _BINS), PALE), *_difference(verdict, "difference")],
        Axis("F1 gained, resampled in pairs"),
        Axis(names={}, low=0),
    )


@shows("brier_gain")
def brier_gain(verdict: Verdict, _: Evidence) -> bytes:
    """The Brier gain as it is distributed over samples."""
    gain, lower = (verdict.numbers[name] for name in ("brier_gain", "brier_gain_lower_95"))
    deviation = (gain - lower) / Z_95_ONE_SIDED
    away = np.linspace(-4, 4, _CURVE)
    density = np.exp(-(away**2) / 2)
    return draw(
        f"Brier score gained {gain:+.4f}, at least {lower:+.4f}",
        [
            Area(gain + deviation * away, np.zeros(len(away)), density),
            *_difference(verdict, "brier_gain"),
        ],
        Axis("Brier score gained"),
        Axis(names={}, low=0, high=1.1),
    )


def _difference(verdict: Verdict, name: str) -> Iterator[Mark]:
    """An estimate, its lower bound, and 0."""
    yield Rule(x=0, label="no difference")
    yield Rule(x=verdict.numbers[name], colour=BLUE, label="found")
    lower = verdict.numbers[f"{name}_lower_95"]
    yield Rule(x=lower, colour=BLUE, dash=True, label="lower 95 % bound")


@shows("mean_score")
def scores_by_outcome(verdict: Verdict, evidence: Evidence) -> bytes:
    """How the scores of those who churned and of those who stayed are spread."""
    numbers, edges = verdict.numbers, np.linspace(0, 1, _BINS + 1)
    groups = [
        ("stayed", GREY, evidence.challenger.scores[~evidence.labels]),
        ("churned", BLUE, evidence.challenger.scores[evidence.labels]),
    ]
    return draw(
        f"Brier {numbers['brier']:.4f}, guessing {numbers['brier_of_the_rate']:.4f}",
        [
            *(
                _histogram(np.histogram(scores, edges)[0] / max(len(scores), 1), edges, c, n, 0.6)
                for n, c, scores in groups
            ),
            Rule(x=numbers["mean_score"], colour=BLUE, label="mean score"),
            Rule(x=numbers["rate"], colour=INK, dash=True, label="rate of churn"),
        ],
        Axis("score", 0, 1, is_share=True),
        Axis("share of the group", low=0, is_share=True),
    )


def _histogram(counts: Any, edges: Any, colour: str, label: str = "", opacity: float = 1.0) -> Bars:
    boxes = [
        (float(low), float(high), 0.0, float(count))
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    return Bars(boxes, [colour] * len(boxes), label, [opacity] * len(boxes))


@shows("champion_value")
def values(verdict: Verdict, evidence: Evidence) -> bytes:
    """Simulated value of both, with the interval of the difference on the Challenger's."""
    numbers, (champion, challenger) = verdict.numbers, _both(evidence)
    ours, theirs = numbers["challenger_value"], numbers["champion_value"]
    ends = [theirs + numbers[f"difference_{end}_95"] for end in ("lower", "upper")]
    both = bars([theirs, ours], width=0.6)
    return draw(
        f"Value for {numbers['customers']:,} test customers",
        [
            Bars(both.boxes, [GREY, BLUE if verdict.passed else RED]),
            # A bootstrap's quantile may lie beyond what was found.
            Line([1, 1], [min(ours, ends[0]), max(ours, ends[1])], INK, "95 % of the difference"),
            Rule(y=numbers["least_value"], colour=RED, dash=True, label="least"),
        ],
        Axis(
            "", -0.6, 1.6,
            {0: f"Champion {champion.version}\n{theirs:,.0f}",
             1: f"Challenger {challenger.version}\n{ours:,.0f}"},
        ),
        Axis(f"{numbers['currency']}, simulated"),
    )  # fmt: skip


@shows("found")
def floors(verdict: Verdict, _: Evidence) -> bytes:
    """Each metric beside its floor."""
    metrics, floor = verdict.numbers["found"], verdict.numbers["floors"]
    missed = [
        value > floor[name] if name in LOSSES else value < floor[name]
        for name, value in metrics.items()
    ]
    last = len(metrics) - 1
    boxes = [
        (0.0, float(value), last - i - 0.3, last - i + 0.3)
        for i, value in enumerate(metrics.values())
    ]
    marks = [
        Line([floor[name]] * 2, [last - i - 0.42, last - i + 0.42], INK, "" if i else "floor")
        for i, name in enumerate(metrics)
    ]
    return draw(
        "Metrics and their floors",
        [Bars(boxes, [RED if below else BLUE for below in missed]), *marks],
        Axis("", low=0),
        _names([name.replace("_", " ") for name in metrics]),
    )


@shows("calibration_error")
def calibration(verdict: Verdict, evidence: Evidence) -> bytes:
    """The rate of churn by the mean score, and where chance alone would put it."""
    curve = calibration_error(evidence.labels, evidence.challenger.scores)
    most = verdict.numbers["most_calibration_error"]
    return draw(
        f"Calibration error {curve.error:.3f}, at most {most:.3f}",
        [
            Area(curve.predicted, curve.low, curve.high, PALE, "99 % of chance"),
            diagonal("as predicted"),
            Line(curve.predicted, curve.observed, label="tenths of the rows", dots=True),
        ],
        Axis("mean score", 0, 1, is_share=True),
        Axis("rate of churn", 0, 1, is_share=True),
    )


@shows("slices")
def slices(verdict: Verdict, evidence: Evidence) -> bytes:
    """F1 of both in each slice; the worst first where there are many."""
    groups = sorted(verdict.numbers["slices"], key=lambda group: group.get("difference", 0.0))
    judged = groups[:_MOST]
    places = np.arange(len(judged))[::-1]
    ours = [group["challenger_f1"] for group in judged]
    marks: list[Mark] = []
    if evidence.champion is not None:
        theirs = [group["champion_f1"] for group in judged]
        for place, mine, other in zip(places, ours, theirs, strict=True):
            is_worse = mine < other - verdict.numbers["tolerance"]
            marks.append(Line([mine, other], [place, place], RED if is_worse else GREY))
        name = f"Champion {evidence.champion.version}"
        marks.append(Line(theirs, places, GREY, name, joined=False))
    name = f"Challenger {evidence.challenger.version}"
    marks.append(Line(ours, places, BLUE, name, joined=False))
    title = "F1 of each group" if judged == groups else f"F1 of {_MOST} of {len(groups)} groups"
    return draw(
        title,
        marks,
        Axis("F1, each at its own threshold", 0, 1),
        _names([f"{group['slice'].replace('_', ' ')}: {group['group']}" for group in judged]),
    )


@shows("monotone", "score_ranges")
def stress(verdict: Verdict, _: Evidence) -> bytes:
    """Scores as one input grows, where it must be monotone; else the widest while one is amiss."""
    sweeps, ranges = verdict.numbers["monotone"], verdict.numbers["score_ranges"]
    if sweeps:
        shown = sorted(sweeps.items(), key=lambda sweep: not sweep[1]["broken"])[:_MOST_LINES]
        colours = (BLUE, GREY, *MORE)
        lines = [
            Line(
                np.linspace(0, 1, len(sweep["values"])),
                sweep["scores"],
                RED if sweep["broken"] else colours[i % len(colours)],
                name.replace("_", " "),
            )
            for i, (name, sweep) in enumerate(shown)
        ]
        return draw(
            "Mean score as an input grows",
            lines,
            Axis("the input, from least to greatest", 0, 1, {}),
            Axis("mean score", low=0, is_share=True),
        )
    widest = sorted(ranges, key=lambda name: ranges[name][0] - ranges[name][1])[:_MOST]
    last = len(widest) - 1
    boxes = [
        (float(ranges[name][0]), float(ranges[name][1]), last - i - 0.25, last - i + 0.25)
        for i, name in enumerate(widest)
    ]
    return draw(
        "Scores while one input is hostile",
        [Bars(boxes, [BLUE] * len(boxes))],
        Axis("score", 0, 1, is_share=True),
        _names([name.replace("_", " ") for name in widest]),
    )


def _names(names: Sequence[str]) -> Axis:
    """An axis with a name at each place, the first one at the top."""
    last = len(names) - 1
    # A few stand as close as many.
    room = max(0.7, (_FEW - last) / 2)
    return Axis("", -room, last + room, {last - i: name for i, name in enumerate(names)})


def _whose(contender: Contender, evidence: Evidence) -> tuple[str, str]:
    """Colour and name of a contender."""
    if contender is evidence.challenger:
        return BLUE, f"Challenger {contender.version}"
    return GREY, f"Champion {contender.version}"


def _both(evidence: Evidence) -> list[Contender]:
    """The Champion and the Challenger, where there are both."""
    return [contender for contender in (evidence.champion, evidence.challenger) if contender]

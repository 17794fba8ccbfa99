"""The metrics on test rows, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.card.page import Score
from churn_assets.learning.metrics import (
    best_constant_f1,
    f1_resamples,
    metrics,
    roc_auc_bounds,
)

if TYPE_CHECKING:
    from churn_assets.learning.judging.evidence import Contender
    from churn_assets.types import Bools, Floats


Z_95 = 1.959963984540054
"""Standard deviations to either side that hold 95 % of a normal law."""
TWO_SIDED_95 = 0.975
"""How sure each end of a two-sided interval of 95 % is."""
RESAMPLES, FEWEST_RESAMPLES, RESAMPLED_ROWS = 500, 30, 10_000_000
"""So many resamples, or as few as that, so that no more rows are drawn in all."""


def score_intervals(
    labels: Bools, challenger: Contender, champion: Contender | None
) -> list[Score]:
    """The metrics on test rows with their 95 % intervals, beside what guessing reaches.

    Parameters
    ----------
    labels : array of shape (n_test,)
        Whether each customer churned; some of either outcome.
    challenger, champion : Contender
        Their scores.
    """
    rate = float(labels.mean())
    entropy = -rate * np.log(rate) - (1 - rate) * np.log(1 - rate)
    values = metrics(labels, challenger.scores, challenger.threshold)
    champion_values: Mapping[str, float] = {}
    if champion is not None and champion.gives_probabilities:
        champion_values = metrics(labels, champion.scores, champion.threshold)
    margin = margins(labels, challenger.scores, challenger.threshold)
    ends = {name: (values[name] - margin[name], values[name] + margin[name]) for name in margin}
    auc = roc_auc_bounds(labels, challenger.scores, TWO_SIDED_95)
    ends["roc_auc"] = (auc.lower, auc.upper)
    scales = (
        ("roc_auc", "ROC AUC", 0.5, 1.0),
        ("f1", f"F1 at {challenger.threshold:.3f}", best_constant_f1(labels), 1.0),
        ("log_loss", "Log loss", float(entropy), 0.0),
        ("brier", "Brier score", rate * (1 - rate), 0.0),
        ("pr_auc", "PR AUC", rate, 1.0),
    )
    return [
        Score(
            name=words,
            value=values[name],
            low=max(ends[name][0], 0.0),
            # A loss, which is 0 at best, has no upper end.
            high=ends[name][1] if perfect == 0 else min(ends[name][1], 1.0),
            guess=guess,
            perfect=perfect,
            champion=champion_values.get(name),
        )
        for name, words, guess, perfect in scales
    ]


def margins(labels: Bools, scores: Floats, threshold: float, seed: int = 0) -> dict[str, float]:
    """Half the width of each metric's 95 % interval.

    ROC AUC has DeLong's on the scale of log-odds, means over rows that of the normal law, the
    others 1.96 standard deviations of a bootstrap of the rows.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; some of either outcome.
    scores : array of shape (n_rows,)
        Probability of churn.
    threshold : float
        Least score that is decided as churn.
    seed : int
        Of the bootstrap.
    """
    rows = len(labels)
    auc = roc_auc_bounds(labels, scores, TWO_SIDED_95)
    likely = np.clip(np.where(labels, scores, 1 - scores), np.finfo(float).eps, 1)
    return {
        "roc_auc": (auc.upper - auc.lower) / 2,
        "pr_auc": _pr_auc_margin(labels, scores, seed),
        "f1": f1_margin(labels, scores >= threshold, seed),
        "log_loss": float(Z_95 * np.log(likely).std(ddof=1) / np.sqrt(rows)),
        "brier": float(Z_95 * ((scores - labels) ** 2).std(ddof=1) / np.sqrt(rows)),
    }


def f1_margin(labels: Bools, decided: Bools, seed: int = 0) -> float:
    """Half the width of the 95 % interval of F1.

    Parameters
    ----------
    labels, decided : array of shape (n_rows,)
        Whether each customer churned, and was decided to.
    seed : int
        Of the bootstrap.
    """
    return float(Z_95 * f1_resamples(labels, decided, RESAMPLES, seed).std(ddof=1))


def _pr_auc_margin(labels: Bools, scores: Floats, seed: int = 0) -> float:
    rows = len(labels)
    order = np.argsort(-scores, kind="stable")
    churned = labels[order]
    # Rows of one score are ranked together.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), rows - 1)
    rng = np.random.default_rng(seed)

    def resample() -> float:
        times = np.bincount(rng.integers(rows, size=rows), minlength=rows)
        hits, alarms = np.cumsum(times * churned)[ends], np.cumsum(times)[ends]
        gains = np.diff(hits, prepend=0)
        return float((gains * hits / np.maximum(alarms, 1)).sum() / max(hits[-1], 1))

    resamples = int(np.clip(RESAMPLED_ROWS // rows, FEWEST_RESAMPLES, RESAMPLES))
    return float(Z_95 * np.std([resample() for _ in range(resamples)], ddof=1))

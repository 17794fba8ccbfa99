"""The candidates beside each other, and which of them is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from churn_assets.learning.fitting.folds import Rows
from churn_assets.learning.fitting.search import Best

if TYPE_CHECKING:
    from churn_assets.types import Bools, Floats

_LEAST = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Compared:
    """A candidate in its best configuration.

    Parameters
    ----------
    loss, standard_error : float
        Mean loss out of fold, and how far chance alone moves it: the standard deviation of the
        rows' losses over the root of their number.
    complexity : int
        By how many numbers it decides.
    seconds : float
        That the fits of its folds took.
    metrics : mapping of str to float
        `oof_<metric>` out of fold, `train_<metric>` of some rows that the first fold was fitted on.
    """

    loss: float
    standard_error: float
    complexity: int
    seconds: float
    metrics: Mapping[str, float]

    @property
    def facts(self) -> dict[str, float]:
        """What decides the choice, and is the same on every machine."""
        return {
            "loss": self.loss,
            "standard_error": self.standard_error,
            "complexity": self.complexity,
        }


def compared(best: Best, rows: Rows, metric: str) -> Compared:
    """A candidate's best configuration as it is compared with others.

    Parameters
    ----------
    best : Best
        The configuration.
    rows : Rows
        What was fitted on and scored.
    metric : {"log_loss", "brier"}
        What the choice is made by.
    """
    scored, fitted = rows.scored, rows.some_fitted
    parts = {
        "oof": (rows.labels[scored], best.scores[scored]),
        "train": (rows.labels[fitted], best.fits.fitted_scores),
    }
    losses = _losses(*parts["oof"])[metric]
    return Compared(
        loss=best.loss,
        standard_error=float(losses.std(ddof=1) / np.sqrt(len(losses))),
        complexity=best.fits.complexity,
        seconds=best.fits.seconds,
        metrics={
            f"{part}_{name}": value
            for part, sample in parts.items()
            if len(np.unique(sample[0])) == len(("stayed", "churned"))
            for name, value in quick_metrics(*sample).items()
        },
    )


def choose(candidates: Mapping[str, Compared], choice: Literal["best", "simplest"]) -> str:
    """Name of the candidate with the least loss; or of the simplest that chance may set behind it.

    The simplest is the one of least complexity, and of two such the one of less loss, among those
    whose loss is at most one standard error of the best one's above it.

    Parameters
    ----------
    candidates : mapping of str to Compared
        By name.
    choice : {"best", "simplest"}
        Which of the two.

    References
    ----------
    Breiman, Friedman, Olshen and Stone (1984), "Classification and Regression Trees", 3.4.3: the
    one-standard-error rule.

    >>> forest = Compared(0.40, 0.02, complexity=900, seconds=1.0, metrics={})
    >>> line = Compared(0.41, 0.02, complexity=20, seconds=0.1, metrics={})
    >>> choose({"forest": forest, "line": line}, "best")
    'forest'
    >>> choose({"forest": forest, "line": line}, "simplest")
    'line'
    """
    best = min(candidates, key=lambda name: candidates[name].loss)
    if choice == "best":
        return best
    most = candidates[best].loss + candidates[best].standard_error
    near = {name: one for name, one in candidates.items() if one.loss <= most}
    return min(near, key=lambda name: (near[name].complexity, near[name].loss))


def quick_metrics(labels: Bools, scores: Floats) -> dict[str, float]:
    """ROC AUC, PR AUC, log loss, Brier, and F1 at its best threshold, from one ranking.

    They are those of `metrics`, in a thirtieth of the time.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; both classes must occur.
    scores : array of shape (n_rows,)
        Probability of churn, in [0, 1].
    """
    order = np.argsort(-scores, kind="stable")
    # Rows of one score are ranked together.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(labels[order])[ends]
    alarms = ends + 1
    recall, false_alarms = hits / hits[-1], (alarms - hits) / (alarms[-1] - hits[-1])
    losses = _losses(labels, scores)
    return {
        "roc_auc": float(np.trapezoid(np.append(0, recall), np.append(0, false_alarms))),
        "pr_auc": float((np.diff(recall, prepend=0) * hits / alarms).sum()),
        "f1": float((2 * hits / (alarms + hits[-1])).max()),
        "log_loss": float(losses["log_loss"].mean()),
        "brier": float(losses["brier"].mean()),
    }


def _losses(labels: Bools, scores: Floats) -> dict[str, Floats]:
    """The loss of each row."""
    likely = np.clip(np.where(labels, scores, 1 - scores), _LEAST, 1)
    return {"log_loss": -np.log(likely), "brier": (scores - labels) ** 2}

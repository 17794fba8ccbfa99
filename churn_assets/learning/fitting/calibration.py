"""Whether scores are as high as the rates that come true, and their repair where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.metrics import Z_95_ONE_SIDED, calibration_line
from churn_assets.learning.odds import log_odds, recalibrated

if TYPE_CHECKING:
    from churn_assets.types import Bools, Floats, Indices


@dataclass(frozen=True)
class Repair:
    """How far scores are from probabilities, and whether that was repaired.

    Parameters
    ----------
    slope, intercept : float
        Of the line that log-odds would have to be put on; 1 and 0 where scores are probabilities.
    gain, gain_error : float
        Log loss that the line saves on rows that it was not fitted on, and its standard error.
    done : bool
        Whether the model was put on the line.
    """

    slope: float
    intercept: float
    gain: float
    gain_error: float
    done: bool

    @property
    def summary(self) -> str:
        """How far off the scores were and what was done about it, for a reader."""
        saved = f"{self.gain:.5f} +- {self.gain_error:.5f} of log loss"
        outcome = f"put on that line, which saves {saved}" if self.done else f"left so ({saved})"
        return f"out of fold slope {self.slope:.3f}, intercept {self.intercept:+.3f}; {outcome}"


def repair(labels: Bools, scores: Floats, fold_of: Indices, seed: int = 0) -> Repair:
    """How far scores are from probabilities; repaired where that is clearly for the better.

    It is, where the one-sided 95 % lower bound of the saved log loss is above 0. What a line
    saves is measured on the folds that it was not fitted on.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each churned.
    scores : array of shape (n_rows,)
        Out of fold, in [0, 1].
    fold_of : array of shape (n_rows,)
        Which fold each was scored in; where there is one only, five are drawn.
    seed : int
        Of that draw.

    References
    ----------
    Cox (1958), "Two further applications of a model for binary regression", Biometrika 45(3/4).
    """
    if len(np.unique(fold_of)) == 1:
        fold_of = np.random.default_rng(seed).permutation(len(labels)) % 5
    gains = np.zeros(len(labels))
    for fold in np.unique(fold_of):
        here = fold_of == fold
        line = calibration_line(labels[~here], scores[~here])
        before, after = scores[here], recalibrated(scores[here], *line)
        gains[here] = _log_losses(labels[here], before) - _log_losses(labels[here], after)
    slope, intercept = calibration_line(labels, scores)
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    # A line that falls would rank customers the other way round.
    helps = slope > 0 and gain - Z_95_ONE_SIDED * error > 0
    return Repair(slope, intercept, gain, error, helps)


def _log_losses(labels: Bools, scores: Floats) -> Floats:
    """Of each row."""
    losses: Floats = np.logaddexp(0, np.where(labels, -1, 1) * log_odds(scores))
    return losses

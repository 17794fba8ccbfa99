"""One configuration that a search tries, its loss, and what all of a search share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from churn_assets.learning.fitting.folds import Rows
from churn_assets.learning.recipe import Candidate, TrainingSettings
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.types import Bools, Floats

Configuration = tuple[str, Mapping[str, Any]]
"""Name of a candidate, and what differs from its default configuration."""


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    Parameters
    ----------
    candidate : str
        Its name.
    parameters : mapping of str to object
        What differs from the candidate's default configuration.
    state : {"complete", "pruned", "failed"}
        Pruned: after some folds it was worse than the median of its candidate's completed trials.
    losses : tuple of float
        Mean loss of all rows scored so far, after each fold.
    error : str
        Why it failed, in a line.
    """

    candidate: str
    parameters: Mapping[str, Any]
    state: Literal["complete", "pruned", "failed"]
    losses: tuple[float, ...]
    error: str = ""

    @property
    def loss(self) -> float:
        """Mean loss of all rows; infinite where not all were scored."""
        return self.losses[-1] if self.state == "complete" else math.inf


@dataclass(frozen=True)
class Fits:
    """What the fits of a trial gave beside its losses.

    Parameters
    ----------
    scores : array of shape (n_rows,)
        Out of fold; NaN where a row was not scored.
    fitted_scores : array of shape (n_fitted,)
        Of `Rows.some_fitted`, by the first fold's fit.
    seconds : float
        That all fits took.
    complexity : int
        Of the first fold's model.
    """

    scores: Floats
    fitted_scores: Floats
    seconds: float
    complexity: int


def loss(metric: str, labels: Bools, scores: Floats) -> float:
    """Mean log loss or Brier score; the less the better."""
    from sklearn.metrics import brier_score_loss, log_loss

    mean = log_loss if metric == "log_loss" else brier_score_loss
    return float(mean(labels, scores))


@dataclass(frozen=True)
class Task:
    """What all trials of a search share.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs.
    candidates : mapping of str to Candidate
        Those with an estimator, by name, in the order in which they take turns.
    rows : Rows
        What is fitted on and scored.
    settings : TrainingSettings
        Sampler, metric, seed and how many trials run at the same time.
    """

    use_case: UseCase
    candidates: Mapping[str, Candidate]
    rows: Rows
    settings: TrainingSettings

"""The rows that a search fits on and scores, and their folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.recipe import CROSS_VALIDATED_ROWS, TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Bools, Indices


@dataclass(frozen=True)
class Rows:
    """What a search fits on and scores.

    Parameters
    ----------
    inputs : DataFrame
        Model inputs of train and validation rows.
    labels : array of shape (n_rows,)
        Whether each churned.
    folds : sequence of (array, array)
        Positions to fit on, and to score.
    """

    inputs: pd.DataFrame
    labels: Bools
    folds: Sequence[tuple[Indices, Indices]]

    @property
    def scored(self) -> Bools:
        """The rows that are scored, each by a model that has not seen it."""
        return self.fold_of >= 0

    @property
    def fold_of(self) -> Indices:
        """The fold that scores each row, -1 where none does."""
        numbers = np.full(len(self.labels), -1, dtype=np.intp)
        for fold, (_, scored) in enumerate(self.folds):
            numbers[scored] = fold
        return numbers


def folded(
    inputs: pd.DataFrame,
    labels: Bools,
    is_validation: Bools,
    settings: TrainingSettings,
    *,
    by_time: bool = False,
) -> Rows:
    """Stratified folds over few rows; of many, validation is scored by a fit on train.

    So it is as well where rows are split by time: whoever is scored later comes after whoever was
    fitted on, and folds that mix them would hide what changes from one season to the next.

    Parameters
    ----------
    inputs : DataFrame
        Model inputs of train and validation rows.
    labels, is_validation : array of shape (n_rows,)
        Whether each churned, and whether it is one of validation; both classes are in either.
    settings : TrainingSettings
        Give the number of folds and the seed.
    by_time : bool
        Whether validation is newer than train.
    """
    from sklearn.model_selection import StratifiedKFold

    if by_time or len(labels) > CROSS_VALIDATED_ROWS:
        fit, scored = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
        return Rows(inputs, labels, [(fit, scored)])
    rarer = int(min(labels.sum(), (~labels).sum()))
    folds = StratifiedKFold(min(settings.folds, rarer), shuffle=True, random_state=settings.seed)
    return Rows(inputs, labels, list(folds.split(inputs, labels)))

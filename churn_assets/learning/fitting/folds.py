"""The rows that a search fits on and scores, and their folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.errors import TrainingError
from churn_assets.learning.recipe import CROSS_VALIDATED_ROWS, TrainingSettings

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Bools, Indices
    from churn_assets.usecases.spec import UseCase


FITTED_ROWS = 5000
"""By so many of those that it was fitted on it is seen how far a candidate learnt them by heart."""


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
    def some_fitted(self) -> Indices:
        """Positions of some rows that the first fold is fitted on, evenly spread."""
        fit, _ = self.folds[0]
        return fit[:: -(-len(fit) // FITTED_ROWS)]

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
    belongs_to: Indices | None = None,
) -> Rows:
    """Stratified folds over few rows; of many, validation is scored by a fit on train.

    Rows that belong together are in one fold, and a row of validation that belongs to one of train
    is not scored.

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
    belongs_to : array of shape (n_rows,), optional
        As `together` gives it.
    """
    from sklearn.model_selection import StratifiedKFold

    if by_time or len(labels) > CROSS_VALIDATED_ROWS:
        fit, scored = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
        if belongs_to is not None:
            scored = scored[~np.isin(belongs_to[scored], belongs_to[fit])]
        return Rows(inputs, labels, [(fit, scored)])
    units = np.arange(len(labels)) if belongs_to is None else belongs_to
    churned, stayed = (np.bincount(units, outcome) > 0 for outcome in (labels, ~labels))
    many = int(min(settings.folds, churned.sum(), stayed.sum()))
    if many == 1:
        raise TrainingError(
            "all rows of one outcome belong to one group or are copies of one row, so no fold can "
            "be scored by a fit on the others. Give more records."
        )
    # Units with and without a churner, unless next to all have one.
    strata = churned if (~churned).sum() >= many else np.ones_like(churned)
    folds = StratifiedKFold(many, shuffle=True, random_state=settings.seed)
    fold_of = np.empty(len(strata), dtype=np.intp)
    for fold, (_, scored) in enumerate(folds.split(strata, strata)):
        fold_of[scored] = fold
    of_row = fold_of[units]
    return Rows(
        inputs,
        labels,
        [(np.flatnonzero(of_row != k), np.flatnonzero(of_row == k)) for k in range(many)],
    )


def together(rows: pd.DataFrame, use_case: UseCase, *, copies: bool) -> Indices | None:
    """The number of the unit that each row belongs to; None where each stands alone.

    Parameters
    ----------
    rows : DataFrame of n_rows rows
        With the model inputs and the columns of the group.
    use_case : UseCase
        Names them.
    copies : bool
        Whether rows that are alike in all inputs belong together, as those of a group do.

    Returns
    -------
    array of shape (n_rows,), optional
        Numbers from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    units = []
    if copies:
        units.append(_number_of(rows, use_case.inputs))
    if use_case.together:
        own = rows[list(use_case.together)].isna().any(axis=1).to_numpy()
        of_group = _number_of(rows, use_case.together)
        # Without a group a row stands alone.
        units.append(np.where(own, of_group.max() + 1 + np.arange(len(rows)), of_group))
    if not units:
        return None
    # Each row ties the units that it is in to each other.
    row, firsts = np.arange(len(rows)), np.cumsum([len(rows), *(unit.max() + 1 for unit in units)])
    ends = np.concatenate([first + unit for first, unit in zip(firsts, units, strict=False)])
    starts = np.tile(row, len(units))
    graph = coo_array((np.ones(len(ends)), (starts, ends)), shape=(firsts[-1], firsts[-1]))
    _, component = connected_components(graph, directed=False)
    _, numbers = np.unique(component[row], return_inverse=True)
    return numbers


def _number_of(rows: pd.DataFrame, columns: Sequence[str]) -> Indices:
    """A number from 0 for each combination of values; two blanks are alike."""
    numbers: Indices = rows.groupby(list(columns), dropna=False, sort=False).ngroup().to_numpy()
    return numbers

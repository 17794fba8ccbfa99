"""Models made of fitted or unfitted models: an average of several, and one with better odds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone

from churn_assets.learning.odds import averaged, recalibrated

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Floats


class Blend(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """The mean of several models' log-odds.

    Parameters
    ----------
    members : sequence of (str, Pipeline)
        Unfitted models by name, each with `predict_proba`.
    """

    def __init__(self, members: Sequence[tuple[str, Any]]) -> None:
        self.members = members

    def fit(self, X: pd.DataFrame, y: Any) -> Self:  # noqa: N803
        """Fit each member on all rows."""
        self.pipelines_ = [clone(member).fit(X, y) for _, member in self.members]
        self.classes_ = self.pipelines_[0].classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> Floats:  # noqa: N803
        """Probability of either class, of shape (n_rows, 2)."""
        return _pair(averaged([model.predict_proba(X)[:, 1] for model in self.pipelines_]))


class Recalibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted model whose log-odds are put on a line: slope times them, plus intercept.

    Parameters
    ----------
    base : Pipeline or Blend
        A fitted model with `predict_proba`.
    slope, intercept : float
        Of the line.

    References
    ----------
    Platt (1999), "Probabilistic outputs for support vector machines"; on log-odds it is the
    logistic recalibration of Cox (1958), Biometrika 45(3/4).
    """

    def __init__(self, base: Any, slope: float, intercept: float) -> None:
        self.base = base
        self.slope = slope
        self.intercept = intercept

    def fit(self, X: object = None, y: object = None) -> Self:  # noqa: N803
        """Nothing: the base is fitted, and the line is given."""
        return self

    @property
    def classes_(self) -> Any:
        """The classes of the base."""
        return self.base.classes_

    def predict_proba(self, X: pd.DataFrame) -> Floats:  # noqa: N803
        """Probability of either class, of shape (n_rows, 2)."""
        return _pair(recalibrated(self.base.predict_proba(X)[:, 1], self.slope, self.intercept))


def _pair(positive: Floats) -> Floats:
    return np.column_stack([1 - positive, positive])

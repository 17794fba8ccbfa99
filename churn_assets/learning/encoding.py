"""From a table of model inputs to the matrix that estimators fit on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from churn_assets.types import Floats

BENDS = 3
"""Of a number in a linear model."""
_FLAG = 2
"""A number of so few values bends nowhere."""
_LARGEST = float(np.finfo(np.float32).max)
"""Some estimators compute in single precision, and take no infinity."""


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers as they are, a 0/1 column for each category seen when fitted.

    scikit-learn's encoders look at each text again for each row, which takes longer than
    scoring it; this one looks at each distinct text once. An unknown or null category has
    0 in every column, a null number is NaN.

    Parameters
    ----------
    numeric, categorical : sequence of str
        Columns of the table, encoded in this order.

    Attributes
    ----------
    sources_ : list of str
        The column of the table that each encoded one comes from.
    """

    def __init__(self, numeric: Sequence[str], categorical: Sequence[str]) -> None:
        self.numeric = numeric
        self.categorical = categorical

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803
        """Learn the categories of each categorical column, sorted."""
        self.categories_ = {
            name: sorted(str(value) for value in X[name].dropna().unique())
            for name in self.categorical
        }
        self.n_features_in_ = len(self.numeric) + len(self.categorical)
        self.sources_ = [
            *self.numeric,
            *(name for name in self.categorical for _ in self.categories_[name]),
        ]
        return self

    def transform(self, X: pd.DataFrame) -> Floats:  # noqa: N803
        """Encode a table.

        Returns
        -------
        array of shape (n_rows, n_encoded)
            In column-major order.
        """
        encoded = np.zeros((len(X), len(self.sources_)), order="F")
        for i, name in enumerate(self.numeric):
            encoded[:, i] = np.clip(_numbers(X[name]), -_LARGEST, _LARGEST)
        i = len(self.numeric)
        for name in self.categorical:
            codes = _codes(X[name], self.categories_[name])
            for code in range(len(self.categories_[name])):
                np.equal(codes, code, out=encoded[:, i], casting="unsafe")
                i += 1
        return encoded

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Name of each encoded column: the number's, or `<column>=<category>`."""
        return [
            *self.numeric,
            *(f"{name}={value}" for name in self.categorical for value in self.categories_[name]),
        ]


class LinearEncoder(TableEncoder):
    """The same columns and more of each number, so that a linear model can bend.

    A number with more than two values is kept within the range that it was fitted on. It also
    gets its logarithm, where it is never negative, and what it exceeds each of its quantiles by:
    a linear model of these is piecewise linear, with a bend at each quantile.

    Parameters
    ----------
    numeric, categorical : sequence of str
        Columns of the table.
    bends : int
        At how many inner quantiles, evenly spaced.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical Learning", 5.2: a
    piecewise linear spline in the truncated power basis.
    """

    def __init__(
        self, numeric: Sequence[str], categorical: Sequence[str], bends: int = BENDS
    ) -> None:
        super().__init__(numeric, categorical)
        self.bends = bends

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803
        """Learn the categories, and the range and quantiles of each number."""
        super().fit(X, y)
        self.ranges_: dict[str, list[float]] = {}
        self.knots_: dict[str, list[float]] = {}
        self.logs_: list[str] = []
        inner = np.linspace(0, 1, self.bends + 2)[1:-1]
        for name in self.numeric:
            known = _numbers(X[name])
            known = known[np.isfinite(known)]
            if len(np.unique(known)) <= _FLAG:
                continue
            low, high = float(known.min()), float(known.max())
            self.ranges_[name] = [low, high]
            knots = np.unique(np.quantile(known, inner))
            self.knots_[name] = [float(knot) for knot in knots if low < knot < high]
            if low >= 0:
                self.logs_.append(name)
        self.sources_ += [
            *self.logs_,
            *(name for name, knots in self.knots_.items() for _ in knots),
        ]
        return self

    def transform(self, X: pd.DataFrame) -> Floats:  # noqa: N803
        """Encode a table.

        Returns
        -------
        array of shape (n_rows, n_encoded)
            In column-major order.
        """
        encoded = super().transform(X)
        place = {name: i for i, name in enumerate(self.numeric)}
        for name, (low, high) in self.ranges_.items():
            np.clip(encoded[:, place[name]], low, high, out=encoded[:, place[name]])
        i = len(super().get_feature_names_out())
        for name in self.logs_:
            encoded[:, i] = np.log1p(encoded[:, place[name]])
            i += 1
        for name, knots in self.knots_.items():
            for knot in knots:
                np.maximum(encoded[:, place[name]] - knot, 0, out=encoded[:, i])
                i += 1
        return encoded

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Name of each encoded column: as `TableEncoder` has it, `log(<column>)`, or
        `<column>><quantile>`."""
        return [
            *super().get_feature_names_out(),
            *(f"log({name})" for name in self.logs_),
            *(f"{name}>{knot:g}" for name, knots in self.knots_.items() for knot in knots),
        ]


class MonotonePipeline(Pipeline):  # type: ignore[misc]
    """A Pipeline whose model is told which encoded columns its score must rise or fall with.

    Which there are is known only when the encoder is fitted.

    Parameters
    ----------
    steps : list of (str, estimator)
        The first with `sources_`, the last one the model.
    constraint : str
        Name of the model's parameter.
    monotone : mapping of str to int
        1 or -1 by number.
    """

    def __init__(
        self,
        steps: Sequence[tuple[str, Any]],
        *,
        constraint: str = "",
        monotone: Mapping[str, int] | None = None,
        transform_input: Any = None,
        memory: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(steps, transform_input=transform_input, memory=memory, verbose=verbose)
        self.constraint = constraint
        self.monotone = monotone

    def fit(self, X: pd.DataFrame, y: Any = None, **params: Any) -> Self:  # noqa: N803
        """Fit the encoder, tell the model, fit all."""
        directions = self.monotone or {}
        encoder = self.steps[0][1].fit(X)
        by_column = tuple(
            directions.get(name, 0) if i < len(encoder.numeric) else 0
            for i, name in enumerate(encoder.sources_)
        )
        self.steps[-1][1].set_params(**{self.constraint: by_column})
        fitted: Self = super().fit(X, y, **params)
        return fitted


def _numbers(values: pd.Series[Any]) -> Floats:
    """A column as floats, null as NaN."""
    numbers: Floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _codes(values: pd.Series[Any], categories: Sequence[str]) -> NDArray[np.int32]:
    """Position of each value among the categories, -1 where it is none of them."""
    import pandas as pd

    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    position = {category: i for i, category in enumerate(categories)}
    # The last place is what code -1, a null, points to.
    places = [position.get(str(value), -1) for value in values.cat.categories] + [-1]
    encoded: NDArray[np.int32] = np.asarray(places, dtype=np.int32)[values.cat.codes.to_numpy()]
    return encoded

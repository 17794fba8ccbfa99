"""From a table of model inputs to the matrix that estimators fit on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
_MANY, _FEWEST_ROWS = 30, 10
"""Of a column with more categories, those of fewer rows are rare."""
_MOST_CELLS = 100_000_000
"""Of all 0/1 columns, 0.8 GB; the commonest categories have them."""
_DRAWN, _FOLDS = 20, 5
"""As many rows of all count with a category's own; folds of the rates while they are fitted."""
_LARGEST = float(np.finfo(np.float32).max)
"""Some estimators compute in single precision, and take no infinity."""


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers as they are, a 0/1 column for each category seen when fitted.

    scikit-learn's encoders look at each text again for each row, which takes longer than
    scoring it; this one looks at each distinct text once. An unknown or null category has
    0 in every column, a null number is NaN. A column that is null throughout has no part.

    A column of many categories would fill the memory, and of most of them too few rows could tell
    anything. Its rare ones share a 0/1 column, which an unknown one then has as well; or one
    column says how often the outcome came with each category.

    Parameters
    ----------
    numeric, categorical : sequence of str
        Columns of the table, encoded in this order.
    by_outcome : bool
        Whether a column with rare categories gets the log-odds of the outcome by category instead
        of a 0/1 column for the rare ones together.

    Attributes
    ----------
    sources_ : list of str
        The column of the table that each encoded one comes from.

    References
    ----------
    Micci-Barreca (2001), "A preprocessing scheme for high-cardinality categorical attributes in
    classification and prediction problems", ACM SIGKDD Explorations 3(1): rates that are drawn to
    the mean where rows are few. While it is fitted, a row gets the rate of the rows of other folds,
    so that no row tells its own outcome.
    """

    # Those of models that were stored before there were any.
    by_outcome: bool = False
    numbers_: Sequence[str] | None = None
    rare_: Sequence[str] = ()
    odds_: Mapping[str, Floats] = MappingProxyType({})

    def __init__(
        self, numeric: Sequence[str], categorical: Sequence[str], *, by_outcome: bool = False
    ) -> None:
        self.numeric = numeric
        self.categorical = categorical
        self.by_outcome = by_outcome

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803
        """Learn which numbers are known, and the categories of each categorical column, sorted."""
        self.numbers_ = [name for name in self.numeric if not np.isnan(_numbers(X[name])).all()]
        counts = {name: _counts(X[name]) for name in self.categorical}
        self.categories_ = _common(counts, len(X))
        self.rare_ = [
            name for name, kept in self.categories_.items() if len(kept) < len(counts[name])
        ]
        self.levels_, self.odds_ = {}, {}
        if self.by_outcome:
            # An array, since a stored model would describe each text of a list at length.
            self.levels_ = {name: np.array(list(counts[name]), dtype=str) for name in self.rare_}
            self.odds_ = {name: self._odds(X[name], y, name) for name in self.rare_}
        self.n_features_in_ = len(self.numeric) + len(self.categorical)
        self.sources_ = [
            *self.numbers_,
            *(name for name in self.categorical for _ in self.categories_[name]),
            *self.rare_,
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
        i = 0
        for name in self._known_numbers:
            encoded[:, i] = np.clip(_numbers(X[name]), -_LARGEST, _LARGEST)
            i += 1
        for name in self.categorical:
            codes = _codes(X[name], self.categories_[name])
            for code in range(len(self.categories_[name])):
                np.equal(codes, code, out=encoded[:, i], casting="unsafe")
                i += 1
            if name in self.rare_:
                place = self._first_rare + list(self.rare_).index(name)
                encoded[:, place] = self._rare(X[name], codes, name)
        return encoded

    def fit_transform(self, X: pd.DataFrame, y: Any = None, **_: Any) -> Floats:  # noqa: N803
        """Fit and encode the table that is fitted on, each row by the outcomes of others."""
        encoded = self.fit(X, y).transform(X)
        if self.odds_:
            fold = np.random.default_rng(0).integers(_FOLDS, size=len(X))
            for place, name in enumerate(self.rare_, start=self._first_rare):
                codes = _codes(X[name], self.levels_[name])
                for number in range(_FOLDS):
                    rest = fold != number
                    odds = self._odds(X[name][rest], np.asarray(y)[rest], name)
                    encoded[~rest, place] = odds[codes[~rest]]
        return encoded

    def get_feature_names_out(self, input_features: object = None) -> list[str]:
        """Name of each encoded column: the number's, `<column>=<category>`, `<column>=(rare)`."""
        return [
            *self._known_numbers,
            *(f"{name}={value}" for name in self.categorical for value in self.categories_[name]),
            *(f"{name}=({'outcome' if self.odds_ else 'rare'})" for name in self.rare_),
        ]

    @property
    def _known_numbers(self) -> Sequence[str]:
        return self.numeric if self.numbers_ is None else self.numbers_

    @property
    def _first_rare(self) -> int:
        """Place of the first column for rare categories."""
        return len(self._known_numbers) + sum(map(len, self.categories_.values()))

    def _rare(self, values: pd.Series[Any], codes: NDArray[np.int32], name: str) -> Any:
        """What stands for the categories that have no column of their own."""
        if self.odds_:
            return self.odds_[name][_codes(values, self.levels_[name])]
        return (codes < 0) & values.notna().to_numpy()

    def _odds(self, values: pd.Series[Any], y: Any, name: str) -> Floats:
        """Log-odds of the outcome by category; the last, which code -1 points to, of all rows."""
        codes, outcomes = _codes(values, self.levels_[name]), np.asarray(y, dtype=np.float64)
        known, categories = codes >= 0, len(self.levels_[name])
        rows = np.bincount(codes[known], minlength=categories)
        positive = np.bincount(codes[known], outcomes[known], minlength=categories)
        # Half a row of either outcome, so that no rate is 0 or 1.
        rate = (outcomes.sum() + 0.5) / (len(outcomes) + 1)
        rates = np.append((positive + _DRAWN * rate) / (rows + _DRAWN), rate)
        odds: Floats = np.log(rates) - np.log1p(-rates)
        return odds


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
    by_outcome : bool
        As `TableEncoder` takes it.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical Learning", 5.2: a
    piecewise linear spline in the truncated power basis.
    """

    def __init__(
        self,
        numeric: Sequence[str],
        categorical: Sequence[str],
        bends: int = BENDS,
        *,
        by_outcome: bool = False,
    ) -> None:
        super().__init__(numeric, categorical, by_outcome=by_outcome)
        self.bends = bends

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: N803
        """Learn the categories, and the range and quantiles of each number."""
        super().fit(X, y)
        self.ranges_: dict[str, list[float]] = {}
        self.knots_: dict[str, list[float]] = {}
        self.logs_: list[str] = []
        inner = np.linspace(0, 1, self.bends + 2)[1:-1]
        for name in self._known_numbers:
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
        place = {name: i for i, name in enumerate(self._known_numbers)}
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
        encoder = self.steps[0][1].fit(X, y)
        by_column = tuple(
            directions.get(name, 0) if i < len(encoder.numbers_) else 0
            for i, name in enumerate(encoder.sources_)
        )
        self.steps[-1][1].set_params(**{self.constraint: by_column})
        fitted: Self = super().fit(X, y, **params)
        return fitted


def _numbers(values: pd.Series[Any]) -> Floats:
    """A column as floats, null as NaN."""
    numbers: Floats = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _counts(values: pd.Series[Any]) -> dict[str, int]:
    """How many rows each category has, in its order."""
    counts: dict[str, int] = {}
    for value, rows in values.value_counts(sort=False).items():
        if rows:
            counts[str(value)] = counts.get(str(value), 0) + int(rows)
    return dict(sorted(counts.items()))


def _common(counts: Mapping[str, Mapping[str, int]], rows: int) -> dict[str, list[str]]:
    """The categories of each column that get a column of their own, sorted."""
    kept = {
        name: [one for one, n in of.items() if len(of) <= _MANY or n >= _FEWEST_ROWS]
        for name, of in counts.items()
    }
    # The columns share what there is room for: none has more than it needs.
    left = max(_MOST_CELLS // max(rows, 1), _MANY)
    for column, name in enumerate(sorted(kept, key=lambda name: len(kept[name]))):
        share = max(left // (len(kept) - column), 1)
        if len(kept[name]) > share:
            commonest = sorted(kept[name], key=lambda one: -counts[name][one])[:share]
            kept[name] = sorted(commonest)
        left -= len(kept[name])
    return kept


def _codes(
    values: pd.Series[Any], categories: Sequence[str] | NDArray[np.str_]
) -> NDArray[np.int32]:
    """Position of each value among the categories, -1 where it is none of them."""
    import pandas as pd

    if not isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("category")
    position = {category: i for i, category in enumerate(categories)}
    # The last place is what code -1, a null, points to.
    places = [position.get(str(value), -1) for value in values.cat.categories] + [-1]
    encoded: NDArray[np.int32] = np.asarray(places, dtype=np.int32)[values.cat.codes.to_numpy()]
    return encoded

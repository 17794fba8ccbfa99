"""From a table of model inputs to the matrix that estimators fit on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class TableEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers as they are, a 0/1 column for each category seen when fitted.

    scikit-learn's encoders look at each text again for each row, which takes longer than
    scoring it; this one looks at each distinct text once. An unknown or null category has
    0 in every column, a null number is NaN.

    Parameters
    ----------
    numeric, categorical : sequence of str
        Columns of the table, encoded in this order.
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
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803
        """Encode a table.

        Returns
        -------
        array of shape (n_rows, n_encoded)
            In column-major order.
        """
        encoded = np.zeros((len(X), len(self.get_feature_names_out())), order="F")
        for i, name in enumerate(self.numeric):
            encoded[:, i] = X[name].to_numpy(dtype=np.float64, na_value=np.nan)
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

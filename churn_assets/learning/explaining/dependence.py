"""How the mean score depends on one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.explaining.causes import Customers, with_value

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Floats


@dataclass(frozen=True)
class PartialDependence:
    """The mean score, were one input the same for everybody.

    Parameters
    ----------
    name : str
        The input.
    values : list of float or list of str
        What it was set to, ascending; none where nobody's is known.
    scores : array of shape (n_values,)
        Mean score at each.
    """

    name: str
    values: list[Any]
    scores: Floats


def partial_dependence(
    model: Any,
    inputs: pd.DataFrame,
    name: str,
    most: int = 20,
    rows: int = 500,
    *,
    customers: Customers | None = None,
) -> PartialDependence:
    """The mean score of some customers with one input set to one value after the other.

    Where silver has the column it is set there, so that all inputs that derive from it move too.

    Parameters
    ----------
    model : Pipeline, Blend or Recalibrated
        Fitted.
    inputs : DataFrame
        Customers; what they have says which values are tried.
    name : str
        The input that is set.
    most : int
        Values to try at most: quantiles of a number, the commonest categories.
    rows : int
        Customers at most, drawn evenly.
    customers : Customers, optional
        The same customers as silver has them.

    References
    ----------
    Friedman (2001), "Greedy function approximation", Annals of Statistics 29(5).
    """
    import pandas as pd

    in_silver = customers is not None and name in customers.silver.column_names
    held = customers.values(name) if customers is not None and in_silver else inputs[name]
    known = held.dropna()
    if known.empty:
        return PartialDependence(name, [], np.zeros(0))
    values: list[Any]
    if pd.api.types.is_numeric_dtype(known):
        numbers = known.to_numpy(dtype=np.float64)
        values = np.unique(np.quantile(numbers, np.linspace(0, 1, most), method="nearest")).tolist()
    else:
        values = sorted(known.astype(str).value_counts().index[:most])
    places = np.unique(np.linspace(0, len(inputs) - 1, rows).astype(int))
    if customers is not None and in_silver:
        settings = customers.at(places).each([(name, value) for value in values])
    else:
        some = inputs.iloc[places]
        settings = pd.concat([with_value(some, name, value) for value in values], ignore_index=True)
    scores = model.predict_proba(settings)[:, 1]
    scores = scores.reshape(len(values), len(places))
    return PartialDependence(name, values, scores.mean(axis=1))

"""The strongest contributions to a score, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.explaining.contributions import Contributions
from churn_assets.learning.explaining.wording import (
    STRENGTHS,
    significant,
    strength_codes,
    strengths,
    subject_text,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from churn_assets.usecases.spec import UseCase


def reasons(
    explained: Contributions, inputs: pd.DataFrame, use_case: UseCase, most: int = 3
) -> list[pa.StringArray]:
    """The strongest contributions to each customer's score, in words.

    Each names the input as people call it, its value, and how many times it raises or lowers the
    odds: "contract: Month-to-month, which raises the odds 1.9 times".

    Parameters
    ----------
    explained : Contributions
        Of these customers.
    inputs : DataFrame of shape (n_customers, n_inputs)
        Their inputs.
    use_case : UseCase
        Has the words.
    most : int
        How many for each customer.

    Returns
    -------
    list of arrays of shape (n_customers,)
        The strongest first; null where no other input moves the odds by half a percent. Of
        two equal ones the first input is named.
    """
    import pyarrow as pa

    rows = np.arange(len(inputs))
    left = strengths(explained.values)
    places = []
    for _ in range(min(most, len(explained.names))):
        strongest = left.argmax(axis=1)
        left[rows, strongest] = -1
        places.append(_sentences(strongest, explained, inputs, use_case))
    return places + [pa.nulls(len(inputs), pa.string())] * (most - len(places))


def _sentences(
    chosen: NDArray[np.int64], explained: Contributions, inputs: pd.DataFrame, use_case: UseCase
) -> pa.StringArray:
    """The sentence on one input of each customer."""
    import pyarrow as pa
    import pyarrow.compute as pc

    subjects = np.zeros(len(chosen), dtype=np.int64)
    texts: list[str] = []
    for i, name in enumerate(explained.names):
        rows = np.flatnonzero(chosen == i)
        codes, values = _distinct(inputs[name].iloc[rows])
        subjects[rows] = codes + len(texts)
        called = use_case.called(name)
        texts += [subject_text(called, name, value) for value in values]
    codes = strength_codes(explained.values[np.arange(len(chosen)), chosen])
    return pc.binary_join_element_wise(
        pa.array(texts, pa.string()).take(pa.array(subjects)),
        pa.array(STRENGTHS, pa.string()).take(pa.array(codes)),
        ", ",
    )


def _distinct(column: pd.Series[Any]) -> tuple[NDArray[np.int64], list[float | str | None]]:
    """Which of the values that are written alike each is, and these."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        numbers = significant(column.to_numpy(dtype=np.float64, na_value=np.nan))
        codes, distinct = pd.factorize(numbers, use_na_sentinel=False)
        return codes, distinct.tolist()
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return codes, [None if pd.isna(value) else str(value) for value in distinct]

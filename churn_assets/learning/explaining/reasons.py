"""The strongest contributions to a score, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.explaining.contributions import Contributions

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

    from churn_assets.types import Floats
    from churn_assets.usecases.spec import UseCase


_UNKNOWN = "not known"
_LEAST_TIMES, _TENTHS_FROM, _WHOLE_FROM, _MOST_TIMES = 1.005, 1.1, 10, 100
"""Factors of the odds, from which one is written in hundredths, tenths, whole numbers, as more."""
_WHOLE_IN_FULL = 1e6
_DIGITS = 4


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
    # Noise in the last bits must not choose between equal ones.
    strengths = np.round(np.abs(explained.values), 9)
    places = []
    for _ in range(min(most, len(explained.names))):
        strongest = strengths.argmax(axis=1)
        strengths[rows, strongest] = -1
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
        codes, values = _values(inputs[name].iloc[rows], name)
        subjects[rows] = codes + len(texts)
        subject = use_case.called(name)
        texts += [f"{subject}: {value}" for value in values]
    amounts = explained.values[np.arange(len(chosen)), chosen]
    codes, strengths = _strengths(amounts)
    return pc.binary_join_element_wise(
        pa.array(texts, pa.string()).take(pa.array(subjects)),
        pa.array(strengths, pa.string()).take(pa.array(codes)),
        ", ",
    )


def _values(column: pd.Series[Any], name: str) -> tuple[NDArray[np.int64], list[str]]:
    """Which text each value is, and the texts."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column):
        numbers = _rounded(column.to_numpy(dtype=np.float64, na_value=np.nan))
        codes, distinct = pd.factorize(numbers, use_na_sentinel=False)
        is_flag = name.startswith(("is_", "has_"))
        return codes, [_number(number, is_flag) for number in distinct]
    codes, distinct = pd.factorize(column, use_na_sentinel=False)
    return codes, [_UNKNOWN if pd.isna(value) else str(value) for value in distinct]


def _rounded(numbers: Floats) -> Floats:
    """Whole numbers below a million as they are, others at four significant digits."""
    whole = (np.abs(numbers) < _WHOLE_IN_FULL) & (numbers == np.round(numbers))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        digits = _DIGITS - 1 - np.floor(np.log10(np.abs(numbers)))
        # Powers of ten are exact up to 22, and their quotients the nearest numbers there are.
        scale = 10.0 ** np.clip(np.abs(digits), 0, 300)
        shifted = np.where(
            digits > 0, np.round(numbers * scale) / scale, np.round(numbers / scale) * scale
        )
    return np.where(whole | ~np.isfinite(shifted), numbers, shifted)


def _number(number: float, is_flag: bool) -> str:
    if np.isnan(number):
        return _UNKNOWN
    if is_flag and number in (0, 1):
        return "yes" if number else "no"
    return f"{number + 0.0:,.10g}"


def _strengths(amounts: Floats) -> tuple[NDArray[np.int64], list[str | None]]:
    """Which text each contribution is, and the texts; None for one that does next to nothing."""
    times = np.exp(np.minimum(np.abs(amounts), np.log(2 * _MOST_TIMES)))
    decimals = [times < _LEAST_TIMES, times < _TENTHS_FROM, times < _WHOLE_FROM]
    rounded = np.select(
        decimals, [np.ones(len(times)), np.round(times, 2), np.round(times, 1)], np.round(times)
    )
    signed = np.copysign(np.minimum(rounded, _MOST_TIMES + 1), amounts)
    distinct, codes = np.unique(signed, return_inverse=True)
    return codes, [_strength(factor) for factor in distinct]


def _strength(signed: float) -> str | None:
    times = abs(signed)
    if times == 1:
        return None
    factor = f"more than {_MOST_TIMES}" if times > _MOST_TIMES else f"{times:g}"
    return f"which {'raises' if signed > 0 else 'lowers'} the odds {factor} times"

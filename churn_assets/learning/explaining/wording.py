"""The words of a reason: what a value and a strength are called; NumPy alone, so that servers can.

A batch and a server word alike because both do it by these.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats, Indices

REASONS = ("reason_1", "reason_2", "reason_3")
"""The columns of predictions that they are in."""
UNKNOWN = "not known"
_TIE_DECIMALS = 9
"""Noise in the last bits must not choose between equal contributions."""
_WHOLE_IN_FULL = 1e6
_DIGITS = 4
_MOST_TIMES = 100
_LARGEST_EXPONENT = 300
_FLAGS = ("is_", "has_")

# Of the odds, that can be told: hundredths below 1.1, tenths below 10, whole numbers from there on.
_FACTORS = (
    *(1 + hundredths / 100 for hundredths in range(10)),
    *(tenths / 10 for tenths in range(11, 100)),
    *map(float, range(10, _MOST_TIMES + 2)),
)
_STEPS = [math.log((one + next_) / 2) for one, next_ in pairwise(_FACTORS)]
"""Contributions to log-odds from which the next factor is the nearest."""
_TIMES = [*(f"{factor:g}" for factor in _FACTORS[1:-1]), f"more than {_MOST_TIMES}"]
STRENGTHS: tuple[str | None, ...] = tuple(
    text
    for verb in ("raises", "lowers")
    for text in (None, *(f"which {verb} the odds {times} times" for times in _TIMES))
)
"""Every strength there is, in words; None where a contribution does next to nothing."""


def strengths(values: Floats) -> Floats:
    """How strong contributions of any shape are, by which they are ordered; 0 or more."""
    return np.abs(values).round(_TIE_DECIMALS)


def strength_codes(amounts: Floats) -> Indices:
    """The place among `STRENGTHS` of each contribution to log-odds, of shape (n_amounts,)."""
    codes: Indices = np.searchsorted(_STEPS, np.abs(amounts), side="right")
    return codes + np.where(amounts < 0, len(STRENGTHS) // 2, 0)


def strength_code(amount: float) -> int:
    """The place among `STRENGTHS` of one contribution."""
    code = bisect_right(_STEPS, abs(amount))
    return code + len(STRENGTHS) // 2 if amount < 0 else code


def value_text(name: str, value: float | str | None) -> str:
    """What an input holds, in words.

    Parameters
    ----------
    name : str
        The input; of one that begins with `is_` or `has_`, 1 and 0 are yes and no.
    value : float, str or None
        Whole numbers below a million are written as they are, others in four significant digits.

    >>> value_text("price", 1889.5), value_text("is_new", 1.0), value_text("contract", None)
    ('1,890', 'yes', 'not known')
    """
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return UNKNOWN
    if name.startswith(_FLAGS) and value in (0, 1):
        return "yes" if value else "no"
    return f"{_significant(value) + 0.0:,.10g}"


def reason(subject: str, amount: float) -> str | None:
    """One reason: "contract: Month-to-month, which raises the odds 1.9 times".

    Parameters
    ----------
    subject : str
        As `subject_text` gives it.
    amount : float
        What it adds to the log-odds.
    """
    strength = STRENGTHS[strength_code(amount)]
    return None if strength is None else f"{subject}, {strength}"


def subject_text(called: str, name: str, value: float | str | None) -> str:
    """What a reason is about: how people call an input, and what it holds."""
    return f"{called}: {value_text(name, value)}"


def significant(numbers: Floats) -> Floats:
    """Numbers as `value_text` writes them, of any shape, so that those written alike are equal."""
    whole = (np.abs(numbers) < _WHOLE_IN_FULL) & (numbers == np.round(numbers))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        digits = _DIGITS - 1 - np.floor(np.log10(np.abs(numbers)))
        # Powers of ten are exact up to 22, and their quotients the nearest numbers there are.
        scale = 10.0 ** np.clip(np.abs(digits), 0, _LARGEST_EXPONENT)
        shifted = np.where(
            digits > 0, np.round(numbers * scale) / scale, np.round(numbers / scale) * scale
        )
    return np.where(whole | ~np.isfinite(shifted), numbers, shifted)


def _significant(number: float) -> float:
    """The same of one number, for which arrays would take longer than all else."""
    if (abs(number) < _WHOLE_IN_FULL and number == int(number)) or math.isinf(number):
        return number
    digits = _DIGITS - 1 - math.floor(math.log10(abs(number)))
    scale: float = 10.0 ** min(abs(digits), _LARGEST_EXPONENT)
    return round(number * scale) / scale if digits > 0 else round(number / scale) * scale

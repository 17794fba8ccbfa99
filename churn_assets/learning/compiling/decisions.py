"""What follows from a probability: the score that is told, its band, what a contact is worth.

A batch and a server decide by these; where one customer is asked for, arrays would take longer.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats

_SCORE_DECIMALS, _VALUE_DECIMALS = 12, 6
"""The last bits of a score hang on the batch, and must not order customers who are alike."""
_SCORES, _VALUES = 10.0**_SCORE_DECIMALS, 10.0**_VALUE_DECIMALS
Number = TypeVar("Number", float, "Floats")


def told_scores(probabilities: Floats) -> Floats:
    """Scores as they are told and decided by, of probabilities of shape (n_customers,)."""
    return np.round(np.asarray(probabilities, dtype=np.float64), _SCORE_DECIMALS)


def told_score(probability: float) -> float:
    """The same of one probability."""
    return round(probability * _SCORES) / _SCORES


def told_values(values: Floats) -> Floats:
    """Expected values as they are told, of shape (n_customers,); there is no zero below zero."""
    told: Floats = np.round(values, _VALUE_DECIMALS) + 0.0
    return told


def told_value(value: float) -> float | None:
    """The same of one; None where it is not known."""
    if value != value:
        return None
    scaled = value * _VALUES
    return (round(scaled) if math.isfinite(scaled) else scaled) / _VALUES + 0.0


def band_of(floors: Sequence[float], score: float) -> int:
    """Place of the risk band of a score, among the least scores of each, ascending from 0."""
    return bisect_right(floors, score) - 1


def net_value(
    scores: Number,
    customer_value: Number,
    offer_cost: Number,
    contact_cost: Number,
    save_rate: float,
    accept_rate: float,
) -> Number:
    """What is saved by contacting a customer, less what it costs; one's or many's."""
    saved = scores * save_rate * (customer_value - offer_cost)
    wasted = (1 - scores) * accept_rate * offer_cost
    return saved - wasted - contact_cost

"""Log-odds, which scores are averaged and recalibrated in; and what follows from a score.

A batch and a server compute by these; where one customer is asked for, arrays would take longer.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats


SMALLEST = 1e-9
"""A probability counts as at least so far from 0 and from 1, so that its log-odds are finite."""
_LEAST_EXPONENT = -709.78
"""Below it the exponential is not finite, and the probability 0 to 308 decimals."""

_SCORE_DECIMALS, _VALUE_DECIMALS = 12, 6
"""The last bits of a score hang on the batch, and must not order customers who are alike."""
_SCORES, _VALUES = 10.0**_SCORE_DECIMALS, 10.0**_VALUE_DECIMALS
Number = TypeVar("Number", float, "Floats")


def log_odds(probability: Floats) -> Floats:
    """Logarithm of p / (1 - p), for probabilities of any shape, in double precision."""
    # In single precision, as XGBoost gives them, there is no such number next to 1.
    p = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1 - SMALLEST)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


def log_odds_of(probability: float) -> float:
    """The same of one probability, for which arrays would take longer."""
    p = min(max(probability, SMALLEST), 1 - SMALLEST)
    return math.log(p) - math.log1p(-p)


def sigmoid(odds: Floats) -> Floats:
    """The probability with these log-odds."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-odds))


def sigmoid_of(odds: float) -> float:
    """The same of one customer's log-odds."""
    return 1 / (1 + math.exp(-odds)) if odds > _LEAST_EXPONENT else 0.0


def averaged(scores: Sequence[Floats]) -> Floats:
    """The probability whose log-odds are the mean of several models', for each row."""
    return sigmoid(np.mean([log_odds(one) for one in scores], axis=0))


def recalibrated(scores: Floats, slope: float, intercept: float) -> Floats:
    """The probability whose log-odds are slope times the scores', plus intercept."""
    return sigmoid(slope * log_odds(scores) + intercept)


def told_scores(probabilities: Floats) -> Floats:
    """Scores as they are told and decided by, of probabilities of shape (n_customers,)."""
    return np.asarray(probabilities, dtype=np.float64).round(_SCORE_DECIMALS)


def told_score(probability: float) -> float:
    """The same of one probability."""
    return round(probability * _SCORES) / _SCORES


def told_values(values: Floats) -> Floats:
    """Expected values as they are told, of shape (n_customers,); there is no zero below zero."""
    told: Floats = np.round(values, _VALUE_DECIMALS) + 0.0
    return told


def told_value(value: float) -> float | None:
    """The same of one; None where it is not known."""
    if math.isnan(value):
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

"""Log-odds: what scores are averaged and recalibrated in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats


SMALLEST = 1e-9
"""A probability counts as at least so far from 0 and from 1, so that its log-odds are finite."""
_LEAST_EXPONENT = -709.78
"""Below it the exponential is not finite, and the probability 0 to 308 decimals."""


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

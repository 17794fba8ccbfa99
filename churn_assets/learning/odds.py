"""Log-odds: what scores are averaged and recalibrated in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats


SMALLEST = 1e-9
"""A probability counts as at least so far from 0 and from 1, so that its log-odds are finite."""


def log_odds(probability: Floats) -> Floats:
    """Logarithm of p / (1 - p), for probabilities of any shape."""
    p = np.clip(probability, SMALLEST, 1 - SMALLEST)
    odds: Floats = np.log(p) - np.log1p(-p)
    return odds


def sigmoid(odds: Floats) -> Floats:
    """The probability with these log-odds."""
    from scipy.special import expit

    probability: Floats = expit(odds)
    return probability


def averaged(scores: Sequence[Floats]) -> Floats:
    """The probability whose log-odds are the mean of several models', for each row."""
    return sigmoid(np.mean([log_odds(one) for one in scores], axis=0))


def recalibrated(scores: Floats, slope: float, intercept: float) -> Floats:
    """The probability whose log-odds are slope times the scores', plus intercept."""
    return sigmoid(slope * log_odds(scores) + intercept)

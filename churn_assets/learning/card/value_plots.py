"""Pictures of what contacting customers is worth, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.value import (
    PER_CUSTOMERS,
    TENTHS,
    Amounts,
    Lift,
    lift,
    sensitivity,
    value_curve,
)
from churn_assets.pages.plots import BLUE, GREY, MORE, Axis, Line, Rule, bars, draw

if TYPE_CHECKING:
    from churn_assets.types import Bools, Floats

_CURVE = 200
"""Points of a curve, however many customers it comes from."""


def value_pictures(
    labels: Bools, scores: Floats, threshold: float, stake: Amounts, currency: str
) -> dict[str, bytes]:
    """Value curve, sensitivity to the save rate, lift and gain by name.

    Parameters
    ----------
    labels : array of shape (n_customers,)
        Whether each customer churned; some must have.
    scores : array of shape (n_customers,)
        Probability of churn.
    threshold : float
        Least score that is decided as churn.
    stake : Amounts
        What is at stake with them.
    currency : str
        Of the amounts.
    """
    tenths = lift(labels, scores)
    return {
        "value_curve": _value_curve(labels, scores, stake, currency),
        "save_rate_sensitivity": _sensitivity(labels, scores, threshold, stake, currency),
        "lift": _lift(tenths),
        "gain": _gain(tenths),
    }


def _value_curve(labels: Any, scores: Any, stake: Amounts, currency: str) -> bytes:
    curve = value_curve(labels, scores, stake)
    value = curve.value * PER_CUSTOMERS / len(labels)
    share = np.linspace(0, 1, len(value))
    points = np.linspace(0, len(value) - 1, min(_CURVE, len(value))).astype(int)
    at = curve.advised
    return draw(
        f"Value of contacts, {share[at]:.0%} advised",
        [
            Line([0, 1], [0, value[-1]], GREY, "in any order", dash=True),
            Line(share[points], value[points], label="most valuable first"),
            Line([share[at]], [value[at]], label="advised", joined=False),
        ],
        Axis("share of customers contacted", 0, 1, is_share=True),
        Axis(f"{currency} per {PER_CUSTOMERS:,} customers, simulated"),
    )


def _sensitivity(
    labels: Any, scores: Any, threshold: float, stake: Amounts, currency: str
) -> bytes:
    by_rate = sensitivity(labels, scores, threshold, stake)
    rates, values = by_rate.save_rates, by_rate.values
    return draw(
        f"Value by save rate, {stake.save_rate:.0%} assumed",
        [
            Rule(y=0),
            Rule(x=stake.save_rate, dash=True),
            Line(rates, values["everybody"], GREY, "everybody"),
            Line(rates, values["threshold"], MORE[0], "decided as churn"),
            Line(rates, values["break-even"], BLUE, "were the rate known", dash=True),
            Line(rates, by_rate.acting, BLUE, "as advised"),
        ],
        Axis("share of contacted churners kept", 0, rates[-1], is_share=True),
        Axis(f"{currency} per {PER_CUSTOMERS:,} customers, simulated"),
    )


def _lift(tenths: Lift) -> bytes:
    names = {float(i): str(i + 1) for i in range(TENTHS)}
    return draw(
        f"Lift, {tenths.lift[0]:.2f} in the first tenth",
        [bars(tenths.lift), Rule(y=1, dash=True)],
        Axis("tenth of customers, highest scores first", -0.6, TENTHS - 0.4, names),
        Axis("churn rate over that of all", low=0),
    )


def _gain(tenths: Lift) -> bytes:
    share = np.linspace(0, 1, TENTHS + 1)
    return draw(
        f"Gain, {tenths.gain[1]:.0%} of churners in a fifth",
        [
            Line([0, 1], [0, 1], GREY, "in any order", dash=True),
            Line(share, [0, *tenths.gain], label="highest scores first", dots=True),
        ],
        Axis("share of customers", 0, 1, is_share=True),
        Axis("share of churners", 0, 1, is_share=True),
    )

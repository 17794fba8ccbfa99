"""Pictures of what contacting customers is worth, as PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.value import (
    PER_CUSTOMERS,
    TENTHS,
    Amounts,
    lift,
    sensitivity,
    value_curve,
)
from churn_assets.pages.plots import BLUE, GREY, RED, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from churn_assets.types import Bools, Floats


_COLOURS = {"everybody": GREY, "threshold": RED}


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
    return {
        "value_curve": draw(lambda axes: _value_curve(axes, labels, scores, stake, currency)),
        "save_rate_sensitivity": draw(
            lambda axes: _sensitivity(axes, labels, scores, threshold, stake, currency)
        ),
        "lift": draw(lambda axes: _lift(axes, labels, scores)),
        "gain": draw(lambda axes: _gain(axes, labels, scores)),
    }


def _value_curve(axes: Axes, labels: Any, scores: Any, stake: Amounts, currency: str) -> None:
    curve = value_curve(labels, scores, stake)
    each = PER_CUSTOMERS / len(labels)
    share = np.linspace(0, 1, len(curve.value))
    at = curve.advised
    axes.plot(share, curve.value * each, color=BLUE)
    axes.plot([0, 1], [0, curve.value[-1] * each], color=GREY, linestyle="--")
    axes.plot(share[at], curve.value[at] * each, "o", color=BLUE)
    axes.set(
        title=f"Simulated value, {share[at]:.0%} advised",
        xlabel="share of customers contacted",
        ylabel=f"{currency} per {PER_CUSTOMERS:,} customers",
    )


def _sensitivity(
    axes: Axes, labels: Any, scores: Any, threshold: float, stake: Amounts, currency: str
) -> None:
    by_save_rate = sensitivity(labels, scores, threshold, stake)
    for name, colour in _COLOURS.items():
        axes.plot(by_save_rate.save_rates, by_save_rate.values[name], color=colour, label=name)
    rates = by_save_rate.save_rates
    assumed = f"whom it pays to at the assumed {stake.save_rate:.0%}"
    axes.plot(rates, by_save_rate.acting, color=BLUE, label=assumed)
    known = "whom it would pay to, were the share known"
    axes.plot(rates, by_save_rate.values["break-even"], color=BLUE, linestyle=":", label=known)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.axvline(stake.save_rate, color=GREY, linestyle="--", linewidth=0.8)
    axes.legend(frameon=False, title="contacted by")
    axes.set(
        title="Value by save rate",
        xlabel="share of contacted churners kept",
        ylabel=f"{currency} per {PER_CUSTOMERS:,} customers",
    )


def _lift(axes: Axes, labels: Any, scores: Any) -> None:
    tenths = lift(labels, scores)
    axes.bar(np.arange(TENTHS) + 1, tenths.lift, color=BLUE)
    axes.axhline(1, color=GREY, linestyle="--")
    axes.set(
        title=f"Lift, {tenths.lift[0]:.2f} in the first tenth",
        xlabel="tenth of customers, highest scores first",
        ylabel="churn rate over that of all",
        xticks=range(1, TENTHS + 1),
    )


def _gain(axes: Axes, labels: Any, scores: Any) -> None:
    tenths = lift(labels, scores)
    share = np.linspace(0, 1, TENTHS + 1)
    axes.plot(share, [0, *tenths.gain], "o-", color=BLUE)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--")
    axes.set(
        title=f"Gain, {tenths.gain[1]:.0%} of churners in a fifth",
        xlabel="share of customers, highest scores first",
        ylabel="share of churners",
    )

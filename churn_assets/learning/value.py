"""What contacting customers is worth, as a business case has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.usecases.spec import Amount, BusinessCase, PerCustomer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Amounts:
    """What is at stake with each customer, in the business case's currency.

    Parameters
    ----------
    customer_value, offer_cost, contact_cost : array of shape (n_customers,)
        As `BusinessCase` names them.
    save_rate, accept_rate : float
        Likewise.
    """

    customer_value: Floats
    offer_cost: Floats
    contact_cost: Floats
    save_rate: float
    accept_rate: float


def amounts(case: BusinessCase, columns: Mapping[str, Any], rows: int) -> Amounts:
    """The amounts of some customers.

    Parameters
    ----------
    case : BusinessCase
        Says where each comes from.
    columns : mapping of str to array of shape (rows,)
        At least `case.columns`; a frame will do. What is not a number counts as 0.
    rows : int
        How many customers there are.
    """

    def of(amount: Amount) -> Floats:
        if not isinstance(amount, PerCustomer):
            return np.full(rows, float(amount))
        values = np.asarray(columns[amount.column], dtype=np.float64)
        return np.where(np.isfinite(values), values, 0.0) * amount.times

    return Amounts(
        of(case.customer_value),
        of(case.offer_cost),
        of(case.contact_cost),
        case.save_rate,
        case.accept_rate,
    )


def expected_value(scores: Floats, stake: Amounts) -> Floats:
    """Net value of contacting each customer, against leaving them alone.

    Parameters
    ----------
    scores : array of shape (n_customers,)
        Calibrated probability of churn, in [0, 1].
    stake : Amounts
        What is at stake with them.

    Returns
    -------
    array of shape (n_customers,)
        What is saved less what it costs; positive where a contact pays.

    References
    ----------
    Verbraken et al. (2013), "A novel profit maximizing metric for measuring classification
    performance of customer churn prediction models", IEEE TKDE 25(5).
    """
    saved = scores * stake.save_rate * (stake.customer_value - stake.offer_cost)
    wasted = (1 - scores) * stake.accept_rate * stake.offer_cost
    return saved - wasted - stake.contact_cost


def break_even(stake: Amounts) -> Floats:
    """The score from which contacting a customer pays, at most 1; infinite where it never does.

    It is (c + s d) / (g (V - d) + s d): V the customer's value, d the offer's cost, c the
    contact's, g the save rate, s the accept rate; the score at which `expected_value` is 0.
    """
    wasted = stake.accept_rate * stake.offer_cost
    gained = stake.save_rate * (stake.customer_value - stake.offer_cost) + wasted
    with np.errstate(divide="ignore", invalid="ignore"):
        least = (stake.contact_cost + wasted) / gained
    return np.where((gained > 0) & (least <= 1), least, np.inf)


def realised_value(labels: Bools, contacted: Bools, stake: Amounts) -> Floats:
    """What contacting comes to with each customer whose outcome is known, as simulated.

    The outcome stands for the score in `expected_value`: a churner who is contacted is worth
    the saved share less costs, anybody else who is contacted costs; nobody else counts, so
    contacting nobody is worth 0.

    Returns
    -------
    array of shape (n_customers,)
    """
    value: Floats = np.where(contacted, expected_value(labels.astype(float), stake), 0.0)
    return value

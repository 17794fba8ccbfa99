"""What contacting customers is worth, as a business case has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.odds import net_value
from churn_assets.usecases.spec import Amount, BusinessCase, PerCustomer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from churn_assets.types import Bools, Floats


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

    @property
    def known(self) -> Bools:
        """The customers of whom all amounts are known; what a contact of others is worth is not."""
        return np.isfinite(self.customer_value + self.offer_cost + self.contact_cost)

    def of(self, rows: Bools) -> Amounts:
        """The amounts of some of the customers."""
        return replace(
            self,
            customer_value=self.customer_value[rows],
            offer_cost=self.offer_cost[rows],
            contact_cost=self.contact_cost[rows],
        )


def amounts(case: BusinessCase, columns: Mapping[str, Any], rows: int) -> Amounts:
    """The amounts of some customers.

    Parameters
    ----------
    case : BusinessCase
        Says where each comes from.
    columns : mapping of str to array of shape (rows,)
        At least `case.columns`; a frame will do. What is not a finite number is not known: NaN.
    rows : int
        How many customers there are.
    """

    def of(amount: Amount) -> Floats:
        if not isinstance(amount, PerCustomer):
            return np.full(rows, float(amount))
        values = np.asarray(columns[amount.column], dtype=np.float64)
        return np.where(np.isfinite(values), values, np.nan) * amount.times

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
        What is saved less what it costs; positive where a contact pays, NaN where an amount is
        not known.

    References
    ----------
    Verbraken et al. (2013), "A novel profit maximizing metric for measuring classification
    performance of customer churn prediction models", IEEE TKDE 25(5).
    """
    return net_value(scores, **vars(stake))


def break_even(stake: Amounts) -> Floats:
    """The score from which a contact pays, at most 1; infinite where it never does as is known.

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


def best_contacts(scores: Floats, stake: Amounts, contacts: int | None = None) -> Bools:
    """Whom to contact: everybody whom it pays to, or the best of them under a budget.

    Parameters
    ----------
    scores : array of shape (n_customers,)
        Probability of churn.
    stake : Amounts
        What is at stake with them.
    contacts : int, optional
        How many may be contacted.

    Returns
    -------
    array of shape (n_customers,)
    """
    worth = expected_value(scores, stake)
    chosen = np.zeros(len(scores), dtype=bool)
    chosen[_best_first(scores, stake)[:contacts]] = True
    return chosen & (worth > 0)


@dataclass(frozen=True)
class ValueCurve:
    """What contacting the best customers first comes to.

    Parameters
    ----------
    value : array of shape (n_customers + 1,)
        Simulated value of so many contacts as the place says, from 0 to all.
    advised : int
        How many customers it is expected to pay to contact.
    """

    value: Floats
    advised: int


def value_curve(labels: Bools, scores: Floats, stake: Amounts) -> ValueCurve:
    """Simulated value against the number of contacts, the best expected values first."""
    order = _best_first(scores, stake)
    each = realised_value(labels, np.ones(len(labels), dtype=bool), stake)
    value = np.concatenate([[0.0], np.cumsum(each[order])])
    return ValueCurve(value, int(np.sum(expected_value(scores, stake) > 0)))


POLICIES = ("nobody", "everybody", "threshold", "break-even", "perfect")
"""Whom to contact: by one threshold, by each customer's own, or knowing who leaves."""
PER_CUSTOMERS = 1000


def policies(labels: Bools, scores: Floats, threshold: float, stake: Amounts) -> dict[str, float]:
    """Simulated value of each of `POLICIES`, per 1,000 customers.

    Parameters
    ----------
    labels : array of shape (n_customers,)
        Whether each churned.
    scores : array of shape (n_customers,)
        Probability of churn.
    threshold : float
        Least score that is decided as churn.
    stake : Amounts
        What is at stake with them.
    """
    contacted = {
        "nobody": np.zeros(len(labels), dtype=bool),
        "everybody": np.ones(len(labels), dtype=bool),
        "threshold": scores >= threshold,
        "break-even": best_contacts(scores, stake),
        "perfect": best_contacts(labels.astype(float), stake),
    }
    return {
        name: PER_CUSTOMERS * float(realised_value(labels, contacted[name], stake).mean())
        for name in POLICIES
    }


SAVE_RATES = tuple(rate / 100 for rate in range(5, 65, 5))


@dataclass(frozen=True)
class Sensitivity:
    """How much hangs on the share of churners that the offer keeps.

    Parameters
    ----------
    save_rates : tuple of float
        The shares that were tried.
    values : mapping of str to array of shape (n_rates,)
        Of each of `POLICIES`, per 1,000 customers; `break-even` and `perfect` choose anew at each
        share, as if it were known.
    acting : array of shape (n_rates,)
        Of contacting, whatever the share is, whom it pays to at the assumed one; per 1,000
        customers.
    best : tuple of str
        The policy to choose at each share: the most valuable one but `perfect`, of two equal
        ones the first.
    """

    save_rates: tuple[float, ...]
    values: Mapping[str, Floats]
    acting: Floats
    best: tuple[str, ...]


def sensitivity(
    labels: Bools,
    scores: Floats,
    threshold: float,
    stake: Amounts,
    save_rates: Sequence[float] = SAVE_RATES,
) -> Sensitivity:
    """Simulated value of each policy, were the save rate another one.

    The parameters are those of `policies`; the stake has the assumed save rate.
    """
    others = [replace(stake, save_rate=rate) for rate in save_rates]
    found = [policies(labels, scores, threshold, other) for other in others]
    contacted = best_contacts(scores, stake)
    acting = [
        PER_CUSTOMERS * float(realised_value(labels, contacted, other).mean()) for other in others
    ]
    possible = [name for name in POLICIES if name != "perfect"]
    return Sensitivity(
        tuple(save_rates),
        {name: np.array([values[name] for values in found]) for name in POLICIES},
        np.array(acting),
        tuple(max(possible, key=lambda name: values[name]) for values in found),
    )


TENTHS = 10


@dataclass(frozen=True)
class Lift:
    """How far churners come first when customers are ranked by score.

    Parameters
    ----------
    lift : array of shape (10,)
        Churn rate in each tenth of the customers, the highest scores first, over that of all.
    gain : array of shape (10,)
        Share of all churners in that tenth and those before it.
    """

    lift: Floats
    gain: Floats


def lift(labels: Bools, scores: Floats) -> Lift:
    """Lift and gain by tenths of at least ten customers, of whom some churned."""
    ranked = labels[np.argsort(-scores, kind="stable")]
    tenths = np.array_split(ranked, TENTHS)
    churners = np.array([tenth.sum() for tenth in tenths])
    rates = churners / np.array([len(tenth) for tenth in tenths])
    return Lift(rates / labels.mean(), np.cumsum(churners) / churners.sum())


def gains(
    labels: Bools, scores: Floats, case: BusinessCase | None, columns: Mapping[str, Any]
) -> dict[str, float]:
    """What ranking by score comes to: lift and gain of the first tenth, and by a case the value.

    Parameters
    ----------
    labels : array of shape (n_customers,)
        Whether each churned; some did.
    scores : array of shape (n_customers,)
        Probability of churn.
    case : BusinessCase, optional
        What a contact is worth.
    columns : mapping of str to array of shape (n_customers,)
        Those that its amounts come from.

    Returns
    -------
    dict of str to float
        `lift_10` and `gain_10`, of at least ten customers; with a case, and amounts that are known
        of somebody, `value_per_1000`: simulated, of contacting whom it pays to.
    """
    found = {}
    if len(labels) >= TENTHS:
        first = lift(labels, scores)
        found = {"lift_10": float(first.lift[0]), "gain_10": float(first.gain[0])}
    if case is None:
        return found
    stake = amounts(case, columns, len(labels))
    known = stake.known
    if not known.any():
        return found
    stake, labels, scores = stake.of(known), labels[known], scores[known]
    each = realised_value(labels, best_contacts(scores, stake), stake)
    return {**found, "value_per_1000": PER_CUSTOMERS * float(each.mean())}


LIMITS = (
    "This is a simulation on customers whose outcome is known, none of whom was offered "
    "anything. It takes the business case's word for the share of churners that an offer keeps "
    "and for the share of the others that takes it, and takes both to be the same for everyone. "
    "It cannot tell who would stay because of the offer: that is a causal question, and only a "
    "trial answers it in which customers are contacted or left alone at random. Nor does it "
    "count what an offer changes later: customers who learn to wait for one, churners who leave "
    "a month after, people reminded that they can leave. The amounts are assumptions, and the "
    "value moves in proportion to them."
)
"""What a simulated value cannot tell; shown wherever one is."""


def _best_first(scores: Floats, stake: Amounts) -> NDArray[np.int64]:
    """Places of the customers, the highest expected value first, then the highest score."""
    order: NDArray[np.int64] = np.lexsort((-scores, -expected_value(scores, stake)))
    return order

"""What contacting customers is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from churn_assets.learning.card.value_plots import value_pictures
from churn_assets.learning.value import (
    LIMITS,
    POLICIES,
    Amounts,
    amounts,
    best_contacts,
    break_even,
    expected_value,
    lift,
    policies,
    realised_value,
    sensitivity,
    value_curve,
)
from churn_assets.usecases.spec import BusinessCase, PerCustomer
from churn_assets_tests.support.data import TELCO
from churn_assets_tests.support.pages import seen
from churn_assets_tests.support.project import USE_CASE

Made = tuple[np.ndarray, np.ndarray, Amounts]


def stake(rows: int, seed: int = 0) -> Amounts:
    """Amounts as the Telco use case has them."""
    monthly = np.random.default_rng(seed).uniform(18, 118, rows)
    return amounts(USE_CASE.business, {"monthly_charges_usd": monthly}, rows)


def made(rows: int = 4000, seed: int = 0) -> Made:
    """Labels that follow their scores, and amounts."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(0.8, 2.2, rows)
    return rng.random(rows) < scores, scores, stake(rows, seed)


def test_an_amount_comes_from_a_column_or_is_the_same_for_all() -> None:
    case = BusinessCase("EUR", PerCustomer("charge", times=12), offer_cost=50, contact_cost=5)

    found = amounts(case, {"charge": np.array([10.0, np.nan, 20.0])}, 3)

    assert found.customer_value == pytest.approx([120, np.nan, 240], nan_ok=True)
    assert found.offer_cost.tolist() == [50] * 3
    assert found.contact_cost.tolist() == [5] * 3


def test_the_expected_value_is_what_is_saved_less_what_it_costs() -> None:
    one = Amounts(np.array([800.0]), np.array([50.0]), np.array([5.0]), 0.3, 0.5)

    (found,) = expected_value(np.array([0.4]), one)

    assert found == pytest.approx(0.4 * 0.3 * (800 - 50) - 0.6 * 0.5 * 50 - 5)


def test_a_contact_pays_from_the_break_even_score_on() -> None:
    _, scores, at_stake = made()
    least = break_even(at_stake)

    pays = expected_value(scores, at_stake) >= 0

    assert np.array_equal(pays, scores >= least)
    at_least = np.where(np.isfinite(least), least, 0)
    assert expected_value(at_least, at_stake)[np.isfinite(least)] == pytest.approx(0, abs=1e-9)


def test_contacting_nobody_is_worth_exactly_nothing() -> None:
    """A customer who leaves uncontacted is no loss of a policy, and no gain of one either."""
    labels, scores, at_stake = made()

    value = realised_value(labels, np.zeros(len(labels), dtype=bool), at_stake)

    assert value.tolist() == [0.0] * len(labels)
    assert policies(labels, scores, 0.3, at_stake)["nobody"] == 0


def test_more_churners_who_are_left_alone_add_nothing() -> None:
    labels, scores, at_stake = made()
    contacted = scores >= 0.4
    more = labels | ~contacted

    before = realised_value(labels, contacted, at_stake)

    assert np.array_equal(realised_value(more, contacted, at_stake), before)


@pytest.mark.parametrize("save_rate", [0.0, 0.05, 0.3, 1.0])
def test_knowing_who_leaves_is_never_worth_less_than_any_other_policy(save_rate: float) -> None:
    for seed in range(20):
        labels, scores, at_stake = made(300, seed)
        values = policies(labels, scores, 0.3, replace(at_stake, save_rate=save_rate))

        assert values["perfect"] == max(values.values())
        assert values["perfect"] >= 0


def test_each_customers_own_threshold_is_worth_more_than_one_for_all_or_contacting_all() -> None:
    labels, scores, at_stake = made(40_000)

    values = policies(labels, scores, 0.3, at_stake)

    assert tuple(values) == POLICIES
    assert values["break-even"] > max(values["everybody"], values["threshold"], 0)


def test_a_budget_goes_to_the_highest_expected_values() -> None:
    _, scores, at_stake = made()
    worth = expected_value(scores, at_stake)

    chosen = best_contacts(scores, at_stake, contacts=100)

    assert chosen.sum() == 100
    assert worth[chosen].min() >= worth[~chosen].max()


@pytest.mark.parametrize("contacts", [None, 1_000_000])
def test_nobody_is_contacted_at_a_loss_whatever_the_budget(contacts: int | None) -> None:
    _, scores, at_stake = made()

    chosen = best_contacts(scores, at_stake, contacts)

    assert np.array_equal(chosen, expected_value(scores, at_stake) > 0)
    assert best_contacts(scores, at_stake, 0).sum() == 0


def test_the_curve_goes_from_nobody_to_everybody_and_by_the_policy_between() -> None:
    labels, scores, at_stake = made()
    values = policies(labels, scores, 0.3, at_stake)
    per_customers = 1000 / len(labels)

    curve = value_curve(labels, scores, at_stake)

    assert curve.value[0] == 0
    assert curve.value[-1] * per_customers == pytest.approx(values["everybody"])
    assert curve.value[curve.advised] * per_customers == pytest.approx(values["break-even"])
    assert curve.value.max() > 1.05 * curve.value[-1]


def test_the_more_churners_an_offer_keeps_the_more_contacting_them_is_worth() -> None:
    labels, scores, at_stake = made()

    found = sensitivity(labels, scores, 0.3, at_stake)

    assert (found.save_rates[0], found.save_rates[-1]) == (0.05, 0.6)
    assert (np.diff(found.values["everybody"]) > 0).all()
    assert (np.diff(found.values["perfect"]) >= 0).all()
    assert found.values["nobody"].tolist() == [0] * 12


def test_the_best_policy_at_a_save_rate_is_the_most_valuable_that_one_can_follow() -> None:
    labels, scores, at_stake = made(40_000)

    found = sensitivity(labels, scores, 0.3, at_stake, [0.0, 0.3])

    assert found.best == ("nobody", "break-even")


def test_acting_on_the_assumed_save_rate_is_told_beside_knowing_it() -> None:
    labels, scores, at_stake = made(40_000)
    contacted = best_contacts(scores, at_stake)

    found = sensitivity(labels, scores, 0.3, at_stake, [0.1, at_stake.save_rate, 0.5])

    known = found.values["break-even"]
    assert found.acting[1] == known[1]
    # Who acts on a share that is not the true one gets less than who knows it.
    assert found.acting[0] < known[0] - 100
    assert found.acting[2] < known[2] - 100
    # The same customers are contacted whatever comes true: value is a line in the share.
    for rate, value in zip(found.save_rates, found.acting, strict=True):
        came = realised_value(labels, contacted, replace(at_stake, save_rate=rate))
        assert value == pytest.approx(1000 * came.mean())


def test_an_unknown_amount_is_not_zero() -> None:
    case = BusinessCase("EUR", PerCustomer("charge", times=12), offer_cost=PerCustomer("offer"))
    columns = {"charge": [100.0, 100.0, np.nan, np.inf], "offer": [10.0, None, 10.0, 10.0]}

    found = amounts(case, columns, 4)
    scores = np.full(4, 0.9)

    assert found.known.tolist() == [True, False, False, False]
    worth = expected_value(scores, found)
    assert worth[0] == pytest.approx(0.9 * 0.3 * 1190 - 0.1 * 10)
    assert np.isnan(worth[1:]).all()
    assert best_contacts(scores, found).tolist() == [True, False, False, False]
    assert break_even(found)[1:].tolist() == [np.inf] * 3
    assert found.of(found.known).customer_value.tolist() == [1200.0]


def test_lift_and_gain_count_the_churners_of_each_tenth() -> None:
    scores = np.linspace(1, 0, 100)
    labels = np.zeros(100, dtype=bool)
    labels[[0, 1, 2, 3, 4, 5, 15, 16, 95, 96]] = True

    found = lift(labels, scores)

    assert found.lift == pytest.approx([6, 2, 0, 0, 0, 0, 0, 0, 0, 2])
    assert found.gain == pytest.approx([0.6, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 1])


if TELCO.exists():

    def test_the_real_file_is_worth_what_was_measured() -> None:
        telco = pl.read_csv(TELCO)
        labels = (telco["Churn"] == "Yes").to_numpy()
        at_stake = amounts(
            USE_CASE.business, {"monthly_charges_usd": telco["MonthlyCharges"]}, len(labels)
        )

        values = policies(labels, labels.astype(float), 0.5, at_stake)
        low = policies(labels, labels.astype(float), 0.5, replace(at_stake, save_rate=0.15))

        found = [values["everybody"], values["perfect"], low["everybody"], low["perfect"]]
        assert found == pytest.approx([25_404, 65_809, -8164, 32_241], abs=1)


def test_each_picture_follows_its_numbers() -> None:
    labels, scores, at_stake = made()

    drawn = value_pictures(labels, scores, 0.3, at_stake, "USD")
    other = value_pictures(labels, scores[::-1], 0.3, at_stake, "USD")

    assert set(drawn) == {"value_curve", "save_rate_sensitivity", "lift", "gain"}
    for name, svg in drawn.items():
        assert seen(svg).marks, name
        assert other[name] != svg, name


def test_what_a_simulation_cannot_tell_is_said() -> None:
    assert "simulation" in LIMITS
    assert "causal" in LIMITS

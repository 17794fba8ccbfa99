"""Inputs that derive from one column of silver are one cause, and move with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn_assets.learning.explaining.causes import Customers, causes, sources
from churn_assets.learning.explaining.contributions import Contributions, contributions
from churn_assets.learning.explaining.dependence import partial_dependence
from churn_assets.learning.explaining.reasons import reasons
from churn_assets.learning.odds import log_odds
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import (
    Column,
    Contract,
    Date,
    Float64,
    Int64,
    Label,
    String,
    UseCase,
)
from churn_assets_tests.support.explaining import Fitted, scores
from churn_assets_tests.support.project import USE_CASE


def derive(silver: Any) -> Any:
    return silver.with_columns(
        (nw.col("months") < 2).cast(nw.Int64).alias("is_new"),
        (nw.col("bill") * nw.col("months")).alias("paid"),
        nw.col("born").dt.year().alias("year"),
        nw.col("born").dt.month().alias("month"),
        nw.lit(1).alias("one"),
    )


MADE = UseCase(
    name="made",
    key="id",
    label=Label("left", "Yes"),
    contract=Contract(
        Column("id", String),
        Column("months", Int64, ge=0),
        Column("bill", Float64, ge=0),
        Column("born", Date),
        Column("left", String, nullable=True),
    ),
    clean=lambda records: records,
    features=lambda silver: derive(silver.filter(nw.col("bill") >= 0)),
    numeric=("months", "bill", "is_new", "paid", "year", "month", "one"),
    categorical=(),
    description="Who leaves, of a handful.",
)
SOURCES = sources(USE_CASE)


def test_what_an_input_derives_from_is_found_by_following_features() -> None:
    assert SOURCES["contract"] == {"contract"}
    assert SOURCES["is_new"] == {"tenure_months"}
    assert SOURCES["has_fiber_month_to_month"] == {"contract", "internet_service"}
    assert SOURCES["avg_price_increase_usd"] == {
        "monthly_charges_usd",
        "total_charges_usd",
        "tenure_months",
    }


def test_a_filter_of_all_rows_is_no_inputs_own() -> None:
    found = sources(MADE)

    assert found["is_new"] == {"months"}
    assert found["bill"] == {"bill"}
    assert found["one"] == frozenset()


def test_an_input_of_several_columns_is_shared_and_hidden_ones_are_told_by_the_first() -> None:
    keyless = replace(MADE, features=lambda silver: derive(silver).drop("id"))
    shares = causes(replace(MADE, features=derive)).shares

    assert shares["paid"] == {"bill": 0.5, "months": 0.5}
    assert shares["is_new"] == {"months": 1.0}
    # The day of birth is no input: its year tells of it, and of the month.
    assert shares["year"] == shares["month"] == {"year": 1.0}
    assert shares["one"] == {"one": 1.0}
    # A function that cannot be followed, for it gives no key.
    assert causes(keyless).shares == {name: {name: 1.0} for name in MADE.inputs}


@pytest.mark.parametrize("name", ["blend", "lightgbm"])
def test_contributions_by_cause_add_up_to_the_score(
    fitted: Fitted, inputs: pd.DataFrame, name: str
) -> None:
    explained = causes(USE_CASE).of(contributions(fitted(name), inputs))

    total = explained.base + explained.values.sum(axis=1)
    assert np.abs(total - log_odds(scores(fitted(name), inputs))).max() < 1e-9
    assert set(explained.names) <= {one for columns in SOURCES.values() for one in columns}


def torn(explained: Contributions) -> float:
    """Share of customers of whose three strongest reasons two of one column contradict."""

    def contradictions() -> Iterator[bool]:
        order = np.argsort(-np.abs(explained.values), axis=1)[:, :3]
        for row, places in zip(explained.values, order, strict=True):
            pairs = [(a, b) for a in places for b in places if a < b and row[a] * row[b] < 0]
            names = [(explained.names[a], explained.names[b]) for a, b in pairs]
            yield any(SOURCES[a] & SOURCES[b] for a, b in names)

    return float(np.mean(list(contradictions())))


def test_no_customer_has_two_reasons_of_one_cause(fitted: Fitted, inputs: pd.DataFrame) -> None:
    by_input = contributions(fitted("blend"), inputs)
    by_cause = causes(USE_CASE).of(by_input)

    assert torn(by_input) > 0.02
    assert torn(by_cause) == 0
    texts = pd.DataFrame([place.to_pylist() for place in reasons(by_cause, inputs, USE_CASE)]).T
    subjects = texts.apply(lambda column: column.str.partition(":")[0])
    assert (subjects.nunique(axis=1) == subjects.notna().sum(axis=1)).all()
    assert set(subjects.stack()) <= {USE_CASE.called(name) for name in by_cause.names}


def test_what_derives_from_a_column_moves_with_it(silver: pa.Table, inputs: pd.DataFrame) -> None:
    some = Customers(USE_CASE, silver.slice(0, 200))
    known = some.inputs()

    moved = some.moved("contract", "Two year")

    pd.testing.assert_frame_equal(known, inputs.head(200), check_dtype=False)
    assert (moved["contract"] == "Two year").all()
    assert known["has_fiber_month_to_month"].any()
    for name in USE_CASE.inputs:
        if "contract" not in SOURCES[name]:
            pd.testing.assert_series_equal(moved[name], known[name])
    assert not moved["has_fiber_month_to_month"].any()
    assert not moved["tenure_month_to_month_months"].any()
    assert not moved["monthly_charges_month_to_month_usd"].any()


def test_dependence_moves_the_column_and_all_that_derives_from_it(
    fitted: Fitted, silver: pa.Table, inputs: pd.DataFrame
) -> None:
    model, some = fitted("blend"), Customers(USE_CASE, silver.slice(0, 200))

    found = partial_dependence(model, inputs.head(200), "contract", customers=some)
    alone = partial_dependence(model, inputs.head(200), "contract")
    months = partial_dependence(model, inputs.head(200), "tenure_months", 5, customers=some)

    expected = [scores(model, some.moved("contract", value)).mean() for value in found.values]
    assert found.values == ["Month-to-month", "One year", "Two year"]
    assert found.scores == pytest.approx(expected)
    assert np.abs(found.scores - alone.scores).max() > 0.005
    assert len(months.values) == len(months.scores) == 5


def test_every_use_case_that_comes_along_can_be_followed() -> None:
    for case in USE_CASES.values():
        shares = causes(case).shares
        assert len(causes(case).names) < len(case.inputs)
        assert all(sum(each.values()) == pytest.approx(1) for each in shares.values())

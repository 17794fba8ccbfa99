"""How hostile but valid rows are made, and how models take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from churn_assets.learning.explaining.causes import Customers
from churn_assets.learning.judging.stress import UNKNOWN_CATEGORY, stress_test
from churn_assets.usecases.spec import Column, Contract, Float64, Int64, Label, String, UseCase

TINY = UseCase(
    name="tiny",
    key="customer",
    label=Label("left", positive="Yes"),
    contract=Contract(
        Column("customer", String, unique=True),
        Column("months", Int64, ge=0),
        Column("share", Float64, ge=-1, le=1),
        Column("seats", Int64, isin=(1, 2, 5)),
        Column("plan", String, isin=("basic", "full")),
        Column("left", String, nullable=True),
    ),
    clean=lambda records: records,
    features=lambda silver: silver,
    numeric=("months", "share", "seats", "change", "spread"),
    categorical=("plan",),
    description="Which of a handful of customers leave.",
    monotone={"months": -1},
)
"""`change` and `spread` are derived, so that the contract does not know them."""


class Model:
    """Scores rows by a function of them, and remembers the rows."""

    def __init__(self, score: Callable[[pd.DataFrame], Any]) -> None:
        self.score = score
        self.frames: list[pd.DataFrame] = []

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        self.frames.append(rows)
        scores = np.asarray(self.score(rows), dtype=float)
        return np.column_stack([1 - scores, scores])


def customers(rows: int = 30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "months": rng.integers(1, 70, rows).astype(float),
            "share": rng.uniform(-0.5, 0.5, rows),
            "seats": rng.choice([1.0, 2.0], rows),
            "change": rng.uniform(-3, 3, rows),
            "spread": rng.uniform(1, 3, rows),
            "plan": rng.choice(["basic", "full"], rows),
        }
    )


def sensible(rows: pd.DataFrame) -> Any:
    """Falls as months grow, whatever else is amiss."""
    return 1 / (1 + np.exp(rows["months"].clip(0, 100).fillna(20) / 50))


def test_a_sensible_model_takes_every_hostile_row() -> None:
    found = stress_test(Model(sensible), customers(), TINY)

    assert found.error is None
    assert found.improbable == ()
    assert set(found.ranges) == {*TINY.inputs, "every input"}
    assert all(0 <= low <= high <= 1 for low, high in found.ranges.values())


def test_hostile_rows_hold_what_the_contract_allows_and_no_more() -> None:
    model, rows = Model(sensible), customers()

    found = stress_test(model, rows, TINY)

    hostile = model.frames[0]
    assert len(hostile) == found.rows
    assert hostile["plan"].isna().any()
    assert set(hostile["plan"].dropna()) == {"basic", "full", UNKNOWN_CATEGORY}
    for name in TINY.numeric:
        assert hostile[name].isna().any()
    assert hostile["months"].min() == 0
    assert hostile["months"].max() == 1000 * rows["months"].max()
    assert -1 <= hostile["share"].min() <= hostile["share"].max() <= 1
    assert set(hostile["seats"].dropna()) == {1, 2, 5}
    # A derived number goes below 0 only where it did so.
    assert hostile["change"].min() < -1000
    assert hostile["spread"].min() == 0
    assert hostile.isna().all(axis=1).any()


def test_hostile_rows_leave_the_real_ones_alone() -> None:
    rows = customers()
    before = rows.copy()

    stress_test(Model(sensible), rows, TINY)

    pd.testing.assert_frame_equal(rows, before)


def test_a_model_that_breaks_says_at_what() -> None:
    def score(rows: pd.DataFrame) -> Any:
        if (rows["plan"] == UNKNOWN_CATEGORY).any():
            raise KeyError("no such plan\nsecond line")
        return sensible(rows)

    found = stress_test(Model(score), customers(), TINY)

    assert found.error == "plan unknown: KeyError: 'no such plan\\nsecond line'"


def test_a_model_whose_score_is_no_probability_says_at_what() -> None:
    def score(rows: pd.DataFrame) -> Any:
        return np.where(rows["share"].isna(), np.nan, np.where(rows["spread"] > 1000, 2, 0.5))

    found = stress_test(Model(score), customers(), TINY)

    assert found.improbable[0] == "share null"
    assert found.improbable[1].startswith("spread 29")
    assert found.improbable[2:] == ("every input null",)


def test_a_score_that_goes_the_wrong_way_is_counted() -> None:
    rows = customers()
    wrong = Model(lambda rows: np.where(rows["share"] > 0, 1, -1) * sensible(rows) / 2 + 0.5)

    right = stress_test(Model(sensible), rows, TINY).sweeps["months"]
    half = stress_test(wrong, rows, TINY).sweeps["months"]

    assert (right.broken, right.worst) == (0, 0)
    assert half.broken == (rows["share"] <= 0).sum()
    assert half.worst > 0
    assert list(right.values) == sorted(set(right.values))
    assert (right.values[0], right.values[-1]) == (rows["months"].min(), rows["months"].max())


DERIVED = replace(
    TINY,
    features=lambda silver: silver.with_columns(
        change=1.0 / (nw.col("months") + 1), spread=nw.col("share") + 1.0
    ),
)
"""The same, with derived numbers that do derive."""


def in_silver(case: UseCase, rows: int = 30) -> Customers:
    made = customers(rows)
    silver = made[["months", "share", "seats", "plan"]].astype({"months": int, "seats": int})
    silver.insert(0, "customer", [f"{i:03}" for i in range(rows)])
    return Customers(case, pa.Table.from_pandas(silver.assign(left="No"), preserve_index=False))


def test_a_column_of_silver_moves_what_derives_from_it() -> None:
    rows = in_silver(DERIVED)
    # It falls as months grow, but for what derives from them.
    against = Model(lambda given: (1 - given["change"]).fillna(0.5).clip(0, 1) * sensible(given))

    blind = stress_test(against, rows.inputs(), DERIVED)
    found = stress_test(against, rows.inputs(), DERIVED, rows)

    assert blind.sweeps["months"].broken == 0
    assert found.sweeps["months"].broken == found.sweeps["months"].rows == 30
    assert found.sweeps["months"].along == ("change",)
    assert found.rows > blind.rows
    farthest = against.frames[-2]
    assert farthest["months"].max() == 1000 * rows.inputs()["months"].max()
    assert farthest.loc[farthest["months"] > 100, "change"].min() < 0.001


def test_features_that_break_at_a_valid_value_are_told() -> None:
    def features(silver: Any) -> Any:
        months = silver.select("months").collect()["months"]
        if len(months) and months.max() > 1000:
            raise ValueError("a customer of a thousand months")
        return DERIVED.features(silver)

    fragile = replace(DERIVED, features=features)
    rows = in_silver(fragile)
    traced = replace(fragile, features=DERIVED.features)

    found = stress_test(Model(sensible), in_silver(traced).inputs(), traced, rows)

    assert found.error is not None
    assert found.error.startswith("features of months 6")
    assert found.error.endswith("ValueError: a customer of a thousand months")


def test_a_single_customer_is_enough_to_make_hostile_rows_from() -> None:
    found = stress_test(Model(sensible), customers(1).assign(change=np.nan), TINY)

    assert found.error is None
    assert found.sweeps["months"].broken == 0


def test_features_that_take_no_empty_table_are_no_fault_of_the_model() -> None:
    def features(silver: Any) -> Any:
        if not len(silver.select("months").collect()):
            raise ValueError("nobody is here")
        return DERIVED.features(silver)

    choosy = replace(DERIVED, features=features)
    rows = in_silver(choosy)

    found = stress_test(Model(sensible), rows.inputs(), choosy, rows)

    assert found.error is None
    assert found.sweeps["months"].broken == 0
    assert found.sweeps["months"].along == ()

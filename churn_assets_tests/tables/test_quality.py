"""What a user relies on where tables are looked at as a whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.tables import quality
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake
from churn_assets.tables.quality import (
    CHANCE,
    null_inputs,
    outliers,
    schema_changes,
    split_balance,
    split_counts,
    unknown_amounts,
)
from churn_assets.usecases.spec import (
    BusinessCase,
    Column,
    Contract,
    Float64,
    Int64,
    PerCustomer,
    String,
)
from churn_assets_tests.support.project import USE_CASE

ENGINE = PolarsEngine()
CASE = replace(
    USE_CASE,
    key="key",
    contract=Contract(
        Column("key", String),
        Column("months", Int64),
        Column("bill", Float64, nullable=True),
        Column("flag", Int64, isin=(0, 1)),
        Column("churn", String, nullable=True),
    ),
)
MIDDLE = [10, 20, 30, 40, 50]
"""Quartiles 20 and 40: the outer fences are at -40 and 100."""


def outliers_of(**columns: list) -> dict[str, int]:
    frame = pl.DataFrame(columns)
    return outliers(nw.from_native(frame.lazy()), CASE, ENGINE)


def counts(**parts: tuple[int, int]) -> dict[str, dict[str, int]]:
    """Positive and labelled rows of each split, as they are counted."""
    return {
        split: {"rows": labelled, "labelled": labelled, "positive": positive}
        for split, (positive, labelled) in parts.items()
    }


# What is not known


def test_an_amount_that_is_no_number_is_counted() -> None:
    business = BusinessCase("EUR", PerCustomer("bill", times=12), offer_cost=PerCustomer("months"))
    case = replace(CASE, business=business)
    frame = pl.DataFrame(
        {"bill": [1.0, None, float("nan"), float("inf")], "months": [1, 2, 3, None]}
    )

    found = unknown_amounts(nw.from_native(frame.lazy()), case, ENGINE)

    assert found == {"bill": 3, "months": 1}


def test_an_input_that_train_does_not_know_is_named() -> None:
    case = replace(CASE, numeric=("old", "new", "never"), categorical=("kind",))
    frame = pl.DataFrame(
        {
            "old": [1.0, None, None, None],
            "new": [None, 1.0, 2.0, 3.0],
            "never": [None] * 4,
            "kind": [None, "a", "b", "c"],
            # The second is one of train, and what became of it is not known.
            "split": ["train", "train", "test", "validation"],
            "label": [True, None, False, True],
        },
        schema_overrides={"never": pl.Float64},
    )

    found = null_inputs(nw.from_native(frame.lazy()), case, ENGINE)

    assert found == {"new": "in train", "never": "throughout", "kind": "in train"}
    assert null_inputs(nw.from_native(frame.lazy().filter(pl.lit(False))), case, ENGINE) == {}


# Outliers


def test_a_value_beyond_the_outer_fences_is_an_outlier_and_one_on_them_is_not() -> None:
    # Far ones as well, so that the quartiles of all stay 20 and 40.
    assert outliers_of(months=[*MIDDLE * 20, 100, -40]) == {"months": 0}
    assert outliers_of(months=[*MIDDLE * 20, 101, -41, 10_000]) == {"months": 3}


def test_each_numeric_column_is_counted_and_nulls_are_no_outliers() -> None:
    bills = [float(bill) for bill in MIDDLE * 20]

    assert outliers_of(months=[*MIDDLE * 20, 101, 102], bill=[*bills, None, 1e9]) == {
        "months": 2,
        "bill": 1,
    }


def test_text_flags_and_columns_whose_middle_half_is_one_value_have_no_fences() -> None:
    assert outliers_of(key=["a"] * 9 + ["z"], flag=[0] * 9 + [1], months=[0] * 9 + [500]) == {}


def test_of_many_records_a_sample_finds_the_fences_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quality, "FENCE_ROWS", 500)
    months = [*MIDDLE * 400, *[10_000] * 30]

    assert outliers_of(key=[f"customer {i}" for i in range(len(months))], months=months) == {
        "months": 30
    }


def test_values_that_are_called_odd_are_counted_whether_or_not_there_are_fences() -> None:
    odd = Contract(
        Column("key", String),
        Column("months", Int64, odd=(0,)),
        Column("flat", Int64, odd=(0,)),
        Column("churn", String, nullable=True),
    )
    frame = pl.DataFrame(
        {"months": [*MIDDLE * 4, 0, 500, None], "flat": [7] * 20 + [0, None, None]}
    )

    counts = outliers(nw.from_native(frame.lazy()), replace(CASE, contract=odd), ENGINE)

    assert counts == {"months": 2, "flat": 1}


# The schema


def test_what_is_new_lost_or_of_another_type_is_told_by_column(tmp_path: Path) -> None:
    raw = Lake(str(tmp_path), ENGINE).of(CASE)["raw"]

    def came(**columns: list) -> list[str]:
        raw.replace(nw.from_native(pl.DataFrame(columns).lazy()), str(len(columns)))
        return schema_changes(raw)

    assert came(key=["a"], plan=["x"], bill=["1"]) == []
    assert came(key=["a"], plan=["x"], bill=[1.5], more=[1]) == [
        "column 'more' is new (Int64)",
        "column 'bill' is Float64 and was String",
    ]
    assert came(key=["a"], bill=[1.5]) == [
        "column 'plan' is lost (String)",
        "column 'more' is lost (Int64)",
    ]


def test_an_empty_table_has_no_outliers() -> None:
    frame = pl.DataFrame({"months": []}, schema={"months": pl.Int64})

    assert outliers(nw.from_native(frame.lazy()), CASE, ENGINE) == {}


# The balance of the splits


def test_rows_labels_and_positive_ones_are_counted_in_each_split() -> None:
    frame = pl.DataFrame(
        {
            "split": ["train"] * 4 + ["test"],
            "label": [True, False, None, True, None],
        }
    )

    assert split_counts(nw.from_native(frame.lazy()), ENGINE) == {
        "train": {"rows": 4, "labelled": 3, "positive": 2},
        "validation": {"rows": 0, "labelled": 0, "positive": 0},
        "test": {"rows": 1, "labelled": 0, "positive": 0},
    }


@pytest.mark.parametrize(
    "parts",
    [
        {"train": (159, 600), "validation": (58, 200), "test": (47, 200)},
        {"train": (300, 600), "validation": (60, 200), "test": (90, 200)},
        {"train": (1, 10), "validation": (2, 10), "test": (9, 10)},
    ],
)
def test_the_probability_is_that_of_pearson_s_chi_squared_test(
    parts: dict[str, tuple[int, int]],
) -> None:
    from scipy.stats import chi2_contingency

    table = [[positive, labelled - positive] for positive, labelled in parts.values()]

    assert split_balance(counts(**parts)) == pytest.approx(
        chi2_contingency(table, correction=False).pvalue
    )


def test_equal_shares_are_chance_and_far_ones_are_not() -> None:
    equal = counts(train=(60, 600), validation=(20, 200), test=(20, 200))
    apart = counts(train=(180, 600), validation=(60, 200), test=(20, 200))

    assert split_balance(equal) == 1
    assert split_balance(apart) < CHANCE


@pytest.mark.parametrize(
    "parts",
    [
        {"train": (0, 600), "validation": (0, 200), "test": (0, 200)},
        {"train": (600, 600), "validation": (200, 200), "test": (200, 200)},
        {"train": (300, 600), "validation": (20, 200), "test": (0, 0)},
        {"train": (0, 0), "validation": (0, 0), "test": (0, 0)},
    ],
    ids=["only negative", "only positive", "a split without labels", "no labels"],
)
def test_where_nothing_can_be_compared_nothing_is_warned_of(
    parts: dict[str, tuple[int, int]],
) -> None:
    assert split_balance(counts(**parts)) == 1

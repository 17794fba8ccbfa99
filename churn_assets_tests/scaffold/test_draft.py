"""What a user relies on where a use case is drafted: what is taken, what is left out and asked."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from churn_assets.errors import SourceError
from churn_assets.scaffold.draft import LEAK_AUC
from churn_assets.usecases.spec import Date, Float64, Int64, String
from churn_assets_tests.support.drafting import (
    ROWS,
    drafted,
    entry,
    noise,
    outcomes,
    told,
    where,
)

LEFT = np.array(outcomes()) == "yes"
DAYS = [date(2018, 1, 1) + timedelta(days=i) for i in range(ROWS)]


def asked(found: Any, source: str) -> str:
    return " ".join(entry(found, source).questions)


# Leaks


@pytest.mark.parametrize(
    "values",
    [
        np.where(LEFT, "moved", "").tolist(),
        np.where(LEFT, "out", "in").tolist(),
        np.where(LEFT, 0.0, noise() + 9).tolist(),
        [date(2024, 1, 1 + i % 9) if left else None for i, left in enumerate(LEFT)],
        # Filled in for a third of those who left, and for nobody else.
        [float(i) if left and i % 3 == 0 else None for i, left in enumerate(LEFT)],
    ],
    ids=["reason", "status", "number", "date", "filled in for some"],
)
def test_a_column_that_knows_the_outcome_is_left_out_with_figures_and_asked_about(
    values: list[Any],
) -> None:
    found = drafted({"x": values, "use": told(), "other": noise()})

    assert where(found, "x") == "leak"
    assert re.search(r"ROC AUC of 0\.9|ROC AUC of 1\.0|all whose outcome is known are yes",
                     asked(found, "x"))  # fmt: skip
    assert where(found, "use") == where(found, "other") == "numbers"


def test_a_column_that_tells_much_and_not_all_is_an_input() -> None:
    found = drafted({"x": told(0.8) + noise() / 10, "other": noise()})

    (auc,) = [e.profile.auc for e in found.numbers if e.profile.source == "x"]
    assert 0.85 < (auc or 0) < LEAK_AUC
    assert where(found, "x") == "numbers"


def test_a_column_that_tells_nothing_is_said_to_tell_nothing() -> None:
    found = drafted({"x": noise(), "kind": np.random.default_rng(5).choice(list("abcde"), ROWS)})

    assert all(0.5 <= (e.profile.auc or 0) < 0.56 for e in (*found.numbers, *found.categories))


def test_names_that_tell_of_the_outcome_are_asked_about_and_stay() -> None:
    found = drafted({"churn_score": noise(), "cancelled before": noise(seed=3), "use": noise()})

    assert [e.profile.source for e in found.numbers] == ["churn_score", "cancelled before", "use"]
    assert "before the outcome" in asked(found, "churn_score")
    assert "before the outcome" in asked(found, "cancelled before")
    assert asked(found, "use") == ""


def test_a_large_group_of_one_outcome_is_asked_about() -> None:
    kinds = np.random.default_rng(4).choice(["goods", "other"], ROWS)
    kinds[np.flatnonzero(~LEFT)[:120]] = "staff"

    found = drafted({"kind": kinds.tolist(), "use": told()})

    assert where(found, "kind") == "categories"
    assert "All 120 records with kind staff are no" in asked(found, "kind")


# What names a record, and what says nothing


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("row", list(range(5, 2 * ROWS + 5, 2)), "identifier"),
        ("phone number", [1_000_000 + 7919 * i for i in range(ROWS)], "identifier"),
        ("household_id", [i % 400 for i in range(ROWS)], "identifier"),
        ("email", [f"{i}@example.org" for i in range(ROWS)], "identifier"),
        ("postcode", [f"0{i % 300:04d}" for i in range(ROWS)], "identifier"),
        ("region", ["EU"] * ROWS, "constant"),
        ("version", [3] * ROWS, "constant"),
        ("notes", [None] * ROWS, "blank"),
        ("remark", [f"he said {i} times that all is well" for i in range(ROWS)], "free text"),
        ("town", [f"town {i % 90}" for i in range(ROWS)], "too many categories"),
        ("amount", [f"{i},{i % 10}00.50" for i in range(1, ROWS + 1)], "numbers as text"),
        ("limit", ["none left", *range(900), *["unlimited"] * 99], "numbers as text"),
    ],
)
def test_what_is_no_input_is_left_out_with_the_reason(
    name: str, values: list[Any], why: str
) -> None:
    texts = [None if value is None else str(value) for value in values]

    found = drafted({name: texts, "use": told()})

    assert where(found, name) == why
    assert entry(found, name).notes or entry(found, name).questions
    column = entry(found, name).column
    assert (column.isin, column.ge) == (None, None)


def test_amounts_that_all_differ_are_no_identifiers() -> None:
    cents = np.random.default_rng(1).choice(10**6, ROWS, replace=False)

    assert where(drafted({"balance": cents}), "balance") == "numbers"


def test_a_column_of_values_that_no_contract_holds_is_told_of_and_not_read() -> None:
    found = drafted({"history": [[1, 2]] * ROWS, "use": told()})

    assert [column.source for column in found.unread] == ["history"]
    assert "history" not in [column.profile.source for column in found.entries]


def test_without_any_input_there_are_none() -> None:
    assert drafted({"region": ["EU"] * ROWS}).inputs == 0


# The contract


@pytest.mark.parametrize(
    ("values", "dtype", "least"),
    [
        (np.arange(ROWS) % 40, Int64, 0),
        ((np.arange(ROWS) % 700 / 100).round(2), Float64, 0),
        (np.abs(noise()), Float64, None),
        (noise(), Float64, None),
        (np.arange(ROWS) % 2, Int64, None),
        (np.arange(ROWS) % 40 - 3, Int64, None),
    ],
    ids=["count", "money", "positive", "any", "flag", "below 0"],
)
def test_only_counts_and_money_may_not_be_below_zero(
    values: np.ndarray, dtype: object, least: int | None
) -> None:
    column = entry(drafted({"x": values}), "x").column

    assert (column.dtype, column.ge, column.le) == (dtype, least, None)


def test_few_values_that_are_all_frequent_are_listed_and_others_are_not() -> None:
    found = drafted({
        "plan": [f"plan {i % 3}" for i in range(ROWS)],
        "rare": ["odd" if i == 7 else f"kind {i % 3}" for i in range(ROWS)],
        "many": [f"value {i % 20}" for i in range(ROWS)],
    })  # fmt: skip

    assert entry(found, "plan").column.isin == ("plan 0", "plan 1", "plan 2")
    assert entry(found, "rare").column.isin is None
    assert entry(found, "many").column.isin is None
    assert where(found, "many") == "categories"
    assert "complete?" in found.asked["isin"]


def test_a_column_may_be_blank_just_where_the_table_has_blanks() -> None:
    some = [None if i == 3 else value for i, value in enumerate(noise())]

    found = drafted({"some": some, "use": told()})

    assert entry(found, "some").column.nullable
    assert entry(found, "some").notes == ("Blank in 1 of 1,000 records.",)
    assert not entry(found, "use").column.nullable


def test_spellings_of_one_value_are_asked_about() -> None:
    found = drafted({"plan": ["Gold", "gold", "Silver"] * 333 + ["Gold"]})

    assert "'Gold' and 'gold'" in asked(found, "plan")


def test_categories_that_may_be_numbers_are_asked_about() -> None:
    found = drafted({"rate": [f"{10 * (i % 4)} %" for i in range(ROWS)]})

    assert where(found, "rate") == "categories"
    assert "are these numbers? They are written as '99 %'" in asked(found, "rate")


def test_where_too_few_left_to_look_for_leaks_the_reader_is_asked() -> None:
    few = ["yes" if i < 15 else "no" for i in range(ROWS)]

    found = drafted({"left": few, "reason": ["moved" if left == "yes" else "" for left in few]})

    assert "15 records of one outcome" in found.asked["inputs"]
    assert "inputs" not in drafted({"use": told()}).asked


def test_whole_numbers_that_may_be_codes_are_asked_about() -> None:
    found = drafted({"branch_code": np.arange(ROWS) % 7, "visits": np.arange(ROWS) % 7})

    assert "codes" in asked(found, "branch_code")
    assert asked(found, "visits") == ""


# Dates, keys, the label


def test_a_date_gives_its_month_once_each_month_has_come_twice() -> None:
    seen = [DAYS[i % 300] for i in range(ROWS)]

    found = drafted({"joined": DAYS, "joined_month": noise(), "seen": seen})

    assert where(found, "joined") == where(found, "seen") == "dates"
    assert dict(found.months) == {"joined": "joined_month_2"}
    assert 'split_by="joined" or split_by="seen"' in found.asked["split_by"]


def test_a_part_of_the_key_that_is_a_date_is_one_to_split_by_as_well() -> None:
    who, month = np.divmod(np.arange(ROWS), 10)

    found = drafted(
        {"who": who, "month": [f"2024-{m + 1:02d}-01" for m in month], "use": told()},
        keys=("who", "month"),
    )

    assert [e.column.dtype for e in found.keys] == [String, String]
    assert [e.column.isin for e in found.keys] == [None, None]
    (day,) = found.dates
    assert (day.column.name, day.column.source, day.column.dtype) == ("month_day", "month", Date)
    assert 'split_by="month_day"' in found.asked["split_by"]
    assert "one who on both sides" in found.asked["split_by"]


def test_the_label_is_text_of_two_values_and_may_be_blank() -> None:
    labels = [None if i % 10 == 0 else label for i, label in enumerate(outcomes())]

    found = drafted({"left": labels, "use": told()})

    column = found.label.column
    assert (column.dtype, column.isin, column.nullable) == (String, ("no", "yes"), True)
    assert found.profile.known == 900


def test_a_positive_value_that_is_the_usual_one_is_asked_about() -> None:
    found = drafted({"use": told()}, positive="no")

    assert "is 'no' what is to be foreseen?" in asked(found, "left")


def test_a_rare_outcome_is_asked_about_for_its_risk_bands() -> None:
    rare = ["yes" if i % 25 == 0 else "no" for i in range(ROWS)]

    assert "risk_bands={" in drafted({"left": rare, "use": noise()}).asked["risk_bands"]
    assert "risk_bands" not in drafted({"use": told()}).asked


# Refusals


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({}, {"label": "Leftt"}, "there is no column 'Leftt'. 'left' looks like it. It has"),
        ({}, {"keys": ("ID",)}, "there is no column 'ID'. 'id' looks like it."),
        ({}, {"positive": "Yes"}, "column 'left' is never 'Yes'. 'yes' looks like it."),
        ({}, {"label": "id"}, "the columns of the key and the label must be different ones"),
        ({}, {"keys": ("id", "id")}, "the columns of the key and the label must be different ones"),
        ({"left": ["no"] * ROWS}, {}, "column 'left' has one value, 'no', and a label has two."),
        ({"left": [""] * ROWS}, {}, "column 'left' is blank everywhere, and a label has two."),
        (
            {"left": ["yes", "no", "maybe", "so"] * 250},
            {},
            "column 'left' has 4 values ('maybe', 'no', 'so', 'yes'), and a label has two.",
        ),
        (
            {"id": [f"{i // 2}" for i in range(ROWS)], "month": ["1", "2"] * 500},
            {},
            "column 'id' does not tell records apart: 500 of 1,000 repeat an earlier one. "
            "Add --key 'month', with which it does.",
        ),
        (
            {"id": ["a"] * ROWS, "number": list(range(ROWS))},
            {},
            "column 'id' does not tell records apart: 999 of 1,000 repeat an earlier one. "
            "Alone 'number' would do.",
        ),
        (
            {"id": [None, *range(ROWS - 1)]},
            {},
            "column 'id' is blank in 1 record, and a key names each record.",
        ),
        (
            {"id": noise()},
            {},
            "column 'id' is neither text nor an exact whole number in 1,000 records, and a key",
        ),
    ],
)  # fmt: skip
def test_a_key_or_label_that_is_none_is_refused_in_a_line_that_says_what_to_do(
    columns: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceError) as caught:
        drafted({"use": told(), **columns}, **options)

    assert str(caught.value).startswith("/data/table.csv: ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1

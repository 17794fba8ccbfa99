"""What a user relies on where a use case is drafted: what is taken, what is left out and asked."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from churn_assets.errors import SourceError
from churn_assets.scaffold.draft import LEAK_AUC, Draft
from churn_assets.usecases.spec import Date, Float64, Int64, String
from churn_assets_tests.support.drafting import (
    ROWS,
    draft_of,
    entry_of,
    group_of,
    noise,
    outcomes,
    signal,
)

LEFT = np.array(outcomes()) == "yes"
DAYS = [date(2018, 1, 1) + timedelta(days=i) for i in range(ROWS)]


def questions(draft: Draft, source: str) -> str:
    return " ".join(entry_of(draft, source).questions)


UNSETTLED = "numbers that may be read in two ways"


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
    draft = draft_of({"x": values, "use": signal(), "other": noise()})

    assert group_of(draft, "x") == "leak"
    assert re.search(r"ROC AUC of 0\.9|ROC AUC of 1\.0|all whose outcome is known are yes",
                     questions(draft, "x"))  # fmt: skip
    assert group_of(draft, "use") == group_of(draft, "other") == "numbers"


def test_a_column_that_tells_much_and_not_all_is_an_input() -> None:
    draft = draft_of({"x": signal(0.8) + noise() / 10, "other": noise()})

    (auc,) = [e.profile.auc for e in draft.numbers if e.profile.source == "x"]
    assert 0.85 < (auc or 0) < LEAK_AUC
    assert group_of(draft, "x") == "numbers"


def test_a_column_that_tells_nothing_is_said_to_tell_nothing() -> None:
    draft = draft_of({"x": noise(), "kind": np.random.default_rng(5).choice(list("abcde"), ROWS)})

    assert all(0.5 <= (e.profile.auc or 0) < 0.56 for e in (*draft.numbers, *draft.categories))


def test_names_that_tell_of_the_outcome_are_asked_about_and_left_out_until_then() -> None:
    draft = draft_of({"churn_score": noise(), "cancelled before": noise(seed=3), "use": noise()})

    assert [e.profile.source for e in draft.numbers] == ["use"]
    assert group_of(draft, "churn_score") == group_of(draft, "cancelled before") == "open question"
    assert "before the outcome" in questions(draft, "churn_score")
    assert "before the outcome" in questions(draft, "cancelled before")
    assert "left out; as it stands it goes to NUMBERS" in questions(draft, "churn_score")
    assert questions(draft, "use") == ""


def test_a_large_group_of_one_outcome_is_asked_about() -> None:
    kinds = np.random.default_rng(4).choice(["goods", "other"], ROWS)
    kinds[np.flatnonzero(~LEFT)[:120]] = "staff"

    draft = draft_of({"kind": kinds.tolist(), "use": signal()})

    assert group_of(draft, "kind") == "open question"
    assert "All 120 records with kind staff are no" in questions(draft, "kind")


# What names a record, and what says nothing


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("row", list(range(5, 2 * ROWS + 5, 2)), "identifier"),
        ("phone number", [1_000_000 + 7919 * i for i in range(ROWS)], "code"),
        ("household_id", [i % 400 for i in range(ROWS)], "identifier"),
        ("email", [f"{i}@example.org" for i in range(ROWS)], "identifier"),
        ("postcode", [f"0{i % 300:04d}" for i in range(ROWS)], "code"),
        ("branch", [f"0{i:05d}" for i in range(ROWS)], "code"),
        ("zip", [501 + 97 * i for i in range(ROWS)], "code"),
        ("caller", [f"+4915{i:08d}" for i in range(ROWS)], "code"),
        ("caller", [f"{555 + i % 300} {i:03d} 123" for i in range(ROWS)], "code"),
        ("line", [4_915_000_000 + i % 400 for i in range(ROWS)], "code"),
        ("product", [f"{1 + i % 9}E{i % 7}" for i in range(ROWS)], "code"),
        ("weight", [f"{1 + i % 9}.{i:03d}" for i in range(ROWS)], UNSETTLED),
        ("region", ["EU"] * ROWS, "constant"),
        ("version", [3] * ROWS, "constant"),
        ("notes", [None] * ROWS, "blank"),
        ("remark", [f"he said {i} times that all is well" for i in range(ROWS)], "free text"),
        ("town", [f"town {i % 90}" for i in range(ROWS)], "too many categories"),
        ("amount", [f"$ {i},{i % 10}00.50" for i in range(1, ROWS + 1)], "numbers as text"),
        ("limit", ["none left", *range(900), *["unlimited"] * 99], "numbers as text"),
    ],
)
def test_what_is_not_an_input_is_left_out_with_the_reason(
    name: str, values: list[Any], why: str
) -> None:
    texts = [None if value is None else str(value) for value in values]

    draft = draft_of({name: texts, "use": signal()})

    assert group_of(draft, name) == why
    assert entry_of(draft, name).notes or entry_of(draft, name).questions
    column = entry_of(draft, name).column
    assert (column.isin, column.ge) == (None, None)


def test_amounts_that_all_differ_are_not_identifiers() -> None:
    cents = np.random.default_rng(1).choice(10**6, ROWS, replace=False)

    assert group_of(draft_of({"balance": cents}), "balance") == "numbers"


def test_a_column_of_values_that_no_contract_holds_is_listed_and_not_read() -> None:
    draft = draft_of({"history": [[1, 2]] * ROWS, "use": signal()})

    assert [column.source for column in draft.unread] == ["history"]
    assert "history" not in [column.profile.source for column in draft.entries]


def test_without_any_input_there_are_none() -> None:
    assert draft_of({"region": ["EU"] * ROWS}).inputs == 0


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
    column = entry_of(draft_of({"x": values}), "x").column

    assert (column.dtype, column.ge, column.le) == (dtype, least, None)


def test_few_values_that_are_all_frequent_are_listed_and_others_are_not() -> None:
    draft = draft_of({
        "plan": [f"plan {i % 3}" for i in range(ROWS)],
        "rare": ["odd" if i == 7 else f"kind {i % 3}" for i in range(ROWS)],
        "many": [f"value {i % 20}" for i in range(ROWS)],
    })  # fmt: skip

    assert entry_of(draft, "plan").column.isin == ("plan 0", "plan 1", "plan 2")
    assert entry_of(draft, "rare").column.isin is None
    assert entry_of(draft, "many").column.isin is None
    assert group_of(draft, "many") == "categories"
    assert "complete?" in draft.argument_questions["isin"]


def test_a_column_may_be_blank_just_where_the_table_has_blanks() -> None:
    some = [None if i == 3 else value for i, value in enumerate(noise())]

    draft = draft_of({"some": some, "use": signal()})

    assert entry_of(draft, "some").column.nullable
    assert entry_of(draft, "some").notes == ("Blank in 1 of 1,000 records.",)
    assert not entry_of(draft, "use").column.nullable


def test_a_date_that_is_asked_about_gives_no_month_either() -> None:
    draft = draft_of({"status date": DAYS, "joined": DAYS, "use": noise()})

    assert group_of(draft, "status date") == "open question"
    assert "before the outcome" in questions(draft, "status date")
    assert dict(draft.months) == {"joined": "joined_month"}


def test_no_input_has_an_open_question() -> None:
    """What is asked about has no part in the fit until it is answered."""
    draft = draft_of(
        {
            "churn_score": noise(),
            "plan": ["Gold", "gold", "Silver"] * 333 + ["Gold"],
            "region_code": [i % 9 for i in range(ROWS)],
            "closed": DAYS,
            "use": noise(),
        }
    )

    inputs = (*draft.numbers, *draft.categories, *draft.dates)
    assert [entry.profile.source for entry in inputs] == ["use"]
    assert not any(entry.questions for entry in inputs)
    assert draft.inputs == 1


def test_spellings_of_one_value_are_asked_about() -> None:
    draft = draft_of({"plan": ["Gold", "gold", "Silver"] * 333 + ["Gold"]})

    assert "'Gold' and 'gold'" in questions(draft, "plan")


def test_categories_that_may_be_numbers_are_asked_about() -> None:
    draft = draft_of({"rate": [f"{10 * (i % 4)} %" for i in range(ROWS)]})

    assert group_of(draft, "rate") == "open question"
    assert "are these numbers? They are written as '99 %'" in questions(draft, "rate")


def test_where_too_few_left_to_look_for_leaks_the_reader_is_asked() -> None:
    few = ["yes" if i < 15 else "no" for i in range(ROWS)]

    draft = draft_of({"left": few, "reason": ["moved" if left == "yes" else "" for left in few]})

    assert "15 records of one outcome" in draft.argument_questions["inputs"]
    assert "inputs" not in draft_of({"use": signal()}).argument_questions


def test_whole_numbers_that_may_be_codes_are_asked_about() -> None:
    draft = draft_of({"branch_code": np.arange(ROWS) % 7, "visits": np.arange(ROWS) % 7})

    assert "codes" in questions(draft, "branch_code")
    assert questions(draft, "visits") == ""


# Dates, keys, the label


def test_a_date_gives_its_month_once_each_month_has_come_twice() -> None:
    visits = [DAYS[i % 300] for i in range(ROWS)]

    draft = draft_of({"joined": DAYS, "joined_month": noise(), "seen": visits})

    assert group_of(draft, "joined") == group_of(draft, "seen") == "dates"
    assert dict(draft.months) == {"joined": "joined_month_2"}
    assert 'split_by="joined" or split_by="seen"' in draft.argument_questions["split_by"]


def test_a_part_of_the_key_that_is_a_date_is_one_to_split_by_as_well() -> None:
    who, month = np.divmod(np.arange(ROWS), 10)

    draft = draft_of(
        {"who": who, "month": [f"2024-{m + 1:02d}-01" for m in month], "use": signal()},
        keys=("who", "month"),
    )

    assert [e.column.dtype for e in draft.keys] == [String, String]
    assert [e.column.isin for e in draft.keys] == [None, None]
    (day,) = draft.dates
    assert (day.column.name, day.column.source, day.column.dtype) == ("month_day", "month", Date)
    assert 'split_by="month_day"' in draft.argument_questions["split_by"]
    assert "one who on both sides" in draft.argument_questions["split_by"]


def test_the_label_is_text_of_two_values_and_may_be_blank() -> None:
    labels = [None if i % 10 == 0 else label for i, label in enumerate(outcomes())]

    draft = draft_of({"left": labels, "use": signal()})

    column = draft.label.column
    assert (column.dtype, column.isin, column.nullable) == (String, ("no", "yes"), True)
    assert draft.profile.known == 900


def test_a_positive_value_that_is_the_usual_one_is_asked_about() -> None:
    draft = draft_of({"use": signal()}, positive="no")

    assert "is 'no' what is to be foreseen?" in questions(draft, "left")


def test_a_rare_outcome_is_asked_about_for_its_risk_bands() -> None:
    rare = ["yes" if i % 25 == 0 else "no" for i in range(ROWS)]

    questions = draft_of({"left": rare, "use": noise()}).argument_questions

    assert "risk_bands={" in questions["risk_bands"]
    assert "risk_bands" not in draft_of({"use": signal()}).argument_questions


# Refusals


@pytest.mark.parametrize(
    ("columns", "options", "message"),
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
            "996 of 1,000 records are copies of others in all but 'number': remove them from the "
            "source, and of 3 more that repeat column 'id' one each.",
        ),
        (
            {"id": ["a"] * ROWS, "number": list(range(ROWS)), "paid": noise()},
            {},
            "column 'id' does not tell records apart: 999 of 1,000 repeat an earlier one. "
            "Remove the repeated records from the source, or name columns that differ.",
        ),
        (
            {"id": ["a"] * ROWS, "ref": [f"x{7919 * i % 10007}" for i in range(ROWS)],
             "paid": noise()},
            {},
            "column 'id' does not tell records apart: 999 of 1,000 repeat an earlier one. "
            "Alone 'ref' would do.",
        ),
        (
            # Of kinds, hours and counters, none makes a key of one that repeats by mistake.
            {"id": [f"k{max(i, 1)}" for i in range(ROWS)], "rating": [1, 2] * 500,
             "row": list(range(ROWS)), "paid": noise()},
            {},
            "column 'id' must tell records apart, and 1 of 1,000 records repeats key k1: remove it "
            "from the source.",
        ),
        (
            {"id": [f"k{i // 2}" for i in range(ROWS)], "rating": [1, 2] * 500, "paid": noise()},
            {},
            "column 'id' does not tell records apart: 500 of 1,000 repeat an earlier one. Remove",
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
    columns: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SourceError) as error:
        draft_of({"use": signal(), **columns}, **options)

    assert str(error.value).startswith("/data/table.csv: ")
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


# Copies


def three_times(copies: int = 3) -> dict[str, Any]:
    """Two hundred customers, each several times under a running number."""
    rng = np.random.default_rng(1)
    months, fee = rng.integers(1, 73, 200), rng.uniform(5, 90, 200).round(2)
    left = np.where(rng.random(200) < 0.5, "yes", "no")
    columns = {"customer": [f"K{i:03d}" for i in range(200)], "months": months, "fee": fee}
    several = {name: list(values) * copies for name, values in {**columns, "left": left}.items()}
    return {"row": list(range(200 * copies)), **several}


def test_copies_under_a_running_number_are_to_be_removed() -> None:
    with pytest.raises(SourceError) as error:
        draft_of(three_times(), keys=("customer",))

    assert str(error.value) == (
        "/data/table.csv: 400 of 600 records are copies of others in all but 'id', 'row': "
        "remove them from the source."
    )


def test_a_running_number_as_the_key_of_copies_is_asked_about() -> None:
    draft = draft_of({**three_times(), "id": [""] * 600}, keys=("row",))

    (question,) = draft.keys[0].questions
    assert "400 of 600 records share every input and the label with an earlier one" in question
    assert "and 'customer' repeats, so that test scores flatter" in question
    assert 'group=("customer",)' in draft.argument_questions["group"]
    assert group_of(draft, "customer") == "identifier"


def test_records_that_are_alike_by_chance_are_not_asked_about() -> None:
    rng = np.random.default_rng(0)
    kinds = {f"x{i}": rng.integers(0, 4, ROWS) for i in range(6)}

    assert draft_of(kinds).keys[0].questions == ()


def test_customers_of_months_under_a_number_of_their_own_are_asked_to_be_a_group() -> None:
    who, month = np.divmod(np.arange(ROWS), 10)

    draft = draft_of({"customer_id": [f"C{w}" for w in who], "month": month, "use": noise()})

    assert 'group=("customer_id",) keeps them to one side' in draft.argument_questions["group"]
    assert "group" not in draft_of({"use": noise()}).argument_questions

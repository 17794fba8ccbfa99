"""What a user relies on in the files that are written: they run, and their tests can fail."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, timedelta
from types import ModuleType

import narwhals.stable.v2 as nw
import numpy as np
import pytest

from churn_assets.scaffold.draft import Draft
from churn_assets.scaffold.use_case_file import use_case_text
from churn_assets.scaffold.use_case_tests import use_case_tests_text
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.drafting import ROWS, draft_of, noise, outcomes, sample_of, signal

ENGINE = PolarsEngine()
ODD = "a \"b\" 'c' \\ {d} %s\n#e"
COLUMNS = {
    "visits": np.arange(ROWS) % 9,
    ODD: signal(),
    "plan": [f"plan {i % 3} {ODD}" for i in range(ROWS)],
    "joined": [f"{date(2020, 1, 1) + timedelta(days=i):%d.%m.%Y}" for i in range(ROWS)],
    "gone": ["NA" if i % 7 == 0 else f"{value:.4f}" for i, value in enumerate(noise())],
    "reason": [f"moved {ODD}" if left == "yes" else "" for left in outcomes()],
    "notes": [""] * ROWS,
}


@pytest.fixture(scope="module")
def draft() -> Draft:
    return draft_of(COLUMNS)


def use_case(text: str) -> UseCase:
    """The use case of a file's text."""
    module = ModuleType("churn_assets.usecases.case")
    exec(compile(text, "case.py", "exec"), module.__dict__)
    sys.modules[module.__name__] = module
    case: UseCase = module.__dict__["case"]
    return case


def failing(draft: Draft, change: Callable[[str], str] = str) -> set[str]:
    """The tests of a use case that fail once its file was changed."""
    use_case(change(use_case_text(draft)))
    names: dict[str, object] = {}
    exec(compile(use_case_tests_text(draft), "test_case.py", "exec"), names)
    # The one that trains takes a project of its own.
    quick = (name for name in names if name.startswith("test_") and "promoted" not in name)
    tests = {name: names[name] for name in quick}
    broken = names["BROKEN"]
    assert isinstance(broken, dict)
    assert len(tests) == 4
    failures = set()
    for name, test in tests.items():
        assert callable(test)
        try:
            for source in broken if "cannot_be" in name else [None]:
                test(source) if source else test()
        except Exception:
            failures.add(name)
    return failures


def test_a_file_takes_its_table_through_contract_clean_and_features(draft: Draft) -> None:
    case = use_case(use_case_text(draft))

    whole = sample_of({"id": [f"k{i}" for i in range(ROWS)], "left": outcomes(), **COLUMNS})
    validated = validate(nw.from_native(whole.records.lazy()), case.contract, ENGINE)
    rows = feature_rows(case, case.clean(validated.valid), ENGINE).frame.to_native().collect()

    assert (validated.rows, validated.rejected) == (ROWS, 0)
    assert rows.height == ROWS
    assert case.numeric == ("visits", "a_b_c_d_percent_s_number_e", "gone", "joined_month")
    assert case.categorical == ("plan",)
    assert rows["label"].sum() == outcomes().count("yes")
    assert set(rows["joined_month"]) == set(range(1, 13))
    assert rows["gone"].null_count() == len(range(0, ROWS, 7))


def test_names_and_values_come_out_as_they_were_whatever_is_in_them(draft: Draft) -> None:
    case = use_case(use_case_text(draft))

    assert [column.source for column in case.contract.columns][2] == "visits"
    assert ODD in [column.source for column in case.contract.columns]
    assert case.contract["plan"].isin == tuple(f"plan {i} {ODD}" for i in range(3))
    assert case.called("a_b_c_d_percent_s_number_e") == " ".join(ODD.split())


def test_every_column_is_described_by_what_the_file_says_of_it(draft: Draft) -> None:
    case = use_case(use_case_text(draft))

    names = [*(column.name for column in case.contract.columns), *case.inputs]

    assert all(case.describe(name) for name in names)
    assert case.describe("visits") == "visits, whole number, at least 0"
    assert case.describe("joined_month") == "joined month"


def test_each_question_stands_in_the_file_where_its_answer_goes(draft: Draft) -> None:
    text = use_case_text(draft)

    assert text.count("# QUESTION: ") == len(draft.questions)
    lines = text.splitlines()
    (leak,) = (i for i, line in enumerate(lines) if "ROC AUC" in line)
    assert 'Column("reason"' in "".join(lines[leak : leak + 6])
    assert 'split_by="joined"' in text


def test_a_comment_holds_in_one_line_what_the_table_breaks(draft: Draft) -> None:
    compile(use_case_text(draft), "case.py", "exec")

    assert "\n#e" not in use_case_text(draft).replace(r"\n#e", "")


def test_the_written_test_passes_on_what_was_written(draft: Draft) -> None:
    assert failing(draft) == set()


@pytest.mark.parametrize(
    ("was", "becomes", "fails"),
    [
        (
            "categorical=tuple(column.name for column in CATEGORIES)",
            'categorical=(*(column.name for column in CATEGORIES), "reason")',
            "test_no_input_changes_with_the_outcome_or_what_is_left_out",
        ),
        (
            'nw.col("joined").dt.month()',
            '(nw.col("left") == "yes").cast(nw.Int64)',
            "test_no_input_changes_with_the_outcome_or_what_is_left_out",
        ),
        (
            'nw.col("joined").dt.month().alias("joined_month")',
            'nw.col("joined").dt.month()',
            "test_features_give_every_input_with_values_and_the_label",
        ),
        (
            'positive="yes"',
            'positive="Yes"',
            "test_features_give_every_input_with_values_and_the_label",
        ),
        (
            'Column("visits", Int64, ge=0)',
            'Column("visits", String)',
            "test_a_record_with_a_value_that_cannot_be_is_rejected_for_it",
        ),
        (
            'Column("visits", Int64, ge=0)',
            'Column("visits", Int64, ge=1)',
            "test_records_as_they_should_be_keep_the_contract",
        ),
        (
            "return records",
            'import narwhals.stable.v2 as nw; return records.filter(nw.col("visits") > 0)',
            "test_features_give_every_input_with_values_and_the_label",
        ),
    ],
)
def test_the_written_test_fails_on_a_use_case_that_is_wrong(
    draft: Draft, was: str, becomes: str, fails: str
) -> None:
    assert was in use_case_text(draft)

    assert fails in failing(draft, lambda text: text.replace(was, becomes))


def test_the_written_test_holds_no_record_of_the_table(draft: Draft) -> None:
    text = use_case_tests_text(draft)

    assert "k1" not in text
    assert "01.01.2020" not in text
    assert all(f"{value:.4f}" not in text for value in noise())
    # Only what the contract lists by itself.
    assert "moved" not in text

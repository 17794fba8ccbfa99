"""What a use case may say, and what it is refused for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from churn_assets import usecases
from churn_assets.errors import UseCaseError
from churn_assets.usecases import USE_CASES, spec
from churn_assets.usecases.spec import (
    BusinessCase,
    Column,
    Contract,
    Float64,
    Label,
    Labels,
    PerCustomer,
    String,
)
from churn_assets_tests.support.project import USE_CASE


def test_every_use_case_is_found_by_its_name() -> None:
    assert {"telco_churn", "booking_cancellation"} <= set(USE_CASES)
    assert all(case.name == name for name, case in USE_CASES.items())


@pytest.mark.parametrize("case", USE_CASES.values(), ids=lambda case: case.name)
def test_the_key_of_every_use_case_is_unique(case: spec.UseCase) -> None:
    assert case.keys in case.contract.unique
    assert case.keys in case.label_contract.unique


@pytest.mark.parametrize("key", ["nobody", ("customer_id", "nobody"), "monthly_charges_usd"])
def test_a_key_that_is_not_a_column_of_text_or_whole_numbers_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"telco_churn: '(nobody|monthly_charges_usd)' of its key"):
        replace(USE_CASE, key=key)


def test_a_label_that_no_contract_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no contract has the label's column 'left'"):
        replace(USE_CASE, label=Label("left", positive="Yes"))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"numeric": (*USE_CASE.numeric, "churn")}, "its inputs"),
        ({"categorical": (*USE_CASE.categorical, "churn")}, "its inputs"),
        ({"slices": ("churn",)}, "its slices"),
        ({"group": ("churn",)}, "its group"),
        (
            {"business": BusinessCase("USD", customer_value=PerCustomer("churn"), offer_cost=1)},
            "the amounts of its business case",
        ),
    ],
)
def test_the_label_is_refused_where_its_outcome_is_not_known(
    changes: dict[str, Any], place: str
) -> None:
    message = f"telco_churn: the label's column 'churn' is among {place}, and it is what"
    with pytest.raises(ValueError, match=message):
        replace(USE_CASE, **changes)


@pytest.mark.parametrize("name", ["label", "split"])
def test_an_input_that_is_called_as_a_column_of_features_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is what a column is called that the tables"):
        replace(USE_CASE, numeric=(name,))


def test_a_key_that_is_called_as_a_column_of_predictions_is_refused() -> None:
    contract = Contract(Column("rank", String), Column("left", String))

    with pytest.raises(ValueError, match="'rank' is what a column is called that the tables add"):
        replace(USE_CASE, key="rank", contract=contract, label=Label("left", "Yes"))


def test_labels_of_their_own_need_the_key() -> None:
    labels = Labels(Contract(Column("no", String), Column("churn", String)))

    with pytest.raises(ValueError, match="'customer_id' of its key is not a column"):
        replace(USE_CASE, labels=labels)


def test_a_key_may_have_parts() -> None:
    parts = Contract(
        Column("shop", String), Column("no", String), Column("x", Float64), Column("churn", String)
    )

    case = replace(USE_CASE, key=("shop", "no"), contract=parts)

    assert case.keys == ("shop", "no")
    assert case.contract.unique == (("shop", "no"),)


@pytest.mark.parametrize("name", ["telco_churn", "booking_cancellation"])
def test_every_column_of_a_use_case_that_ships_is_described_to_people(name: str) -> None:
    case = USE_CASES[name]
    columns = {*case.contract.columns, *case.label_contract.columns}
    names = {column.name for column in columns} | {*case.inputs, *case.beside, *case.days}
    described = {name: case.describe(name) for name in names}

    assert len(names) > 20
    assert all(phrase.count(" ") >= 1 and "_" not in phrase for phrase in described.values())
    assert all(phrase != case.called(name) for name, phrase in described.items())
    assert all(case.describe(spec.delta_name(c.source)) == described[c.name] for c in columns)


def test_a_column_without_a_description_is_described_by_its_contract() -> None:
    contract = Contract(
        Column("customer_id", String, source="Customer ID"),
        Column("lead_time_days", spec.Int64, ge=0, le=30),
        Column("fee_usd", Float64, nullable=True),
        Column("num_days", spec.Int64),
        Column("churn", String, isin=("Yes", "No")),
    )
    case = replace(USE_CASE, contract=contract, glossary={}, words={"num_days": "days of use"})

    described = [
        case.describe(name) for name in ("Customer_ID", *(c.name for c in contract.columns))
    ]

    assert described == [
        "customer id, text",
        "customer id, text",
        "lead time in days, whole number, from 0 to 30",
        "fee in USD, number, may be blank",
        "days of use, whole number",
        "churn, Yes or No",
    ]


def test_a_feature_is_described_by_the_glossary_or_else_by_its_words_or_name() -> None:
    case = replace(USE_CASE, glossary={"a_b": "a times b"}, words={"a_b": "ab", "is_b": "has b"})

    assert [case.describe(name) for name in ("a_b", "is_b", "stay_days", "num_days", "c_d")] == [
        "a times b",
        "has b",
        "stay in days",
        "num days",
        "c d",
    ]


def test_what_a_column_is_called_to_people_decides_nothing() -> None:
    described = Contract(*(replace(c, description="x") for c in USE_CASE.contract.columns))

    other = replace(USE_CASE, contract=described, glossary={"is_new": "y"})

    assert other.describe("gender") == "x"
    assert other.declared == USE_CASE.declared


@pytest.fixture
def one_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], dict[str, spec.UseCase]]]:
    """Look for use cases where one more file is."""
    monkeypatch.setattr(usecases, "__path__", [*usecases.__path__, str(tmp_path)])

    def find(text: str) -> dict[str, spec.UseCase]:
        (tmp_path / "of_mine.py").write_text(text)
        return usecases.find_use_cases()

    yield find
    sys.modules.pop("churn_assets.usecases.of_mine", None)


def test_a_file_is_enough_for_a_use_case_to_be_found(one_more) -> None:
    use_cases = one_more(
        "from dataclasses import replace\n"
        "from churn_assets.usecases.telco_churn import telco_churn\n"
        "of_mine = replace(telco_churn, name='of_mine')\n"
    )

    assert set(use_cases) == {*USE_CASES, "of_mine"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = (\n", r"of_mine.py, line 1: SyntaxError: '\(' was never closed"),
        ("\nimport nowhere\n", "of_mine.py, line 2: ModuleNotFoundError: No module named"),
        ("of_mine = 1 / 0\n", "of_mine.py, line 1: ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_its_line(
    one_more, text: str, fault: str
) -> None:
    with pytest.raises(UseCaseError, match=fault) as refusal:
        one_more(text)

    assert str(refusal.value).startswith("the use case of_mine cannot be loaded")
    assert "\n" not in str(refusal.value)


def test_two_use_cases_of_one_name_are_refused(one_more) -> None:
    with pytest.raises(UseCaseError, match="another use case is named 'telco_churn' as well"):
        one_more(
            "from dataclasses import replace\n"
            "from churn_assets.usecases.telco_churn import telco_churn\n"
            "of_mine = replace(telco_churn, slices=())\n"
        )

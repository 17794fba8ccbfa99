"""What a use case may say, and what it is refused for."""

from __future__ import annotations

import doctest
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from churn_assets import usecases
from churn_assets.errors import UseCaseError
from churn_assets.usecases import USE_CASES, spec
from churn_assets.usecases.spec import Column, Contract, Float64, Label, Labels, String
from churn_assets_tests.support.project import USE_CASE


def test_the_examples_of_the_documentation_hold() -> None:
    found = doctest.testmod(spec)

    assert found.attempted > 5
    assert found.failed == 0


def test_every_use_case_is_found_by_its_name() -> None:
    assert {"telco_churn", "booking_cancellation"} <= set(USE_CASES)
    assert all(case.name == name for name, case in USE_CASES.items())


@pytest.mark.parametrize("case", USE_CASES.values(), ids=lambda case: case.name)
def test_the_key_of_every_use_case_is_unique(case: spec.UseCase) -> None:
    assert case.keys in case.contract.unique
    assert case.keys in case.labelled.unique


@pytest.mark.parametrize("key", ["nobody", ("customer_id", "nobody"), "monthly_charges_usd"])
def test_a_key_that_is_no_column_of_text_or_whole_numbers_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"telco_churn: '(nobody|monthly_charges_usd)' of its key"):
        replace(USE_CASE, key=key)


def test_a_label_that_no_contract_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no contract has the label's column 'left'"):
        replace(USE_CASE, label=Label("left", positive="Yes"))


def test_labels_of_their_own_need_the_key() -> None:
    labels = Labels(Contract(Column("no", String), Column("churn", String)))

    with pytest.raises(ValueError, match="'customer_id' of its key is no column"):
        replace(USE_CASE, labels=labels)


def test_a_key_may_have_parts() -> None:
    parts = Contract(
        Column("shop", String), Column("no", String), Column("x", Float64), Column("churn", String)
    )

    case = replace(USE_CASE, key=("shop", "no"), contract=parts)

    assert case.keys == ("shop", "no")
    assert case.contract.unique == (("shop", "no"),)


@pytest.fixture
def written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], dict[str, spec.UseCase]]]:
    """Look for use cases where one more file is."""
    monkeypatch.setattr(usecases, "__path__", [*usecases.__path__, str(tmp_path)])

    def find(text: str) -> dict[str, spec.UseCase]:
        (tmp_path / "of_mine.py").write_text(text)
        return usecases._found()

    yield find
    sys.modules.pop("churn_assets.usecases.of_mine", None)


def test_a_file_is_enough_for_a_use_case_to_be_found(written) -> None:
    found = written(
        "from dataclasses import replace\n"
        "from churn_assets.usecases.telco_churn import telco_churn\n"
        "of_mine = replace(telco_churn, name='of_mine')\n"
    )

    assert set(found) == {*USE_CASES, "of_mine"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = (\n", r"of_mine.py, line 1: SyntaxError: '\(' was never closed"),
        ("\nimport nowhere\n", "of_mine.py, line 2: ModuleNotFoundError: No module named"),
        ("of_mine = 1 / 0\n", "of_mine.py, line 1: ZeroDivisionError"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_by_its_line(written, text: str, told: str) -> None:
    with pytest.raises(UseCaseError, match=told) as refused:
        written(text)

    assert str(refused.value).startswith("the use case of_mine cannot be loaded")
    assert "\n" not in str(refused.value)


def test_two_use_cases_of_one_name_are_refused(written) -> None:
    with pytest.raises(UseCaseError, match="another use case is named 'telco_churn' as well"):
        written(
            "from dataclasses import replace\n"
            "from churn_assets.usecases.telco_churn import telco_churn\n"
            "of_mine = replace(telco_churn, slices=())\n"
        )

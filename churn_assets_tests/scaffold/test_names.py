"""What a user relies on whose columns have names of their own."""

from __future__ import annotations

import builtins
import keyword

import dagster as dg
import pytest

from churn_assets.scaffold import names
from churn_assets.scaffold.names import column_names, fault_of_use_case, snake_case


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("MonthlyCharges", "monthly_charges"),
        ("customerID", "customer_id"),
        ("HTTPServerError", "http_server_error"),
        ("number of adults", "number_of_adults"),
        ("número de hijos", "numero_de_hijos"),
        ("ÉtatCivil", "etat_civil"),
        ("Straße", "strasse"),
        ("Łódź ID", "lodz_id"),
        ("avg. price ($)", "avg_price"),
        ("R&D", "r_and_d"),
        ("  padded\n", "padded"),
        ("Возраст й", "возраст_й"),
        ("???", ""),
    ],
)
def test_a_name_becomes_snake_case_and_ascii_where_it_can(text: str, name: str) -> None:
    assert snake_case(text) == name


def test_each_column_has_a_name_of_its_own_that_nothing_else_has() -> None:
    sources = ["A B", "a_b", "A-b", "a_b_2", "class", "3m", "split", "Label", "!", "churn"]

    columns = column_names(sources, "churn")

    assert list(columns) == sources
    assert len(set(columns.values())) == len(sources)
    assert not names.RESERVED & set(columns.values())
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in columns.values())
    assert columns["a_b"] == "a_b_2"
    assert columns["a_b_2"] == "a_b_2_2"


def test_the_label_alone_may_be_called_label() -> None:
    assert column_names(["Label", "label"], "label") == {"Label": "label_2", "label": "label"}


@pytest.mark.parametrize(
    "name",
    ["", "My", "my-case", "my case", "1st", "a__b", "_a", "a_", "é", "class", "list", "features",
     "config", "context"],
)  # fmt: skip
def test_a_name_that_a_use_case_cannot_have_is_refused_with_why(name: str) -> None:
    assert fault_of_use_case(name)


@pytest.mark.parametrize("name", ["telco", "my_hotel_2", "churn", "label"])
def test_a_name_that_a_use_case_can_have_is_one_for_dagster_as_well(name: str) -> None:
    assert fault_of_use_case(name) == ""
    assert dg.GraphDefinition(name).name == name
    assert not hasattr(builtins, name)

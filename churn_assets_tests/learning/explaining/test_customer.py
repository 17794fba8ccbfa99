"""What is told of one customer: scores over time, what moved them, and requests."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import TableError
from churn_assets.learning.explaining.customer import on_record
from churn_assets.learning.scoring import keep_scores
from churn_assets.learning.workplace import served_tables
from churn_assets.serving.inference_log.flusher import flush
from churn_assets.serving.inference_log.pending import Pending
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, Table
from churn_assets_tests.support.project import USE_CASE
from churn_assets_tests.support.registering import with_inputs
from churn_assets_tests.support.serving.answering import logged

CASE = with_inputs(USE_CASE, ("tenure_months", "contract"))
Tables = Mapping[str, Table]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    layers = (*LAYERS, served_tables)
    return Lake(str(tmp_path / "lake"), PolarsEngine(), layers=layers).of(CASE)


def scored(tables: Tables, day: int, scores: list[float], reasons: list[str], months: int) -> None:
    """Let two customers be scored on a day, and the scores be kept."""
    features = pl.LazyFrame(
        {"customer_id": ["a", "b"], "tenure_months": [months, 7], "contract": ["Two year"] * 2}
    )
    made = tables["features"].replace(nw.from_native(features), f"features {months}")
    predictions: dict[str, Any] = {
        "customer_id": ["a", "b"],
        "churn_probability": scores,
        **{f"reason_{n}": [reason] * 2 for n, reason in enumerate(reasons, start=1)},
        "model_version": [day, day],
        "features_version": [made.version] * 2,
        "scored_at": [datetime(2024, 3, day, tzinfo=UTC)] * 2,
    }
    frame = nw.from_native(pl.LazyFrame(predictions))
    tables["predictions"].replace(frame, f"day {day}", moments=("scored_at",))
    keep_scores(tables)


def test_scores_are_told_over_time_with_what_moved_them(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill", "long contract"], months=3)
    scored(tables, 2, [0.6, 0.9], ["high bill", "long contract"], months=4)

    customer = on_record(CASE, tables, ["a"])

    assert [row["churn_probability"] for row in customer.scores] == [0.2, 0.6]
    (change,) = customer.changes
    assert (change.since.day, change.until.day, change.before, change.now) == (1, 2, 0.2, 0.6)
    assert change.model_versions == (1, 2)
    assert (change.gone, change.new) == (("low bill",), ("high bill",))
    assert change.inputs == {"tenure_months": (3, 4)}


def test_a_score_that_stayed_with_all_its_reasons_is_no_change(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)
    scored(tables, 2, [0.6, 0.9], ["low bill"], months=4)

    assert on_record(CASE, tables, ["b"]).changes == ()


def test_inputs_of_features_that_are_gone_are_not_known(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)
    scored(tables, 2, [0.6, 0.9], ["low bill"], months=4)
    place = Path(tables["features"].uri)
    shutil.rmtree(place)

    (change,) = on_record(CASE, tables, ["a"]).changes

    assert change.inputs is None


def test_what_servers_were_asked_is_told_too(tables: Tables, tmp_path: Path) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)
    (tmp_path / "log").mkdir()
    logged(tmp_path / "log", "other", key=("b",))
    for n in range(3):
        logged(tmp_path / "log", f"r{n}", key=("a",), requested_at=1_000_000 * n)
    flush(Pending(tmp_path / "log"), RequestsTable(tables["requests"].uri, CASE.keys))

    customer = on_record(CASE, tables, ["a"], most=2)

    assert [row["request_id"] for row in customer.requests] == ["r1", "r2"]
    assert customer.requests[0]["variant"] == "champion"


def test_in_a_lake_without_scores_the_predictions_are_told(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)
    shutil.rmtree(tables["scores"].uri)

    assert len(on_record(CASE, tables, ["a"]).scores) == 1


def test_a_key_of_several_parts_is_one_customer(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)
    two = replace(CASE, key=("customer_id", "contract"))
    predictions = tables["predictions"].scan().with_columns(contract=nw.lit("Two year"))
    tables["predictions"].replace(predictions, "with two keys")
    keep_scores(tables)

    assert on_record(two, tables, ["a", "Two year"]).key == {
        "customer_id": "a",
        "contract": "Two year",
    }
    with pytest.raises(TableError, match="nobody of that key"):
        on_record(two, tables, ["a", "One year"])


def test_nobody_of_a_key_is_told_without_the_key_where_that_is_private(tables: Tables) -> None:
    scored(tables, 1, [0.2, 0.9], ["low bill"], months=3)

    with pytest.raises(TableError) as error:
        on_record(CASE, tables, ["SOMEONE"])

    shown = "telco_churn: nobody of that key (customer_id SOMEONE) was ever scored or asked for."
    assert error.value.line(records=True) == shown
    assert "SOMEONE" not in error.value.line(records=False)

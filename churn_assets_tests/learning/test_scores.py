"""What is relied on where each scoring is kept: every customer, once, and none is lost later."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import TableError
from churn_assets.learning.scoring import keep_scores
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, Table
from churn_assets_tests.support.project import USE_CASE


@pytest.fixture
def tables(tmp_path: Path) -> Mapping[str, Table]:
    return Lake(str(tmp_path / "lake"), PolarsEngine(), layers=LAYERS).of(USE_CASE)


def predict(tables: Mapping[str, Table], version: str, day: int = 1, **columns: object) -> None:
    """Let predictions be those of two customers on a day."""
    frame = pl.LazyFrame(
        {
            "customer_id": ["a", "b"],
            "churn_probability": [0.1 * day, 0.9],
            "scored_at": [datetime(2024, 3, day, tzinfo=UTC)] * 2,
            **columns,
        }
    )
    tables["predictions"].replace(nw.from_native(frame), version, moments=("scored_at",))


def kept(tables: Mapping[str, Table]) -> list[tuple[str, float]]:
    rows = tables["scores"].scan().to_native().collect()
    return sorted(rows.select("customer_id", pl.col("churn_probability").round(1)).iter_rows())


def test_each_scoring_adds_a_row_for_each_customer(tables: Mapping[str, Table]) -> None:
    predict(tables, "one")
    first = keep_scores(tables)
    predict(tables, "two", day=2)
    second = keep_scores(tables)

    assert (first.rows, second.rows) == (2, 4)
    assert first.changed
    assert second.reads == {"predictions": tables["predictions"].require().version}
    assert kept(tables) == [("a", 0.1), ("a", 0.2), ("b", 0.9), ("b", 0.9)]
    assert first.data_version != second.data_version


def test_predictions_that_are_unchanged_add_nothing(tables: Mapping[str, Table]) -> None:
    predict(tables, "one")
    first = keep_scores(tables)

    again = keep_scores(tables)
    # The same rows, made by other code on another day.
    predict(tables, "other code", churn_probability=[0.1, 0.9], day=2)
    after = keep_scores(tables)

    assert (again.version, again.changed) == (first.version, False)
    assert after.version == first.version


def test_an_earlier_scoring_that_comes_again_is_kept_again(tables: Mapping[str, Table]) -> None:
    versions = set()
    for day, version in enumerate(("one", "two", "one"), start=1):
        predict(tables, version, day=day % 2 + 1)
        versions.add(keep_scores(tables).data_version)

    assert tables["scores"].require().rows == 6
    assert len(versions) == 3


def test_two_runs_at_once_keep_a_scoring_once(tables: Mapping[str, Table]) -> None:
    predict(tables, "one")

    def keep(_: int) -> str:
        try:
            return str(keep_scores(tables).rows)
        except TableError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        rows = set(pool.map(keep, range(4)))

    assert rows == {"2"}
    assert len(kept(tables)) == 2


def test_columns_may_come_and_go(tables: Mapping[str, Table]) -> None:
    predict(tables, "one")
    keep_scores(tables)
    predict(tables, "two", expected_value=[1.5, 2.5])
    keep_scores(tables)
    predict(tables, "three", day=3)
    keep_scores(tables)

    values = tables["scores"].scan().to_native().collect()["expected_value"]
    assert sorted(values.drop_nulls()) == [1.5, 2.5]
    assert values.len() == 6


def test_before_anybody_is_scored_there_is_nothing_to_keep(tables: Mapping[str, Table]) -> None:
    with pytest.raises(TableError, match="there is no table yet; run `churn run` first"):
        keep_scores(tables)

    assert tables["scores"].state() is None

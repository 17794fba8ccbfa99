"""The lake: one commit or none, and every version can be asked what it is."""

from __future__ import annotations

from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import TableError
from churn_assets.tables.lake import TABLES, Lake, Table
from churn_assets.tables.polars_engine import PolarsEngine
from churn_assets.usecases import USE_CASES

USE_CASE = USE_CASES["telco_churn"]


@pytest.fixture
def silver(tmp_path: Path) -> Table:
    return Lake(str(tmp_path), PolarsEngine()).of(USE_CASE)["silver"]


def rows(**columns: object) -> nw.LazyFrame:
    return nw.from_native(pl.LazyFrame(columns))


def values(table: Table, version: int | None = None) -> list[object]:
    return table.scan(version).to_native().collect()["a"].sort().to_list()


def test_each_use_case_has_its_tables_in_its_own_folder(tmp_path: Path) -> None:
    tables = Lake(f"{tmp_path}/", PolarsEngine()).of(USE_CASE)

    assert tuple(tables) == TABLES
    assert tables["raw"].uri == f"{tmp_path}/telco_churn/raw"


def test_a_table_that_is_not_there_yet_says_so(silver: Table) -> None:
    assert silver.state() is None
    with pytest.raises(TableError, match="there is no table yet; run `churn run` first"):
        silver.require()


def test_a_commit_says_what_it_holds_and_what_it_was_made_from(silver: Table) -> None:
    committed = silver.replace(rows(a=[1, 2], b=["x", "y"]), "v1", {"raw": 3}, note="why")

    assert (committed.version, committed.rows, committed.changed) == (0, 2, True)
    assert dict(committed.columns) == {"a": "long", "b": "string"}
    state = silver.require()
    assert (state.data_version, dict(state.reads)) == ("v1", {"raw": 3})
    assert state.details == {"note": "why"}
    assert state.size_bytes == committed.size_bytes > 0
    assert not state.changed


def test_a_replacement_takes_other_columns_and_older_versions_stay_readable(
    silver: Table,
) -> None:
    silver.replace(rows(a=[1, 2]), "v1")
    silver.replace(rows(a=[3], c=[0.5]), "v2")

    assert values(silver) == [3]
    assert values(silver, 0) == [1, 2]
    assert set(silver.require().columns) == {"a", "c"}


def test_a_table_may_hold_no_rows(silver: Table) -> None:
    committed = silver.replace(rows(a=pl.Series([], dtype=pl.Int64)), "v1")

    assert committed.rows == 0
    assert values(silver) == []


def test_only_a_table_of_the_same_data_version_is_current(silver: Table) -> None:
    silver.replace(rows(a=[1]), "v1")

    assert silver.current("v1") == silver.state()
    assert silver.current("v2") is None


def test_appending_keeps_what_was_there(silver: Table) -> None:
    silver.replace(rows(a=[1]), "v1")

    committed = silver.append(rows(a=[2]), "v2")

    assert committed.rows == 2
    assert values(silver) == [1, 2]


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "telco_churn").write_text("a file stands here")
    table = Lake(str(tmp_path), PolarsEngine()).of(USE_CASE)["silver"]

    with pytest.raises(TableError) as refused:
        table.replace(rows(a=[1]), "v1")

    assert "\n" not in str(refused.value)
    assert "could not be written" in str(refused.value)

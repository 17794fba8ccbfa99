"""Ingestion: every record as it came, and nothing twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from churn_assets.errors import SourceError
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.polars_engine import PolarsEngine
from churn_assets.tables.sources import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import Column, Contract, String
from churn_assets_tests.project import customers, write_csv

USE_CASE = USE_CASES["telco_churn"]
FEW = 50


@pytest.fixture
def tables(tmp_path: Path):
    return Lake(str(tmp_path / "lake"), PolarsEngine()).of(USE_CASE)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(uri=str(write_csv(tmp_path / "customers.csv", rows=FEW)))


def test_raw_holds_every_field_as_it_came_with_its_file_and_moment(tables, source) -> None:
    before = datetime.now(UTC)

    ingest(USE_CASE, source, tables)

    raw = tables["raw"].scan().to_native().collect()
    as_it_came = raw.drop("source_uri", "ingested_at").sort("customerID")
    blank = pl.col("TotalCharges").str.strip_chars().replace("", None)
    assert as_it_came.with_columns(blank).equals(
        customers(FEW).with_columns(blank).sort("customerID")
    )
    assert set(raw["source_uri"]) == {source.uri}
    assert before - timedelta(seconds=1) <= raw["ingested_at"][0] <= datetime.now(UTC)


def test_the_same_content_is_not_read_in_again_and_other_content_is(tables, source) -> None:
    first = ingest(USE_CASE, source, tables)
    again = ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=FEW + 1)
    other = ingest(USE_CASE, source, tables)

    assert (first.changed, again.changed, other.changed) == (True, False, True)
    assert other.rows == FEW + 1


def test_a_contract_that_asks_for_more_looks_at_the_source_again(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    more = Contract(*USE_CASE.contract.columns, Column("region", String, source="Region"))

    with pytest.raises(SourceError, match="column 'Region' is missing"):
        ingest(replace(USE_CASE, contract=more), source, tables)


def test_a_record_with_too_many_fields_is_named_by_its_line_and_raw_stands(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    before = tables["raw"].state()
    path = Path(source.uri)
    path.write_text(path.read_text() + "one,two,three" + ",x" * 30 + "\n")

    with pytest.raises(SourceError, match=rf"customers.csv: line {FEW + 2}\b"):
        ingest(USE_CASE, source, tables)

    assert tables["raw"].state() == before

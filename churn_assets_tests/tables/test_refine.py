"""What a user relies on between raw and silver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import ContractError, TableError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Committed, Lake, Table
from churn_assets.tables.refine import refine
from churn_assets_tests.support.project import USE_CASE, customers

ROWS = 40
SHARE = 0.1

Tables = Mapping[str, Table]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Lake(str(tmp_path), PolarsEngine()).of(USE_CASE)


def came(tables: Tables, version: str, broken: int = 0, twice: int = 0) -> Committed:
    """Let records come to raw, some of them broken and some of them twice."""
    frame = customers(ROWS)
    place = pl.int_range(pl.len())
    frame = frame.with_columns(
        tenure=pl.when(place < broken).then(pl.lit("many")).otherwise("tenure")
    )
    frame = pl.concat([frame, frame.tail(twice)])
    return tables["raw"].replace(nw.from_native(frame.lazy()), version, source_uri="customers.csv")


def rows(table: Table) -> pl.DataFrame:
    return table.scan().to_native().collect()


def states(tables: Tables) -> dict[str, Committed | None]:
    return {name: tables[name].state() for name in ("rejects", "silver")}


def test_every_record_goes_to_silver_or_to_rejects(tables: Tables) -> None:
    raw = came(tables, "first", broken=3)

    rejects, silver = refine(USE_CASE, tables, SHARE)

    assert (rejects.table, rejects.rows) == ("rejects", 3)
    assert (silver.table, silver.rows) == ("silver", ROWS - 3)
    assert rejects.reads == silver.reads == {"raw": raw.version}
    assert rejects.details["rules"] == {"tenure: is not a whole number": 3}
    keys = [*rows(tables["silver"])["customer_id"], *rows(tables["rejects"])["customerID"]]
    assert sorted(keys) == sorted(customers(ROWS)["customerID"])


def test_silver_has_the_contract_s_columns_and_rejects_those_of_the_source(tables: Tables) -> None:
    came(tables, "first", broken=1)

    list(refine(USE_CASE, tables, SHARE))

    assert rows(tables["silver"]).columns == [c.name for c in USE_CASE.contract.columns]
    assert rows(tables["rejects"]).columns == [*customers(1).columns, "reasons"]


def test_unchanged_records_are_not_written_again(tables: Tables) -> None:
    came(tables, "first", broken=1)
    first = list(refine(USE_CASE, tables, SHARE))

    again = list(refine(USE_CASE, tables, SHARE))

    assert again == [replace(committed, changed=False) for committed in first]


def test_new_records_replace_the_old_ones(tables: Tables) -> None:
    came(tables, "first", broken=3)
    list(refine(USE_CASE, tables, SHARE))
    came(tables, "second")

    rejects, silver = refine(USE_CASE, tables, SHARE)

    assert (rejects.rows, silver.rows) == (0, ROWS)
    assert (rejects.version, silver.version) == (1, 1)


def test_the_share_that_is_allowed_passes_and_one_record_more_does_not(tables: Tables) -> None:
    came(tables, "first", broken=4)
    assert len(list(refine(USE_CASE, tables, 4 / ROWS))) == 2
    came(tables, "second", broken=5)

    with pytest.raises(ContractError, match="5 of 40 records"):
        list(refine(USE_CASE, tables, 4 / ROWS))


def test_too_many_rejects_are_kept_and_silver_is_not_replaced(tables: Tables) -> None:
    came(tables, "first")
    list(refine(USE_CASE, tables, SHARE))
    before = states(tables)
    came(tables, "second", broken=8)

    with pytest.raises(ContractError) as refusal:
        list(refine(USE_CASE, tables, SHARE))

    assert tables["rejects"].state().rows == 8
    assert states(tables)["silver"] == before["silver"]
    assert str(refusal.value) == (
        "customers.csv: 8 of 40 records (20.0%) break the contract, and at most 10.0% may; most "
        f"often: tenure: is not a whole number (8). They are kept in {tables['rejects'].uri}; "
        "silver was not replaced. Mend the source, or raise CHURN_MAX_REJECT_SHARE."
    )


def test_too_many_rejects_are_refused_again_and_pass_once_more_are_allowed(tables: Tables) -> None:
    came(tables, "first", broken=8)
    for _ in range(2):
        with pytest.raises(ContractError):
            list(refine(USE_CASE, tables, SHARE))

    rejects, silver = refine(USE_CASE, tables, 0.2)

    assert (rejects.version, rejects.rows, rejects.changed) == (0, 8, False)
    assert (silver.version, silver.rows) == (0, ROWS - 8)


def test_a_repeated_key_stops_before_even_rejects_are_replaced(tables: Tables) -> None:
    came(tables, "first", broken=1)
    list(refine(USE_CASE, tables, SHARE))
    before = states(tables)
    came(tables, "second", broken=2, twice=2)

    with pytest.raises(ContractError, match=r"customers.csv: column 'customerID' must be unique"):
        list(refine(USE_CASE, tables, SHARE))

    assert states(tables) == before


def test_without_raw_the_reader_is_told_what_to_run(tables: Tables) -> None:
    with pytest.raises(TableError, match=r"raw: there is no table yet; run `churn run` first"):
        list(refine(USE_CASE, tables, SHARE))

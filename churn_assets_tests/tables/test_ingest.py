"""Ingestion: every record as it came, and nothing twice."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from churn_assets.errors import ContractError, SourceError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.ingest import ingest, ingest_labels
from churn_assets.tables.lake import Committed, Lake, Table
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.tables.volume import VolumeSettings
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import Column, Contract, Date, Label, String, UseCase
from churn_assets_tests.support.project import customers, write_csv

USE_CASE = USE_CASES["telco_churn"]
KEEPING = replace(
    USE_CASE,
    name="keeping",
    key="id",
    label=Label("left", positive="Yes"),
    contract=Contract(
        Column("id", String),
        Column("seen", Date),
        Column("plan", String),
        Column("left", String, nullable=True),
    ),
    time="seen",
    clean=lambda frame: frame,
)
FEW = 50
PASSWORD, TOKEN = "pa55word", "t0ken"


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


def test_a_file_that_was_only_touched_is_not_read_in_again(tables, source) -> None:
    first = ingest(USE_CASE, source, tables)
    os.utime(source.uri, (0, 0))

    assert ingest(USE_CASE, source, tables) == replace(first, changed=False)


def test_other_content_replaces_every_record_and_the_last_one_stays_readable(
    tables, source
) -> None:
    ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=FEW, seed=1)

    ingest(USE_CASE, source, tables)

    genders = {seed: customers(FEW, seed).sort("customerID")["gender"] for seed in (0, 1)}
    for version, seed in enumerate(genders):
        raw = tables["raw"].scan(version).to_native().collect().sort("customerID")
        assert raw["gender"].equals(genders[seed])


def test_another_way_to_read_a_file_reads_it_in_again(tables, source) -> None:
    before = ingest(USE_CASE, source, tables)
    text = Path(source.uri).read_text()
    Path(source.uri).write_text(text.replace("customerID", "id", 1))

    committed = ingest(USE_CASE, source.model_copy(update={"rename": {"id": "customerID"}}), tables)

    assert committed.version > before.version
    assert "customerID" in committed.columns
    # The records are those of before, so that nothing is made anew from them.
    assert committed.data_version == before.data_version


def test_typed_columns_keep_their_types_and_others_are_kept_too(tables, tmp_path) -> None:
    path = tmp_path / "customers.parquet"
    typed = customers(FEW).with_columns(pl.col("tenure").cast(pl.Int32), segment=pl.lit("b2b"))
    typed.drop("Churn").write_parquet(path)

    committed = ingest(USE_CASE, Source(uri=str(path)), tables)

    assert committed.columns["tenure"] == "integer"
    assert committed.columns["Churn"] == "string"
    assert committed.columns["ingested_at"] == "timestamp"
    assert committed.details == {
        "source_uri": str(path),
        "files": 1,
        "extra_columns": ["segment"],
        "missing_label": True,
    }


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """Address of a server that gives out the files of a folder."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Silent, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_credentials_of_an_address_are_kept_nowhere(tables, source, web) -> None:
    name = Path(source.uri).name
    address = f"http://someone:{PASSWORD}@{web}/{name}?sig={TOKEN}"

    committed = ingest(USE_CASE, Source(uri=address), tables)

    assert set(tables["raw"].scan().to_native().collect()["source_uri"]) == {f"http://{web}/{name}"}
    kept = [path.read_bytes() for path in Path(committed.uri).rglob("*") if path.is_file()]
    kept.append(repr(committed).encode())
    assert len(kept) > 2
    assert not any(secret.encode() in content for secret in (PASSWORD, TOKEN) for content in kept)


def test_a_source_that_is_gone_is_refused_and_raw_stands(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    before = tables["raw"].state()
    Path(source.uri).unlink()

    with pytest.raises(SourceError, match="there is no such file or folder"):
        ingest(USE_CASE, source, tables)

    assert tables["raw"].state() == before


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


# History


@dataclass
class History:
    """A source whose files are added to raw, one after another."""

    tables: Mapping[str, Table]
    path: Path
    use_case: UseCase = KEEPING

    def came(self, *records: tuple[str, str, str]) -> Committed:
        frame = pl.DataFrame(records, schema=["id", "seen", "plan"], orient="row")
        frame.with_columns(left=pl.lit("No")).write_csv(self.path)
        return ingest(self.use_case, Source(uri=str(self.path), append=True), self.tables)

    def silver(self) -> dict[str, str]:
        """Plan of each customer."""
        list(refine(self.use_case, self.tables))
        return dict(self.tables["silver"].scan().to_native().collect().select("id", "plan").rows())


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(Lake(str(tmp_path / "lake"), PolarsEngine()).of(KEEPING), tmp_path / "f.csv")


def test_new_and_changed_records_are_added_and_silver_has_the_newest(history: History) -> None:
    history.came(("a", "2020-01-01", "basic"), ("b", "2020-01-01", "basic"))

    second = history.came(("a", "2020-02-01", "plus"), ("c", "2020-02-01", "basic"))

    assert (second.rows, second.details["added"]) == (4, 2)
    assert history.silver() == {"a": "plus", "b": "basic", "c": "basic"}


def test_a_late_file_adds_to_history_and_changes_nobody(history: History) -> None:
    history.came(("a", "2020-02-01", "plus"))

    late = history.came(("a", "2020-01-01", "basic"))

    assert late.rows == 2
    assert history.silver() == {"a": "plus"}


def test_a_file_that_comes_again_changes_nothing(history: History) -> None:
    history.came(("a", "2020-01-01", "basic"), ("a", "2020-01-01", "basic"))
    second = history.came(("a", "2020-02-01", "plus"))

    again = history.came(("a", "2020-01-01", "basic"))
    with_one_more_blank = history.came(("a", "2020-02-01", "plus"), ("a", "2020-01-01", "basic"))

    assert second.rows == 2
    assert again == with_one_more_blank == replace(second, changed=False)


def test_a_correction_of_a_record_counts_instead_of_it(history: History) -> None:
    history.came(("a", "2020-01-01", "basic"))

    history.came(("a", "2020-01-01", "plus"))

    assert history.silver() == {"a": "plus"}


def test_two_records_of_a_customer_in_one_file_and_of_one_day_are_refused(
    history: History,
) -> None:
    history.came(("a", "2020-01-01", "basic"), ("a", "2020-01-01", "plus"))

    with pytest.raises(ContractError, match="column 'id' must be unique, and 1 records repeat"):
        history.silver()


def test_columns_that_come_later_are_null_before(history: History) -> None:
    history.came(("a", "2020-01-01", "basic"))
    pl.DataFrame(
        {"id": ["b"], "seen": ["2020-02-01"], "plan": ["plus"], "left": ["No"], "more": ["x"]}
    ).write_csv(history.path)

    ingest(KEEPING, Source(uri=str(history.path), append=True), history.tables)

    raw = history.tables["raw"].scan().to_native().collect()
    assert dict(raw.select("id", "more").rows()) == {"a": None, "b": "x"}


def test_a_changed_type_is_refused_and_what_is_kept_stands(history: History) -> None:
    first = history.came(("a", "2020-01-01", "basic"))
    typed = history.path.with_suffix(".parquet")
    pl.DataFrame(
        {"id": [2], "seen": ["2020-02-01"], "plan": ["plus"], "left": ["No"]}
    ).write_parquet(typed)

    with pytest.raises(SourceError, match=r"changed their type \('id' is Int64 and was String\)"):
        ingest(KEEPING, Source(uri=str(typed), append=True), history.tables)

    assert history.tables["raw"].require().version == first.version


# A source that is cut, and records that nobody named

CUT = r"customers.csv seems to be cut: 15 records came, 30 % of the 50 before. The table raw"
OTHER_KEYS = pl.concat_str(pl.lit("x"), "customerID").alias("customerID")
LOSSES = [
    (lambda frame: frame.with_columns(TotalCharges=pl.lit("")), r"'TotalCharges' in 0 % .* 100 %"),
    (lambda frame: frame.with_columns(OTHER_KEYS), "0 of the 50 customers before came"),
]
BOOKING = USE_CASES["booking_cancellation"]
MADE_UP = Source(rows=FEW)


def origin_of(tables: Mapping[str, Table]) -> str:
    return str(tables["raw"].require().details["source_uri"])


def test_a_cut_file_is_refused_each_time_and_raw_stands(tables, source) -> None:
    whole = ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=15)

    for _ in range(2):
        with pytest.raises(SourceError, match=CUT) as refusal:
            ingest(USE_CASE, source, tables)

    assert "--accept" in str(refusal.value)
    assert "sources.telco_churn.volume.rows (0.5)" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert tables["raw"].state() == replace(whole, changed=False)


def test_a_cut_file_is_accepted_once_and_that_is_no_permission(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=15)
    accepted = ingest(USE_CASE, source, tables, accept=True)
    again = ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=FEW)
    ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), rows=15)

    with pytest.raises(SourceError, match=CUT):
        ingest(USE_CASE, source, tables)

    assert (accepted.rows, accepted.details["customers_gone"]) == (15, 35)
    assert "rows" in accepted.details["accepted"]
    assert again == replace(accepted, changed=False)
    assert tables["raw"].require().rows == FEW


@pytest.mark.parametrize(("change", "loss"), LOSSES, ids=["emptied", "other customers"])
def test_a_file_without_a_column_s_values_or_the_customers_is_refused(
    tables, source, change, loss
) -> None:
    whole = ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), change, rows=FEW)

    with pytest.raises(SourceError, match=loss):
        ingest(USE_CASE, source, tables)

    assert tables["raw"].state() == replace(whole, changed=False)


def test_deliveries_of_other_customers_are_let_pass_by_a_setting(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), LOSSES[1][0], rows=FEW)
    each_anew = source.model_copy(update={"volume": VolumeSettings(keys=0)})

    committed = ingest(USE_CASE, each_anew, tables)

    assert (committed.changed, committed.details["unusual"]) == (True, {})


def test_customers_whose_outcomes_are_not_known_yet_are_no_loss(tables, source) -> None:
    ingest(USE_CASE, source, tables)
    write_csv(Path(source.uri), lambda frame: frame.drop("Churn"), rows=FEW)

    assert ingest(USE_CASE, source, tables).changed


def test_files_that_bring_what_is_new_are_small_and_still_keep_their_values(tables, source) -> None:
    adding = source.model_copy(update={"append": True})
    ingest(USE_CASE, adding, tables)
    write_csv(Path(source.uri), rows=2, seed=1)
    added = ingest(USE_CASE, adding, tables)
    write_csv(Path(source.uri), LOSSES[0][0], rows=FEW, seed=2)

    with pytest.raises(SourceError, match="'TotalCharges' in 0 % of the records"):
        ingest(USE_CASE, adding, tables)

    assert added.rows == tables["raw"].require().rows == FEW + 2


def test_made_up_customers_never_replace_named_ones(tables, source) -> None:
    named = ingest(USE_CASE, source, tables)
    Path(source.uri).unlink()

    stands = ingest(USE_CASE, MADE_UP, tables)

    assert replace(stands, details=named.details) == replace(named, changed=False)
    assert stands.details["stands"] == (
        f"no source is named now, so the records of {source.uri} stand"
    )
    assert origin_of(tables) == source.uri


def test_made_up_customers_come_where_they_are_named_and_first_of_all(tables, source) -> None:
    first = ingest(USE_CASE, MADE_UP, tables)
    fewer = ingest(USE_CASE, Source(rows=10), tables)
    ingest(USE_CASE, source, tables)
    named = ingest(USE_CASE, Source(uri="generated", rows=10), tables)

    assert (first.rows, fewer.rows, named.rows) == (FEW, 10, 10)
    assert origin_of(tables) == "generated:telco_churn?rows=10&seed=0"


def test_made_up_customers_are_no_history_of_named_ones(tables, source) -> None:
    ingest(USE_CASE, MADE_UP.model_copy(update={"append": True}), tables)
    write_csv(Path(source.uri), rows=10)

    committed = ingest(USE_CASE, source.model_copy(update={"append": True}), tables)

    assert committed.rows == 10
    assert tables["raw"].scan().to_native().collect()["source_uri"].unique().to_list() == [
        source.uri
    ]


@pytest.fixture
def bookings(tmp_path: Path) -> tuple[Source, Mapping[str, Table]]:
    """A file of bookings with their outcomes, and the tables that hold it."""
    path = tmp_path / "bookings.csv"
    pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in BOOKING.generate(200, 0)]).write_csv(
        path
    )
    booked = Source(uri=str(path))
    tables = Lake(str(tmp_path / "lake"), PolarsEngine()).of(BOOKING)
    ingest(BOOKING, booked, tables)
    return booked, tables


def test_outcomes_are_not_made_up_for_named_records(bookings) -> None:
    _, tables = bookings

    with pytest.raises(SourceError, match=r"no outcomes are made up for them.*labels\.uri"):
        ingest_labels(BOOKING, MADE_UP, tables)

    assert tables["labels"].state() is None


def test_outcomes_that_nobody_names_stand_and_cut_ones_are_refused(bookings, tmp_path) -> None:
    booked, tables = bookings
    whole = ingest_labels(BOOKING, booked, tables)
    stands = ingest_labels(BOOKING, MADE_UP, tables)
    cut = tmp_path / "cut.csv"
    pl.read_csv(booked.uri, infer_schema=False).head(20).write_csv(cut)

    with pytest.raises(SourceError, match=r"20 records came, 10 % .*The table labels was not"):
        ingest_labels(BOOKING, Source(uri=str(cut)), tables)

    assert stands.data_version == whole.data_version
    assert tables["labels"].state() == replace(whole, changed=False)


def test_labels_keep_the_columns_of_their_contract_and_raw_keeps_all(bookings) -> None:
    booked, tables = bookings

    committed = ingest_labels(BOOKING, booked, tables)

    own = ["Booking_ID", "booking_status"]
    assert list(committed.columns) == [*own, "source_uri", "ingested_at"]
    assert set(own) < set(tables["raw"].require().columns)

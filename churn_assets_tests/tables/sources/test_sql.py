"""What a user relies on where records come from a database."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow.parquet as pq
import pytest

from churn_assets.errors import SourceError
from churn_assets.settings import load_settings
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.ingest import ingest, ingest_labels
from churn_assets.tables.lake import Lake
from churn_assets.tables.sources.columns import Expected
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import (
    Column,
    Contract,
    Date,
    Float64,
    Int64,
    Label,
    Labels,
    String,
    UseCase,
)
from churn_assets_tests.support.postgres import OWNER, PASSWORD, READER, Postgres
from churn_assets_tests.support.processes import HOST, free_ports
from churn_assets_tests.support.project import Project, customers

ENGINE = PolarsEngine()
MEMBER = Contract(
    Column("id", Int64, unique=True),
    Column("plan", String, source="plan name"),
    Column("price", Float64, nullable=True),
)
GYM = UseCase(
    name="gym",
    key="id",
    label=Label("left", positive="Yes"),
    contract=Contract(*MEMBER.columns, Column("left", String, nullable=True)),
    clean=lambda frame: frame,
    features=lambda frame: frame,
    numeric=("price",),
    categorical=("plan",),
    description="Who leaves the gym.",
)
EXPECTED = Expected.of(GYM)
ANYTHING = Expected(contract=Contract(), settings="sources.gym", label=None)
ROWS = {"id": [1, 2], "plan name": ["basic", "plus"], "price": [9.5, None], "left": ["No", "Yes"]}
MANY = "SELECT i, repeat('x', 1000) AS filling FROM generate_series(1, 20000) AS i"
"""More than fits into one batch."""


@pytest.fixture(scope="module", autouse=True)
def _members(postgres: Postgres) -> None:
    postgres.load("members", ROWS)


@pytest.fixture
def source(postgres: Postgres) -> Callable[..., Source]:
    """A source of the server, as one who may only read signs in there."""

    def of(**settings: Any) -> Source:
        return Source(**{"uri": postgres.uri(), **settings})

    return of


@pytest.fixture
def tables(tmp_path: Path):
    return Lake(str(tmp_path / "lake"), ENGINE).of(GYM)


def read_records(source: Source, expected: Expected = ANYTHING, engine: Engine = ENGINE):
    return open_source(source, expected).records(engine)


def fingerprint(source: Source) -> str:
    return open_source(source, ANYTHING).fingerprint()


def read(source: Source, expected: Expected = ANYTHING, engine: Engine = ENGINE):
    """Rows of a source, without where they come from."""
    frame = read_records(source, expected, engine).frame
    return [tuple(row.values())[:-1] for row in engine.collect(frame).to_pylist()]


def refusal(source: Source, expected: Expected = ANYTHING) -> str:
    with pytest.raises(SourceError) as caught:
        read_records(source, expected)
    message = str(caught.value)
    assert "\n" not in message
    assert not any(secret in message for secret in (PASSWORD, quote(PASSWORD, safe=""), READER))
    return message


# What is read


def test_a_table_is_read_with_its_own_address(postgres, source) -> None:
    read = read_records(source(table="members"), EXPECTED)

    address = f"postgresql://{HOST}:{postgres.port}/postgres/members"
    assert (read.uri, read.extra, read.missing_label) == (address, (), False)
    assert ENGINE.collect(read.frame).to_pylist() == [
        {"id": 1, "plan_name": "basic", "price": 9.5, "left": "No", "source_uri": address},
        {"id": 2, "plan_name": "plus", "price": None, "left": "Yes", "source_uri": address},
    ]


@pytest.mark.parametrize("end", ["", ";", " -- all of them", "\n;\n"])
def test_a_query_is_read_as_it_is_written(postgres, source, end) -> None:
    query = f'SELECT id, "plan name", price AS cost FROM members WHERE id = 2{end}'

    read = read_records(source(query=query, rename={"cost": "price"}), EXPECTED)

    assert read.uri == f"postgresql://{HOST}:{postgres.port}/postgres/query"
    assert read.missing_label
    rows = ENGINE.collect(read.frame.drop("source_uri")).to_pylist()
    assert rows == [{"id": 2, "plan_name": "plus", "price": None, "left": None}]


@pytest.fixture(scope="module")
def kinds(postgres: Postgres) -> None:
    """A table with a column of each type that a table can hold."""
    postgres.run(
        "CREATE TYPE mood AS ENUM ('sad', 'glad')",
        "CREATE DOMAIN years AS smallint CHECK (VALUE >= 0)",
        "CREATE TABLE kinds (whole integer, small smallint, large bigint, age years, real4 real,"
        " real8 double precision, price numeric(10, 2), exact numeric, huge numeric(40, 2),"
        " words text, few varchar(5), fixed char(3), mood mood, notes json, facts jsonb, code uuid,"
        " picture bytea, flag boolean, day date, moment timestamptz, clock timestamp)",
        "INSERT INTO kinds VALUES (1, 2, 9223372036854775807, 3, 0.5, 0.1, -1.5,"
        " 12345678901234567890.123456789, 1.25, 'Zoë 東京', 'five5', 'ab', 'glad',"
        """ '{"a": [1]}', '{"b": null}', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '\\xdead', true,"""
        " '0001-01-01', '2020-01-02 03:04:05.123456+02', '9999-12-31 23:59:59.999999'),"
        " (NULL, NULL, NULL, NULL, 'NaN', 'infinity', NULL, 'NaN', NULL, '', NULL, NULL, NULL,"
        " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
        f"GRANT SELECT ON kinds TO {READER}",
    )


def test_types_are_kept(kinds, source) -> None:
    frame = read_records(source(table="kinds")).frame.drop("source_uri")

    assert {name: str(of) for name, of in frame.to_native().collect_schema().items()} == {
        **{"whole": "Int32", "small": "Int16", "large": "Int64", "age": "Int16"},
        **{"real4": "Float32", "real8": "Float64", "flag": "Boolean", "picture": "Binary"},
        "price": "Decimal(precision=10, scale=2)",
        **dict.fromkeys(("exact", "huge", "words", "few", "fixed", "mood"), "String"),
        **dict.fromkeys(("notes", "facts", "code"), "String"),
        **{"day": "Date", "clock": "Datetime(time_unit='us', time_zone=None)"},
        "moment": "Datetime(time_unit='us', time_zone='UTC')",
    }
    assert frame.to_native().collect().row(0) == (
        *(1, 2, 2**63 - 1, 3, 0.5, 0.1, Decimal("-1.50"), "12345678901234567890.123456789"),
        *("1.25", "Zoë 東京", "five5", "ab ", "glad", '{"a": [1]}', '{"b": null}'),
        *("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", b"\xde\xad", True, date(1, 1, 1)),
        datetime(2020, 1, 2, 1, 4, 5, 123456, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999),
    )


def test_spark_reads_the_same_values(kinds, source, spark_engine) -> None:
    # A NaN is not equal to itself, nor has it one name.
    query = "SELECT * FROM kinds WHERE whole = 1"

    here, there = (read(source(query=query), engine=engine) for engine in (ENGINE, spark_engine))

    assert len(here) == 1
    assert there == here


@pytest.mark.parametrize(
    ("value", "type_name"),
    [
        ("time '10:00'", "time"),
        ("interval '1 day'", "interval"),
        ("CAST(1 AS money)", "money"),
        ("CAST(4000000000 AS oid)", "oid"),
        ("inet '10.0.0.1'", "inet"),
        ("ARRAY[[1, 2], [3, 4]]", "_int4"),
        ("ARRAY[numeric '1']", "_numeric"),
        ("ROW(1, 2)", "record"),
        ("(SELECT members FROM members LIMIT 1)", "members"),
        ("int4range(1, 2)", "unnamed"),
    ],
)
def test_a_column_that_no_table_can_hold_is_named_with_its_type(source, value, type_name) -> None:
    message = refusal(source(query=f"SELECT 1 AS id, {value} AS odd"))

    assert f"column 'odd' is of type {type_name}" in message
    assert "Read it by a query that casts it to text, or that leaves it out." in message


@pytest.mark.parametrize(
    "value",
    [
        "date 'infinity'",
        "date '0001-12-31 BC'",
        "timestamptz '-infinity'",
        "timestamp '10000-01-01'",
        "timestamp '294276-12-31'",
    ],
)
def test_a_day_that_no_table_can_hold_is_told_and_not_turned_into_another(source, value) -> None:
    message = refusal(source(query=f"SELECT {value} AS until UNION ALL SELECT NULL"))

    assert "column 'until' holds infinity, or a day before the year 1 or after 9999" in message


def test_a_decimal_that_is_no_number_is_told(source) -> None:
    message = refusal(source(query="SELECT CAST('NaN' AS numeric(4, 2)) AS price"))

    assert "column 'price' holds NaN" in message


def test_text_of_another_encoding_is_read(postgres, source) -> None:
    postgres.run("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
    uri = postgres.uri(database="old", options="?client_encoding=LATIN1")

    assert read(source(uri=uri, query="SELECT chr(233) AS letter")) == [("é",)]


def test_more_rows_than_one_batch_are_read_once_each(source) -> None:
    rows = open_source(source(query=MANY), ANYTHING)
    frame = rows.records(ENGINE).frame.to_native().collect()

    assert pq.ParquetFile(rows.location.uri).num_row_groups > 1
    assert frame["i"].sort().equals(pl.Series("i", range(1, 20_001), pl.Int32))
    assert set(frame["filling"]) == {"x" * 1000}


# Names of tables


def test_a_table_is_named_as_in_sql(postgres, source) -> None:
    odd = 'Kim\'s "list"; --'
    quoted = odd.replace('"', '""')
    postgres.run(
        "CREATE SCHEMA IF NOT EXISTS club",
        f'CREATE TABLE club."{quoted}" AS SELECT 7 AS id',
        f"GRANT USAGE ON SCHEMA club TO {READER}",
        f'GRANT SELECT ON club."{quoted}" TO {READER}',
    )

    assert read(source(table=f'club."{quoted}"')) == [(7,)]
    assert len(read(source(table="public.members"))) == 2
    assert len(read(source(table=" Members "))) == 2


@pytest.mark.parametrize(
    "table",
    ["members; DROP TABLE members", "members WHERE id = 1", 'members" --', "(SELECT 1 AS id) AS t"],
)
def test_a_name_is_never_run(source, table) -> None:
    assert "sources.gym.table" in refusal(source(table=table))
    assert len(read(source(table="members"))) == 2


@pytest.mark.parametrize("table", ["membrs", "public.member", "Publik.members"])
def test_a_table_that_is_not_there_is_told_with_its_likeness(source, table) -> None:
    message = refusal(source(table=table))

    assert f"/{table}: there is no such table. 'public.members' looks like it. Correct" in message


# What the columns must be


def test_a_missing_column_is_told_before_any_row_is_computed(source) -> None:
    query = "SELECT i AS id, '' AS \"Plan Name\", 1 / (i - i) AS price FROM generate_series(1, 9) i"

    message = refusal(source(query=query), EXPECTED)

    assert (
        "/query: columns 'plan name', 'left' are missing (found 2 of 4 columns). "
        "Nothing was replaced. 'Plan N" in message
    )
    assert "sources.gym.rename" in message


def test_columns_of_one_name_are_refused(source) -> None:
    assert "two columns of one name, 'id' and 'id'" in refusal(source(query="SELECT 1 id, 2 id"))


def test_a_table_without_rows_is_refused(source) -> None:
    assert "has columns and no records" in refusal(source(query="SELECT 1 AS id WHERE false"))


# Only read


def test_a_query_that_writes_is_refused_and_changes_nothing(postgres, source) -> None:
    postgres.run(
        "CREATE FUNCTION forget_members() RETURNS integer LANGUAGE sql"
        " AS 'DELETE FROM members; SELECT 1'"
    )
    queries = {
        "DELETE FROM members": "the statement writes, and a source is only read",
        "DELETE FROM members RETURNING id": "the statement writes",
        "WITH gone AS (DELETE FROM members RETURNING id) TABLE gone": "the statement writes",
        "SELECT forget_members()": "the statement writes",
        "CREATE TABLE copied AS SELECT * FROM members": "the statement writes",
        "SELECT set_config('transaction_read_only', 'off', true), forget_members()": "read-write",
    }

    for query, says in queries.items():
        assert says in refusal(source(uri=postgres.uri(OWNER), query=query))

    assert len(read(source(table="members"))) == 2


# Fingerprints


def test_the_fingerprint_is_the_rows_in_any_order(source) -> None:
    def of(query: str) -> str:
        return fingerprint(source(query=query))

    rows = "SELECT * FROM (VALUES (1, 'a', 'b'), (2, 'c', NULL)) AS t (id, x, y)"
    assert of(f"{rows} ORDER BY id DESC") == of(f"{rows} ORDER BY id")
    assert of(f"{MANY} ORDER BY i DESC") == of(MANY)
    others = [
        rows.replace("'a', 'b'", "'b', 'a'"),
        rows.replace("NULL", "''"),
        rows.replace("NULL", "'d'"),
        rows.replace("(id, x", "(id, z"),
        rows.replace("SELECT *", "SELECT id::bigint, x, y"),
        f"{rows} UNION ALL SELECT 2, 'c', NULL",
        f"{rows} LIMIT 1",
    ]
    assert len({of(query) for query in [rows, *others]}) == 1 + len(others)


def test_the_fingerprint_tells_values_of_every_type_apart(kinds, postgres, source) -> None:
    def prints() -> list[str]:
        return [fingerprint(source(query=f"SELECT {name} FROM kinds")) for name in changes]

    changes = {
        **{"whole": "2", "real8": "'NaN'", "price": "1.51", "picture": "'\\x00'"},
        **{"day": "'1970-01-01'", "clock": "'1970-01-01'"},
    }
    before = prints()
    assert prints() == before
    postgres.run("CREATE TABLE saved AS TABLE kinds")
    try:
        postgres.run(f"UPDATE kinds SET {', '.join(f'{n} = {to}' for n, to in changes.items())}")
        assert not set(before) & set(prints())
    finally:
        postgres.run("TRUNCATE kinds", "INSERT INTO kinds TABLE saved", "DROP TABLE saved")


def test_the_same_rows_are_not_read_in_again_and_other_rows_are(postgres, source, tables) -> None:
    postgres.load("visitors", ROWS)
    visitors = source(table="visitors")
    first = ingest(GYM, visitors, tables)
    # An update puts a row behind the others.
    postgres.run("UPDATE visitors SET id = id WHERE id = 1")
    again = ingest(GYM, visitors, tables)
    postgres.run("UPDATE visitors SET price = 8 WHERE id = 1")
    other = ingest(GYM, visitors, tables)

    assert [committed.changed for committed in (first, again, other)] == [True, False, True]
    raw = tables["raw"].scan().to_native().collect().sort("id")
    assert raw["price"].to_list() == [8.0, None]
    assert other.details["source_uri"].endswith("/postgres/visitors")


def test_rows_that_are_new_are_added_to_those_that_are_kept(postgres, source, tables) -> None:
    postgres.load("visits", ROWS)
    visits = source(table="visits", append=True)
    ingest(GYM, visits, tables)
    postgres.run("UPDATE visits SET \"left\" = 'Yes' WHERE id = 1")

    added = ingest(GYM, visits, tables)
    again = ingest(GYM, visits, tables)

    assert (added.rows, again.changed) == (3, False)


def test_labels_come_from_a_table_of_their_own(source, tmp_path) -> None:
    outcome = Contract(Column("id", Int64), Column("left", String), Column("day", Date))
    gym = replace(GYM, contract=MEMBER, labels=Labels(outcome))
    labels = source(query="SELECT id, \"left\", date '2020-01-02' AS day FROM members")
    tables = Lake(str(tmp_path / "lake"), ENGINE).of(gym)

    committed = ingest_labels(gym, Source(uri="members.csv", labels=labels), tables)

    assert committed.columns["day"] == "date"
    assert tables["labels"].scan().to_native().collect()["left"].sort().to_list() == ["No", "Yes"]


# What cannot be read


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"password": "wrong"}, "access is denied. Check sources.gym.uri."),
        ({"user": "nobody", "password": "x"}, "access is denied. Check sources.gym.uri."),
        ({"database": "nowhere"}, "there is no such database. Check sources.gym.uri."),
        (
            {"options": "?sslmode=require"},
            "there is no encrypted connection, and sslmode",
        ),
        ({"options": "?colour=red"}, "cannot be connected to. Check sources.gym.uri."),
    ],
)
def test_a_database_that_lets_nobody_in_is_told(postgres, source, changes, says) -> None:
    message = refusal(source(uri=postgres.uri(**changes), table="members"))

    database = changes.get("database", "postgres")
    assert message.startswith(f"postgresql://{HOST}:{postgres.port}/{database}/members: {says}")


def test_a_server_that_does_not_answer_is_told(source) -> None:
    (free,) = free_ports(1)
    with socket.create_server((HOST, 0)) as silent:
        places = [f"{HOST}:{free}", "no.such.host.invalid", f"{HOST}:{silent.getsockname()[1]}"]
        for place in places:
            uri = f"postgresql://{READER}:x@{place}/crm?connect_timeout=2"
            message = refusal(source(uri=uri, table="members"))
            assert message.startswith(f"postgresql://{place}/crm/members: cannot be reached.")


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://{READER}:pa55/word@{HOST}/crm",
        f"postgresql://{READER}:pa55?word@{HOST}/crm",
        f"postgresql://{READER}:pa55#word@{HOST}/crm",
        f"postgresql://{READER}:pa55@word@{HOST}/crm",
        f"postgresql://{READER}:pa55@{HOST}",
        f"postgresql://{READER}:pa55@{HOST}/",
    ],
)
def test_an_address_that_cannot_be_told_apart_is_refused_and_not_shown(source, uri) -> None:
    message = refusal(source(uri=uri, table="members"))

    assert message.startswith("sources.gym.uri: is not an address of a database. Write it as")
    assert "pa55" not in message


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "sources.gym.table and .query are both empty. Set one"),
        ({"table": " ", "query": "\n"}, "sources.gym.table and .query are both empty. Set one"),
        ({"table": "members", "query": "SELECT 1"}, "sources.gym.table and .query are both set."),
        (
            {"uri": "members.csv", "table": "members"},
            "sources.gym.table: is only of a database, and sources.gym.uri is members.csv. Leave",
        ),
        (
            {"uri": "", "query": "SELECT 1"},
            "sources.gym.query: is only of a database, and sources.gym.uri is empty. Leave",
        ),
    ],
)
def test_what_to_read_must_be_said_once_and_of_a_database(source, settings, says) -> None:
    assert says in refusal(source(**settings))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELEC 1", 'PostgreSQL refused: syntax error at or near "SELEC". Correct'),
        ("SELECT 1; SELECT 2", "PostgreSQL refused: cannot insert multiple commands"),
        ("SELECT * FROM nowhere", 'PostgreSQL refused: relation "nowhere" does not exist'),
        ("SELECT prise FROM members", 'the column "members.price". Correct sources.gym.query'),
        ("BEGIN", "the query gives no columns. Make it a SELECT in sources.gym.query"),
        ("SHOW ALL", "PostgreSQL refused: syntax error"),
        ("SELECT * FROM secrets", "permission denied for table secrets. Grant"),
        ("SELECT 1 / (i - 9999) FROM generate_series(1, 20000) AS i", "division by zero"),
    ],
)
def test_a_query_that_postgresql_refuses_is_told_in_its_words(postgres, source, query, says):
    postgres.run("CREATE TABLE IF NOT EXISTS secrets (id integer)")

    assert says in refusal(source(query=query))


def test_a_refusal_names_no_value_of_a_record(source) -> None:
    message = refusal(source(query='SELECT CAST("plan name" AS integer) FROM members'))

    assert 'invalid input syntax for type integer: "...". Correct sources.gym.query.' in message


def test_a_connection_that_the_server_ends_is_told(source) -> None:
    ends = "CASE i WHEN 19000 THEN pg_terminate_backend(pg_backend_pid()) END"
    message = refusal(source(query=MANY.replace("FROM", f", {ends} FROM", 1)))

    assert message.endswith("/query: the connection broke while rows were read. Run again.")


def test_a_connection_that_is_cut_is_told(postgres, source) -> None:
    with _cut_after(8 << 20, postgres.port) as port:
        message = refusal(source(uri=replace(postgres, port=port).uri(), query=MANY))

    assert message.endswith("/query: the connection broke while rows were read. Run again.")


@contextmanager
def _cut_after(size: int, port: int) -> Iterator[int]:
    """Port that leads to another one, until so many bytes have come from there."""

    def pass_on(here: socket.socket, there: socket.socket, most: float) -> None:
        with suppress(OSError):
            while most > 0 and (block := here.recv(1 << 16)):
                there.sendall(block)
                most -= len(block)
        for end in (here, there):
            with suppress(OSError):
                # To close it would wait for the other thread, which reads from it.
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, server = listening.accept()[0], socket.create_connection((HOST, port))
                Thread(target=pass_on, args=(client, server, float("inf")), daemon=True).start()
                Thread(target=pass_on, args=(server, client, size), daemon=True).start()

    with socket.create_server((HOST, 0)) as listening:
        Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_a_fault_of_the_engine_is_not_laid_on_a_database(source) -> None:
    assert open_source(source(table="members"), ANYTHING).explain(OSError("disk full")) is None


def test_without_the_extra_one_line_says_what_to_install(source, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)

    message = refusal(source(table="members"))

    assert "needs adbc_driver_postgresql, which is not installed" in message
    assert "pip install 'churn-assets[sql]'" in message


# The whole path


def test_address_and_query_can_be_variables(postgres, monkeypatch) -> None:
    monkeypatch.setenv("CHURN_SOURCES__TELCO_CHURN__URI", postgres.uri())
    monkeypatch.setenv("CHURN_SOURCES__TELCO_CHURN__QUERY", "SELECT 1 AS id")
    source = load_settings().source("telco_churn")

    assert read(source) == [(1,)]
    assert not any(secret in repr(source) for secret in (READER, quote(PASSWORD, safe="")))


def test_a_job_runs_from_a_table_to_predictions_and_again_changes_nothing(
    postgres: Postgres, project: Project
) -> None:
    frame = customers().cast({"tenure": pl.Int32, "SeniorCitizen": pl.Int16})
    postgres.load("customers", frame.to_arrow(compat_level=pl.CompatLevel.oldest()))
    charges = '"MonthlyCharges" TYPE numeric(8, 2) USING CAST("MonthlyCharges" AS numeric)'
    postgres.run(f"ALTER TABLE customers ALTER {charges}")
    settings = {"telco_churn": {"uri": postgres.uri(), "table": "public.customers"}}

    first = project.run(sources=settings)
    assert first.success, first.error
    before = project.states()
    postgres.run("CREATE TABLE other AS SELECT * FROM customers ORDER BY random()")
    postgres.run("TRUNCATE customers", "INSERT INTO customers TABLE other", "DROP TABLE other")
    second = project.run(sources=settings)

    assert second.success, second.error
    assert project.states() == before
    assert project.state("raw").columns["MonthlyCharges"] == "decimal(8,2)"
    assert set(project.rows("predictions")["customer_id"]) == set(frame["customerID"])
    address = f"postgresql://{HOST}:{postgres.port}/postgres/public.customers"
    assert first.metadata("raw")["source_uri"].value == address
    kept = [path.read_bytes() for path in project.folder.rglob("*") if path.is_file()]
    secrets = (PASSWORD, quote(PASSWORD, safe=""), READER)
    assert not any(secret.encode() in content for secret in secrets for content in kept)

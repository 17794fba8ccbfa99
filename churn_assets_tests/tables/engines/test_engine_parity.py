"""Both engines validate, clean and split any records alike, to the last bit."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from churn_assets.errors import ContractError, SourceError
from churn_assets.tables.contract import Validated, require_types, up_to, validate
from churn_assets.tables.copies import tied_rows, untied
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows, featurise
from churn_assets.tables.ingest import ingest, ingest_holdout, ingest_labels
from churn_assets.tables.lake import HOLDOUT, Lake, record_tables
from churn_assets.tables.refine import newest_by, refine
from churn_assets.tables.sources.source import Source
from churn_assets.tables.volume import VolumeSettings, compare
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import (
    Column,
    Contract,
    Date,
    DType,
    Float64,
    Int64,
    Label,
    Labels,
    String,
    UseCase,
    delta_name,
)

TELCO = USE_CASES["telco_churn"]
FRAMES, ROWS = 6, 850
LEAST_RECORDS = 5000
FEWER_FRAMES = 2
"""For each use case but Telco, whose frames look at every kind of text already."""
BOTH_WAYS = settings(
    max_examples=FRAMES,
    derandomize=True,
    deadline=None,
    database=None,
    # A smaller frame says no more: the records that differ are named.
    phases=[Phase.generate],
)

AS_FROM_FILES = {
    # Spark's optimizer would compute what is in memory by itself, not by what it computes files.
    "spark.sql.optimizer.excludedRules": (
        "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation"
    ),
    # Between tables that are written there is less to infer than where all is one query.
    "spark.sql.constraintPropagation.enabled": "false",
}
"""Spark computes records in memory as it computes those of files."""

BLANKS = ["", " ", "\t", "\r\n", "\v\f", "\u00a0", "\u2007\u202f", "\ufeff", None]
NO_BLANKS = ["\u2028", "\u0085", "\u200b", "\u3000", "\0", "\x1c", "\u180e", "\u2003", "\u1680"]
NUMBERS = [
    "0", "-0", "-0.0", "+0", "0.0", "00", "007", "+5", "-5", "1.0", "1.00", "1.5", ".5", "5.", ".",
    "5.0.0", "1e3", "1E+3", "1e", "e5", "1e400", "-1e400", "1e-400", "-1e-400", "1e99999999999",
    "4.9e-324", "2.4e-324", "2.5e-324", "1.7976931348623157e308", "1.7976931348623159e308",
    "2.2250738585072011e-308", "9007199254740993", "9007199254740992.9999", "0.30000000000000004",
    "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
    "12345678901234567890", "9223372036854775807.0", "-0.000", "1" * 400, "0." + "3" * 400,
    "0x10", "1_000", "1,5", "1 000", "1d", "1f", "1L", "1.5d", "0b1", "١٢", "\uff11\uff12", "²",
    "½", "$5", "5%", "--5", "NaN", "nan", "inf", "-inf", "Infinity", "-Infinity", "+Infinity",
    "true", "null", "None",
]  # fmt: skip
DAY = date(2018, 2, 9)
DAYS = [
    "2018-2-29",
    "2/29/2016",
    "2018-02-09",
    "2/9/2018",
    "02/09/2018",
    "2018-13-01",
    "0000-01-01",
    "9999-12-31",
    "12/31/9999",
    "2018-02-09T10:00:00",
    "2018-2-9 ",
    "1582-10-10",
    "2018/2/9",
    "10/10/1582",
    "2018-2-30",
    "4/31/2018",
    "+2018-02-09",
    "-2018-02-09",
    "12018-02-09",
]
TEXTS = ["Yes", "yes", "No ", "\uff39es", "Ye\u0301s", "No\0", "Straße", "STRASSE", "İ", "x" * 5000]
ODD = [*BLANKS, *NO_BLANKS, *NUMBERS, *DAYS, *TEXTS]

Comparable = tuple[Any, ...]


@pytest.fixture(scope="module")
def engines(
    spark_engine: Engine,
    spark_configured: Callable[[Mapping[str, str]], AbstractContextManager[None]],
) -> Iterator[Sequence[Engine]]:
    with spark_configured(AS_FROM_FILES):
        yield PolarsEngine(), spark_engine


def comparable(engine: Engine, frame: nw.LazyFrame[Any]) -> Comparable:
    """Types and rows as they are told apart to the last bit, in one order."""
    table = engine.collect(frame)
    types = [(f.name, re.sub("large_|(?<=<)(item|element)", "", str(f.type))) for f in table.schema]
    return types, sorted(map(repr, table.to_pylist()))


def counts(validated: Validated) -> Comparable:
    return validated.rows, validated.rejected, validated.broken, validated.repeated


def valid_values(column: Column) -> list[str]:
    """Texts of a column that keep its contract."""
    if column.isin is not None:
        return [str(value) for value in column.isin]
    if column.dtype is DType.DATE:
        return [DAY.strftime(written) for written in column.formats]
    if column.dtype is DType.STRING:
        return ["a", "b", "Zoë", "日本", "🙂", " 7590 ", "7590\u00a0"]
    return ["1", "+12.0", " 72 ", "007"] if column.dtype is DType.INT64 else ["29.85", ".5", "1e3"]


def records(contract: Contract, odd: Sequence[str | None], seed: int) -> pa.Table:
    """Records of which about half are valid, and others are odd in a column or in many."""
    rng = random.Random(seed)
    key = delta_name(contract[contract.key[0]].source)
    rows = []
    for number in range(ROWS):
        oddness = rng.choice([0, 0, 0.03, 0.3])
        row: dict[str, str | None] = {"row": str(number)}
        for column in contract.columns:
            pool = odd if rng.random() < oddness else valid_values(column)
            row[delta_name(column.source)] = rng.choice(pool)
        if rng.random() < 0.9:
            row[key] = f"{number}{row[key] or ''}"
        rows.append(row)
    schema = pa.schema([(name, pa.string()) for name in rows[0]])
    return pa.Table.from_pylist(rows, schema=schema)


@pytest.mark.slow
@pytest.mark.parametrize("case", USE_CASES.values(), ids=lambda case: case.name)
def test_odd_records_come_out_of_both_engines_alike(
    engines: Sequence[Engine], case: UseCase
) -> None:
    fed = 0
    frames = FRAMES if case is TELCO else FEWER_FRAMES

    @settings(BOTH_WAYS, max_examples=frames)
    @given(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=40),
        st.integers(0, 2**32),
    )
    def alike(texts: list[str], seed: int) -> None:
        nonlocal fed
        table = records(case.contract, [*ODD, *texts], seed)
        outcomes = records(case.label_contract, [*ODD, *texts], seed)
        results = []
        for engine in engines:
            validated = validate(engine.from_arrow(table), case.contract, engine)
            labels = None
            if case.labels is not None:
                labels = validate(engine.from_arrow(outcomes), case.labels.contract, engine).valid
            silver = case.clean(validated.valid)
            features = feature_rows(case, silver, engine, labels=labels).frame
            frames = (validated.valid, validated.rejects, silver, features)
            results.append((counts(validated), [comparable(engine, frame) for frame in frames]))
        fed += len(table)
        ours, theirs = results
        assert ours == theirs
        rows, rejected, broken, repeated = ours[0]
        assert 0 < rejected < rows == len(table)
        assert broken
        assert repeated

    alike()

    assert fed >= (LEAST_RECORDS if case is TELCO else frames * ROWS)


# Copies and groups


def test_copies_and_groups_are_found_alike_by_both_engines(engines: Sequence[Engine]) -> None:
    columns = (Column("id", String), Column("home", String, nullable=True))
    inputs = (Column("x", Float64, nullable=True), Column("kind", String, nullable=True))
    case = replace(
        TELCO,
        name="homes",
        key="id",
        label=Label("left", "Yes"),
        contract=Contract(*columns, *inputs, Column("left", String, nullable=True)),
        features=lambda silver: silver,
        numeric=("x",),
        categorical=("kind",),
        monotone={},
        business=None,
        slices=(),
        group=("home",),
    )
    rng = random.Random(3)
    customers = [
        {
            "id": f"c{i}",
            "home": rng.choice([None, f"h{i // 3}"]),
            "x": rng.choice([None, -0.0, 0.0, 0.5, float(i)]),
            "kind": rng.choice([None, "", "a", "b"]),
            "left": rng.choice([None, "Yes", "No"]),
        }
        for i in range(900)
    ]
    results = []
    for engine in engines:
        made = feature_rows(case, engine.from_arrow(pa.Table.from_pylist(customers)), engine)
        known = made.frame.filter(~nw.col("label").is_null())
        ties = [case.inputs, case.group]
        kept = untied(known, case, {"copies": {"beyond_chance": True}})
        found = tied_rows(known, case, ties, engine)
        results.append((comparable(engine, made.frame), comparable(engine, kept), found))

    ours, theirs = results
    assert ours == theirs
    assert min(ours[2].values()) > 10


# Typed sources


@dataclass(frozen=True)
class Kind:
    """What a typed column may hold."""

    of: pa.DataType
    usual: Sequence[Any]
    odd: Sequence[Any]
    wanted: Sequence[DType] = (String, Int64, Float64)

    def column(self, rows: int, rng: random.Random) -> pa.Array:
        """Values of which few are odd."""
        pools = (rng.choice([self.usual] * 24 + [[*self.odd, None]]) for _ in range(rows))
        return pa.array([rng.choice(pool) for pool in pools], self.of)


NAN, INFINITY = math.nan, math.inf
FLOATS = [NAN, INFINITY, -INFINITY, -0.0, 1.5, -1e-300, 2.0**53, -(2.0**53), 2.0**53 + 2, 2.0**63]
INSTANTS = [datetime(1960, 2, 29, 1, 2, 3, 456789), datetime(1969, 12, 31, 23, 59, 59, 1)]
KINDS = {
    "int64": Kind(pa.int64(), [1, 7], [0, -1, 2**53 + 1, 2**63 - 1, -(2**63)]),
    "int32": Kind(pa.int32(), [1, 7], [-(2**31)]),
    "int8": Kind(pa.int8(), [1, 7], [-128]),
    "uint32": Kind(pa.uint32(), [1, 7], [2**32 - 1]),
    "uint64": Kind(pa.uint64(), [1, 7], [2**64 - 1]),
    "float64": Kind(pa.float64(), [12345678.0, 1.0], FLOATS),
    "float32": Kind(pa.float32(), [12345678.0, 1.0], [*FLOATS, 2.0**24, 2.0**24 + 2]),
    "flag": Kind(pa.bool_(), [True, False], []),
    "money": Kind(
        pa.decimal128(24, 4),
        [Decimal("5"), Decimal("-7")],
        [Decimal("1.5"), Decimal("-0.0001"), Decimal(2**53 + 1), Decimal("9007199254740991.5")],
    ),
    "digits": Kind(pa.decimal128(38, 0), [Decimal(5)], [Decimal(10**37), Decimal(2**63)]),
    "words": Kind(pa.dictionary(pa.int32(), pa.string()), ["1", "7.0"], ["x", "", "\u00a0"]),
    "day": Kind(pa.date32(), [date(2026, 1, 31)], [date(1, 1, 1), date(1582, 10, 10)], [String]),
    "local_ns": Kind(pa.timestamp("ns"), [datetime(2026, 1, 31)], INSTANTS, [String]),
    "local_ms": Kind(pa.timestamp("ms"), [datetime(2026, 1, 31)], INSTANTS[:0], [String]),
    "utc_us": Kind(pa.timestamp("us", "UTC"), [datetime(2026, 1, 31)], INSTANTS, [String]),
    "zoned_ns": Kind(pa.timestamp("ns", "Asia/Tokyo"), [datetime(2026, 1, 31)], INSTANTS, [String]),
}
TYPED = replace(
    TELCO,
    name="typed",
    key="key",
    label=Label("label", positive="Yes"),
    contract=Contract(
        Column("key", String),
        Column("label", String, nullable=True),
        *(
            Column(f"{name}_as_{dtype.value}", dtype, source=name, nullable=True)
            for name, kind in KINDS.items()
            for dtype in kind.wanted
        ),
        Column("words_or_x", Int64, source="words", nullable=True, blank=("x",)),
    ),
)


def test_odd_values_of_every_type_come_out_of_both_engines_alike(
    engines: Sequence[Engine], tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(BOTH_WAYS, max_examples=3)
    @given(st.integers(0, 2**32))
    def alike(seed: int) -> None:
        folder, rng = tmp_path_factory.mktemp("typed"), random.Random(seed)
        columns = {name: kind.column(ROWS, rng) for name, kind in KINDS.items()}
        keys = pa.array(map(str, range(ROWS)))
        pq.write_table(pa.table({"key": keys, **columns}), folder / "f.parquet")
        results = []
        for engine in engines:
            tables = Lake(str(folder / engine.name), engine).of(TYPED)
            raw = ingest(TYPED, Source(uri=str(folder / "f.parquet")), tables)
            records = tables["raw"].scan().drop("ingested_at")
            require_types(records, TYPED.contract, raw.uri)
            validated = validate(records, TYPED.contract, engine)
            frames = (records, validated.valid, validated.rejects)
            compared = [comparable(engine, frame) for frame in frames]
            results.append((raw.columns, raw.data_version, counts(validated), compared))
        ours, theirs = results
        assert ours == theirs
        assert 0 < ours[2][1] < ROWS

    alike()


KEYED = replace(
    TELCO,
    name="keyed",
    key="key",
    label=Label("label", positive="Yes"),
    contract=Contract(Column("key", String, unique=True), Column("label", String, nullable=True)),
)


def raw_of(engine: Engine, path: Path, use_case: UseCase) -> Comparable:
    """Delta types, rows and columns of raw."""
    tables = Lake(str(path.parent / engine.name), engine).of(use_case)
    raw = ingest(use_case, Source(uri=str(path)), tables)
    fields = DeltaTable(raw.uri).schema().fields
    types = {field.name: str(field.type) for field in fields}
    return types, comparable(engine, tables["raw"].scan().drop("ingested_at"))


HELD = {
    "uint8": (pa.uint8(), 255, "long"),
    "uint64": (pa.uint64(), 2**64 - 1, "string"),
    "int8": (pa.int8(), -128, "byte"),
    "int16": (pa.int16(), -129, "short"),
    "float32": (pa.float32(), 0.1, "float"),
    "bool": (pa.bool_(), True, "boolean"),
    "null": (pa.null(), None, "string"),
    "large string": (pa.large_string(), "x", "string"),
    "string view": (pa.string_view(), "x", "string"),
    "category": (pa.dictionary(pa.int8(), pa.string()), "x", "string"),
    "whole category": (pa.dictionary(pa.int8(), pa.int64()), 5, "long"),
    "binary": (pa.binary(), b"\xff", "binary"),
    "fixed binary": (pa.binary(2), b"ab", "binary"),
    "day": (pa.date32(), date(1, 1, 1), "date"),
    "day in ms": (pa.date64(), date(2026, 1, 31), "date"),
    "decimal": (pa.decimal128(38, 5), Decimal("1.5"), "decimal(38,5)"),
    "local in s": (pa.timestamp("s"), datetime(1960, 2, 29), "timestamp_ntz"),
    "local in ns": (pa.timestamp("ns"), INSTANTS[0], "timestamp_ntz"),
    "zoned in ns": (pa.timestamp("ns", "Asia/Tokyo"), INSTANTS[1], "timestamp"),
    "list": (pa.list_(pa.uint32()), [1, None], "long"),
    "fixed list": (pa.list_(pa.int64(), 2), [1, 2], "long"),
    "struct": (pa.struct([("a", pa.string())]), {"a": "x"}, "string"),
}


def test_raw_keeps_types_that_delta_holds_alike(engines: Sequence[Engine], tmp_path: Path) -> None:
    columns = {name: pa.array([value], of) for name, (of, value, _) in HELD.items()}
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"key": ["a"], **columns}), path)

    ours, theirs = (raw_of(engine, path, KEYED) for engine in engines)

    assert ours == theirs
    for name, (_, _, kept) in HELD.items():
        assert f'"{kept}"' in ours[0][delta_name(name)]


def test_timestamps_of_96_bits_are_read_alike(engines: Sequence[Engine], tmp_path: Path) -> None:
    table = pa.table({"key": ["a", "b"], "x": pa.array(INSTANTS, pa.timestamp("us"))})
    path = tmp_path / "f.parquet"
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)

    ours, theirs = (raw_of(engine, path, KEYED) for engine in engines)

    assert ours == theirs
    assert repr(INSTANTS[0]) in str(ours[1])


@pytest.mark.parametrize(
    "of",
    [
        pa.time64("us"),
        pa.time32("ms"),
        pa.duration("us"),
        pa.float16(),
        pa.decimal256(50, 5),
        pa.map_(pa.string(), pa.int64()),
        pa.uuid(),
        pa.list_(pa.time64("us")),
        pa.list_(pa.timestamp("ns")),
        pa.struct([("a b", pa.int64())]),
    ],
    ids=str,
)
def test_a_type_that_delta_does_not_hold_is_refused_alike(
    engines: Sequence[Engine], tmp_path: Path, of: pa.DataType
) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"key": ["a"], "x": pa.nulls(1, of)}), path)

    for engine in engines:
        with pytest.raises(SourceError) as refused:
            raw_of(engine, path, KEYED)
        assert str(refused.value).startswith(f"{path}: column 'x' is of type ")
        assert "which a Delta table cannot hold. Store it as text" in str(refused.value)
        assert "\n" not in str(refused.value)


# Names


NAMES = ["a.b", "x`y", 'say "so"', "naïve col", "it's 50%"]
NAMED = replace(
    KEYED,
    name="named",
    contract=Contract(
        *KEYED.contract.columns,
        *(Column(f"c{i}", Int64, source=name, ge=0) for i, name in enumerate(NAMES)),
    ),
)


@pytest.mark.parametrize("ending", ["csv", "parquet", "delta"])
def test_columns_of_any_name_go_through_both_engines(
    engines: Sequence[Engine], tmp_path: Path, ending: str
) -> None:
    table = pa.table({"key": ["a", "b"], **{name: [i, -i] for i, name in enumerate(NAMES)}})
    path = tmp_path / f"f.{ending}"
    if ending == "csv":
        pl.DataFrame(table).write_csv(path)
    elif ending == "parquet":
        pq.write_table(table, path)
    else:
        names = [re.sub(r"[ ,;{}()=]", "-", name) for name in table.column_names]
        write_deltalake(path, table.rename_columns(names))

    results = []
    for engine in engines:
        rename = {re.sub(r"[ ,;{}()=]", "-", name): name for name in NAMES}
        source = Source(uri=str(path), rename=rename if ending == "delta" else {})
        tables = Lake(str(tmp_path / engine.name), engine).of(NAMED)
        ingest(NAMED, source, tables)
        validated = validate(tables["raw"].scan().drop("ingested_at"), NAMED.contract, engine)
        tables["rejects"].replace(validated.rejects, "1")
        tables["silver"].replace(validated.valid, "1")
        written = [tables[name].scan() for name in ("silver", "rejects")]
        results.append((counts(validated), [comparable(engine, frame) for frame in written]))

    ours, theirs = results
    assert ours == theirs
    assert ours[0][:2] == (2, 1)


ZONED = ("%Y-%m-%dT%H:%M:%S%z", "%d-%b-%y %I:%M %p %z", "%m/%d/%y")
WRITTEN = {
    "german": (
        Column("german", Float64, decimal=",", thousands=".", minus=("behind", "brackets", "dash")),
        ["9.542", "1.234,50-", "(12.400)", "\u2212,5", "9.54", "0.123", "1,5E3", "987"],
        [9542.0, -1234.5, -12400.0, -0.5, None, None, 1500.0, 987.0],
    ),
    "blanks": (
        Column("blanks", Int64, thousands=" "),
        ["9\u202f542", "1\u00a0234\u2009567", "12 40", "5", "1 000.0", "9,542", "-1 000", "0 123"],
        [9542, 1234567, None, 5, 1000, None, -1000, None],
    ),
    "swiss": (
        Column("swiss", Float64, thousands="'"),
        ["9'542.5", "1\u2019234", "12'40", "5", "0.5", "'5", "1'000'000", "(5)"],
        [9542.5, 1234.0, None, 5.0, 0.5, None, 1000000.0, None],
    ),
    "day": (
        Column("day", Date, formats=ZONED),
        ["2021-03-27T23:30:00Z", "2021-03-28T00:30:00.5+0200", "27-MAR-21 11:30 PM +00", "3/27/69",
         "2021-02-30T00:00:00Z", "27-Mai-21 1:30 am Z", "12/31/68", "2021-03-27T23:30:00"],
        [date(2021, 3, 27), date(2021, 3, 28), date(2021, 3, 27), date(1969, 3, 27),
         None, None, date(2068, 12, 31), None],
    ),
    "berlin": (
        Column("berlin", Date, formats=ZONED, zone="Europe/Berlin"),
        ["2021-03-27T23:30:00Z", "2021-03-27T22:30:00,25-01", "27-MAR-21 11:30 PM +00", "3/27/69",
         "2021-07-01T22:30:00Z", "1-Jan-21 12:30 am +03:00", "2021-02-30T00:00:00Z",
         "2021-03-27T24:30:00Z"],
        [date(2021, 3, 28), date(2021, 3, 28), date(2021, 3, 28), date(1969, 3, 27),
         date(2021, 7, 2), date(2020, 12, 31), None, None],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_for_people_is_read_alike_and_rightly(
    engines: Sequence[Engine], name: str
) -> None:
    column, texts, values = WRITTEN[name]
    table = pa.table({name: texts, "row": range(len(texts))})
    contract = Contract(column, Column("row", Int64))

    for engine in engines:
        valid = engine.collect(validate(engine.from_arrow(table), contract, engine).valid)
        by_row = {row["row"]: row[name] for row in valid.to_pylist()}
        assert [by_row.get(row) for row in range(len(texts))] == values, engine.name


def test_short_lines_and_totals_are_rejects_of_both_engines_alike(
    engines: Sequence[Engine], tmp_path: Path
) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(
        b'\xef\xbb\xbfsep=;\r\nkey;a;b;c\r\nk1;1;"x;\r\ny";2\r\nk2;1\r\nk3;1;;2\r\n'
        b'TOTAL;3;;\r\n"Report, of today"\r\nAs of today;;;\r\n'
    )
    columns = (Column(name, String, nullable=True) for name in "abc")
    case = replace(KEYED, contract=Contract(*KEYED.contract.columns, *columns))

    results = []
    for engine in engines:
        tables = Lake(str(tmp_path / engine.name), engine).of(case)
        ingest(case, Source(uri=str(path)), tables)
        validated = validate(tables["raw"].scan().drop("ingested_at"), case.contract, engine)
        tables["rejects"].replace(validated.rejects, "1")
        results.append((counts(validated), comparable(engine, tables["rejects"].scan())))

    ours, theirs = results
    assert ours == theirs
    assert ours[0][:2] == (6, 4)


def test_a_line_that_may_be_short_is_found_alike(engines: Sequence[Engine], tmp_path: Path) -> None:
    whole = 'a,b,c\n1,2,3\n\n,,\n"x,y",2,\r\n'
    found = []
    for number, more in enumerate(["", "4,5\n", '"6,7",8\r\n', '"9"']):
        path = tmp_path / f"f{number}.csv"
        path.write_text(whole + more)
        uris = [str(path)]
        found.append([e.may_be_short(uris, ",", 3, storage_options=None) for e in engines])

    assert found == [[False, False], *[[True, True]] * 3]


@pytest.mark.parametrize("value", [b"x", ["x"], {"a": "x"}], ids=["bytes", "list", "struct"])
def test_a_typed_column_that_says_no_value_is_refused_alike(
    engines: Sequence[Engine], tmp_path: Path, value: Any
) -> None:
    pq.write_table(pa.table({"key": ["a"], "label": [value]}), tmp_path / "f.parquet")

    for engine in engines:
        raw_of(engine, tmp_path / "f.parquet", KEYED)
        records = Lake(str(tmp_path / engine.name), engine).of(KEYED)["raw"].scan()
        with pytest.raises(ContractError, match="column 'label' is of type"):
            require_types(records, KEYED.contract, "f.parquet")


# History


KEEPING = replace(
    KEYED,
    name="keeping",
    key=("shop", "key"),
    contract=Contract(
        Column("shop", String),
        Column("key", String),
        Column("seen", Date, formats=("%m/%d/%Y",)),
        Column("label", String, nullable=True),
    ),
    time="seen",
    clean=lambda frame: frame,
)


def test_history_and_past_days_come_out_of_both_engines_alike(
    engines: Sequence[Engine], tmp_path: Path
) -> None:
    """Each engine adds to what the other wrote, and both find the same newest records."""
    ours, theirs = (Lake(str(tmp_path / "lake"), engine).of(KEEPING) for engine in engines)
    path = tmp_path / "f.csv"
    files = [
        [("s", "a", "1/2/2020", "Yes"), ("s", "b", "1/2/2020", ""), ("t", "a", "2/30/2020", "No")],
        [("s", "a", "1/3/2020", "No"), ("s", "b", "1/1/2020", "No"), ("s", "b", "1/2/2020", "")],
        [("s", "b", "1/2/2020", "Yes"), ("t", "a", "1/9/2020", "No")],
    ]
    for rows, tables in zip(files, (ours, theirs, ours), strict=True):
        schema = ["shop", "key", "seen", "label"]
        pl.DataFrame(rows, schema=schema, orient="row").write_csv(path)
        ingest(KEEPING, Source(uri=str(path), append=True), tables)

    raw = ours["raw"].require()
    by = newest_by(raw, KEEPING.time)
    results = []
    for engine, tables in zip(engines, (ours, theirs), strict=True):
        records = tables["raw"].scan()
        validated = validate(records, KEEPING.contract, engine, by)
        then = up_to(records, KEEPING.contract, "seen", date(2020, 1, 2), engine)
        results.append(
            (counts(validated), comparable(engine, validated.valid), comparable(engine, then))
        )
        valid = engine.collect(validated.valid).to_pylist()
        newest = {(row["shop"], row["key"]): row["label"] for row in valid}
        assert newest == {("s", "a"): "No", ("s", "b"): "Yes", ("t", "a"): "No"}

    assert raw.rows == 7
    assert results[0] == results[1]


def test_rows_of_their_day_and_hold_outs_come_out_of_both_engines_alike(
    engines: Sequence[Engine], tmp_path: Path
) -> None:
    case = replace(
        KEEPING,
        name="dated",
        key="key",
        label=Label("label", "Yes"),
        contract=Contract(
            Column("key", String), Column("seen", Date, nullable=True), Column("x", Float64)
        ),
        labels=Labels(
            Contract(Column("key", String), Column("label", String), Column("on", Date)), "on"
        ),
        features=lambda silver: silver,
        numeric=("x",),
        categorical=(),
        monotone={},
        business=None,
        slices=(),
    )
    rng = random.Random(5)

    def write(name: str, keys: Sequence[int], days: int) -> Source:
        rows = [
            (f"c{key}", f"2020-01-{day:02}", f"2020-01-{day + 2:02}", rng.choice(["Yes", "No"]))
            for key in keys
            for day in sorted(rng.sample(range(1, 25), days))
        ]
        frame = pl.DataFrame(rows, schema=["key", "seen", "on", "label"], orient="row")
        frame.with_columns(x=pl.Series([rng.random() for _ in rows])).write_csv(tmp_path / name)
        return Source(uri=str(tmp_path / name))

    records, outcomes = write("records.csv", range(60), 4), write("labels.csv", range(50), 2)
    held_out = write("held.csv", range(40, 80), 1)
    results = []
    for engine in engines:
        lake = Lake(
            str(tmp_path / engine.name), engine, layers=(record_tables, lambda _: (HOLDOUT,))
        )
        tables = lake.of(case)
        ingest(case, records, tables)
        ingest_labels(case, Source(uri="x", labels=outcomes), tables)
        ingest_holdout(case, held_out, tables)
        list(refine(case, tables))
        made = featurise(case, tables)
        results.append((comparable(engine, tables["features"].scan()), made.details))

    (ours, details), (theirs, other_details) = results
    assert ours == theirs
    assert details == other_details
    assert details["holdout"]["judged_by"] == 40
    assert 0 < details["to_score"] <= 60


def test_what_comes_again_is_counted_alike(engines: Sequence[Engine], tmp_path: Path) -> None:
    before, now = tmp_path / "before.csv", tmp_path / "now.csv"
    columns = {"shop": ["s"] * 60, "seen": ["1/2/2020"] * 60}
    keys = [f" {i}\u00a0" for i in range(60)]
    labels = [["Yes", *BLANKS[:5]][i % 6] for i in range(60)]
    pl.DataFrame({**columns, "key": keys, "label": ["Yes"] * 60}).write_csv(before)
    pl.DataFrame({**columns, "key": [str(i + 20) for i in range(60)], "label": labels}).write_csv(
        now
    )

    volumes, refusals = [], []
    for engine in engines:
        tables = Lake(str(tmp_path / engine.name), engine).of(KEEPING)
        ingest(KEEPING, Source(uri=str(before)), tables)
        # At its version: on Spark a table is read when it is asked for.
        first = tables["raw"].scan(tables["raw"].require().version)
        limit = VolumeSettings(keys=0.7)
        with pytest.raises(SourceError) as refusal:
            ingest(KEEPING, Source(uri=str(now), volume=limit), tables)
        refusals.append(str(refusal.value))
        ingest(KEEPING, Source(uri=str(now), volume=limit), tables, accept=True)
        volumes.append(
            compare(
                tables["raw"].scan(),
                first,
                engine,
                keys=["shop", "key"],
                blank={"label": (), "seen": ("1/2/2020",)},
            )
        )

    assert volumes[0] == volumes[1]
    assert (volumes[0].keys_before, volumes[0].keys_kept) == (60, 40)
    assert volumes[0].filled["label"] == (10 / 60, 1.0)
    assert refusals[0] == refusals[1]
    assert "40 of the 60 customers before came, 67 %" in refusals[0]

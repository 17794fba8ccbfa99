"""Spark: what every engine must do, beside the embedded engine and on tables that both write."""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field
from deltalake import Schema as DeltaSchema

from churn_assets.errors import DamageError, EngineError, TableError
from churn_assets.tables.engines.engine import Commit, ConflictError, Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.health import damage_named, examine, good_versions
from churn_assets.tables.lake import Table
from churn_assets.usecases.spec import DType
from churn_assets_tests.support.disks import Disk, small_disk

POLARS = PolarsEngine()
ENGINES = ("polars", "spark")
REPLACE, APPEND = Commit("overwrite"), Commit("append")
WHOLE = pa.schema([("a", pa.int64())])

Engines = Mapping[str, Engine]


@pytest.fixture(scope="module")
def engines(spark_engine: Engine) -> Engines:
    """Both engines by name."""
    return {"polars": POLARS, "spark": spark_engine}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    with small_disk(tmp_path_factory.mktemp("disk")) as disk:
        yield disk


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: Engines) -> Engine:
    """Each engine in turn."""
    return engines[request.param]


@pytest.fixture(params=[ENGINES, ENGINES[::-1]], ids="-then-".join)
def pair(request: pytest.FixtureRequest, engines: Engines) -> Sequence[Engine]:
    """Both engines, in either order."""
    return [engines[name] for name in request.param]


def refusal(call: Callable[[], Any], error: type[Exception] = EngineError) -> str:
    """What Spark refuses, in its one line."""
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Text


def read_text(
    engine: Engine, *paths: Path, columns: Sequence[str] = ("a", "b"), delimiter: str = ","
) -> list[tuple[Any, ...]]:
    """Fields of each record and the file's address at the end, in no order."""
    frame = engine.read_text(
        [str(path) for path in paths], delimiter=delimiter, columns=columns, storage_options=None
    )
    return [tuple(row.values()) for row in engine.collect(frame).to_pylist()]


def fields(engine: Engine, path: Path, content: str | bytes, **options: Any) -> list[Any]:
    """Fields of each record of a file of this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row[:-1] for row in read_text(engine, path, **options)]


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ("1,2\n3,4\n", [("1", "2"), ("3", "4")]),
        ("1,2\n3,4", [("1", "2"), ("3", "4")]),
        ("1,2\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        ("1,2\r\n3,4\n5,6\r\n", [("1", "2"), ("3", "4"), ("5", "6")]),
        ('"x\ny",2\n3,"\n"\n', [("x\ny", "2"), ("3", "\n")]),
        ('"x\r\ny",2\r\n', [("x\r\ny", "2")]),
        ('"a, ""b""",2\n', [('a, "b"', "2")]),
        ('5"x7",2\n', [('5"x7"', "2")]),
        ('"",\n,""\n', [("", None), (None, "")]),
        ('"",""\r\n,2\r\n', [("", ""), (None, "2")]),
        ("1\n,\n3,4\n", [("1", None), (None, None), ("3", "4")]),
        ("1\r\n3,4\r\n", [("1", None), ("3", "4")]),
        (" 1 ,\t2\t\n", [(" 1 ", "\t2\t")]),
        ("null,NA\nNaN,\\N\n#1,//\n", [("null", "NA"), ("NaN", "\\N"), ("#1", "//")]),
        ('\\,\\\\\n"\\","x"\n', [("\\", "\\\\"), ("\\", "x")]),
        ("Zoë 東京🙂,\u00a0\u2028\u0085\ufeff\n", [("Zoë 東京🙂", "\u00a0\u2028\u0085\ufeff")]),
        ("x" * 1_200_000 + ",2\n", [("x" * 1_200_000, "2")]),
    ],
    ids=[
        "plain", "no last line end", "CRLF", "mixed line ends", "line ends in quotes",
        "CRLF in quotes", "quotes in quotes", "quotes within", "empty and missing",
        "empty and missing in CRLF", "short", "short in CRLF", "blanks", "words", "backslashes",
        "unicode", "long",
    ],
)  # fmt: skip
def test_text_is_read_to_the_letter(
    engine: Engine, tmp_path: Path, content: str, records: list[Any]
) -> None:
    assert fields(engine, tmp_path / "f.csv", "a,b\n" + content) == records


def test_the_mark_and_the_quotes_of_a_header_are_no_data(engine: Engine, tmp_path: Path) -> None:
    content = '\ufeff"a",b\n1,2\n'

    assert fields(engine, tmp_path / "f.csv", content) == [("1", "2")]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_delimiter_separates_whatever_it_means_elsewhere(
    engine: Engine, tmp_path: Path, delimiter: str
) -> None:
    content = f"a{delimiter}b\n1,5{delimiter}2\n"

    assert fields(engine, tmp_path / "f.csv", content, delimiter=delimiter) == [("1,5", "2")]


@pytest.mark.parametrize(
    "content",
    [
        b"1,2,3\n",
        b"1,2\r\n1,2,\r\n",
        b'"x"y,2\n',
        b'1,"x\n3,4\n',
        b'1,2\n3,"',
        b"Zo\xeb,2\n",
        b"1,\xc3",
    ],
    ids=[
        "too many fields", "one delimiter too many", "stray quote", "open quote",
        "open quote at the end", "no UTF-8", "half a character",
    ],
)  # fmt: skip
def test_malformed_text_is_refused_and_not_read_as_something_else(
    engine: Engine, tmp_path: Path, content: bytes
) -> None:
    error = EngineError if engine.name == "spark" else pl.exceptions.PolarsError

    with pytest.raises(error) as refused:
        fields(engine, tmp_path / "f.csv", b"a,b\n" + content)

    assert engine.name != "spark" or "\n" not in str(refused.value)


NAMES = (
    "plain.csv", "two words.csv", "Zoë 東京.csv", "a+b.csv", "%41.csv", "100%.csv", "g[1].csv",
    "{a,b}.csv", "a=b & c.csv", "what?.csv", "C#.csv", "*.csv", "'quoted'.csv",
)  # fmt: skip


def test_each_record_names_its_file_as_it_was_asked_for(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "two words" / "Zoë+%41" / "year=2026"
    folder.mkdir(parents=True)
    paths = [folder / name for name in NAMES]
    for path in paths:
        path.write_text(f"a,b\n1,{path.name.replace(',', '')}\n")

    together = read_text(engine, *paths)

    expected = [("1", path.name.replace(",", ""), str(path)) for path in paths]
    assert sorted(together) == sorted(expected)
    for path, record in zip(paths[2:8], expected[2:8], strict=True):
        assert read_text(engine, path) == [record]


@pytest.mark.parametrize("name", ["_f.csv", ".f.csv", "_f.parquet"])
def test_a_file_that_spark_would_pass_over_is_refused(
    spark_engine: Engine, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.touch()

    message = refusal(lambda: read_text(spark_engine, path))

    assert message.startswith(f"{path}: Spark reads no file whose name starts with '_' or '.'.")


# Computing


def on(engine: Engine, **columns: Any) -> nw.LazyFrame[Any]:
    """A small frame of an engine."""
    return engine.from_arrow(pa.table(columns))


KEYS = [
    "7590-VHVEG", "", " ", "é", "e\u0301", "\u00a0", "\u2028\u0085", "日本語の鍵", "🙂", "a b|c",
    "\0", *("x" * length for length in (1, 3, 4, 7, 8, 31, 32, 33, 1000)), None,
]  # fmt: skip


@pytest.mark.parametrize("salt", ["salt", "", "Zoë|🙂"])
def test_a_key_falls_into_one_bucket_on_every_engine(engines: Engines, salt: str) -> None:
    ours, theirs = (
        engine.collect(engine.bucket(on(engine, key=KEYS), ["key"], salt, into="bucket"))
        for engine in engines.values()
    )

    assert ours.to_pydict() == theirs.to_pydict()
    assert ours.schema.field("bucket").type == theirs.schema.field("bucket").type == pa.int64()


def test_the_bucket_of_a_known_key_never_changes(engine: Engine) -> None:
    buckets = engine.bucket(on(engine, key=["7590-VHVEG"]), ["key"], "salt", into="bucket")

    assert engine.collect(buckets)["bucket"].to_pylist() == [2916]


@pytest.mark.parametrize(
    ("dtype", "texts", "values"),
    [
        (DType.INT64, ["1", "-2", "many", "", "1.5", None], [1, -2, None, None, None, None]),
        (DType.INT64, [str(2**63 - 1), str(2**63)], [2**63 - 1, None]),
        (DType.FLOAT64, ["1.5", "1e3", "x", "1,5", None], [1.5, 1000.0, None, None, None]),
        (DType.STRING, ["1", "", None], ["1", "", None]),
    ],
    ids=["whole", "overflow", "decimal", "text"],
)
def test_text_that_does_not_say_a_value_becomes_null(
    engine: Engine, dtype: DType, texts: list[Any], values: list[Any]
) -> None:
    parsed = engine.collect(engine.parse(on(engine, text=texts, other=texts), {"text": dtype}, {}))

    assert parsed.to_pydict() == {"text": values, "other": texts}


TYPES = pa.schema([
    ("whole", pa.int64()), ("small", pa.int8()), ("number", pa.float64()), ("flag", pa.bool_()),
    ("day", pa.date32()), ("instant", pa.timestamp("us", "UTC")), ("money", pa.decimal128(10, 2)),
])  # fmt: skip
VALUES = {
    "whole": [1, -(2**63), None],
    "small": [1, -128, None],
    "number": [-0.0, 1.5, None],
    "flag": [True, False, None],
    "day": [date(2026, 1, 31), date(1582, 10, 4), None],
    "instant": [datetime(2026, 1, 31, 1, 2, 3, 4, UTC), datetime(1960, 2, 29, tzinfo=UTC), None],
    "money": [Decimal("1.50"), Decimal("-0.01"), None],
}


def test_a_table_is_known_by_its_name_in_a_catalog_and_no_other_is_taken_for_it(
    spark_engine: Engine, tmp_path: Path
) -> None:
    from pyspark.sql import SparkSession

    names = [f"{name}'s" for name in ("own", "other")]
    uris = [str(tmp_path / name) for name in names]
    for value, uri in enumerate(uris):
        spark_engine.write_delta(uri, on(spark_engine, a=[value]), REPLACE, storage_options=None)

    for _ in range(2):
        spark_engine.register(uris[0], "default.mlops_churn_training")
    refused = refusal(lambda: spark_engine.register(uris[1], "default.mlops_churn_training"))
    unknown = refusal(lambda: spark_engine.register(uris[1], "nowhere.mlops_churn_training"))

    session = SparkSession.active()
    assert session.table("default.mlops_churn_training").collect() == [(0,)]
    assert "has another table of that name" in refused
    assert "nowhere" in unknown
    session.sql("DROP TABLE default.mlops_churn_training")


def test_what_is_collected_keeps_values_and_types(engine: Engine) -> None:
    table = pa.table(VALUES, schema=TYPES)

    collected = engine.collect(engine.from_arrow(table))

    assert collected.schema.remove_metadata() == TYPES
    assert repr(collected.to_pylist()) == repr(table.to_pylist())


def test_no_rows_keep_their_types(engine: Engine) -> None:
    none = engine.from_arrow(pa.table(VALUES, schema=TYPES)).filter(nw.col("whole") == 5)

    collected = engine.collect(none)

    assert collected.schema.remove_metadata() == TYPES
    assert len(collected) == 0


def test_columns_are_named_anew_whatever_they_were_called(engine: Engine) -> None:
    frame = on(engine, **{"a.b": [1], "x`y": [2], 'q"': [3], "naïve col": [4], "A.B`": [5]})

    renamed = engine.collect(engine.rename(frame, list("abcde")))

    assert renamed.to_pydict() == {"a": [1], "b": [2], "c": [3], "d": [4], "e": [5]}


def test_batches_are_drawn_as_often_as_a_frame_is_computed(engine: Engine) -> None:
    def batches():
        for start in range(0, 30, 10):
            yield pa.record_batch({"a": range(start, start + 10)}, schema=WHOLE)

    frame = engine.read_batches(WHOLE, batches)

    for _ in range(2):
        assert engine.collect(frame.filter(nw.col("a") > 27))["a"].to_pylist() == [28, 29]
    assert len(engine.collect(frame.head(5))) == 5


def test_a_function_of_batches_sees_every_row_once(engine: Engine) -> None:
    rows = 200_000

    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        values = batch["a"].to_numpy()
        return pa.record_batch({"rows": pa.array([len(values)] * len(values)), "twice": 2 * values})

    # The names decide, not the places.
    schema = pa.schema([("twice", pa.int64()), ("rows", pa.int64())])
    mapped = engine.collect(engine.map_batches(on(engine, a=range(rows)), double, schema))

    assert sorted(mapped["twice"].to_numpy()) == list(range(0, 2 * rows, 2))
    assert max(mapped["rows"].to_pylist()) < rows


def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
    raise ValueError("no score for you")


def misname(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.rename_columns(["b"])


def failing_batches() -> Any:
    yield pa.record_batch({"a": range(1000)}, schema=WHOLE)
    raise RuntimeError("the line is dead")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (lambda e: e.map_batches(on(e, a=[1]), fail, WHOLE), "ValueError: no score for you"),
        (lambda e: e.map_batches(on(e, a=[1]), misname, WHOLE), "KeyError"),
        (lambda e: e.read_batches(WHOLE, failing_batches), "RuntimeError: the line is dead"),
    ],
    ids=["function", "other columns", "source"],
)
def test_python_that_fails_on_a_worker_is_told_in_one_line_and_leaves_the_table_as_it_was(
    spark_engine: Engine, tmp_path: Path, frame: Callable[[Engine], Any], says: str
) -> None:
    write(spark_engine, tmp_path, on(spark_engine, a=[1]))

    collected = refusal(lambda: spark_engine.collect(frame(spark_engine)))
    written = refusal(lambda: write(spark_engine, tmp_path, frame(spark_engine)))

    assert says in collected
    assert says in written
    assert DeltaTable(str(tmp_path)).version() == 0


def to_rank(rows: int) -> dict[str, list[Any]]:
    """Rows of many equal values and nulls, that their keys tell apart."""
    rng = random.Random(0)
    texts = ["", " ", "Z", "a", "é", "e\u0301", "\ue000", "🙂", "日本", "x" * 50]
    values = [-1e300, -1.5, -0.0, 0.0, 5e-324, 1.5, 1e300, float("inf")]
    return {
        "key": [f"{rng.choice(texts)}{number}" for number in range(rows)],
        "worth": [rng.choice([*values, None]) for _ in range(rows)],
        "count": [rng.randrange(-3, 3) for _ in range(rows)],
        "more": [rng.choice([None, "more"]) for _ in range(rows)],
    }


RANKED = ("worth", "count", "key"), (True, False, True)


@pytest.mark.parametrize("rows", [0, 1, 5000])
def test_rows_are_ranked_in_one_order_on_every_engine(engine: Engine, rows: int) -> None:
    schema = pa.schema(
        [("key", pa.string()), ("worth", pa.float64()), ("count", pa.int64()),
         ("more", pa.string())]
    )  # fmt: skip
    columns = to_rank(rows)
    table = pa.table(columns, schema)
    order = sorted(range(rows), key=lambda i: columns["key"][i].encode(), reverse=True)
    worth = [-float("inf") if value is None else value for value in columns["worth"]]
    order.sort(key=lambda i: (columns["worth"][i] is None, -worth[i], columns["count"][i]))

    with engine.ranked(engine.from_arrow(table), *RANKED, into="rank") as ranked:
        placed = engine.collect(ranked)
        again = engine.collect(ranked.select("rank", "key"))

    assert placed.column_names == [*schema.names, "rank"]
    assert placed["rank"].type == pa.int64()
    records = table.to_pylist()
    expected = [records[i] | {"rank": place} for place, i in enumerate(order, start=1)]
    assert sorted(placed.to_pylist(), key=lambda row: row["rank"]) == expected
    assert sorted(again["rank"].to_pylist()) == list(range(1, rows + 1))


def test_places_go_on_from_one_partition_to_the_next(
    spark_engine: Engine,
    spark_configured: Callable[[Mapping[str, str]], AbstractContextManager[None]],
) -> None:
    from pyspark.sql import functions as F  # noqa: N812

    many = {
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
        "spark.sql.shuffle.partitions": "7",
    }
    values = [(37 * number) % 4999 for number in range(4999)]

    with (
        spark_configured(many),
        spark_engine.ranked(on(spark_engine, a=values), ["a"], [False], into="rank") as ranked,
    ):
        partition = F.spark_partition_id().alias("partition")
        placed = ranked.to_native().select("a", "rank", partition).toArrow().to_pylist()

    assert all(row["rank"] == row["a"] + 1 for row in placed)
    assert len(placed) == 4999
    assert len({row["partition"] for row in placed}) > 1


def test_what_is_ranked_is_computed_once_and_nothing_of_it_is_left(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, left = tmp_path / "seen", tmp_path / "left"
    seen.mkdir()
    left.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left))

    def mark(batch: pa.RecordBatch) -> pa.RecordBatch:
        Path(seen, uuid.uuid4().hex).write_text(str(len(batch)))
        return batch

    before = kept_by(engine)
    mapped = engine.map_batches(on(engine, a=range(300_000)), mark, WHOLE)
    with engine.ranked(mapped, ["a"], [True], into="rank") as ranked:
        write(engine, tmp_path / "table", ranked)

    written = rows(POLARS, tmp_path / "table")
    assert sum(int(file.read_text()) for file in seen.iterdir()) == 300_000
    assert all(row["rank"] == 300_000 - row["a"] for row in written)
    assert len(written) == 300_000
    assert not list(left.iterdir())
    assert kept_by(engine) <= before


def test_what_cannot_be_computed_is_told_and_nothing_of_it_is_left(
    engine: Engine, tmp_path: Path
) -> None:
    before = kept_by(engine)
    mapped = engine.map_batches(on(engine, a=[1]), fail, WHOLE)

    with (
        pytest.raises((ValueError, EngineError), match="no score for you"),
        engine.ranked(mapped, ["a"], [True], into="rank") as ranked,
    ):
        write(engine, tmp_path / "table", ranked)

    assert not (tmp_path / "table" / "_delta_log").exists()
    assert kept_by(engine) <= before


def kept_by(engine: Engine) -> int:
    """How many frames Spark keeps for later, some of them Delta's own."""
    if engine.name != "spark":
        return 0
    from pyspark.sql import SparkSession

    context = SparkSession.active().sparkContext
    return int(context._jsc.getPersistentRDDs().size())


# Delta tables


def write(
    engine: Engine, uri: Path | str, frame: nw.LazyFrame[Any], commit: Commit = REPLACE
) -> None:
    engine.write_delta(str(uri), frame, commit, storage_options=None)


def rows(engine: Engine, uri: Path | str, version: int | None = None) -> list[dict[str, Any]]:
    """What a table holds, in one order."""
    frame = engine.read_delta(str(uri), version, storage_options=None)
    return sorted(engine.collect(frame).to_pylist(), key=repr)


def state(uri: Path | str) -> dict[str, Any]:
    """Newest commit of a table, as any reader of Delta sees it."""
    return DeltaTable(str(uri)).history(1)[0]


def test_a_replacement_may_change_the_columns_and_keeps_its_note(
    engine: Engine, tmp_path: Path
) -> None:
    write(engine, tmp_path, on(engine, a=[1, 2]))
    write(engine, tmp_path, on(engine, b=["x"]), Commit("overwrite", {"userMetadata": "note"}))

    assert rows(engine, tmp_path) == [{"b": "x"}]
    assert rows(engine, tmp_path, version=0) == [{"a": 1}, {"a": 2}]
    assert state(tmp_path)["userMetadata"] == "note"


def test_an_append_may_bring_new_columns_and_leave_out_old_ones(
    engine: Engine, tmp_path: Path
) -> None:
    write(engine, tmp_path, on(engine, a=[1], b=["x"]))

    write(engine, tmp_path, on(engine, a=[2], c=[0.5]), APPEND)

    placed = sorted(rows(engine, tmp_path), key=lambda row: row["a"])
    assert placed == [{"a": 1, "b": "x", "c": None}, {"a": 2, "b": None, "c": 0.5}]
    assert rows(engine, tmp_path, version=0) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize("other", [{"a": ["x"]}, {"a": [1.5]}, {"a": ["x"], "b": [1]}])
def test_an_append_of_another_type_is_refused_and_adds_nothing(
    engine: Engine, tmp_path: Path, other: dict[str, Any]
) -> None:
    write(engine, tmp_path, on(engine, a=[1]))

    with pytest.raises(Exception):  # noqa: B017, PT011
        write(engine, tmp_path, on(engine, **other), APPEND)

    assert rows(engine, tmp_path) == [{"a": 1}]


def test_a_table_may_be_replaced_by_what_was_read_from_it(engine: Engine, tmp_path: Path) -> None:
    write(engine, tmp_path, on(engine, a=[1, 2]))
    frame = engine.read_delta(str(tmp_path), None, storage_options=None)

    write(engine, tmp_path, frame.filter(nw.col("a") == 2))

    assert rows(engine, tmp_path) == [{"a": 2}]


@pytest.mark.parametrize("name", ["two words, Zoë 東京, 50%", "a+b&c=d;e 'quoted' {a,b} *"])
def test_a_table_of_any_usual_name_is_shared(
    pair: Sequence[Engine], tmp_path: Path, name: str
) -> None:
    first, second = pair
    uri = tmp_path / name / "raw"

    write(first, uri, on(first, a=[1]))
    write(second, uri, on(second, a=[2]), Commit("append", base=0, transaction="promotion"))

    for engine in pair:
        assert rows(engine, uri) == [{"a": 1}, {"a": 2}]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_every_version_of_a_shared_table_is_the_same_to_both(
    engines: Engines, tmp_path: Path
) -> None:
    first, second = engines.values()
    table = pa.table(VALUES, schema=TYPES)
    write(first, tmp_path, first.from_arrow(table))
    write(second, tmp_path, second.from_arrow(table), APPEND)
    write(first, tmp_path, first.from_arrow(table.slice(1)), APPEND)
    write(second, tmp_path, second.from_arrow(table.append_column("more", [["x", "y", None]])))

    counts = []
    for version in range(4):
        ours, theirs = (rows(engine, tmp_path, version) for engine in engines.values())
        assert repr(ours) == repr(theirs)
        counts.append(len(ours))
    assert counts == [3, 6, 8, 3]


def test_a_log_that_both_condense_is_read_by_both(engines: Engines, tmp_path: Path) -> None:
    first, second = engines.values()
    write(first, tmp_path, on(first, a=[0]))
    DeltaTable(str(tmp_path)).alter.set_table_properties({"delta.checkpointInterval": "2"})

    for number in range(1, 6):
        writer = second if number % 2 else first
        write(writer, tmp_path, on(writer, a=[number]), APPEND)
        if number == 3:
            DeltaTable(str(tmp_path)).create_checkpoint()

    assert list(tmp_path.glob("_delta_log/*.checkpoint*.parquet"))
    for engine in engines.values():
        assert rows(engine, tmp_path) == [{"a": number} for number in range(6)]


def test_a_table_asks_no_reader_for_what_some_cannot(engine: Engine, tmp_path: Path) -> None:
    write(engine, tmp_path, engine.from_arrow(pa.table(VALUES, schema=TYPES)))
    write(engine, tmp_path, on(engine, a=[1]))
    table = DeltaTable(str(tmp_path))

    assert table.protocol().min_reader_version == 1
    assert not table.protocol().reader_features
    assert table.to_pyarrow_table().to_pydict() == {"a": [1]}


def constrain_by_delta_rs(_: Engine, uri: Path) -> None:
    DeltaTable(str(uri)).alter.add_constraint({"positive": "a > 0"})


def constrain_by_spark(spark: Any, uri: Path) -> None:
    spark._session().sql(f"ALTER TABLE delta.`{uri}` ADD CONSTRAINT positive CHECK (a > 0)")


@pytest.mark.parametrize("constrain", [constrain_by_delta_rs, constrain_by_spark])
@pytest.mark.parametrize("commit", [APPEND, REPLACE], ids=["append", "replacement"])
def test_a_check_of_a_table_holds_for_both_and_outlives_a_replacement(
    engines: Engines, tmp_path: Path, constrain: Callable[..., None], commit: Commit
) -> None:
    write(POLARS, tmp_path, on(POLARS, a=[1]))
    constrain(engines["spark"], tmp_path)

    for engine in engines.values():
        write(engine, tmp_path, on(engine, a=[2]))
        with pytest.raises(Exception, match=r"(?i)positive|constraint|check"):
            write(engine, tmp_path, on(engine, a=[-1]), commit)

    assert rows(POLARS, tmp_path) == [{"a": 2}]


def without_nulls_by_delta_rs(_: Engine, uri: Path) -> None:
    DeltaTable.create(str(uri), DeltaSchema([Field("a", "long", nullable=False)]))


def without_nulls_by_spark(spark: Any, uri: Path) -> None:
    spark._session().sql(f"CREATE TABLE delta.`{uri}` (a BIGINT NOT NULL) USING delta")


@pytest.mark.parametrize("create", [without_nulls_by_delta_rs, without_nulls_by_spark])
def test_a_column_without_nulls_takes_none_from_either_and_outlives_a_replacement(
    engines: Engines, tmp_path: Path, create: Callable[..., None]
) -> None:
    create(engines["spark"], tmp_path)
    null = pa.array([None], pa.int64())

    for engine in engines.values():
        write(engine, tmp_path, on(engine, a=[2]))
        for commit in (APPEND, REPLACE):
            with pytest.raises(Exception, match=r"(?i)failed validation|NOT NULL"):
                write(engine, tmp_path, on(engine, a=null), commit)

    assert rows(POLARS, tmp_path) == [{"a": 2}]


# Two writers


@pytest.mark.parametrize("transaction", [None, "promotion"])
def test_a_commit_on_an_older_base_is_refused_and_adds_nothing(
    pair: Sequence[Engine], tmp_path: Path, transaction: str | None
) -> None:
    first, second = pair
    commit = Commit("append", base=0, transaction=transaction)
    write(first, tmp_path, on(first, a=[1]))
    write(first, tmp_path, on(first, a=[2]), commit)

    with pytest.raises(ConflictError):
        write(second, tmp_path, on(second, a=[3]), commit)

    assert rows(POLARS, tmp_path) == [{"a": 1}, {"a": 2}]


def meeting(engine: Engine, folder: Path, number: int) -> nw.LazyFrame[Any]:
    """A row that comes only when both writers have begun, each on the table as it was."""

    def batches() -> Any:
        (folder / str(number)).touch()
        deadline = time.monotonic() + 60
        while len(list(folder.iterdir())) < 2:
            assert time.monotonic() < deadline, "the other writer never came"
            time.sleep(0.02)
        yield pa.record_batch({"a": [number]}, schema=WHOLE)

    return engine.read_batches(WHOLE, batches)


def race(writers: Sequence[Engine], folder: Path, commit: Commit) -> list[int]:
    """Who of two writers at once wins."""
    met = folder / "met"
    met.mkdir()

    def wins(number: int) -> bool:
        writer = writers[number - 1]
        try:
            write(writer, folder / "table", meeting(writer, met, number), commit)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        return [number for number, won in zip((1, 2), pool.map(wins, (1, 2)), strict=True) if won]


WRITERS = [("spark", "spark"), ("spark", "polars"), ("polars", "polars")]


@pytest.mark.parametrize("names", WRITERS, ids=" and ".join)
@pytest.mark.parametrize("transaction", [None, "promotion"])
def test_of_two_appends_on_one_base_at_once_one_wins(
    engines: Engines, tmp_path: Path, names: Sequence[str], transaction: str | None
) -> None:
    write(POLARS, tmp_path / "table", on(POLARS, a=[0]))

    won = race(
        [engines[name] for name in names],
        tmp_path,
        Commit("append", base=0, transaction=transaction),
    )

    assert len(won) == 1
    assert rows(POLARS, tmp_path / "table") == [{"a": 0}, {"a": won[0]}]


@pytest.mark.parametrize("names", WRITERS, ids=" and ".join)
@pytest.mark.parametrize("before", [[0], [], None], ids=["some rows", "no rows", "no table"])
def test_of_two_replacements_at_once_one_stands(
    engines: Engines, tmp_path: Path, names: Sequence[str], before: list[int] | None
) -> None:
    if before is not None:
        table = pa.table({"a": before}, schema=WHOLE)
        write(POLARS, tmp_path / "table", POLARS.from_arrow(table))

    won = race([engines[name] for name in names], tmp_path, REPLACE)

    assert len(won) == 1
    assert rows(POLARS, tmp_path / "table") == [{"a": won[0]}]


# What a place refuses


def lake_refusal(table: Table, frame: nw.LazyFrame[Any]) -> str:
    """What the lake says of a table that cannot be written."""
    with pytest.raises(TableError) as caught:
        table.replace(frame, "2")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_version_that_never_was_is_refused_by_the_table_s_name(
    spark_engine: Engine, tmp_path: Path
) -> None:
    table = Table("silver", str(tmp_path), spark_engine)
    table.replace(on(spark_engine, a=[1]), "1")

    message = refusal(lambda: table.scan(version=99), TableError)

    assert message.startswith(f"{tmp_path}: the table silver could not be read: ")


def test_a_damaged_file_is_named_and_the_version_before_is_whole(
    spark_engine: Engine, tmp_path: Path
) -> None:
    table = Table("silver", str(tmp_path / "silver"), spark_engine)
    for rows in (1, 2):
        table.replace(on(spark_engine, a=list(range(rows))), str(rows))
    whole, delta = examine(table), table.opened()
    assert delta is not None
    file = Path(delta.file_uris()[0])
    file.write_bytes(b"?" * file.stat().st_size)

    with pytest.raises(DamageError) as caught, damage_named(lambda: {"silver": table}):
        spark_engine.collect(table.scan())

    assert whole.fault == ""
    assert str(caught.value).startswith(f"the table silver is damaged: {file.parent}/")
    assert [state.version for state in good_versions(table)] == [0]


def test_a_file_in_the_way_is_told_as_the_lake_tells_it(
    spark_engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "_delta_log").touch()

    message = lake_refusal(Table("silver", str(tmp_path), spark_engine), on(spark_engine, a=[1]))

    assert "could not be written: a file stands where its folder should be" in message


def test_a_disk_that_is_full_or_read_only_is_told_and_the_last_version_stands(
    spark_engine: Engine, disk: Disk
) -> None:
    table = Table("silver", str(disk.folder / "silver"), spark_engine)
    frame = on(spark_engine, a=[1])
    table.replace(frame, "1")

    with disk.read_only():
        read_only = lake_refusal(table, frame)
    with disk.full(4096):
        full = lake_refusal(table, on(spark_engine, a=range(100_000)))

    assert "could not be written: this place is read-only. Give write permission" in read_only
    assert "could not be written: the disk is full. Free some space" in full
    assert rows(spark_engine, table.uri) == [{"a": 1}]
    assert table.replace(on(spark_engine, a=[2]), "3").version == 1

"""The embedded engine: what every engine must do, on Polars and delta-rs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from churn_assets.tables.engines.engine import BUCKETS, Commit, ConflictError
from churn_assets.tables.engines.polars_engine import PolarsEngine

ENGINE = PolarsEngine()
WHOLE = pa.schema([("a", pa.int64())])
ROW_GROUP_ROWS = 65_536
"""More would cost a reader too much memory: it holds several row groups at once."""
MASK = (1 << 64) - 1
PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def xxh64(content: bytes, seed: int = 42) -> int:
    """XXH64 as its specification has it, as a signed number."""
    p1, p2, p3, p4, p5 = PRIMES

    def turn(value: int, by: int) -> int:
        return ((value << by) | (value >> (64 - by))) & MASK

    def mix(lane: int, word: int) -> int:
        return turn((lane + word * p2) & MASK, 31) * p1 & MASK

    words = [int.from_bytes(content[i : i + 8], "little") for i in range(0, len(content), 8)]
    at = 0
    if len(content) >= 32:
        lanes = [(seed + p1 + p2) & MASK, (seed + p2) & MASK, seed, (seed - p1) & MASK]
        while at + 32 <= len(content):
            lanes = [mix(lane, words[at // 8 + i]) for i, lane in enumerate(lanes)]
            at += 32
        value = sum(turn(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            value = ((value ^ mix(0, lane)) * p1 + p4) & MASK
    else:
        value = seed + p5
    value = (value + len(content)) & MASK
    while at + 8 <= len(content):
        value = (turn(value ^ mix(0, words[at // 8]), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= len(content):
        word = int.from_bytes(content[at : at + 4], "little")
        value = (turn(value ^ (word * p1 & MASK), 23) * p2 + p3) & MASK
        at += 4
    for byte in content[at:]:
        value = turn(value ^ (byte * p5 & MASK), 11) * p1 & MASK
    value = (value ^ (value >> 33)) * p2 & MASK
    value = (value ^ (value >> 29)) * p3 & MASK
    value ^= value >> 32
    return value - (1 << 64) if value >> 63 else value


def frame(**columns: object) -> nw.LazyFrame:
    return nw.from_native(pl.LazyFrame(columns))


def test_the_reference_hash_gives_the_published_value() -> None:
    assert xxh64(b"7590-VHVEG") == -1917773583317992219


@pytest.mark.parametrize(
    "key", ["7590-VHVEG", "", "é", "\u00a0", "日本語の鍵", "🙂", "a b|c", "x" * 1000, "y" * 31]
)
def test_a_bucket_is_the_salted_hash_of_the_key(key: str) -> None:
    buckets = ENGINE.collect(ENGINE.bucket(frame(key=[key]), ["key"], "salt", into="bucket"))

    assert buckets["bucket"].to_pylist() == [xxh64(f"salt|{key}".encode()) % BUCKETS]


def test_batches_are_drawn_when_computed_with_columns_and_rows_chosen_late() -> None:
    drawn = []

    def batches():
        for start in (0, 10, 20):
            drawn.append(start)
            yield pa.RecordBatch.from_pydict({"a": list(range(start, start + 10)), "b": ["x"] * 10})

    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    lazy = ENGINE.read_batches(schema, batches)
    assert drawn == []

    assert ENGINE.collect(lazy.filter(nw.col("a") > 27).select("a"))["a"].to_pylist() == [28, 29]
    assert len(ENGINE.collect(lazy.head(5))) == 5


def test_batches_are_drawn_only_as_far_as_rows_are_asked_for() -> None:
    drawn = []

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, 1_000_000, 1000):
            drawn.append(start)
            yield pa.record_batch({"a": range(start, start + 1000)}, schema=WHOLE)

    lazy = ENGINE.read_batches(WHOLE, batches)

    assert ENGINE.collect(lazy.head(1500))["a"].to_pylist() == list(range(1500))
    assert len(drawn) < 100


def test_a_condition_may_be_on_a_column_that_is_not_asked_for() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    batch = pa.record_batch({"a": [1, 2, 3], "b": ["x", "y", "x"]}, schema=schema)
    lazy = ENGINE.read_batches(schema, lambda: iter([batch, batch]))

    first = ENGINE.collect(lazy.filter(nw.col("b") == "x").select("a").head(3))
    late = ENGINE.collect(lazy.head(3).filter(nw.col("b") == "x").select("a"))

    assert first["a"].to_pylist() == [1, 3, 1]
    assert late["a"].to_pylist() == [1, 3]


def test_collected_text_is_of_a_type_that_every_arrow_reader_knows() -> None:
    assert ENGINE.collect(frame(a=["x"])).schema.field("a").type == pa.large_string()


def test_a_function_of_batches_sees_every_row_once_and_never_all_at_once() -> None:
    sizes = []

    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(len(batch))
        return pa.RecordBatch.from_pydict(
            {"twice": pa.array([2 * v for v in batch["a"].to_pylist()])}
        )

    rows = 400_000
    mapped = ENGINE.map_batches(frame(a=range(rows)), double, pa.schema([("twice", pa.int64())]))
    doubled = ENGINE.collect(mapped)["twice"].to_numpy()

    assert sorted(doubled) == list(range(0, 2 * rows, 2))
    assert max(sizes) < rows


def test_only_few_batches_wait_for_a_slow_function(tmp_path: Path) -> None:
    rows, drawn, done, waiting = 4_000_000, 0, 0, []

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal drawn
        for start in range(0, rows, 10_000):
            drawn += 10_000
            yield pa.record_batch({"a": range(start, start + 10_000)}, schema=WHOLE)

    def score(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal done
        done += len(batch)
        waiting.append(drawn - done)
        return batch

    mapped = ENGINE.map_batches(ENGINE.read_batches(WHOLE, batches), score, WHOLE)
    ENGINE.write_delta(str(tmp_path), mapped, Commit("overwrite"), storage_options=None)

    counted = ENGINE.read_delta(str(tmp_path), None, storage_options=None).select(
        nw.col("a").n_unique().alias("keys"), nw.len().alias("rows")
    )
    assert ENGINE.collect(counted).to_pylist() == [{"keys": rows, "rows": rows}]
    assert max(waiting) < rows / 4


NESTED = """
import narwhals.stable.v2 as nw, polars as pl, pyarrow as pa
from churn_assets.tables.engines.polars_engine import PolarsEngine
engine, schema = PolarsEngine(), pa.schema([("a", pa.int64())])
frame = nw.from_native(pl.LazyFrame({"a": range(500_000)}))
for _ in range(3):
    frame = engine.map_batches(frame, lambda batch: batch, schema)
print(len(engine.collect(frame)))
"""


def test_functions_of_batches_need_no_thread_of_their_own_each() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NESTED],
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "500000\n", done.stderr


def failing_late(error: BaseException) -> nw.LazyFrame:
    """A frame whose function fails when it has seen most of the rows."""
    seen = 0

    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal seen
        seen += len(batch)
        if seen > 400_000:
            raise error
        return batch

    return ENGINE.map_batches(frame(a=range(500_000)), fail, WHOLE)


@pytest.mark.parametrize("error", [ValueError("no score for you"), KeyboardInterrupt()], ids=repr)
def test_a_function_that_fails_says_so_itself_and_leaves_the_table_as_it_was(
    tmp_path: Path, error: BaseException
) -> None:
    uri = str(tmp_path / "table")
    ENGINE.write_delta(uri, frame(a=[1]), Commit("overwrite"), storage_options=None)

    with pytest.raises(type(error)) as collected:
        ENGINE.collect(failing_late(error))
    with pytest.raises(type(error)) as written:
        ENGINE.write_delta(uri, failing_late(error), Commit("overwrite"), storage_options=None)

    assert str(collected.value) == str(written.value) == str(error)
    assert DeltaTable(uri).version() == 0


def test_a_function_that_gives_other_columns_than_it_said_is_refused(tmp_path: Path) -> None:
    def misname(batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.rename_columns(["b"])

    mapped = ENGINE.map_batches(frame(a=[1]), misname, WHOLE)
    with pytest.raises(pl.exceptions.ColumnNotFoundError, match="did not find column a"):
        ENGINE.write_delta(str(tmp_path), mapped, Commit("overwrite"), storage_options=None)

    assert not DeltaTable.is_deltatable(str(tmp_path))


# Delta tables


def test_a_table_is_written_in_row_groups_that_many_readers_can_hold(tmp_path: Path) -> None:
    uri = str(tmp_path)
    whole = frame(a=range(300_000))

    ENGINE.write_delta(uri, whole, Commit("overwrite"), storage_options=None)

    files = [pq.read_metadata(file) for file in tmp_path.glob("*.parquet")]
    groups = [file.row_group(i).num_rows for file in files for i in range(file.num_row_groups)]
    assert sum(groups) == 300_000
    assert max(groups) <= ROW_GROUP_ROWS


@pytest.mark.parametrize("folder", ["plain", "two words"])
def test_a_partitioned_table_of_another_writer_is_read_whole(tmp_path: Path, folder: str) -> None:
    uri = str(tmp_path / folder)
    values = {"place": ["a b", "ä", "50%", "x/y", "%20", None], "a": [1, 2, 3, 4, 5, 6]}
    write_deltalake(uri, pa.table(values), partition_by=["place"])

    read = ENGINE.collect(ENGINE.read_delta(uri, None, storage_options=None).sort("a"))

    assert read.to_pydict() == values


def test_of_two_writers_on_one_version_one_wins(tmp_path: Path) -> None:
    uri = str(tmp_path / "table")
    ENGINE.write_delta(uri, frame(a=[1]), Commit("overwrite"), storage_options=None)
    commit = Commit("append", base=0, transaction="promotion")
    ENGINE.write_delta(uri, frame(a=[2]), commit, storage_options=None)

    with pytest.raises(ConflictError):
        ENGINE.write_delta(uri, frame(a=[3]), commit, storage_options=None)

    rows = ENGINE.collect(ENGINE.read_delta(uri, None, storage_options=None))
    assert sorted(rows["a"].to_pylist()) == [1, 2]

"""The embedded engine: what every engine must do, on Polars and delta-rs."""

from __future__ import annotations

from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from churn_assets.tables.engine import BUCKETS, Commit, ConflictError
from churn_assets.tables.polars_engine import PolarsEngine
from churn_assets.usecases.spec import DType

ENGINE = PolarsEngine()
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
    found = ENGINE.collect(ENGINE.bucket(frame(key=[key]), "key", "salt", into="bucket"))

    assert found["bucket"].to_pylist() == [xxh64(f"salt|{key}".encode()) % BUCKETS]


def test_the_bucket_of_a_known_key_never_changes() -> None:
    found = ENGINE.collect(ENGINE.bucket(frame(key=["7590-VHVEG"]), "key", "salt", into="bucket"))

    assert found["bucket"].to_pylist() == [2916]


def test_text_that_is_no_number_becomes_null() -> None:
    text = frame(whole=["1", "many", None], real=["1.5", "x", "1e3"])

    parsed = ENGINE.collect(ENGINE.parse(text, {"whole": DType.INT64, "real": DType.FLOAT64}))

    assert parsed.to_pydict() == {"whole": [1, None, None], "real": [1.5, None, 1000.0]}


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


def test_a_function_of_batches_sees_every_row_once_and_never_all_at_once() -> None:
    sizes = []

    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(len(batch))
        return pa.RecordBatch.from_pydict(
            {"twice": pa.array([2 * v for v in batch["a"].to_pylist()])}
        )

    rows = 400_000
    mapped = ENGINE.map_batches(frame(a=range(rows)), double, pa.schema([("twice", pa.int64())]))
    found = ENGINE.collect(mapped)["twice"].to_numpy()

    assert sorted(found) == list(range(0, 2 * rows, 2))
    assert max(sizes) < rows


def test_a_function_that_fails_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    uri = str(tmp_path / "table")
    ENGINE.write_delta(uri, frame(a=[1]), Commit("overwrite"), storage_options=None)

    def fail(batch: pa.RecordBatch) -> pa.RecordBatch:
        raise ValueError("no score for you")

    mapped = ENGINE.map_batches(frame(a=[1, 2]), fail, pa.schema([("a", pa.int64())]))
    with pytest.raises(Exception, match="no score for you"):
        ENGINE.write_delta(uri, mapped, Commit("overwrite"), storage_options=None)

    assert DeltaTable(uri).version() == 0


def test_of_two_writers_on_one_version_one_wins(tmp_path: Path) -> None:
    uri = str(tmp_path / "table")
    ENGINE.write_delta(uri, frame(a=[1]), Commit("overwrite"), storage_options=None)
    commit = Commit("append", base=0, transaction="promotion")
    ENGINE.write_delta(uri, frame(a=[2]), commit, storage_options=None)

    with pytest.raises(ConflictError):
        ENGINE.write_delta(uri, frame(a=[3]), commit, storage_options=None)

    rows = ENGINE.collect(ENGINE.read_delta(uri, None, storage_options=None))
    assert sorted(rows["a"].to_pylist()) == [1, 2]

"""From a body of rows to a body of answers: one for each row, in their order."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec
import numpy as np

from churn_assets.serving.answering.batch.body import BodyError, Chunk, Format, chunks
from churn_assets.serving.answering.batch.forms import Columns, Form, Given, Met

if TYPE_CHECKING:
    import pyarrow as pa

Told = Literal["number", "whole", "flag", "text"]
"""What a column of answers holds."""
Score = Callable[[Columns], Mapping[str, Any]]
"""From the inputs of some rows to the columns of their answers, each of as many values."""
ROW, ERROR = "row", "error"


def answers(
    body: BinaryIO,
    reads: Format,
    writes: Format,
    *,
    form: Form,
    score: Score,
    columns: Mapping[str, Told],
    keys: tuple[str, ...] = (),
) -> Iterator[bytes]:
    """Score a body, and give what is answered as it comes.

    Of each row there is its place from 0, its key, the columns of its answer, and `error`: null
    where it was scored, and else all that is wrong with it, in the words of `rejects`.

    Parameters
    ----------
    body : binary file
        The rows.
    reads, writes : {"arrow", "parquet", "ndjson", "csv"}
        How they come, and how they are answered.
    form : Form
        What a row is.
    score : callable
        Answers the rows with nothing wrong.
    columns : mapping of str to {"number", "whole", "flag", "text"}
        What it gives.
    keys : tuple of str
        Columns of the key.

    Raises
    ------
    BodyError
        Before anything is given, where the body cannot be read or has other columns than it may;
        and later where it is damaged or cut short: what was given by then is not all.
    """
    coming = chunks(body, reads, form.numbers)
    first = next(coming, None)
    if first is not None:
        _require_columns(first, form)
    # Generators begin when they are drawn from: what is wrong at once is told before that.
    return _given_out(
        chain([] if first is None else [first], coming), writes, form, score, columns, keys
    )


def _given_out(
    coming: Iterator[Chunk],
    writes: Format,
    form: Form,
    score: Score,
    columns: Mapping[str, Told],
    keys: tuple[str, ...],
) -> Iterator[bytes]:
    schema, met, place = _schema(columns, keys), Met(), 0
    writer = _WRITERS[writes](schema)
    for chunk in coming:
        given = met.refuse(form.given(chunk))
        right = given.right
        scored = score(given.columns) if len(right) else {}
        yield writer.write(_answer(schema, given, right, scored, place))
        place += chunk.rows
    yield writer.close()


def _require_columns(chunk: Chunk, form: Form) -> None:
    if chunk.table is None:
        return
    names = chunk.table.schema.names
    faults = form.faults(names)
    if len({*names}) < len(names):
        raise BodyError("the body has two columns of one name.")
    if faults:
        raise BodyError("the body has other columns than it may.", faults)


def _schema(columns: Mapping[str, Told], keys: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    types = {
        "number": pa.float64(),
        "whole": pa.int64(),
        "flag": pa.bool_(),
        "text": pa.string(),
    }
    return pa.schema(
        [
            (ROW, pa.int64()),
            *((name, pa.string()) for name in keys),
            *((name, types[told]) for name, told in columns.items()),
            (ERROR, pa.string()),
        ]
    )


def _answer(
    schema: pa.Schema, given: Given, right: Any, scored: Mapping[str, Any], place: int
) -> pa.RecordBatch:
    """The answers of a chunk: nulls where a row was not scored."""
    import pyarrow as pa

    rows = given.rows
    is_all = len(right) == rows
    if not is_all:
        at = np.full(rows, -1)
        at[right] = np.arange(len(right))
        taken = pa.array(at, mask=at < 0)
    arrays = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name == ROW:
            arrays.append(pa.array(np.arange(place, place + rows)))
        elif name == ERROR:
            errors = [given.errors.get(row) for row in range(rows)] if given.errors else None
            arrays.append(pa.nulls(rows, kind) if errors is None else pa.array(errors, kind))
        elif name not in scored:
            known = given.keys.get(name)
            arrays.append(pa.nulls(rows, kind) if known is None else pa.array(known, kind))
        else:
            values = pa.array(scored[name], kind)
            arrays.append(values if is_all else values.take(taken))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


class _Tables:
    """Answers in a format of Arrow's own writers."""

    def __init__(self, opened: Callable[[_Sink], Any]) -> None:
        self._sink = _Sink()
        self._writer = opened(self._sink)

    def write(self, batch: pa.RecordBatch) -> bytes:
        self._writer.write_batch(batch)
        return self._sink.taken()

    def close(self) -> bytes:
        self._writer.close()
        return self._sink.taken()


class _Lines:
    """Answers as lines of JSON."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, batch: pa.RecordBatch) -> bytes:
        return self._encode(batch.to_pylist())

    def close(self) -> bytes:
        return b""


def _arrow(schema: pa.Schema) -> _Tables:
    import pyarrow as pa

    return _Tables(lambda sink: pa.ipc.new_stream(sink, schema))


def _parquet(schema: pa.Schema) -> _Tables:
    import pyarrow.parquet as pq

    return _Tables(lambda sink: pq.ParquetWriter(sink, schema))


def _csv(schema: pa.Schema) -> _Tables:
    import pyarrow.csv as pc

    return _Tables(lambda sink: pc.CSVWriter(sink, schema))


_WRITERS: Mapping[Format, Callable[[pa.Schema], Any]] = {
    "arrow": _arrow,
    "parquet": _parquet,
    "csv": _csv,
    "ndjson": lambda _: _Lines(),
}

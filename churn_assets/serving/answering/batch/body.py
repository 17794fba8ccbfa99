"""A body of rows in one of four formats, read in chunks; and what is wrong with it as a whole."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from churn_assets.serving.answering.faults import Fault

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["arrow", "parquet", "ndjson", "csv"]
MEDIA_TYPES: Mapping[str, Format] = {
    "application/vnd.apache.arrow.stream": "arrow",
    "application/vnd.apache.arrow.file": "arrow",
    "application/vnd.apache.parquet": "parquet",
    "application/x-ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "text/csv": "csv",
}
"""Formats by what HTTP calls them."""
ROWS = 16_384
"""In one chunk."""
MOST_LINE_BYTES = 1 << 20
_ARROW_FILE = b"ARROW1"
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)

Row = dict[str, Any]


class BodyError(Exception):
    """A body that cannot be read, or not to its end; its message shows no value.

    Parameters
    ----------
    message : str
        What is wrong.
    faults : sequence of Fault
        Of its columns, where they are known.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Chunk:
    """Some rows of a body, in their order.

    Parameters
    ----------
    rows : int
        How many.
    table : RecordBatch, optional
        They by columns, of a format that has columns.
    lines : list of dict, optional
        They one by one, of a format that has lines; an empty one where a line cannot be read.
    broken : mapping of int to str
        Why a line cannot be read, by its place.
    """

    rows: int
    table: pa.RecordBatch | None = None
    lines: Sequence[Row] = ()
    broken: Mapping[int, str] = field(default_factory=dict)

    def as_lines(self) -> Sequence[Row]:
        """The rows one by one, whatever the format."""
        return self.lines if self.table is None else self.table.to_pylist()


def chunks(body: BinaryIO, format: Format, numbers: Iterable[str] = ()) -> Iterator[Chunk]:
    """Read a body in chunks.

    Parameters
    ----------
    body : binary file
        Of Parquet, or Arrow's file format, one that can be sought in.
    format : {"arrow", "parquet", "ndjson", "csv"}
        What it is.
    numbers : iterable of str
        The columns of CSV whose text is a number.

    Raises
    ------
    BodyError
        Where it is none of that format, or is cut short.
    """
    with _readable(format):
        if format == "csv":
            yield from _csv(body, frozenset(numbers))
        elif format == "ndjson":
            yield from _ndjson(body)
        else:
            yield from _tables(body, format)


def _tables(body: BinaryIO, format: Format) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches: Iterable[pa.RecordBatch]
    if format == "parquet":
        batches = pq.ParquetFile(body).iter_batches(ROWS)
    elif body.seekable() and _begins(body, _ARROW_FILE):
        file = pa.ipc.open_file(body)
        batches = (file.get_batch(number) for number in range(file.num_record_batches))
    else:
        batches = pa.ipc.open_stream(body)
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS):
            part = batch.slice(start, ROWS)
            yield Chunk(part.num_rows, table=part)


def _begins(body: BinaryIO, mark: bytes) -> bool:
    here = body.tell()
    begins = body.read(len(mark)) == mark
    body.seek(here)
    return begins


def _ndjson(body: BinaryIO) -> Iterator[Chunk]:
    decode: Callable[[bytes], Row] = msgspec.json.Decoder(dict[str, Any]).decode
    lines = (line for line in _lines(body) if line.strip())
    while some := list(islice(lines, ROWS)):
        rows: list[Row] = []
        broken = {}
        for place, line in enumerate(some):
            try:
                rows.append(decode(line))
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                rows.append({})
                broken[place] = "is not a line of JSON with an object"
        yield Chunk(len(rows), lines=rows, broken=broken)


def _csv(body: BinaryIO, numbers: frozenset[str]) -> Iterator[Chunk]:
    # What is no text is refused by whoever reads the row it is in.
    text = codecs.iterdecode(_lines(body), "utf-8-sig", errors="surrogateescape")
    records = _records(csv.reader(text, strict=True))
    names = next(records, None)
    if names is None:
        raise BodyError("the body has no header.")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise BodyError(
            "the header names a column twice.",
            [Fault(name, "column", "is there twice") for name in sorted(repeated)],
        )
    of_numbers = [name in numbers for name in names]
    while some := list(islice(records, ROWS)):
        rows: list[Row] = []
        broken = {}
        for place, record in enumerate(some):
            if len(record) == len(names):
                fields = zip(names, record, of_numbers, strict=True)
                rows.append({name: _said(value, is_number) for name, value, is_number in fields})
                continue
            rows.append({})
            broken[place] = (
                f"has {len(record)} fields, and the header {len(names)}"
                if record
                else "is not a line of CSV"
            )
        yield Chunk(len(rows), lines=rows, broken=broken)


def _records(lines: Iterator[list[str]]) -> Iterator[list[str]]:
    """The records of CSV; an empty one for a line that is none, and nothing for a blank one."""
    while True:
        try:
            record = next(lines, None)
        except csv.Error as error:
            if "end of data" in str(error):
                raise BodyError("a quote of the body is not closed.") from None
            yield []
            continue
        if record is None:
            return
        if record:
            yield record


def _said(text: str, is_number: bool) -> str | float | None:
    """What a field of CSV says: it has no types, and nothing stands for null."""
    if text == "":
        return None
    return float(text) if is_number and _NUMBER.fullmatch(text) else text


def _lines(body: BinaryIO) -> Iterator[bytes]:
    while line := body.readline(MOST_LINE_BYTES + 1):
        if len(line) > MOST_LINE_BYTES:
            raise BodyError(f"a line is longer than {MOST_LINE_BYTES:,} bytes.")
        yield line


@contextmanager
def _readable(format: Format) -> Iterator[None]:
    try:
        yield
    except (BodyError, GeneratorExit):
        raise
    except Exception as error:
        # Of Arrow's errors some are those of Python; what they say may show values.
        if not (isinstance(error, OSError | ValueError) or _is_arrow(error)):
            raise
        raise BodyError(f"the body is not {format}, is damaged, or is cut short.") from None


def _is_arrow(error: Exception) -> bool:
    return type(error).__module__.startswith("pyarrow")

"""From the lines of a segment to rows of the table `requests`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from churn_assets.serving.answering.segments import Entry

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.serving.inference_log.requests_table import RequestsTable

_NOTHING = b"null"


class _Line(Entry):
    """An entry as it is read: its inputs stay the text that they are."""

    inputs: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Line)


@dataclass(frozen=True)
class Lines:
    """What a segment holds.

    Parameters
    ----------
    rows : RecordBatch
        Of the table.
    damaged : tuple of bytes
        Whole lines that say no entry, as they are.
    unfinished : int
        Bytes behind the last whole line: a write that was broken off, and not answered.
    """

    rows: pa.RecordBatch
    damaged: tuple[bytes, ...]
    unfinished: int


def read_lines(content: bytes, table: RequestsTable) -> Lines:
    """Read the content of a segment.

    Parameters
    ----------
    content : bytes
        Of its file.
    table : RequestsTable
        Says the columns.
    """
    end = content.rfind(b"\n") + 1
    whole, unfinished = content[:end], len(content) - end
    try:
        return Lines(_rows(_DECODER.decode_lines(whole), table), (), unfinished)
    except _FAULTS:
        pass
    entries, damaged = [], []
    for line in whole.splitlines():
        try:
            entry = _DECODER.decode(line)
            _rows([entry], table)
        except _FAULTS:
            damaged.append(line)
        else:
            entries.append(entry)
    return Lines(_rows(entries, table), tuple(damaged), unfinished)


# Arrow's are ValueErrors, and so are msgspec's.
_FAULTS = (ValueError, OverflowError)


def _rows(entries: list[_Line], table: RequestsTable) -> pa.RecordBatch:
    """The rows of entries, column by column."""
    import pyarrow as pa

    schema, parts = table.schema, len(table.keys)
    if any(entry.key is not None and len(entry.key) != parts for entry in entries):
        raise ValueError(f"a key has not {parts} parts")
    columns = []
    for name in schema.names:
        if name in table.keys:
            place = table.keys.index(name)
            values = [None if entry.key is None else entry.key[place] for entry in entries]
        elif name == "inputs":
            texts = [bytes(entry.inputs) for entry in entries]
            values = [None if text == _NOTHING else text.decode() for text in texts]
        else:
            values = [getattr(entry, name) for entry in entries]
        columns.append(pa.array(values, schema.field(name).type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)

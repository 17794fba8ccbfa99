"""Lines of a text file that have fewer fields than its header."""

from __future__ import annotations

from collections.abc import Iterator

from churn_assets.tables.lake import LINE_FAULT
from churn_assets.tables.sources.files import File
from churn_assets.tables.sources.text import fields, records

_QUOTE, _END = ord('"'), ord("\n")


def has_short_line(file: File, delimiter: str, columns: int) -> bool:
    """Whether a line may have fewer fields than the header, by a quick look.

    Parameters
    ----------
    file : File
        Text in UTF-8.
    delimiter : str
        Between its fields.
    columns : int
        Fields of the header.
    """
    import numpy as np

    # Of the line that the blocks read so far end in: its delimiters, and whether it says anything.
    delimiters, says, is_quoted = 0, False, False
    for block in file.blocks():
        content = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(content == _END)
        between = np.flatnonzero(content == ord(delimiter))
        if is_quoted or b'"' in block:
            quotes = np.add.accumulate(content == _QUOTE, dtype=np.uint8)
            outside = (quotes + is_quoted) & 1 == 0
            ends, between = ends[outside[ends]], between[outside[between]]
            is_quoted = bool((int(quotes[-1]) + is_quoted) & 1)
        places = np.searchsorted(between, ends)
        counts = np.diff(places, prepend=0)
        for i in np.flatnonzero(counts < columns - 1):
            start = ends[i - 1] + 1 if i else 0
            line = block[start : ends[i]]
            if i == 0 and counts[0] + delimiters >= columns - 1:
                continue
            if line.strip(b"\r") or (i == 0 and says):
                return True
        if len(ends):
            delimiters, says = 0, False
        delimiters += len(between) - (int(places[-1]) if len(ends) else 0)
        says = says or bool(block[ends[-1] + 1 if len(ends) else 0 :].strip(b"\r"))
    return says and delimiters < columns - 1


def completed(file: File, delimiter: str, encoding: str, where: str) -> Iterator[bytes]:
    """Give the content as UTF-8, each line with all fields and one more.

    That says of a line which had fewer fields than the header which line it was. Empty lines are
    left out.
    """
    width: int | None = None
    for line, record in records(file, encoding, where):
        body = record.rstrip("\r\n")
        if not body:
            continue
        count = fields(record, delimiter)
        if width is None:
            width = count or 0
            yield f"{body}{delimiter}{LINE_FAULT}\n".encode()
        elif count is not None and count < width:
            fault = f"line {line:,} has {_number(count)} and the header {width}"
            yield f'{body}{delimiter * (width - count)}{delimiter}"{fault}"\n'.encode()
        else:
            yield f"{body}{delimiter}\n".encode()


def _number(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"

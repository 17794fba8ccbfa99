"""What a delimited text file says: its header, its encoding, and where it is malformed."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain

from churn_assets.errors import SourceError
from churn_assets.tables.sources.files import File

DELIMITERS = ",;\t|"
_UTF8 = ("utf-8", "utf-8-sig")
_BOM = "\ufeff"
_EXCELS_LINE = re.compile(r'"?sep=(\\t|[^"\r\n])"?\r?\n', re.IGNORECASE)
"""Which Excel takes for the delimiter, and not for a line of the table."""
# First bytes of what people take for a CSV file.
_SIGNATURES = (
    (b"\x1f\x8b", "is compressed with gzip. Unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Unpack it first"),
    (b"PK\x03\x04", "is a zip archive or a spreadsheet. Save it as CSV first"),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet. Save it as CSV first"),
    (b"PAR1", "is a Parquet file. Set {where}.format to parquet"),
)


@dataclass(frozen=True)
class Header:
    """The first block of a file.

    Parameters
    ----------
    names : tuple of str
        As the file has them; a column without a name is called by its place.
    has_records : bool
        Whether anything follows the header.
    text : str
        The block.
    """

    names: tuple[str, ...]
    has_records: bool
    text: str


@dataclass(frozen=True)
class Opening:
    """The first block of a file, before it is known what separates its fields.

    Parameters
    ----------
    place : str
        The file, for refusals.
    text : str
        The block from the header on.
    separator : str
        What the file says of itself in Excel's first line, such as `sep=;`; empty without one.
    """

    place: str
    text: str
    separator: str = ""


def is_utf8(encoding: str) -> bool:
    """Whether engines read this encoding as it is."""
    return codecs.lookup(encoding).name in _UTF8


def read_opening(file: File, encoding: str, where: str) -> Opening:
    """Read the first block of a file.

    Raises
    ------
    SourceError
        Where the file is not text of this encoding.
    """
    block = next(file.blocks(), b"")
    for signature, what in _SIGNATURES:
        if block.startswith(signature):
            raise SourceError(f"{file.place}: {what.format(where=where)}.")
    text = "".join(decoded(file, iter([block]), encoding, where, whole=False)).removeprefix(_BOM)
    if "\0" in text.partition("\n")[0]:
        raise SourceError(f"{file.place}: {_encoding_advice(block, encoding, where)}")
    if "\r" in text and "\n" not in text:
        raise SourceError(
            f"{file.place}: its lines end with a carriage return alone. Save it with line feeds."
        )
    told = _EXCELS_LINE.match(text)
    if told is None:
        return Opening(file.place, text)
    return Opening(file.place, text[told.end() :], told[1].replace(r"\t", "\t"))


def header_of(opening: Opening, delimiter: str) -> Header:
    """The names of the columns.

    Raises
    ------
    SourceError
        Where the file is empty.
    """
    rows = _rows(opening.text, delimiter)
    names = next(rows, None)
    if names is None:
        raise SourceError(
            f"{opening.place}: is empty. It needs a header line, and records below it."
        )
    named = tuple(name or f"column_{number}" for number, name in enumerate(names, start=1))
    return Header(named, next(rows, None) is not None, opening.text)


def likely_delimiter(header: Header, expected: Collection[str], delimiter: str) -> str | None:
    """Find the delimiter that splits the header into more expected names, if another one does."""

    def score(candidate: str) -> tuple[int, int]:
        names = next(_rows(header.text, candidate), [])
        return len(set(names) & set(expected)), len(names)

    best = max(DELIMITERS, key=score)
    return best if best != delimiter and score(best) > score(delimiter) else None


def decoded(
    file: File, blocks: Iterator[bytes], encoding: str, where: str, *, whole: bool = True
) -> Iterator[str]:
    """Decode a file, block by block.

    Raises
    ------
    SourceError
        Naming the line that is not of this encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    before, line = b"", 1
    for block in chain(blocks, [b""] if whole else []):
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            line += _newlines_before(error, encoding)
            raise SourceError(
                f"{file.place}: line {line:,}: "
                f"{_encoding_advice(before + block, encoding, where, error)}"
            ) from None
        line += text.count("\n")
        before = before[:4] or block[:4]
        yield text


def require_encoding(file: File, encoding: str, where: str) -> None:
    """Refuse a file that is not of this encoding.

    Raises
    ------
    SourceError
        Naming the first line that is not.
    """
    check = codecs.getincrementaldecoder(encoding)()
    for block in chain(file.blocks(), [b""]):
        try:
            check.decode(block, final=not block)
        except UnicodeError:
            # Only now is the line worth its search.
            for _ in decoded(file, file.blocks(), encoding, where):
                pass
            raise


def recoded(file: File, encoding: str, where: str) -> Iterator[bytes]:
    """Give the content from the header on, as UTF-8."""
    texts = decoded(file, file.blocks(), encoding, where)
    first = next(texts, "").removeprefix(_BOM)
    yield (
        _EXCELS_LINE.sub("", first, count=1).encode()
        if _EXCELS_LINE.match(first)
        else first.encode()
    )
    for text in texts:
        yield text.encode()


def require_well_formed(file: File, delimiter: str, encoding: str, where: str) -> None:
    """Refuse a malformed file.

    Raises
    ------
    SourceError
        Naming the first record that has too many fields or a stray quote, or that is not text
        of this encoding.
    """
    width: int | None = None
    for line, record in records(file, encoding, where):
        count = fields(record, delimiter)
        if count is None:
            raise SourceError(
                f"{file.place}: line {line:,} has a stray quote. Put the whole field in quotes, "
                "and double each quote inside it."
            )
        if width is None:
            width = count if record.strip() else None
        elif count > width:
            raise SourceError(
                f"{file.place}: line {line:,} has {count} fields and the header {width}. Put a "
                f"field that holds {delimiter_text(delimiter)} in quotes, or correct the line."
            )


def records(file: File, encoding: str, where: str) -> Iterator[tuple[int, str]]:
    """Each record with the line that it starts on; a quoted field may hold line ends."""
    start, quotes = 1, 0
    record: list[str] = []
    texts = _lines(decoded(file, file.blocks(), encoding, where))
    for line, text in enumerate(texts, start=1):
        if line == 1 and _EXCELS_LINE.match(text):
            start = 2
            continue
        quotes += text.count('"')
        record.append(text)
        if quotes % 2 == 0:
            yield start, "".join(record)
            start, quotes, record = line + 1, 0, []
    if record:
        yield start, "".join(record)


def fields(record: str, delimiter: str) -> int | None:
    """Number of fields of a record; None where a quote is out of place."""
    if '"' not in record:
        return record.count(delimiter) + 1
    apart = re.escape(delimiter)
    field = re.compile(rf'(?:"[^"]*(?:""[^"]*)*"|(?!")[^{apart}\n]*?)(?:({apart})|\r?\n?\Z)')
    start = count = 0
    while match := field.match(record, start):
        count, start = count + 1, match.end()
        if match[1] is None:
            return count
    return None


def delimiter_text(delimiter: str) -> str:
    """A delimiter as people write it in a setting."""
    return r"'\t' (a tab)" if delimiter == "\t" else f"'{delimiter}'"


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows of a text that may stop anywhere, without blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            # A field over the module's limit; that there is one is all that counts.
            row = [""]
        if row is None:
            return
        if row:
            yield row


def _lines(texts: Iterator[str]) -> Iterator[str]:
    parts: list[str] = []
    first = True
    for text in texts:
        clean = text.removeprefix(_BOM) if first else text
        first = first and not text
        *lines, rest = clean.split("\n")
        for whole in lines:
            yield "".join([*parts, whole, "\n"])
            parts = []
        parts.append(rest)
    if any(parts):
        yield "".join(parts)


def _newlines_before(error: UnicodeError, encoding: str) -> int:
    if not isinstance(error, UnicodeDecodeError):
        return 0
    return error.object[: error.start].decode(encoding, errors="ignore").count("\n")


def _encoding_advice(
    content: bytes, encoding: str, where: str, error: UnicodeError | None = None
) -> str:
    """Say that a content is not of an encoding, and what it seems to be."""
    wrong = f"is not valid {encoding}"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        seems = "utf-16"
    elif b"\0" in content[:64]:
        seems = "utf-16-le" if content[1:2] == b"\0" else "utf-16-be"
    elif isinstance(error, UnicodeDecodeError) and error.reason == "unexpected end of data":
        return f"{wrong}: it ends within a character and seems to be cut short. Fetch it anew."
    else:
        seems = _single_byte(content) if is_utf8(encoding) else _utf8_or_not(content)
    if not seems:
        return f"{wrong}. Set {where}.encoding to the encoding of the file."
    return f"{wrong}, and the file seems to be {seems}. Set {where}.encoding to {seems}."


def _single_byte(content: bytes) -> str:
    try:
        content.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    return "cp1252"


def _utf8_or_not(content: bytes) -> str:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return ""
    return "utf-8"

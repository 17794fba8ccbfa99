"""Records in text files and in Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.lake import LINE_FAULT, SOURCE_URI
from churn_assets.tables.sources import text
from churn_assets.tables.sources.columns import (
    Columns,
    Expected,
    columns_of,
    require_delimiter,
    require_equal,
)
from churn_assets.tables.sources.files import File, Location, ObjectFile, WebFile, on_disk
from churn_assets.tables.sources.kind import Records, hash_of, reading_settings, records_of
from churn_assets.tables.sources.lines import completed, has_short_line
from churn_assets.tables.sources.raw_types import as_raw, raw_types
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    from churn_assets.types import Frame

_FOOTER_BYTES = 1 << 16
_PARQUET_END_BYTES = 8


@dataclass(frozen=True)
class _Files:
    """What files of each format have in common.

    Parameters
    ----------
    source, expected : Source, Expected
        How they are read, and what they must give.
    location : Location
        Where they lie.
    """

    source: Source
    expected: Expected
    location: Location

    @cached_property
    def files(self) -> Sequence[File]:
        """As an engine opens them: none can sign in to the web, nor read every server there."""
        files = self.location.files
        if not any(isinstance(file, WebFile) for file in files):
            return files
        return on_disk(files, [file.blocks() for file in files])

    def fingerprint(self) -> str:
        """Hash of the names and contents, and of the way they are read."""
        by_etag = all(file.etag for file in self.location.files)
        parts = [
            (file.name, file.etag or _digest(file.blocks()))
            for file in (self.location.files if by_etag else self.files)
        ]
        return hash_of(self.location.format, reading_settings(self.source), parts)

    def _storage_options(self) -> dict[str, str] | None:
        in_store = any(isinstance(file, ObjectFile) for file in self.files)
        return (self.source.options or None) if in_store else None

    def _records(self, frame: Frame, columns: Columns, opened: Sequence[File]) -> Records:
        """Each record with the public address of its own file."""
        import narwhals.stable.v2 as nw

        first = self.location.files[0]
        origin: str | nw.Expr = first.public
        if len(opened) > 1:
            root = opened[0].uri.removesuffix(opened[0].name)
            below = nw.col(SOURCE_URI).str.slice(len(root))
            origin = nw.concat_str([nw.lit(first.public.removesuffix(first.name)), below])
        return records_of(frame, columns, origin, self.location.public, len(opened))


class TextFiles(_Files):
    """Delimited text, every column text."""

    def records(self, engine: Engine) -> Records:
        """The records, as a frame of an engine."""
        source, where, files = self.source, self.expected.settings, self.files
        headers = {
            opening.place: text.header_of(opening, self.delimiter) for opening in self.openings
        }
        require_equal({place: header.names for place, header in headers.items()})
        place, header = next(iter(headers.items()))
        require_delimiter(place, header, self.delimiter, source.rename, self.expected)
        columns = columns_of(place, header.names, source.rename, self.expected)
        if not any(header.has_records for header in headers.values()):
            raise SourceError(f"{self.location.place}: has a header and no records. Add some.")
        for file in files:
            # What a store vouches for is not read twice; the engine refuses bad bytes there.
            if not file.etag:
                text.require_encoding(file, source.encoding, where)
        names = columns.names
        if not text.is_utf8(source.encoding) or any(o.separator for o in self.openings):
            contents = [text.recoded(file, source.encoding, where) for file in files]
            files = on_disk(files, contents)
        if source.short_lines == "reject" and self._has_short_line(engine, files, len(names)):
            contents = [
                completed(file, self.delimiter, source.encoding, where) for file in self.files
            ]
            files = on_disk(self.files, contents)
            names = (*names, LINE_FAULT)
        frame = engine.read_text(
            [file.uri for file in files],
            delimiter=self.delimiter,
            columns=names,
            storage_options=self._storage_options() if files is self.files else None,
        )
        return self._records(_without_blank_lines(frame, columns), columns, files)

    @cached_property
    def openings(self) -> Sequence[text.Opening]:
        """The first block of each file."""
        encoding, where = self.source.encoding, self.expected.settings
        return [text.read_opening(file, encoding, where) for file in self.files]

    @cached_property
    def delimiter(self) -> str:
        """As it is set, or else as Excel's first line has it."""
        told = {opening.separator: opening.place for opening in self.openings if opening.separator}
        if "delimiter" in self.source.model_fields_set or not told:
            return self.source.delimiter
        if len(told) > 1:
            one, other = list(told.values())[:2]
            raise SourceError(
                f"{other}: its first line names another delimiter than that of {one}. Make them "
                "equal, or choose files with a glob."
            )
        return next(iter(told))

    def _has_short_line(self, engine: Engine, files: Sequence[File], columns: int) -> bool:
        """Whether a line may have fewer fields than the header."""
        if columns == 1:
            return False
        # What lies in a store is looked at where it is read: by the engine's own workers.
        in_store = [file.uri for file in files if isinstance(file, ObjectFile)]
        if in_store:
            options = self._storage_options()
            if not engine.may_be_short(in_store, self.delimiter, columns, storage_options=options):
                return False
        return any(has_short_line(file, self.delimiter, columns) for file in files)

    def explain(self, error: Exception) -> SourceError | None:
        """Name the first malformed line, if there is one."""
        if isinstance(error, SourceError):
            return error
        source, where = self.source, self.expected.settings
        try:
            for file in self.files:
                text.require_well_formed(file, self.delimiter, source.encoding, where)
        except SourceError as refusal:
            return refusal
        return None


def _without_blank_lines(frame: Frame, columns: Columns) -> Frame:
    """Leave out lines that say nothing: one engine reads them as records, another does not."""
    import narwhals.stable.v2 as nw

    says_something = [~nw.col(name).is_null() for name in columns.names]
    return frame.filter(nw.any_horizontal(*says_something, ignore_nulls=True))


class ParquetFiles(_Files):
    """Parquet files of one schema."""

    def records(self, engine: Engine) -> Records:
        """The records, as a frame of an engine."""
        files, place = self.files, self.files[0].place
        footers = {file.place: _footer(file) for file in files}
        schemas = {name: footer.schema.to_arrow_schema() for name, footer in footers.items()}
        require_equal({name: tuple(map(str, schema)) for name, schema in schemas.items()})
        schema = schemas[place]
        columns = columns_of(place, schema.names, self.source.rename, self.expected)
        if not any(footer.num_rows for footer in footers.values()):
            raise SourceError(f"{self.location.place}: has columns and no records. Add some.")
        types = raw_types(schema, columns, place)
        frame = engine.read_parquet(
            [file.uri for file in files], schema=schema, storage_options=self._storage_options()
        )
        return self._records(as_raw(frame, types, engine), columns, files)

    def explain(self, error: Exception) -> SourceError | None:
        """Name the first damaged file, if there is one."""
        if isinstance(error, SourceError):
            return error
        try:
            for file in self.files:
                _require_whole(file)
        except SourceError as refusal:
            return refusal
        return None


def _footer(file: File) -> pa.parquet.FileMetaData:
    import pyarrow as pa
    import pyarrow.parquet as pq

    end = file.tail(_FOOTER_BYTES)
    size = int.from_bytes(end[-_PARQUET_END_BYTES:-4], "little") + _PARQUET_END_BYTES
    try:
        return pq.read_metadata(pa.BufferReader(file.tail(size) if size > len(end) else end))
    except (pa.ArrowException, OSError):
        raise _damaged(file) from None


def _require_whole(file: File) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (local,) = on_disk([file], [file.blocks()])
    _footer(local)
    try:
        for _ in pq.ParquetFile(local.uri).iter_batches():
            pass
    except (pa.ArrowException, OSError):
        raise _damaged(file) from None


def _damaged(file: File) -> SourceError:
    return SourceError(
        f"{file.place}: is not a whole Parquet file: cut short, damaged, or of another format. "
        "Fetch it anew."
    )


def _digest(content: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in content:
        digest.update(block)
    return digest.hexdigest()

"""The records of a use case's source, and the source's fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.sources import text as source_text
from churn_assets.tables.sources.columns import (
    SOURCE_URI,
    Columns,
    Expected,
    columns_of,
    require_delimiter,
    require_equal,
)
from churn_assets.tables.sources.files import (
    File,
    Found,
    ObjectFile,
    WebFile,
    find,
    on_disk,
    public,
    reading,
)
from churn_assets.tables.sources.raw_types import as_raw, raw_types
from churn_assets.tables.sources.source import Source
from churn_assets.tables.sources.sql import bring, is_database
from churn_assets.tables.versions import code_version
from churn_assets.usecases.spec import Generate

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa
    from deltalake import DeltaTable

    from churn_assets.types import Frame


_FOOTER_BYTES = 1 << 16
_PARQUET_END_BYTES = 8


@dataclass(frozen=True)
class Records:
    """The records of a source.

    Parameters
    ----------
    frame : frame
        Each source column under its `delta_name`, and `source_uri`.
    fingerprint : str
        Equal as long as the content and the way it is read are.
    uri : str
        Where they come from, without credentials.
    files : int
        How many files they lie in; 0 if they are generated.
    missing_label : bool
        Whether the source has no label, so that it is null for every record.
    extra : tuple of str
        Columns that the contract does not name.
    sources : tuple of str
        All columns, as a contract names them.
    """

    frame: Frame
    fingerprint: str
    uri: str
    files: int
    missing_label: bool
    extra: tuple[str, ...]
    sources: tuple[str, ...]


def look_up(source: Source, expected: Expected) -> Found | None:
    """Find what lies at a source's URI; None where records are made up.

    The rows of a database are brought to disk for it, as they are at this moment.

    Raises
    ------
    SourceError
        Where nothing readable lies there.
    """
    where = expected.settings
    if is_database(source.uri):
        return bring(source, expected)
    if source.table or source.query:
        raise SourceError(
            f"{where}.{'table' if source.table else 'query'}: is only of a database, and "
            f"{where}.uri is {public(source.uri) or 'empty'}. Leave it out, or set {where}.uri to "
            "postgresql://user:password@host:5432/database."
        )
    return find(source.uri, source.format, source.options, where) if source.uri else None


def fingerprint(source: Source, expected: Expected, found: Found | None = None) -> str:
    """Fingerprint of a source: a hash of its content and of the way it is read.

    The content of a local file is read for it. A store that gives a strong ETag is asked for
    that only, and a Delta table for its id and version.

    Parameters
    ----------
    source, expected : Source, Expected
        What is read, and what is asked of it.
    found : Found, optional
        What `look_up` gave for them; by default it is asked.

    Raises
    ------
    SourceError
        Where the source cannot be read.
    """
    found = found or look_up(source, expected)
    if found is None:
        return _fingerprint_of_generator(source, expected)
    if found.format == "delta":
        return _fingerprint_of_table(_open(found, source, expected), source)
    return _fingerprint_of_files(found, source, {file: file.blocks() for file in found.files})


def read_records(
    source: Source, expected: Expected, engine: Engine, found: Found | None = None
) -> Records:
    """Read the records of a source.

    What can be seen without reading every record is refused here. A fault that shows only
    while the frame is computed comes as an error of the engine; `explain` says what it is.

    Parameters
    ----------
    source, expected, found
        As `fingerprint` takes them.
    engine : Engine
        What computes the frame.

    Raises
    ------
    SourceError
        Where the source cannot be read or is not what the contract expects.
    """
    found = found or look_up(source, expected)
    if found is None:
        return _generated(source, expected, engine)
    read = {"csv": _read_text, "parquet": _read_parquet, "delta": _read_delta}[found.format]
    return read(found, source, expected, engine)


def explain(error: Exception, source: Source, expected: Expected) -> SourceError | None:
    """Say in one line why the frame of a source could not be computed.

    Reads the source once more, so call it only when computing or writing the frame failed.

    Parameters
    ----------
    error : Exception
        What the engine raised.
    source, expected : Source, Expected
        What `read_records` was called with.

    Returns
    -------
    SourceError, optional
        Naming file and line; None where the source is not at fault.
    """
    if isinstance(error, SourceError):
        return error
    if is_database(source.uri):
        # What came from there is whole, and another moment's rows would say nothing of it.
        return None
    where = expected.settings
    try:
        found = look_up(source, expected)
        for file in found.files if found else ():
            if found and found.format == "csv":
                source_text.require_well_formed(file, source.delimiter, source.encoding, where)
            else:
                _require_whole_parquet(file)
    except SourceError as refusal:
        return refusal
    return None


# Text files


def _read_text(found: Found, source: Source, expected: Expected, engine: Engine) -> Records:
    where = expected.settings
    files = _brought(found.files)
    headers = {
        file: source_text.read_header(file, source.delimiter, source.encoding, where)
        for file in files
    }
    require_equal({file.shown: header.names for file, header in headers.items()})
    first = headers[files[0]]
    require_delimiter(files[0].shown, first, source.delimiter, source.rename, expected)
    columns = columns_of(files[0].shown, first.names, source.rename, expected)
    if not any(header.has_records for header in headers.values()):
        raise SourceError(f"{found.shown}: has a header and no records. Add some.")
    # What a store vouches for by an ETag is not read twice; the engine refuses bad bytes there.
    contents = {
        file: file.blocks() if file.etag else source_text.valid(file, source.encoding, where)
        for file in files
    }
    version = _fingerprint_of_files(found, source, contents)
    if not source_text.is_utf8(source.encoding):
        recoded = [source_text.recoded(file, source.encoding, where) for file in files]
        files = on_disk(files, recoded)
    frame = engine.read_text(
        [file.uri for file in files],
        delimiter=source.delimiter,
        columns=columns.names,
        storage_options=_options_for(files, source),
    )
    return _records_of(_without_blank_lines(frame, columns), columns, found, files, version)


def _without_blank_lines(frame: Frame, columns: Columns) -> Frame:
    """Leave out lines that say nothing: one engine reads them as records, another does not."""
    import narwhals.stable.v2 as nw

    says_something = [~nw.col(name).is_null() for name in columns.names]
    return frame.filter(nw.any_horizontal(*says_something, ignore_nulls=True))


# Parquet files


def _read_parquet(found: Found, source: Source, expected: Expected, engine: Engine) -> Records:
    files = _brought(found.files)
    footers = {file.shown: _footer(file) for file in files}
    schemas = {shown: footer.schema.to_arrow_schema() for shown, footer in footers.items()}
    require_equal({shown: tuple(map(str, schema)) for shown, schema in schemas.items()})
    schema = next(iter(schemas.values()))
    columns = columns_of(files[0].shown, schema.names, source.rename, expected)
    if not any(footer.num_rows for footer in footers.values()):
        raise SourceError(f"{found.shown}: has columns and no records. Add some.")
    types = raw_types(schema, columns, files[0].shown)
    version = _fingerprint_of_files(found, source, {file: file.blocks() for file in files})
    frame = engine.read_parquet(
        [file.uri for file in files], schema=schema, storage_options=_options_for(files, source)
    )
    renamed = as_raw(frame, types, engine)
    return _records_of(renamed, columns, found, files, version)


def _footer(file: File) -> pa.parquet.FileMetaData:
    import pyarrow as pa
    import pyarrow.parquet as pq

    end = file.tail(_FOOTER_BYTES)
    size = int.from_bytes(end[-_PARQUET_END_BYTES:-4], "little") + _PARQUET_END_BYTES
    try:
        return pq.read_metadata(pa.BufferReader(file.tail(size) if size > len(end) else end))
    except (pa.ArrowException, OSError):
        raise _damaged(file) from None


def _require_whole_parquet(file: File) -> None:
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
        f"{file.shown}: is no whole Parquet file: cut short, damaged, or of another format. "
        "Fetch it anew."
    )


# Delta tables


def _read_delta(found: Found, source: Source, expected: Expected, engine: Engine) -> Records:
    import pyarrow as pa

    table = _open(found, source, expected)
    schema = pa.schema(table.schema().to_arrow())
    columns = columns_of(found.shown, schema.names, source.rename, expected)
    types = raw_types(schema, columns, found.shown)
    files = len(table.file_uris())
    if not files:
        raise SourceError(f"{found.shown}: the table has no records. Add some.")
    frame = engine.read_delta(found.uri, table.version(), storage_options=source.options or None)
    renamed = as_raw(frame, types, engine)
    version = _fingerprint_of_table(table, source)
    return _records(renamed, columns, found.public, version, found.public, files)


def _open(found: Found, source: Source, expected: Expected) -> DeltaTable:
    from deltalake import DeltaTable

    with reading(found.shown, expected.settings):
        return DeltaTable(found.uri, storage_options=source.options or None)


# Generated records


def _generated(source: Source, expected: Expected, engine: Engine) -> Records:
    generate = _generator(expected)
    uri = f"generated:{expected.name}?rows={source.rows}&seed={source.seed}"
    try:
        schema = next(generate(source.rows, source.seed)).schema
    except ValueError as error:
        raise SourceError(f"{uri}: {error} Set {expected.settings}.rows.") from None
    columns = columns_of(uri, schema.names, source.rename, expected)
    types = raw_types(schema, columns, uri)
    frame = engine.read_batches(schema, partial(generate, source.rows, source.seed))
    version = _fingerprint_of_generator(source, expected)
    return _records(as_raw(frame, types, engine), columns, uri, version, uri, files=0)


def _generator(expected: Expected) -> Generate:
    if expected.generate is None:
        raise SourceError(
            f"{expected.settings}.uri is empty, and {expected.name} cannot make up records. "
            "Set it to a file, folder or address."
        )
    return expected.generate


# Fingerprints


def _fingerprint_of_files(
    found: Found, source: Source, contents: dict[File, Iterator[bytes]]
) -> str:
    parts = [
        (file.name, file.etag or _digest(content))
        for file, content in zip(found.files, contents.values(), strict=True)
    ]
    return _hash(found.format, _reading_settings(source), parts)


def _fingerprint_of_table(table: DeltaTable, source: Source) -> str:
    return _hash("delta", _reading_settings(source), [table.metadata().id, table.version()])


def _fingerprint_of_generator(source: Source, expected: Expected) -> str:
    code = code_version(_generator(expected), rows=source.rows, seed=source.seed)
    return _hash("generated", expected.name, sorted(source.rename.items()), code)


def _reading_settings(source: Source) -> list[Any]:
    return [source.delimiter, source.encoding, sorted(source.rename.items())]


def _hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digest(content: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in content:
        digest.update(block)
    return digest.hexdigest()


# Frames


def _brought(files: Sequence[File]) -> list[File]:
    """Bring files of the web to disk: engines cannot sign in there, nor read every server."""
    if not any(isinstance(file, WebFile) for file in files):
        return list(files)
    return on_disk(files, [file.blocks() for file in files])


def _options_for(files: Sequence[File], source: Source) -> dict[str, str] | None:
    in_store = any(isinstance(file, ObjectFile) for file in files)
    return (source.options or None) if in_store else None


def _records_of(
    frame: Frame, columns: Columns, found: Found, files: Sequence[File], version: str
) -> Records:
    """What was read from files, each record with the address of its own."""
    import narwhals.stable.v2 as nw

    origin = found.files[0]
    uri: str | nw.Expr = origin.public
    if len(files) > 1:
        opened = files[0].uri.removesuffix(files[0].name)
        kept = origin.public.removesuffix(origin.name)
        below = nw.col(SOURCE_URI).str.slice(len(opened))
        uri = nw.concat_str([nw.lit(kept), below])
    return _records(frame, columns, uri, version, found.public, len(files))


def _records(
    frame: Frame,
    columns: Columns,
    origin: str | nw.Expr,
    version: str,
    uri: str,
    files: int,
) -> Records:
    return Records(
        _finished(frame, columns, origin),
        version,
        uri,
        files,
        columns.missing_label is not None,
        columns.extra,
        columns.sources,
    )


def _finished(frame: Frame, columns: Columns, uri: str | nw.Expr) -> Frame:
    """Add where each record came from, and the label if the source has none."""
    import narwhals.stable.v2 as nw

    added = {SOURCE_URI: nw.lit(uri) if isinstance(uri, str) else uri}
    names = [*columns.names, SOURCE_URI]
    if columns.missing_label:
        added[columns.missing_label] = nw.lit(None, dtype=nw.String)
        names.insert(-1, columns.missing_label)
    return frame.with_columns(**added).select(*names)

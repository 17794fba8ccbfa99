"""A source in a PostgreSQL database: its rows are brought to disk, and read from there as files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from churn_assets.errors import EXAMPLE_LOGIN, SourceError, first_line
from churn_assets.tables.sources.columns import (
    BETWEEN,
    NOTHING,
    Expected,
    columns_of,
    hint,
    quoted,
)
from churn_assets.tables.sources.file_kinds import ParquetFiles
from churn_assets.tables.sources.files import (
    DATABASE,
    PASSWORD_ADVICE,
    DiskFile,
    Location,
    new_folder,
)
from churn_assets.tables.sources.raw_types import MOST_DIGITS
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection, Cursor

_SCHEMES = (f"{DATABASE}://", "postgres://")
# One @ at most, so that nothing of a password is taken for a host, a database or an option.
_ADDRESS = re.compile(
    r"\w+://(?P<user>[^@/?#]*@)?(?P<database>[^@/?#]*/[^@/?#]+)\??(?P<options>[^@#]*)"
)
_DEFAULTS = {
    "fallback_application_name": "churn",
    "connect_timeout": "10",
    # A peer that is gone is found out within a minute.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# The last of two options counts. Arrow's text is UTF-8, whatever the database's is.
_ALWAYS = {"client_encoding": "UTF8"}
_TABLES = """
SELECT quote_ident(nspname) || '.' || quote_ident(relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname !~ '^(pg_|information_schema$)'
    AND has_schema_privilege(relnamespace, 'USAGE') AND has_table_privilege(pg_class.oid, 'SELECT')
"""
_UNREACHABLE = (
    (r"password|authentication|role .* does not exist|pg_hba", "access is denied."),
    (r"database .* does not exist", "there is no such database."),
    (r"too many|remaining connection slots|starting up|shutting down", "takes no connection now."),
    (r"translate host|refused|timeout|timed out|unreachable|No such file", "cannot be reached."),
    (r"SSL|certificate", "there is no encrypted connection, and sslmode requires one."),
)
_TYPE, _MODIFIER = b"POSTGRESQL:type", b"POSTGRESQL:typmod"
_AS_TEXT = ("json", "jsonb", "uuid")
# They come as bare integers: cents of an unknown currency, and numbers that may wrap.
_MISLEADING = ("money", "oid", "regproc")
# Of 0001-01-01 and 9999-12-31, since 1970.
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY_MICROSECONDS = 86_400_000_000
_HASHES = 1 << 64


def is_database(uri: str) -> bool:
    """Whether an address is that of a database.

    >>> is_database("postgresql://reader:secret@crm.example/crm")
    True
    >>> is_database("s3://crm/customers/*.csv")
    False
    """
    return uri.lower().startswith(_SCHEMES)


class DatabaseRows(ParquetFiles):
    """Rows of a table or a query, in a Parquet file that they were brought to."""

    @classmethod
    def of(cls, source: Source, expected: Expected) -> DatabaseRows:
        """The rows as they are now.

        Raises
        ------
        SourceError
            Where the database cannot be read, or its rows cannot be kept.
        """
        return cls(source, expected, bring(source, expected))

    def explain(self, error: Exception) -> SourceError | None:
        """Nothing: what came is whole, and the rows of another moment would say nothing of it."""
        return error if isinstance(error, SourceError) else None


def bring(source: Source, expected: Expected) -> Location:
    """Bring the rows of a table or a query to a Parquet file on disk, batch by batch.

    All rows are of one statement, thus of one moment, in a transaction that may only read. The
    file's ETag is the same for the same rows of the same columns, in whatever order they come.

    Parameters
    ----------
    source : Source
        With an address for which `is_database` holds.
    expected : Expected
        What its columns must serve; they are looked at before any row comes.

    Raises
    ------
    SourceError
        Where the database cannot be read, or its rows cannot be kept.
    """
    where, table, query = expected.settings, source.table.strip(), source.query.strip()
    address, database = _address(source.uri, where)
    if bool(table) == bool(query):
        are = "and .query are both set" if table else "and .query are both empty"
        raise SourceError(
            f"{database}: {where}.table {are}. Set one: the name of a table, such as "
            "crm.customers, or a SELECT."
        )
    name = _line(table) or "query"
    place = f"{database}/{name}"
    with _connected(address, place, where) as connection:
        if table:
            query = f"SELECT * FROM {_name_of(connection, table, place, where)}"
        setting = f"{where}.{'table' if table else 'query'}"
        # The reader ends with its cursor.
        cursor = _cursor(connection, query, place, setting)
        reader = cursor.fetch_record_batch()
        columns_of(place, reader.schema.names, source.rename, expected)
        schema = _schema_on_disk(reader.schema, place)
        batches = _converted(_batches(reader, connection, place, setting), schema, place)
        path = str(new_folder() / "rows.parquet")
        etag = _write(path, batches, schema, place)
    file = DiskFile(name, path, place, place, etag)
    return Location(path, place, place, "parquet", (file,))


def _address(uri: str, where: str) -> tuple[str, str]:
    """The address to connect to, and the database without credentials."""
    parts = _ADDRESS.fullmatch(uri)
    if parts is None:
        raise SourceError(
            f"{where}.uri: is not an address of a database. Write it as "
            f"{DATABASE}://{EXAMPLE_LOGIN}host:5432/database. {PASSWORD_ADVICE}"
        )
    options = [urlencode(_DEFAULTS), parts["options"], urlencode(_ALWAYS)]
    database = f"{DATABASE}://{parts['database']}"
    login = parts["user"] or ""
    return f"{DATABASE}://{login}{parts['database']}?{'&'.join(filter(None, options))}", database


@contextmanager
def _connected(address: str, place: str, where: str) -> Iterator[Connection]:
    """A connection in a transaction that may only read."""
    try:
        from adbc_driver_postgresql import dbapi
    except ModuleNotFoundError as error:
        raise SourceError(
            f"{place}: a database needs {error.name}, which is not installed. Install the extra: "
            "pip install 'churn-assets[sql]'."
        ) from None
    try:
        connection = dbapi.connect(address)
    except dbapi.Error as error:
        # Names are left out: a host may be called like anything.
        message = re.sub(r'"[^"]*"', "", str(error))
        reasons = (reason for pattern, reason in _UNREACHABLE if re.search(pattern, message))
        raise SourceError(
            f"{place}: {next(reasons, 'cannot be connected to.')} Check {where}.uri."
        ) from None
    with connection:
        connection.execute("SET TRANSACTION READ ONLY")
        yield connection


def _name_of(connection: Connection, table: str, place: str, where: str) -> str:
    """The table's name, quoted by the server where that is needed."""
    from adbc_driver_postgresql.dbapi import Error

    try:
        with connection.execute("SELECT to_regclass($1)::text", [table]) as cursor:
            (name,) = cursor.fetchone() or (None,)
    except Error as error:
        raise _refused(error, place, f"{where}.table") from None
    if name is not None:
        return str(name)
    with connection.execute(_TABLES) as cursor:
        tables = [row[0] for row in cursor.fetchall()]
    schemas = dict.fromkeys(other.rpartition(".")[0] for other in tables)
    names = [table] if "." in table else [f"{schema}.{table}" for schema in schemas]
    likely = next(filter(None, (hint(name, tables) for name in names)), "")
    raise SourceError(
        f"{place}: there is no such table.{likely} Correct {where}.table; it is written as in SQL, "
        'such as crm.customers or crm."Customers".'
    )


def _cursor(connection: Connection, query: str, place: str, setting: str) -> Cursor:
    from adbc_driver_postgresql.dbapi import Error

    try:
        # The driver puts the query into brackets, which a comment at its end must not hide.
        cursor = connection.execute(query.rstrip("; \n\t") + "\n")
    except Error as error:
        raise _refused(error, place, setting) from None
    if not cursor.description:
        raise SourceError(f"{place}: the query gives no columns. Make it a SELECT in {setting}.")
    return cursor


def _batches(
    reader: pa.RecordBatchReader, connection: Connection, place: str, setting: str
) -> Iterator[pa.RecordBatch]:
    """The batches as they come."""
    import pyarrow as pa
    from adbc_driver_postgresql.dbapi import Error

    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (Error, pa.ArrowException, OSError) as error:
            try:
                connection.rollback()
            except Error:
                raise SourceError(
                    f"{place}: the connection broke while rows were read. Run again."
                ) from None
            raise _refused(error, place, setting) from None
        yield batch


def _refused(error: Exception, place: str, setting: str) -> SourceError:
    """What the server does not do, in its words where they are about names and not about rows."""
    state = getattr(error, "sqlstate", None) or ""
    details = dict(getattr(error, "details", None) or ())
    primary = re.search(r"PGRES_FATAL_ERROR\]?:? \w+: *(.+)", str(error))
    message = details.get(b"PG_DIAG_MESSAGE_PRIMARY", b"").decode()
    message = message or (primary[1] if primary else first_line(error))
    advice = details.get(b"PG_DIAG_MESSAGE_HINT", b"").decode()
    if state == "25006" or "read-only transaction" in message:
        return SourceError(
            f"{place}: the statement writes, and a source is only read. Make it a SELECT that "
            f"changes nothing, in {setting}."
        )
    if state == "42501":
        return SourceError(f"{place}: {_line(message)}. Grant this user the right to read it.")
    if not state.startswith("42"):
        message, advice = re.sub(r'"[^"]*"', '"..."', message), ""
    why = ". ".join(_line(text).rstrip(".") for text in (message, advice) if text)
    return SourceError(f"{place}: PostgreSQL refused: {why}. Correct {setting}.")


def _line(text: str) -> str:
    return " ".join(text.split())


# What a table can hold


def _schema_on_disk(schema: pa.Schema, place: str) -> pa.Schema:
    """Names and types of the columns on disk."""
    import pyarrow as pa

    fields = [pa.field(field.name, _type_on_disk(field)) for field in schema]
    for field, column in zip(schema, fields, strict=True):
        if column.type == pa.null():
            raise SourceError(
                f"{place}: column {quoted(field.name)} is of type {_type_name(field)}, which a "
                "Delta table cannot hold. Read it by a query that casts it to text, or that leaves "
                "it out."
            )
    return pa.schema(fields)


def _type_on_disk(field: pa.Field) -> pa.DataType:
    """Type on disk of a column; null where no table can hold it."""
    import pyarrow as pa

    name, of = _type_name(field), field.type
    if name == "numeric":
        return _decimal_type(int(field.metadata.get(_MODIFIER, b"-1")))
    if name in _AS_TEXT:
        return pa.string()
    # Arrays of more dimensions than one come as if they had one.
    is_plain = pa.types.is_primitive(of) or pa.types.is_string(of) or pa.types.is_binary(of)
    is_span = pa.types.is_time(of) or pa.types.is_interval(of)
    return of if is_plain and not is_span and name not in _MISLEADING else pa.null()


def _type_name(field: pa.Field) -> str:
    name: bytes = (field.metadata or {}).get(_TYPE, str(field.type).encode())
    return name.decode()


def _decimal_type(modifier: int) -> pa.DataType:
    """What is declared as numeric(precision, scale) is a decimal; text keeps the digits of others.

    Parameters
    ----------
    modifier : int
        As PostgreSQL keeps it: 4 and, in the bits above and below 16, precision and scale.
    """
    import pyarrow as pa

    precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
    fits = modifier >= 4 and scale <= precision <= MOST_DIGITS  # noqa: PLR2004
    return pa.decimal128(precision, scale) if fits else pa.string()


def _converted(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, place: str
) -> Iterator[pa.RecordBatch]:
    """Batches whose values are of the types on disk."""
    import pyarrow as pa

    for batch in batches:
        columns = [
            _column(column, field, place)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        yield pa.record_batch(columns, schema=schema)


def _column(column: pa.Array, field: pa.Field, place: str) -> pa.Array:
    import pyarrow as pa

    if isinstance(column.type, pa.UuidType):
        return _uuid_texts(column.storage)
    if pa.types.is_decimal(field.type):
        return _decimals(column.storage, field, place)
    if pa.types.is_date(field.type) or pa.types.is_timestamp(field.type):
        _require_days(column, field, place)
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _uuid_texts(column: pa.Array) -> pa.Array:
    import polars as pl
    import pyarrow as pa

    digits = pl.Series(values=column).bin.encode("hex")
    parts = r"^(.{8})(.{4})(.{4})(.{4})(.{12})$"
    return digits.str.replace(parts, "$1-$2-$3-$4-$5").to_arrow().cast(pa.string())


def _decimals(column: pa.Array, field: pa.Field, place: str) -> pa.Array:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except pa.ArrowInvalid:
        # Their digits fit as they are declared.
        raise SourceError(
            f"{place}: column {quoted(field.name)} holds NaN, which is not a decimal. Read it by a "
            "query that casts it to text, or that leaves such rows out."
        ) from None


def _require_days(column: pa.Array, field: pa.Field, place: str) -> None:
    """Refuse what other readers of tables take for another day, or for none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_date = pa.types.is_date(column.type)
    in_day, number = (1, pa.int32()) if is_date else (_DAY_MICROSECONDS, pa.int64())
    ends = pc.min_max(column.view(number)).as_py()
    if ends["min"] is None:
        return
    if ends["min"] < _FIRST_DAY * in_day or ends["max"] >= (_LAST_DAY + 1) * in_day:
        raise SourceError(
            f"{place}: column {quoted(field.name)} holds infinity, or a day before the year 1 or "
            "after 9999, which a Delta table cannot hold. Read it by a query that says what it "
            "stands for, such as NULLIF(..., 'infinity')."
        )


# Rows on disk, and their hash


def _write(path: str, batches: Iterator[pa.RecordBatch], schema: pa.Schema, place: str) -> str:
    """Write batches to a Parquet file, and give a hash of the rows."""
    import pyarrow.parquet as pq

    rows = total = 0
    try:
        with pq.ParquetWriter(path, schema) as file:
            for batch in batches:
                file.write_batch(batch)
                rows += batch.num_rows
                # A sum is the same in any order.
                total = (total + _hashes(batch)) % _HASHES
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else first_line(error)
        raise SourceError(
            f"{place}: its rows cannot be kept in {path}: {reason}. Free some space, or set TMPDIR "
            "to another folder."
        ) from None
    columns = [(field.name, str(field.type)) for field in schema]
    return f"{rows} {total:016x} {columns}"


def _hashes(batch: pa.RecordBatch) -> int:
    """Sum of a 64-bit hash of each row."""
    import numpy as np
    import polars as pl
    import polars_hash as plh

    # By their places, since Polars takes some names for patterns.
    columns = [pl.Series(str(place), column) for place, column in enumerate(batch.columns)]
    frame = pl.DataFrame(columns)
    texts = [_text(column) for column in columns]
    row = plh.concat_str(*texts, separator=BETWEEN).nchash.xxhash64(seed=0)
    return int(frame.select(row).to_series().to_numpy().sum(dtype=np.uint64))


def _text(column: pl.Series) -> pl.Expr:
    """Values of a column as text that is the same in each release of Polars."""
    import polars as pl

    value = pl.col(column.name)
    if column.dtype == pl.Binary:
        value = value.bin.encode("hex")
    elif column.dtype.is_float():
        value = value.cast(pl.Float64).reinterpret(dtype=pl.Int64)
    elif column.dtype.is_temporal():
        value = value.to_physical()
    return value.cast(pl.String).fill_null(NOTHING)

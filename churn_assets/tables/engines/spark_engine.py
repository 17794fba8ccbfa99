"""The engine for more than one machine: Spark and delta-spark."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from churn_assets.errors import ChurnError, EngineError, public_uri
from churn_assets.tables.engines.engine import (
    BUCKETS,
    UNNAMED,
    Commit,
    ConflictError,
    StorageOptions,
)
from churn_assets.usecases.spec import DType

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

    from churn_assets.types import Frame


_BROKEN = "__broken_record"
# Of the private use area, so that no field says just this.
_NULL, _END = "\ue000null\ue000", "\ue000end\ue000"
_PATTERN = re.compile(r"[\\*?\[\]{}]")
_CONFLICT = re.compile(
    r"Concurrent\w+Exception|MetadataChangedException|ProtocolChangedException"
    r"|DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED"
)
# Of a table or the place that it lies in, whatever was to be computed.
_TABLE_FAULT = re.compile(
    r"java\.n?io\.\w|org\.apache\.(hadoop|spark\.sql\.delta)\.|\[DELTA_|\[PATH_NOT_FOUND\]"
)
_JAVA_FAULT = re.compile(r"^(Caused by)?: ")
# Python's own names of errors stand at the start of a line, those of the JVM have dots.
_PYTHON_FAULT = re.compile(r"\w*(Error|Exception): ")
_MOST_CHARACTERS = 300
_PARTITION, _FIRST = "__partition", "__first"
_PLACE_BITS = 33
"""What Spark numbers the rows of a partition in."""


class SparkEngine:
    """Reads and writes with Spark and delta-spark, wherever the session runs.

    Parameters
    ----------
    session : callable
        Gives the session; called when something is first read or written.
    """

    name = "spark"

    def __init__(self, session: Callable[[], SparkSession]) -> None:
        self._session = session

    def read_text(
        self,
        uris: Sequence[str],
        *,
        delimiter: str,
        columns: Sequence[str],
        storage_options: StorageOptions | None,
    ) -> Frame:
        """Delimited files, every column text, the file of each record in `source_uri`."""
        from pyspark.sql import functions as F  # noqa: N812
        from pyspark.sql.types import StringType, StructField, StructType

        options = {
            "sep": delimiter,
            "quote": '"',
            "escape": '"',
            "lineSep": "\n",
            "nullValue": _NULL,
            "unescapedQuoteHandling": "RAISE_ERROR",
        }
        schema = StructType([StructField(name, StringType()) for name in (*columns, _BROKEN)])
        _require_visible(uris)
        with _refusals():
            session = self._session()
            _require_whole_text(session, uris)
            read = (
                session.read.schema(schema)
                .options(**options)
                .options(header=True, multiLine=True, columnNameOfCorruptRecord=_BROKEN)
                .csv(_as_named(uris))
            )
            # Missing fields at the end of a line are null; fields too many are refused.
            marked = F.from_csv(
                F.concat(F.col(_BROKEN), F.lit(delimiter + _END)),
                ", ".join(f"c{i} string" for i in range(len(columns))),
                options,
            )
            ends = [F.when(marked[f"c{i}"] == _END, True) for i in range(len(columns))]
            broken = F.col(_BROKEN).isNotNull()
            refused = F.raise_error(F.lit("a record has more fields than the header"))
            too_long = broken & ~F.coalesce(*ends, F.lit(False))
            whole = read.filter(F.when(too_long, refused.cast("boolean")).otherwise(True))
            fields = [_column(name) for name in columns]
            without_return = [F.rtrim(field, F.lit("\r")) for field in fields]
            named = [
                F.when(broken, bare).otherwise(field).alias(name)
                for name, field, bare in zip(columns, fields, without_return, strict=True)
            ]
            named[-1] = without_return[-1].alias(columns[-1])
            return _wrap(whole.select(*named, _source_uri(uris)))

    def may_be_short(
        self,
        uris: Sequence[str],
        delimiter: str,
        columns: int,
        *,
        storage_options: StorageOptions | None,
    ) -> bool:
        """Whether a line of delimited files may have fewer fields than there are columns."""
        from pyspark.sql import functions as F  # noqa: N812

        with _refusals():
            line = F.col("value")
            outside = F.regexp_replace(line, '"[^"]*"', "")
            others = F.replace(outside, F.lit(delimiter), F.lit(""))
            is_short = F.length(outside) - F.length(others) < columns - 1
            says = F.trim(F.regexp_replace(line, r"\s", "")) != ""
            lines = self._session().read.text(_as_named(uris))
            return bool(lines.filter(is_short & says).take(1))

    def read_parquet(
        self, uris: Sequence[str], *, schema: pa.Schema, storage_options: StorageOptions | None
    ) -> Frame:
        """Parquet files of a schema, the file of each record in `source_uri`."""
        import pyarrow as pa

        _require_visible(uris)
        with _refusals():
            frame = self._session().read.parquet(*_as_named(uris))
            # Spark has no nanoseconds and reads them as whole numbers.
            columns = [
                _timestamp(name, of)
                if pa.types.is_timestamp(of) and read == "bigint"
                else _column(name)
                for (name, read), of in zip(frame.dtypes, schema.types, strict=True)
            ]
            return _wrap(frame.select(*columns, _source_uri(uris)))

    def read_delta(
        self, uri: str, version: int | None, *, storage_options: StorageOptions | None
    ) -> Frame:
        """A Delta table, at a version or at its newest."""
        with _table_faults():
            read = self._session().read.format("delta")
            return _wrap(
                (read if version is None else read.option("versionAsOf", version)).load(uri)
            )

    def read_batches(
        self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]
    ) -> Frame:
        """Arrow batches, drawn by one task when the frame is computed."""
        from pyspark.sql.pandas.types import from_arrow_schema

        def draw(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            yield from batches()

        with _refusals():
            once = self._session().range(0, 1, 1, 1)
            return _wrap(once.mapInArrow(draw, from_arrow_schema(schema)))

    def from_arrow(self, table: pa.Table) -> Frame:
        """A small table of this process."""
        from pyspark.sql.pandas.types import from_arrow_schema

        with _refusals():
            # Without its schema Spark Connect refuses a table of no rows.
            schema = from_arrow_schema(table.schema)
            return _wrap(self._session().createDataFrame(table, schema))

    def rename(self, frame: Frame, names: Sequence[str]) -> Frame:
        """Give the columns other names, in their order, whatever they were called."""
        return _wrap(_unwrap(frame).toDF(*names))

    def write_delta(
        self, uri: str, frame: Frame, commit: Commit, *, storage_options: StorageOptions | None
    ) -> None:
        """Commit a frame to a Delta table, streaming; all of it or nothing."""
        metadata = {"userMetadata": uuid.uuid4().hex, **commit.metadata}
        with _table_faults():
            writer = _plain(_unwrap(frame)).write.format("delta").mode(commit.mode)
            writer = writer.options(**metadata)
            if commit.mode == "append":
                writer = writer.option("mergeSchema", "true")
            if commit.mode == "overwrite" and self._columns(uri) != _unwrap(frame).dtypes:
                # Otherwise the columns keep their NOT NULL.
                writer = writer.option("overwriteSchema", "true")
        if commit.base is None:
            with _table_faults():
                writer.save(uri)
            return
        with _table_faults():
            if self._since(uri, commit.base):
                raise ConflictError(f"{uri}: not at version {commit.base} any more")
            writer = writer.option("txnAppId", commit.transaction or UNNAMED)
            writer.option("txnVersion", commit.base + 1).save(uri)
            # Delta leaves out in silence what a transaction of this number has done before.
            if metadata["userMetadata"] not in self._since(uri, commit.base):
                raise ConflictError(f"{uri}: another writer was first")

    def register(self, uri: str, name: str) -> None:
        """Let a catalog know a Delta table by a name of two or three parts, unless it does."""
        quoted = ".".join(map(_quoted, name.split(".")))
        place = uri.replace("\\", "\\\\").replace("'", "\\'")
        with _refusals():
            session = self._session()
            session.sql(f"CREATE TABLE IF NOT EXISTS {quoted} USING DELTA LOCATION '{place}'")
            known, own = (
                session.sql(f"DESCRIBE DETAIL {table}").select("id").collect()[0]["id"]
                for table in (quoted, f"delta.{_quoted(uri)}")
            )
        if known != own:
            raise EngineError(
                f"{name}: the catalog has another table of that name, and not {public_uri(uri)}. "
                "Drop it there, or give `catalog` or `tables` another name."
            )

    def _columns(self, uri: str) -> list[tuple[str, str]]:
        """Names and types of a table's columns; none where there is no table."""
        from pyspark.errors import AnalysisException

        try:
            return self._session().read.format("delta").load(uri).dtypes
        except AnalysisException:
            return []

    def _since(self, uri: str, version: int) -> list[str]:
        """Metadata of each commit after a version."""
        # In SQL, since Delta's own client asks a Spark Connect server for one more plug-in.
        history = self._session().sql(f"DESCRIBE HISTORY delta.{_quoted(uri)}")
        rows = history.filter(history["version"] > version).select("userMetadata").collect()
        return [row["userMetadata"] for row in rows]

    def parse(self, frame: Frame, dtypes: Mapping[str, DType], zones: Mapping[str, str]) -> Frame:
        """Text columns to types; null where the text does not say such a value."""
        if not dtypes:
            # Spark Connect takes no empty list of columns.
            return frame
        spark_types = {
            DType.INT64: "bigint",
            DType.FLOAT64: "double",
            DType.STRING: "string",
            DType.DATE: "date",
        }
        return _wrap(
            _unwrap(frame).withColumns(
                {
                    name: _day(name, zones[name])
                    if name in zones
                    else _column(name).try_cast(spark_types[dtype])
                    for name, dtype in dtypes.items()
                }
            )
        )

    def bucket(self, frame: Frame, key: Sequence[str], salt: str, into: str) -> Frame:
        """Add a column: bucket of each key, an integer in [0, 10000)."""
        from pyspark.sql import functions as F  # noqa: N812

        # Other than concat_ws, it makes null of a null.
        parts = [part for name in key for part in (F.lit("|"), _column(name))]
        salted = F.concat(F.lit(salt), *parts)
        hashed = F.when(salted.isNotNull(), F.pmod(F.xxhash64(salted), F.lit(BUCKETS)))
        return _wrap(_unwrap(frame).withColumn(into, hashed))

    def map_batches(
        self,
        frame: Frame,
        function: Callable[[pa.RecordBatch], pa.RecordBatch],
        schema: pa.Schema,
    ) -> Frame:
        """Apply a function of Arrow batches, streaming, on the workers."""
        from pyspark.sql.pandas.types import from_arrow_schema

        def apply(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                # Spark goes by the places of columns, and would take any names.
                yield function(batch).select(schema.names)

        with _refusals():
            return _wrap(_unwrap(frame).mapInArrow(apply, from_arrow_schema(schema)))

    @contextmanager
    def ranked(
        self, frame: Frame, by: Sequence[str], descending: Sequence[bool], into: str
    ) -> Iterator[Frame]:
        """Add a column: the place of each row in an order, from 1.

        Rows are sorted over all workers, and each partition's places begin after those of the
        partitions before it.
        """
        from pyspark import StorageLevel
        from pyspark.sql import functions as F  # noqa: N812

        keys = [
            _column(name).desc_nulls_last() if falling else _column(name).asc_nulls_last()
            for name, falling in zip(by, descending, strict=True)
        ]
        # The number of the partition in the upper bits, the row's place in it in the lower ones.
        number = F.monotonically_increasing_id()
        partition = F.shiftright(_column(into), _PLACE_BITS).alias(_PARTITION)
        place = _column(into).bitwiseAND(F.lit((1 << _PLACE_BITS) - 1))
        with _refusals():
            # A sort draws its rows twice, the first time to find the bounds of the partitions.
            drawn = _unwrap(frame).persist(StorageLevel.DISK_ONLY)
            kept = drawn.sort(*keys).withColumn(into, number).persist(StorageLevel.DISK_ONLY)
        try:
            with _refusals():
                counts = {row[0]: row[1] for row in kept.groupBy(partition).count().collect()}
                offsets = _unwrap(self.from_arrow(_firsts(counts)))
                placed = kept.withColumn(_PARTITION, partition).join(
                    F.broadcast(offsets), _PARTITION
                )
                placed = placed.withColumn(into, place + F.col(_FIRST)).select(*kept.columns)
            yield _wrap(placed)
        finally:
            with _refusals():
                kept.unpersist()
                drawn.unpersist()

    def digest(self, frame: Frame) -> int:
        """Digest of a frame's rows in whatever order, to be compared within this process."""
        from pyspark.sql import functions as F  # noqa: N812

        rows = _unwrap(frame)
        # Spark's hash passes over nulls, so where they are is hashed as well.
        columns = [_column(name) for name in rows.columns]
        hashed = F.xxhash64(*columns, *(column.isNull() for column in columns))
        total = rows.select(F.sum(hashed.cast("decimal(38,0)")))
        with _refusals():
            return int(total.collect()[0][0] or 0)

    def collect(self, frame: Frame) -> pa.Table:
        """Bring a small frame, such as counts or a training sample, into this process."""
        with _refusals():
            return _unwrap(frame).toArrow()


def _firsts(counts: Mapping[int, int]) -> pa.Table:
    """The place of the first row of each partition, from how many rows each has."""
    import pyarrow as pa

    numbers = sorted(counts)
    firsts = accumulate((counts[number] for number in numbers), initial=1)
    schema = pa.schema([(_PARTITION, pa.int64()), (_FIRST, pa.int64())])
    rows = [{_PARTITION: n, _FIRST: first} for n, first in zip(numbers, firsts, strict=False)]
    return pa.Table.from_pylist(rows, schema)


def _require_visible(uris: Sequence[str]) -> None:
    for uri in uris:
        if uri.rpartition("/")[2].startswith(("_", ".")):
            raise EngineError(
                f"{public_uri(uri)}: Spark reads no file whose name starts with '_' or '.'. "
                "Give it another name."
            )


def _as_named(uris: Sequence[str]) -> list[str]:
    """Patterns that each fit one file, whatever stands in its name for a pattern."""
    return [_PATTERN.sub(r"\\\g<0>", uri) for uri in uris]


def _require_whole_text(session: SparkSession, uris: Sequence[str]) -> None:
    """Refuse what Spark would read in silence: wrong bytes as U+FFFD, an open quote as a field."""
    from pyspark.sql import functions as F  # noqa: N812

    line = F.col("value")
    quotes = F.length(line) - F.length(F.replace(line, F.lit('"'), F.lit("")))
    faults = (
        session.read.text(_as_named(uris))
        .groupBy(F.col("_metadata.file_path"))
        .agg(F.bool_or(~F.is_valid_utf8(line)).alias("bytes"), F.sum(quotes).alias("quotes"))
        .agg(F.bool_or("bytes").alias("bytes"), F.bool_or(F.col("quotes") % 2 == 1).alias("quotes"))
        .first()
    )
    if faults and faults["bytes"]:
        raise EngineError("a record is not valid utf-8")
    if faults and faults["quotes"]:
        raise EngineError("a quote is not closed")


def _source_uri(uris: Sequence[str]) -> Column:
    """The file of each record, as `uris` names it."""
    from pyspark.sql import functions as F  # noqa: N812

    if len(uris) == 1:
        return F.lit(uris[0]).alias("source_uri")
    # A plus sign does not stand for a blank in a path.
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    return F.regexp_replace(path, "^file:/+", "/").alias("source_uri")


def _day(name: str, zone: str) -> Column:
    """The day of a time in a zone, or a day that is written without a time."""
    from pyspark.sql import functions as F  # noqa: N812

    text = _column(name)
    instant = F.when(text.contains(":"), text.try_cast("timestamp"))
    # The session's own zone is UTC.
    there = F.from_utc_timestamp(instant, zone)
    return F.coalesce(there.cast("date"), F.when(~text.contains(":"), text.try_cast("date")))


def _timestamp(name: str, of: pa.TimestampType) -> Column:
    """A timestamp from a number of nanoseconds, rounded down to microseconds."""
    from pyspark.sql import functions as F  # noqa: N812

    nanoseconds = _column(name)
    whole = nanoseconds - F.pmod(nanoseconds, F.lit(1000))
    instant = F.timestamp_micros(F.call_function("div", whole, F.lit(1000)))
    return instant.cast("timestamp" if of.tz else "timestamp_ntz").alias(name)


def _plain(frame: DataFrame) -> DataFrame:
    """Texts without the collation that Spark Connect gives them: no other reader takes it."""
    from pyspark.sql.types import StringType

    names = [field.name for field in frame.schema if isinstance(field.dataType, StringType)]
    plain = {name: _column(name).cast("string") for name in names}
    return frame.withColumns(plain) if plain else frame


def _column(name: str) -> Column:
    from pyspark.sql import functions as F  # noqa: N812

    return F.col(_quoted(name))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in one line what Spark says in pages."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (ChurnError, ConflictError):
        raise
    except (PySparkException, Py4JError) as error:
        messages = _messages(error)
        if _CONFLICT.search(f"{type(error).__name__} {messages[0]}"):
            raise ConflictError(messages[0]) from error
        raise EngineError(_reason(messages)) from error


@contextmanager
def _table_faults() -> Iterator[None]:
    """Likewise, with the faults of a table as `OSError`: the lake says what to do about them."""
    try:
        with _refusals():
            yield
    except EngineError as error:
        if _TABLE_FAULT.match(str(error)):
            raise OSError(str(error)) from error
        raise


def _messages(error: BaseException) -> list[str]:
    """What an error and each of its causes in the JVM say, the outermost first."""
    messages = []
    cause: Any = error
    while cause is not None:
        messages.append(str(cause))
        cause = getattr(cause, "_cause", None) or cause.__cause__
    return messages


def _reason(messages: Sequence[str]) -> str:
    """The innermost fault: of a worker's Python, else of the JVM."""
    lines = [line for text in messages for line in text.splitlines()]
    python = [line for line in lines if _PYTHON_FAULT.match(line)]
    java = [line for line in lines if _JAVA_FAULT.match(line)]
    faults = [*messages[-1].strip().splitlines()[:1], *java[-1:], *python[-1:]]
    return (
        _JAVA_FAULT.sub("", faults[-1], count=1)[:_MOST_CHARACTERS]
        if faults
        else "Spark broke off."
    )


def _wrap(frame: DataFrame) -> Frame:
    import narwhals.stable.v2 as nw

    return nw.from_native(frame)


def _unwrap(frame: Frame) -> DataFrame:
    return cast("DataFrame", frame.to_native())

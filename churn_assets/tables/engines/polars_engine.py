"""The embedded engine: Polars and delta-rs, no JVM."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast
from urllib.parse import unquote

from churn_assets.errors import EngineError, public_uri
from churn_assets.tables.engines.engine import (
    BUCKETS,
    UNNAMED,
    Commit,
    ConflictError,
    StorageOptions,
)
from churn_assets.usecases.spec import DType

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import pyarrow as pa
    from deltalake import DeltaTable, Transaction
    from numpy.typing import NDArray

    from churn_assets.types import Frame


_SCORING_BATCH = 131_072
_ROW_GROUP = 32_768
"""Rows; a reader holds several row groups at once, so smaller ones cost it less memory."""

_IN_NO_LINE = "\x1e"
"""So that a line is one field."""
_IN_QUOTES = '"[^"]*"'
_PLAIN_ADDRESS = re.compile(r"(?!file:)\w+://[!-$&-~]*")
"""Of an object store, in which nothing is percent-encoded."""


class PolarsEngine:
    """Reads and writes with Polars and delta-rs in this process."""

    name = "polars"

    def read_text(
        self,
        uris: Sequence[str],
        *,
        delimiter: str,
        columns: Sequence[str],
        storage_options: StorageOptions | None,
    ) -> Frame:
        """Delimited files, every column text, the file of each record in `source_uri`."""
        import polars as pl

        return _wrap(
            pl.scan_csv(
                list(uris),
                separator=delimiter,
                new_columns=list(columns),
                infer_schema=False,
                glob=False,
                storage_options=_options(storage_options),
                credential_provider=None if storage_options else "auto",
                include_file_paths="source_uri",
            )
        )

    def may_be_short(
        self,
        uris: Sequence[str],
        delimiter: str,
        columns: int,
        *,
        storage_options: StorageOptions | None,
    ) -> bool:
        """Whether a line of delimited files may have fewer fields than there are columns."""
        import polars as pl

        lines = pl.scan_csv(
            list(uris),
            has_header=False,
            separator=_IN_NO_LINE,
            quote_char=None,
            new_columns=["line"],
            infer_schema=False,
            truncate_ragged_lines=True,
            glob=False,
            storage_options=_options(storage_options),
            credential_provider=None if storage_options else "auto",
        )
        line = pl.col("line")
        outside = (
            pl.when(line.str.contains('"', literal=True))
            .then(line.str.replace_all(_IN_QUOTES, ""))
            .otherwise(line)
        )
        is_short = outside.str.count_matches(delimiter, literal=True) < columns - 1
        says = line.str.strip_chars() != ""
        found = lines.select((is_short & says).any()).collect(engine="streaming")
        return bool(found.item())

    def read_parquet(
        self, uris: Sequence[str], *, schema: pa.Schema, storage_options: StorageOptions | None
    ) -> Frame:
        """Parquet files of a schema, the file of each record in `source_uri`."""
        import polars as pl

        return _wrap(
            pl.scan_parquet(
                list(uris),
                glob=False,
                hive_partitioning=False,
                storage_options=_options(storage_options),
                credential_provider=None if storage_options else "auto",
                include_file_paths="source_uri",
            )
        )

    def read_delta(
        self, uri: str, version: int | None, *, storage_options: StorageOptions | None
    ) -> Frame:
        """A Delta table, at a version or at its newest."""
        import polars as pl

        if not _PLAIN_ADDRESS.fullmatch(uri):
            return _wrap(pl.scan_delta(_decoded_table(uri, version, storage_options)))
        return _wrap(
            pl.scan_delta(
                uri,
                version=version,
                storage_options=_options(storage_options),
                credential_provider=None if storage_options else "auto",
            )
        )

    def read_batches(
        self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]
    ) -> Frame:
        """Arrow batches, drawn when the frame is computed."""
        import polars as pl
        from polars.io.plugins import register_io_source

        def draw(
            with_columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            _batch_size: int | None,
        ) -> Iterator[pl.DataFrame]:
            left = n_rows
            for batch in batches():
                frame = cast("pl.DataFrame", pl.from_arrow(batch))
                if left is not None:
                    frame = frame.head(left)
                    left -= frame.height
                if with_columns is not None:
                    frame = frame.select(with_columns)
                yield frame if predicate is None else frame.filter(predicate)
                if left == 0:
                    return

        empty = cast("pl.DataFrame", pl.from_arrow(schema.empty_table()))
        return _wrap(register_io_source(draw, schema=empty.schema))

    def from_arrow(self, table: pa.Table) -> Frame:
        """A small table of this process."""
        import polars as pl

        return _wrap(cast("pl.DataFrame", pl.from_arrow(table)).lazy())

    def rename(self, frame: Frame, names: Sequence[str]) -> Frame:
        """Give the columns other names, in their order, whatever they were called."""
        lazy = _unwrap(frame)
        return _wrap(lazy.rename(dict(zip(lazy.collect_schema(), names, strict=True))))

    def write_delta(
        self, uri: str, frame: Frame, commit: Commit, *, storage_options: StorageOptions | None
    ) -> None:
        """Commit a frame to a Delta table, streaming; all of it or nothing."""
        import polars as pl
        import pyarrow as pa
        from deltalake import (
            CommitProperties,
            DeltaTable,
            WriterProperties,
            write_deltalake,
        )
        from deltalake.exceptions import CommitFailedError

        lazy = _unwrap(frame)
        options = _options(storage_options)
        target: str | DeltaTable = uri
        if commit.base is not None:
            target = DeltaTable(uri, version=commit.base, storage_options=options)
        is_first = not DeltaTable.is_deltatable(uri, options)
        is_only_one_meant = commit.base is not None or (is_first and commit.mode == "overwrite")
        there = None if is_first else self.read_delta(uri, None, storage_options=storage_options)
        schema_mode = _schema_mode(commit, there, frame)
        # String views go to delta-rs as they are; plain strings would be copied.
        views = pl.CompatLevel.newest()
        failure: list[BaseException] = []

        def batches() -> Iterator[pa.RecordBatch]:
            try:
                for part in _batches(lazy):
                    yield from part.to_arrow(compat_level=views).to_batches()
            except GeneratorExit:
                raise
            except BaseException as error:
                failure.append(error)
                raise

        empty = pl.DataFrame(schema=lazy.collect_schema())
        schema = empty.to_arrow(compat_level=views).schema
        try:
            write_deltalake(
                target,
                pa.RecordBatchReader.from_batches(schema, batches()),
                mode=commit.mode,
                schema_mode=schema_mode,
                storage_options=options,
                writer_properties=WriterProperties(max_row_group_size=_ROW_GROUP),
                commit_properties=CommitProperties(
                    custom_metadata=dict(commit.metadata),
                    app_transactions=_transactions(commit),
                    max_commit_retries=0 if is_only_one_meant else None,
                ),
            )
        except CommitFailedError as error:
            raise ConflictError(str(error)) from error
        except Exception:
            # Why the frame could not be computed says more than what delta-rs makes of it.
            if failure:
                raise failure[0] from None
            raise

    def register(self, uri: str, name: str) -> None:
        """Refused: only Spark speaks to a catalog."""
        raise EngineError(
            f"{name}: a catalog is Spark's. Set CHURN_ENGINE to spark, or leave `catalog` out; "
            f"the table lies in {public_uri(uri)}."
        )

    def parse(self, frame: Frame, dtypes: Mapping[str, DType], zones: Mapping[str, str]) -> Frame:
        """Text columns to types; null where the text does not say such a value."""
        import polars as pl

        polars_types = {DType.INT64: pl.Int64, DType.FLOAT64: pl.Float64, DType.STRING: pl.String}
        return _wrap(
            _unwrap(frame).with_columns(
                _day(name, zones.get(name))
                if dtype is DType.DATE
                else pl.col(name).cast(polars_types[dtype], strict=False)
                for name, dtype in dtypes.items()
            )
        )

    def bucket(self, frame: Frame, key: Sequence[str], salt: str, into: str) -> Frame:
        """Add a column: bucket of each key, an integer in [0, 10000)."""
        import polars as pl
        import polars_hash as plh

        salted = plh.concat_str(pl.lit(salt), *map(pl.col, key), separator="|")
        signed = salted.nchash.xxhash64(seed=42).reinterpret(signed=True)
        # Polars' modulo takes the sign of the divisor, as pmod does on Spark.
        return _wrap(_unwrap(frame).with_columns((signed % BUCKETS).alias(into)))

    def map_batches(
        self,
        frame: Frame,
        function: Callable[[pa.RecordBatch], pa.RecordBatch],
        schema: pa.Schema,
    ) -> Frame:
        """Apply a function of Arrow batches, streaming."""
        lazy = _unwrap(frame)

        def mapped() -> Iterator[pa.RecordBatch]:
            for part in _batches(lazy, _SCORING_BATCH):
                for batch in part.rechunk().to_arrow(compat_level=_compatible()).to_batches():
                    yield function(batch)

        return self.read_batches(schema, mapped)

    def batches(self, frame: Frame, rows: int) -> Iterator[pa.RecordBatch]:
        """Draw a frame's rows in Arrow batches of at most so many rows, streaming, in any order."""
        for part in _batches(_unwrap(frame), rows):
            yield from part.rechunk().to_arrow(compat_level=_compatible()).to_batches()

    @contextmanager
    def ranked(
        self, frame: Frame, by: Sequence[str], descending: Sequence[bool], into: str
    ) -> Iterator[Frame]:
        """Add a column: the place of each row in an order, from 1.

        Rows lie in a temporary file while only what they are ordered by is held in memory.
        """
        import pyarrow as pa

        lazy = _unwrap(frame)
        empty = lazy.collect_schema().to_frame().to_arrow(compat_level=_compatible())
        place = pa.field(into, pa.int64())

        def placed() -> Iterator[pa.RecordBatch]:
            # It has no name, so that nothing is left of it even where the process is killed.
            with tempfile.TemporaryFile() as file:
                places = _kept(lazy, empty.schema, by, descending, file)
                reader = pa.ipc.open_file(file)
                first = 0
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    of_batch = pa.array(places[first : first + len(batch)])
                    first += len(batch)
                    yield batch.append_column(place, of_batch)

        yield self.read_batches(empty.schema.append(place), placed)

    def digest(self, frame: Frame) -> int:
        """Digest of a frame's rows in whatever order, to be compared within this process."""
        # A sum is the same in any order.
        total = sum(int(part.hash_rows().sum()) for part in _batches(_unwrap(frame)))
        return total % (1 << 64)

    def collect(self, frame: Frame) -> pa.Table:
        """Bring a small frame, such as counts or a training sample, into this process."""
        import polars as pl

        try:
            collected = _unwrap(frame).collect(engine="streaming")
        except pl.exceptions.PanicException as error:
            raise _broken_off(error) from None
        return collected.to_arrow(compat_level=_compatible())


def _day(name: str, zone: str | None) -> pl.Expr:
    import polars as pl

    day = pl.col(name).str.to_date("%Y-%m-%d", strict=False)
    if zone is None:
        return day
    time = pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%z", strict=False, time_unit="us")
    return pl.coalesce(time.dt.convert_time_zone(zone).dt.date(), day)


def _schema_mode(
    commit: Commit, there: Frame | None, frame: Frame
) -> Literal["merge", "overwrite"] | None:
    """How delta-rs takes a frame's columns: rows that are added may bring new ones."""
    from deltalake.exceptions import SchemaMismatchError

    if there is None:
        return "overwrite" if commit.mode == "overwrite" else None
    old, new = there.collect_schema(), frame.collect_schema()
    if commit.mode == "overwrite":
        # What does not change keeps its NOT NULL.
        return None if old == new else "overwrite"
    for name, dtype in new.items():
        # By itself it would cut a fraction off to fit a column of whole numbers.
        if old.get(name, dtype) != dtype:
            raise SchemaMismatchError(f"column '{name}' is {old[name]}, and {dtype} is added to it")
    return None if old.keys() == new.keys() else "merge"


def _transactions(commit: Commit) -> list[Transaction] | None:
    """What lets only one of two commits at once succeed, where delta-rs would let both."""
    from deltalake import Transaction

    if commit.base is not None:
        return [Transaction(commit.transaction or UNNAMED, commit.base + 1)]
    # Two replacements of a table without files remove nothing that tells one of the other.
    return [Transaction("replacement", 1)] if commit.mode == "overwrite" else None


def _batches(frame: pl.LazyFrame, rows: int | None = None) -> Iterator[pl.DataFrame]:
    """Draw a frame's batches; an iterator of Polars' own takes a panic for the end of the rows."""
    import polars as pl

    drawn: Queue[pl.DataFrame | BaseException | None] = Queue(maxsize=1)
    abandoned = Event()

    def give(item: pl.DataFrame | BaseException | None) -> bool:
        while not abandoned.is_set():
            try:
                drawn.put(item, timeout=0.1)
            except Full:
                continue
            return False
        return True

    def compute() -> None:
        try:
            frame.sink_batches(give, chunk_size=rows, maintain_order=False, engine="streaming")
            give(None)
        except pl.exceptions.PanicException as error:
            give(_broken_off(error))
        except BaseException as error:
            give(error)

    thread = Thread(target=compute, daemon=True)
    thread.start()
    try:
        while (item := drawn.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        thread.join()


def _kept(
    frame: pl.LazyFrame,
    schema: pa.Schema,
    by: Sequence[str],
    descending: Sequence[bool],
    file: BinaryIO,
) -> NDArray[np.int64]:
    """Write a frame's rows to an Arrow file, and give the place of each in an order, from 1."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    ordered_by = [pl.DataFrame(schema=frame.select(by).collect_schema())]
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(file, schema, options=options) as writer:
        for part in _batches(frame, _SCORING_BATCH):
            ordered_by.append(part.select(by))
            writer.write_table(part.to_arrow(compat_level=_compatible()))
    order = pl.concat(ordered_by).select(
        pl.arg_sort_by(by, descending=list(descending), nulls_last=True)
    )
    places = np.empty(len(order), dtype=np.int64)
    places[order.to_series().to_numpy()] = np.arange(1, len(order) + 1)
    return places


def _broken_off(panic: BaseException) -> RuntimeError:
    """An error that ends a run in order; a panic is not an `Exception`."""
    return RuntimeError(f"Polars broke off: {panic}")


def _decoded_table(
    uri: str, version: int | None, storage_options: StorageOptions | None
) -> DeltaTable:
    """A table whose files are named as they are: delta-rs percent-encodes blanks and accents."""
    from deltalake import DeltaTable

    class DecodedTable(DeltaTable):
        def file_uris(self, *args: Any, **kwargs: Any) -> list[str]:
            root = self.table_uri.removeprefix("file://")
            files = super().file_uris(*args, **kwargs)
            return [unquote(root) + file.removeprefix(root) for file in files]

    return DecodedTable(uri, version=version, storage_options=_options(storage_options))


def _compatible() -> pl.CompatLevel:
    import polars as pl

    # Plain strings, not string views: pandas and MLflow know no views.
    return pl.CompatLevel.oldest()


def _wrap(frame: pl.LazyFrame) -> Frame:
    import narwhals.stable.v2 as nw

    return nw.from_native(frame)


def _unwrap(frame: Frame) -> pl.LazyFrame:
    return cast("pl.LazyFrame", frame.to_native())


def _options(options: StorageOptions | None) -> Any:
    return None if options is None else dict(options)

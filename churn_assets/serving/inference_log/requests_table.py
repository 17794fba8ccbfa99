"""The Delta table `requests`: its columns, and how rows come into it and go."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from churn_assets.errors import TableError, public_uri
from churn_assets.tables.faults.damage import drop_digests, keep_digests
from churn_assets.tables.versions import commit_note, data_version

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, WriterProperties

LOG_DAYS = 2
"""How long Delta's own log is kept: it grows by some thousand commits a day."""
TARGET_BYTES = 128 << 20
"""Of a data file after compaction."""
_EPOCH, _MOMENT = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_TOLD = timedelta(milliseconds=1)
"""How exactly Delta's statistics tell a moment; they round down."""
_CONFIGURATION = {
    "delta.logRetentionDuration": f"interval {LOG_DAYS} days",
    "delta.checkpointInterval": "50",
}


@dataclass(frozen=True)
class RequestsTable:
    """The table of one use case's answers and refusals.

    Parameters
    ----------
    uri : str
        Folder or URI.
    keys : tuple of str
        Names of the key columns.
    storage_options : mapping of str to str, optional
        Keys of the object store.
    """

    uri: str
    keys: tuple[str, ...]
    storage_options: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        import pyarrow as pa

        text, number, whole = pa.string(), pa.float64(), pa.int64()
        return pa.schema(
            [
                ("request_id", text),
                ("row", pa.int32()),
                ("requested_at", pa.timestamp("us", "UTC")),
                *((key, text) for key in self.keys),
                ("form", text),
                ("route", text),
                ("inputs", text),
                ("churn_probability", number),
                ("decision", pa.bool_()),
                ("threshold", number),
                ("risk_band", text),
                ("model_version", whole),
                ("semantic_version", text),
                ("variant", text),
                ("share", number),
                ("shadow", pa.bool_()),
                ("features_version", whole),
                ("latency_ms", number),
                ("status", pa.int32()),
                ("refusal", text),
            ]
        )

    def opened(self) -> DeltaTable:
        """The newest version; the table is made where there is none."""
        from deltalake import DeltaTable

        if "://" not in self.uri:
            # Where the other tables are away, as a disk is that is not mounted, it is no new one.
            Path(self.uri).mkdir(exist_ok=True)
        return DeltaTable.create(
            self.uri,
            schema=self.schema,
            mode="ignore",
            configuration=_CONFIGURATION,
            storage_options=self._options,
            commit_properties=self._commit(),
        )

    def append(self, batches: Sequence[pa.RecordBatch], log: str, number: int) -> None:
        """Add rows in one commit that says up to which segment of a log they are.

        Raises
        ------
        CommitFailedError
            Where another commit of this log came between.
        TableError
            Where the commit is not seen in the table afterwards.
        """
        import pyarrow as pa
        from deltalake import Transaction, write_deltalake

        table = self.opened()
        there = {column.name for column in table.schema().fields}
        write_deltalake(
            table,
            pa.RecordBatchReader.from_batches(self.schema, batches),
            mode="append",
            # An earlier version of the package made it with fewer columns.
            schema_mode=None if there.issuperset(self.schema.names) else "merge",
            writer_properties=_compressed(),
            commit_properties=self._commit(
                [Transaction(log, number)],
                appended=sum(map(len, batches)),
                log=log,
                segment=number,
            ),
        )
        written = table.version()
        table.update_incremental()
        if (table.transaction_version(log) or 0) < number:
            raise TableError(
                f"{public_uri(self.uri)}: the commit of segment {number} is not there."
            )
        keep_digests(self.uri, written)

    def committed(self, log: str) -> int:
        """Number of the newest segment of a log whose rows are there; 0 where none are."""
        return self.opened().transaction_version(log) or 0

    def compact(self, least_files: int, settled: timedelta) -> int:
        """Put small files together, where there are at least so many; how many there were.

        They are replaced by what they hold between two moments, since of two optimisations at
        once delta-rs lets both commit, and each row is there twice then.

        Parameters
        ----------
        least_files : int
            Fewer are left as they are.
        settled : timedelta
            How much older than the newest a row must be: of what is younger, other servers may
            have some still to come.

        Raises
        ------
        CommitFailedError
            Where somebody else changed them, or added to them, at the same time.
        """
        from deltalake import QueryBuilder, write_deltalake

        table = self.opened()
        files = _files(table)
        if not files:
            return 0
        end = max(file.newest for file in files) - settled + _TOLD
        small = [file for file in files if file.size < TARGET_BYTES / 2 and file.oldest < end]
        if len(small) < least_files:
            return 0
        span = f"{_from(min(file.oldest for file in small))} AND {_before(end)}"
        rows = QueryBuilder().register("requests", table)
        write_deltalake(
            table,
            rows.execute(f"SELECT * FROM requests WHERE {span}"),
            mode="overwrite",
            predicate=span,
            target_file_size=TARGET_BYTES,
            writer_properties=_compressed(),
            commit_properties=self._commit(compacted=len(small)),
        )
        keep_digests(self.uri, table.version())
        return len(small)

    def expire(self, before: datetime) -> int:
        """Delete the rows of requests before a moment; how many there were.

        Raises
        ------
        CommitFailedError
            Where somebody else changed them at the same time.
        """
        table = self.opened()
        if not any(file.oldest < before for file in _files(table)):
            return 0
        metrics = table.delete(
            _before(before),
            writer_properties=_compressed(),
            commit_properties=self._commit(expired_before=before.isoformat()),
        )
        keep_digests(self.uri, table.version())
        deleted: int = metrics["num_deleted_rows"]
        return deleted

    def vacuum(self, hours: int) -> int:
        """Remove the files that no version needs since so many hours; how many there were."""
        table = self.opened()
        removed = table.vacuum(
            hours,
            dry_run=False,
            enforce_retention_duration=False,
            # Also what a killed flusher wrote and never committed.
            full=True,
            commit_properties=self._commit(vacuumed_hours=hours),
        )
        drop_digests(self.uri, removed)
        return len(removed)

    @property
    def _options(self) -> dict[str, str] | None:
        return None if self.storage_options is None else dict(self.storage_options)

    def _commit(self, transactions: Any = None, **details: Any) -> CommitProperties:
        """What is kept with a commit, as with those of every other table."""
        from deltalake import CommitProperties

        # Rows that other servers add at the same time are part of no other version than this.
        version = data_version(uuid.uuid4().hex, {})
        note = commit_note(version, version, None, details)
        return CommitProperties(
            custom_metadata={"userMetadata": json.dumps(note)}, app_transactions=transactions
        )


class _File(NamedTuple):
    """A data file: its bytes, and when the first and the last of its requests came."""

    size: int
    oldest: datetime
    newest: datetime


def _files(table: DeltaTable) -> list[_File]:
    import pyarrow as pa

    actions = table.get_add_actions(flatten=True)
    batches = pa.RecordBatchReader.from_stream(actions).read_all()
    if not len(batches):
        return []
    names = ("size_bytes", "min.requested_at", "max.requested_at")
    return [_File(*values) for values in zip(*(batches[n].to_pylist() for n in names), strict=True)]


def _from(moment: datetime) -> str:
    return f"requested_at >= {_in_sql(moment)}"


def _before(moment: datetime) -> str:
    return f"requested_at < {_in_sql(moment)}"


def _in_sql(moment: datetime) -> str:
    # As text it would be compared by nanoseconds, which the files have not.
    micros = (moment - _EPOCH) // _MOMENT
    return f"arrow_cast({micros}, 'Timestamp(Microsecond, Some(\"UTC\"))')"


def _compressed() -> WriterProperties:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD")

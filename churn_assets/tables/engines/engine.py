"""What an engine must do; nothing else asks which engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from churn_assets.usecases.spec import DType

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.types import Frame


StorageOptions = Mapping[str, str]
BUCKETS = 10_000
UNNAMED = "base"
"""Transaction of a commit on a base that names none."""


@dataclass(frozen=True)
class Commit:
    """How a frame is committed to a Delta table.

    Parameters
    ----------
    mode : {"overwrite", "append"}
        Replace all rows in one commit, or add to them.
    metadata : mapping of str to str
        Kept with the commit, readable in the table's history.
    base : int, optional
        Version that the commit must follow; if another has come since, the commit fails.
    transaction : str, optional
        Of two commits on one base that name the same transaction, one fails.
    """

    mode: Literal["overwrite", "append"]
    metadata: Mapping[str, str] = field(default_factory=dict)
    base: int | None = None
    transaction: str | None = None


class ConflictError(Exception):
    """Another writer committed first."""


class Engine(Protocol):
    """Reads, transforms and writes frames; one class for each engine."""

    name: str

    def read_text(
        self,
        uris: Sequence[str],
        *,
        delimiter: str,
        columns: Sequence[str],
        storage_options: StorageOptions | None,
    ) -> Frame:
        """Delimited files, every column text, the file of each record in `source_uri`."""
        ...

    def may_be_short(
        self,
        uris: Sequence[str],
        delimiter: str,
        columns: int,
        *,
        storage_options: StorageOptions | None,
    ) -> bool:
        """Whether a line of delimited files may have fewer fields than there are columns.

        So may any that is part of a quoted field.
        """
        ...

    def read_parquet(
        self, uris: Sequence[str], *, schema: pa.Schema, storage_options: StorageOptions | None
    ) -> Frame:
        """Parquet files of a schema, the file of each record in `source_uri`."""
        ...

    def read_delta(
        self, uri: str, version: int | None, *, storage_options: StorageOptions | None
    ) -> Frame:
        """A Delta table, at a version or at its newest."""
        ...

    def read_batches(
        self, schema: pa.Schema, batches: Callable[[], Iterator[pa.RecordBatch]]
    ) -> Frame:
        """Arrow batches, drawn when the frame is computed, as often as it is."""
        ...

    def from_arrow(self, table: pa.Table) -> Frame:
        """A small table of this process."""
        ...

    def rename(self, frame: Frame, names: Sequence[str]) -> Frame:
        """Give the columns other names, in their order, whatever they were called."""
        ...

    def write_delta(
        self, uri: str, frame: Frame, commit: Commit, *, storage_options: StorageOptions | None
    ) -> None:
        """Commit a frame to a Delta table, streaming; all of it or nothing.

        Raises
        ------
        ConflictError
            Where another writer committed first.
        """
        ...

    def register(self, uri: str, name: str) -> None:
        """Let a catalog know a Delta table by a name of two or three parts, unless it does.

        Raises
        ------
        EngineError
            Where the name is that of another table, or there is no such schema.
        """
        ...

    def parse(self, frame: Frame, dtypes: Mapping[str, DType], zones: Mapping[str, str]) -> Frame:
        """Text columns to types, dates from ISO 8601; null where the text says no such value.

        A column of dates that has a zone may say a time with its offset from UTC as well, such as
        2024-03-30 23:30:00+00:00: its day is the one in that zone.
        """
        ...

    def bucket(self, frame: Frame, key: Sequence[str], salt: str, into: str) -> Frame:
        """Add a column: bucket of each key, an integer in [0, 10000).

        XXH64 with seed 42 of the UTF-8 bytes of the salt and each part of the key, with "|"
        between them, as a signed 64-bit integer, modulo 10,000 (never negative).
        """
        ...

    def map_batches(
        self,
        frame: Frame,
        function: Callable[[pa.RecordBatch], pa.RecordBatch],
        schema: pa.Schema,
    ) -> Frame:
        """Apply a function of Arrow batches, streaming."""
        ...

    def ranked(
        self, frame: Frame, by: Sequence[str], descending: Sequence[bool], into: str
    ) -> AbstractContextManager[Frame]:
        """Add a column: the place of each row in an order, from 1.

        The frame is computed once, however large it is, and lies on disk meanwhile; what is
        given holds within the context.

        Parameters
        ----------
        frame : frame
            The rows.
        by : sequence of str
            Columns that together tell any two rows apart; of equal values in one the next
            decides. Text is ordered by its bytes in UTF-8, and nulls come last.
        descending : sequence of bool
            Of each, whether the greatest comes first.
        into : str
            Name of the new column.
        """
        ...

    def digest(self, frame: Frame) -> int:
        """Digest of a frame's rows in whatever order, to be compared within this process."""
        ...

    def collect(self, frame: Frame) -> pa.Table:
        """Bring a small frame, such as counts or a training sample, into this process."""
        ...

"""Records in a Delta table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.sources.columns import Expected, columns_of
from churn_assets.tables.sources.files import Location, reading
from churn_assets.tables.sources.kind import Records, hash_of, reading_settings, records_of
from churn_assets.tables.sources.raw_types import as_raw, raw_types
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    import deltalake


@dataclass(frozen=True)
class DeltaTable:
    """A Delta table, at the version that is its newest when it is first looked at.

    Parameters
    ----------
    source, expected : Source, Expected
        How it is read, and what it must give.
    location : Location
        Where it lies.
    """

    source: Source
    expected: Expected
    location: Location

    @cached_property
    def _table(self) -> deltalake.DeltaTable:
        import deltalake

        with reading(self.location.place, self.expected.settings):
            return deltalake.DeltaTable(
                self.location.uri, storage_options=self.source.options or None
            )

    def fingerprint(self) -> str:
        """Hash of its id and version, and of the way it is read."""
        state = [self._table.metadata().id, self._table.version()]
        return hash_of("delta", reading_settings(self.source), state)

    def records(self, engine: Engine) -> Records:
        """The records, as a frame of an engine."""
        import pyarrow as pa

        place, table = self.location.place, self._table
        schema = pa.schema(table.schema().to_arrow())
        columns = columns_of(place, schema.names, self.source.rename, self.expected)
        types = raw_types(schema, columns, place)
        files = len(table.file_uris())
        if not files:
            raise SourceError(f"{place}: the table has no records. Add some.")
        frame = engine.read_delta(
            self.location.uri, table.version(), storage_options=self.source.options or None
        )
        public = self.location.public
        return records_of(as_raw(frame, types, engine), columns, public, public, files)

    def explain(self, error: Exception) -> SourceError | None:
        """Say that the table cannot be read any more, if so."""
        if isinstance(error, SourceError):
            return error
        try:
            _ = DeltaTable(self.source, self.expected, self.location)._table
        except SourceError as refusal:
            return refusal
        return None

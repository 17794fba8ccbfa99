"""Open a source: choose once which kind it is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from churn_assets.errors import EXAMPLE_LOGIN, SourceError, public_uri
from churn_assets.tables.sources.columns import Expected
from churn_assets.tables.sources.delta import DeltaTable
from churn_assets.tables.sources.file_kinds import ParquetFiles, TextFiles
from churn_assets.tables.sources.files import Format, Location, locate
from churn_assets.tables.sources.generated import GeneratedRecords
from churn_assets.tables.sources.kind import SourceKind
from churn_assets.tables.sources.source import Source
from churn_assets.tables.sources.sql import DatabaseRows, is_database

_BY_FORMAT: Mapping[Format, Callable[[Source, Expected, Location], SourceKind]] = {
    "csv": TextFiles,
    "parquet": ParquetFiles,
    "delta": DeltaTable,
}


def open_source(source: Source, expected: Expected) -> SourceKind:
    """Look up a source, once for all that is read of it.

    The rows of a database are brought to disk for it, as they are at this moment.

    Parameters
    ----------
    source : Source
        Where its records are, and how they are read.
    expected : Expected
        What it must give.

    Raises
    ------
    SourceError
        Where nothing readable lies there.
    """
    where = expected.settings
    if is_database(source.uri):
        return DatabaseRows.of(source, expected)
    if source.table or source.query:
        raise SourceError(
            f"{where}.{'table' if source.table else 'query'}: is only of a database, and "
            f"{where}.uri is {public_uri(source.uri) or 'empty'}. Leave it out, or set "
            f"{where}.uri to postgresql://{EXAMPLE_LOGIN}host:5432/database."
        )
    if source.makes_up:
        return GeneratedRecords.of(source, expected)
    location = locate(source.uri, source.format, source.options, where)
    return _BY_FORMAT[location.format](source, expected, location)

"""What a kind of source must do; nothing else asks which kind a source is of."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.lake import LINE_FAULT, SOURCE_URI
from churn_assets.tables.sources.columns import Columns
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    from churn_assets.types import Frame


@dataclass(frozen=True)
class Records:
    """The records of a source.

    Parameters
    ----------
    frame : frame
        Each source column under its `delta_name`, and `source_uri`; `line_fault` where lines are
        short.
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
    uri: str
    files: int
    missing_label: bool
    extra: tuple[str, ...]
    sources: tuple[str, ...]


class SourceKind(Protocol):
    """A source that was looked up; one class for each kind of source."""

    def fingerprint(self) -> str:
        """Hash of the content and of the way it is read.

        The content of a local file is read for it. A store that gives a strong ETag is asked for
        that only, and a Delta table for its id and version.

        Raises
        ------
        SourceError
            Where the source cannot be read.
        """
        ...

    def records(self, engine: Engine) -> Records:
        """The records, as a frame of an engine.

        What can be seen without reading every record is refused here. A fault that shows only
        while the frame is computed comes as an error of the engine; `explain` says what it is.

        Raises
        ------
        SourceError
            Where the source cannot be read or is not what the contract expects.
        """
        ...

    def explain(self, error: Exception) -> SourceError | None:
        """Say in one line why the frame could not be computed or written.

        Reads the source once more, so call it only then.

        Parameters
        ----------
        error : Exception
            What the engine raised.

        Returns
        -------
        SourceError, optional
            Naming file and line; None where the source is not at fault.
        """
        ...


def records_of(
    frame: Frame, columns: Columns, origin: str | nw.Expr, uri: str, files: int
) -> Records:
    """Records with where each came from, and with the label if the source has none."""
    import narwhals.stable.v2 as nw

    added = {SOURCE_URI: nw.lit(origin) if isinstance(origin, str) else origin}
    names = [*columns.names, SOURCE_URI]
    if LINE_FAULT in frame.collect_schema():
        names.insert(-1, LINE_FAULT)
    if columns.missing_label:
        added[columns.missing_label] = nw.lit(None, dtype=nw.String)
        names.insert(-1, columns.missing_label)
    return Records(
        frame.with_columns(*(of.alias(name) for name, of in added.items())).select(*names),
        uri,
        files,
        columns.missing_label is not None,
        columns.extra,
        columns.sources,
    )


def reading_settings(source: Source) -> list[Any]:
    """The settings that change what is read of one content."""
    settings = [source.delimiter, source.encoding, sorted(source.rename.items())]
    return settings if source.short_lines == "reject" else [*settings, source.short_lines]


def hash_of(*parts: Any) -> str:
    """Hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

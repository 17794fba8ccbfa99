"""From a source to raw: every record as it came, with where and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn_assets.errors import SourceError, TableError
from churn_assets.tables import engines
from churn_assets.tables.contract import require_types
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.lake import (
    INGESTED_AT,
    Committed,
    Table,
    changed_types,
    require_known_layout,
)
from churn_assets.tables.sources.columns import BETWEEN, NOTHING, Expected
from churn_assets.tables.sources.kind import Records
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import UseCase, delta_name

if TYPE_CHECKING:
    from churn_assets.types import Frame


_RECORD = "__record"


def raw_code() -> str:
    """Version of the code that reads sources into raw and labels."""
    return code_version(_ingest, engines)


def ingest(use_case: UseCase, source: Source, tables: Mapping[str, Table]) -> Committed:
    """Replace raw by the records of a source, unless it holds just them; or add what is new.

    Raises
    ------
    SourceError
        Where the source cannot be read or is not what the contract expects.
    TableError
        Where raw cannot be written.
    """
    require_known_layout(tables)
    return _ingest(Expected.of(use_case), source, tables["raw"])


def ingest_labels(use_case: UseCase, source: Source, tables: Mapping[str, Table]) -> Committed:
    """Likewise for the labels of a use case that has them apart, of its source if no other is set.

    Raises
    ------
    SourceError, TableError
        As `ingest` does.
    """
    where = f"sources.{use_case.name}"
    own, settings = source.labels, f"{where}.labels" if source.labels else where
    return _ingest(Expected.labels_of(use_case, settings), own or source, tables["labels"])


def _ingest(expected: Expected, source: Source, table: Table) -> Committed:
    import narwhals.stable.v2 as nw

    opened = open_source(source, expected)
    version = opened.fingerprint()
    made_from = data_version(raw_code(), {"source": version})
    current = table.state()
    # A contract that asks for more than it did wants the source looked at again.
    columns = {delta_name(column.source) for column in expected.contract.columns}
    if current and made_from in _sources(current) and columns <= set(current.columns):
        return current
    try:
        records = opened.records(table.engine)
        frame = records.frame.with_columns(**{INGESTED_AT: nw.lit(datetime.now(UTC))})
        details: dict[str, Any] = {
            "source_uri": records.uri,
            "files": records.files,
            "extra_columns": list(records.extra),
            "missing_label": records.missing_label,
        }
        if source.append:
            return _add(expected, records, frame, table, current, made_from, details)
        return table.replace(
            frame,
            made_from,
            # Read anew by other code, the same source may hold other records.
            data_version=made_from if current and current.data_version == version else version,
            moments=(INGESTED_AT,),
            **details,
        )
    except Exception as error:
        refusal = opened.explain(error)
        if refusal is None:
            raise
        raise refusal from error


def _sources(state: Committed) -> list[str]:
    """What the records of a table were read from, one after another."""
    return list(state.details.get("taken", [state.made_from]))


def _add(
    expected: Expected,
    records: Records,
    frame: Frame,
    table: Table,
    current: Committed | None,
    made_from: str,
    details: Mapping[str, Any],
) -> Committed:
    """Add the records that the table does not hold yet; the others stay as its history."""
    import narwhals.stable.v2 as nw

    require_types(frame, expected.contract, records.uri)
    columns = [delta_name(column.source) for column in expected.contract.columns]
    values = [nw.coalesce(nw.col(name).cast(nw.String), nw.lit(NOTHING)) for name in columns]
    # What the contract does not name makes no other record.
    record = nw.concat_str(values, separator=BETWEEN).alias(_RECORD)
    new = frame.with_columns(record).unique(subset=[_RECORD], keep="any")
    if current is None:
        first = {"history": True, "taken": [made_from], **details}
        return table.replace(new.drop(_RECORD), made_from, **first)
    held = table.scan(current.version)
    _require_types_of(held, frame, records.uri, expected)
    if set(columns) <= set(current.columns):
        new = new.join(held.with_columns(record).select(_RECORD), on=_RECORD, how="anti")
    new = new.drop(_RECORD)
    added = table.engine.collect(new.select(nw.len().cast(nw.Int64).alias("rows")))["rows"][0]
    rows = added.as_py()
    if rows == 0:
        return current
    try:
        return table.append(
            new,
            made_from,
            data_version=data_version(made_from, {table.name: current.data_version}),
            base=current.version,
            transaction=table.name,
            history=True,
            taken=[*_sources(current), made_from],
            added=rows,
            **details,
        )
    except ConflictError as error:
        raise TableError(
            f"{table.uri}: another run added to the table {table.name} at the same time. "
            "That version stands; run again."
        ) from error


def _require_types_of(held: Frame, frame: Frame, uri: str, expected: Expected) -> None:
    """Refuse columns of another type than those which are kept."""
    changed = changed_types(held.collect_schema(), frame.collect_schema())
    if changed:
        raise SourceError(
            f"{uri}: columns changed their type ({'; '.join(changed)}), so they cannot be added to "
            "what is kept. Store them as they were, or read the source whole, without "
            f"{expected.settings}.append."
        )

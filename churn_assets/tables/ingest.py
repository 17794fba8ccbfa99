"""From a source to raw: every record as it came, with where and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn_assets.errors import DamageError, SourceError, TableError, refusal
from churn_assets.tables import engines
from churn_assets.tables.contract import require_types
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.health import damage_named
from churn_assets.tables.lake import (
    HOLDOUT,
    INGESTED_AT,
    LINE_FAULT,
    SOURCE_URI,
    Committed,
    Table,
    changed_types,
    require_known_layout,
)
from churn_assets.tables.provenance import is_made_up
from churn_assets.tables.sources.columns import BETWEEN, NOTHING, Expected
from churn_assets.tables.sources.kind import Records
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.tables.versions import code_version, data_version
from churn_assets.tables.volume import REMEMBERED, compare, unusual
from churn_assets.usecases.spec import Contract, UseCase, delta_name

if TYPE_CHECKING:
    from churn_assets.types import Frame


_RECORD = "__record"


def raw_code() -> str:
    """Version of the code that reads sources into raw and labels."""
    return code_version(_ingest, engines)


def ingest(
    use_case: UseCase, source: Source, tables: Mapping[str, Table], *, accept: bool = False
) -> Committed:
    """Replace raw by the records of a source, unless it holds just them; or add what is new.

    Records of a source that somebody named stand where none is named now: made-up ones come in
    their place only where the generator is named.

    Parameters
    ----------
    use_case : UseCase
        Whose records these are.
    source : Source
        Where they come from.
    tables : mapping of str to Table
        The use case's tables.
    accept : bool
        Whether raw is replaced though far less comes than it holds.

    Raises
    ------
    SourceError
        Where the source cannot be read, is not what the contract expects, or has so much less than
        raw holds that it seems to be cut.
    TableError
        Where raw cannot be written.
    """
    require_known_layout(tables)
    return _ingest(_Target(use_case, Expected.of(use_case), tables["raw"]), source, accept)


def ingest_labels(
    use_case: UseCase, source: Source, tables: Mapping[str, Table], *, accept: bool = False
) -> Committed:
    """Likewise for the labels of a use case that has them apart, of its source if no other is set.

    Raises
    ------
    SourceError, TableError
        As `ingest` does; also where they would be made up for records that are not.
    """
    where = f"sources.{use_case.name}"
    own, settings = source.labels, f"{where}.labels" if source.labels else where
    source = own or source
    labels, raw = tables["labels"].state(), tables["raw"].state()
    if not source.is_named and raw and not is_made_up(raw) and (not labels or is_made_up(labels)):
        raise SourceError(
            f"{settings}.uri is empty, and the records came from {raw.details[SOURCE_URI]}: no "
            f"outcomes are made up for them. Set {where}.labels.uri to where theirs are."
        )
    expected = Expected.labels_of(use_case, settings)
    return _ingest(_Target(use_case, expected, tables["labels"], whole=False), source, accept)


def ingest_holdout(
    use_case: UseCase, source: Source, tables: Mapping[str, Table], *, accept: bool = False
) -> Committed:
    """Likewise for records that are only judged by, with their outcomes beside them.

    Raises
    ------
    SourceError, TableError
        As `ingest` does; also where no source is named for them, or it has no outcomes.
    """
    settings = f"sources.{use_case.name}.holdout"
    if not source.is_named:
        raise SourceError(f"{settings}.uri is empty. Set it to where the hold-out's records are.")
    columns = {column.name: column for column in use_case.label_contract.columns}
    columns |= {column.name: column for column in use_case.contract.columns}
    whole = Contract(*columns.values(), key=use_case.row_keys)
    expected = Expected(whole, settings, use_case.name, generate=use_case.generate)
    return _ingest(_Target(use_case, expected, tables[HOLDOUT]), source, accept)


@dataclass(frozen=True)
class _Target:
    """What a source is read into.

    Parameters
    ----------
    use_case : UseCase
        Whose records these are.
    expected : Expected
        What the source must give.
    table : Table
        What holds it.
    whole : bool
        Whether columns that the contract does not name are kept as well.
    """

    use_case: UseCase
    expected: Expected
    table: Table
    whole: bool = True

    def kept(self, records: Records) -> Records:
        """The records with the columns that the table keeps."""
        if self.whole:
            return records
        named = [delta_name(column.source) for column in self.expected.contract.columns]
        beside = {LINE_FAULT, SOURCE_URI} & set(records.frame.collect_schema().names())
        frame = records.frame.select(*dict.fromkeys([*named, *sorted(beside)]))
        return replace(records, frame=frame, extra=())

    @property
    def keys(self) -> list[str]:
        """Columns of the table that name a customer."""
        contract = self.expected.contract
        return [delta_name(contract[name].source) for name in self.use_case.keys]

    @property
    def blank(self) -> dict[str, Sequence[str]]:
        """Columns that must not lose their values, and what is written for none.

        The label may: outcomes of new customers are not known yet.
        """
        columns = self.expected.contract.columns
        return {
            delta_name(column.source): column.blank
            for column in columns
            if column.name != self.expected.label
        }


def _ingest(target: _Target, source: Source, accept: bool) -> Committed:
    import narwhals.stable.v2 as nw

    expected, table = target.expected, target.table
    current = table.state()
    if current and not source.is_named and not is_made_up(current):
        origin = current.details.get(SOURCE_URI, "elsewhere")
        stands = f"no source is named now, so the records of {origin} stand"
        return replace(current, details={**current.details, "stands": stands})
    opened = open_source(source, expected)
    version = opened.fingerprint()
    made_from = data_version(raw_code(), {"source": version})
    # A contract that asks for more than it did wants the source looked at again.
    columns = {delta_name(column.source) for column in expected.contract.columns}
    if current and made_from in _sources(current) and columns <= set(current.columns):
        return current
    try:
        with damage_named(lambda: {table.name: table}):
            records = target.kept(opened.records(table.engine))
            alike = current is not None and is_made_up(current) == source.makes_up
            volume = _volume(target, records, source, current if alike else None, accept)
            frame = records.frame.with_columns(**{INGESTED_AT: nw.lit(datetime.now(UTC))})
            details: dict[str, Any] = {
                SOURCE_URI: records.uri,
                "files": records.files,
                "extra_columns": list(records.extra),
                "missing_label": records.missing_label,
                **volume,
            }
            if source.append:
                # Made-up records are no history of others, nor are others one of theirs.
                held = current if alike else None
                return _add(expected, records, frame, table, held, made_from, details)
            return table.replace(
                frame,
                made_from,
                # Read anew by other code, the same source may hold other records.
                data_version=made_from if current and current.data_version == version else version,
                moments=(INGESTED_AT,),
                **details,
            )
    except DamageError:
        raise
    except Exception as error:
        refusal = opened.explain(error)
        if refusal is None:
            raise
        raise refusal from error


def _volume(
    target: _Target, records: Records, source: Source, current: Committed | None, accept: bool
) -> dict[str, Any]:
    """What is kept of how much came; refused where that is far less than there was.

    Raises
    ------
    SourceError
        Naming what is lost, and how to take it as it is.
    """
    if current is None or source.makes_up or not set(target.keys) <= set(current.columns):
        return {}
    table, settings = target.table, target.expected.settings
    least = source.volume.of_additions if source.append else source.volume
    held = table.scan(current.version)
    volume = compare(records.frame, held, table.engine, keys=target.keys, blank=target.blank)
    losses = volume.losses(least)
    if losses and not accept:
        limits = [f"{settings}.volume.{name} ({getattr(least, name):g})" for name in losses]
        raise SourceError(
            refusal(
                f"{records.uri} seems to be cut",
                "; ".join(losses.values()),
                f"The table {table.name} was not replaced",
                "Give the whole of it; or take it as it is, once, with --accept (in Dagster "
                f"`accept: true` in the configuration of {table.name}); or lower "
                + " and ".join(limits),
            )
        )
    before = [*current.details.get("rows_before", []), volume.rows_before][-REMEMBERED:]
    return {
        "rows_before": before,
        "customers_gone": 0 if source.append else volume.keys_before - volume.keys_kept,
        "unusual": unusual(volume, least, before),
        **({"accepted": losses} if losses else {}),
    }


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
            refusal(
                uri,
                f"columns changed their type ({'; '.join(changed)}), so they cannot be added to "
                "what is kept",
                "Nothing was replaced",
                "Store them as they were, or read the source whole, without "
                f"{expected.settings}.append",
            )
        )

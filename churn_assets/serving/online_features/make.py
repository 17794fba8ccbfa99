"""From features and the last predictions to a snapshot of features by key."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import SnapshotError, public_uri
from churn_assets.learning.inputs import as_given, as_trained, rows_as_trained
from churn_assets.learning.judging.record import on_record
from churn_assets.learning.workplace import Workplace
from churn_assets.serving.answering.snapshot import FORMAT, Head, Kind, read_head
from churn_assets.serving.online_features.folder import (
    current_of,
    making,
    name_of,
    point,
    prune,
    read_current,
)
from churn_assets.serving.online_features.pairs import (
    BATCH,
    Pair,
    advised,
    in_order,
    of_features,
    of_predictions,
)
from churn_assets.serving.online_features.remote import publish
from churn_assets.serving.online_features.write import write_snapshot
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Committed
from churn_assets.tables.sampling import to_score
from churn_assets.tables.versions import code_version, data_version

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.tables.lake import Table
    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase

TABLE = "online_features"
_DELTA_TYPES: Mapping[Kind, str] = {"number": "double", "text": "string"}


@dataclass(frozen=True)
class Places:
    """Where a use case's snapshots lie.

    Parameters
    ----------
    folder : Path
        On this machine.
    uri : str, optional
        Folder of an object store that they are put into as well.
    options : mapping of str to str, optional
        Keys of that store.
    """

    folder: Path
    uri: str | None = None
    options: Mapping[str, str] | None = None


def online_features_code(use_case: UseCase) -> str:
    """Version of the code that makes a snapshot, and of what is put into it."""
    amounts = () if use_case.business is None else use_case.business.columns
    named = {"numeric": use_case.numeric, "categorical": use_case.categorical, "amounts": amounts}
    return code_version(make_online_features, use_case.features, format=FORMAT, **named)


def make_online_features(place: Workplace, places: Places) -> Committed:
    """Write what a server needs for each customer, unless what is there is of the same versions.

    A customer's values are those that the Champion and today's use case take for inputs, and the
    amounts of the business case; beside them stand the split, and contact and rank of the last
    predictions. Source columns are not kept: a question with other inputs is answered from these,
    one with other source columns is asked with a whole record.

    Parameters
    ----------
    place : Workplace
        Whose customers, and where the tables are.
    places : Places
        Where the snapshot is to lie.

    Raises
    ------
    TableError
        Where there are no features yet.
    SnapshotError
        Where it cannot be written or given out; what was there stands.
    """
    # Every table of the lake is read in this process, whatever engine made it.
    engine = PolarsEngine()
    tables = {name: replace(table, engine=engine) for name, table in place.tables.items()}
    features, predictions = tables["features"].require(), tables["predictions"].state()
    inputs = {"features": features.data_version}
    reads = {"features": features.version}
    if predictions is not None:
        inputs["predictions"] = predictions.data_version
        reads["predictions"] = predictions.version
    version = data_version(online_features_code(place.use_case), inputs)
    before = _present(places.folder, version)
    head = before or _write(place, tables, features, predictions, version, places.folder)
    current = current_of(head)
    point(places.folder, current)
    prune(places.folder, current)
    path = places.folder / current.file
    if places.uri is not None:
        publish(path, current, places.uri, places.options)
    return _committed(place.use_case, path, head, reads, places, changed=before is None)


def _present(folder: Path, version: str) -> Head | None:
    """The snapshot that is to be served, where it is of a version and whole."""
    try:
        current = read_current(folder)
        if current is None or current.data_version != version:
            return None
        head = read_head(folder / current.file)
    except SnapshotError:
        # It is made again.
        return None
    return head if head.digest == current.digest else None


def _write(
    place: Workplace,
    tables: Mapping[str, Table],
    features: Committed,
    predictions: Committed | None,
    version: str,
    folder: Path,
) -> Head:
    use_case, engine = place.use_case, PolarsEngine()
    trained = _as_champion(place, tables)
    rows = to_score(rows_as_trained(use_case, trained, tables, features))
    columns = _columns(use_case, trained, rows)
    head = Head(
        format=FORMAT,
        use_case=use_case.name,
        key=use_case.keys,
        columns=columns,
        features_version=features.version,
        features_data_version=features.data_version,
        predictions_version=None if predictions is None else predictions.version,
        data_version=version,
        made_at=time.time(),
        rows=features.rows,
        size_bytes=0,
        digest="",
    )
    numbers = [name for name, kind in columns.items() if kind == "number"]
    texts = [*(name for name, kind in columns.items() if kind == "text"), "split"]
    keyed, keys = _keyed(rows, use_case)
    given = keyed.select(*keys, *as_given(keyed.collect_schema(), numbers, texts))

    def customers() -> Iterator[list[Pair]]:
        for batch in engine.batches(given, BATCH):
            yield of_features(_frame(batch), keys, columns)

    def advice() -> Iterator[list[Pair]]:
        if predictions is None or use_case.business is None:
            return
        scored, _ = _keyed(tables["predictions"].scan(predictions.version), use_case)
        for batch in engine.batches(scored.select(*keys, "contact", "rank"), BATCH):
            yield of_predictions(_frame(batch), keys)

    with making(folder) as own:
        pairs = advised(in_order(customers(), own, "customers"), in_order(advice(), own, "advice"))
        return write_snapshot(folder / name_of(head), pairs, head, making=own)


def _as_champion(place: Workplace, tables: Mapping[str, Table]) -> UseCase:
    """The use case with the inputs of the Champion on record; as it is where there is none."""
    champion = on_record(tables["champion"])
    if champion is None:
        return place.use_case
    pipeline = place.registry.load(champion.version, champion.model_digest)
    return as_trained(place.use_case, pipeline)


def _columns(use_case: UseCase, trained: UseCase, rows: Frame) -> dict[str, Kind]:
    """What each customer's values are: of the Champion, of those to come, and for the value."""
    amounts = () if use_case.business is None else use_case.business.columns
    wanted: dict[str, Kind] = {}
    for names, kind in (
        (trained.numeric, "number"),
        (trained.categorical, "text"),
        (use_case.numeric, "number"),
        (use_case.categorical, "text"),
        (amounts, "number"),
    ):
        for name in names:
            wanted.setdefault(name, kind)  # type: ignore[arg-type]
    there = set(rows.collect_schema().names())
    # What a use case names since its features were made comes with them.
    return {name: kind for name, kind in wanted.items() if name in there}


def _keyed(rows: Frame, use_case: UseCase) -> tuple[Frame, list[str]]:
    """Rows with the key as text, as predictions have it, beside their columns; its names there."""
    import narwhals.stable.v2 as nw

    keys = {f"__key_{place}": name for place, name in enumerate(use_case.keys)}
    texts = {key: nw.col(name).cast(nw.String) for key, name in keys.items()}
    return rows.with_columns(**texts), list(keys)


def _frame(batch: pa.RecordBatch) -> Any:
    import polars as pl

    return pl.from_arrow(batch)


def _committed(
    use_case: UseCase,
    path: Path,
    head: Head,
    reads: Mapping[str, int],
    places: Places,
    *,
    changed: bool,
) -> Committed:
    columns = {
        **dict.fromkeys(head.key, "string"),
        **{name: _DELTA_TYPES[kind] for name, kind in head.columns.items()},
        "split": "string",
        **({} if use_case.business is None else {"contact": "boolean", "rank": "long"}),
    }
    details: dict[str, Any] = {
        "digest": head.digest,
        "features_data_version": head.features_data_version,
        "bytes_a_row": round(head.size_bytes / max(head.rows, 1)),
    }
    if places.uri is not None:
        details["given_out_to"] = public_uri(places.uri)
    return Committed(
        table=TABLE,
        uri=str(path),
        version=head.features_version,
        data_version=head.data_version,
        made_from=head.data_version,
        rows=head.rows,
        size_bytes=head.size_bytes,
        columns=columns,
        reads=reads,
        committed_at=datetime.fromtimestamp(head.made_at, UTC),
        written_by=f"format {head.format}",
        details=details,
        changed=changed,
    )

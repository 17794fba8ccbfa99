"""From a source to raw: every record as it came, with where and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.sources import Source, explain, fingerprint, read_records
from churn_assets.usecases.spec import UseCase, delta_name


def ingest(use_case: UseCase, source: Source, tables: Mapping[str, Table]) -> Committed:
    """Replace raw by the records of a source, unless it holds just them.

    Raises
    ------
    SourceError
        Where the source cannot be read or is not what the contract expects.
    """
    import narwhals.stable.v2 as nw

    raw = tables["raw"]
    version = fingerprint(source, use_case)
    current = raw.current(version)
    # A contract that asks for more than it did wants the source looked at again.
    expected = {delta_name(column.source) for column in use_case.contract.columns}
    if current and expected <= set(current.columns):
        return current
    try:
        records = read_records(source, use_case, raw.engine)
        frame = records.frame.with_columns(ingested_at=nw.lit(datetime.now(UTC)))
        return raw.replace(
            frame,
            version,
            source_uri=records.uri,
            files=records.files,
            extra_columns=list(records.extra),
            missing_label=records.missing_label,
        )
    except Exception as error:
        refusal = explain(error, source, use_case)
        if refusal is None:
            raise
        raise refusal from error

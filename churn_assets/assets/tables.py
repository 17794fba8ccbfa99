"""The assets from the source to features."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from churn_assets.assets.shared import (
    materialized,
    preview,
    refresh_minutes,
    refusals,
    spec,
)
from churn_assets.settings import Settings
from churn_assets.tables.featurise import features_code
from churn_assets.tables.ingest import raw_code
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import silver_code
from churn_assets.usecases.spec import UseCase, delta_name

Results = Iterator[dg.MaterializeResult[Any]]


def table_assets(use_case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """raw, silver with rejects, and features of a use case."""
    name = use_case.name

    @dg.multi_asset(
        name=f"{name}_silver",
        specs=[
            spec(
                use_case,
                "silver",
                "A valid, typed, renamed and cleaned record.",
                code_version=silver_code(use_case),
                deps=["raw"],
                kinds=[settings.engine],
            ),
            spec(
                use_case,
                "rejects",
                "A record that broke the contract, as it came, with every reason.",
                code_version=silver_code(use_case),
                deps=["raw"],
                kinds=[settings.engine],
            ),
        ],
    )
    def silver(lake: dg.ResourceParam[Lake]) -> Results:
        from churn_assets.tables.refine import refine

        tables = lake.of(use_case)
        with refusals():
            for committed in refine(use_case, tables, settings.max_reject_share):
                yield materialized(
                    use_case,
                    committed,
                    metadata=committed.details,
                    lineage=_from_source(use_case) if committed.table == "silver" else None,
                    preview=preview(tables[committed.table], settings.preview_rows),
                )

    @dg.multi_asset(
        name=f"{name}_features",
        specs=[
            spec(
                use_case,
                "features",
                "Model inputs, label (null: not known yet) and split of each customer.",
                code_version=features_code(use_case),
                deps=["silver", *(["labels"] if use_case.labels else [])],
                kinds=[settings.engine],
            )
        ],
    )
    def features(lake: dg.ResourceParam[Lake]) -> Results:
        from churn_assets.tables.featurise import featurise

        tables = lake.of(use_case)
        with refusals():
            committed = featurise(use_case, tables, settings.max_reject_share)
            yield materialized(
                use_case,
                committed,
                metadata=committed.details,
                lineage=_from_silver(use_case),
                preview=preview(tables["features"], settings.preview_rows),
            )

    came = "A source record as it came, with its file and when it was read."
    raw = _taken(use_case, settings, "raw", came)
    apart = []
    if use_case.labels:
        told = "An outcome as it came, with its file and when it was read."
        apart.append(_taken(use_case, settings, "labels", told))
    return [raw, *apart, silver, features]


def _taken(
    use_case: UseCase, settings: Settings, table: str, description: str
) -> dg.AssetsDefinition:
    """A table of records as they come from a source, or as they were known on a past day."""

    @dg.multi_asset(
        name=f"{use_case.name}_{table}",
        specs=[
            spec(
                use_case,
                table,
                description,
                code_version=raw_code(),
                kinds=[settings.engine],
                refresh_minutes=refresh_minutes(settings.freshness, "raw"),
            )
        ],
        retry_policy=dg.RetryPolicy(max_retries=2, delay=2),
    )
    def taken(lake: dg.ResourceParam[Lake]) -> Results:
        from churn_assets.tables import as_of, ingest

        take, recall = {
            "raw": (ingest.ingest, as_of.as_known_on),
            "labels": (ingest.ingest_labels, as_of.labels_as_known_on),
        }[table]
        tables = lake.of(use_case)
        with refusals():
            if settings.as_of is None:
                committed = take(use_case, settings.source(use_case.name), tables)
            else:
                today = replace(lake, root=settings.present.lake_uri).of(use_case)
                committed = recall(use_case, settings.as_of, today, tables)
            yield materialized(
                use_case,
                committed,
                metadata=committed.details,
                preview=preview(tables[table], settings.preview_rows),
            )

    return taken


def _from_source(use_case: UseCase) -> dict[str, list[tuple[str, str]]]:
    columns = use_case.contract.columns
    return {column.name: [("raw", delta_name(column.source))] for column in columns}


def _from_silver(use_case: UseCase) -> dict[str, list[tuple[str, str]]]:
    silver = {column.name for column in use_case.contract.columns}
    kept = (*use_case.keys, *use_case.inputs, *use_case.beside, *use_case.days)
    labels = "silver" if use_case.labels is None else "labels"
    split = use_case.keys if use_case.split_by is None else (use_case.split_by,)
    label = use_case.labelled[use_case.label.column]
    return {
        **{name: [("silver", name)] for name in kept if name in silver},
        "label": [(labels, label.name if labels == "silver" else delta_name(label.source))],
        "split": [("silver", name) for name in split if name in silver],
    }

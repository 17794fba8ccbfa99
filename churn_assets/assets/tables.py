"""The assets from the source to features."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg

from churn_assets.assets.shared import (
    key,
    materialized,
    preview,
    refresh_minutes,
    refusals,
    spec,
)
from churn_assets.settings import Settings
from churn_assets.tables.featurise import features_code
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import silver_code
from churn_assets.tables.versions import code_version
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
                code_version=code_version("churn_assets.tables.ingest"),
                kinds=[settings.engine],
                refresh_minutes=refresh_minutes(settings.freshness, "raw"),
            )
        ],
        retry_policy=dg.RetryPolicy(max_retries=2, delay=2),
    )
    def taken(lake: dg.ResourceParam[Lake]) -> Results:
        from churn_assets.tables import as_of, ingest

        take, recall = {
            "raw": (ingest.ingest, as_of.recall),
            "labels": (ingest.ingest_labels, as_of.recall_labels),
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


def table_checks(use_case: UseCase, settings: Settings) -> list[dg.AssetChecksDefinition]:
    """What is counted and warned of, and stops nothing."""

    @dg.asset_check(
        asset=key(use_case, "raw"),
        name="expected_columns",
        description="The source has the contract's columns, the label and no others.",
    )
    def expected_columns(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        details = lake.of(use_case)["raw"].require().details
        extra, unlabelled = details["extra_columns"], details["missing_label"]
        faults = [f"the contract does not name {', '.join(extra)}"] if extra else []
        if unlabelled:
            label = use_case.labelled[use_case.label.column].source
            faults.append(f"column '{label}' is missing, so no customer has a label")
        return dg.AssetCheckResult(
            passed=not faults,
            description="; ".join(faults) or "all there, and no others",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"extra_columns": extra, "missing_label": unlabelled},
        )

    @dg.asset_check(
        asset=key(use_case, "rejects"),
        name="rejected_records",
        description="How many records break the contract, and which rules.",
    )
    def rejected_records(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        tables = lake.of(use_case)
        rejects, raw = tables["rejects"].require(), tables["raw"].require()
        share = rejects.rows / raw.rows if raw.rows else 0.0
        return dg.AssetCheckResult(
            passed=share <= settings.max_reject_share,
            description=f"{rejects.rows:,} of {raw.rows:,} records ({share:.1%})",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "rejected": rejects.rows,
                "share": share,
                "greatest_share": settings.max_reject_share,
                "rules": rejects.details.get("rules", {}),
            },
        )

    @dg.asset_check(
        asset=key(use_case, "silver"),
        name="outliers",
        description="Values beyond Tukey's outer fences, or called odd; they are kept.",
    )
    def outliers(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        from churn_assets.tables import quality

        silver = lake.of(use_case)["silver"]
        counts = quality.outliers(silver.scan(), use_case, silver.engine)
        return dg.AssetCheckResult(
            passed=not any(counts.values()),
            description=", ".join(f"{n} {count:,}" for n, count in counts.items() if count)
            or "none",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"outliers": counts, "fence_interquartile_ranges": quality.FENCE},
        )

    @dg.asset_check(
        asset=key(use_case, "features"),
        name="split_balance",
        description="The splits have one share of positive labels, but for chance.",
    )
    def split_balance(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        from churn_assets.tables import quality

        features = lake.of(use_case)["features"]
        counts = quality.split_counts(features.scan(), features.engine)
        chance = quality.split_balance(counts)
        return dg.AssetCheckResult(
            passed=chance >= quality.CHANCE,
            description=f"chance alone differs so much with probability {chance:.3g}",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"p_value": chance, "splits": counts},
        )

    @dg.asset_check(
        asset=key(use_case, "raw"),
        name="same_schema",
        description="Columns and types are those of the version before.",
    )
    def same_schema(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        from churn_assets.tables import quality

        changes = quality.schema_changes(lake.of(use_case)["raw"])
        return dg.AssetCheckResult(
            passed=not changes,
            description="; ".join(changes) or "no change",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"changes": changes},
        )

    @dg.asset_check(
        asset=key(use_case, "features"),
        name="label_records",
        description="Each label keeps its contract, and is not older than what is known.",
    )
    def label_records(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        told = lake.of(use_case)["features"].require().details["labels"]
        odd = {what: count for what, count in told.items() if what in _ODD_LABELS and count}
        said = ", ".join(f"{count:,} {_ODD_LABELS[what]}" for what, count in odd.items())
        return dg.AssetCheckResult(
            passed=not odd,
            description=f"{said or 'none amiss'}, of {told['records']:,} labels",
            severity=dg.AssetCheckSeverity.WARN,
            metadata=told,
        )

    asked = [expected_columns, same_schema, rejected_records, outliers]
    if use_case.split_by is None:
        # By time the splits differ as the times do.
        asked.append(split_balance)
    if use_case.labels:
        asked.append(label_records)
    return asked


_ODD_LABELS = {
    "rejected": "break the contract",
    "older_than_the_record": "are older than what is known of the customer",
}


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

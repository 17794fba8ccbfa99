"""What is counted of tables and warned of, and stops nothing."""

import dagster as dg

from churn_assets.assets.shared import (
    key,
)
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.usecases.spec import UseCase


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

"""The assets from features to predictions, and the gates between them."""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import (
    key,
    materialized,
    pictures,
    preview,
    refresh_minutes,
    refusals,
    spec,
)
from churn_assets.learning.recipe import model_code, predictions_code
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.tables.lineage import code_version
from churn_assets.usecases.spec import UseCase

GATES = {
    "governance": "Described, signed, with an example and lineage; it loads and scores real rows.",
    "better_than_chance": "Lower 95 % bounds of ROC AUC and F1 beat guessing on test rows.",
    "f1_gate": "F1 at least the Champion's on the same test rows, each at its own threshold.",
}
REGISTRY_POOL = "registry"

Results = Iterator[dg.MaterializeResult[Any]]


class TrainConfig(dg.Config):
    """How the model asset is run."""

    retrain: bool = Field(
        default=False, description="Train even where data, code and settings are unchanged."
    )


def learning_assets(use_case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """model, champion and predictions of a use case."""
    name = use_case.name

    @dg.multi_asset(
        name=f"{name}_model",
        specs=[
            spec(
                use_case,
                "model",
                "A registered Challenger: version, run, metrics, threshold, data versions.",
                code_version=model_code(use_case, settings.training),
                deps=["features"],
                kinds=("scikitlearn", "mlflow"),
            )
        ],
        pool=REGISTRY_POOL,
    )
    def model(
        context: dg.AssetExecutionContext,
        config: TrainConfig,
        lake: dg.ResourceParam[Lake],
        mlflow: dg.ResourceParam[Mlflow],
    ) -> Results:
        from churn_assets.learning.challenger import train_challenger

        with refusals():
            challenger = train_challenger(
                use_case,
                lake.of(use_case),
                mlflow.registry(use_case),
                settings.training,
                mlflow.opener(context, use_case),
                retrain=config.retrain,
            )
            metadata = {
                **_shown(challenger.row),
                "description": challenger.description,
                **mlflow.links(use_case, challenger.row["run_id"]),
                "pictures": pictures(challenger.pictures),
            }
            yield materialized(use_case, challenger.committed, metadata=metadata)

    @dg.multi_asset(
        name=f"{name}_champion",
        specs=[
            spec(
                use_case,
                "champion",
                "One promotion: version, who and when, every gate's evidence.",
                code_version=code_version("churn_assets.learning.promotion"),
                deps=["model"],
                kinds=("mlflow",),
            )
        ],
        pool=REGISTRY_POOL,
    )
    def champion(
        context: dg.AssetExecutionContext,
        lake: dg.ResourceParam[Lake],
        mlflow: dg.ResourceParam[Mlflow],
    ) -> Results:
        from churn_assets.learning.promotion import promote

        with refusals():
            committed, promotion = promote(
                use_case,
                lake.of(use_case),
                mlflow.registry(use_case),
                decided_by=f"Dagster run {context.run.run_id}",
                most_rows=settings.training.max_rows,
            )
            yield materialized(use_case, committed, metadata=_shown(vars(promotion)))

    @dg.multi_asset(
        name=f"{name}_predictions",
        specs=[
            spec(
                use_case,
                "predictions",
                "One customer scored: probability, decision, risk band, model version.",
                code_version=predictions_code(use_case),
                deps=["features", "champion"],
                kinds=[settings.engine],
                refresh_minutes=refresh_minutes(settings.freshness, "predictions"),
            )
        ],
    )
    def predictions(lake: dg.ResourceParam[Lake], mlflow: dg.ResourceParam[Mlflow]) -> Results:
        from churn_assets.learning.scoring import score

        tables = lake.of(use_case)
        with refusals():
            committed = score(use_case, tables, mlflow.registry(use_case))
            yield materialized(
                use_case,
                committed,
                metadata=committed.details,
                preview=preview(tables["predictions"], settings.preview_rows),
            )

    return [model, champion, predictions]


def learning_checks(use_case: UseCase, settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The gates, which block champion; and that predictions are whole."""
    name = use_case.name
    asset = key(use_case, "model")

    @dg.multi_asset_check(
        name=f"{name}_gates",
        specs=[
            dg.AssetCheckSpec(gate, asset=asset, blocking=True, description=description)
            for gate, description in GATES.items()
        ],
        # Without this the UI lets nobody run a gate by itself.
        can_subset=True,
    )
    def gates(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        mlflow: dg.ResourceParam[Mlflow],
    ) -> Iterator[dg.AssetCheckResult]:
        from churn_assets.learning.promotion import verdicts

        asked = {check.name for check in context.selected_asset_check_keys}
        told = verdicts(
            use_case,
            lake.of(use_case),
            mlflow.registry(use_case),
            most_rows=settings.training.max_rows,
        )
        for verdict in (verdict for verdict in told if verdict.gate in asked):
            yield dg.AssetCheckResult(
                check_name=verdict.gate,
                passed=verdict.passed,
                severity=dg.AssetCheckSeverity.ERROR,
                description=verdict.reason,
                metadata=_shown(verdict.numbers),
            )

    @dg.asset_check(
        asset=key(use_case, "predictions"),
        name="every_customer_scored",
        description="One prediction for each customer in features.",
    )
    def every_customer_scored(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        tables = lake.of(use_case)
        scored, customers = tables["predictions"].require(), tables["features"].require()
        return dg.AssetCheckResult(
            passed=scored.rows == customers.rows,
            description=f"{scored.rows:,} of {customers.rows:,} customers",
            metadata={"scored": scored.rows, "customers": customers.rows},
        )

    return [gates, every_customer_scored]


def _shown(row: Any) -> dict[str, Any]:
    """Metadata of plain values; JSON text is shown as JSON, the rest as text."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str) and value[:1] in ("{", "["):
            shown[name] = dg.MetadataValue.json(json.loads(value))
        elif isinstance(value, (str, bool, int, float, dict, list)):
            shown[name] = value
        elif value is not None:
            shown[name] = str(value)
    return shown

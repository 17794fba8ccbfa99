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
from churn_assets.learning.judging.gates import Verdict, gate_specs
from churn_assets.learning.recipe import model_code, predictions_code
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.tables.versions import code_version
from churn_assets.usecases.spec import UseCase

REGISTRY_POOL = "registry"

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN

Results = Iterator[dg.MaterializeResult[Any]]


class TrainConfig(dg.Config):
    """How the model asset is run."""

    retrain: bool = Field(
        default=False, description="Train even where data, code and settings are unchanged."
    )


class ChampionConfig(dg.Config):
    """How the champion asset is run."""

    rollback: bool = Field(
        default=False,
        description="Make an earlier Champion the Champion again, instead of the Challenger.",
    )
    version: int | None = Field(
        default=None, description="Which one; by default the one before the present."
    )
    decided_by: str = Field(default="", description="Who decided; kept with the record.")


def learning_assets(use_case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """model, champion and predictions of a use case."""
    name = use_case.name
    contacts = settings.contacts.get(name)

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
        from churn_assets.learning.fitting.challenger import train_challenger

        with refusals():
            challenger = train_challenger(
                use_case,
                lake.of(use_case),
                mlflow.registry(use_case),
                settings.training,
                mlflow.opener(context, use_case),
                retrain=config.retrain,
                studies=settings.studies_folder,
                progress=context.log.info,
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
                "One promotion or rollback: version, who and when, every gate's evidence.",
                code_version=code_version("churn_assets.learning.judging.promotion"),
                deps=["model"],
                kinds=("mlflow",),
            )
        ],
        pool=REGISTRY_POOL,
    )
    def champion(
        context: dg.AssetExecutionContext,
        config: ChampionConfig,
        lake: dg.ResourceParam[Lake],
        mlflow: dg.ResourceParam[Mlflow],
    ) -> Results:
        from churn_assets.learning.judging.promotion import promote, rollback

        tables, registry = lake.of(use_case), mlflow.registry(use_case)
        who = ", ".join(filter(None, [config.decided_by, f"Dagster run {context.run.run_id}"]))
        with refusals():
            if config.rollback:
                committed, promotion = rollback(tables, registry, config.version, who)
            else:
                committed, promotion = promote(
                    use_case, tables, registry, who, settings.gates, settings.training.max_rows
                )
            yield materialized(use_case, committed, metadata=_shown(vars(promotion)))

    @dg.multi_asset(
        name=f"{name}_predictions",
        specs=[
            spec(
                use_case,
                "predictions",
                "One customer scored: probability, decision, value of a contact, reasons.",
                code_version=predictions_code(use_case, contacts),
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
            committed = score(use_case, tables, mlflow.registry(use_case), contacts=contacts)
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
            dg.AssetCheckSpec(
                gate.name, asset=asset, blocking=gate.blocking, description=gate.description
            )
            for gate in gate_specs(use_case, settings.gates)
        ],
        # Without this the UI lets nobody run a gate by itself.
        can_subset=True,
    )
    def gates(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        mlflow: dg.ResourceParam[Mlflow],
    ) -> Iterator[dg.AssetCheckResult]:
        from churn_assets.learning.judging.promotion import judge

        asked = {check.name for check in context.selected_asset_check_keys}
        tables, registry = lake.of(use_case), mlflow.registry(use_case)
        judgement = judge(use_case, tables, registry, settings.gates, settings.training.max_rows)
        told = {verdict.gate: verdict for verdict in judgement.verdicts}
        drawn: dict[str, bytes | None] = {}
        if judgement.evidence:
            from churn_assets.learning.card.gather import keep_card
            from churn_assets.learning.judging.gate_plots import picture

            drawn = {gate: picture(verdict, judgement.evidence) for gate, verdict in told.items()}
            with refusals():
                keep_card(use_case, tables, registry, judgement, drawn)
        # A Champion that stands was promoted when some gate was not there yet.
        absent = Verdict("", True, "not asked of a Champion that was promoted before it was there")
        for gate in gate_specs(use_case, settings.gates):
            verdict = told.get(gate.name, absent)
            if gate.name in asked:
                yield dg.AssetCheckResult(
                    check_name=gate.name,
                    passed=verdict.passed,
                    severity=ERROR if gate.blocking else WARN,
                    description=verdict.reason,
                    metadata={**_shown(verdict.numbers), **_picture(drawn.get(gate.name))},
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


def _picture(drawn: bytes | None) -> dict[str, Any]:
    return {} if drawn is None else {"picture": pictures({"picture": drawn})}


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

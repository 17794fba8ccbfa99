"""The assets from features to predictions, and the gates between them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import (
    materialized,
    pictures,
    plain_metadata,
    preview,
    refresh_minutes,
    refusals,
    spec,
)
from churn_assets.learning.fitting.origin import model_code
from churn_assets.learning.recipe import predictions_code
from churn_assets.learning.workplace import Workplace
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.tables.versions import code_version
from churn_assets.usecases.spec import UseCase

REGISTRY_POOL = "registry"


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
                Workplace(use_case, lake.of(use_case), mlflow.registry(use_case)),
                settings.training,
                mlflow.opener(context, use_case),
                retrain=config.retrain,
                studies=settings.studies_folder,
                progress=context.log.info,
            )
            metadata = {
                **plain_metadata(challenger.row),
                "description": challenger.description,
                "trained_because": challenger.trained_because,
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
                code_version=code_version("churn_assets.learning.judging"),
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
            yield materialized(use_case, committed, metadata=plain_metadata(vars(promotion)))

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
            place = Workplace(use_case, tables, mlflow.registry(use_case))
            committed = score(place, contacts=contacts)
            yield materialized(
                use_case,
                committed,
                metadata=committed.details,
                preview=preview(tables["predictions"], settings.preview_rows),
            )

    return [model, champion, predictions]

"""The assets from features to predictions."""

from typing import Any

import dagster as dg
from pydantic import Field

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import person_and_run, pictures, plain_metadata
from churn_assets.assets.table import Materialization, table
from churn_assets.learning.fitting.origin import model_code
from churn_assets.learning.scoring import (
    deliver,
    keep_scores,
    predictions_code,
    score,
    scores_code,
)
from churn_assets.learning.workplace import Workplace
from churn_assets.serving.loader import rollout_of
from churn_assets.settings import Settings, project_address
from churn_assets.tables.lake import Committed, Lake
from churn_assets.tables.versions import code_version
from churn_assets.usecases.spec import UseCase

REGISTRY_POOL = "registry"
"""Runs that change what is registered follow one another."""


class TrainConfig(dg.Config):
    """How the model asset is run."""

    retrain: bool = Field(
        default=False, description="Train even where data, code and settings are unchanged."
    )


class ScoreConfig(dg.Config):
    """How the predictions asset is run."""

    output: str = Field(
        default="",
        description="Path or URI of a Delta table that is to hold the predictions as well.",
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

    def who(self, run_id: str) -> str:
        """Who decides: a person, if one is named, and the run."""
        return person_and_run(self.decided_by, run_id)


def learning_assets(case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """model, champion, predictions and scores of a use case."""
    contacts, most_rows = settings.contacts.get(case.name), settings.training.max_rows

    @table(
        case,
        settings,
        code=model_code(case, settings.training),
        deps=["features"],
        kinds=("scikitlearn", "mlflow"),
        pool=REGISTRY_POOL,
    )
    def model(
        context: dg.AssetExecutionContext,
        config: TrainConfig,
        lake: dg.ResourceParam[Lake],
        mlflow: Mlflow,
    ) -> Materialization:
        """A registered Challenger: version, run, metrics, threshold, data versions."""
        from churn_assets.learning.compiling.keep import keep_bundle
        from churn_assets.learning.fitting.challenger import train_challenger

        challenger = train_challenger(
            mlflow.workplace(case, lake),
            settings.training,
            mlflow.opener(context, case),
            retrain=config.retrain,
            gates=settings.experiment_gates,
            studies=settings.studies_folder,
            keep=keep_bundle,
            progress=context.log.info,
        )
        return Materialization(challenger.committed, _of_challenger(challenger, mlflow, case))

    @table(
        case,
        settings,
        code=code_version("churn_assets.learning.judging"),
        deps=["model"],
        kinds=("mlflow",),
        pool=REGISTRY_POOL,
    )
    def champion(
        context: dg.AssetExecutionContext,
        config: ChampionConfig,
        lake: dg.ResourceParam[Lake],
        mlflow: Mlflow,
    ) -> Materialization:
        """One promotion or rollback: version, who and when, every gate's evidence."""
        from churn_assets.learning.judging.promotion import promote, rollback
        from churn_assets.serving.traffic.changes import follow

        place, who = mlflow.workplace(case, lake), config.who(context.run.run_id)
        if config.rollback:
            committed, promotion = rollback(place, config.version, who)
        else:
            committed, promotion = promote(place, who, settings.gates, most_rows)
        # So that a ramp begins, or ends, where no server runs that would see to it.
        follow(place.tables, rollout_of(settings), who)
        return Materialization(committed, plain_metadata(vars(promotion)))

    @table(
        case,
        settings,
        code=predictions_code(case, contacts),
        deps=["features", "champion"],
        fresh_minutes=settings.freshness.predictions_minutes,
    )
    def predictions(
        config: ScoreConfig, lake: dg.ResourceParam[Lake], mlflow: Mlflow
    ) -> Materialization:
        """One customer scored: probability, decision, value of a contact, reasons."""
        place = mlflow.workplace(case, lake)
        committed = score(place, contacts=contacts)
        shown = _of_predictions(place, committed)
        if config.output:
            written = deliver(place.tables["predictions"], project_address(config.output))
            shown = {**shown, "output": written.uri}
        return Materialization(committed, shown)

    @table(case, settings, code=scores_code(), deps=["predictions"])
    def scores(lake: dg.ResourceParam[Lake]) -> Committed:
        """One customer at one scoring, with what was predicted then; append only."""
        return keep_scores(lake.of(case))

    return [model, champion, predictions, scores]


_FIRST = ("version", "recipe", "test_roc_auc", "test_f1", "test_pr_auc", "test_brier", "threshold")
"""What people look for first of a model."""


def _of_challenger(challenger: Any, mlflow: Mlflow, case: UseCase) -> dict[str, Any]:
    """What the UI shows of a Challenger beside its table."""
    row, run_id = plain_metadata(challenger.row), challenger.row["run_id"]
    return {
        **{name: row[name] for name in _FIRST},
        "trained_because": challenger.trained_because,
        **mlflow.links(case, run_id),
        "pictures": pictures(mlflow.registry(case).pictures(run_id)),
        "description": challenger.description,
        **row,
    }


def _of_predictions(place: Workplace, committed: Committed) -> dict[str, Any]:
    """What the UI shows of predictions beside their table."""
    from churn_assets.learning.prediction_plots import prediction_pictures, summary

    business = place.use_case.business
    found = summary(place.use_case, place.tables["predictions"], committed.version)
    return {
        **found.figures("" if business is None else business.currency),
        "pictures": pictures(prediction_pictures(place.use_case, found)),
        **committed.details,
    }

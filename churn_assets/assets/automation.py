"""Jobs and sensors: what runs together, and what runs by itself."""

from typing import Any

import dagster as dg

from churn_assets.assets.shared import key
from churn_assets.usecases.spec import UseCase

Job = Any
"""An asset job; Dagster gives its type no public name."""
PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def jobs(use_case: UseCase) -> list[Job]:
    """All of a use case's assets, and its predictions alone."""
    return [
        dg.define_asset_job(
            use_case.name,
            selection=dg.AssetSelection.groups(use_case.name),
            description="From the source to predictions.",
        ),
        dg.define_asset_job(
            f"{use_case.name}_score",
            selection=dg.AssetSelection.assets(key(use_case, "predictions")),
            description="Score every customer with the present Champion.",
        ),
    ]


def sensors(use_case: UseCase) -> list[dg.SensorDefinition]:
    """Rescoring after a promotion, and the automation conditions of the use case's assets."""
    return [
        rescore_sensor(use_case),
        dg.AutomationConditionSensorDefinition(
            f"{use_case.name}_automation",
            target=dg.AssetSelection.groups(use_case.name),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=10,
        ),
    ]


def rescore_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """Rescore once for each new Champion, unless the run that promoted it does."""

    @dg.sensor(
        name=f"{use_case.name}_rescore",
        job_name=f"{use_case.name}_score",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        description="Scores every customer when a new Champion materialises.",
    )
    def rescore(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instance = context.instance
        champion = _latest(instance, use_case, "champion")
        if champion is None:
            return dg.SkipReason("There is no Champion yet.")
        promotion, version = champion.metadata["promotion"], champion.metadata["version"]
        predictions = _latest(instance, use_case, "predictions")
        if predictions and predictions.metadata["model_version"] == version:
            return dg.SkipReason(f"Predictions are those of Champion {version.value}.")
        if _plans_predictions(instance, use_case, champion.run_id):
            return dg.SkipReason("The run that promoted the Champion scores with it.")
        return dg.RunRequest(run_key=f"{use_case.name} promotion {promotion.value}")

    return rescore


class _Latest:
    """The newest materialisation of a table: its run and metadata."""

    def __init__(self, event: dg.EventLogEntry) -> None:
        materialization = event.asset_materialization
        assert materialization is not None
        self.run_id = event.run_id
        self.metadata = materialization.metadata


def _latest(instance: dg.DagsterInstance, use_case: UseCase, table: str) -> _Latest | None:
    event = instance.get_latest_materialization_event(key(use_case, table))
    return None if event is None else _Latest(event)


def _plans_predictions(instance: dg.DagsterInstance, use_case: UseCase, run_id: str) -> bool:
    """Whether a run that is still under way is to materialise predictions."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in UNFINISHED:
        return False
    planned = instance.get_records_for_run(run_id, of_type=PLANNED).records
    wanted = key(use_case, "predictions")
    return any(record.event_log_entry.get_dagster_event().asset_key == wanted for record in planned)

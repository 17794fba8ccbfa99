"""Jobs and sensors: what runs together, and what runs by itself."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import key, refusals
from churn_assets.learning.judging.record import decided
from churn_assets.learning.scoring import behind
from churn_assets.serving.online_features.make import TABLE
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.usecases.spec import UseCase

Job = Any
"""An asset job; Dagster gives its type no public name."""
RETRY_REFRESH = "0 * * * *"
"""When a refresh that failed is tried again: each hour, as cron says it."""
SCORING = ("predictions", "scores", TABLE)
"""What is made once customers are to be scored: servers are told whom to contact as well."""
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def jobs(use_case: UseCase) -> list[Job]:
    """All of a use case's assets, what follows a Champion, and its champion alone."""
    return [
        dg.define_asset_job(
            use_case.name,
            selection=(
                dg.AssetSelection.groups(use_case.name)
                - dg.AssetSelection.assets(key(use_case, "traffic"))
            ),
            description="From the source to predictions and features by key.",
        ),
        dg.define_asset_job(
            f"{use_case.name}_score",
            selection=dg.AssetSelection.assets(*(key(use_case, table) for table in SCORING)),
            description="Score every customer with the present Champion, and keep the scores.",
        ),
        dg.define_asset_job(
            f"{use_case.name}_promote",
            selection=dg.AssetSelection.assets(key(use_case, "champion")),
            description="Make the Challenger the Champion, or an earlier Champion by config.",
        ),
        dg.define_asset_job(
            f"{use_case.name}_change_traffic",
            selection=dg.AssetSelection.assets(key(use_case, "traffic")),
            description="Change who answers: shadow, canary, A/B, ramp, or the Champion alone.",
        ),
    ]


def sensors(use_case: UseCase, settings: Settings) -> list[dg.SensorDefinition]:
    """Rescoring after a promotion, promotion after an approval, and automation conditions."""
    waits = settings.gates.approval != "none"
    return [
        rescore_sensor(use_case),
        *([approval_sensor(use_case)] if waits else []),
        dg.AutomationConditionSensorDefinition(
            f"{use_case.name}_automation",
            target=dg.AssetSelection.groups(use_case.name),
            description=(
                "Refreshes raw and predictions when their freshness window was missed, and "
                "carries what is new from raw to champion."
            ),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=10,
        ),
    ]


def rescore_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """Rescore once for each new Champion and for new features, unless a run under way may."""

    @dg.sensor(
        name=f"{use_case.name}_rescore",
        job_name=f"{use_case.name}_score",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        description=(
            "Scores every customer when there is a new Champion, or new features that the "
            "Champion stands for, whatever became of the Challenger."
        ),
    )
    def rescore(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.RunRequest | dg.SkipReason:
        tables = lake.of(use_case)
        with refusals():
            reason, champion = behind(tables), decided(tables["champion"])
        if champion is None:
            return dg.SkipReason("There is no Champion yet.")
        if reason is None:
            return dg.SkipReason("Predictions are the Champion's, of the newest features.")
        if _under_way(context.instance, use_case):
            return dg.SkipReason(f"Once the run that is under way has ended: {reason}.")
        features = tables["features"].require()
        # A table's version starts again with a new lake, a Champion's MLflow run is never the same.
        return dg.RunRequest(
            run_key=(
                f"{use_case.name} champion {champion.version} {champion.data_version[:16]} "
                f"features {features.version}"
            )
        )

    return rescore


def approval_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """Ask for a promotion once for each approval."""

    @dg.sensor(
        name=f"{use_case.name}_approval",
        job_name=f"{use_case.name}_promote",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Promotes the Challenger when a person has approved it.",
    )
    def approval(mlflow: Mlflow) -> dg.RunRequest | dg.SkipReason:
        from churn_assets.learning.registry import CHALLENGER, CHAMPION

        registry = mlflow.registry(use_case)
        with refusals():
            challenger, champion = registry.by_alias(CHALLENGER), registry.by_alias(CHAMPION)
        if challenger is None or challenger == champion:
            return dg.SkipReason("There is no Challenger that waits.")
        if challenger.tags.get("approval") != "approved":
            return dg.SkipReason(f"Challenger {challenger.version} is not approved.")
        digest = challenger.tags.get("approval_digest", "")
        return dg.RunRequest(run_key=f"{use_case.name} approval {challenger.run_id} {digest}")

    return approval


def _under_way(instance: dg.DagsterInstance, use_case: UseCase) -> bool:
    """Whether a run is under way that makes features or a Champion, or scores."""
    tables = ("features", "model", "champion", "predictions")
    records = instance.get_asset_records([key(use_case, table) for table in tables])
    last = {record.asset_entry.last_run_id for record in records} - {None}
    runs = (instance.get_run_by_id(str(run_id)) for run_id in last)
    return any(run is not None and run.status in UNFINISHED for run in runs)


def follow(ignored: Sequence[dg.AssetKey] = ()) -> dg.AutomationCondition[Any]:
    """Materialise when an input has, and all of them passed their blocking checks.

    Parameters
    ----------
    ignored : sequence of AssetKey
        Inputs that are not followed, since others come from them.
    """
    condition = dg.AutomationCondition
    followed = condition.eager() & condition.all_deps_blocking_checks_passed()
    return followed.ignore(dg.AssetSelection.assets(*ignored)) if ignored else followed


def refresh(*, begins: bool = False) -> dg.AutomationCondition[Any]:
    """Materialise once for each missed freshness window, as soon as all inputs have settled.

    So a refused Challenger, which ends its run, takes no refresh of predictions with it; and
    the rescoring sensor is first where there is a new Champion. A refresh that failed is
    tried again each hour.

    Parameters
    ----------
    begins : bool
        Whether to materialise also what never was, once, as soon as somebody looks; for a table
        that is made from no other, with which a new deployment begins.
    """
    condition = dg.AutomationCondition
    stale = condition.freshness_failed()
    if begins:
        # Nothing that was never materialised is ever stale.
        stale = stale | condition.missing()
    missed = stale.newly_true()
    again = stale & condition.execution_failed() & condition.cron_tick_passed(RETRY_REFRESH)
    due = (missed | again).since(condition.newly_requested() | condition.newly_updated())
    inputs_change = condition.any_deps_match(
        condition.in_progress() | condition.newly_updated() | condition.will_be_requested()
    )
    return due & ~condition.in_progress() & ~inputs_change


def window(minutes: float) -> dg.FreshnessPolicy:
    """Fresh for so long; the UI warns in the last tenth of it."""
    fail = timedelta(minutes=minutes)
    warn = fail * 0.9
    # Dagster takes no window under a minute.
    warned = warn if warn >= timedelta(minutes=1) else None
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warned)

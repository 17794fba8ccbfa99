"""The asset of who answers: changed by config, and by servers and the guard, which are reported."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
from pydantic import Field

from churn_assets.assets.requests import materialization
from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import key, person_and_run, plain_metadata, refusals
from churn_assets.assets.table import Materialization, table
from churn_assets.errors import TrafficError
from churn_assets.serving.answering.split import Kind
from churn_assets.serving.loader import rollout_of
from churn_assets.serving.traffic.record import TESTS, Change, history, state_of
from churn_assets.settings import Settings
from churn_assets.tables.lake import Committed, Lake
from churn_assets.usecases.spec import UseCase

LOOK_SECONDS = 10
"""Between two looks at the record."""


KINDS: tuple[Kind, ...] = ("champion", *TESTS)
"""What a person may ask for."""


class TrafficConfig(dg.Config):
    """How who answers is changed."""

    kind: str = Field(
        default="",
        description=f"What is to hold, one of {', '.join(KINDS)}: a Challenger that scores along, "
        "that answers a share of the customers or step by step more of them, or the Champion "
        "alone. Without it nothing is changed.",
    )
    version: int | None = Field(
        default=None,
        description="Which takes part; by default the Champion where it does not answer yet, or "
        "else the Challenger.",
    )
    share: float | None = Field(
        default=None, description="Of the customers, for canary and ab, between 0 and 1."
    )
    steps: list[float] | None = Field(
        default=None, description="Shares of a ramp, ascending; by default as the settings say."
    )
    step_seconds: float | None = Field(
        default=None, description="How long each lasts; by default as the settings say."
    )
    decided_by: str = Field(default="", description="Who decided; kept with the record.")
    why: str = Field(default="", description="The reason, which each change takes.")


def traffic_assets(case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """traffic of a use case."""

    @table(case, settings, code="", deps=["champion"], kinds=("mlflow",), is_asked_for=True)
    def traffic(
        context: dg.AssetExecutionContext,
        config: TrafficConfig,
        lake: dg.ResourceParam[Lake],
        mlflow: Mlflow,
    ) -> Materialization:
        """One change of who answers: shadow, canary, A/B, ramp, taken back; who, when and why."""
        from churn_assets.serving.traffic.changes import change
        from churn_assets.serving.traffic.wishes import Wish

        place = mlflow.workplace(case, lake)
        record = place.tables["traffic"]
        if not config.kind:
            # Materialised along with all else: what is on record stays.
            unchanged = replace(state_of(record), changed=False)
            return Materialization(unchanged, _shown(history(record, unchanged)))
        who = person_and_run(config.decided_by, context.run.run_id)
        kind = next((kind for kind in KINDS if kind == config.kind), None)
        if kind is None:
            raise TrafficError(
                f"traffic: '{config.kind}' is not what can be asked for. Give one of "
                f"{', '.join(KINDS)} as kind."
            )
        wish = Wish(kind, config.version, config.share, config.steps, config.step_seconds)
        changed = change(place, wish, rollout_of(settings), by=who, why=config.why)
        return Materialization(changed.committed, _shown(history(record, changed.committed)))

    return [traffic]


def traffic_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """Report each change that a server or the guard made as a materialisation."""

    @dg.sensor(
        name=f"{use_case.name}_traffic_changes",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=LOOK_SECONDS,
        description="Reports who answers where a server, the rollout or the guard changed it.",
    )
    def traffic_changes(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult | dg.SkipReason:
        traffic = lake.of(use_case)["traffic"]
        with refusals():
            committed = traffic.state()
            changes = [] if committed is None else history(traffic, committed)
        known = _reported(context.instance, use_case)
        new = [one for one in changes if one.change > known]
        if committed is None or not new:
            return dg.SkipReason("Nobody has changed who answers since.")
        return dg.SensorResult(
            asset_events=[
                materialization(use_case, _as_it_was(committed, changes[: one.change]))
                for one in new
            ]
        )

    return traffic_changes


def _reported(instance: dg.DagsterInstance, use_case: UseCase) -> int:
    """The newest change that Dagster knows of, by a run or by a report."""
    event = instance.get_latest_materialization_event(key(use_case, "traffic"))
    found = None if event is None else event.asset_materialization
    number: Any = None if found is None else found.metadata.get("change")
    return 0 if number is None else int(number.value)


def _as_it_was(committed: Committed, changes: Sequence[Change]) -> Materialization:
    """The table when the last of these changes was the newest."""
    return Materialization(replace(committed, rows=len(changes), changed=True), _shown(changes))


def _shown(changes: Sequence[Change]) -> dict[str, Any]:
    """What the UI shows of the newest change; nothing where there was none."""
    return plain_metadata(vars(changes[-1])) if changes else {}

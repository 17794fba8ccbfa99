"""The asset of what servers answered: they write the table, and the daemon reports it."""

import dagster as dg

from churn_assets.assets.shared import key, refusals
from churn_assets.assets.table import Materialization, materialize_result
from churn_assets.tables.lake import Committed, Lake
from churn_assets.usecases.spec import UseCase

LOOK_SECONDS = 30
"""Between two looks at the table."""
_DATA_VERSION = "dagster/data_version"


def requests_asset(use_case: UseCase) -> dg.AssetSpec:
    """Declare the table that servers write to; no run of Dagster makes it."""
    return dg.AssetSpec(
        key=key(use_case, "requests"),
        deps=[key(use_case, "champion")],
        description="One answer or refusal of a server, with what was asked and who answered.",
        group_name=use_case.name,
        kinds={"deltalake"},
    )


def requests_sensor(use_case: UseCase) -> dg.SensorDefinition:
    """Report each version of the table that is found as a materialisation."""

    @dg.sensor(
        name=f"{use_case.name}_requests",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=LOOK_SECONDS,
        description="Reports what servers have answered since it looked last.",
    )
    def requests(
        context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
    ) -> dg.SensorResult | dg.SkipReason:
        with refusals():
            committed = lake.of(use_case)["requests"].state()
        if committed is None:
            return dg.SkipReason("No server has answered yet.")
        if context.cursor == _place(committed):
            return dg.SkipReason("Nothing has been answered since.")
        found = Materialization(committed, committed.details)
        return dg.SensorResult(
            asset_events=[materialization(use_case, found)], cursor=_place(committed)
        )

    return requests


def _place(committed: Committed) -> str:
    """Tells a version from every other, of a table that was started over too."""
    return f"{committed.version} {committed.data_version}"


def materialization(use_case: UseCase, found: Materialization) -> dg.AssetMaterialization:
    """What Dagster keeps of a version that no run of Dagster made."""
    shown = materialize_result(use_case, found)
    return dg.AssetMaterialization(
        asset_key=key(use_case, found.committed.table),
        metadata=shown.metadata,
        tags={_DATA_VERSION: found.committed.data_version},
    )

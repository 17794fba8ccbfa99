"""The gates between model and champion, and whether predictions are whole."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import (
    key,
    pictures,
    plain_metadata,
    refusals,
)
from churn_assets.learning.judging.court import gate_specs
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.usecases.spec import UseCase

ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


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
                    metadata={**plain_metadata(verdict.numbers), **_picture(drawn.get(gate.name))},
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

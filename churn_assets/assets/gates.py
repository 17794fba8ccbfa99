"""The gates between model and champion, and whether predictions are whole."""

from collections.abc import Iterator, Mapping

import dagster as dg

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.shared import key, pictures, plain_metadata, refusals, refused
from churn_assets.errors import public_text, public_values
from churn_assets.learning.judging import court
from churn_assets.learning.judging.promotion import judge, refusal_of
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.scoring import customers_to_score
from churn_assets.settings import Settings
from churn_assets.tables.lake import Lake
from churn_assets.tables.volume import Volume
from churn_assets.usecases.spec import UseCase

NOT_ASKED = "not_asked"
"""Metadata of a gate's check that neither the settings nor the Challenger's experiment ask for."""
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def learning_checks(use_case: UseCase, settings: Settings) -> list[dg.AssetChecksDefinition]:
    """The gates, which block champion; and that predictions are whole.

    A Challenger's experiment may ask for gates that these settings do not, so that all are declared
    which may be asked.
    """
    asked = {
        gate.name
        for gate in court.gates_for(use_case, settings.gates)
        if gate.blocks(use_case, settings.gates)
    }

    @dg.multi_asset_check(
        name=f"{use_case.name}_gates",
        specs=[
            dg.AssetCheckSpec(
                gate.name,
                asset=key(use_case, "model"),
                blocking=gate.name in asked,
                description=gate.description,
            )
            for gate in court.gates_of(use_case)
        ],
        # Without this the UI lets nobody run a gate by itself.
        can_subset=True,
    )
    @refused
    def gates(
        context: dg.AssetCheckExecutionContext,
        lake: dg.ResourceParam[Lake],
        mlflow: Mlflow,
    ) -> Iterator[dg.AssetCheckResult]:
        place = mlflow.workplace(use_case, lake)
        with refusals():
            judgement = judge(place, settings.gates, settings.training.max_rows)
        drawings = court.pictures(judgement)
        if judgement.evidence:
            from churn_assets.learning.card.gather import keep_card

            with refusals():
                card = keep_card(place, judgement, drawings)
            # Shown with the model's metadata, above what was known before it was judged.
            shown = {"model_card": dg.MetadataValue.md(card)}
            observed = dg.AssetObservation(key(use_case, "model"), metadata=shown)
            context.op_execution_context.log_event(observed)
        requested = {check.name for check in context.selected_asset_check_keys}
        verdicts = {each.gate: each for each in judgement.verdicts if each.gate in requested}
        with refusals():
            refused = refusal_of(place, judgement)
        for gate in court.gates_of(use_case):
            if gate.name in verdicts:
                yield _result(verdicts[gate.name], drawings.get(gate.name), refused)
            elif gate.name in requested:
                yield dg.AssetCheckResult(
                    check_name=gate.name,
                    passed=True,
                    description=f"applies {gate.condition}",
                    metadata={NOT_ASKED: True},
                )
        if refused and any(each.blocking and not each.passed for each in verdicts.values()):
            # Before Dagster ends the step by a trace of its own.
            raise dg.Failure(public_text(refused), allow_retries=False)

    @dg.asset_check(
        asset=key(use_case, "predictions"),
        name="every_customer_scored",
        description="One prediction for each customer in features, and few customers gone.",
    )
    @refused
    def every_customer_scored(lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        tables = lake.of(use_case)
        with refusals():
            scored, customers = tables["predictions"].require(), tables["features"].require()
        whole = customers_to_score(customers)
        numbers = {"scored": scored.rows, "customers": whole}
        losses: Mapping[str, str] = {}
        if "scored_before" in scored.details:
            before, gone = scored.details["scored_before"], scored.details["customers_gone"]
            numbers |= {"scored_before": before, "customers_gone": gone}
            change = Volume(scored.rows, before, before, before - gone)
            losses = change.losses(settings.source(use_case.name).volume)
        summary = [f"{scored.rows:,} of {whole:,} customers", *losses.values()]
        return dg.AssetCheckResult(
            passed=scored.rows == whole and not losses,
            description="; ".join(summary),
            metadata=numbers,
        )

    return [gates, every_customer_scored]


def _result(verdict: Verdict, drawing: bytes | None, refused: str | None) -> dg.AssetCheckResult:
    """What Dagster shows of a verdict; where it refuses, what stands and what to do."""
    is_why = verdict.blocking and not verdict.passed
    refusal = {"refusal": public_text(refused)} if refused and is_why else {}
    picture = {} if drawing is None else {"picture": pictures({"picture": drawing})}
    return dg.AssetCheckResult(
        check_name=verdict.gate,
        passed=verdict.passed,
        severity=ERROR if verdict.blocking else WARN,
        description=public_text(verdict.reason),
        metadata={**refusal, **picture, **public_values(plain_metadata(verdict.numbers))},
    )

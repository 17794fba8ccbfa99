"""Ask every gate that applies; closed where anything is amiss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from churn_assets.errors import ChurnError
from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.judging.gates import (
    approval,
    better_than_chance,
    calibration,
    f1_gate,
    first_champion,
    floors,
    governance,
    non_inferiority,
    slices,
    stress,
    superiority,
    value,
)
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    pass


DESCRIPTIONS = {
    "governance": "Described, signed, with an example and lineage; it loads and scores real rows.",
    "better_than_chance": "Lower 95 % bounds of ROC AUC and F1 beat guessing on test rows.",
    "f1_gate": "F1 at least the Champion's on the same test rows, each at its own threshold.",
    "first_champion": "What a Challenger must reach where there is no Champion to compare with.",
    "non_inferiority": "Lower 95 % bounds: not worse than the Champion by ROC AUC and Brier score.",
    "superiority": "Lower 95 % bound: a better Brier score than the Champion's.",
    "value": "Simulated value at least the Champion's, each contacting whom it says it pays to.",
    "floors": "Each metric that the settings name reaches its floor on test rows.",
    "calibration": "Scores are as high as the rates that come true, as far as chance tells.",
    "slices": "In no group of customers is F1 below the Champion's, beyond tolerance and chance.",
    "stress": "Scores hostile but valid rows, and keeps to what the use case calls monotone.",
    "approval": "A person approved this version on this evidence.",
}


class GateSpec(NamedTuple):
    """A gate that a use case's Challengers are asked at."""

    name: str
    description: str
    blocking: bool


Judge = Callable[[Evidence], Verdict]


def gates(use_case: UseCase, settings: GateSettings) -> Mapping[str, Judge]:
    """The gates that apply, in the order in which they speak."""
    case = use_case.business
    asked: dict[str, Judge] = {
        "governance": governance,
        "better_than_chance": better_than_chance,
        "f1_gate": f1_gate,
        "first_champion": partial(first_champion, least_auc=settings.first_auc),
        "non_inferiority": partial(
            non_inferiority, auc_margin=settings.auc_margin, brier_margin=settings.brier_margin
        ),
    }
    if settings.rule == "improve":
        asked["superiority"] = superiority
    if case is not None:
        asked["value"] = partial(value, tolerance=settings.value_tolerance, currency=case.currency)
    if settings.floors:
        asked["floors"] = partial(floors, least=settings.floors)
    asked["calibration"] = partial(calibration, tolerance=use_case.calibration_error)
    if use_case.slices:
        asked["slices"] = partial(
            slices, least_rows=settings.slice_rows, tolerance=settings.slice_tolerance
        )
    asked["stress"] = stress
    if settings.approval == "required":
        asked["approval"] = approval
    return asked


def gate_specs(use_case: UseCase, settings: GateSettings) -> list[GateSpec]:
    """Name, description and whether it blocks, of each gate that applies."""
    return [
        GateSpec(gate, DESCRIPTIONS[gate], _blocks(gate, settings))
        for gate in gates(use_case, settings)
    ]


def decide(
    gather: Callable[[], Evidence], use_case: UseCase, settings: GateSettings
) -> tuple[list[Verdict], Evidence | None]:
    """What every gate says; evidence that cannot be had or read refuses.

    Parameters
    ----------
    gather : callable
        Gives the evidence, or raises where it cannot be had.
    use_case : UseCase
        Whose Challenger it is.
    settings : GateSettings
        What it must reach.

    Returns
    -------
    list of Verdict
        One of each gate.
    Evidence or None
        What they decided by, where it could be had.
    """
    try:
        evidence = gather()
    except Exception as error:
        return closed(error, use_case, settings), None
    said = [_verdict(gate, judge, evidence) for gate, judge in gates(use_case, settings).items()]
    return [
        replace(verdict, blocking=_blocks(verdict.gate, settings)) for verdict in said
    ], evidence


def closed(error: Exception, use_case: UseCase, settings: GateSettings) -> list[Verdict]:
    """Every gate refuses, because the evidence cannot be had."""
    reason = _unreadable(error)
    return [
        Verdict(gate.name, False, reason, blocking=gate.blocking)
        for gate in gate_specs(use_case, settings)
    ]


def refusal(verdicts: list[Verdict], use_case: UseCase, settings: GateSettings) -> str | None:
    """Why the Challenger is refused, in one line; None where every blocking gate lets it pass."""
    if {verdict.gate for verdict in verdicts} != set(gates(use_case, settings)):
        return "not every gate was decided"
    failed: dict[str, list[str]] = {}
    for verdict in verdicts:
        if not verdict.passed and verdict.blocking:
            failed.setdefault(verdict.reason, []).append(verdict.gate)
    said = [f"{', '.join(names)}: {reason}" for reason, names in failed.items()]
    return "; ".join(said) or None


def _blocks(gate: str, settings: GateSettings) -> bool:
    return gate != "value" or settings.value == "block"


def _verdict(gate: str, judge: Judge, evidence: Evidence) -> Verdict:
    """What a gate says; it refuses where it cannot judge."""
    try:
        return judge(evidence)
    except Exception as error:
        return Verdict(gate, False, _unreadable(error))


def _unreadable(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if isinstance(error, ChurnError) else f"unreadable: {type(error).__name__}: {said}"

"""Ask every gate that applies; closed where anything is amiss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from churn_assets.errors import ChurnError, DamageError, first_line
from churn_assets.learning.judging.approvals import is_rejected, overridden
from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.judging.gate import Gate
from churn_assets.learning.judging.gates import GATES
from churn_assets.learning.judging.judges import proves_better
from churn_assets.learning.judging.requirements import require_finite
from churn_assets.learning.judging.rules import GateSettings, Overridable
from churn_assets.learning.judging.verdict import Finding, Verdict
from churn_assets.usecases.spec import UseCase

LONGEST_REASON = 1000
"""Characters of an error; enough for what a reader is told to do about it."""
_F1 = "f1_gate"
_TRAIN = "Train another, on other records or by other settings"
_EVERY_GATE = GateSettings(rule="improve", floors={"f1": 0.0}, approval="required")
"""Settings by which every gate applies that a use case gives reason for."""


@dataclass(frozen=True)
class Judgement:
    """What the gates say of a Challenger.

    Parameters
    ----------
    verdicts : list of Verdict
        One of each gate.
    settings : GateSettings
        What it must reach, those of its experiment included.
    evidence : Evidence or None
        What they decided by; None where nothing was decided now, or nothing could be had.
    """

    verdicts: list[Verdict]
    settings: GateSettings
    evidence: Evidence | None = None


def gates_for(use_case: UseCase, settings: GateSettings) -> list[Gate]:
    """The gates that a use case's Challengers must pass, in the order in which they speak."""
    return [gate for gate in GATES if gate.applies(use_case, settings)]


def gates_of(use_case: UseCase) -> list[Gate]:
    """The gates that some Challenger of a use case may have to pass, whatever the settings are."""
    return gates_for(use_case, _EVERY_GATE)


def decide(gather: Callable[[], Evidence], use_case: UseCase, settings: GateSettings) -> Judgement:
    """What every gate says; evidence that cannot be had or read refuses.

    Parameters
    ----------
    gather : callable
        Gives the evidence, or raises where it cannot be had.
    use_case : UseCase
        Whose Challenger it is.
    settings : GateSettings
        What it must reach.
    """
    try:
        evidence = gather()
    except Exception as error:
        return refuse_all(error, use_case, settings)
    verdicts = [
        _verdict(gate, evidence, use_case, settings) for gate in gates_for(use_case, settings)
    ]
    verdicts = _with_proof(verdicts, evidence)
    decided = [overridden(each, evidence, settings) for each in verdicts]
    return Judgement(decided, settings, evidence)


def refuse_all(error: Exception, use_case: UseCase, settings: GateSettings) -> Judgement:
    """Every gate refuses, because the evidence cannot be had.

    Raises
    ------
    DamageError
        Where a file is damaged, which is no verdict on a Challenger.
    """
    if isinstance(error, DamageError):
        raise error
    reason = _reason(error)
    gates = gates_for(use_case, settings)
    return Judgement(
        [Verdict(g.name, False, reason, blocking=g.blocks(use_case, settings)) for g in gates],
        settings,
    )


def refusal(verdicts: list[Verdict], use_case: UseCase, settings: GateSettings) -> str | None:
    """Why the Challenger is refused, in one line; None where every blocking gate lets it pass."""
    expected = {gate.name for gate in gates_for(use_case, settings)}
    if {verdict.gate for verdict in verdicts} != expected:
        return "not every gate was decided"
    gates: dict[str, list[str]] = {}
    for verdict in verdicts:
        if not verdict.passed and verdict.blocking:
            gates.setdefault(verdict.reason, []).append(verdict.gate)
    # Of many gates that say the same, it is said once.
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in gates.items()]
    return "; ".join(reasons) or None


def advice(judgement: Judgement, use_case: UseCase) -> str:
    """What a person can do about a refusal."""
    if judgement.evidence is None:
        return "Mend that, then run again"
    refusing = {each.gate for each in judgement.verdicts if each.blocking and not each.passed}
    approve = f"churn approve --use-case {use_case.name}"
    if is_rejected(judgement.evidence.challenger.tags):
        return f"Train another, or take that back with `{approve}`"
    if refusing == {"approval"}:
        return f"Look at it, then use `{approve}` or `churn reject --use-case {use_case.name}`"
    if not refusing <= set(get_args(Overridable)) - {"better_than_chance"}:
        # There is nothing that a person could know better.
        return _TRAIN
    unnamed = sorted(refusing - set(judgement.settings.override))
    despite = " ".join(f"--despite {gate}" for gate in sorted(refusing))
    name = f"name {', '.join(unnamed)} in gates.override and " if unnamed else ""
    return f"{_TRAIN}; or {name}decide against it with `{approve} {despite}`"


def pictures(judgement: Judgement) -> dict[str, bytes | None]:
    """SVG of what each gate decided by; None where a picture would say nothing.

    Empty where nothing was decided now.
    """
    evidence = judgement.evidence
    if evidence is None:
        return {}
    draw = {gate.name: gate.picture for gate in GATES if gate.picture is not None}
    return {
        verdict.gate: draw[verdict.gate](verdict, evidence) if verdict.gate in draw else None
        for verdict in judgement.verdicts
    }


def _verdict(gate: Gate, evidence: Evidence, use_case: UseCase, settings: GateSettings) -> Verdict:
    """What a gate says; it refuses where it cannot judge."""
    try:
        passed, reason, numbers = gate.judge(evidence, use_case, settings)
        require_finite(numbers)
        if gate.counts_rows:
            numbers = {**numbers, **_rows(evidence)}
    except Exception as error:
        passed, reason, numbers = Finding(False, _reason(error))
    return Verdict(gate.name, bool(passed), reason, numbers, gate.blocks(use_case, settings))


def _with_proof(verdicts: list[Verdict], evidence: Evidence) -> list[Verdict]:
    """The verdicts, of which F1's says where it alone refuses what the bounds show to be better."""
    refusing = [each for each in verdicts if not each.passed and each.blocking]
    is_alone = [each.gate for each in refusing] == [_F1] and "champion_f1" in refusing[0].numbers
    better = proves_better(evidence) if is_alone else ""
    if not better:
        return verdicts
    said = f"; it alone refuses, though the lower 95 % bounds are better in {better}"
    return [
        replace(each, reason=each.reason + said) if each.gate == _F1 else each for each in verdicts
    ]


def _rows(evidence: Evidence) -> Mapping[str, Any]:
    """How many test rows were judged by, and of how many they are a sample."""
    rows = {"rows": len(evidence.labels)}
    return {**rows, "sampled_from": evidence.known} if evidence.is_sample else rows


def _reason(error: Exception) -> str:
    """Why nothing could be decided, in one line."""
    line = first_line(error, LONGEST_REASON)
    return line if isinstance(error, ChurnError) else f"unreadable: {type(error).__name__}: {line}"

"""What a person decided of a Challenger, which the registry's tags keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from churn_assets.errors import GateError
from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.verdict import Finding, Verdict
from churn_assets.usecases.spec import UseCase

OVERRIDDEN = "approved_despite_it"
"""Number of a verdict that a person decided against: who, when, why and on what evidence."""


def approval(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """A person approved this version, on this very evidence, where the settings ask for one."""
    if settings.approval == "incomparable" and not evidence.incomparable:
        return Finding(True, "nobody is asked where the Champion is compared with")
    return approved(evidence)


def approved(evidence: Evidence) -> Finding:
    """A person approved this version, on this very evidence."""
    tags = evidence.challenger.tags
    decision, person = tags.get("approval", ""), tags.get("approval_by", "").strip()
    same = tags.get("approval_digest", "") == evidence.digest
    if decision not in ("approved", "rejected"):
        reason = f"version {evidence.challenger.version} waits for a person"
    elif not same:
        reason = f"{decision_of(tags)}, but the evidence changed since"
    elif decision == "approved" and not person:
        reason = "approved, but tag approval_by does not say by whom"
    else:
        reason = decision_of(tags)
    numbers = {
        "evidence": evidence.digest,
        **{name: text for name, text in tags.items() if name.startswith("approval")},
    }
    return Finding(decision == "approved" and bool(person) and same, reason, numbers)


def is_rejected(tags: Mapping[str, str]) -> bool:
    """Whether a person rejected the version; what evidence there is later changes nothing."""
    return tags.get("approval") == "rejected"


def decision_of(tags: Mapping[str, str]) -> str:
    """What a person decided, who, when and why."""
    person = tags.get("approval_by", "").strip() or "nobody"
    note = tags.get("approval_note", "").strip()
    when = tags.get("approval_at", "") or "no known time"
    return f"{tags['approval']} by {person} at {when}" + (f" ({note})" if note else "")


def tags_of(
    evidence: Evidence, *, approved: bool, by: str, note: str, despite: Iterable[str]
) -> dict[str, str]:
    """The registry's tags of what a person decides on this evidence."""
    return {
        "approval": "approved" if approved else "rejected",
        "approval_by": by,
        "approval_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "approval_note": note,
        "approval_despite": ",".join(despite),
        "approval_digest": evidence.digest,
    }


def require_overridable(
    despite: Iterable[str], verdicts: Iterable[Verdict], settings: GateSettings
) -> None:
    """Refuse to decide against a gate that the settings do not name, or that lets pass.

    Raises
    ------
    GateError
        Where a person may not, or need not, decide against it.
    """
    passed = {verdict.gate: verdict.passed for verdict in verdicts}
    for gate in despite:
        if gate not in settings.override:
            named = ", ".join(settings.override) or "none"
            raise GateError(
                f"Nobody may approve despite {gate}: gates.override names {named}. Name it there, "
                "if it is a gate that a person may decide against."
            )
        if passed.get(gate, True):
            raise GateError(
                f"{gate} does not refuse the Challenger, so there is nothing to approve despite it."
            )


def overridden(verdict: Verdict, evidence: Evidence, settings: GateSettings) -> Verdict:
    """A verdict as it counts where a person decided against it, by name, on this evidence."""
    if verdict.passed or not verdict.blocking or verdict.gate not in settings.override:
        return verdict
    tags = evidence.challenger.tags
    named = tags.get("approval_despite", "").split(",")
    if verdict.gate not in named or not approved(evidence).passed:
        return verdict
    decision = {
        "by": tags["approval_by"].strip(),
        "at": tags.get("approval_at", ""),
        "note": tags.get("approval_note", ""),
        "evidence": evidence.digest,
    }
    return replace(
        verdict,
        reason=f"{verdict.reason}; despite it {decision_of(tags)}",
        numbers={**verdict.numbers, OVERRIDDEN: decision},
        blocking=False,
    )

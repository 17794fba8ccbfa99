"""How a Challenger is judged, becomes Champion, and an earlier one becomes it again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from churn_assets.errors import GateError, InputsError, refusal
from churn_assets.learning.inputs import as_trained, rows_as_trained
from churn_assets.learning.judging import court
from churn_assets.learning.judging.approvals import OVERRIDDEN, require_overridable, tags_of
from churn_assets.learning.judging.court import Judgement, decide, gates_for, refuse_all
from churn_assets.learning.judging.evidence import Evidence, gather
from churn_assets.learning.judging.looks import keep_look
from churn_assets.learning.judging.record import (
    NOBODY,
    Promotion,
    align,
    commit,
    decided,
    history,
    is_champion,
    next_record,
    state_of,
)
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.recipe import MAX_ROWS
from churn_assets.learning.registry import CHALLENGER, EXPERIMENT_GATES, Version
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.health import damage_named
from churn_assets.tables.lake import Committed, Table

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STANDS = "The Champion and its predictions stand"
NOT_ASKED = "not asked of a Champion that was promoted before it was there"
"""What a gate says of a Champion that stands, on whose record it is not."""


def judge(
    place: Workplace, settings: GateSettings = DEFAULT_GATES, most_rows: int = MAX_ROWS
) -> Judgement:
    """What every gate says of the present Challenger.

    Where it is the Champion already, was rolled back from, or no outcome is known to judge it
    by, that is what they said when the Champion was promoted.
    """
    try:
        with damage_named(lambda: place.tables):
            records = history(place.tables["champion"])
            reason = _why_champion_stands(place, records)
        if reason:
            verdicts = list(_recorded_verdicts(place, records, settings, reason))
            return Judgement(verdicts, settings)
    except Exception as error:
        return refuse_all(error, place.use_case, settings)
    return _judge_now(place, records, settings, most_rows)


def refusal_of(place: Workplace, judgement: Judgement) -> str | None:
    """Why the Challenger is refused, what stands and what to do; None where it is not refused."""
    use_case = place.use_case
    reason = court.refusal(judgement.verdicts, use_case, judgement.settings)
    if reason is None:
        return None
    stands = STANDS if decided(place.tables["champion"]) else NOBODY
    return refusal("Challenger refused", reason, stands, court.advice(judgement, use_case))


def promote(
    place: Workplace,
    decided_by: str,
    settings: GateSettings = DEFAULT_GATES,
    most_rows: int = MAX_ROWS,
) -> tuple[Committed, Promotion]:
    """Make the Challenger the Champion, if every gate lets it pass.

    The commit to the champion table decides: it fails where another promotion came since this
    one read the table. The alias follows it.

    Parameters
    ----------
    place : Workplace
        Whose Challenger it is, and where.
    decided_by : str
        Kept with the promotion.
    settings : GateSettings
        What it must reach, beside what the experiment asks for that trained it.
    most_rows : int
        Greatest number of test rows to judge by.

    Returns
    -------
    Committed
        The champion table, unchanged where the Challenger is the Champion already.
    Promotion
        The one that holds now.

    Raises
    ------
    GateError
        Where a gate refuses the Challenger, or another promotion was first.
    """
    champion, registry = place.tables["champion"], place.registry
    state = state_of(champion)
    align(champion, registry)
    records = history(champion, state)
    if _why_champion_stands(place, records):
        return champion.require(), records[-1]
    judgement = _judge_now(place, records, settings, most_rows)
    refused = refusal_of(place, judgement)
    if refused or judgement.evidence is None:
        raise GateError(refused or "Challenger refused: nothing was decided. Run again.")
    challenger = registry.by_alias(CHALLENGER)
    if challenger is None or challenger.version != judgement.evidence.challenger.version:
        raise GateError(
            "Challenger refused: a newer one was registered while it was judged. Run again."
        )
    promotion = next_record(
        records,
        action="promotion",
        model_name=registry.model_name,
        version=challenger.version,
        run_id=challenger.run_id,
        threshold=challenger.threshold,
        decided_by=decided_by,
        gates=json.dumps([asdict(verdict) for verdict in judgement.verdicts], default=str),
        # Of the files whose scores were judged.
        model_digest=judgement.evidence.challenger.model_digest,
        bundle_digest=challenger.bundle_digest,
    )
    return commit(place, state, promotion)


def rollback(place: Workplace, version: int | None, decided_by: str) -> tuple[Committed, Promotion]:
    """Make an earlier Champion the Champion again; no gate is asked.

    The version that it is rolled back from is not promoted again.

    Parameters
    ----------
    place : Workplace
        Whose Champion it is, and where.
    version : int, optional
        Which earlier Champion; by default the one before the present.
    decided_by : str
        Kept with the rollback.

    Raises
    ------
    GateError
        Where that version was never Champion, or another promotion was first.
    RegistryError
        Where the registry does not hold it any more.
    InputsError
        Where it could score nobody today.
    """
    champion, registry = place.tables["champion"], place.registry
    state = champion.require()
    align(champion, registry)
    records = history(champion, state)
    present = records[-1] if records else None
    earlier = [r for r in records if present and r.version != present.version]
    versions = ", ".join(str(v) for v in sorted({r.version for r in earlier})) or "none"
    if present is None or not earlier:
        raise GateError("There is no earlier Champion to roll back to. The Champion stands.")
    if version is None and present.action == "rollback":
        raise GateError(
            f"Champion {present.version} is itself the outcome of a rollback: name the version "
            f"to roll back to. Earlier Champions: {versions}."
        )
    version = present.previous_version if version is None else version
    if version == present.version:
        return state, present
    target = next((r for r in reversed(earlier) if r.version == version), None)
    if target is None:
        raise GateError(
            f"Version {version} was never Champion. Earlier Champions: {versions}. The Champion "
            "stands."
        )
    # What cannot be loaded must not become Champion.
    registered = registry.by_number(target.version, target.run_id)
    files = registry.stored(target.version, target.model_digest)
    _require_scoring(place, registry.restore(target.version, files), target.version)
    restored = next_record(
        records,
        action="rollback",
        model_name=target.model_name,
        version=target.version,
        run_id=target.run_id,
        threshold=target.threshold,
        decided_by=decided_by,
        gates=target.gates,
        model_digest=files.digest,
        bundle_digest=target.bundle_digest or registered.bundle_digest,
    )
    return commit(place, state, restored)


def answer(
    place: Workplace,
    settings: GateSettings,
    *,
    approved: bool,
    by: str,
    note: str = "",
    despite: Sequence[str] = (),
    most_rows: int = MAX_ROWS,
) -> Version:
    """Approve or reject the Challenger on the evidence as it is now, in the registry's tags.

    Parameters
    ----------
    place : Workplace
        Whose Challenger it is, and where.
    settings : GateSettings
        What it must reach.
    approved : bool
        Or rejected.
    by, note : str
        Who decides, and why.
    despite : sequence of str
        Gates that refuse it and that the person decides against.
    most_rows : int
        Greatest number of test rows to judge by.

    Raises
    ------
    GateError
        Where there is nothing to decide, the evidence cannot be had, or a gate cannot be decided
        against.
    """
    judgement = judge(place, settings, most_rows)
    challenger = place.registry.by_alias(CHALLENGER)
    if judgement.evidence is None or challenger is None:
        raise GateError(
            f"There is nothing to {'approve' if approved else 'reject'}: "
            f"{judgement.verdicts[0].reason}."
        )
    require_overridable(despite, judgement.verdicts, judgement.settings)
    tags = tags_of(judgement.evidence, approved=approved, by=by, note=note, despite=despite)
    place.registry.tag(challenger.version, tags)
    return challenger


def _judge_now(
    place: Workplace, records: list[Promotion], settings: GateSettings, most_rows: int
) -> Judgement:
    """What every gate says of the present Challenger beside the Champion on record."""
    newest = records[-1] if records else None
    try:
        in_force = settings.and_of(_of_experiment(place))
    except Exception as error:
        return refuse_all(error, place.use_case, settings)

    def evidence() -> Evidence:
        with damage_named(lambda: place.tables):
            return gather(place, newest, most_rows, in_force)

    judgement = decide(evidence, place.use_case, in_force)
    if judgement.evidence is not None:
        keep_look(place.registry, judgement.evidence)
    return judgement


def _of_experiment(place: Workplace) -> Mapping[str, Any]:
    """The gates of the experiment that trained the Challenger, which hold beside the settings."""
    challenger = place.registry.by_alias(CHALLENGER)
    recorded = "" if challenger is None else challenger.tags.get(EXPERIMENT_GATES, "")
    gates: dict[str, Any] = json.loads(recorded or "{}")
    return gates


def _require_scoring(place: Workplace, model: Pipeline, version: int) -> None:
    """Refuse a version that lacks what it was trained on."""
    features = place.tables["features"].state()
    if features is None:
        return
    try:
        trained = as_trained(place.use_case, model)
        rows_as_trained(place.use_case, trained, place.tables, features)
    except InputsError as error:
        raise InputsError(
            f"Version {version} {error}, so it could score nobody. The Champion stands. Let "
            "`features` give it again, or name another version."
        ) from None


def _recorded_verdicts(
    place: Workplace, records: list[Promotion], settings: GateSettings, reason: str
) -> Iterator[Verdict]:
    """What the gates said when the Champion was last promoted, and why it stands."""
    champion = records[-1].version
    promotions = [r for r in records if r.version == champion and r.action == "promotion"]
    verdicts = {verdict["gate"]: verdict for verdict in json.loads(promotions[-1].gates)}
    for gate in gates_for(place.use_case, settings):
        if gate.name in verdicts:
            verdict = Verdict(**verdicts[gate.name])
            verdict = replace(verdict, reason=f"{reason}: {verdict.reason}")
        else:
            verdict = Verdict(gate.name, True, NOT_ASKED)
        blocks = gate.blocks(place.use_case, settings) and OVERRIDDEN not in verdict.numbers
        yield replace(verdict, blocking=blocks)


def _why_champion_stands(place: Workplace, records: list[Promotion]) -> str | None:
    """Why there is nothing to decide; None where the Challenger must be judged."""
    if not records:
        return None
    champion, challenger = records[-1], place.registry.by_alias(CHALLENGER)
    if is_champion(challenger, champion):
        return f"Champion since {champion.minute}"
    for record in reversed(records):
        if record.action != "rollback" or challenger is None:
            continue
        if challenger.version == record.previous_version:
            return (
                f"Challenger {challenger.version} was rolled back from on {record.minute}, so "
                f"Champion {champion.version} stands until another is trained"
            )
    if _has_labels(place.tables["features"]):
        return None
    return f"no outcome is known to judge by, so Champion {champion.version} stands"


def _has_labels(features: Table) -> bool:
    """Whether the outcome of any customer is known."""
    import narwhals.stable.v2 as nw

    labelled = features.scan(features.require().version).filter(~nw.col("label").is_null())
    return len(features.engine.collect(labelled.select("label").head(1))) > 0

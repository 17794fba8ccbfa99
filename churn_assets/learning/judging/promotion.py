"""Who is Champion: the record of promotions, and the alias that follows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from churn_assets.errors import GateError
from churn_assets.learning.judging.court import closed, decide, refusal
from churn_assets.learning.judging.evidence import Evidence, gather
from churn_assets.learning.judging.record import (
    Promotion,
    align,
    commit,
    following,
    history,
    holds,
    moment,
    started,
)
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.recipe import MAX_ROWS
from churn_assets.learning.registry import CHALLENGER, Registry, Version
from churn_assets.tables.lake import Committed, Table
from churn_assets.usecases.spec import UseCase


@dataclass(frozen=True)
class Judgement:
    """What the gates say of the present Challenger.

    Parameters
    ----------
    verdicts : list of Verdict
        One of each gate.
    evidence : Evidence or None
        What they decided by; None where nothing was decided now, or nothing could be had.
    """

    verdicts: list[Verdict]
    evidence: Evidence | None = None


def judge(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    settings: GateSettings = DEFAULT_GATES,
    most_rows: int = MAX_ROWS,
) -> Judgement:
    """What every gate says of the present Challenger.

    Where it is the Champion already, was rolled back from, or no outcome is known to judge it
    by, that is what they said when the Champion was promoted.
    """
    try:
        records = history(tables["champion"])
        stands = _stands(records, tables["features"], registry)
        if stands:
            return Judgement(recorded(records, stands))
    except Exception as error:
        return Judgement(closed(error, use_case, settings))

    def seen() -> Evidence:
        record = records[-1] if records else None
        return gather(use_case, tables, registry, record, most_rows, settings)

    return Judgement(*decide(seen, use_case, settings))


def recorded(records: list[Promotion], stands: str) -> list[Verdict]:
    """What the gates said when the Champion was last promoted, and why it stands."""
    champion = records[-1].version
    promoted = [r for r in records if r.version == champion and r.action == "promotion"]
    said = [Verdict(**verdict) for verdict in json.loads(promoted[-1].gates)]
    return [replace(verdict, reason=f"{stands}: {verdict.reason}") for verdict in said]


def promote(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    decided_by: str,
    settings: GateSettings = DEFAULT_GATES,
    most_rows: int = MAX_ROWS,
) -> tuple[Committed, Promotion]:
    """Make the Challenger the Champion, if every gate lets it pass.

    The commit to the champion table decides: it holds only where no other promotion came
    since this one looked. The alias follows it.

    Parameters
    ----------
    use_case, tables, registry
        Whose Challenger it is, and where.
    decided_by : str
        Kept with the promotion.
    settings : GateSettings
        What it must reach.
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
    champion = tables["champion"]
    state = started(champion)
    align(champion, registry)
    records = history(champion, state)
    if _stands(records, tables["features"], registry):
        return champion.require(), records[-1]

    def seen() -> Evidence:
        record = records[-1] if records else None
        return gather(use_case, tables, registry, record, most_rows, settings)

    verdicts, evidence = decide(seen, use_case, settings)
    refused = refusal(verdicts, use_case, settings)
    if refused or evidence is None:
        raise GateError(f"Challenger refused: {refused}. The Champion and its predictions stand.")
    challenger = registry.by_alias(CHALLENGER)
    if challenger is None or challenger.version != evidence.challenger.version:
        raise GateError(
            "Challenger refused: a newer one was registered while it was judged. Run again."
        )
    promotion = following(
        records,
        action="promotion",
        model_name=registry.model_name,
        version=challenger.version,
        run_id=challenger.run_id,
        threshold=challenger.threshold,
        decided_by=decided_by,
        gates=json.dumps([asdict(verdict) for verdict in verdicts], default=str),
    )
    return commit(tables, registry, state, promotion)


def rollback(
    tables: Mapping[str, Table], registry: Registry, version: int | None, decided_by: str
) -> tuple[Committed, Promotion]:
    """Make an earlier Champion the Champion again; no gate is asked.

    The version that it is rolled back from is not promoted again.

    Parameters
    ----------
    tables, registry
        Where the Champion is on record, and where the models are.
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
    """
    champion = tables["champion"]
    state = champion.require()
    align(champion, registry)
    records = history(champion, state)
    present = records[-1] if records else None
    earlier = [r for r in records if present and r.version != present.version]
    known = ", ".join(str(v) for v in sorted({r.version for r in earlier})) or "none"
    if present is None or not earlier:
        raise GateError("There is no earlier Champion to roll back to. The Champion stands.")
    if version is None and present.action == "rollback":
        raise GateError(
            f"Champion {present.version} is itself the outcome of a rollback: name the version "
            f"to roll back to. Earlier Champions: {known}."
        )
    version = present.previous_version if version is None else version
    if version == present.version:
        return state, present
    then = next((r for r in reversed(earlier) if r.version == version), None)
    if then is None:
        raise GateError(
            f"Version {version} was never Champion. Earlier Champions: {known}. The Champion "
            "stands."
        )
    # What cannot be loaded must not become Champion.
    registry.by_number(then.version, then.run_id)
    registry.load(then.version)
    restored = following(
        records,
        action="rollback",
        model_name=then.model_name,
        version=then.version,
        run_id=then.run_id,
        threshold=then.threshold,
        decided_by=decided_by,
        gates=then.gates,
    )
    return commit(tables, registry, state, restored)


def answer(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    settings: GateSettings,
    *,
    approved: bool,
    by: str,
    note: str = "",
    most_rows: int = MAX_ROWS,
) -> Version:
    """Approve or reject the Challenger on the evidence as it is now, in the registry's tags.

    Raises
    ------
    GateError
        Where there is nothing to decide, or the evidence cannot be had.
    """
    judgement = judge(use_case, tables, registry, settings, most_rows)
    challenger = registry.by_alias(CHALLENGER)
    if judgement.evidence is None or challenger is None:
        raise GateError(
            f"There is nothing to {'approve' if approved else 'reject'}: "
            f"{judgement.verdicts[0].reason}."
        )
    registry.tag(
        challenger.version,
        {
            "approval": "approved" if approved else "rejected",
            "approval_by": by,
            "approval_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "approval_note": note,
            "approval_digest": judgement.evidence.digest,
        },
    )
    return challenger


def _stands(records: list[Promotion], features: Table, registry: Registry) -> str | None:
    """Why there is nothing to decide and the Champion on record stands; None where there is."""
    import narwhals.stable.v2 as nw

    if not records:
        return None
    champion, challenger = records[-1], registry.by_alias(CHALLENGER)
    if holds(champion, challenger):
        return f"Champion since {moment(champion)}"
    for record in reversed(records):
        if record.action != "rollback" or challenger is None:
            continue
        if challenger.version == record.previous_version:
            return (
                f"Challenger {challenger.version} was rolled back from on {moment(record)}, so "
                f"Champion {champion.version} stands until another is trained"
            )
    labelled = features.scan(features.require().version).filter(~nw.col("label").is_null())
    if len(features.engine.collect(labelled.select("label").head(1))):
        return None
    return f"no outcome is known to judge by, so Champion {champion.version} stands"

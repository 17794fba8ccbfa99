"""How who answers is changed: by a person, by a promotion, and by the guard."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrafficError, refusal
from churn_assets.serving.answering.split import Kind
from churn_assets.serving.traffic.record import (
    Change,
    Records,
    commit,
    next_change,
    records,
    state_of,
)
from churn_assets.serving.traffic.standing import Rollout, Standing, standing
from churn_assets.serving.traffic.wishes import (
    NAMES,
    WISHES,
    Refusal,
    Wish,
    admitted,
    ends,
    ramp,
    shares,
)

if TYPE_CHECKING:
    from churn_assets.learning.judging.record import Promotion
    from churn_assets.learning.workplace import Workplace
    from churn_assets.tables.lake import Committed, Table

ROLLOUT = "serving.rollout"
"""Who decides where a new Champion takes over by itself."""
_NOBODY = "There is no Champion yet, so nobody is answered"


@dataclass(frozen=True)
class Changed:
    """What a change came to.

    Parameters
    ----------
    committed : Committed
        The traffic table, unchanged where all was so already.
    standing : Standing or None
        Who answers now; None where there is no Champion.
    """

    committed: Committed
    standing: Standing | None


def who_answers(
    tables: Mapping[str, Table], rollout: Rollout, now: datetime | None = None
) -> Standing | None:
    """Who is Champion on record, and who answers; None where nobody was ever promoted.

    Asked again at each look of a server: a ramp ends by time alone.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    rollout : Rollout
        As the settings have it.
    now : datetime, optional
        With its zone; by default the present.
    """
    return standing(records(tables), rollout, now or datetime.now(UTC))


def change(place: Workplace, wish: Wish, rollout: Rollout, *, by: str, why: str) -> Changed:
    """Change who answers, on record.

    Parameters
    ----------
    place : Workplace
        Of the use case.
    wish : Wish
        What is to hold.
    rollout : Rollout
        As the settings have it.
    by, why : str
        Who decides, and why.

    Raises
    ------
    TrafficError
        Where it is nonsense, its version may not take part, or another change was first.
    RegistryError
        Where the registry cannot be asked for the version.
    """
    tables = place.tables
    name = NAMES.get(wish.kind, wish.kind)
    if wish.kind not in WISHES:
        raise TrafficError(f"Traffic refused: '{wish.kind}' is not one of {', '.join(WISHES)}.")
    state = state_of(tables["traffic"])
    held = records(tables, state)
    now = datetime.now(UTC)
    stands = standing(held, rollout, now)
    if stands is None:
        raise TrafficError(
            refusal(
                f"{name} refused",
                "nobody was ever promoted",
                _NOBODY,
                "Run `churn run` first",
            )
        )
    refused = Refusal(name, stands, now)
    if not why.strip() or not by.strip():
        missing = "why" if not why.strip() else "who decides"
        raise refused("it does not say " + missing, "Say who decides, and why: both are on record")
    if wish.kind == "champion":
        if not stands.is_settled:
            raise refused(
                f"it would give everyone to version {stands.on_record.version} at once",
                f"Decide: {ends(stands)}",
            )
        if stands.challenger is None:
            return Changed(state, stands)
        what: dict[str, Any] = {}
    else:
        version = admitted(place.registry, wish, stands, held.promotions, refused)
        what = {
            "version": version.version,
            "run_id": version.run_id,
            # Of the version alone: another share of it, or another test, splits as before.
            "salt": version.run_id,
            **shares(wish, version.version, stands, rollout, refused),
        }
        if _is_so(stands.challenger, wish.kind, what):
            return Changed(state, stands)
    return _committed(
        tables, state, held, next_change(held, wish.kind, by=by, why=why, **what), rollout
    )


def follow(tables: Mapping[str, Table], rollout: Rollout, by: str) -> Standing | None:
    """Put on record what follows from the newest promotion or rollback by itself, if anything.

    With a rollout by ramp that is the ramp of a new Champion; else that a test ended with the
    Champion that it was made beside. Where another change is first, that one holds.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    rollout : Rollout
        As the settings have it.
    by : str
        Who saw it.

    Returns
    -------
    Standing or None
        Who answers now; None where nobody was ever promoted.
    """
    held = records(tables)
    stands = standing(held, rollout, datetime.now(UTC))
    if stands is None or due(held, stands, rollout, by) is None:
        return stands
    state = state_of(tables["traffic"])
    # Read anew: only on this very state may it be committed.
    held = records(tables, state)
    stands = standing(held, rollout, datetime.now(UTC))
    following = None if stands is None else due(held, stands, rollout, by)
    if following is not None:
        with suppress(TrafficError):
            commit(tables, state, held, following)
    return who_answers(tables, rollout)


def due(held: Records, stands: Standing, rollout: Rollout, by: str) -> Change | None:
    """The change that follows from the newest promotion or rollback by itself, if any.

    Parameters
    ----------
    held : Records
        What both tables hold.
    stands : Standing
        Who answers by them.
    rollout : Rollout
        As the settings have it.
    by : str
        Who saw it.
    """
    champion = stands.on_record
    who = f"{ROLLOUT}, {by}"
    if stands.is_due:
        # What a test of it has reached is not given back.
        reached = max(stands.steps, default=0.0)
        left = [share for share in rollout.steps if share >= reached] or rollout.steps[-1:]
        return next_change(
            held,
            "ramp",
            by=who,
            why=f"{_event(champion)} takes over by ramp",
            version=champion.version,
            run_id=champion.run_id,
            salt=champion.run_id,
            **ramp(left, rollout.step_seconds),
        )
    newest = held.newest
    is_open = newest is not None and newest.kind != "champion"
    if newest is None or not is_open or newest in held.within(len(held.promotions) - 1):
        return None
    return next_change(
        held,
        "champion",
        by=who,
        why=f"{_event(champion)} ended the {newest.kind} of version {newest.version}",
    )


def take_back(
    tables: Mapping[str, Table],
    state: Committed,
    held: Records,
    stands: Standing,
    *,
    by: str,
    why: str,
    evidence: str,
) -> Committed:
    """Give everyone to the variant `champion` again, as the guard decided.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    state : Committed
        The traffic table as it was decided on.
    held, stands
        What was decided on.
    by, why, evidence : str
        Which guard, in words, and its figures as JSON.

    Raises
    ------
    TrafficError
        Where another change was first.
    """
    challenger = stands.challenger
    assert challenger is not None
    returned = next_change(
        held,
        "returned",
        by=by,
        why=why,
        version=challenger.version,
        run_id=challenger.run_id,
        salt=challenger.salt,
        evidence=evidence,
    )
    return commit(tables, state, held, returned)


def _committed(
    tables: Mapping[str, Table], state: Committed, held: Records, made: Change, rollout: Rollout
) -> Changed:
    committed = commit(tables, state, held, made)
    now = max(datetime.now(UTC), made.decided_at)
    return Changed(committed, standing(records(tables), rollout, now))


def _is_so(challenger: Change | None, kind: Kind, what: Mapping[str, Any]) -> bool:
    """Whether a change asks for what is in force."""
    if challenger is None or challenger.kind != kind:
        return False
    held = {
        "version": challenger.version,
        "share": challenger.share,
        "steps": None if challenger.steps is None else list(challenger.steps),
        "step_seconds": challenger.step_seconds,
    }
    return all(what.get(name, 0.0 if name == "share" else None) == held[name] for name in held)


def _event(champion: Promotion) -> str:
    return f"Champion {champion.version} by {champion.action} {champion.promotion}"

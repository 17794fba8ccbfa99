"""The record of traffic: one row for each change of who answers, append only.

Who is Champion is the champion table's to say, and a record of traffic never makes one. It says
who takes part beside the Champion, from when, and why:

========  ========================================================================================
kind      what holds from then on
========  ========================================================================================
champion  the Champion on record alone answers: a test was ended, by hand or by a promotion
shadow    the Challenger `version` scores along; nobody sees its scores
canary    it answers the `share` of the customers, below all of them
ab        the same, to be compared for long
ramp      it answers `steps` of them, one after another, each for `step_seconds`
returned  the guard took `version` back, for what `evidence` holds
========  ========================================================================================

Two variants answer. `challenger` is `version`. `champion` answers everyone else: the Champion on
record; or, where `version` is itself the Champion on record, the one that answered before it.

So a new Champion takes over by ramp (`serving.rollout: ramp`): the promotion puts it on record, a
`ramp` of it follows by itself, and the Champion before it answers the rest. With the share 1 the
takeover is done, and the new one is the variant `champion`. A Champion whose takeover never ended
was not the one that answered: the next one takes over from whoever did.

A ramp of a version that is not on record stays at its last step below everyone. Everyone is the
Champion's: `churn promote` asks the gates, and with `serving.rollout: ramp` the version goes on
from the share that it has. Nothing is promoted by traffic.

A record holds beside the Champion that it was decided beside. Each further record of the champion
table ends it, but for the promotion of that very version by ramp; so a rollback ends a ramp at
once, by being on record, and what it rolled back from answers nobody. That the test ended is then
put on record as well, by whoever sees it first.

After the guard took a Champion back it is still Champion on record, and the one before it answers
everyone, until `churn rollback` puts that on record too or a person starts another ramp of it.

A change is committed like a promotion: only where no other came since the table was read. The
commit keeps the number of the promotion that it was decided under, so that clocks that differ do
not decide which of the two tables' records came first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrafficError
from churn_assets.learning.judging.ledger import Ledger
from churn_assets.learning.judging.record import Promotion
from churn_assets.learning.judging.record import history as promotions_of
from churn_assets.serving.answering.split import Kind
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.versions import data_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from churn_assets.tables.lake import Committed, Table

PROMOTION = "promotion"
"""Kept with a commit: the number of the promotion that the change was decided under."""
TESTS: tuple[Kind, ...] = ("shadow", "canary", "ab", "ramp")
"""Kinds of which a Challenger takes part."""
_LATER = timedelta(microseconds=1)


@dataclass(frozen=True)
class Change:
    """One change of who answers, as the traffic table records it."""

    change: int
    kind: Kind
    version: int | None
    run_id: str | None
    share: float
    steps: Sequence[float] | None
    step_seconds: float | None
    salt: str | None
    decided_by: str
    decided_at: datetime
    why: str
    evidence: str | None = None

    @property
    def minute(self) -> str:
        """When it was decided, for people to read."""
        return f"{self.decided_at:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Records:
    """What both tables hold, each in its order.

    Parameters
    ----------
    promotions : sequence of Promotion
        Every promotion and rollback.
    changes : sequence of Change
        Every change of who answers.
    under : int or None
        The promotion that the newest change was decided under; None where only the clock says.
    """

    promotions: Sequence[Promotion]
    changes: Sequence[Change] = ()
    under: int | None = None

    @property
    def newest(self) -> Change | None:
        """The newest change."""
        return self.changes[-1] if self.changes else None

    def within(self, index: int) -> list[Change]:
        """The changes that were decided under a promotion, by its place among all."""
        return [
            change
            for place, change in enumerate(self.changes)
            if self._index(change, is_newest=place == len(self.changes) - 1) == index
        ]

    def _index(self, change: Change, *, is_newest: bool) -> int:
        if is_newest and self.under is not None:
            numbers = [one.promotion for one in self.promotions]
            if self.under in numbers:
                return numbers.index(self.under)
        earlier = [one for one in self.promotions if one.decided_at < change.decided_at]
        return max(len(earlier) - 1, 0)


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("change", pa.int64()),
            ("kind", pa.string()),
            ("version", pa.int64()),
            ("run_id", pa.string()),
            ("share", pa.float64()),
            ("steps", pa.list_(pa.float64())),
            ("step_seconds", pa.float64()),
            ("salt", pa.string()),
            ("decided_by", pa.string()),
            ("decided_at", pa.timestamp("us", "UTC")),
            ("why", pa.string()),
            ("evidence", pa.string()),
        ]
    )


_CHANGES = Ledger(Change, "change", _schema, "traffic")


def state_of(traffic: Table) -> Committed:
    """The traffic table as it is now; made empty where there is none yet."""
    return _CHANGES.state_of(traffic)


def history(traffic: Table, state: Committed | None = None) -> list[Change]:
    """Every change, the oldest first.

    Parameters
    ----------
    traffic : Table
        Of the use case.
    state : Committed, optional
        The version to read; by default the newest.
    """
    return _CHANGES.history(traffic, state)


def records(tables: Mapping[str, Table], state: Committed | None = None) -> Records:
    """What both tables hold now.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    state : Committed, optional
        The version of traffic to read; by default the newest.
    """
    traffic = tables["traffic"]
    # Before the promotions: a change is then never of a promotion that is not seen yet.
    state = state or _CHANGES.decided(traffic)
    changes = history(traffic, state) if state else []
    under = state.details.get(PROMOTION) if state and changes else None
    return Records(promotions_of(tables["champion"]), changes, under)


def next_change(held: Records, kind: Kind, *, by: str, why: str, **what: Any) -> Change:
    """The change that follows the newest, later than all that it was decided on.

    Parameters
    ----------
    held : Records
        What it is decided on.
    kind : str
        As `Change` has it.
    by, why : str
        Who decides, and why.
    **what
        The other columns that are not null, by name.
    """
    known = [one.decided_at for one in (held.promotions[-1], held.newest) if one is not None]
    columns = {"version": None, "run_id": None, "steps": None, "step_seconds": None, "salt": None}
    return Change(
        change=1 if held.newest is None else held.newest.change + 1,
        kind=kind,
        decided_by=by,
        decided_at=max(datetime.now(UTC), *(moment + _LATER for moment in known)),
        why=why,
        **{**columns, "share": 0.0, **what},
    )


def commit(
    tables: Mapping[str, Table], state: Committed, held: Records, change: Change
) -> Committed:
    """Record a change, unless another was recorded since that state of the table.

    Raises
    ------
    TrafficError
        Where another was first.
    """
    inputs = {"change": f"{change.change}", "at": change.decided_at.isoformat()}
    try:
        return _CHANGES.commit(
            tables["traffic"],
            state,
            change,
            data_version("traffic", inputs),
            {"champion": tables["champion"].require().version},
            **{PROMOTION: held.promotions[-1].promotion},
        )
    except ConflictError as error:
        raise TrafficError(
            "Traffic refused: another change was first, and holds. `churn traffic show` says "
            "which; decide again."
        ) from error

"""The guard at work: it looks at all evidence, and takes a Challenger back that does harm."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from churn_assets.errors import TrafficError
from churn_assets.serving.traffic.changes import due, follow, take_back
from churn_assets.serving.traffic.evidence import Evidence
from churn_assets.serving.traffic.guard import Rules, Verdict, judge
from churn_assets.serving.traffic.lease import Lease, lease_table
from churn_assets.serving.traffic.record import records, state_of
from churn_assets.serving.traffic.standing import Rollout, Standing, below_everyone, standing

if TYPE_CHECKING:
    from churn_assets.tables.lake import Table


def this_guard() -> str:
    """A name for a guard of this process, of no two the same."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Look:
    """What one look came to.

    Parameters
    ----------
    standing : Standing or None
        Who answers, after it; None where nobody was ever promoted.
    verdict : Verdict or None
        What was found; None where nothing is watched, or another guard holds the lease.
    is_returned : bool
        Whether this look took the Challenger back.
    """

    standing: Standing | None
    verdict: Verdict | None = None
    is_returned: bool = False


@dataclass
class Watch:
    """A guard of one use case; as many replicas may run one as there are.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    evidence : Evidence
        Of all replicas.
    rules : Rules
        What a Challenger may differ by.
    rollout : Rollout
        As the settings have it.
    holder : str
        Its name, for the lease and the record.
    """

    tables: Mapping[str, Table]
    evidence: Evidence
    rules: Rules
    rollout: Rollout
    holder: str = field(default_factory=this_guard)

    @property
    def lease(self) -> Lease:
        """Which lets one guard decide for all replicas."""
        return Lease(lease_table(self.tables["traffic"]), self.holder)

    def look(self, now: datetime | None = None) -> Look:
        """Look once: begin the ramp of a new Champion, or take back what does harm.

        Parameters
        ----------
        now : datetime, optional
            With its zone; by default the present.

        Raises
        ------
        TableError
            Where a table cannot be read or written.
        """
        now = now or datetime.now(UTC)
        held = records(self.tables)
        stands = standing(held, self.rollout, now)
        if stands is None:
            return Look(None)
        is_due = due(held, stands, self.rollout, self.holder) is not None
        if not (is_due or _is_watched(stands)) or not self.lease.take(now):
            return Look(stands)
        if is_due:
            return Look(follow(self.tables, self.rollout, f"guard {self.holder}"))
        try:
            return self._judged(now)
        except TrafficError:
            # Another was first, and what it decided holds.
            return Look(standing(records(self.tables), self.rollout, now))

    def _judged(self, now: datetime) -> Look:
        state = state_of(self.tables["traffic"])
        # Read anew: only on this very state may the verdict be committed.
        held = records(self.tables, state)
        stands = standing(held, self.rollout, now)
        if stands is None or not _is_watched(stands):
            return Look(stands)
        watched = len(below_everyone(stands.steps))
        verdict = judge(self.evidence.steps(stands, self.rules.latency_ms), watched, self.rules)
        if not verdict.harms:
            return Look(stands, verdict)
        take_back(
            self.tables,
            state,
            held,
            stands,
            by=f"guard {self.holder}",
            why=verdict.why,
            evidence=verdict.evidence,
        )
        after = standing(records(self.tables), self.rollout, max(now, datetime.now(UTC)))
        return Look(after, verdict, is_returned=True)


def _is_watched(stands: Standing) -> bool:
    """Whether a Challenger answers some customers, and the Champion others."""
    return stands.challenger is not None and bool(below_everyone(stands.steps))

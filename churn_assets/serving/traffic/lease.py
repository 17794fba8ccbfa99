"""One guard for all replicas: a lease, which a conditional commit gives to one of them.

It is a Delta table of no rows beside traffic (`<traffic>_lease`). Each commit says who holds the
lease and until when, and one that another was quicker than fails; half way through it the holder
commits anew, so that a guard whose server ended has a successor when its time is over. Only while a
Challenger takes part is there anything to hold, and the table's log keeps an hour.

Clocks that differ may let two guards believe that they hold it. They do no harm: what a guard
decides is a conditional commit to traffic, and the second one fails.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from churn_assets.tables.engines.engine import ConflictError

if TYPE_CHECKING:
    from churn_assets.tables.lake import Table

SECONDS = 30.0
"""For which a guard holds the lease."""
_TRANSACTION = "lease"
_KEPT = {"delta.logRetentionDuration": "interval 1 hours"}


def lease_table(traffic: Table) -> Table:
    """Where the lease of a use case lies: beside its traffic."""
    return replace(
        traffic,
        name="traffic_lease",
        uri=f"{traffic.uri}_lease",
        registered_as="",
        by_default="",
    )


@dataclass(frozen=True)
class Lease:
    """A lease that one of many may hold.

    Parameters
    ----------
    table : Table
        Says who.
    holder : str
        Who asks; of no two at once the same.
    seconds : float
        For which it is held.
    """

    table: Table
    holder: str
    seconds: float = SECONDS

    def take(self, now: datetime | None = None) -> bool:
        """Hold the lease from now on, or go on holding it; False where another one does.

        Parameters
        ----------
        now : datetime, optional
            With its zone; by default the present.

        Raises
        ------
        TableError
            Where the table cannot be read or written.
        """
        now = now or datetime.now(UTC)
        state = self.table.state()
        if state is None:
            self._create()
            state = self.table.require()
        until = datetime.fromisoformat(state.details.get("until", now.isoformat()))
        is_ours = state.details.get("holder") == self.holder
        if not is_ours and until > now:
            return False
        if is_ours and (until - now).total_seconds() > self.seconds / 2:
            return True
        try:
            self.table.append(
                self._no_rows(),
                self.holder,
                base=state.version,
                transaction=_TRANSACTION,
                holder=self.holder,
                until=(now + timedelta(seconds=self.seconds)).isoformat(),
            )
        except ConflictError:
            return False
        return True

    def _create(self) -> None:
        import pyarrow as pa
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        options = self.table.storage_options
        # Another guard may create it at the same moment.
        with suppress(DeltaError):
            DeltaTable.create(
                self.table.uri,
                pa.schema([("holder", pa.string())]),
                mode="ignore",
                configuration=dict(_KEPT),
                storage_options=None if options is None else dict(options),
            )

    def _no_rows(self) -> Any:
        import pyarrow as pa

        return self.table.engine.from_arrow(pa.schema([("holder", pa.string())]).empty_table())

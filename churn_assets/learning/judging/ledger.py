"""A table of decisions: append only, each committed only where no other came since it was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.rows import rows_of
from churn_assets.tables.versions import data_version

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.tables.lake import Committed, Table

Decision = TypeVar("Decision")
"""One record: a frozen dataclass whose fields are the table's columns."""


@dataclass(frozen=True)
class Ledger(Generic[Decision]):
    """How the records of a table of decisions are read and committed.

    Parameters
    ----------
    of : type
        Of a record.
    number : str
        The column that counts them.
    schema : callable
        Gives the table's columns as Arrow has them.
    transaction : str
        Of two commits on one state that name it, one fails.
    """

    of: type[Decision]
    number: str
    schema: Callable[[], pa.Schema]
    transaction: str

    def decided(self, table: Table) -> Committed | None:
        """The newest version of the table; None where nothing was ever decided."""
        state = table.state()
        return state if state is not None and state.rows else None

    def state_of(self, table: Table) -> Committed:
        """The table as it is now; made empty where there is none yet."""
        if table.state() is None:
            with suppress(ConflictError):
                table.append(self._frame(table, []), data_version("", {}), base=None)
        return table.require()

    def history(self, table: Table, state: Committed | None = None) -> list[Decision]:
        """Every record, the oldest first.

        Parameters
        ----------
        table : Table
            Holds them.
        state : Committed, optional
            The version to read; by default the newest.
        """
        state = state or self.decided(table)
        if state is None or not state.rows:
            return []
        rows = rows_of(table.engine.collect(table.scan(state.version)))
        return [self.of(**row) for row in sorted(rows, key=lambda row: int(row[self.number]))]

    def newest(self, table: Table, state: Committed | None = None) -> Decision | None:
        """The newest record, or None where there never was one."""
        records = self.history(table, state)
        return records[-1] if records else None

    def commit(
        self,
        table: Table,
        state: Committed,
        record: Decision,
        made_from: str,
        reads: Mapping[str, int],
        **details: Any,
    ) -> Committed:
        """Add a record, unless another was added since a state of the table.

        Parameters
        ----------
        table : Table
            Gets it.
        state : Committed
            On what it was decided.
        record : Decision
            The one to add.
        made_from : str
            Data version from then on.
        reads : mapping of str to int
            Delta version of each table that was read for the decision.
        **details
            What else to keep with the commit.

        Raises
        ------
        ConflictError
            Where another was first.
        """
        return table.append(
            self._frame(table, [record]),
            made_from,
            reads,
            base=state.version,
            transaction=self.transaction,
            **details,
        )

    def _frame(self, table: Table, records: list[Any]) -> Any:
        import pyarrow as pa

        rows = [asdict(record) for record in records]
        return table.engine.from_arrow(pa.Table.from_pylist(rows, self.schema()))

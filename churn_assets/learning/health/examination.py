"""A use case examined as a whole, and what of its tables can be made whole again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from churn_assets.errors import ChurnError, TableError
from churn_assets.learning.health.fault import Fault
from churn_assets.learning.health.files import journal_faults
from churn_assets.learning.health.registry import registry_faults
from churn_assets.learning.judging.record import on_record
from churn_assets.learning.registry import CHAMPION
from churn_assets.learning.scoring import score
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.featurise import featurise
from churn_assets.tables.health import (
    Examination,
    examine,
    good_versions,
    lost,
    mend_log,
    put_back_log,
    set_log_aside,
)
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.refine import refine

REPAIR = "`churn doctor --repair`"
_FROM = {"silver": "raw", "rejects": "raw", "features": "silver", "predictions": "features"}
"""The tables that are made of others alone, and of which."""
_ANEW = {
    "raw": "`churn run --source` reads it anew.",
    "labels": "`churn run --source` reads it anew.",
    "holdout": "`churn run` reads it anew.",
    "model": "`churn run` trains anew.",
    "champion": "Nobody is promoted for it: `churn run` asks the gates again.",
    "scores": "What was predicted before is lost then: `churn score` begins it anew.",
    "requests": "What was answered before is lost then: the server begins it anew.",
}
"""What is done where the newest versions of a table are lost."""
_NO_OLDER, _NO_LOG = "no older version is whole", "its log cannot be mended"


@dataclass(frozen=True)
class Patient:
    """A use case that is examined and mended.

    Parameters
    ----------
    place : Workplace
        Its tables and models.
    max_reject_share : float
        Greatest share of rejects with which silver is replaced.
    contacts : int or None
        How many customers may be contacted.
    studies : Path
        Folder of the journals of its searches.
    """

    place: Workplace
    max_reject_share: float
    contacts: int | None
    studies: Path

    def examine(self, progress: Callable[[Examination], None]) -> Iterator[Fault]:
        """What is wrong, table after table in the order in which they are made, then beside them.

        Parameters
        ----------
        progress : callable
            Is told what was found of each table.
        """
        found: dict[str, Examination] = {}
        for name, table in self.place.tables.items():
            found[name] = examine(table)
            progress(found[name])
        gone = lost({name: one.state for name, one in found.items() if one.state or not one.fault})
        for name, one in found.items():
            if one.fault:
                yield Fault(name, one.fault, self._todo(name), self._mending(name))
            elif name in gone:
                derived = name in _FROM
                yield Fault(
                    name,
                    f"{self.place.tables[name].uri}: {gone[name]}",
                    self._todo(name) if derived else _ANEW[name],
                    self._mending(name, is_lost=True) if derived else None,
                )
        yield from registry_faults(self.place)
        yield from journal_faults(
            sorted(self.studies.glob(f"{self.place.use_case.name}-*.journal"))
        )

    def _todo(self, name: str) -> str:
        if name in _FROM:
            return f"{REPAIR} makes it anew from {_FROM[name]}."
        return f"{REPAIR} restores an older version, if one is whole."

    def _mending(self, name: str, *, is_lost: bool = False) -> Callable[[], str]:
        return lambda: self.mend(name, is_lost=is_lost)

    def mend(self, name: str, *, is_lost: bool = False) -> str:
        """Make a table whole again, and say how.

        A table that is made of others alone is made anew; another one, or one that cannot be, is
        restored to the newest older version that is whole. Nothing is trained and nobody promoted.

        Parameters
        ----------
        name : str
            Of the table.
        is_lost : bool
            Whether versions of it are lost, though what is there is whole.

        Raises
        ------
        ChurnError
            Where neither can be done.
        """
        table = self.place.tables[name]
        found = examine(table)
        if not found.fault and not is_lost:
            return f"{name} is whole again"
        aside = mend_log(table) if found.state is None and found.fault else []
        if aside:
            found = examine(table)
        kept = f" (kept: {', '.join(aside)})" if aside else ""
        refusal = ""
        if name in _FROM:
            try:
                return f"{name} is made anew: {_version(self._made_anew(name, found))}{kept}"
            except ChurnError as error:
                refusal = f"; it cannot be made anew: {str(error).rstrip('.')}"
        older = None if found.state is None else self._older(table)
        if older is None:
            why = _NO_LOG if found.state is None else _NO_OLDER
            raise TableError(
                f"{why}{refusal}. Restore the file from a backup, or move {table.uri} away. "
                f"{_ANEW.get(name, '`churn run` makes it anew.')}"
            )
        restored = table.restore(older)
        return (
            f"{name} is restored to its version {older.version} of "
            f"{older.committed_at:%Y-%m-%d %H:%M} UTC: {_version(restored)}{kept}{refusal}"
        )

    def _made_anew(self, name: str, found: Examination) -> Committed:
        """Make a table by the function that a run makes it by."""
        table = self.place.tables[name]
        moved = set_log_aside(table) if found.fault and found.state is None else None
        anew = {name}
        if name == "silver" and examine(self.place.tables["rejects"]).fault:
            anew.add("rejects")
        tables = {
            other: replace(one, is_made_anew=True) if other in anew else one
            for other, one in self.place.tables.items()
        }
        try:
            return self._make(name, tables)
        except BaseException:
            if moved is not None:
                put_back_log(table, moved)
            raise

    def _make(self, name: str, tables: Mapping[str, Table]) -> Committed:
        case = self.place.use_case
        if name in ("silver", "rejects"):
            made = {one.table: one for one in refine(case, tables, self.max_reject_share)}
            return made[name]
        if name == "features":
            return featurise(case, tables, self.max_reject_share)
        return score(replace(self.place, tables=tables), contacts=self.contacts)

    def _older(self, table: Table) -> Committed | None:
        """The newest version that is whole.

        Of the record of promotions the newest that has the Champion whom the alias names, if
        there is one, so that the loss of a rollback does not bring back whom it took away.
        """
        good = good_versions(table)
        if table.name != "champion":
            return next(good, None)
        named = None
        with suppress(ChurnError):
            named = self.place.registry.by_alias(CHAMPION)
        first: Committed | None = None
        for state in good:
            record = on_record(table, state)
            if named and record and record.version == named.version:
                return state
            first = first or state
            if named is None:
                break
        return first


def _version(committed: Committed) -> str:
    return f"version {committed.version}, {committed.rows:,} rows"

"""Files beside the tables: SQLite's databases and the journals of searches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from churn_assets.learning.health.fault import Fault
from churn_assets.tables.health import set_aside

_LOG = "-wal"
_BESIDE = (_LOG, "-shm", "-journal")
"""What SQLite keeps beside a database."""


def opened_to_read(file: Path) -> closing[sqlite3.Connection]:
    """A database of SQLite's, open in the block; nothing is made where there is no file."""
    # Where a log is kept and nobody writes, SQLite would leave an empty one.
    at_rest = _keeps_log(file) and not file.with_name(file.name + _LOG).exists()
    address = f"{file.absolute().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    return closing(sqlite3.connect(address, uri=True))


def database_fault(file: Path) -> str:
    """What SQLite finds wrong with a database; empty where nothing is, or it is in use."""
    try:
        with opened_to_read(file) as database:
            (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return "" if "lock" in str(error) or "busy" in str(error) else f"{error}"
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else str(found).splitlines()[-1]


def databases(home: Path) -> list[Path]:
    """The databases in which Dagster keeps its history in a DAGSTER_HOME."""
    return sorted(
        file for part in ("history", "schedules") for file in home.glob(f"{part}/**/*.db")
    )


def history_faults(home: Path) -> Iterator[Fault]:
    """The damaged databases of a DAGSTER_HOME; each can be set aside: Dagster begins another."""
    for file in databases(home):
        fault = database_fault(file)
        if fault:
            yield Fault(
                "history",
                f"{file} is damaged: {fault}",
                "`churn doctor --repair` sets it aside, and Dagster begins another.",
                partial(_set_aside, file, "Dagster begins another; no table needs it"),
            )


def journal_faults(journals: Iterable[Path]) -> Iterator[Fault]:
    """The damaged journals of searches; each can be set aside, and the search begins anew."""
    for file in journals:
        if not _is_journal(file):
            yield Fault(
                "tuning",
                f"{file} is damaged",
                "`churn doctor --repair` sets it aside, and the search begins anew.",
                partial(_set_aside, file, "the search begins anew"),
            )


def _keeps_log(file: Path) -> bool:
    """Whether what is written goes to a log first, as bytes 18 and 19 of a database say."""
    with suppress(OSError), file.open("rb") as database:
        return database.read(20)[18:] == b"\x02\x02"
    return False


def _is_journal(file: Path) -> bool:
    """Whether each line says what was done; the last may be cut, as a search that goes on knows."""
    try:
        *lines, _ = file.read_text(encoding="utf-8").split("\n")
        return all(isinstance(json.loads(line), dict) for line in lines)
    except (OSError, ValueError):
        return False


def _set_aside(file: Path, then: str) -> str:
    aside = set_aside(file)
    for end in _BESIDE:
        beside = file.with_name(file.name + end)
        if beside.exists():
            set_aside(beside)
    return f"{file} is kept as {aside.name}; {then}"

"""Whether tables are whole, and what of them can be put right without making them anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ChurnError, DamageError, EngineError, TableError
from churn_assets.tables.engines.engine import ConflictError
from churn_assets.tables.faults.damage import (
    LOG,
    damaged,
    digests,
    folder,
    is_whole,
    log_fault,
    newest_commit,
    unreadable_checkpoints,
    wrong_size,
)
from churn_assets.tables.lake import Committed, Table

if TYPE_CHECKING:
    from deltalake import DeltaTable

ASIDE = ".damaged"
"""Ends the name of what is kept aside."""


@dataclass(frozen=True)
class Examination:
    """What was found of a table.

    Parameters
    ----------
    table : str
        Its name.
    state : Committed or None
        The version that was looked at; None where there is no table, or its log is damaged.
    files : int
        How many data files were read.
    fault : str
        What is damaged, with its file; empty where nothing is.
    """

    table: str
    state: Committed | None
    files: int = 0
    fault: str = ""


def examine(table: Table, version: int | None = None) -> Examination:
    """Read every data file of a version, and compare it with the log and the digests kept of it.

    Raises
    ------
    TableError
        Where the place cannot be read, which says nothing of the table.
    """
    # What its files are like is looked at here, whatever `state` says of them.
    unchecked = replace(table, is_made_anew=True)
    try:
        state = unchecked.state(version)
    except DamageError:
        return Examination(table.name, None, fault=log_fault(table.uri) or "its log is damaged")
    delta = None if state is None else unchecked.opened(state.version)
    if delta is None:
        return Examination(table.name, None)
    faults = list(_faults(table, delta))
    found = [fault for fault in faults if fault]
    more = f" (and {len(found) - 1} more of {len(faults)} files)" if len(found) > 1 else ""
    return Examination(table.name, state, len(faults), found[0] + more if found else "")


def lost(states: Mapping[str, Committed | None]) -> dict[str, str]:
    """The tables that are not there any more, or older than others were made from, and why so.

    Parameters
    ----------
    states : mapping of str to Committed or None
        The newest version of each table of a use case whose log can be read.
    """
    faults: dict[str, str] = {}
    for name, state in states.items():
        for source, version in state.reads.items() if state else ():
            if source not in states:
                continue
            held = states[source]
            if held is None:
                faults.setdefault(source, f"the table is not there, and {name} was made from it")
            # A later first version is that of a table that was started over.
            elif held.version < version and state and held.committed_at <= state.committed_at:
                faults.setdefault(
                    source,
                    f"version {version}, which {name} was made from, is lost; the newest is "
                    f"{held.version}",
                )
    return faults


@contextmanager
def damage_named(tables: Callable[[], Mapping[str, Table]]) -> Iterator[None]:
    """Where something that reads tables broke off, say which file of them is damaged, if one is.

    Parameters
    ----------
    tables : callable
        Gives the tables that may have been read.

    Raises
    ------
    DamageError
        Naming the file.
    """
    try:
        yield
    except Exception as error:
        # What is refused for its own reasons is no damage, but for what an engine stumbled on.
        refused = isinstance(error, (ChurnError, ConflictError))
        if refused and type(error) not in (EngineError, TableError):
            raise
        for table in tables().values():
            fault = _fault_of(table)
            if fault:
                raise damaged(table.name, fault) from error
        raise


def _fault_of(table: Table) -> str:
    try:
        return examine(table).fault
    except Exception:
        # Whatever it is, it is not what was asked for.
        return ""


def mend_log(table: Table) -> list[str]:
    """Set aside what of a log on disk cannot be read and can be done without.

    That is a checkpoint whose commits are still there, and the newest commits.

    Returns
    -------
    list of str
        What was set aside, so that the table can be opened; nothing where it is of no help.
    """
    place = folder(table.uri)
    if place is None:
        return []
    aside: dict[Path, Path] = {}

    def move(*files: Path) -> None:
        aside.update({file: set_aside(file) for file in files})

    move(*unreadable_checkpoints(place))
    if aside:
        move(*(place / LOG).glob("_last_checkpoint"))
    while (newest := newest_commit(place)) and not is_whole(newest):
        # Beside it Hadoop keeps a sum, which the next commit of this number has not.
        move(newest, *(place / LOG).glob(f"*{newest.stem}*.crc"))
    if _opens(table):
        return [str(file) for file in aside.values()]
    for file, moved in aside.items():
        moved.rename(file)
    return []


def set_log_aside(table: Table) -> Path | None:
    """Set aside the log of a table on disk, so that the table can be begun anew."""
    place = folder(table.uri)
    return None if place is None else set_aside(place / LOG)


def put_back_log(table: Table, aside: Path) -> None:
    """Let a table have its damaged log again, where it could not be begun anew."""
    place = folder(table.uri)
    if place is not None and not (place / LOG).exists():
        aside.rename(place / LOG)


def set_aside(file: Path) -> Path:
    """Give a file or folder another name, which says that it is damaged."""
    aside = file.with_name(file.name + ASIDE)
    number = 1
    while aside.exists():
        number += 1
        aside = file.with_name(f"{file.name}.{number}{ASIDE}")
    return file.rename(aside)


def good_versions(table: Table) -> Iterator[Committed]:
    """The versions of a table that are whole, the newest first."""
    unchecked = replace(table, is_made_anew=True)
    newest = unchecked.require().version
    for version in range(newest, -1, -1):
        try:
            examined = examine(table, version)
        except TableError:
            # Delta cleans up what is old.
            return
        if examined.state is not None and not examined.fault:
            yield examined.state


def _opens(table: Table) -> bool:
    try:
        return replace(table, is_made_anew=True).state() is not None
    except TableError:
        return False


def _faults(table: Table, delta: DeltaTable) -> Iterator[str]:
    """What is wrong with each data file of a version; empty where nothing is."""
    import pyarrow as pa
    from deltalake.fs import DeltaStorageHandler
    from pyarrow import fs

    options = None if table.storage_options is None else dict(table.storage_options)
    store = fs.PyFileSystem(DeltaStorageHandler(table.uri, options))
    kept, place = digests(table.uri), folder(table.uri)
    for entry in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        name = entry["path"]
        shown = f"{table.uri}/{name}" if place is None else str(place / name)
        yield _fault(store, shown, entry, kept.get(name))


def _fault(store: Any, shown: str, entry: Mapping[str, Any], digest: str | None) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import fs

    name, size, rows = entry["path"], entry["size_bytes"], entry["num_records"]
    found = store.get_file_info(name)
    if found.type == fs.FileType.NotFound:
        return f"{shown} is missing"
    if found.size != size:
        return wrong_size(shown, found.size, size)
    if digest is not None and _digest(store, name) != digest:
        return f"{shown} holds other bytes than were written"
    try:
        with store.open_input_file(name) as file:
            read = sum(len(batch) for batch in pq.ParquetFile(file).iter_batches())
    except (pa.ArrowException, OSError):
        return f"{shown} cannot be read"
    if rows is not None and read != rows:
        return f"{shown} holds {read:,} rows of {rows:,}"
    return ""


def _digest(store: Any, name: str) -> str:
    with store.open_input_stream(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

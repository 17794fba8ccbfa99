"""Where a local MLflow store keeps its files: beside itself, wherever it was moved or copied to."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SQLITE = "sqlite:///"
_WAIT_SECONDS = 60
_ADDRESSES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
"""Where MLflow keeps absolute addresses of files, beside those of its experiments."""
_NOT_OURS_TO_WRITE = ("SQLITE_READONLY", "SQLITE_CANTOPEN")


def database_of(store_uri: str) -> Path | None:
    """The file in which SQLite keeps a store of MLflow's; None of another store."""
    return Path(store_uri.removeprefix(_SQLITE)) if store_uri.startswith(_SQLITE) else None


def follow(tracking_uri: str, artifacts: str | None, experiment: str) -> None:
    """Point a store that was moved or copied to the files that came along.

    MLflow keeps absolute addresses, so a moved store would not find its models, and a copy would
    go on writing into the original. Only what lies beside the database follows it: where either
    place was set to another, nothing is changed. A store that cannot be written is left as it is,
    since nothing can be written by it.

    Parameters
    ----------
    tracking_uri : str
        MLflow's store.
    artifacts : str or None
        Where the experiment's files belong now.
    experiment : str
        Its name.
    """
    database = database_of(tracking_uri)
    if database is None or artifacts is None:
        return
    now = local_path(artifacts)
    if now is None or now.parent != database.parent or not database.exists():
        return
    with closing(sqlite3.connect(database, _WAIT_SECONDS, isolation_level=None)) as store:
        before = _location(store, experiment)
        if before is None or before == artifacts or not _was_moved(before, now, database.name):
            return
        try:
            store.execute("BEGIN IMMEDIATE")
            # Another process that opened it at the same time may have been first.
            if _location(store, experiment) == before:
                _move(store, before, artifacts)
            store.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(_NOT_OURS_TO_WRITE):
                raise


def _location(store: sqlite3.Connection, experiment: str) -> str | None:
    known = store.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone()
    if known is None:
        return None
    found = store.execute(
        "SELECT artifact_location FROM experiments WHERE name = ?", [experiment]
    ).fetchone()
    return None if found is None else found[0]


def _was_moved(before: str, now: Path, database: str) -> bool:
    """Whether files of the experiment belonged beside this database when it lay elsewhere."""
    place = local_path(before)
    if place is None or place.name != now.name or _is_same(place.parent, now.parent):
        return False
    # Of a copy the original is still there; a place that was only set once has no database.
    return not place.exists() or now.exists() or (place.parent / database).exists()


def _move(store: sqlite3.Connection, before: str, now: str) -> None:
    """Let addresses below one place be below another, but for files that are only at the first."""
    store.execute(
        "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", [now, before]
    )
    for table, column in _ADDRESSES:
        rows = store.execute(
            f"SELECT rowid, {column} FROM {table} WHERE substr({column}, 1, ?) = ?",
            [len(before) + 1, f"{before}/"],
        ).fetchall()
        moved = [(now + old.removeprefix(before), old, row) for row, old in rows]
        store.executemany(
            f"UPDATE {table} SET {column} = ? WHERE rowid = ?",
            [(new, row) for new, old, row in moved if _exists(new) or not _exists(old)],
        )


def _exists(address: str) -> bool:
    path = local_path(address)
    return path is not None and path.exists()


def local_path(address: str) -> Path | None:
    """The local path of an address; None where it is not local."""
    if "://" not in address:
        return Path(address)
    parts = urlsplit(address)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)

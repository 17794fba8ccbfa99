"""DAGSTER_HOME: where Dagster keeps its history, and what keeps it from that."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from churn_assets.cli.liveness import end_killed_runs
from churn_assets.errors import ChurnError, HistoryError, SettingsError
from churn_assets.machine import keep_private
from churn_assets.settings import Settings, project_folder

if TYPE_CHECKING:
    import dagster as dg

_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


def home_folder(settings: Settings) -> Path:
    """Where DAGSTER_HOME is, whether it is there yet or not."""
    # What was known on a past day is not part of today's history.
    home = None if settings.as_of else os.environ.get("DAGSTER_HOME")
    # Dagster takes no relative folder.
    return Path(home or settings.dagster_home).expanduser().absolute()


def prepare_home(settings: Settings) -> Path:
    """Make DAGSTER_HOME and put dagster.yaml into it: elsewhere it is silently ignored.

    Raises
    ------
    SettingsError
        Where the folder cannot be written.
    """
    folder = home_folder(settings)
    template, place = project_folder() / "config" / "dagster.yaml", folder / "dagster.yaml"
    keep_private(settings.present.root_folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if template.exists() and (
            not place.exists() or place.read_bytes() != template.read_bytes()
        ):
            shutil.copyfile(template, place)
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be written ({error.strerror}). Set CHURN_ROOT or DAGSTER_HOME to "
            "another folder."
        ) from None
    return folder


@contextmanager
def history(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's history in a folder, open in the block; runs that were killed are ended first.

    Raises
    ------
    HistoryError
        Where a full or read-only disk keeps Dagster from its own files, or one is damaged.
    """
    import dagster as dg

    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            end_killed_runs(home, instance)
            yield instance
    except ChurnError:
        raise
    except Exception as error:
        damage = _damaged_database(home, error)
        if damage:
            raise HistoryError(f"Dagster's history: {damage}; run `churn doctor`.") from error
        fault = _storage_fault(error)
        if fault is None:
            raise
        raise HistoryError(
            f"{home}: Dagster's history cannot be kept: {fault}. Free some space or give write "
            "permission, then run again. The last versions stand."
        ) from error


def last_materialized(home: Path, use_case: str) -> dict[str, datetime]:
    """When each table of a use case was last made or found to be current, by name.

    Read from Dagster's file itself, where it keeps one there: to open the history takes a second.

    Raises
    ------
    HistoryError
        As `history` says.
    """
    file = home / "history" / "runs" / "index.db"
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            found = database.execute(
                "SELECT asset_key, last_materialization_timestamp FROM asset_keys "
                "WHERE last_materialization_timestamp IS NOT NULL AND wipe_timestamp IS NULL"
            ).fetchall()
        made = [(json.loads(path), datetime.fromisoformat(moment)) for path, moment in found]
    except (sqlite3.Error, ValueError, TypeError):
        return _last_by_dagster(home, use_case)
    return {path[-1]: at.replace(tzinfo=UTC) for path, at in made if path[:-1] == [use_case]}


def _last_by_dagster(home: Path, use_case: str) -> dict[str, datetime]:
    with history(home) as instance:
        events = {
            key.path[-1]: instance.get_latest_materialization_event(key)
            for key in instance.all_asset_keys()
            if list(key.path[:-1]) == [use_case]
        }
    return {
        name: datetime.fromtimestamp(event.timestamp, UTC)
        for name, event in events.items()
        if event
    }


def _damaged_database(home: Path, error: BaseException | None) -> str | None:
    """Which database is damaged, and how, where that is why something broke off."""
    while error is not None:
        if isinstance(error, sqlite3.DatabaseError):
            from churn_assets.learning.health.files import history_faults

            return next((fault.what for fault in history_faults(home)), None)
        error = error.__cause__ or error.__context__
    return None


def _storage_fault(error: BaseException | None) -> str | None:
    """What a full or read-only disk did to Dagster's own files; None for any other error."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError):
            return str(error)
        if isinstance(error, OSError) and error.errno in _STORAGE:
            return error.strerror
        error = error.__cause__ or error.__context__
    return None

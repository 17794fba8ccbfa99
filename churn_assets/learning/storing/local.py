"""What MLflow's own database on disk says, read without importing MLflow, which takes seconds.

It is read as it stands now, so nothing is remembered that could be out of date. What is not as
expected is `UnreadableError`: then MLflow itself is asked, and says what is wrong.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from churn_assets.learning.storing.place import database_of, local_path

_WAIT_SECONDS = 60
_DELETED = "Deleted_Internal"
"""MLflow's stage of a version that was deleted."""


class UnreadableError(Exception):
    """The store is elsewhere, or not as expected; MLflow must be asked."""


@dataclass(frozen=True)
class LocalVersion:
    """A registered version, as `Version` has it."""

    version: int
    run_id: str
    description: str
    tags: dict[str, str]


def version_by_alias(store_uri: str, model: str, alias: str) -> LocalVersion | None:
    """The version of a model that an alias points to; None where there is no such alias.

    Raises
    ------
    UnreadableError
        Where MLflow must be asked.
    """
    with _database(store_uri) as database:
        if database is None:
            return None
        pointed = _only(
            database,
            "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?",
            [model, alias],
        )
        if pointed is None:
            return None
        return _version(database, model, pointed[0])


def version_by_number(store_uri: str, model: str, number: int) -> LocalVersion:
    """The version of a model with a number.

    Raises
    ------
    UnreadableError
        Where MLflow must be asked, as where there is no such version.
    """
    with _database(store_uri) as database:
        if database is None:
            raise UnreadableError
        return _version(database, model, number)


def _version(database: sqlite3.Connection, model: str, number: int) -> LocalVersion:
    found = _only(
        database,
        "SELECT version, run_id, description FROM model_versions "
        "WHERE name = ? AND version = ? AND current_stage <> ?",
        [model, number, _DELETED],
    )
    if found is None:
        raise UnreadableError
    tags = database.execute(
        "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?",
        [model, found[0]],
    )
    return LocalVersion(int(found[0]), found[1] or "", found[2] or "", dict(tags.fetchall()))


def experiment_of(store_uri: str, run_id: str) -> str:
    """The number of the experiment of a run.

    Raises
    ------
    UnreadableError
        Where MLflow must be asked.
    """
    return str(_of_run(store_uri, run_id, "experiment_id"))


def artifacts_of(store_uri: str, run_id: str) -> Path:
    """The folder of a run's files.

    Raises
    ------
    UnreadableError
        Where MLflow must be asked.
    """
    folder = local_path(_of_run(store_uri, run_id, "artifact_uri"))
    if folder is None:
        raise UnreadableError
    return folder


def _of_run(store_uri: str, run_id: str, column: str) -> Any:
    with _database(store_uri) as database:
        if database is not None:
            found = _only(database, f"SELECT {column} FROM runs WHERE run_uuid = ?", [run_id])
            if found is not None:
                return found[0]
    raise UnreadableError


@contextmanager
def _database(store_uri: str) -> Iterator[sqlite3.Connection | None]:
    """The database of a store, to be read; None where there is none yet."""
    file = database_of(store_uri)
    if file is None or "MLFLOW_WORKSPACE" in os.environ:
        raise UnreadableError
    if not file.exists():
        yield None
        return
    try:
        address = f"{file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, _WAIT_SECONDS, uri=True)) as database:
            yield database
    except sqlite3.Error as error:
        raise UnreadableError from error


def _only(database: sqlite3.Connection, query: str, values: Sequence[Any]) -> Any:
    """The row that a query finds; None where it finds none."""
    rows = database.execute(query, values).fetchall()
    if len(rows) > 1:
        # Of several workspaces, which share a database.
        raise UnreadableError
    return rows[0] if rows else None

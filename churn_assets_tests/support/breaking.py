"""Estimators with which a training breaks."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import Any, Self

from sklearn.dummy import DummyClassifier


class Broken(DummyClassifier):
    """Cannot be fitted."""

    def fit(self, *_: Any) -> Self:
        raise ZeroDivisionError("a candidate that breaks")


class BreaksMlflow(DummyClassifier):
    """Takes tables out of MLflow's database while it is fitted."""

    def __init__(self, database: str = "") -> None:
        super().__init__(strategy="prior")
        self.database = database

    def fit(self, *given: Any) -> Self:
        # It is fitted more than once.
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(self.database)) as database,
        ):
            for table in ("params", "runs"):
                database.execute(f"ALTER TABLE {table} RENAME TO lost_{table}")
        return super().fit(*given)

"""A server on a project that was run once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from churn_assets_tests.support.project import Project
from churn_assets_tests.support.serving.running import Serving, scored_once, serving

ORIGIN = "https://crm.example.com"
"""A site whose pages may ask."""


@dataclass(frozen=True)
class Served:
    """A project with a server on it."""

    project: Project
    server: Serving

    def rows(self, table: str) -> pl.DataFrame:
        """A table of the project, by key."""
        return self.project.rows(table).sort("customer_id")


@pytest.fixture(scope="package")
def scored(new_project: Callable[..., Project]) -> Project:
    """A project whose Champion has scored everyone."""
    return scored_once(new_project())


@pytest.fixture(scope="package")
def served(scored: Project) -> Iterator[Served]:
    """It with a server, which no test changes."""
    # Features by key are too old at once; no other test looks at their age.
    told = {"origins": json.dumps([ORIGIN]), "features_hours": "0.0001"}
    with serving(scored.folder / ".churn", **told) as server:
        yield Served(scored, server)


@pytest.fixture
def copied_scored(scored: Project, tmp_path: Path) -> Project:
    """A copy of the project, for who changes it."""
    # Without what the server on it has logged.
    ignore = shutil.ignore_patterns("log", "requests", "plan.json")
    shutil.copytree(scored.folder / ".churn", tmp_path / ".churn", ignore=ignore)
    return Project(tmp_path)

"""Finished runs that tests look at, and copies of them that tests change."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import USE_CASE, Project

PROMOTE = "raw silver rejects features model champion"
"""Every table but predictions."""

Copy = Callable[[Project], Project]


@pytest.fixture(scope="session")
def finished(first_run: Finished) -> Finished:
    return first_run


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Copy a project with its tables, its registry and its history."""

    def copied(project: Project) -> Project:
        folder = tmp_path_factory.mktemp("copied")
        shutil.copytree(project.folder, folder, dirs_exist_ok=True)
        sources = {USE_CASE.name: {"uri": str(folder / "customers.csv")}}
        return Project(folder, keeps_history=True, sources=sources)

    return copied


@pytest.fixture
def copied(finished: Finished, copy: Copy) -> Project:
    """A project whose job has run."""
    return copy(finished.project)


@pytest.fixture(scope="session")
def _promoted(finished: Finished, copy: Copy) -> Project:
    project = copy(finished.project)
    run = project.run(tables=PROMOTE, retrain=True)
    assert run.success, run.error
    return project


@pytest.fixture
def promoted(_promoted: Project, copy: Copy) -> Project:
    """A project with a second Champion, which has scored nobody yet."""
    return copy(_promoted)

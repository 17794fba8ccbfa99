"""What tests of traffic change: a finished project of their own."""

from __future__ import annotations

import pytest

from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.registering import challenge, copy_of


@pytest.fixture
def copied(first_run: Finished, project: Project) -> Project:
    """A project after its first whole run, for a test that changes it."""
    return copy_of(first_run.project, project.folder)


@pytest.fixture(scope="module")
def challenged(first_run: Finished, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same with a Challenger beside the Champion, and one more that is rejected; to be read."""
    project = copy_of(first_run.project, tmp_path_factory.mktemp("challenged"))
    challenge(project, approval="rejected", approval_by="bob", approval_note="bias")
    challenge(project, approval="")
    return project

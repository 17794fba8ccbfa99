"""What tests of learning read and do not change: features, a trained model, a registered one."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from churn_assets.learning.fitting.training import Trained, labelled_rows, train
from churn_assets.learning.recipe import TrainingSettings
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import copy_of


@pytest.fixture(scope="session")
def finished(first_run: Finished) -> Project:
    """A project after its first whole run; to be read only."""
    return first_run.project


@pytest.fixture
def copied(finished: Project, project: Project) -> Project:
    """The same project, for a test that changes it."""
    return copy_of(finished, project.folder)


@pytest.fixture(scope="session")
def prepared(new_project: Callable[..., Project]) -> Project:
    """A project that has features and no model yet; to be read only."""
    project = new_project()
    run = project.run(project.write(), tables="raw silver rejects features")
    assert run.success, run.error
    return project


@pytest.fixture(scope="session")
def labelled(prepared: Project) -> pd.DataFrame:
    """The labelled rows of its features."""
    features = prepared.table("features")
    version = features.require().version
    return labelled_rows(USE_CASE, features, version, TrainingSettings()).rows


@pytest.fixture(scope="session")
def trained(labelled: pd.DataFrame) -> Trained:
    """What training makes of them."""
    return train(USE_CASE, labelled, TrainingSettings())

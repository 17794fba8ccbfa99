"""Copies of a finished project, and Challengers made in no time from a model that is there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from churn_assets.learning.fitting.challenger import typical_row
from churn_assets.learning.registry import CHALLENGER, CHAMPION, Registry, Version
from churn_assets_tests.support.project import USE_CASE, Project

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


def copy_of(project: Project, folder: Path) -> Project:
    """A project with the same tables and registry; model files are shared, Dagster's are not."""
    root = folder / ".churn"
    shutil.copytree(project.folder / ".churn" / "lake", root / "lake")
    with (
        closing(sqlite3.connect(project.folder / ".churn" / "mlflow.db")) as source,
        closing(sqlite3.connect(root / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    return Project(folder, sources=project.settings().sources)


def inputs(project: Project) -> pd.DataFrame:
    """Model inputs of some customers."""
    frame = project.rows("features").select(USE_CASE.inputs).head(200)
    return frame.to_arrow().to_pandas(strings_to_categorical=False)


@contextmanager
def open_run(registry: Registry) -> Iterator[str]:
    """An MLflow run of the registry's experiment, as Dagster would open one."""
    import mlflow

    experiment = registry.client.get_experiment_by_name(registry.model_name)
    with mlflow.start_run(experiment_id=experiment.experiment_id) as run:
        yield run.info.run_id


def register(
    registry: Registry, pipeline: Pipeline, rows: pd.DataFrame, tags: Mapping[str, str]
) -> Version:
    """Register a pipeline as the Challenger, in an MLflow run of its own."""
    with open_run(registry) as run_id:
        return registry.register(
            pipeline,
            run_id,
            inputs=rows,
            example=typical_row(USE_CASE, rows),
            description=f"{USE_CASE.description} Made for a test.",
            tags=tags,
        )


def challenge(project: Project, **tags: str) -> Version:
    """Register the Challenger's model again as a new one, with some of its tags changed."""
    registry = project.registry
    present = registry.by_alias(CHALLENGER)
    assert present is not None
    pipeline = registry.load(present.version)
    # Nobody has judged it yet.
    own = {name: value for name, value in present.tags.items() if not name.startswith("test_set")}
    return register(registry, pipeline, inputs(project), {**own, **tags})


def stored_files(registry: Registry, version: int) -> Path:
    """The folder that a version's files lie in."""
    uri = registry.client.get_model_version_download_uri(registry.model_name, str(version))
    return Path(url2pathname(urlsplit(uri).path))


def bearers(project: Project) -> dict[str, int | None]:
    """Number of the version that each alias points to."""
    versions = {alias: project.registry.by_alias(alias) for alias in (CHALLENGER, CHAMPION)}
    return {alias: version and version.version for alias, version in versions.items()}

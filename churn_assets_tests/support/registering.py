"""Copies of a finished project, Challengers made of a model that is there, and retrainings."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import polars as pl

from churn_assets.learning.fitting.challenger import train_challenger, typical_row
from churn_assets.learning.judging.promotion import promote
from churn_assets.learning.judging.record import Promotion
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import (
    BUNDLE_DIGEST,
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
)
from churn_assets.learning.scoring import score
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.project import USE_CASE, Project

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

DRAWN, SURE = 1000, 0.85
"""Records that are drawn, and how surely the first input tells the outcome of each."""
INPUTS = 20
"""Of a use case that has more, so that it is done in seconds."""
LENIENT = GateSettings(
    f1_margin=1, auc_margin=1, brier_margin=1, slice_tolerance=1, calibration="warn"
)
"""By which chance among so few records refuses nobody."""


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
    # Nobody has judged it yet, and nothing is compiled.
    not_its_own = ("test_set", BUNDLE_DIGEST)
    own = {k: value for k, value in present.tags.items() if not k.startswith(not_its_own)}
    return register(registry, pipeline, inputs(project), {**own, **tags})


def stored_files(registry: Registry, version: int) -> Path:
    """The folder that a version's files lie in."""
    uri = registry.client.get_model_version_download_uri(registry.model_name, str(version))
    return Path(url2pathname(urlsplit(uri).path))


def bearers(project: Project) -> dict[str, int | None]:
    """Number of the version that each alias points to."""
    versions = {alias: project.registry.by_alias(alias) for alias in (CHALLENGER, CHAMPION)}
    return {alias: version and version.version for alias, version in versions.items()}


def with_inputs(use_case: UseCase, names: Sequence[str]) -> UseCase:
    """The use case with some of its inputs alone."""
    return replace(
        use_case,
        numeric=tuple(name for name in use_case.numeric if name in names),
        categorical=tuple(name for name in use_case.categorical if name in names),
    )


def promoted(
    project: Project,
    use_case: UseCase,
    records: Mapping[str, Sequence[str]],
    *,
    taken_away: int = 0,
) -> Promotion:
    """Who becomes Champion of many records, drawn from a few; everyone is scored by it.

    Parameters
    ----------
    project : Project
        Where it is registered.
    use_case : UseCase
        Of whose inputs it gets a few.
    records : mapping of str to sequence of str
        Columns of a source that keep the contract.
    taken_away : int
        How many of these inputs are taken away, from the last on.
    """
    few = use_case.inputs[:INPUTS]
    case = with_inputs(use_case, few[: len(few) - taken_away])
    place = replace(project.workplace, use_case=case)
    file = project.folder / "records.csv"
    drawn(use_case, records).write_csv(file)
    ingest(case, Source(uri=str(file)), place.tables)
    list(refine(case, place.tables))
    featurise(case, place.tables)
    settings = TrainingSettings(candidates=("logistic_regression", "lightgbm"), folds=2)
    train_challenger(place, settings, partial(open_run, place.registry))
    _, promotion = promote(place, "a test", LENIENT)
    score(place)
    return promotion


def drawn(use_case: UseCase, records: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Records of values from others, whose first input of a column of its own tells the outcome."""
    rng = np.random.default_rng(0)
    columns = {source: rng.choice(list(values), DRAWN) for source, values in records.items()}
    key = use_case.contract[use_case.keys[0]].source
    columns[key] = np.array([f"{value}-{i}" for i, value in enumerate(columns[key])])
    own = next(name for name in use_case.inputs if name in use_case.contract)
    told = columns[use_case.contract[own].source]
    values = list(dict.fromkeys(records[use_case.contract[own].source]))
    is_high = np.isin(told, values[len(values) // 2 :])
    label, positive = use_case.label_contract[use_case.label.column].source, use_case.label.positive
    negative = next(value for value in records[label] if value not in ("", positive))
    is_sure = rng.random(DRAWN) < SURE
    columns[label] = np.where(is_high == is_sure, positive, negative)
    return pl.DataFrame(columns)

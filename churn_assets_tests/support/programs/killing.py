"""What a process does until it is killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.synchronize import Event
from pathlib import Path

import mlflow
import mlflow.sklearn
import narwhals.stable.v2 as nw
import polars as pl

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import GateError
from churn_assets.learning.fitting.challenger import train_challenger
from churn_assets.learning.judging.promotion import promote
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import Registry
from churn_assets.learning.scoring import score
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.project import QUICK

USE_CASE = USE_CASES["telco_churn"]
GENERATION = "generation"
ROWS = 3000
SHARE = 0.05


def replace_for_ever(root: str, name: str, started: Event) -> None:
    """Replace a table by its rows of a new generation, again and again."""
    table = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)[name]
    rows = table.scan()
    for generation in itertools.count(1):
        table.replace(rows.with_columns(nw.lit(generation).alias(GENERATION)), str(generation))
        rows = table.scan()
        started.set()


def create_for_ever(root: str, started: Event) -> None:
    """Write a table that is not there yet, in one folder after another."""
    for number in itertools.count():
        table = Lake(f"{root}/{number}", PolarsEngine(), layers=LAYERS).of(USE_CASE)["raw"]
        started.set()
        table.replace(nw.from_native(pl.LazyFrame({"key": range(ROWS)})), "1")


def append_for_ever(root: str, name: str, started: Event) -> None:
    """Append one more row to a table of records, again and again."""
    table = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)[name]
    while True:
        state = table.require()
        row = table.scan().head(1).with_columns(nw.lit(state.rows + 1).alias(GENERATION))
        table.append(row, str(state.rows), base=state.version, transaction="test")
        started.set()


def run_for_ever(root: str, started: Event) -> None:
    """Take turns between two sources, from the source to predictions."""
    for seed in itertools.count():
        started.set()
        run_once(root, seed % 2)


def run_once(root: str, seed: int) -> None:
    """From generated customers to predictions."""
    tables = Lake(f"{root}/lake", PolarsEngine(), layers=LAYERS).of(USE_CASE)
    registry = registry_of(root)
    ingest(USE_CASE, Source(rows=ROWS, seed=seed), tables)
    list(refine(USE_CASE, tables, SHARE))
    featurise(USE_CASE, tables)
    place = Workplace(USE_CASE, tables, registry)
    train_challenger(place, TrainingSettings(**QUICK), _opener(registry))
    # Two samples of one law: which of their models has the higher F1 is chance.
    with suppress(GateError):
        promote(place, "a test")
    score(place)


def registry_of(root: str) -> Registry:
    """The registry of a run."""
    artifacts = Path(root, "artifacts").as_uri()
    return Registry(f"sqlite:///{root}/mlflow.db", USE_CASE.name, artifacts)


def _opener(registry: Registry) -> Callable[[], AbstractContextManager[str]]:
    @contextmanager
    def opened() -> Iterator[str]:
        registry.connect()
        mlflow.set_experiment(registry.model_name)
        with mlflow.start_run() as run:
            yield run.info.run_id

    return opened

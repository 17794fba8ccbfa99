"""What bundles are tried on: the real file's customers, and models that are fitted on them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.data import TELCO
from churn_assets_tests.support.project import USE_CASE

FEW_TREES = {
    "random_forest": {"n_estimators": 12},
    "gradient_boosting": {"max_iter": 12},
    "lightgbm": {"n_estimators": 60},
    "xgboost": {"n_estimators": 12, "max_depth": 5},
}
Fit = Callable[..., Any]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Features of every customer of the real file; of made-up ones where it is not there."""
    source = Source(uri=str(TELCO)) if TELCO.exists() else Source(rows=7043)
    tables = Lake(str(tmp_path_factory.mktemp("lake")), PolarsEngine(), layers=LAYERS).of(USE_CASE)
    ingest(USE_CASE, source, tables)
    list(refine(USE_CASE, tables, max_reject_share=0.05))
    version = featurise(USE_CASE, tables).version
    engine = tables["features"].engine
    return engine.collect(tables["features"].scan(version)).to_pandas()


@pytest.fixture(scope="session")
def fit(rows: pd.DataFrame) -> Fit:
    """Fits a candidate to them, small."""

    def unfitted(name: str, use_case: UseCase, **changes: Any) -> Any:
        candidate = CATALOGUE[name].model_copy(update=changes)
        if candidate.members:
            return blend({one: unfitted(one, use_case) for one in candidate.members})
        return pipeline(use_case, candidate, FEW_TREES.get(name, {}), seed=0)

    @cache
    def as_it_comes(name: str) -> Any:
        return fit(name, USE_CASE)

    def fit(name: str, use_case: UseCase | None = None, **changes: Any) -> Any:
        if use_case is None and not changes:
            return as_it_comes(name)
        case, labels = use_case or USE_CASE, rows["label"].to_numpy(dtype=bool)
        return unfitted(name, case, **changes).fit(rows[list(case.inputs)], labels)

    return fit

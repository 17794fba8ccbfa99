"""What explanations are tried on: customers and models that are fitted on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows
from churn_assets_tests.support.explaining import Fitted
from churn_assets_tests.support.project import USE_CASE, customers

ENGINE = PolarsEngine()


@pytest.fixture(scope="package")
def silver() -> pa.Table:
    """Made-up customers."""
    records = ENGINE.from_arrow(customers(2500, seed=3).to_arrow())
    return ENGINE.collect(USE_CASE.clean(validate(records, USE_CASE.contract, ENGINE).valid))


@pytest.fixture(scope="package")
def rows(silver: pa.Table) -> pd.DataFrame:
    """Their features."""
    made = feature_rows(USE_CASE, ENGINE.from_arrow(silver), ENGINE)
    return ENGINE.collect(made.frame).to_pandas()


@pytest.fixture(scope="package")
def inputs(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[list(USE_CASE.inputs)]


@pytest.fixture(scope="package")
def fitted(rows: pd.DataFrame, inputs: pd.DataFrame) -> Fitted:
    """A candidate's default, fitted once."""
    models: dict[str, Any] = {}
    labels = rows["label"].fillna(False).to_numpy(dtype=bool)

    def unfitted(name: str) -> Any:
        candidate = CATALOGUE[name]
        if candidate.members:
            return blend({member: unfitted(member) for member in candidate.members})
        return pipeline(USE_CASE, candidate, {}, seed=0)

    def fit(name: str) -> Any:
        if name not in models:
            models[name] = unfitted(name).fit(inputs, labels)
        return models[name]

    return fit


@pytest.fixture(scope="package")
def hostile(inputs: pd.DataFrame) -> pd.DataFrame:
    """Customers of whom much is unknown, never seen before or out of all bounds."""
    odd = inputs.head(40).reset_index(drop=True).copy()
    odd.loc[:9, "contract"] = None
    odd.loc[5:14, "payment_method"] = "Barter, 'weekly' \U0001f40c"
    odd.loc[10:19, "tenure_months"] = np.nan
    odd.loc[20:24, "monthly_charges_usd"] = 1e12
    odd.loc[25:29, "total_charges_usd"] = -1e300
    odd.loc[30:34, :] = None
    return odd.astype(dict.fromkeys(USE_CASE.numeric, float))

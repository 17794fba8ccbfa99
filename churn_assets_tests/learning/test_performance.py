"""How good the trained model is: what no change of the code may fall below.

Each bound is the mean of ten trainings with seeds of their own on these very rows, less about
three standard deviations: what another seed may lose, and a worse recipe does not get away with.
"""

from __future__ import annotations

import tempfile
from functools import cache

import numpy as np
import pandas as pd
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.learning.fitting.training import Trained, labelled_rows, train
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.telco_generator import churn_probability, generate
from churn_assets_tests.support.data import TELCO

pytestmark = pytest.mark.slow
USE_CASE = USE_CASES["telco_churn"]
ROWS, SEED = 7043, 0
SOURCES = {"generated": Source(rows=ROWS, seed=SEED)}
if TELCO.exists():
    SOURCES["real"] = Source(uri=str(TELCO))

AT_LEAST = {
    "real": {"oof_roc_auc": 0.848, "oof_f1": 0.636, "test_roc_auc": 0.8485, "test_f1": 0.617},
    "generated": {"oof_roc_auc": 0.8575, "oof_f1": 0.642, "test_roc_auc": 0.8605, "test_f1": 0.629},
}
AT_MOST = {
    "real": {
        **{"oof_log_loss": 0.4125, "oof_brier": 0.134},
        **{"test_log_loss": 0.4125, "test_brier": 0.1342},
    },
    "generated": {
        **{"oof_log_loss": 0.3985, "oof_brier": 0.1295},
        **{"test_log_loss": 0.3965, "test_brier": 0.1288},
    },
}
MOST_GAP = 0.0047
"""Nats for each customer; likewise."""


@pytest.mark.parametrize("source", SOURCES)
def test_a_training_ranks_and_decides_as_well_as_it_did(source: str) -> None:
    found = trained_on(source).metrics

    fallen = {name: found[name] for name, least in AT_LEAST[source].items() if found[name] < least}

    assert not fallen


@pytest.mark.parametrize("source", SOURCES)
def test_probabilities_stay_as_near_to_what_happened_as_they_were(source: str) -> None:
    found = trained_on(source).metrics

    risen = {name: found[name] for name, most in AT_MOST[source].items() if found[name] > most}

    assert not risen


def test_scores_come_near_the_law_that_generated_customers_follow() -> None:
    trained = trained_on("generated")
    true, ours = law_of(trained.test[USE_CASE.key]), trained.test_scores

    # Kullback and Leibler (1951): the log loss above the law's own that is to be expected.
    gap = true * np.log(true / ours) + (1 - true) * np.log((1 - true) / (1 - ours))

    assert gap.mean() <= MOST_GAP


@cache
def trained_on(source: str) -> Trained:
    """What training as it comes makes of a source's customers."""
    rows = labelled(source)
    return train(USE_CASE, rows, TrainingSettings())


def labelled(source: str) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as root:
        tables = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)
        ingest(USE_CASE, SOURCES[source], tables)
        list(refine(USE_CASE, tables, max_reject_share=0.05))
        version = featurise(USE_CASE, tables).version
        return labelled_rows(USE_CASE, tables["features"], version, TrainingSettings()).rows


def law_of(keys: pd.Series) -> np.ndarray:
    """The probability that each generated customer's label was drawn with."""
    source = USE_CASE.contract[USE_CASE.key].source
    drawn = [
        pd.Series(churn_probability(batch), batch[source].to_pylist())
        for batch in generate(ROWS, SEED)
    ]
    return pd.concat(drawn).loc[keys].to_numpy()

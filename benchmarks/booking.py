"""Booking cancellation beside a random forest: `python -m benchmarks.booking`.

Both learn from the same bookings and are judged on the same ones: once on the newest fifth, as the
use case is, and once on a fifth drawn by the key's hash, which flatters, since neighbours in time
are on both sides, copies among them, which a run would not judge on. The forest is scikit-learn's
as it comes, on the columns as they come, one-hot; its threshold is the F1-best one of validation
rows, of a fit on train. Intervals are 95 % bootstrap intervals of the test rows; the differences'
are of the same resamples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.__main__ import DATA
from churn_assets.assets.resources import LAYERS
from churn_assets.learning.fitting.training import train
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest, ingest_labels
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import UseCase

USE_CASE = USE_CASES["booking_cancellation"]
HOTEL = DATA / "hotel_bookings.csv"
RESAMPLES = 1000
SHOWN = ("roc_auc", "log_loss", "brier", "f1")
COLUMNS = {column.name for column in USE_CASE.contract.columns}
CATEGORIES = list(USE_CASE.categorical)
NUMBERS = [name for name in USE_CASE.numeric if name in COLUMNS]


def rows_of(use_case: UseCase, folder: str) -> pd.DataFrame:
    """The bookings whose outcome is known, copies of others on the other side included."""
    source = Source(uri=str(HOTEL)) if HOTEL.exists() else Source(rows=36_285)
    tables = Lake(folder, PolarsEngine(), layers=LAYERS).of(use_case)
    ingest(use_case, source, tables)
    ingest_labels(use_case, source, tables)
    list(refine(use_case, tables))
    featurise(use_case, tables)
    known = tables["features"].scan().filter(~nw.col("label").is_null())
    return PolarsEngine().collect(known.sort(*use_case.keys)).to_pandas()


def forest(rows: pd.DataFrame) -> tuple[np.ndarray, float]:
    """Scores of test rows, and the threshold."""

    def fitted(part: pd.DataFrame) -> Any:
        encode = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), CATEGORIES), remainder="passthrough"
        )
        model = make_pipeline(encode, RandomForestClassifier(n_jobs=2, random_state=0))
        return model.fit(part[CATEGORIES + NUMBERS], part["label"].astype(bool))

    def scores(model: Any, part: pd.DataFrame) -> np.ndarray:
        # A forest of whole leaves is sure of what no model can be sure of.
        sure = model.predict_proba(part[CATEGORIES + NUMBERS])[:, 1]
        return np.clip(sure, 0.001, 0.999)

    by = dict(iter(rows.groupby("split")))
    validation = scores(fitted(by["train"]), by["validation"])
    threshold = f1_best_threshold(by["validation"]["label"].to_numpy(dtype=bool), validation)
    learned = pd.concat([by["train"], by["validation"]])
    return scores(fitted(learned), by["test"]), threshold


def resampled(
    labels: np.ndarray, contenders: Mapping[str, tuple[np.ndarray, float]]
) -> dict[str, list[dict[str, float]]]:
    """Each contender's metrics, of the test rows and of resamples of them."""
    rng = np.random.default_rng(0)
    drawn = [np.arange(len(labels))]
    drawn += [rng.integers(0, len(labels), len(labels)) for _ in range(RESAMPLES)]
    return {
        name: [metrics(labels[rows], scores[rows], threshold) for rows in drawn]
        for name, (scores, threshold) in contenders.items()
    }


def main() -> None:
    for by, use_case in (
        ("the newest fifth", USE_CASE),
        ("a fifth by the key's hash", replace(USE_CASE, split_by=None)),
    ):
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(use_case, folder)
        ours = train(use_case, rows, TrainingSettings())
        test = rows[rows["split"] == "test"]["label"].to_numpy(dtype=bool)
        print(f"\n{len(rows):,} bookings, judged on {by} ({len(test):,}); ours is {ours.recipe}")
        found = resampled(
            test, {"ours": (ours.test_scores, ours.threshold), "random forest": forest(rows)}
        )
        for metric in SHOWN:
            told = {
                name: np.array([each[metric] for each in several])
                for name, several in found.items()
            }
            told["difference"] = told["ours"] - told["random forest"]
            line = "  ".join(
                f"{name} {values[0]:.4f} ({np.quantile(values[1:], 0.025):.4f} to "
                f"{np.quantile(values[1:], 0.975):.4f})"
                for name, values in told.items()
            )
            print(f"  {metric:<9}{line}")


if __name__ == "__main__":
    main()

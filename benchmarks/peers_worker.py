"""Fit one peer in its own environment: `python peers_worker.py NAME FOLDER SEED SECONDS`.

The folder holds `train.parquet` (inputs and label) and `test.parquet` (inputs alone, so that no
peer sees what it is judged by); `result.json` is written beside them.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

FOLDS = 5


def flaml(train: pd.DataFrame, test: pd.DataFrame, seed: int, seconds: float, _: Path) -> Any:
    """FLAML for so many seconds; it keeps no out-of-fold scores, so its best one is refitted."""
    from flaml import AutoML
    from sklearn.model_selection import StratifiedKFold

    inputs, labels = train.drop(columns="label"), train["label"].astype(int)
    common = {"task": "classification", "metric": "log_loss", "seed": seed, "verbose": 0}
    found = AutoML()
    spent = _spent()
    found.fit(inputs, labels, time_budget=seconds, eval_method="cv", n_splits=FOLDS, **common)
    fitted = _spent() - spent
    unseen = np.empty(len(train))
    for seen, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(inputs, labels):
        # One iteration from a starting point fits just that, and searches nothing.
        again = AutoML()
        again.fit(
            inputs.iloc[seen].reset_index(drop=True),
            labels.iloc[seen].reset_index(drop=True),
            max_iter=1,
            estimator_list=[found.best_estimator],
            starting_points={found.best_estimator: found.best_config},
            **common,
        )
        unseen[held] = again.predict_proba(inputs.iloc[held])[:, 1]
    return found.predict_proba(test)[:, 1], unseen, fitted, found.best_estimator


def autogluon(train: pd.DataFrame, test: pd.DataFrame, _: int, __: float, folder: Path) -> Any:
    """AutoGluon of good quality: models bagged and weighted, then refitted on all rows."""
    from autogluon.tabular import TabularPredictor

    predictor = TabularPredictor(
        "label", eval_metric="log_loss", path=str(folder / "predictor"), verbosity=0
    )
    spent = _spent()
    # Its search for how many layers to stack found none on the first seed, at five times the time.
    predictor.fit(train, presets="good_quality", dynamic_stacking=False, num_stack_levels=0)
    fitted = _spent() - spent
    unseen = predictor.predict_proba_oof()[True].loc[train.index].to_numpy()
    return predictor.predict_proba(test)[True].to_numpy(), unseen, fitted, predictor.model_best


def _spent() -> np.ndarray:
    """Wall and CPU seconds so far, with processes that were started and have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in usages)])


def main(name: str, folder: Path, seed: int, seconds: float) -> None:
    train, test = (pd.read_parquet(folder / f"{part}.parquet") for part in ("train", "test"))
    np.random.seed(seed)
    fit = {"flaml": flaml, "autogluon": autogluon}[name]
    scores, unseen, fitted, best = fit(train, test, seed, seconds, folder)
    result = {
        "scores": [float(score) for score in scores],
        "out_of_fold": [float(score) for score in unseen],
        "wall": float(fitted[0]),
        "cpu": float(fitted[1]),
        "best": best,
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

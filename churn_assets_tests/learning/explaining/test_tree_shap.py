"""Shapley values by tables: those that LightGBM itself finds, only sooner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier

from churn_assets.learning.explaining.tree_shap import MOST_SPLITS, shapley_values

ROWS = 40_000


def table(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Numbers, flags and zeros, some of them missing, in column-major order."""
    rng = np.random.default_rng(seed)
    columns = np.zeros((rows, 6), order="F")
    columns[:, :2] = rng.normal(size=(rows, 2))
    columns[:, 2] = rng.integers(0, 2, rows)
    columns[:, 3] = rng.integers(-2, 3, rows)
    columns[:, 4] = rng.exponential(size=rows) * (rng.random(rows) < 0.5)
    columns[:, 5] = columns[:, 0] + 0.1 * rng.normal(size=rows)
    columns[rng.random((rows, 6)) < 0.05] = np.nan
    return columns


def fitted(**parameters: Any) -> LGBMClassifier:
    columns = table(3000)
    known = np.nan_to_num(columns)
    odds = known[:, 0] * known[:, 2] - known[:, 3] + known[:, 4] * known[:, 1]
    labels = np.random.default_rng(1).random(len(odds)) < 1 / (1 + np.exp(-odds))
    given = {"n_estimators": 30, "num_leaves": 8, "verbose": -1, "n_jobs": 1, **parameters}
    return LGBMClassifier(**given).fit(columns, labels)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"num_leaves": MOST_SPLITS + 1},
        {"num_leaves": 2},
        {"use_missing": False},
        {"zero_as_missing": True},
        {"subsample": 0.7, "subsample_freq": 1, "colsample_bytree": 0.5, "reg_lambda": 5.0},
        {"class_weight": "balanced", "boost_from_average": False},
        {"min_child_samples": 2000},
        {"max_depth": 2, "monotone_constraints": [1, 0, 0, -1, 0, 0]},
    ],
    ids=str,
)
def test_they_equal_what_lightgbm_finds(parameters: dict[str, Any]) -> None:
    model = fitted(**parameters)
    columns = table(300, seed=2)
    columns[:3] = [[0.0] * 6, [np.nan] * 6, [1e300] * 6]

    base, values = shapley_values(model.booster_, columns)

    expected = model.predict(columns, pred_contrib=True)
    assert values == pytest.approx(expected[:, :-1], abs=1e-12)
    assert base == pytest.approx(expected[0, -1], abs=1e-12)


def test_of_many_rows_each_has_its_own() -> None:
    model, columns = fitted(), table()

    base, values = shapley_values(model.booster_, columns)

    margin = model.predict(columns, raw_score=True)
    assert base + values.sum(axis=1) == pytest.approx(margin, abs=1e-9)


def test_a_model_fitted_anew_has_its_own() -> None:
    model, columns = fitted(), table(100)
    shapley_values(model.booster_, columns)

    model.set_params(learning_rate=0.3).fit(table(3000), np.arange(3000) % 3 == 0)
    base, values = shapley_values(model.booster_, columns)

    margin = model.predict(columns, raw_score=True)
    assert base + values.sum(axis=1) == pytest.approx(margin, abs=1e-9)


def test_trees_that_are_too_large_have_none() -> None:
    assert shapley_values(fitted(num_leaves=40).booster_, table(10)) is None


def test_trees_that_are_averaged_have_none() -> None:
    forest = fitted(boosting_type="rf", subsample=0.7, subsample_freq=1)

    assert shapley_values(forest.booster_, table(10)) is None


def test_splits_by_category_have_none() -> None:
    columns = table(3000)
    columns[:, 3] = np.random.default_rng(0).integers(0, 40, 3000)
    labels = np.isin(columns[:, 3], [1, 4, 9, 16, 25, 36])
    model = LGBMClassifier(n_estimators=5, num_leaves=4, verbose=-1, n_jobs=1)
    model.fit(columns, labels, categorical_feature=[3])

    assert shapley_values(model.booster_, columns) is None

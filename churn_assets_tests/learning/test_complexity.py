"""By how many numbers a model decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from xgboost import XGBClassifier

from churn_assets.learning.complexity import complexity
from churn_assets.learning.ensembles import Blend, Recalibrated

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 4))
Y = X[:, 0] + RNG.normal(size=400) > 0
STUMP = DecisionTreeClassifier(max_depth=1)
LINE = LogisticRegression()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (LINE, 4),
        (LogisticRegression(C=0.02, l1_ratio=1, solver="liblinear"), 1),
        (STUMP, 2),
        (RandomForestClassifier(5, max_depth=1), 10),
        (GradientBoostingClassifier(n_estimators=5, max_depth=1), 10),
        (HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=3), 15),
        (LGBMClassifier(n_estimators=5, num_leaves=3, verbose=-1), 15),
        (XGBClassifier(n_estimators=5, max_depth=1), 10),
        (VotingClassifier([("line", LINE), ("stump", make_pipeline(StandardScaler(), STUMP))]), 6),
        (make_pipeline(StandardScaler(), LINE), 4),
        (Blend([("line", LINE), ("stump", STUMP)]), 6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_leaves_and_coefficients_are_counted(model: Any, expected: int) -> None:
    fitted = model.fit(X, Y)

    assert complexity(fitted) == complexity(Recalibrated(fitted, 1.1, 0.0)) == expected


def test_of_another_estimator_the_numbers_are_counted_that_it_learnt() -> None:
    """Means and variances of four columns for two classes, the classes' own beside."""
    assert complexity(GaussianNB().fit(X, Y)) >= 16

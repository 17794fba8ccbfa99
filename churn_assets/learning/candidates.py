"""The models that training chooses from, each a scikit-learn Pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


def logistic_regression(use_case: UseCase, seed: int) -> Pipeline:
    """Logistic regression on standardised inputs: the baseline."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    return Pipeline(
        [
            ("encode", _encoder(use_case)),
            ("impute", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("scale", StandardScaler()),
            ("model", LogisticRegression(C=0.1, max_iter=1000, random_state=seed)),
        ]
    )


def lightgbm(use_case: UseCase, seed: int) -> Pipeline:
    """Small, regularised LightGBM; it treats a missing number as a value of its own."""
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline

    return Pipeline(
        [
            ("encode", _encoder(use_case)),
            (
                "model",
                LGBMClassifier(
                    n_estimators=250,
                    learning_rate=0.03,
                    num_leaves=8,
                    min_child_samples=40,
                    subsample=0.8,
                    subsample_freq=1,
                    colsample_bytree=0.5,
                    reg_lambda=5.0,
                    random_state=seed,
                    deterministic=True,
                    force_row_wise=True,
                    # As many threads as OpenMP is allowed, which training and scoring decide.
                    n_jobs=0,
                    verbose=-1,
                ),
            ),
        ]
    )


CANDIDATES: dict[str, Callable[[UseCase, int], Pipeline]] = {
    "logistic_regression": logistic_regression,
    "lightgbm": lightgbm,
}


def _encoder(use_case: UseCase) -> Any:
    from churn_assets.learning.encoding import TableEncoder

    return TableEncoder(list(use_case.numeric), list(use_case.categorical))

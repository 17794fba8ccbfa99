"""Why a model scores as it does: what each input adds to the log-odds of a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.ensembles import Blend, Recalibrated
from churn_assets.learning.explaining.adding_up import blocks_of, by_input, completed, walk
from churn_assets.learning.explaining.tree_shap import shapley_values
from churn_assets.learning.odds import log_odds

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Floats


_MANY = 2000
"""Rows for which it pays to make tables of LightGBM's trees."""


@dataclass(frozen=True)
class Contributions:
    """What each input adds to the log-odds of each customer's score.

    Parameters
    ----------
    base : float
        Log-odds of the score before any input is known.
    values : array of shape (n_customers, n_inputs)
        `base` and a row's values add up to the log-odds of that customer's score.
    names : tuple of str
        The inputs, in the order of the columns.
    """

    base: float
    values: Floats
    names: tuple[str, ...]


def contributions(model: Any, inputs: pd.DataFrame) -> Contributions:
    """What each input adds to the log-odds of each score; exact for every model.

    Trees of LightGBM and XGBoost are explained by their Shapley values, a logistic regression
    by its terms, each less its mean over the training rows, an average of models by the average
    of their contributions. Any other model is walked: from a customer of whom nothing is known to
    each customer, one input after the other, in an order and in its reverse.

    Parameters
    ----------
    model : Pipeline, Blend or Recalibrated
        Fitted; a Pipeline's first step has `sources_`: the input that each encoded column
        comes from.
    inputs : DataFrame of shape (n_customers, n_inputs)
        At least one row.

    References
    ----------
    Lundberg et al. (2020), "From local explanations to global understanding with explainable AI
    for trees", Nature Machine Intelligence 2; the walk is one antithetic pair of the permutation
    sampling of Strumbelj and Kononenko (2014), Knowledge and Information Systems 41(3), so its
    shares of two inputs that work together are rough, while their sum is exact.
    """
    if isinstance(model, Recalibrated):
        inner = contributions(model.base, inputs)
        base = model.slope * inner.base + model.intercept
        return Contributions(base, model.slope * inner.values, inner.names)
    if isinstance(model, Blend):
        parts = [contributions(member, inputs) for member in model.pipelines_]
        return Contributions(
            float(np.mean([part.base for part in parts])),
            np.mean([part.values for part in parts], axis=0),
            parts[0].names,
        )
    explain = _EXACT.get(type(model[-1]).__name__, _walk)
    base, encoded = explain(model, inputs)
    names = tuple(inputs.columns)
    return Contributions(base, by_input(encoded, model[0].sources_, names), names)


def importance(explained: Contributions) -> dict[str, float]:
    """Mean absolute contribution of each input in log-odds, the greatest first."""
    means = np.abs(explained.values).mean(axis=0)
    order = np.argsort(-means, kind="stable")
    return {explained.names[i]: float(means[i]) for i in order}


def _lightgbm(model: Any, inputs: pd.DataFrame) -> tuple[float, Floats]:
    encoded = model[:-1].transform(inputs)
    by_tables = shapley_values(model[-1].booster_, encoded) if len(inputs) >= _MANY else None
    if by_tables:
        return by_tables
    shares = model[-1].predict(encoded, pred_contrib=True)
    return float(shares[0, -1]), shares[:, :-1]


def _xgboost(model: Any, inputs: pd.DataFrame) -> tuple[float, Floats]:
    from xgboost import DMatrix

    matrix = DMatrix(model[:-1].transform(inputs))
    shares = model[-1].get_booster().predict(matrix, pred_contribs=True)
    return completed(shares, log_odds(model.predict_proba(inputs)[:, 1]))


def _linear(model: Any, inputs: pd.DataFrame) -> tuple[float, Floats]:
    # The columns are standardised, so that 0 is the mean of each.
    terms = model[:-1].transform(inputs)
    terms *= model[-1].coef_[0]
    return float(model[-1].intercept_[0]), terms


def _walk(model: Any, inputs: pd.DataFrame) -> tuple[float, Floats]:
    import pandas as pd

    encoder = model[0]
    nobody = encoder.transform(pd.DataFrame({name: [None] for name in inputs.columns}))

    def odds(encoded: Floats) -> Floats:
        scores = encoded
        for step in model[1:-1]:
            scores = step.transform(scores)
        return log_odds(model[-1].predict_proba(scores)[:, 1])

    return walk(encoder.transform(inputs), nobody, blocks_of(encoder.sources_), odds)


_EXACT = {
    "LGBMClassifier": _lightgbm,
    "XGBClassifier": _xgboost,
    "LogisticRegression": _linear,
}

"""How complex a fitted model is: by how many numbers it decides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


def complexity(model: Any) -> int:
    """How many numbers a fitted model decides by; of two, the one with fewer is simpler.

    The leaves of all trees of LightGBM, XGBoost and scikit-learn; the coefficients of a linear
    model that are not 0; of any other estimator the numbers in what it has learnt. A model that is
    made of others has theirs together.

    Parameters
    ----------
    model : Pipeline, Blend, Recalibrated or estimator
        Fitted.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), "The Elements of Statistical Learning", 2nd ed., 7.10:
    models are compared by the number of their parameters.
    """
    from sklearn.pipeline import Pipeline

    from churn_assets.learning.ensembles import Blend, Recalibrated

    if isinstance(model, Recalibrated):
        return complexity(model.base)
    if isinstance(model, Blend):
        return sum(complexity(member) for member in model.pipelines_)
    return _of_estimator(model[-1] if isinstance(model, Pipeline) else model)


def _of_estimator(estimator: Any) -> int:
    leaves = _leaves_of_boosted(estimator)
    if leaves is not None:
        return leaves
    if hasattr(estimator, "tree_"):
        return int(estimator.get_n_leaves())
    if hasattr(estimator, "estimators_"):
        parts = estimator.estimators_
        return sum(map(complexity, parts.ravel() if isinstance(parts, np.ndarray) else parts))
    if hasattr(estimator, "coef_"):
        return int(np.count_nonzero(estimator.coef_))
    return _numbers(value for name, value in vars(estimator).items() if name.endswith("_"))


def _leaves_of_boosted(estimator: Any) -> int | None:
    """Leaves of all trees of a boosting library's model; None of any other."""
    package = type(estimator).__module__.partition(".")[0]
    if package == "lightgbm":
        text = estimator.booster_.model_to_string(importance_type="split")
        return sum(map(int, re.findall(r"^num_leaves=(\d+)", text, re.MULTILINE)))
    if package == "xgboost":
        raw = estimator.get_booster().save_raw("json").decode()
        # Each split of a tree has two children.
        return sum((int(nodes) + 1) // 2 for nodes in re.findall(r'"num_nodes":"(\d+)"', raw))
    if hasattr(estimator, "_predictors"):
        trees = (tree for trees in estimator._predictors for tree in trees)
        return sum(int(tree.get_n_leaf_nodes()) for tree in trees)
    return None


def _numbers(values: Iterable[Any]) -> int:
    """How many numbers are in arrays, and lists of these."""
    found = 0
    for value in values:
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            found += value.size
        elif isinstance(value, (list, tuple)):
            found += _numbers(value)
    return found

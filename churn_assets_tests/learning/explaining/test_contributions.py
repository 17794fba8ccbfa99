"""Contributions that add up to the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.ensembles import Recalibrated
from churn_assets.learning.explaining.contributions import Contributions, contributions, importance
from churn_assets.learning.fitting.candidates import CATALOGUE, pipeline
from churn_assets.learning.odds import log_odds
from churn_assets_tests.support.explaining import Fitted, plain_use_case, scores
from churn_assets_tests.support.project import USE_CASE


@pytest.mark.parametrize("name", CATALOGUE)
def test_contributions_add_up_to_the_score(fitted: Fitted, inputs: pd.DataFrame, name: str) -> None:
    model = fitted(name)
    some = inputs.head(200)

    explained = contributions(model, some)

    assert explained.names == USE_CASE.inputs
    total = explained.base + explained.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, some)), abs=1e-9)


@pytest.mark.parametrize("name", CATALOGUE)
def test_hostile_rows_are_explained_like_any_other(
    fitted: Fitted, hostile: pd.DataFrame, name: str
) -> None:
    model = fitted(name)

    explained = contributions(model, hostile)

    total = explained.base + explained.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, hostile)), abs=1e-9)


def test_a_recalibrated_models_contributions_add_up_to_its_own_score(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = Recalibrated(fitted("blend"), slope=0.8, intercept=-0.2)

    explained = contributions(model, inputs)

    total = explained.base + explained.values.sum(axis=1)
    assert total == pytest.approx(log_odds(scores(model, inputs)), abs=1e-9)


def test_trees_are_explained_by_their_exact_shapley_values() -> None:
    """Of two inputs there are two orders, so the values can be found by hand."""
    from lightgbm import LGBMClassifier

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    labels = rng.random(600) < 1 / (1 + np.exp(-2 * table["a"] * table["b"]))
    two = plain_use_case(("a", "b"))
    model = pipeline(two, CATALOGUE["lightgbm"], {"n_estimators": 1, "num_leaves": 4}, 0)
    model.fit(table, labels)
    assert isinstance(model[-1], LGBMClassifier)
    tree = model[-1].booster_.dump_model()["tree_info"][0]["tree_structure"]

    def expectation(node: dict[str, Any], row: pd.Series[Any], inputs: set[int]) -> float:
        """What the tree expects where only some inputs are known."""
        if "leaf_value" in node:
            return float(node["leaf_value"])
        left, right = node["left_child"], node["right_child"]
        if node["split_feature"] in inputs:
            low = row.iloc[node["split_feature"]] <= node["threshold"]
            return expectation(left if low else right, row, inputs)
        weights = [child.get("leaf_count", child.get("internal_count")) for child in (left, right)]
        return float(
            np.average(
                [expectation(left, row, inputs), expectation(right, row, inputs)], weights=weights
            )
        )

    explained = contributions(model, table.head(20))

    for i, row in table.head(20).iterrows():
        none, a, b, both = (expectation(tree, row, inputs) for inputs in (set(), {0}, {1}, {0, 1}))
        assert explained.base == pytest.approx(none, abs=1e-9)
        shares = [(a - none + both - b) / 2, (b - none + both - a) / 2]
        assert explained.values[i] == pytest.approx(shares, abs=1e-9)


@pytest.mark.parametrize("name", ["contract", "tenure_months", "monthly_charges_usd"])
def test_a_linear_model_moves_by_the_contribution_of_an_input(
    fitted: Fitted, inputs: pd.DataFrame, name: str
) -> None:
    model = fitted("logistic_regression")
    i = list(inputs.columns).index(name)
    changed = inputs.assign(**{name: inputs[name].to_numpy()[::-1]})

    before, after = contributions(model, inputs), contributions(model, changed)

    change = after.values[:, i] - before.values[:, i]
    moved = log_odds(scores(model, changed)) - log_odds(scores(model, inputs))
    assert moved == pytest.approx(change, abs=1e-9)
    assert np.abs(moved).max() > 0.1


def test_importance_is_the_mean_strength_the_greatest_first() -> None:
    explained = Contributions(0.0, np.array([[1.0, -3.0], [-1.0, 1.0]]), ("a", "b"))

    assert list(importance(explained).items()) == [("b", 2.0), ("a", 1.0)]

"""The candidates: each fits and scores any table of the use case, odd values included."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting.candidates import (
    CATALOGUE,
    blend,
    chosen,
    is_monotone,
    pipeline,
    singles,
)
from churn_assets.learning.recipe import TrainingSettings
from churn_assets_tests.support.project import USE_CASE

INPUTS = list(USE_CASE.inputs)
SINGLE = [name for name, candidate in CATALOGUE.items() if not candidate.members]
FEW = {
    "random_forest": {"n_estimators": 20},
    "gradient_boosting": {"max_iter": 20},
    "lightgbm": {"n_estimators": 50},
    "xgboost": {"n_estimators": 50},
}
"""Enough trees to tell churners from others."""


def built(name: str, seed: int = 0) -> Any:
    if CATALOGUE[name].members:
        return blend({member: built(member) for member in CATALOGUE[name].members})
    return pipeline(USE_CASE, CATALOGUE[name], FEW.get(name, {}), seed)


def candidates_of(*candidates: Any) -> tuple[Any, ...]:
    return chosen(TrainingSettings(candidates=candidates))


def refusal(*candidates: Any) -> str:
    with pytest.raises(TrainingError) as refused:
        candidates_of(*candidates)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_registry_holds_six_candidates_and_all_of_them_compete_by_default() -> None:
    assert list(CATALOGUE) == [
        "logistic_regression",
        "random_forest",
        "gradient_boosting",
        "lightgbm",
        "xgboost",
        "blend",
    ]
    assert chosen(TrainingSettings()) == tuple(CATALOGUE.values())


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_candidate_ranks_churners_above_the_others(name: str, labelled: pd.DataFrame) -> None:
    from sklearn.metrics import roc_auc_score

    train, test = (labelled[labelled["split"] == split] for split in ("train", "test"))

    model = built(name).fit(train[INPUTS], train["label"].astype(bool))

    scores = model.predict_proba(test[INPUTS])[:, 1]
    assert roc_auc_score(test["label"].astype(bool), scores) > 0.75


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_candidate_scores_missing_extreme_and_unknown_values(
    name: str, labelled: pd.DataFrame
) -> None:
    rows = labelled.head(500)
    odd = rows[INPUTS].head(4).astype({"tenure_months": float, "num_optional_services": float})
    odd["tenure_months"] = [np.nan, 1e300, -1e300, np.inf]
    odd["num_optional_services"] = [1e39, np.nan, -np.inf, 0.0]
    odd.loc[:, "contract"] = ["Ten years", None, "", "Month-to-month"]

    model = built(name).fit(rows[INPUTS], rows["label"].astype(bool))

    scores = model.predict_proba(odd)
    assert np.isfinite(scores).all()
    assert scores.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_candidate_can_be_cloned_for_another_fit(name: str, labelled: pd.DataFrame) -> None:
    rows, labels = labelled[INPUTS].head(500), labelled["label"].head(500).astype(bool)
    model = built(name).fit(rows, labels)

    again = clone(model).fit(rows, labels)

    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting", "lightgbm", "xgboost"])
def test_a_seed_of_its_own_gives_another_model(name: str, labelled: pd.DataFrame) -> None:
    rows, labels = labelled[INPUTS].head(500), labelled["label"].head(500).astype(bool)

    first, second = (built(name, seed).fit(rows, labels).predict_proba(rows) for seed in (0, 1))

    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting", "lightgbm", "xgboost"])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_tree_model_keeps_the_direction_that_a_use_case_asks_for(
    name: str, direction: int, labelled: pd.DataFrame
) -> None:
    case = replace(USE_CASE, monotone={"tenure_months": direction})
    rows, labels = labelled[INPUTS].head(1000), labelled["label"].head(1000).astype(bool)
    ladder = pd.concat([rows.head(20).assign(tenure_months=month) for month in range(0, 73, 4)])

    model = pipeline(case, CATALOGUE[name], FEW[name], 0).fit(rows, labels)

    scores = model.predict_proba(ladder)[:, 1].reshape(-1, 20)
    assert is_monotone(CATALOGUE[name])
    assert (np.diff(scores, axis=0) * direction >= -1e-9).all()


def test_a_linear_model_keeps_no_direction() -> None:
    assert not is_monotone(CATALOGUE["logistic_regression"])


def test_a_name_alone_stands_for_what_the_registry_knows() -> None:
    assert candidates_of("lightgbm", "blend") == (CATALOGUE["lightgbm"], CATALOGUE["blend"])


def test_what_is_said_of_a_known_candidate_goes_before_the_registry() -> None:
    (changed,) = candidates_of({"name": "lightgbm", "parameters": {"num_leaves": 4}})

    assert changed.parameters == {"num_leaves": 4}
    assert changed.estimator == CATALOGUE["lightgbm"].estimator
    assert changed.space == CATALOGUE["lightgbm"].space


def test_any_estimator_of_scikit_learns_kind_becomes_a_candidate_by_its_name(
    labelled: pd.DataFrame,
) -> None:
    rows, labels = labelled[INPUTS].head(500), labelled["label"].head(500).astype(bool)

    (own,) = candidates_of(
        {
            "name": "neighbours",
            "estimator": "sklearn.neighbors.KNeighborsClassifier",
            "inputs": "linear",
            "parameters": {"n_neighbors": 25},
            "space": {"n_neighbors": {"low": 5, "high": 50}, "weights": ["uniform", "distance"]},
        }
    )

    model = pipeline(USE_CASE, own, {"weights": "distance"}, 0)
    assert (model[-1].n_neighbors, model[-1].weights) == (25, "distance")
    assert model.fit(rows, labels).predict_proba(rows).shape == (500, 2)


def test_a_blend_draws_members_that_were_not_asked_for_from_the_registry() -> None:
    candidates = candidates_of("blend", {"name": "lightgbm", "parameters": {"num_leaves": 4}})

    single = {candidate.name: candidate for candidate in singles(candidates)}

    assert set(single) == {"logistic_regression", "lightgbm"}
    assert single["lightgbm"].parameters == {"num_leaves": 4}


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ("lightgmb", "there is no such candidate. Known are logistic_regression, random_forest"),
        ({"name": "own", "estimator": "no_such.Model"}, "no_such.Model cannot be imported"),
        ({"name": "own", "estimator": "sklearn.svm.NoModel"}, "cannot be imported"),
        ({"name": "own", "estimator": "Model"}, "cannot be imported"),
        ({"name": "own", "estimator": "json.dumps"}, "json.dumps is not an estimator"),
        ({"name": "own", "estimator": "sklearn.svm.LinearSVC"}, "gives no probabilities"),
        (
            {"name": "lightgbm", "parameters": {"num_leafs": 4}},
            "lightgbm.LGBMClassifier has no parameter 'num_leafs'. Did you mean num_leaves?",
        ),
        (
            {"name": "xgboost", "space": {"depth": [1, 2]}},
            "space: xgboost.XGBClassifier has no parameter 'depth'",
        ),
        ({"name": "own", "members": ["lightgbm", "none"]}, "there is no member 'none'. Known are"),
        ({"name": "own", "members": ["blend"]}, "there is no member 'blend'"),
        (
            {"name": "own", "members": ["lightgbm"], "estimator": "sklearn.svm.SVC"},
            "an estimator or members, and not both",
        ),
    ],
)
def test_a_candidate_that_cannot_be_is_refused_in_one_line(candidate: Any, message: str) -> None:
    found = refusal(candidate)

    assert message in found
    assert found.startswith("candidate '")


def test_two_candidates_of_one_name_are_refused() -> None:
    assert "it is named twice" in refusal("lightgbm", "lightgbm")

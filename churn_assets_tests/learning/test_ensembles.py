"""Models made of models: what they score, and that it can be stored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from churn_assets.learning.ensembles import Blend, Recalibrated
from churn_assets.learning.odds import averaged, log_odds, recalibrated, sigmoid


def table() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    return inputs, (inputs["a"] + rng.normal(size=300) > 0).to_numpy()


def members() -> list[tuple[str, object]]:
    return [
        ("linear", LogisticRegression()),
        ("tree", DecisionTreeClassifier(max_depth=2, random_state=0)),
    ]


def test_log_odds_and_sigmoid_undo_each_other() -> None:
    scores = np.array([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6])

    assert sigmoid(log_odds(scores)) == pytest.approx(scores, rel=1e-9)


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_sure_score_has_finite_log_odds(score: float) -> None:
    assert abs(log_odds(np.array([score]))[0]) == pytest.approx(20.7, abs=0.1)


def test_a_blend_scores_with_the_mean_of_its_members_log_odds() -> None:
    inputs, labels = table()

    blend = Blend(members()).fit(inputs, labels)

    alone = [model.fit(inputs, labels).predict_proba(inputs)[:, 1] for _, model in members()]
    odds = log_odds(blend.predict_proba(inputs)[:, 1])
    assert odds == pytest.approx((log_odds(alone[0]) + log_odds(alone[1])) / 2, abs=1e-9)
    assert blend.predict_proba(inputs).sum(axis=1) == pytest.approx(1)
    assert np.array_equal(averaged(alone), blend.predict_proba(inputs)[:, 1])


def test_a_blend_leaves_its_members_unfitted_and_can_be_cloned() -> None:
    inputs, labels = table()
    blend = Blend(members()).fit(inputs, labels)

    again = clone(blend)

    assert not hasattr(blend.members[0][1], "coef_")
    assert not hasattr(again, "pipelines_")
    assert np.array_equal(
        again.fit(inputs, labels).predict_proba(inputs), blend.predict_proba(inputs)
    )


def test_a_recalibrated_model_scores_on_the_line() -> None:
    inputs, labels = table()
    base = LogisticRegression().fit(inputs, labels)

    model = Recalibrated(base, 0.5, 1.0).fit(inputs, ~labels)

    raw = base.predict_proba(inputs)[:, 1]
    scores = model.predict_proba(inputs)[:, 1]
    assert log_odds(scores) == pytest.approx(0.5 * log_odds(raw) + 1, abs=1e-9)
    assert np.array_equal(scores, recalibrated(raw, 0.5, 1.0))
    assert list(model.classes_) == [False, True]


def test_a_line_of_slope_one_through_nought_changes_no_score() -> None:
    scores = np.array([0.01, 0.3, 0.99])

    assert recalibrated(scores, 1.0, 0.0) == pytest.approx(scores, abs=1e-12)

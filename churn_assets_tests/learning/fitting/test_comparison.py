"""Candidates beside each other: what is compared, and which is chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.fitting.comparison import Compared, choose, compared, quick_metrics
from churn_assets.learning.fitting.folds import Rows
from churn_assets.learning.fitting.search import Best
from churn_assets.learning.fitting.single_inputs import telling_inputs
from churn_assets.learning.fitting.trial import Fits
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets_tests.support.project import USE_CASE


def sample(rows: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.beta(1, 3, rows), 2)
    return rng.random(rows) < scores, scores


def test_quick_metrics_are_those_of_scikit_learn_with_ties_too() -> None:
    labels, scores = sample()
    expected = metrics(labels, scores, f1_best_threshold(labels, scores))

    found = quick_metrics(labels, scores)

    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-9)


def candidate(loss: float, complexity: int, standard_error: float = 0.01) -> Compared:
    return Compared(loss, standard_error, complexity, 1.0, {})


@pytest.mark.parametrize(
    ("choice", "expected"), [("best", "large"), ("simplest", "small")], ids=["best", "simplest"]
)
def test_the_simplest_lies_within_one_standard_error_of_the_best(
    choice: str, expected: str
) -> None:
    candidates = {
        "large": candidate(0.400, 900),
        "middle": candidate(0.405, 200),
        "small": candidate(0.410, 50),
        # Simpler, and worse than chance alone makes it.
        "line": candidate(0.4101, 5),
    }

    assert choose(candidates, choice) == expected


def test_the_standard_error_is_that_of_the_mean_loss_of_a_row() -> None:
    labels, scores = sample(400)
    everywhere = np.arange(400)
    rows = Rows(pd.DataFrame(index=everywhere), labels, [(everywhere, everywhere)])
    best = Best({}, 0.4, Fits(scores, scores, 2.0, 7))

    found = compared(best, rows, "brier")

    errors = (scores - labels) ** 2
    assert found.standard_error == pytest.approx(errors.std(ddof=1) / 20)
    assert (found.loss, found.complexity, found.seconds) == (0.4, 7, 2.0)
    assert (
        found.metrics["oof_brier"] == found.metrics["train_brier"] == pytest.approx(errors.mean())
    )


def test_an_input_that_tells_much_is_named_only_where_the_score_is_implausible() -> None:
    labels, scores = sample(4000)
    inputs = pd.DataFrame({name: np.zeros(4000) for name in USE_CASE.inputs})
    inputs[list(USE_CASE.categorical)] = inputs[list(USE_CASE.categorical)].astype("category")
    first, second = USE_CASE.numeric[:2]
    inputs[first] = np.where(labels, np.nan, 5.0)
    # Tells little alone, and is high where the outcome is not near its middle.
    inputs[second] = scores
    halves = np.arange(2000), np.arange(2000, 4000)
    rows = Rows(inputs, labels, [halves, halves[::-1]])

    assert telling_inputs(USE_CASE, rows, auc=0.949) == {}
    assert telling_inputs(USE_CASE, rows, auc=0.999) == {first: 1.0}

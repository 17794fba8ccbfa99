"""Metrics: what a number says, and how sure a bound is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.learning.metrics import (
    best_constant_f1,
    f1_best_threshold,
    f1_lower,
    metrics,
    roc_auc_lower,
)

NAMES = {"accuracy", "f1", "precision", "recall", "roc_auc", "pr_auc", "log_loss", "brier"}


def made(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and well-calibrated scores."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, rows)
    return rng.random(rows) < scores, scores


def test_each_metric_is_what_its_name_says() -> None:
    labels = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.6, 0.2, 0.1])

    found = metrics(labels, scores, threshold=0.5)

    assert set(found) == NAMES
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx(1 / 2)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["f1"] == pytest.approx(1 / 2)
    assert found["roc_auc"] == pytest.approx(5 / 6)
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.04 + 0.01) / 5)
    assert found["log_loss"] == pytest.approx(
        -np.log([0.9, 0.4, 0.4, 0.8, 0.9]).mean(),
    )


def test_a_score_equal_to_the_threshold_is_decided_as_churn() -> None:
    found = metrics(np.array([True, False]), np.array([0.5, 0.1]), threshold=0.5)

    assert found["recall"] == 1


def test_nobody_decided_as_churn_gives_zero_and_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    found = metrics(np.array([True, False]), np.array([0.5, 0.1]), threshold=0.9)

    assert (found["precision"], found["recall"], found["f1"]) == (0, 0, 0)
    assert not recwarn.list


def test_the_bound_of_roc_auc_is_delongs_counted_pair_by_pair() -> None:
    labels = np.array([True, True, True, False, False, False, False])
    scores = np.array([0.8, 0.7, 0.3, 0.6, 0.3, 0.2, 0.1])
    wins = (scores[labels][:, None] > scores[~labels]) + 0.5 * (
        scores[labels][:, None] == scores[~labels]
    )
    deviation = np.sqrt(wins.mean(axis=1).var(ddof=1) / 3 + wins.mean(axis=0).var(ddof=1) / 4)

    auc, bound = roc_auc_lower(labels, scores)

    assert auc == pytest.approx(wins.mean())
    assert bound == pytest.approx(wins.mean() - 1.6448536 * deviation)


def test_the_bound_of_roc_auc_agrees_with_a_bootstrap_of_the_rows() -> None:
    from sklearn.metrics import roc_auc_score

    labels, scores = made()
    rng = np.random.default_rng(1)
    drawn = (rng.integers(0, len(labels), len(labels)) for _ in range(500))
    resampled = [roc_auc_score(labels[rows], scores[rows]) for rows in drawn]

    auc, bound = roc_auc_lower(labels, scores)

    assert auc == pytest.approx(roc_auc_score(labels, scores))
    assert bound == pytest.approx(np.quantile(resampled, 0.05), abs=0.006)


def test_the_bound_of_f1_agrees_with_a_bootstrap_of_the_rows() -> None:
    from sklearn.metrics import f1_score

    labels, scores = made()
    decided = scores >= 0.3
    rng = np.random.default_rng(1)
    drawn = (rng.integers(0, len(labels), len(labels)) for _ in range(500))
    resampled = [f1_score(labels[rows], decided[rows]) for rows in drawn]

    f1, bound = f1_lower(labels, decided)

    assert f1 == pytest.approx(f1_score(labels, decided))
    assert bound == pytest.approx(np.quantile(resampled, 0.05), abs=0.008)


def test_the_bound_of_f1_is_the_same_each_time() -> None:
    labels, scores = made()

    assert f1_lower(labels, scores > 0.3) == f1_lower(labels, scores > 0.3)


def test_bounds_cover_the_truth_nineteen_times_of_twenty() -> None:
    """Of useless scores a bound may lie above chance in one sample of twenty, no more."""
    rng = np.random.default_rng(2)
    samples = [(rng.random(300) < 0.27, rng.random(300)) for _ in range(400)]

    above = np.mean([roc_auc_lower(labels, scores)[1] > 0.5 for labels, scores in samples])

    assert above == pytest.approx(0.05, abs=0.03)


def test_the_best_constant_guess_is_that_everyone_churns() -> None:
    from sklearn.metrics import f1_score

    labels, _ = made()

    best = best_constant_f1(labels)

    assert best == pytest.approx(f1_score(labels, np.ones_like(labels)))
    assert best > f1_score(labels, np.zeros_like(labels))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from([0.1, 0.25, np.nextafter(0.25, 1), 0.5, 1.0]) | st.floats(0, 1),
        ),
        min_size=2,
        max_size=30,
    ).filter(lambda rows: any(label for label, _ in rows))
)
def test_no_other_threshold_has_a_higher_f1(rows: list[tuple[bool, float]]) -> None:
    from sklearn.metrics import f1_score

    labels = np.array([label for label, _ in rows])
    scores = np.array([score for _, score in rows])

    threshold = f1_best_threshold(labels, scores)

    every = [f1_score(labels, scores >= other) for other in scores]
    assert f1_score(labels, scores >= threshold) == pytest.approx(max(every))


def test_the_threshold_lies_between_two_scores() -> None:
    labels = np.array([True, True, False, False])
    scores = np.array([0.9, 0.7, 0.3, 0.1])

    assert f1_best_threshold(labels, scores) == pytest.approx(0.5)


def test_the_threshold_parts_two_neighbouring_floats() -> None:
    below, above = 0.25, float(np.nextafter(0.25, 1))

    threshold = f1_best_threshold(np.array([True, False]), np.array([above, below]))

    assert below < threshold <= above

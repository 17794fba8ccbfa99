"""How sure the metrics of a card are."""

from __future__ import annotations

import time

import numpy as np
import pytest

from churn_assets.learning.card.intervals import margins
from churn_assets.learning.metrics import metrics


def sample(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are right, and what became of the customers."""
    scores = 1 / (1 + np.exp(-rng.normal(-1.2, 1.4, rows)))
    return rng.random(rows) < scores, scores


def test_an_interval_holds_the_truth_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(0)
    truth = metrics(*sample(200_000, rng), threshold=0.3)
    samples = [sample(400, rng) for _ in range(50)]

    held = dict.fromkeys(margins(*samples[0], threshold=0.3), 0)
    for labels, scores in samples:
        found, margin = metrics(labels, scores, 0.3), margins(labels, scores, 0.3)
        for name in held:
            held[name] += abs(found[name] - truth[name]) <= margin[name]

    assert set(held) == {"roc_auc", "pr_auc", "f1", "log_loss", "brier"}
    assert min(held.values()) >= 43, held
    # Wide enough is easy; too wide would always hold it.
    assert sum(held.values()) < 50 * len(held)


def test_intervals_of_many_rows_take_no_longer_than_a_moment() -> None:
    labels, scores = sample(200_000, np.random.default_rng(0))

    start = time.process_time()
    margin = margins(labels, scores, 0.3)

    assert time.process_time() - start < 10
    assert 0 < margin["pr_auc"] < 0.01


def test_equal_scores_leave_pr_auc_about_as_sure() -> None:
    labels, scores = sample(1000, np.random.default_rng(0))
    few = np.round(scores * 4) / 4

    margin = margins(labels, few, 0.3)["pr_auc"]

    assert margin == pytest.approx(margins(labels, scores, 0.3)["pr_auc"], rel=0.3)

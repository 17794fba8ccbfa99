"""Pictures: what a person sees in the UI."""

import numpy as np
import pytest

from churn_assets.learning.plots import score_pictures
from churn_assets_tests.support.pages import seen


def made(rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 3, rows)
    return rng.random(rows) < scores, scores


def test_each_picture_is_small_and_shows_something() -> None:
    drawn = score_pictures(*made(), threshold=0.3)

    assert set(drawn) == {
        "roc_curve",
        "precision_recall_curve",
        "confusion_matrix",
        "calibration",
    }
    for name, svg in drawn.items():
        assert seen(svg).marks > 1, name


def test_the_same_scores_give_the_same_picture_and_others_another() -> None:
    labels, scores = made()
    drawn = score_pictures(labels, scores, threshold=0.3)

    assert score_pictures(labels, scores, threshold=0.3) == drawn
    other = score_pictures(labels, scores[::-1], threshold=0.3)
    assert all(other[name] != drawn[name] for name in drawn)


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [(np.full(40, 0.3), 0.3), (np.linspace(0, 1, 40), 2.0), (np.linspace(0, 1, 40), 0.0)],
    ids=["all scores alike", "nobody decided", "everybody decided"],
)
def test_odd_scores_are_drawn_without_a_warning(
    scores: np.ndarray, threshold: float, recwarn: pytest.WarningsRecorder
) -> None:
    labels = np.arange(40) % 4 == 0

    drawn = score_pictures(labels, scores, threshold)

    assert all(seen(svg).marks for svg in drawn.values())
    assert not [str(warning.message) for warning in recwarn]

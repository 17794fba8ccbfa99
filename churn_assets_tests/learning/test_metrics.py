"""Metrics: what a number says, and how sure a bound is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.learning.metrics import (
    RESAMPLED_ROWS,
    auc_difference,
    best_constant_f1,
    brier_gain,
    calibration_bounds,
    calibration_error,
    calibration_line,
    f1,
    f1_best_threshold,
    f1_difference,
    mean_bounds,
    metrics,
    roc_auc_bounds,
)

NAMES = {"accuracy", "f1", "precision", "recall", "roc_auc", "pr_auc", "log_loss", "brier"}


def made(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and well-calibrated scores."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(1, 3, rows)
    return rng.random(rows) < scores, scores


def pair(rows: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, well-calibrated scores, and the same disturbed."""
    labels, scores = made(rows, seed)
    noise = np.random.default_rng(seed + 1).normal(0, 0.1, rows)
    return labels, scores, np.clip(scores + noise, 0, 1)


def resampled(rows: int, draws: int = 500) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, rows, rows) for _ in range(draws)]


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


def test_the_bounds_of_roc_auc_are_delongs_on_log_odds_counted_pair_by_pair() -> None:
    labels = np.array([True, True, True, False, False, False, False])
    scores = np.array([0.8, 0.7, 0.3, 0.6, 0.3, 0.2, 0.1])
    wins = (scores[labels][:, None] > scores[~labels]) + 0.5 * (
        scores[labels][:, None] == scores[~labels]
    )
    auc = wins.mean()
    deviation = np.sqrt(wins.mean(axis=1).var(ddof=1) / 3 + wins.mean(axis=0).var(ddof=1) / 4)
    # Of Student's t with two degrees of freedom, since three is the rarer outcome.
    reach = 2.9199856 * deviation / (auc * (1 - auc))
    odds = np.log(auc / (1 - auc))

    found = roc_auc_bounds(labels, scores)

    assert found.value == pytest.approx(auc)
    assert found.lower == pytest.approx(1 / (1 + np.exp(-(odds - reach))))
    assert found.upper == pytest.approx(1 / (1 + np.exp(-(odds + reach))))


def test_the_bound_of_roc_auc_agrees_with_a_bootstrap_of_the_rows() -> None:
    from sklearn.metrics import roc_auc_score

    labels, scores = made()
    rng = np.random.default_rng(1)
    drawn = (rng.integers(0, len(labels), len(labels)) for _ in range(500))
    resampled = [roc_auc_score(labels[rows], scores[rows]) for rows in drawn]

    found = roc_auc_bounds(labels, scores)

    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.lower == pytest.approx(np.quantile(resampled, 0.05), abs=0.006)


@pytest.mark.parametrize(("rows", "rate", "auc"), [(40, 0.5, 0.95), (40, 0.27, 0.84)])
def test_the_bound_of_roc_auc_holds_of_forty_rows_about_nineteen_times_in_twenty(
    rows: int, rate: float, auc: float
) -> None:
    from scipy.special import ndtri

    rng = np.random.default_rng(0)
    apart = np.sqrt(2) * ndtri(auc)
    samples = [rng.random(rows) < rate for _ in range(800)]

    below = [
        roc_auc_bounds(labels, rng.normal(apart * labels, 1)).lower <= auc for labels in samples
    ]

    assert 0.93 <= np.mean(below) <= 0.99


def test_perfect_ranks_of_few_rows_have_a_bound_that_few_rows_allow() -> None:
    labels = np.arange(40) < 11

    perfect, reversed_ = (roc_auc_bounds(labels, 0.5 + sign * labels / 4) for sign in (1, -1))

    assert (perfect.value, perfect.upper) == (1, 1)
    assert perfect.lower == pytest.approx(0.05 ** (1 / 11))
    assert (reversed_.value, reversed_.lower) == (0, 0)
    assert reversed_.upper == pytest.approx(1 - 0.05 ** (1 / 11))
    assert roc_auc_bounds(np.arange(40) < 1, np.arange(40) / 40).lower == 0


def test_bounds_cover_the_truth_nineteen_times_of_twenty() -> None:
    """Of useless scores a bound may lie above chance in one sample of twenty, no more."""
    rng = np.random.default_rng(2)
    samples = [(rng.random(300) < 0.27, rng.random(300)) for _ in range(400)]

    above = np.mean([roc_auc_bounds(labels, scores).lower > 0.5 for labels, scores in samples])

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


def test_f1_of_decisions_is_what_its_name_says() -> None:
    from sklearn.metrics import f1_score

    labels, scores = made()

    assert f1(labels, scores >= 0.3) == pytest.approx(f1_score(labels, scores >= 0.3))
    assert f1(~labels & False, labels & False) == 0


def test_a_model_does_not_differ_from_itself() -> None:
    labels, scores = made()

    for found in (
        auc_difference(labels, scores, scores),
        brier_gain(labels, scores, scores),
        f1_difference(labels, scores > 0.3, scores > 0.3),
    ):
        assert (found.value, found.lower, found.upper) == (0, 0, 0)


def test_the_bounds_of_an_auc_difference_are_delongs_counted_pair_by_pair() -> None:
    labels = np.array([True, True, True, False, False, False, False])
    ours = np.array([0.8, 0.7, 0.3, 0.6, 0.3, 0.2, 0.1])
    theirs = np.array([0.9, 0.2, 0.4, 0.6, 0.3, 0.1, 0.2])

    def wins(scores: np.ndarray) -> np.ndarray:
        ahead = scores[labels][:, None] - scores[~labels]
        return (ahead > 0) + 0.5 * (ahead == 0)

    gained = wins(ours) - wins(theirs)
    deviation = np.sqrt(gained.mean(axis=1).var(ddof=1) / 3 + gained.mean(axis=0).var(ddof=1) / 4)

    found = auc_difference(labels, ours, theirs)

    assert found.value == pytest.approx(gained.mean())
    assert found.lower == pytest.approx(gained.mean() - 1.6448536 * deviation)
    assert found.upper == pytest.approx(gained.mean() + 1.6448536 * deviation)


def test_the_bounds_of_an_auc_difference_agree_with_a_bootstrap_of_the_rows() -> None:
    from sklearn.metrics import roc_auc_score

    labels, ours, theirs = pair()
    gained = [
        roc_auc_score(labels[rows], ours[rows]) - roc_auc_score(labels[rows], theirs[rows])
        for rows in resampled(len(labels))
    ]

    found = auc_difference(labels, ours, theirs)

    assert found.value == pytest.approx(roc_auc_score(labels, ours) - roc_auc_score(labels, theirs))
    assert (found.lower, found.upper) == pytest.approx(np.quantile(gained, [0.05, 0.95]), abs=0.003)


def test_the_bounds_of_a_brier_gain_are_those_of_a_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    labels, ours, theirs = pair()
    losses = [(scores - labels) ** 2 for scores in (theirs, ours)]
    greater = ttest_rel(*losses, alternative="greater").confidence_interval(0.95)
    less = ttest_rel(*losses, alternative="less").confidence_interval(0.95)

    found = brier_gain(labels, ours, theirs)

    assert found.value > 0
    assert (found.lower, found.upper) == pytest.approx((greater.low, less.high))


def test_the_bounds_of_an_f1_difference_agree_with_a_bootstrap_of_the_rows() -> None:
    labels, scores, others = pair()
    ours, theirs = scores >= 0.3, others >= 0.4
    gained = [
        f1(labels[rows], ours[rows]) - f1(labels[rows], theirs[rows])
        for rows in resampled(len(labels), 2000)
    ]

    found = f1_difference(labels, ours, theirs)

    assert found.value == pytest.approx(f1(labels, ours) - f1(labels, theirs))
    assert (found.lower, found.upper) == pytest.approx(np.quantile(gained, [0.05, 0.95]), abs=0.005)
    assert f1_difference(labels, ours, theirs) == found


@pytest.mark.parametrize("rows", [400, RESAMPLED_ROWS, RESAMPLED_ROWS + 1])
def test_the_bounds_of_a_mean_are_those_of_the_normal_law_or_near(rows: int) -> None:
    values = np.random.default_rng(0).gamma(2, 10, rows)
    reach = 1.645 * values.std() / np.sqrt(rows)

    found = mean_bounds(values)

    assert found.value == pytest.approx(values.mean())
    assert (found.lower, found.upper) == pytest.approx(
        (values.mean() - reach, values.mean() + reach), abs=0.08 * reach
    )
    assert mean_bounds(values) == found


def test_scores_that_are_right_have_slope_1_and_intercept_0() -> None:
    labels, scores = made(20_000)

    assert calibration_line(labels, scores) == pytest.approx((1, 0), abs=0.06)


def test_scores_that_are_too_extreme_have_a_slope_below_1() -> None:
    labels, scores = made(20_000)
    odds = (scores / (1 - scores)) ** 2

    slope, intercept = calibration_line(labels, odds / (1 + odds))

    assert slope == pytest.approx(0.5, abs=0.03)
    assert intercept == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.27, 0.5, 0.8])
def test_the_interval_of_the_odds_holds_what_they_were_multiplied_by(rate: float) -> None:
    rng = np.random.default_rng(0)
    odds = np.log(rate / (1 - rate)) + rng.normal(0, 1, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-odds))

    slope, right = calibration_bounds(labels, 1 / (1 + np.exp(-odds)))
    _, doubled = calibration_bounds(labels, 1 / (1 + np.exp(-odds - np.log(2))))
    extreme, _ = calibration_bounds(labels, 1 / (1 + np.exp(-2 * odds)))

    assert right.lower < 0 < right.upper
    assert slope.lower < 1 < slope.upper
    assert doubled.lower < -np.log(2) < doubled.upper < -0.2
    assert extreme.upper < 0.8


def test_the_calibration_of_few_or_equal_or_perfect_scores_is_finite_and_not_sure() -> None:
    labels = np.arange(6) < 2

    for scores in (np.full(6, 0.4), np.where(labels, 1.0, 0.0)):
        slope, intercept = calibration_bounds(labels, scores)
        ends = (slope.lower, slope.upper, intercept.lower, intercept.upper)
        assert np.isfinite(ends).all()
        assert slope.lower < 1 < slope.upper
        assert intercept.lower < 0 < intercept.upper


def test_exact_zeros_that_come_true_now_and_then_are_not_taken_for_certainty() -> None:
    """As a forest has them: 0 of one in a thousand does no harm at a rate of one in four."""
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(20_000) < 0.5, 0.001, 0.5)
    labels = rng.random(20_000) < truth

    for scores in (np.where(truth < 0.01, 0.0, truth), truth):
        slope, intercept = calibration_bounds(labels, scores)
        assert slope.lower < 1 < slope.upper
        assert intercept.lower < 0 < intercept.upper


@pytest.mark.parametrize("rows", [1500, RESAMPLED_ROWS + 1])
def test_right_scores_are_beyond_the_calibration_error_of_chance_once_in_a_hundred(
    rows: int,
) -> None:
    samples = [calibration_error(*made(rows, seed), seed=seed) for seed in range(150)]

    beyond = [found.error > found.consistent_error for found in samples]
    outside = [(found.observed < found.low) | (found.observed > found.high) for found in samples]
    assert np.mean(beyond) <= 0.04
    assert np.mean(outside) == pytest.approx(0.01, abs=0.01)
    assert np.median([found.error / found.consistent_error for found in samples]) > 0.4


def test_wrong_scores_show_the_gap_in_each_bin() -> None:
    labels, scores = made(2000)

    found = calibration_error(labels, np.clip(scores + 0.2, 0, 1))

    assert len(found.predicted) == 10
    assert found.error == pytest.approx(np.abs(found.predicted - found.observed).mean())
    assert found.error > 0.15 > found.consistent_error
    assert (found.observed < found.low).sum() >= 8


@pytest.mark.slow
def test_a_million_rows_are_compared_in_seconds() -> None:
    import time

    labels, ours, theirs = pair(1_000_000)
    start = time.process_time()

    auc_difference(labels, ours, theirs)
    brier_gain(labels, ours, theirs)
    f1_difference(labels, ours > 0.3, theirs > 0.3)
    mean_bounds(ours - theirs)
    calibration_error(labels, ours)
    calibration_line(labels, ours)
    calibration_bounds(labels, ours)

    assert time.process_time() - start < 10

"""Tests of a difference that hold at any stop."""

from __future__ import annotations

import numpy as np
import pytest

from churn_assets.serving.traffic.sequences import interval, log_evidence

RATE = (0.0, 1.0)
NEVER, LOOKS, SAMPLES = 20, 400, 400
"""One in so many may be wrong; and how often each sample is looked at."""


def drawn(
    rng: np.random.Generator, share: float, ours: float, theirs: float, samples: int = SAMPLES
) -> tuple[np.ndarray, np.ndarray]:
    """Counts of both variants after each of `LOOKS` customers, of so many samples."""
    challenged = rng.random((samples, LOOKS)) < share
    happened = rng.random((samples, LOOKS)) < np.where(challenged, ours, theirs)
    cells = [
        np.stack([variant & ~happened, variant & happened], axis=-1).cumsum(axis=1)
        for variant in (challenged, ~challenged)
    ]
    return cells[0].astype(float), cells[1].astype(float)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("both", [False, True])
def test_equal_variants_are_seldom_told_apart_at_whatever_look(share: float, both: bool) -> None:
    counts = drawn(np.random.default_rng(0), share, 0.2, 0.2)

    known = log_evidence(RATE, *counts, share, 0.0, centres=(0.1, 0.3), both=both)

    wrong = (known >= np.log(NEVER)).any(axis=1).sum()
    # 99.9 % of samples of a test that errs as often as it may have fewer.
    assert wrong <= SAMPLES / NEVER + 3.1 * np.sqrt(SAMPLES / NEVER)


def test_an_outage_that_both_share_speaks_for_neither() -> None:
    """Outcomes that depend on one another, and on the hour; only the split is random."""
    rng = np.random.default_rng(1)
    challenged = rng.random((SAMPLES, LOOKS)) < 0.5
    outage = np.repeat(rng.random((SAMPLES, 4)) < 0.5, LOOKS // 4, axis=1)
    ours = np.stack([challenged & ~outage, challenged & outage], axis=-1).cumsum(axis=1)
    theirs = np.stack([~challenged & ~outage, ~challenged & outage], axis=-1).cumsum(axis=1)

    known = log_evidence(RATE, ours.astype(float), theirs.astype(float), 0.5, 0.0)

    assert (known >= np.log(NEVER)).any(axis=1).mean() <= 2 / NEVER


def test_a_difference_within_the_margin_is_no_harm() -> None:
    ours, theirs = drawn(np.random.default_rng(2), 0.5, 0.24, 0.2)

    known = log_evidence(RATE, ours, theirs, 0.5, 0.05)

    assert (known >= np.log(NEVER)).any(axis=1).mean() <= 1 / NEVER


def test_a_difference_beyond_the_margin_is_found_and_only_where_it_is_looked_for() -> None:
    lower = drawn(np.random.default_rng(3), 0.5, 0.1, 0.5)

    one_sided = log_evidence(RATE, *lower, 0.5, 0.05)
    two_sided = log_evidence(RATE, *lower, 0.5, 0.05, both=True)

    assert (one_sided[:, -1] < 0).all()
    assert (two_sided[:, -1] > np.log(NEVER)).mean() > 0.95


def test_the_fortune_is_the_product_of_the_bets() -> None:
    """One bet on one centre, by hand: a share of .5, and each outcome once."""
    values, centre, margin = np.array(RATE), 0.25, 0.1
    ours, theirs = np.array([3.0, 2.0]), np.array([4.0, 1.0])
    one, other = (values - centre) / 0.5, -(values - centre) / 0.5
    bets = np.geomspace(0.0005, 0.95, 24) / (-min(one.min(), other.min()) + margin)
    by_hand = [
        np.prod((1 + bet * (outcome - margin)) ** counts)
        for bet in bets
        for outcome, counts in ((np.append(one, other), np.append(ours, theirs)),)
    ]

    known = log_evidence(RATE, ours, theirs, 0.5, margin, centres=(centre,))

    assert np.exp(known) == pytest.approx(np.mean(by_hand))


def test_a_confidence_sequence_holds_the_difference_at_the_worst_look() -> None:
    ours, theirs = drawn(np.random.default_rng(4), 0.5, 0.3, 0.2, samples=25)

    missed = 0
    for sample in range(25):
        ends = [
            interval(RATE, ours[sample, look], theirs[sample, look], 0.5, 0.05 / 2)
            for look in (49, 99, 199, 399)
        ]
        missed += any(not low <= 0.1 <= high for low, high in ends)

    assert missed <= 4
    assert ends[-1][1] - ends[-1][0] < 0.5


def test_where_nothing_is_known_nothing_is_said() -> None:
    nothing = np.zeros(2)

    assert log_evidence(RATE, nothing, nothing, 0.1, 0.01) == 0
    assert interval(RATE, nothing, nothing, 0.1, 0.05) == pytest.approx((-1, 1))

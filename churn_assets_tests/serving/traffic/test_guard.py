"""What the guard watches, and when it takes a Challenger back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from benchmarks.guard import (
    CUSTOMERS,
    EQUAL,
    HARMS,
    RULES,
    by_bets,
    by_guard,
    by_z,
    customers,
    delay,
    is_returned,
)
from churn_assets.serving.traffic.guard import QUANTITIES, Step, judge

RAMPS = 40
"""Of the thousands of `benchmarks/guard.py`."""
BY_NAME = {harm.name: harm for harm in HARMS}


def step(share: float = 0.5, number: int = 4_000, seed: int = 0, **harm: Any) -> Step:
    """What is known after so many customers."""
    told = BY_NAME[harm["harm"]] if harm else EQUAL
    drawn = customers(share, number, told, np.random.default_rng(seed))
    counts = {name: drawn.counts(name, 1) for name in QUANTITIES}
    ours, theirs = ({name: both[i][0] for name, both in counts.items()} for i in (0, 1))
    return Step(share, ours, theirs)


def test_whole_ramps_of_equal_models_are_seldom_taken_back() -> None:
    """Without margins too, where each error counts; a test for one look errs at once."""
    returned = {
        test: sum(is_returned(seed, test, CUSTOMERS // 10, 100) for seed in range(RAMPS))
        for test in (by_guard, by_bets, by_z)
    }

    # Of 40 ramps at 5 % no more than 6 in 99.7 % of all samples.
    assert returned[by_guard] <= returned[by_bets] <= 6
    assert returned[by_z] > 6


@pytest.mark.parametrize(
    ("harm", "share", "most"),
    [
        ("errors 1 -> 5 %", 0.5, 4_000),
        ("errors 1 -> 50 %", 0.01, 3_000),
        ("slow answers 2 -> 10 %", 0.1, 5_000),
        ("odds of scores times 4", 0.1, 2_000),
    ],
)
def test_harm_is_caught_soon(harm: str, share: float, most: int) -> None:
    delays = [delay(BY_NAME[harm], share, seed) for seed in range(10)]

    assert np.median([most * 10 if one is None else one for one in delays]) <= most


def test_an_equal_model_is_left_alone_and_what_was_found_is_told() -> None:
    verdict = judge([step(0.1), step(0.5)], 3, RULES)

    assert not verdict.harms
    assert not verdict.why
    assert {(one.quantity, one.share) for one in verdict.findings} == {
        (name, share) for name in QUANTITIES for share in (0.1, 0.5)
    }
    for finding in verdict.findings:
        assert finding.low < finding.challenger - finding.champion < finding.high


def test_harm_is_named_with_its_figures() -> None:
    verdict = judge([step(harm="errors 1 -> 5 %")], 3, RULES)

    (harm,) = verdict.harms
    told = json.loads(verdict.evidence)
    assert harm.quantity == "errors"
    assert harm.low > harm.margin == RULES.margins["errors"]
    assert "customers with a failed call" in verdict.why
    assert told["harms"] == ["errors"]
    assert told["alpha"] == RULES.alpha
    assert {"challenger", "champion", "low", "high", "evidence", "needed"} <= told["findings"][
        0
    ].keys()


def test_a_better_model_that_differs_within_the_margins_is_left_alone() -> None:
    """Every score is .02 higher, one place among the fifty that are counted."""
    base = step(number=40_000)
    moved = np.roll(base.challenger["score"], 1)

    verdict = judge([Step(0.5, {**base.challenger, "score": moved}, base.champion)], 3, RULES)

    assert not verdict.harms
    assert next(one for one in verdict.findings if one.quantity == "score").low > 0


def test_more_steps_share_the_same_chance_of_error() -> None:
    one, three = (judge([step()], watched, RULES).findings[0].needed for watched in (1, 3))

    assert three == pytest.approx(3 * one)
    assert one == pytest.approx(len(QUANTITIES) / RULES.alpha)


def test_labels_that_are_not_known_yet_keep_nothing_from_being_watched() -> None:
    known = step()
    without = Step(
        known.share,
        {name: counts for name, counts in known.challenger.items() if name != "brier"},
        known.champion,
    )

    watched = {finding.quantity for finding in judge([without], 3, RULES).findings}

    assert watched == set(QUANTITIES) - {"brier"}

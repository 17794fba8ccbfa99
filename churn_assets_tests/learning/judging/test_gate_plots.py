"""Pictures of what the gates decided by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from churn_assets.errors import RegistryError
from churn_assets.learning.judging.court import decide, pictures, refuse_all
from churn_assets.learning.judging.evidence import Evidence
from churn_assets.learning.judging.stress import Stress, Sweep
from churn_assets.learning.value import Amounts
from churn_assets_tests.support.judging import (
    ALL_GATES,
    NAMES,
    ROWS,
    USE_CASE,
    as_good,
    contender,
    evidence,
    made_up,
    verdict_of,
)
from churn_assets_tests.support.pages import seen

FIRST = {"better_than_chance", "first_champion", "floors", "calibration", "slices", "stress"}
COMPARED = FIRST - {"first_champion"} | {"f1_gate", "non_inferiority", "superiority", "value"}


def drawings(given: Evidence) -> dict[str, bytes]:
    """Every picture that there is, by gate."""
    judgement = decide(lambda: given, USE_CASE, ALL_GATES)
    return {gate: svg for gate, svg in pictures(judgement).items() if svg is not None}


@pytest.mark.parametrize(
    ("champion", "gates"),
    [(None, FIRST), (contender(made_up(1.5)[1]), COMPARED)],
    ids=["first", "compared"],
)
def test_each_picture_is_small_and_shows_something(
    champion: Any, gates: set[str], recwarn: pytest.WarningsRecorder
) -> None:
    drawn = drawings(evidence(champion=champion))

    assert set(drawn) == gates
    for gate, svg in drawn.items():
        assert seen(svg).marks, gate
    assert not [str(warning.message) for warning in recwarn]


def test_the_same_evidence_gives_the_same_pictures_and_other_evidence_others() -> None:
    given = evidence(noise=0.7, champion=contender(made_up(1.5)[1]))
    first = drawings(given)

    assert drawings(given) == first
    other = drawings(
        replace(
            given,
            challenger=replace(given.challenger, scores=made_up(1.0)[1]),
            stress=Stress(9, ranges={"tenure": (0.2, 0.3)}),
        )
    )
    assert all(other[gate] != svg for gate, svg in first.items())


def test_a_score_that_goes_the_wrong_way_is_shown() -> None:
    given = evidence()
    falls = Sweep(1, (0.0, 1.0, 2.0), (0.5, 0.4, 0.6), rows=50, broken=3, worst=0.1)

    def picture(sweep: Sweep) -> bytes:
        return drawings(replace(given, stress=Stress(9, sweeps={"price": sweep})))["stress"]

    assert picture(falls) != picture(replace(falls, broken=0))


@pytest.mark.parametrize(
    "scores",
    [np.zeros(ROWS), made_up(0.5)[0].astype(float)],
    ids=["all alike", "perfect"],
)
def test_odd_scores_are_drawn_without_a_warning(
    scores: np.ndarray, recwarn: pytest.WarningsRecorder
) -> None:
    assert set(drawings(evidence(scores=scores, champion=contender(scores)))) == COMPARED
    assert "first_champion" in drawings(replace(evidence(scores=scores), slices={}))
    assert not [str(warning.message) for warning in recwarn]


def test_many_slices_and_inputs_still_fit() -> None:
    halves = np.array(["a group with a long name", "the others"], dtype=object)[np.arange(ROWS) % 2]
    given = replace(
        evidence(champion=as_good()),
        slices={f"a column with a long name {i}": halves for i in range(20)},
        stress=Stress(9, ranges={f"an input with a long name {i}": (0.1, 0.9) for i in range(60)}),
    )
    drawn = drawings(given)

    assert len(verdict_of("slices", given).numbers["slices"]) == 40
    for gate in ("slices", "stress"):
        assert max(map(len, seen(drawn[gate]).texts)) < 40


def test_where_no_slice_is_judged_and_no_hostile_row_is_scored_there_is_nothing_to_show() -> None:
    given = replace(
        evidence(champion=as_good()),
        slices={"region": np.arange(ROWS).astype(str).astype(object)},
        stress=Stress(9, error="tenure null: ValueError"),
    )

    assert set(drawings(given)) == COMPARED - {"slices", "stress"}


def test_a_gate_that_could_not_decide_shows_nothing() -> None:
    refused = refuse_all(RegistryError("not there"), USE_CASE, ALL_GATES)
    nan = evidence(scores=np.full(ROWS, np.nan))
    no_stake = evidence(champion=as_good())
    no_stake = replace(no_stake, stake=Amounts(*[np.full(ROWS, np.nan)] * 3, 0.3, 1.0))

    assert {verdict.gate for verdict in refused.verdicts} == set(NAMES)
    assert not any(pictures(replace(refused, evidence=evidence())).values())
    assert set(drawings(nan)) == {"stress"}
    assert "value" not in drawings(no_stake)


def test_a_champion_that_stands_is_shown_without_pictures() -> None:
    judgement = decide(evidence, USE_CASE, ALL_GATES)

    assert not pictures(replace(judgement, evidence=None))

"""Who answers, by the records of promotions and of traffic together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from churn_assets.learning.judging.record import Promotion
from churn_assets.serving.answering.split import Traffic
from churn_assets.serving.traffic.changes import due
from churn_assets.serving.traffic.record import Change, Records
from churn_assets.serving.traffic.standing import Rollout, Standing, in_words, standing

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAMP = Rollout(True, (0.01, 0.1, 0.5, 1.0), 60)
AT_ONCE = Rollout(False)


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def promoted(*versions: int, rolled_back: int | None = None, every: float = 100) -> list[Promotion]:
    """One promotion after another, each so many minutes later, and a rollback in the end."""
    records: list[Promotion] = []
    for version in (*versions, *([rolled_back] if rolled_back else [])):
        action = "rollback" if version == rolled_back else "promotion"
        previous = records[-1].version if records else None
        number = len(records) + 1
        when = at(every * (number - 1))
        who = ("m", version, f"run {version}", 0.5, previous)
        records.append(Promotion(number, action, *who, decided_by="x", decided_at=when, gates="[]"))
    return records


def changed(kind: Any, version: int | None, minutes: float, **what: Any) -> Change:
    """A change so many minutes after noon."""
    steps = {"steps": [0.01, 0.1, 0.5, 1.0], "step_seconds": 60.0} if kind == "ramp" else {}
    columns = {"share": 0.0, "steps": None, "step_seconds": None, "salt": "s", **steps, **what}
    return Change(
        1, kind, version, None, decided_by="x", decided_at=at(minutes), why="y", **columns
    )


def held(promotions: list[Promotion], *changes: Change, under: int | None = None) -> Records:
    """Both tables, with the changes numbered."""
    numbered = [replace(one, change=n) for n, one in enumerate(changes, start=1)]
    return Records(promotions, numbered, under)


def found(records: Records, minutes: float, rollout: Rollout = AT_ONCE) -> Standing:
    """Who answers so many minutes after noon."""
    stands = standing(records, rollout, at(minutes))
    assert stands is not None
    return stands


def answering(records: Records, minutes: float, rollout: Rollout = AT_ONCE) -> dict[int, float]:
    """The share of the customers that each version answers so many minutes after noon."""
    traffic = found(records, minutes, rollout).traffic
    share = traffic.share(at(minutes).timestamp())
    shares = {traffic.champion: 1 - share}
    return shares | ({} if traffic.challenger is None else {traffic.challenger: share})


def test_where_nobody_was_promoted_nobody_answers() -> None:
    assert standing(held([]), AT_ONCE, NOON) is None


def test_without_a_change_the_champion_on_record_answers_at_once() -> None:
    assert found(held(promoted(4, 5)), 100).traffic == Traffic("champion", 5)


def test_the_first_champion_takes_over_from_nobody() -> None:
    assert answering(held(promoted(4)), 0, RAMP) == {4: 1}


def test_a_canary_has_its_share_and_a_shadow_none() -> None:
    canary = held(promoted(4), changed("canary", 5, 1, share=0.1))
    shadow = held(promoted(4), changed("shadow", 5, 1))

    assert answering(canary, 2) == {4: 0.9, 5: 0.1}
    assert answering(shadow, 2) == {4: 1, 5: 0}
    assert found(shadow, 2).traffic.is_shadow


def test_a_new_champion_takes_over_step_by_step_from_the_one_before() -> None:
    records = held(promoted(4, 5), changed("ramp", 5, 101))

    shares = [answering(records, minute, RAMP).get(5) for minute in (101, 102, 103, 104)]

    assert shares == [0.01, 0.1, 0.5, 1]
    assert found(records, 104, RAMP).traffic == Traffic("champion", 5, change=1)


def test_until_its_ramp_is_on_record_the_champion_before_answers() -> None:
    assert answering(held(promoted(4, 5)), 101, RAMP) == {4: 1}
    assert found(held(promoted(4, 5)), 101, RAMP).is_due


def test_who_rolls_out_by_ramp_from_now_on_gives_nobody_an_earlier_champion() -> None:
    """Version 5 has answered for longer than a ramp takes when the setting changes."""
    assert answering(held(promoted(4, 5)), 104, RAMP) == {5: 1}


def test_a_ramp_of_a_version_that_is_not_champion_ends_below_everyone() -> None:
    records = held(promoted(4), changed("ramp", 5, 1))

    assert answering(records, 90) == {4: 0.5, 5: 0.5}


def test_what_the_guard_took_back_is_champion_on_record_and_answers_nobody() -> None:
    records = held(promoted(4, 5), changed("ramp", 5, 101), changed("returned", 5, 102))
    stands = found(records, 150, RAMP)

    assert (stands.on_record.version, stands.rest.version) == (5, 4)
    assert answering(records, 150, RAMP) == {4: 1}
    assert stands.traffic.kind == "returned"
    assert "Version 4 answers everyone, since the guard took version 5 back" in in_words(
        stands, at(150)
    )


def test_a_canary_that_the_guard_took_back_leaves_the_champion() -> None:
    records = held(promoted(4), changed("canary", 5, 1, share=0.1), changed("returned", 5, 2))

    assert answering(records, 3) == {4: 1}
    assert found(records, 3).is_settled


def test_a_champion_takes_over_from_whoever_answered_before() -> None:
    """Version 5 was taken back, so nobody is given it while 6 takes over."""
    records = held(
        promoted(4, 5, 6),
        changed("ramp", 5, 101),
        changed("returned", 5, 102),
        changed("ramp", 6, 201),
    )

    assert answering(records, 201, RAMP) == {4: 0.99, 6: 0.01}


def test_a_champion_whose_ramp_was_not_done_hands_over_no_customers() -> None:
    records = held(promoted(4, 5, 6, every=2), changed("ramp", 5, 2.1), changed("ramp", 6, 4.1))

    assert answering(records, 4.2, RAMP) == {4: 0.99, 6: 0.01}


@pytest.mark.parametrize("kind", ["canary", "ab", "ramp", "shadow"])
@pytest.mark.parametrize("minutes", [50, 150])
def test_a_rollback_ends_whatever_was_under_way(kind: str, minutes: float) -> None:
    """By being on record; however the clocks of two machines differ."""
    records = held(
        promoted(4, rolled_back=3),
        changed(kind, 4 if minutes > 100 else 5, minutes, share=0.1),
        under=1,
    )

    assert answering(records, 200, RAMP) == {3: 1}
    assert found(records, 200, RAMP).challenger is None


def test_what_was_rolled_back_from_answers_nobody_though_a_clock_is_fast() -> None:
    records = held(promoted(4, 5, rolled_back=4), changed("ramp", 5, 250))

    assert answering(records, 300, RAMP) == {4: 1}


def test_a_promotion_ends_the_test_of_another_version() -> None:
    records = held(promoted(4, 5), changed("canary", 6, 50, share=0.1))

    assert answering(records, 101) == {5: 1}


def test_the_promotion_of_a_tested_version_goes_on_from_its_share() -> None:
    records = held(promoted(4, 5), changed("canary", 5, 50, share=0.1))
    stands = found(records, 101, RAMP)
    following = due(records, stands, RAMP, "a test")

    assert answering(records, 101, RAMP) == {4: 0.9, 5: 0.1}
    assert following is not None
    assert (following.kind, following.version, following.steps) == ("ramp", 5, [0.1, 0.5, 1.0])
    assert following.decided_at > at(100)


def test_a_test_that_a_promotion_or_rollback_ended_is_closed_on_record_once() -> None:
    promotions = promoted(4, 5, rolled_back=4)
    ramp = changed("ramp", 5, 101)
    records = held(promotions, ramp)
    closing = due(records, found(records, 210), AT_ONCE, "a test")

    assert closing is not None
    assert (closing.kind, closing.version, closing.share) == ("champion", None, 0)
    assert closing.why == "Champion 4 by rollback 3 ended the ramp of version 5"
    closed = held(promotions, ramp, replace(closing, decided_at=at(211)))
    assert due(closed, found(closed, 220), AT_ONCE, "a test") is None

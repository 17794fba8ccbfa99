"""How who answers is changed, on record."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from churn_assets.errors import TrafficError
from churn_assets.learning.judging.promotion import promote, rollback
from churn_assets.serving.traffic.changes import Changed, change, follow, take_back, who_answers
from churn_assets.serving.traffic.record import records, state_of
from churn_assets.serving.traffic.standing import Rollout, Standing
from churn_assets.serving.traffic.wishes import Wish
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.registering import LENIENT, challenge
from churn_assets_tests.support.serving.traffic import promote as on_record

COLUMNS = [
    "change", "kind", "version", "run_id", "share", "steps", "step_seconds", "salt",
    "decided_by", "decided_at", "why", "evidence",
]  # fmt: skip
RAMP = Rollout(True, (0.01, 0.1, 0.5, 1.0), 3600)
AT_ONCE = Rollout()


def ask(project: Project, kind: Any, rollout: Rollout = AT_ONCE, **what: Any) -> Changed:
    """Ask for a change, as a person would."""
    return change(project.workplace, Wish(kind, **what), rollout, by="ann", why="to see")


def stands(project: Project, rollout: Rollout = AT_ONCE) -> Standing:
    """Who answers now."""
    found = who_answers(project.workplace.tables, rollout)
    assert found is not None
    return found


def take_champion(project: Project) -> None:
    """Put a second version on record as Champion."""
    on_record(project.workplace.tables, challenge(project).version)


def returned(project: Project, rollout: Rollout) -> None:
    """Take the Challenger back, as the guard does."""
    tables = project.workplace.tables
    state = state_of(tables["traffic"])
    take_back(
        tables,
        state,
        records(tables, state),
        stands(project, rollout),
        by="the guard",
        why="errors",
        evidence="{}",
    )


def test_a_change_is_on_record_with_who_and_why(copied: Project) -> None:
    challenger = challenge(copied)

    ask(copied, "canary", share=0.1)
    ask(copied, "champion")

    rows = copied.rows("traffic").sort("change")
    assert rows.columns == COLUMNS
    assert rows["kind"].to_list() == ["canary", "champion"]
    assert rows["version"].to_list() == [challenger.version, None]
    assert rows["share"].to_list() == [0.1, 0]
    assert set(rows["decided_by"]) == {"ann"}
    assert set(rows["why"]) == {"to see"}
    assert rows["decided_at"].is_sorted()


def test_the_same_wish_twice_is_one_change(copied: Project) -> None:
    challenge(copied)

    first = ask(copied, "ramp", steps=(0.1, 0.5), step_seconds=60)
    second = ask(copied, "ramp", steps=(0.1, 0.5), step_seconds=60)

    assert second.committed.version == first.committed.version
    assert not second.committed.changed


def test_another_share_of_the_same_version_splits_customers_as_before(copied: Project) -> None:
    challenge(copied)
    ask(copied, "canary", share=0.1)
    ask(copied, "ab", share=0.5)

    assert copied.rows("traffic")["salt"].n_unique() == 1


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish("canary"), "between 0 and 1, and none is given"),
        (Wish("canary", share=1.5), "between 0 and 1, and 1.5 is not"),
        (Wish("ab", share=0.0), "between 0 and 1, and 0 is not"),
        (Wish("canary", share=1.0), "everyone is the Champion's"),
        (Wish("canary", share=float("nan")), "and nan is not"),
        (Wish("shadow", share=0.5), "takes no share"),
        (Wish("ramp", steps=(0.5, 0.1)), "rise from above 0"),
        (Wish("ramp", steps=(0.5, 1.1)), "rise from above 0"),
        (Wish("ramp", steps=()), "rise from above 0"),
        (Wish("ramp", step_seconds=0.0), "of some seconds each"),
        (Wish("ramp", steps=(1.0,)), "is not Champion, and everyone is the Champion's"),
        (Wish("shadow", version=77), "there is no version 77 of telco_churn"),
        (Wish("shadow", version=1), "version 1 is the Champion"),
        (Wish("shadow", version=2), r"was rejected by bob at no known time \(bias\)"),
        (Wish("returned"), "is not one of champion, shadow"),
    ],
)
def test_nonsense_is_refused_and_who_answers_goes_on(
    challenged: Project, wish: Wish, said: str
) -> None:
    with pytest.raises(TrafficError, match=said):
        change(challenged.workplace, wish, AT_ONCE, by="ann", why="to see")

    assert stands(challenged).traffic.champion == 1
    assert stands(challenged).change is None


def test_a_change_without_a_reason_or_a_person_is_refused(challenged: Project) -> None:
    with pytest.raises(TrafficError, match="does not say why"):
        change(challenged.workplace, Wish("shadow"), AT_ONCE, by="ann", why=" ")
    with pytest.raises(TrafficError, match="does not say who decides"):
        change(challenged.workplace, Wish("shadow"), AT_ONCE, by="", why="to see")


def test_without_a_champion_there_is_nothing_to_change(project: Project) -> None:
    with pytest.raises(TrafficError, match="nobody was ever promoted"):
        ask(project, "shadow")
    assert who_answers(project.workplace.tables, AT_ONCE) is None


def test_of_two_changes_at_once_one_holds(copied: Project) -> None:
    challenge(copied)
    state_of(copied.table("traffic"))

    def attempt(share: float) -> str:
        try:
            ask(copied, "canary", share=share)
        except TrafficError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(2) as pool:
        refused = list(filter(None, pool.map(attempt, (0.1, 0.2))))

    numbers = copied.rows("traffic")["change"].sort().to_list()
    assert numbers == list(range(1, 3 - len(refused)))
    assert all("another change was first" in reason for reason in refused)


def test_a_new_champion_takes_over_by_ramp_and_a_rollback_ends_it(copied: Project) -> None:
    challenge(copied)
    promote(copied.workplace, "a test", LENIENT)
    pending = stands(copied, RAMP)
    follow(copied.workplace.tables, RAMP, "a test")
    ramping = stands(copied, RAMP)
    rollback(copied.workplace, None, "ann")
    rolled_back = stands(copied, RAMP)
    follow(copied.workplace.tables, RAMP, "a test")
    follow(copied.workplace.tables, RAMP, "a test")

    assert (pending.traffic.champion, pending.is_due) == (1, True)
    assert (ramping.traffic.champion, ramping.traffic.challenger) == (1, 2)
    assert ramping.traffic.steps == (0.01, 0.1, 0.5, 1.0)
    assert (rolled_back.traffic.champion, rolled_back.traffic.challenger) == (1, None)
    rows = copied.rows("traffic").sort("change")
    assert rows["kind"].to_list() == ["ramp", "champion"]
    assert rows["decided_by"].to_list() == ["serving.rollout, a test"] * 2
    assert "by rollback 3 ended the ramp of version 2" in rows["why"][1]
    with pytest.raises(TrafficError, match="version 2 was rolled back from"):
        ask(copied, "shadow", RAMP, version=2)


def test_after_a_return_the_champion_stays_on_record_until_it_is_rolled_back(
    copied: Project,
) -> None:
    take_champion(copied)
    follow(copied.workplace.tables, RAMP, "a test")
    returned(copied, RAMP)
    taken_back = stands(copied, RAMP)

    assert (taken_back.on_record.version, taken_back.traffic.champion) == (2, 1)
    assert taken_back.traffic.kind == "returned"
    for kind, what in (("champion", {}), ("shadow", {"version": 1})):
        with pytest.raises(TrafficError, match="`churn rollback 1` takes it back"):
            ask(copied, kind, RAMP, **what)

    again = ask(copied, "ramp", RAMP, steps=(0.05, 1.0)).standing
    assert again is not None
    assert (again.traffic.challenger, again.traffic.steps) == (2, (0.05, 1.0))


def test_a_person_may_give_everyone_to_a_champion_at_once(copied: Project) -> None:
    take_champion(copied)
    follow(copied.workplace.tables, RAMP, "a test")

    done = ask(copied, "ramp", RAMP, steps=(1.0,)).standing

    assert done is not None
    assert (done.traffic.kind, done.traffic.champion, done.is_settled) == ("champion", 2, True)

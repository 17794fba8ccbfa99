"""The guard at work, over real tables: evidence, lease, and what it commits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets.serving.traffic.changes import who_answers
from churn_assets.serving.traffic.evidence import RequestsEvidence
from churn_assets.serving.traffic.guard import Rules
from churn_assets.serving.traffic.lease import Lease, lease_table
from churn_assets.serving.traffic.record import commit, next_change, records, state_of
from churn_assets.serving.traffic.standing import Rollout, Standing
from churn_assets.serving.traffic.watch import Watch
from churn_assets.settings import GuardSettings
from churn_assets.tables.lake import Table
from churn_assets_tests.support.serving.traffic import KEY, answered, customers, promote, tables_in

RULES = Rules(0.05, 50, GuardSettings().margins)
AT_ONCE, RAMP = Rollout(), Rollout(True, (0.5, 1.0), 3600)
Tables = dict[str, Table]


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Version 1 is Champion."""
    tables = tables_in(tmp_path)
    promote(tables, 1, ago=1000)
    return tables


def canary(tables: Tables, version: int = 2, share: float = 0.5) -> None:
    """Give a version a share of the customers."""
    state = state_of(tables["traffic"])
    held = records(tables, state)
    what: dict[str, Any] = {"version": version, "run_id": f"run {version}", "salt": "s"}
    made = next_change(held, "canary", by="ann", why="to see", share=share, **what)
    commit(tables, state, held, made)


def watch(tables: Tables, rollout: Rollout = AT_ONCE, holder: str = "one") -> Watch:
    """A guard of one replica."""
    return Watch(tables, RequestsEvidence(tables, (KEY,)), RULES, rollout, holder)


def stands(tables: Tables, rollout: Rollout = AT_ONCE) -> Standing:
    """Who answers now."""
    found = who_answers(tables, rollout)
    assert found is not None
    return found


def known(tables: Tables, evidence: RequestsEvidence, name: str) -> list[list[float]]:
    """Counts of a quantity: the Challenger's and the Champion's."""
    (step,) = evidence.steps(stands(tables), RULES.latency_ms)
    return [list(variant[name]) for variant in (step.challenger, step.champion)]


def test_a_challenger_that_fails_is_taken_back_once_with_the_evidence(tables: Tables) -> None:
    canary(tables)
    answered(tables, customers(400, 2, failing=0.3))

    look = watch(tables).look()
    again = watch(tables).look()

    assert look.is_returned
    assert not again.is_returned
    after = stands(tables)
    assert (after.traffic.kind, after.traffic.champion, after.traffic.challenger) == (
        "returned", 1, None,
    )  # fmt: skip
    assert after.change is not None
    assert after.change.evidence is not None
    told = json.loads(after.change.evidence)
    assert told["harms"] == ["errors"]
    assert after.change.decided_by == "guard one"
    assert "customers with a failed call" in after.change.why


def test_an_equal_challenger_goes_on(tables: Tables) -> None:
    canary(tables)
    answered(tables, customers(400, 2))

    look = watch(tables).look()

    assert look.verdict is not None
    assert not look.is_returned
    assert stands(tables).traffic.challenger == 2


def test_where_nobody_takes_part_no_lease_is_taken(tables: Tables) -> None:
    assert watch(tables).look().verdict is None
    assert lease_table(tables["traffic"]).state() is None


def test_of_many_guards_one_decides(tables: Tables) -> None:
    canary(tables)
    answered(tables, customers(400, 2, failing=0.3))

    with ThreadPoolExecutor(4) as pool:
        looks = list(pool.map(lambda n: watch(tables, holder=f"guard {n}").look(), range(4)))

    assert sum(look.is_returned for look in looks) == 1
    assert len(records(tables).changes) == 2


def test_a_new_champion_begins_its_ramp_and_is_taken_back_to_the_one_before(
    tables: Tables,
) -> None:
    promote(tables, 2)
    guard = watch(tables, RAMP)

    begun = guard.look().standing
    answered(tables, customers(400, 2, failing=0.3))
    returned = guard.look()

    assert begun is not None
    assert (begun.traffic.champion, begun.traffic.challenger) == (1, 2)
    assert returned.is_returned
    assert returned.standing is not None
    assert returned.standing.on_record.version == 2
    assert returned.standing.traffic.champion == 1
    promote(tables, 1, action="rollback")
    closed = guard.look().standing
    assert closed is not None
    assert (closed.is_settled, closed.traffic.kind) == (True, "champion")
    assert [one.kind for one in records(tables).changes] == ["ramp", "returned", "champion"]


def test_a_lease_has_one_holder_until_its_time_is_over(tables: Tables) -> None:
    table, now = lease_table(tables["traffic"]), datetime.now(UTC)
    one, other = Lease(table, "one", 30), Lease(table, "other", 30)

    held = [one.take(now), other.take(now), one.take(now + timedelta(seconds=5))]
    commits = table.require().version
    renewed = one.take(now + timedelta(seconds=20))

    assert held == [True, False, True]
    assert table.require().version == commits + renewed
    assert not other.take(now + timedelta(seconds=40))
    assert other.take(now + timedelta(seconds=60))
    assert not one.take(now + timedelta(seconds=61))
    assert table.require().rows == 0


def test_a_customer_counts_once_in_a_step_however_often_it_calls(tables: Tables) -> None:
    """One whose call fails a thousand times is one; that it failed later is seen."""
    canary(tables)
    row: dict[str, Any] = {KEY: "a", "variant": "challenger", "model_version": 2}
    failed = {**row, "status": 500, "churn_probability": None, "decision": None}
    evidence = RequestsEvidence(tables, (KEY,))
    answered(tables, [row, {KEY: "b"}])
    before = known(tables, evidence, "errors")
    answered(tables, [failed] * 1000)
    after = known(tables, evidence, "errors")

    assert before == [[1, 0], [1, 0]]
    assert after == [[0, 1], [1, 0]]
    assert known(tables, evidence, "decisions") == [[1, 0], [1, 0]]


def test_what_is_no_answer_of_the_split_does_not_count(tables: Tables) -> None:
    canary(tables)
    ours = {KEY: "a", "variant": "challenger", "model_version": 2}
    rows = [
        ours,
        {KEY: "b"},
        {KEY: None},
        {KEY: "c", "status": 422},
        {KEY: "d", "shadow": True},
        {KEY: "e", "model_version": 7},
        {KEY: "f", "share": 0.1},
    ]
    answered(tables, rows)
    answered(tables, [{KEY: "g"}], datetime.now(UTC) - timedelta(seconds=500))

    assert known(tables, RequestsEvidence(tables, (KEY,)), "errors") == [[1, 0], [1, 0]]


def test_slow_answers_are_those_beyond_the_limit(tables: Tables) -> None:
    canary(tables)
    ours = {KEY: "a", "variant": "challenger", "model_version": 2, "latency_ms": 51.0}
    answered(tables, [ours, {KEY: "b", "latency_ms": 50.0}])

    assert known(tables, RequestsEvidence(tables, (KEY,)), "latency") == [[0, 1], [1, 0]]


def test_only_outcomes_that_came_since_tell_how_good_a_score_was(tables: Tables) -> None:
    canary(tables)
    features = tables["features"]

    def label(**labels: float | None) -> int:
        frame = pl.DataFrame(
            {KEY: list(labels), "label": list(labels.values())}, schema_overrides={"label": pl.Int8}
        )
        made_from = json.dumps(labels)
        return features.replace(features.engine.from_arrow(frame.to_arrow()), made_from).version

    version = label(a=None, b=None, c=1)
    ours = {"variant": "challenger", "model_version": 2, "features_version": version}
    theirs = {"features_version": version}
    answered(tables, [{KEY: "a", **ours}, {KEY: "b", **theirs}, {KEY: "c", **theirs}])
    evidence = RequestsEvidence(tables, (KEY,))
    (before,) = evidence.steps(stands(tables), RULES.latency_ms)
    label(a=1, b=0, c=1)
    (after,) = evidence.steps(stands(tables), RULES.latency_ms)

    assert "brier" not in before.champion
    assert after.challenger["brier"].nonzero()[0].tolist() == [int(0.64 * 50)]
    assert after.champion["brier"].nonzero()[0].tolist() == [int(0.04 * 50)]
    assert after.champion["brier"].sum() == 1

"""Evidence: both models' scores of the same rows, made now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from churn_assets.learning.judging.court import decide
from churn_assets.learning.judging.evidence import NO_CATEGORY, Contender, Evidence, gather
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.stress import Stress
from churn_assets.learning.registry import CHALLENGER
from churn_assets.learning.value import Amounts
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import challenge


def gathered(project: Project, **changes: Any) -> Evidence:
    return gather(project.workplace, project.champion(), **changes)


def passed(given: Evidence) -> dict[str, bool]:
    """Which gates let the Challenger pass."""
    judgement = decide(lambda: given, USE_CASE, GateSettings())
    return {verdict.gate: verdict.passed for verdict in judgement.verdicts}


def rewrite_features(project: Project, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Replace the features table by what a function makes of it."""
    table = project.table("features")
    state = table.require()
    frame = table.engine.from_arrow(change(project.rows("features")).to_arrow())
    table.replace(frame, "rewritten", {}, split=state.details["split"])


# The digest


def contender(version: int) -> Contender:
    scores = np.random.default_rng(version).random(50)
    return Contender(version, f"run {version}", "", {}, True, True, 0.4, scores)


def small() -> Evidence:
    alike = np.full(50, 100.0)
    return Evidence(
        contender(2),
        contender(1),
        np.arange(50) % 3 == 0,
        "a split",
        slices={"plan": np.array(["basic", "full"], dtype=object)[np.arange(50) % 2]},
        stake=Amounts(alike, alike, alike, 0.3, 1.0),
        settings="{}",
    )


@pytest.mark.parametrize("who", ["challenger", "champion"])
@pytest.mark.parametrize(
    "changes",
    [{"version": 9}, {"run_id": "other"}, {"threshold": 0.41}, {"scores": np.full(50, 0.5)}],
    ids=lambda changes: next(iter(changes)),
)
def test_an_approval_binds_who_is_judged(who: str, changes: dict[str, Any]) -> None:
    given = small()

    other = replace(given, **{who: replace(getattr(given, who), **changes)})

    assert other.digest != given.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"champion": None},
        {"labels": np.arange(50) % 4 == 0},
        {"split": "another"},
        {"slices": {}},
        {"stake": None},
        {"settings": "other settings"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_approval_binds_what_it_is_judged_by(changes: dict[str, Any]) -> None:
    given = small()

    assert replace(given, **changes).digest != given.digest


def test_what_is_no_evidence_leaves_an_approval_valid() -> None:
    given = small()
    near = replace(given.challenger, scores=given.challenger.scores + 1e-12)
    tagged = replace(given.challenger, tags={"approval": "approved"}, description="edited")

    assert replace(given, challenger=near).digest == given.digest
    assert replace(given, challenger=tagged, stress=Stress(3)).digest == given.digest


# Gathering


def test_evidence_is_what_the_registered_model_says_of_the_test_rows_now(finished: Project) -> None:
    test = finished.rows("features").filter(pl.col("split") == "test").drop_nulls("label")
    test = test.sort(USE_CASE.key)
    registered = finished.registry.by_alias(CHALLENGER)
    model = finished.registry.load(registered.version)
    inputs = test.select(USE_CASE.inputs).to_arrow().to_pandas()

    found = gather(finished.workplace, None)

    assert found.champion is None
    assert (found.challenger.version, found.challenger.run_id) == (1, registered.run_id)
    assert found.challenger.threshold == registered.threshold
    assert np.array_equal(found.challenger.scores, model.predict_proba(inputs)[:, 1])
    assert found.labels.tolist() == test["label"].to_list()
    assert found.known == len(found.labels) == test.height
    assert set(found.slices) == set(USE_CASE.slices)
    for name, groups in found.slices.items():
        assert groups.tolist() == test[name].to_list()
    column = USE_CASE.business.customer_value
    assert found.stake.customer_value == pytest.approx(test[column.column] * column.times)


def test_a_real_model_takes_hostile_rows(finished: Project) -> None:
    found = gathered(finished).stress

    assert found.error is None
    assert found.improbable == ()
    assert found.rows > 1000
    assert set(found.sweeps) == set(USE_CASE.monotone)
    assert not any(sweep.broken for sweep in found.sweeps.values())


def test_the_same_rows_in_another_order_are_the_same_evidence(copied: Project) -> None:
    challenge(copied)
    before = gathered(copied)

    rewrite_features(copied, lambda rows: rows.reverse())
    after = gathered(copied)

    assert np.array_equal(after.challenger.scores, before.challenger.scores)
    assert after.digest == before.digest


def test_flipping_labels_of_test_rows_changes_verdicts_but_no_score(copied: Project) -> None:
    challenge(copied)
    before = gathered(copied)
    flipped = pl.when(pl.col("split") == "test").then(~pl.col("label")).otherwise("label")

    rewrite_features(copied, lambda rows: rows.with_columns(label=flipped))
    after = gathered(copied)

    assert np.array_equal(after.labels, ~before.labels)
    assert np.array_equal(after.challenger.scores, before.challenger.scores)
    assert np.array_equal(after.champion.scores, before.champion.scores)
    assert after.digest != before.digest
    chance = [passed(given)["better_than_chance"] for given in (before, after)]
    assert chance == [True, False]


def test_copies_of_trained_rows_are_not_judged_on_and_are_counted(copied: Project) -> None:
    alike = pl.struct(*USE_CASE.inputs).is_duplicated() & (pl.col("split") == "test")
    rewrite_features(copied, lambda rows: rows.filter(~alike))
    before = gathered(copied)
    table, rows = copied.table("features"), copied.rows("features")
    learned = rows.filter(pl.col("split") != "test").drop_nulls("label").head(40)
    twins = learned.with_columns(pl.col("customer_id") + " twin", split=pl.lit("test"))
    frame = table.engine.from_arrow(pl.concat([rows, twins]).to_arrow())
    split = table.require().details["split"]

    found = []
    for beyond_chance in (True, False):
        notes = {"copies": {"beyond_chance": beyond_chance}, "not_judged": {"test": 40}}
        table.replace(frame, str(beyond_chance), {}, split=split, **notes)
        found.append(gathered(copied))

    assert [len(one.labels) - len(before.labels) for one in found] == [0, 40]
    assert found[0].digest == before.digest
    assert found[0].set_aside == 40


def test_a_group_that_is_not_known_is_a_group_of_its_own(copied: Project) -> None:
    name = USE_CASE.slices[0]
    nobody = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col(name))

    rewrite_features(copied, lambda rows: rows.with_columns(nobody.alias(name)))
    groups = gathered(copied).slices[name]

    assert NO_CATEGORY in set(groups)
    assert len(set(groups)) == 3


def test_an_approval_survives_its_own_tag_and_not_other_settings(copied: Project) -> None:
    challenge(copied)
    before = gathered(copied)

    copied.registry.client.set_model_version_tag("telco_churn", "2", "approval", "approved")
    tagged = gathered(copied)

    assert tagged.challenger.tags["approval"] == "approved"
    assert tagged.digest == before.digest
    assert gathered(copied, settings=GateSettings(brier_margin=0.1)).digest != before.digest


def test_without_labelled_test_rows_there_is_nothing_to_judge_by(copied: Project) -> None:
    unknown = pl.when(pl.col("split") != "test").then(pl.col("label"))

    rewrite_features(copied, lambda rows: rows.with_columns(label=unknown))
    found = gathered(copied)

    assert len(found.labels) == len(found.challenger.scores) == 0
    assert found.stress is None
    assert not any(passed(found).values())

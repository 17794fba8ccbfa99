"""Promotion: the record decides who is Champion, and the alias follows it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake

from churn_assets.errors import GateError, RegistryError
from churn_assets.learning.ensembles import Recalibrated
from churn_assets.learning.judging.evidence import gather
from churn_assets.learning.judging.promotion import NOT_ASKED, answer, judge, promote, rollback
from churn_assets.learning.judging.record import Promotion
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.metrics import f1
from churn_assets.learning.registry import CHALLENGER, CHAMPION, DIGEST, Registry
from churn_assets.learning.scoring import score
from churn_assets.learning.storing.files import StoredModel
from churn_assets.tables.lake import Committed
from churn_assets_tests.support.project import GATES, Project
from churn_assets_tests.support.registering import (
    bearers,
    challenge,
    inputs,
    register,
    stored_files,
)

APPROVED = GateSettings(approval="required")
NOBODY = "0.99"
"""A threshold at which nobody is decided as churn, so that F1 is 0."""


def promoted(
    project: Project,
    registry: Registry | None = None,
    settings: GateSettings = DEFAULT_GATES,
) -> tuple[Committed, Promotion]:
    place = project.workplace
    if registry is not None:
        place = replace(place, registry=registry)
    return promote(place, "a test", settings)


def judged(
    project: Project, settings: GateSettings = DEFAULT_GATES, **changes: int
) -> dict[str, Verdict]:
    judgement = judge(project.workplace, settings, **changes)
    return {verdict.gate: verdict for verdict in judgement.verdicts}


def rolled_back(project: Project, version: int | None = None) -> tuple[Committed, Promotion]:
    return rollback(project.workplace, version, "a person")


def answered(project: Project, *, approved: bool) -> None:
    answer(project.workplace, APPROVED, approved=approved, by="a person")


def test_the_first_promotion_is_recorded_with_all_evidence(finished: Project) -> None:
    record, model = finished.champion(), finished.rows("model").row(0, named=True)

    gates = {verdict["gate"]: verdict for verdict in json.loads(record.gates)}
    assert (record.promotion, record.action, record.previous_version) == (1, "promotion", None)
    assert (record.version, record.run_id) == (model["version"], model["run_id"])
    assert record.threshold == model["threshold"]
    assert record.decided_by.startswith("Dagster run ")
    assert set(gates) == GATES
    assert all(verdict["passed"] for verdict in gates.values())
    assert gates["f1_gate"]["numbers"]["challenger_f1"] == pytest.approx(model["test_f1"])
    assert gates["better_than_chance"]["numbers"]["roc_auc"] == pytest.approx(model["test_roc_auc"])
    assert "there is no Champion yet" in gates["f1_gate"]["reason"]


def test_a_challenger_as_good_as_the_champion_takes_its_place(copied: Project) -> None:
    before = copied.champion()
    challenge(copied)

    committed, promotion = promoted(copied)

    assert committed.changed
    assert copied.champion() == promotion
    assert (promotion.promotion, promotion.version, promotion.previous_version) == (2, 2, 1)
    assert promotion.decided_by == "a test"
    assert promotion.decided_at > before.decided_at
    assert promotion.data_version != before.data_version
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 2}
    numbers = {v["gate"]: v["numbers"] for v in json.loads(promotion.gates)}["f1_gate"]
    assert numbers["challenger_f1"] == numbers["champion_f1"]
    assert (numbers["challenger_version"], numbers["champion_version"]) == (2, 1)


def standings(project: Project) -> list[tuple[str, str]]:
    """The standing of each version's run in MLflow's list, and the first words of its note."""
    runs = [project.registry.client.get_run(v.run_id) for v in project.registry.versions()]
    tags = [run.data.tags for run in sorted(runs, key=lambda run: run.info.start_time)]
    return [(tag["standing"], tag["mlflow.note.content"].partition(" since")[0]) for tag in tags]


def test_the_list_of_runs_says_who_is_champion_after_each_promotion_and_rollback(
    copied: Project,
) -> None:
    challenge(copied)

    promoted(copied)
    after_promotion = standings(copied)
    rolled_back(copied)

    assert after_promotion == [
        ("earlier champion", "Earlier champion"),
        ("champion", "Champion"),
    ]
    assert standings(copied) == after_promotion[::-1]


def test_a_run_that_somebody_deleted_keeps_nobody_from_being_champion(copied: Project) -> None:
    challenger = challenge(copied)
    copied.registry.client.delete_run(copied.champion().run_id)

    promoted(copied)

    assert bearers(copied)[CHAMPION] == challenger.version


def test_a_champion_is_not_promoted_twice(copied: Project) -> None:
    before = copied.state("champion")

    committed, promotion = promoted(copied)

    assert committed == before
    assert not committed.changed
    assert promotion == copied.champion()


def test_a_worse_challenger_is_refused_in_one_line_and_nothing_changes(copied: Project) -> None:
    challenge(copied, threshold=NOBODY)
    before = copied.states()

    with pytest.raises(GateError) as refusal:
        promoted(copied)

    assert "f1_gate: Challenger 2 has F1 0.000, Champion 1 has 0." in str(refusal.value)
    assert str(refusal.value).endswith(
        ". The Champion and its predictions stand. Train another, on other records or by other "
        "settings."
    )
    assert "\n" not in str(refusal.value)
    assert copied.states() == before
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


@pytest.mark.parametrize("changes", [{}, {"threshold": NOBODY}, {"recipe": ""}])
def test_the_checks_say_what_a_promotion_says(copied: Project, changes: dict[str, str]) -> None:
    challenge(copied, **changes)
    verdicts = judged(copied)

    if all(verdict.passed for verdict in verdicts.values()):
        _, promotion = promoted(copied)
        recorded = {v["gate"]: v["reason"] for v in json.loads(promotion.gates)}
        assert recorded == {gate: verdict.reason for gate, verdict in verdicts.items()}
    else:
        with pytest.raises(GateError) as refusal:
            promoted(copied)
        assert all(v.reason in str(refusal.value) for v in verdicts.values() if not v.passed)


def test_the_checks_of_a_champion_show_what_it_was_promoted_by(finished: Project) -> None:
    verdicts = judged(finished)

    record = {verdict["gate"]: verdict for verdict in json.loads(finished.champion().gates)}
    assert set(verdicts) == GATES
    for gate, verdict in verdicts.items():
        assert verdict.passed
        assert verdict.numbers == record[gate]["numbers"]
        assert verdict.reason.startswith("Champion since ")
        assert verdict.reason.endswith(record[gate]["reason"])


def test_a_gate_that_came_after_the_promotion_is_not_asked_of_a_champion_that_stands(
    finished: Project,
) -> None:
    verdicts = judged(finished, GateSettings(rule="improve", value="block"))

    assert set(verdicts) == GATES | {"superiority"}
    assert verdicts["superiority"].passed
    assert verdicts["superiority"].reason == NOT_ASKED
    assert verdicts["value"].blocking


def test_a_champion_whose_tag_was_spoilt_by_hand_is_judged_at_the_threshold_on_record(
    copied: Project,
) -> None:
    challenge(copied, threshold=NOBODY)
    copied.registry.client.set_model_version_tag("telco_churn", "1", "threshold", "0.999")

    verdict = judged(copied)["f1_gate"]

    assert not verdict.passed
    assert verdict.numbers["champion_threshold"] == copied.champion().threshold


@pytest.mark.parametrize(
    ("changes", "gate", "reason"),
    [
        ({"split": "hash/1 salt=x train=0.8 validation=0.1"}, "f1_gate", "by another split"),
        ({"features_version": ""}, "governance", "lacks the tags features_version"),
        ({"threshold": "nan"}, "f1_gate", "challenger_threshold is nan"),
        ({"threshold": "high"}, "governance", "no tag 'threshold' that is a number"),
    ],
)
def test_a_challenger_with_a_spoilt_tag_is_refused(
    copied: Project, changes: dict[str, str], gate: str, reason: str
) -> None:
    challenge(copied, **changes)

    verdict = judged(copied)[gate]

    assert not verdict.passed
    assert reason in verdict.reason
    with pytest.raises(GateError, match="Challenger refused"):
        promoted(copied)


def test_both_are_scored_on_every_labelled_test_row_of_the_present_features(
    copied: Project,
) -> None:
    challenge(copied)
    test = copied.rows("features").filter(pl.col("split") == "test").drop_nulls("label")

    evidence = gather(
        copied.workplace,
        copied.champion(),
        most_rows=10_000,
        settings=DEFAULT_GATES,
    )

    assert len(evidence.labels) == test.height
    assert evidence.labels.sum() == test["label"].sum()
    assert (evidence.challenger.scores == evidence.champion.scores).all()
    assert evidence.split == copied.state("features").details["split"]


def test_of_more_test_rows_than_are_wanted_a_sample_judges_and_says_so(copied: Project) -> None:
    challenge(copied)

    verdicts = judged(copied, most_rows=300)

    test = copied.rows("features").filter(pl.col("split") == "test").height
    assert 250 < verdicts["f1_gate"].numbers["rows"] <= 300
    assert verdicts["f1_gate"].numbers["sampled_from"] == test
    assert f"a sample of {test}" in verdicts["f1_gate"].reason


def test_without_a_challenger_every_gate_says_what_to_do(project: Project) -> None:
    verdicts = judged(project)

    assert set(verdicts) == GATES
    assert not any(verdict.passed for verdict in verdicts.values())
    assert "there is no Challenger; run `churn run` first" in verdicts["governance"].reason


def test_where_no_outcome_is_known_a_refused_challenger_waits_and_the_champion_stands(
    copied: Project,
) -> None:
    challenge(copied, threshold=NOBODY)
    source = copied.write(lambda frame: frame.with_columns(Churn=pl.lit("")))
    copied.run(source, tables="raw silver rejects features")

    verdicts = judged(copied)
    committed, promotion = promoted(copied)

    assert all(verdict.passed for verdict in verdicts.values())
    assert "no outcome is known to judge by, so Champion 1 stands" in verdicts["f1_gate"].reason
    assert not committed.changed
    assert promotion == copied.champion()
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


def test_a_challenger_that_another_replaced_while_it_was_judged_is_not_promoted(
    copied: Project,
) -> None:
    challenge(copied)

    class Meanwhile(Registry):
        def info(self, version: int) -> object:
            if bearers(copied)[CHALLENGER] == 2:
                challenge(copied)
            return super().info(version)

    registry = copied.registry
    slow = Meanwhile(registry.tracking_uri, registry.model_name, registry.artifacts)

    with pytest.raises(GateError, match="a newer one was registered while it was judged"):
        promoted(copied, slow)

    assert copied.champion().version == 1
    assert bearers(copied) == {CHALLENGER: 3, CHAMPION: 1}


def test_a_champion_that_only_the_alias_knows_is_compared_with_and_left_alone(
    copied: Project,
) -> None:
    """As after the loss of the lake, where the registry is still there."""
    shutil.rmtree(copied.table("champion").uri)
    challenge(copied, threshold=NOBODY)

    with pytest.raises(GateError, match=r"f1_gate: Challenger 2 has F1 0\.000, Champion 1"):
        promoted(copied)

    assert copied.champion() is None
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


def test_a_challenger_is_not_compared_with_itself_where_the_alias_is_on_it(
    copied: Project,
) -> None:
    shutil.rmtree(copied.table("champion").uri)

    _, promotion = promoted(copied)

    gates = {verdict["gate"]: verdict for verdict in json.loads(promotion.gates)}
    assert (promotion.promotion, promotion.version, promotion.previous_version) == (1, 1, None)
    assert "there is no Champion yet" in gates["f1_gate"]["reason"]
    assert "champion_f1" not in gates["f1_gate"]["numbers"]


# Rollback


def test_a_rollback_restores_the_earlier_champion_and_is_recorded_like_a_promotion(
    copied: Project,
) -> None:
    first = copied.champion()
    challenge(copied)
    promoted(copied)

    committed, restored = rolled_back(copied)

    assert committed.changed
    assert copied.champion() == restored
    assert (restored.promotion, restored.action, restored.decided_by) == (3, "rollback", "a person")
    assert (restored.version, restored.run_id) == (first.version, first.run_id)
    assert (restored.threshold, restored.previous_version) == (first.threshold, 2)
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


def test_what_was_rolled_back_from_is_not_promoted_again(copied: Project) -> None:
    challenge(copied)
    promoted(copied)
    rolled_back(copied)
    before = copied.states()

    committed, promotion = promoted(copied)
    verdicts = judged(copied)

    assert not committed.changed
    assert promotion.version == 1
    assert copied.states() == before
    assert all(verdict.passed for verdict in verdicts.values())
    assert "Challenger 2 was rolled back from on " in verdicts["f1_gate"].reason


def test_after_a_rollback_another_challenger_is_judged_against_the_restored_champion(
    copied: Project,
) -> None:
    challenge(copied)
    promoted(copied)
    rolled_back(copied)
    challenge(copied)

    _, promotion = promoted(copied)

    assert (promotion.promotion, promotion.version, promotion.previous_version) == (4, 3, 1)


def test_any_earlier_champion_can_be_named_and_a_rollback_be_taken_back(copied: Project) -> None:
    for _ in range(2):
        challenge(copied)
        promoted(copied)

    _, to_first = rolled_back(copied, 1)
    with pytest.raises(GateError, match=r"name the version .* Earlier Champions: 2, 3"):
        rolled_back(copied)
    _, to_third = rolled_back(copied, 3)
    unchanged, same = rolled_back(copied, 3)

    assert (to_first.version, to_third.version) == (1, 3)
    assert same == to_third
    assert not unchanged.changed


@pytest.mark.parametrize("version", [None, 7])
def test_a_rollback_to_what_was_never_champion_is_refused(
    copied: Project, version: int | None
) -> None:
    if version:
        challenge(copied)
        promoted(copied)
    before = copied.states()

    with pytest.raises(GateError, match=r"no earlier Champion|7 was never Champion"):
        rolled_back(copied, version)

    assert copied.states() == before


def test_a_rollback_to_a_model_whose_files_are_gone_changes_nothing(copied: Project) -> None:
    challenge(copied)
    promoted(copied)
    copied.registry.client.delete_model_version("telco_churn", "1")
    before = copied.states()

    with pytest.raises(RegistryError, match="Restore the registry's database"):
        rolled_back(copied)

    assert copied.states() == before


# The model's files


def swap_files(project: Project, version: int) -> None:
    """Put another model in the place of a version's, of types that may be loaded."""
    model = Recalibrated(project.registry.load(version), -1.0, 0.0)
    other = register(project.registry, model, inputs(project), {"threshold": "0.5"})
    project.registry.point(CHALLENGER, version)
    folders = [stored_files(project.registry, one) for one in (other.version, version)]
    shutil.copytree(*folders, dirs_exist_ok=True)


def test_a_promotion_records_the_digest_of_the_files_that_were_judged(copied: Project) -> None:
    challenge(copied)

    promoted(copied)

    digests = {
        version: StoredModel.of(stored_files(copied.registry, version)).digest for version in (1, 2)
    }
    records = {row["version"]: row for row in copied.rows("champion").to_dicts()}
    assert {version: row["model_digest"] for version, row in records.items()} == digests
    assert digests[1] != digests[2]


def test_a_challenger_whose_files_were_swapped_is_refused_in_one_line(copied: Project) -> None:
    challenge(copied)
    swap_files(copied, 2)
    before = copied.states()

    verdicts = judged(copied)
    with pytest.raises(GateError, match="the files of version 2 are not those that were regis"):
        promoted(copied)

    assert not any(verdict.passed for verdict in verdicts.values() if verdict.blocking)
    assert copied.states() == before
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


def test_a_champion_whose_files_were_swapped_neither_scores_nor_is_judged_against(
    copied: Project,
) -> None:
    challenge(copied)
    _, promotion = promoted(copied)
    swap_files(copied, 2)
    # The registry may say what it likes: the record counts.
    files = StoredModel.of(stored_files(copied.registry, 2))
    copied.registry.tag(2, {DIGEST: files.digest})
    before = copied.states()

    with pytest.raises(RegistryError) as refusal:
        score(copied.workplace)
    challenge(copied, version_of="a later training")
    with pytest.raises(GateError, match="the files of version 2 are not those"):
        promoted(copied)

    assert "\n" not in str(refusal.value)
    assert "Predictions stand." in str(refusal.value)
    assert "`churn rollback`" in str(refusal.value)
    assert copied.states() == before
    assert copied.champion() == promotion
    assert rolled_back(copied, 1)[1].version == 1
    assert score(copied.workplace).details["model_version"] == 1


def test_no_rollback_to_a_version_whose_files_were_swapped(copied: Project) -> None:
    for _ in range(2):
        challenge(copied)
        promoted(copied)
    swap_files(copied, 2)
    before = copied.states()

    with pytest.raises(RegistryError, match="the files of version 2 are not those"):
        rolled_back(copied, 2)

    assert copied.states() == before


def test_a_record_from_before_digests_goes_on_and_gets_one_with_the_next_promotion(
    copied: Project,
) -> None:
    challenge(copied)
    promoted(copied)
    without_digests(copied)

    before = copied.champion()
    promoted_already, _ = promoted(copied)
    scored = score(copied.workplace)
    _, restored = rolled_back(copied)

    assert before.model_digest is None
    assert not promoted_already.changed
    assert scored.rows > 0
    assert restored.model_digest == StoredModel.of(stored_files(copied.registry, 1)).digest
    assert restored.bundle_digest == copied.registry.by_number(1, restored.run_id).bundle_digest
    rows = copied.rows("champion").sort("promotion")
    assert rows["model_digest"].to_list() == [None, None, restored.model_digest]


def without_digests(project: Project) -> None:
    """Leave records and versions as they were before there were digests."""
    table, registry = project.table("champion"), project.registry
    rows = project.rows("champion").drop("model_digest", "bundle_digest")
    write_deltalake(table.uri, rows, mode="overwrite", schema_mode="overwrite")
    for version in rows["version"].unique():
        registry.client.delete_model_version_tag(registry.model_name, str(version), DIGEST)


# A person's approval


def test_where_approval_is_required_the_champion_waits_for_it(copied: Project) -> None:
    challenge(copied)

    with pytest.raises(GateError, match=r"approval: .*`churn approve --use-case telco_churn`"):
        promoted(copied, settings=APPROVED)
    answered(copied, approved=True)
    _, promotion = promoted(copied, settings=APPROVED)

    gates = {verdict["gate"]: verdict for verdict in json.loads(promotion.gates)}
    assert promotion.version == 2
    assert "a person" in gates["approval"]["reason"]


def test_a_rejected_challenger_is_refused_and_says_by_whom(copied: Project) -> None:
    challenge(copied)
    answered(copied, approved=False)

    with pytest.raises(GateError, match=r"approval: .*rejected.*a person"):
        promoted(copied, settings=APPROVED)


def test_what_was_rejected_is_not_promoted_where_no_approval_is_asked_for_either(
    copied: Project,
) -> None:
    challenge(copied)
    answered(copied, approved=False)

    with pytest.raises(GateError) as refusal:
        promoted(copied)
    said = str(refusal.value)
    answered(copied, approved=True)

    assert said.startswith("Challenger refused: governance: rejected by a person at 20")
    assert said.endswith(
        ". The Champion and its predictions stand. Train another, or take that back with "
        "`churn approve --use-case telco_churn`."
    )
    assert promoted(copied)[1].version == 2


def test_an_approval_is_void_once_the_evidence_changes(copied: Project) -> None:
    challenge(copied)
    answered(copied, approved=True)
    other = pl.when(pl.col("Churn") == "Yes").then(pl.lit("No")).otherwise("Churn")
    few = pl.int_range(pl.len()) < 100
    source = copied.write(
        lambda frame: frame.with_columns(Churn=pl.when(few).then(other).otherwise("Churn"))
    )
    copied.run(source, tables="raw silver rejects features")

    verdicts = judged(copied, APPROVED)["approval"]

    assert not verdicts.passed
    assert "changed" in verdicts.reason


def test_an_approval_walks_around_no_other_gate(copied: Project) -> None:
    challenge(copied, threshold=NOBODY)
    answered(copied, approved=True)

    with pytest.raises(GateError, match="f1_gate"):
        promoted(copied, settings=APPROVED)


def test_there_is_nothing_to_approve_where_the_champion_stands(copied: Project) -> None:
    with pytest.raises(GateError, match="nothing to approve: Champion since"):
        answered(copied, approved=True)


# The gates of an experiment


def test_the_gates_of_an_experiment_hold_for_whom_it_trained_until_another_comes(
    copied: Project,
) -> None:
    strict = {"floors": {"roc_auc": 0.999}, "approval": "required"}
    challenge(copied, experiment_gates=json.dumps(strict))

    verdicts = judged(copied)
    with pytest.raises(
        GateError, match=r"refused: floors: roc_auc 0\..*; approval: version 2 waits"
    ):
        promoted(copied)
    # Neither do looser settings let it pass, nor a tag that cannot be read.
    copied.registry.tag(2, {"experiment_gates": json.dumps({"floors": {"roc_auc": 0.5}})})
    with pytest.raises(GateError, match="refused: floors: "):
        promoted(copied, settings=GateSettings(floors={"roc_auc": 0.999}))
    copied.registry.tag(2, {"experiment_gates": "{"})
    with pytest.raises(GateError, match="Challenger refused: "):
        promoted(copied)

    assert {gate for gate, each in verdicts.items() if not each.passed} == {"floors", "approval"}
    challenge(copied, experiment_gates="")
    assert promoted(copied)[1].version == 3


# A person's decision against a gate

OVERRIDE = GateSettings(override=("f1_gate",))


def a_little_worse(project: Project) -> None:
    """A Challenger with the Champion's scores, at a threshold that costs it a little F1."""
    challenge(project)
    given = gather(project.workplace, project.champion())
    scores, best = given.challenger.scores, f1(given.labels, given.challenger.decisions)
    worse = next(
        threshold
        for threshold in np.linspace(given.challenger.threshold, 1, 100)
        if 0 < best - f1(given.labels, scores >= threshold) < 0.03
    )
    project.registry.tag(2, {"threshold": repr(float(worse))})


def despite(project: Project, *gates: str, settings: GateSettings = OVERRIDE) -> None:
    answer(project.workplace, settings, approved=True, by="a person", note="ranks", despite=gates)


def test_a_person_may_decide_against_a_gate_that_the_settings_name_on_record(
    copied: Project,
) -> None:
    a_little_worse(copied)
    with pytest.raises(GateError) as refusal:
        promoted(copied)
    with pytest.raises(GateError, match=r"refused: f1_gate: Challenger 2 has F1"):
        promoted(copied, settings=OVERRIDE)

    assert str(refusal.value).endswith(
        "; or name f1_gate in gates.override and decide against it with `churn approve --use-case "
        "telco_churn --despite f1_gate`."
    )
    despite(copied, "f1_gate")
    evidence = gather(copied.workplace, copied.champion(), settings=OVERRIDE)
    _, promotion = promoted(copied, settings=OVERRIDE)

    verdict = {v["gate"]: v for v in json.loads(promotion.gates)}["f1_gate"]
    decision = verdict["numbers"]["approved_despite_it"]
    assert promotion.version == 2
    assert (verdict["passed"], verdict["blocking"]) == (False, False)
    assert (decision["by"], decision["note"]) == ("a person", "ranks")
    assert decision["evidence"] == evidence.digest
    assert evidence.challenger.tags["approval_despite"] == "f1_gate"
    assert "despite it approved by a person at " in verdict["reason"]
    # It stands with the same verdict, which blocks nothing.
    assert not judged(copied, OVERRIDE)["f1_gate"].blocking


def test_a_decision_against_one_gate_walks_around_no_other(copied: Project) -> None:
    challenge(copied, threshold=NOBODY)
    despite(copied, "f1_gate")

    with pytest.raises(GateError, match="refused: better_than_chance: "):
        promoted(copied, settings=OVERRIDE)


def test_a_decision_against_a_gate_is_void_on_other_evidence_or_settings(copied: Project) -> None:
    a_little_worse(copied)
    despite(copied, "f1_gate")
    other = OVERRIDE.model_copy(update={"slice_rows": 200})

    for settings in (DEFAULT_GATES, other):
        with pytest.raises(GateError, match="refused: f1_gate: "):
            promoted(copied, settings=settings)
    answer(copied.workplace, OVERRIDE, approved=True, by="a person")
    with pytest.raises(GateError, match="refused: f1_gate: "):
        promoted(copied, settings=OVERRIDE)


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ("slices", r"^Nobody may approve despite slices: gates.override names f1_gate. [^\n]*$"),
        ("governance", "Nobody may approve despite governance"),
        ("f2_gate", "Nobody may approve despite f2_gate"),
        ("f1_gate", "f1_gate does not refuse the Challenger"),
    ],
)
def test_a_gate_that_is_not_named_or_lets_pass_is_not_decided_against(
    copied: Project, gate: str, reason: str
) -> None:
    challenge(copied)

    with pytest.raises(GateError, match=reason):
        despite(copied, gate)

    assert "approval" not in copied.registry.by_alias(CHALLENGER).tags


# Looks at the same test rows


def test_each_challenger_that_the_same_test_rows_judge_is_counted_once(copied: Project) -> None:
    looks = []
    for _ in range(3):
        challenge(copied)
        for _ in range(2):
            judged(copied)
        tags = copied.registry.by_alias(CHALLENGER).tags
        looks.append((tags["test_set"], int(tags["test_set_looks"])))

    assert len({test_set for test_set, _ in looks}) == 1
    first = looks[0][1]
    assert [count for _, count in looks] == [first, first + 1, first + 2]
    # The finished project's own Challenger was judged by them too.
    assert first == 2

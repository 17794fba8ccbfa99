"""The Champion: nobody takes its place but by the gates, whatever fails on the way."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import GateError
from churn_assets.learning.judging.promotion import promote
from churn_assets.learning.judging.record import Promotion
from churn_assets.learning.registry import CHALLENGER, CHAMPION
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.processes import FORKS
from churn_assets_tests.support.programs.promoting import DIED, promote_for_ever
from churn_assets_tests.support.project import BLOCKING, GATES, USE_CASE, Project, Run
from churn_assets_tests.support.registering import challenge, copy_of

NewProject = Callable[..., Project]
NOBODY = "0.99"
"""A threshold at which nobody is decided as churn, so that F1 is 0."""


@dataclass(frozen=True)
class Refused:
    """A project with a Champion, before and after a run that was refused; to be read only."""

    project: Project
    run: Run
    before: dict[str, object]


@pytest.fixture(scope="module")
def finished(first_run: Finished) -> Project:
    return first_run.project


@pytest.fixture
def copied(finished: Project, project: Project) -> Project:
    return copy_of(finished, project.folder)


@pytest.fixture(scope="module")
def worse(finished: Project, new_project: NewProject) -> Refused:
    """A Challenger of the same customers, most of whose labels were mixed up in training."""
    project = copy_of(finished, new_project().folder)
    before = kept(project)
    split = finished.rows("features").select("customer_id", "split")

    def mix_up(frame: pl.DataFrame) -> pl.DataFrame:
        splits = frame.join(
            split, left_on="customerID", right_on="customer_id", maintain_order="left"
        )
        training = np.flatnonzero(splits["split"] == "train")
        rng = np.random.default_rng(0)
        rows = rng.choice(training, int(0.7 * len(training)), replace=False)
        labels = frame["Churn"].to_numpy().copy()
        labels[rows] = rng.permutation(labels[rows])
        return frame.with_columns(Churn=pl.Series(labels))

    return Refused(project, project.run(project.write(mix_up)), before)


def shuffle_labels(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("Churn").shuffle(seed=0))


def kept(project: Project) -> dict[str, object]:
    """What a refusal must not touch."""
    alias = project.registry.by_alias(CHAMPION)
    return {
        "record": project.state("champion"),
        "champion": project.champion(),
        "alias": None if alias is None else alias.version,
        "predictions": project.state("predictions"),
    }


def agreed(project: Project) -> Promotion:
    """The Champion, of whom the table and the alias say the same."""
    champion, alias = project.champion(), project.registry.by_alias(CHAMPION)
    assert champion is not None
    assert alias is not None
    assert (alias.version, alias.run_id) == (champion.version, champion.run_id)
    return champion


def test_the_first_champion_is_whoever_passes_the_gates(finished: Project) -> None:
    champion = agreed(finished)

    evidence = {verdict["gate"]: verdict for verdict in json.loads(champion.gates)}
    assert (champion.promotion, champion.previous_version) == (1, None)
    assert set(evidence) == GATES
    assert all(verdict["passed"] for verdict in evidence.values())
    assert "no Champion yet" in evidence["f1_gate"]["reason"]
    numbers = evidence["better_than_chance"]["numbers"]
    assert numbers["roc_auc"] > numbers["roc_auc_lower_95"] > 0.5
    assert numbers["brier_skill"] > numbers["brier_skill_lower_95"] > 0


def test_a_worse_challenger_is_refused_and_nothing_of_the_champion_changes(worse: Refused) -> None:
    run, project = worse.run, worse.project

    verdict = run.checks["f1_gate"]
    assert not run.success
    assert "f1_gate" in run.blocked_by
    assert not run.materialized & {"champion", "predictions"}
    assert verdict.metadata["challenger_f1"].value < verdict.metadata["champion_f1"].value
    assert verdict.description.startswith("Challenger 2 has F1 0.")
    assert "\n" not in verdict.description
    assert kept(project) == worse.before
    assert project.registry.by_alias(CHALLENGER).version == 2


def test_a_refused_challenger_is_refused_again_where_champion_runs_alone(worse: Refused) -> None:
    run = worse.project.run(tables="champion")

    assert not run.success
    assert run.error.startswith("Challenger refused: f1_gate: Challenger 2 has F1 0.")
    assert ". The Champion and its predictions stand. Train another, on " in run.error
    assert "\n" not in run.error
    assert kept(worse.project) == worse.before


def test_a_refused_challenger_is_refused_again_where_nothing_changed(worse: Refused) -> None:
    run = worse.project.run()

    assert "f1_gate" in run.blocked_by
    assert worse.project.state("model").rows == 2
    assert kept(worse.project) == worse.before


def test_labels_shuffled_everywhere_are_refused_though_f1_beats_the_champions(
    copied: Project,
) -> None:
    before = kept(copied)

    run = copied.run(copied.write(shuffle_labels))

    assert run.checks["f1_gate"].passed
    assert "better_than_chance" in run.blocked_by
    assert "is not above 0.500" in run.checks["better_than_chance"].description
    assert kept(copied) == before


def test_no_alias_set_by_hand_makes_a_first_champion_of_a_refused_challenger(
    project: Project,
) -> None:
    first = project.run(project.write(shuffle_labels))
    project.registry.point(CHAMPION, 1)

    again = project.run()
    alone = project.run(tables="champion")
    scored = project.run(tables="predictions")

    for run in (first, again):
        assert "better_than_chance" in run.blocked_by
    assert "better_than_chance: the lower 95 % bound of ROC AUC 0." in alone.error
    assert "there is no Champion to score with" in scored.error
    assert project.champion() is None
    assert project.state("predictions") is None


def test_no_alias_set_by_hand_lets_a_worse_challenger_pass(copied: Project) -> None:
    challenge(copied, threshold=NOBODY)
    copied.registry.point(CHAMPION, 2)

    run = copied.run(tables="champion")

    assert "f1_gate: Challenger 2 has F1 0.000, Champion 1 has 0." in run.error
    assert agreed(copied).version == 1


def test_of_two_promotions_that_both_passed_the_gates_one_wins(copied: Project) -> None:
    """Each waits for the other with its commit, so both were judged against one Champion."""
    for round_ in range(1, 4):
        challenger, rows = challenge(copied), copied.rows("champion").height
        lake = Lake(copied.settings().lake_uri, TogetherEngine(2), layers=LAYERS)
        told: list[str] = []

        def race(lake: Lake = lake, told: list[str] = told) -> None:
            try:
                promote(replace(copied.workplace, tables=lake.of(USE_CASE)), "a thread")
                told.append("promoted")
            except GateError as error:
                told.append(str(error))

        threads = [threading.Thread(target=race) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        lost, won = sorted(told)
        assert won == "promoted", round_
        assert lost.startswith("Challenger refused: another promotion was first. Run again")
        assert copied.rows("champion").height == rows + 1
        assert agreed(copied).version == challenger.version


def test_of_two_processes_that_promote_at_once_one_wins(copied: Project) -> None:
    challenge(copied)
    with promoting(copied) as first, promoting(copied) as second:
        for round_ in range(1, 4):
            version, rows = challenge(copied).version, copied.rows("champion").height

            for other in (first, second):
                other.send(f"round {round_}")
            told = [other.recv() for other in (first, second)]

            assert told.count("promoted") == 1, told
            assert copied.rows("champion").height == rows + 1
            assert agreed(copied).version == version
            # The other came at the same time, or later and found its Challenger promoted.
            told.remove("promoted")
            assert told[0] == "unchanged" or "another promotion was first" in told[0]


def test_a_crash_between_the_record_and_the_alias_is_put_right_by_the_next_run(
    copied: Project,
) -> None:
    assert copied.run(tables="model", retrain=True).success
    with promoting(copied, status=DIED) as other:
        other.send("one that dies")
    crashed = copied.champion().version, copied.registry.by_alias(CHAMPION).version

    run = copied.run()

    assert crashed == (2, 1)
    assert run.success, run.error
    assert agreed(copied).version == 2
    assert copied.rows("champion").height == 2
    assert set(copied.rows("predictions")["model_version"]) == {2}


def test_a_registry_that_was_lost_promotes_nobody_and_says_what_to_do(
    copied: Project, new_project: NewProject
) -> None:
    record, predictions = copied.state("champion"), copied.state("predictions")
    empty = new_project().folder / ".churn" / "mlflow.db"
    shutil.copyfile(empty, copied.folder / ".churn" / "mlflow.db")

    run = copied.run()
    scored = copied.run(tables="predictions")

    assert run.blocked_by == BLOCKING
    for said in (run.checks["f1_gate"].description, scored.error):
        assert "version 1 of run" in said
        assert "Restore the registry's database" in said
        assert "\n" not in said
    assert (copied.state("champion"), copied.state("predictions")) == (record, predictions)
    assert copied.registry.by_alias(CHAMPION) is None


def test_a_champion_whose_files_were_deleted_is_not_replaced_unseen(copied: Project) -> None:
    challenge(copied)
    assert copied.run(tables="champion").success
    delete_files(copied, version=2)
    before = kept(copied)

    run = copied.run(retrain=True)

    said = run.checks["f1_gate"].description
    assert copied.registry.by_alias(CHALLENGER).version == 3
    assert run.blocked_by == BLOCKING
    assert "the files of version 2 are not those that were registered (MLmodel is missing" in said
    assert "`churn rollback` if it is the Champion" in said
    assert "\n" not in said
    assert kept(copied) == before


@contextmanager
def promoting(project: Project, status: int | None = None) -> Iterator[Connection]:
    """A process that promotes the project's Challenger each time that something is sent to it.

    With a status it dies of the first promotion, and has ended with it after the block.
    """
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(
        target=promote_for_ever,
        args=(str(project.folder / ".churn"), theirs),
        kwargs={"dies": status is not None},
    )
    process.start()
    try:
        assert ours.poll(60)
        assert ours.recv() == "ready"
        yield ours
        if status is not None:
            process.join(60)
            assert process.exitcode == status
    finally:
        process.kill()
        process.join()


def delete_files(project: Project, version: int) -> None:
    client = project.registry.client
    source = client.get_model_version("telco_churn", str(version)).source
    model = client.get_logged_model(source.removeprefix("models:/"))
    shutil.rmtree(Path(model.artifact_location.removeprefix("file://")))


class TogetherEngine(PolarsEngine):
    """Commits once as many writers have come as it waits for."""

    def __init__(self, writers: int) -> None:
        super().__init__()
        self._together = threading.Barrier(writers, timeout=60)

    def write_delta(self, *commit: Any, **options: Any) -> None:
        self._together.wait()
        super().write_delta(*commit, **options)

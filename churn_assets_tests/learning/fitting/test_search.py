"""The search: its outcome depends on rows, settings and seed, and on nothing that goes wrong."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting import search as module
from churn_assets.learning.fitting.candidates import chosen, singles
from churn_assets.learning.fitting.folds import Rows, folded
from churn_assets.learning.fitting.origin import study_name
from churn_assets.learning.fitting.search import search
from churn_assets.learning.fitting.suggestions import _points
from churn_assets.learning.fitting.training import Trained, train
from churn_assets.learning.fitting.trial import Trial, loss
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.settings import load_settings
from churn_assets_tests.support.processes import CHECKOUT, FORKS
from churn_assets_tests.support.project import USE_CASE

INPUTS = list(USE_CASE.inputs)
CANDIDATES: list[Any] = [
    {
        "name": "logistic_regression",
        "parameters": {"C": 0.1, "max_iter": 1000},
        "space": {"C": {"low": 1e-4, "high": 10.0, "log": True}},
    },
    {
        "name": "lightgbm",
        "parameters": {"n_estimators": 20, "num_leaves": 8},
        "space": {
            "num_leaves": {"low": 2, "high": 31},
            "learning_rate": {"low": 0.01, "high": 0.5, "log": True},
            "min_child_samples": [5, 20, 50],
        },
    },
]


def with_budget(trials: int = 12, **changes: Any) -> TrainingSettings:
    budget = {"trials": trials, **changes.pop("tuning", {})}
    return TrainingSettings(**{"candidates": CANDIDATES, "tuning": budget, **changes})


@pytest.fixture(scope="module")
def few(labelled: pd.DataFrame) -> pd.DataFrame:
    return labelled.head(900)


def rows(few: pd.DataFrame, settings: TrainingSettings) -> Rows:
    learned = few[few["split"] != "test"]
    is_validation = (learned["split"] == "validation").to_numpy()
    return folded(learned[INPUTS], learned["label"].to_numpy(dtype=bool), is_validation, settings)


def trials_of(few: pd.DataFrame, settings: TrainingSettings, **given: Any) -> list[Trial]:
    candidates = singles(chosen(settings))
    return search(USE_CASE, candidates, rows(few, settings), settings, **given)[1]


def test_without_a_budget_each_default_configuration_is_tried_and_no_more(
    few: pd.DataFrame,
) -> None:
    trials = trials_of(few, with_budget(trials=0))

    assert [(trial.candidate, trial.parameters) for trial in trials] == [
        ("logistic_regression", {}),
        ("lightgbm", {}),
    ]


def test_the_default_configurations_come_first_whatever_the_budget(few: pd.DataFrame) -> None:
    assert len(trials_of(few, with_budget(trials=1))) == 2
    assert [trial.parameters for trial in trials_of(few, with_budget(trials=5))[:2]] == [{}, {}]


def test_a_budget_of_trials_gives_the_same_trials_each_time(few: pd.DataFrame) -> None:
    first = trials_of(few, with_budget())

    assert len(first) == 12
    assert trials_of(few, with_budget()) == first


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_another_seed_tries_other_configurations(sampler: str, few: pd.DataFrame) -> None:
    first = trials_of(few, with_budget(6, tuning={"sampler": sampler}))
    other = trials_of(few, with_budget(6, tuning={"sampler": sampler}, seed=1))

    assert [trial.parameters for trial in other[2:]] != [trial.parameters for trial in first[2:]]


def test_each_value_lies_in_its_space_and_has_its_type(few: pd.DataFrame) -> None:
    trials = trials_of(few, with_budget(14, tuning={"sampler": "random"}))[2:]

    assert {trial.candidate for trial in trials} == {"logistic_regression", "lightgbm"}
    for trial in trials:
        if trial.candidate == "logistic_regression":
            assert 1e-4 <= trial.parameters["C"] <= 10
        else:
            assert isinstance(trial.parameters["num_leaves"], int)
            assert 2 <= trial.parameters["num_leaves"] <= 31
            assert trial.parameters["min_child_samples"] in (5, 20, 50)


def test_the_best_configuration_has_the_least_loss_of_its_own_scores(few: pd.DataFrame) -> None:
    settings = with_budget()
    given = rows(few, settings)

    best, trials = search(USE_CASE, singles(chosen(settings)), given, settings)

    for name, found in best.items():
        complete = [one for one in trials if one.candidate == name and one.state == "complete"]
        assert found.loss == min(trial.loss for trial in complete)
        again = loss("log_loss", given.labels, found.scores)
        assert again == pytest.approx(found.loss, abs=1e-12)


def test_a_configuration_worse_than_the_median_is_stopped_before_the_last_fold(
    few: pd.DataFrame,
) -> None:
    trials = trials_of(few, with_budget(20))

    stopped = [trial for trial in trials if trial.state == "pruned"]
    assert stopped
    for trial in stopped:
        folds = len(trial.losses)
        earlier = [
            one.losses
            for one in trials[: trials.index(trial)]
            if one.candidate == trial.candidate and one.state == "complete"
        ]
        assert 1 <= folds < 5
        assert len(earlier) >= 3
        assert trial.losses[-1] > min(losses[folds - 1] for losses in earlier)


def test_candidates_take_turns_and_one_without_a_space_is_not_tried_again(
    few: pd.DataFrame,
) -> None:
    neighbours = {
        "name": "neighbours",
        "estimator": "sklearn.neighbors.KNeighborsClassifier",
        "inputs": "linear",
    }

    trials = trials_of(few, with_budget(9, candidates=[*CANDIDATES, neighbours]))
    alone = trials_of(few, with_budget(9, candidates=[neighbours]))

    tally = Counter(trial.candidate for trial in trials)
    assert tally == {"logistic_regression": 4, "lightgbm": 4, "neighbours": 1}
    assert len(alone) == 1


def test_a_configuration_that_cannot_be_fitted_is_passed_over(few: pd.DataFrame) -> None:
    candidate = {
        "name": "own",
        "estimator": "sklearn.neighbors.KNeighborsClassifier",
        "inputs": "linear",
        "space": {"n_neighbors": [5, 10_000]},
    }

    trials = trials_of(few, with_budget(6, candidates=[candidate], tuning={"sampler": "grid"}))

    assert [trial.state for trial in trials] == ["complete", "complete", "failed"]


# A grid


def test_a_grid_tries_every_point_once_and_then_ends(few: pd.DataFrame) -> None:
    space = {"C": [0.01, 0.1, 1.0], "fit_intercept": [True, False]}
    candidate = {**CANDIDATES[0], "space": space}

    trials = trials_of(few, with_budget(50, candidates=[candidate], tuning={"sampler": "grid"}))

    points = {(trial.parameters["C"], trial.parameters["fit_intercept"]) for trial in trials[1:]}
    assert len(trials) == 7
    assert points == {(c, fit) for c in space["C"] for fit in space["fit_intercept"]}


def test_a_range_becomes_five_points_evenly_spaced(few: pd.DataFrame) -> None:
    space = {"C": {"low": 0.01, "high": 100.0, "log": True}}
    candidate = {**CANDIDATES[0], "space": space}

    trials = trials_of(few, with_budget(50, candidates=[candidate], tuning={"sampler": "grid"}))

    assert sorted(trial.parameters["C"] for trial in trials[1:]) == pytest.approx(
        [0.01, 0.1, 1, 10, 100]
    )


def test_the_beginning_of_a_grid_is_spread_over_all_of_it() -> None:
    space = {"a": list(range(10)), "b": list(range(10))}

    begun = list(islice(_points(space), 10))

    assert len({point["a"] for point in begun}) >= 5
    assert len({point["b"] for point in begun}) >= 5


# What is kept


def test_a_search_that_is_kept_is_the_same_as_one_that_is_not(
    few: pd.DataFrame, tmp_path: Path
) -> None:
    found = trials_of(few, with_budget(), journal=tmp_path / "made" / "a.journal", study="a")

    assert found == trials_of(few, with_budget())


def test_a_search_with_fewer_trials_goes_on_where_it_ended(
    few: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = {"journal": tmp_path / "a.journal", "study": "a"}
    # An odd number ends amid a batch.
    first = trials_of(few, with_budget(7), **journal)
    fitted: list[int] = []
    fit = module._fold
    monkeypatch.setattr(module, "_fold", lambda *given: fitted.append(1) or fit(*given))

    more = trials_of(few, with_budget(12), **journal)

    assert more[:7] == first
    made = len(fitted)
    assert more == trials_of(few, with_budget(12))
    assert made < len(fitted) - made


def test_a_study_of_another_name_in_the_same_file_begins_anew(
    few: pd.DataFrame, tmp_path: Path
) -> None:
    trials_of(few, with_budget(), journal=tmp_path / "a.journal", study="a")

    other = trials_of(few, with_budget(seed=1), journal=tmp_path / "a.journal", study="b")

    assert other == trials_of(few, with_budget(seed=1))


def tuned(few: pd.DataFrame, journal: Path | None) -> Trained:
    return train(USE_CASE, few, with_budget(16), study=journal, data_version="1")


def test_a_training_that_was_killed_gives_the_model_of_one_that_was_not(
    few: pd.DataFrame, tmp_path: Path
) -> None:
    journal = tmp_path / "a.journal"
    victim = FORKS.Process(target=tuned, args=(few, journal))
    victim.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and lines(journal) < 6:
        time.sleep(0.005)
    os.kill(victim.pid or 0, signal.SIGKILL)
    victim.join(30)
    assert victim.exitcode == -signal.SIGKILL
    assert lines(journal) < 17

    model = tuned(few, journal)

    whole = tuned(few, None)
    assert model.trials == whole.trials
    assert (model.recipe, model.parameters) == (whole.recipe, whole.parameters)
    assert model.threshold == whole.threshold
    scores = (one.pipeline.predict_proba(few[INPUTS]) for one in (model, whole))
    assert np.array_equal(*scores)


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_a_line_that_was_half_written_is_written_again(few: pd.DataFrame, tmp_path: Path) -> None:
    journal = tmp_path / "a.journal"
    trials_of(few, with_budget(6), journal=journal, study="a")
    journal.write_bytes(journal.read_bytes()[:-40])

    trials = trials_of(few, with_budget(8), journal=journal, study="a")

    assert trials == trials_of(few, with_budget(8))
    assert trials_of(few, with_budget(8), journal=journal, study="a") == trials


def test_a_file_that_is_no_journal_is_named_with_what_to_do(
    few: pd.DataFrame, tmp_path: Path
) -> None:
    journal = tmp_path / "a.journal"
    journal.write_bytes(b"no journal\n")

    with pytest.raises(TrainingError) as refusal:
        trials_of(few, with_budget(4), journal=journal, study="a")

    assert str(refusal.value).startswith(str(journal))
    assert "Remove the file" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"metric": "brier"},
        {"folds": 4},
        {"sample": 0.5},
        {"candidates": CANDIDATES[:1]},
        {"tuning": {"sampler": "random"}},
        {"tuning": {"parallel": 3}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_a_trial_changes_the_study(change: dict[str, Any]) -> None:
    assert study_name(USE_CASE, with_budget(**change), "1") != study_name(
        USE_CASE, with_budget(), "1"
    )


def test_other_rows_are_another_study_and_another_budget_is_not() -> None:
    name = study_name(USE_CASE, with_budget(), "1")

    assert study_name(USE_CASE, with_budget(), "2") != name
    assert study_name(USE_CASE, with_budget(trials=50, tuning={"seconds": 5}), "1") == name
    assert study_name(USE_CASE, with_budget(threshold="value"), "1") == name


# While it goes on


def test_a_budget_in_seconds_ends_a_search_after_the_defaults(few: pd.DataFrame) -> None:
    trials = trials_of(few, with_budget(10_000, tuning={"seconds": 0.5}))

    assert 2 <= len(trials) < 10_000


def test_progress_says_how_far_a_search_is(
    few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SECONDS", 0.0)
    lines: list[str] = []

    trials_of(few, with_budget(8), progress=lines.append)

    assert re.match(
        r"2 of 8 trials, 0 stopped early, about \d+ s left; best log_loss 0\.", lines[0]
    )
    assert lines[1].startswith("4 of 8 trials")
    assert lines[-1].startswith("8 of 8 trials")


# Experiments


EXPERIMENTS = sorted((CHECKOUT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_an_experiment_that_comes_with_the_project_can_be_followed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_EXPERIMENT", str(file))

    settings = load_settings()

    assert settings.training.tuning.trials > 0
    assert settings.gates != GateSettings()
    for candidate in singles(chosen(settings.training)):
        assert candidate.space, candidate.name


def test_there_are_two_experiments() -> None:
    assert len(EXPERIMENTS) == 2


def test_an_experiment_trains(few: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHURN_EXPERIMENT", str(CHECKOUT / "experiments" / "linear.yaml"))

    model = train(USE_CASE, few, load_settings().training)

    assert model.recipe == "logistic_regression"
    assert len(model.trials) == 8
    assert model.threshold_rule == "value-best out of fold"
    chosen = model.candidates["logistic_regression"]
    assert chosen.loss == pytest.approx(model.metrics["oof_brier"])

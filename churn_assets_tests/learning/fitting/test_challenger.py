"""The Challenger: trained where something changed, and on record as it was registered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
import polars as pl
import pytest

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting import origin as module
from churn_assets.learning.fitting.challenger import (
    Challenger,
    OpenRun,
    latest_challenger,
    semantic_version,
    train_challenger,
    typical_row,
)
from churn_assets.learning.fitting.origin import origin
from churn_assets.learning.recipe import TrainingSettings, TuningSettings
from churn_assets.learning.registry import CHALLENGER
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import challenge, open_run

FEATURES = "raw silver rejects features"


class TrainingBegun(Exception):  # noqa: N818
    """A training was begun."""


@contextmanager
def caught() -> Iterator[str]:
    raise TrainingBegun
    yield ""


def train(
    project: Project,
    open_run: OpenRun = caught,
    settings: TrainingSettings | None = None,
    **changes: Any,
) -> Challenger:
    settings = settings or project.settings().training
    return train_challenger(project.workplace, settings, open_run, **changes)


def without_labels(project: Project) -> None:
    project.run(project.write(lambda frame: frame.with_columns(Churn=pl.lit(""))), tables=FEATURES)


def test_unchanged_features_and_code_train_nothing(copied: Project) -> None:
    challenger = train(copied)

    assert challenger.row["version"] == 1
    assert not challenger.committed.changed
    assert copied.state("model").rows == 1


def test_the_gates_of_an_experiment_are_kept_with_whom_it_asks_for(copied: Project) -> None:
    train(copied, gates={"rule": "improve"})
    train(copied)

    tags = copied.registry.by_alias(CHALLENGER).tags
    assert json.loads(tags["experiment_gates"]) == {"rule": "improve"}


def test_retrain_trains_where_nothing_changed(copied: Project) -> None:
    with pytest.raises(TrainingBegun):
        train(copied, retrain=True)


def test_changed_features_train(copied: Project) -> None:
    copied.run(copied.write(lambda frame: frame.head(2500)), tables=FEATURES)

    with pytest.raises(TrainingBegun):
        train(copied)


def reasons(project: Project, **changes: Any) -> list[str]:
    """What is told of a training that is begun."""
    lines: list[str] = []
    with pytest.raises(TrainingBegun):
        train(project, progress=lines.append, **changes)
    return lines


def recorded(project: Project, **changes: Any) -> None:
    """Let the model on record be made from something else; from nothing known without changes."""
    model, settings = project.table("model"), project.settings().training
    now = origin(USE_CASE, settings, project.state("features").data_version)
    details = {"origin": {**now, **changes}} if changes else {}
    model.replace(model.scan(), "another", **details)


def test_a_run_says_that_other_features_train_again(copied: Project) -> None:
    copied.run(copied.write(lambda frame: frame.head(2500)), tables=FEATURES)

    assert reasons(copied) == ["trained again: the features changed"]


def test_a_run_says_that_other_settings_train_again(copied: Project) -> None:
    settings = copied.settings().training.model_copy(update={"seed": 1})

    assert reasons(copied, settings=settings) == [
        "trained again: settings changed (training.seed 1 instead of 0)"
    ]


def test_a_run_says_that_another_library_trains_again(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = module.libraries
    monkeypatch.setattr(
        module, "libraries", lambda settings: {**libraries(settings), "scikit-learn": "9.9"}
    )
    before = libraries(copied.settings().training)["scikit-learn"]

    assert reasons(copied) == [f"trained again: scikit-learn 9.9 instead of {before}"]


@pytest.mark.parametrize(
    ("part", "words"),
    [("code", "the code that trains changed"), ("use_case", "the use case changed")],
)
def test_a_run_says_that_other_code_trains_again(copied: Project, part: str, words: str) -> None:
    recorded(copied, **{part: "another"})

    assert reasons(copied) == [f"trained again: {words}"]


def test_a_run_says_that_it_was_asked_to_train_again(copied: Project) -> None:
    assert reasons(copied, retrain=True) == ["trained again: asked for"]


def test_a_run_says_that_the_model_on_record_is_an_earlier_versions(copied: Project) -> None:
    recorded(copied)

    assert reasons(copied) == [
        "trained again: the model on record was trained by an earlier version of Churn Assets"
    ]


def test_a_run_says_that_another_program_committed_to_the_table(copied: Project) -> None:
    model = copied.table("model")
    model.replace(model.scan(), "")

    assert reasons(copied) == ["trained again: another program committed to the model table last"]


def test_a_run_says_that_the_registry_has_another_challenger(copied: Project) -> None:
    challenge(copied)

    assert reasons(copied) == ["trained again: the registry's Challenger is not the one on record"]


def test_a_run_says_that_libraries_came_or_went(copied: Project) -> None:
    libraries = module.libraries(copied.settings().training)
    recorded(copied, libraries={**libraries, "xgboost-cpu": "3.1"})

    assert reasons(copied) == ["trained again: other libraries are installed"]


def test_several_reasons_are_all_told(copied: Project) -> None:
    recorded(copied, features="others", code="another")

    assert reasons(copied, retrain=True) == [
        "trained again: asked for; the features changed; the code that trains changed"
    ]


def test_a_first_training_says_nothing_and_is_explained_on_record(
    first_run: Finished, copied: Project
) -> None:
    assert first_run.run.metadata("model")["trained_because"].value == "there was no model yet"
    assert not [event for event in first_run.run.events if "trained again" in (event.message or "")]

    again = copied.run(tables="model")

    assert again.metadata("model")["trained_because"].value == "there was no model yet"


def test_a_version_that_a_crash_kept_off_the_table_is_trained_again(copied: Project) -> None:
    """The registry's Challenger is another one than the table's, so the table does not count."""
    challenge(copied)

    with pytest.raises(TrainingBegun):
        train(copied)


def test_a_registry_that_lost_the_challenger_trains_again(copied: Project) -> None:
    copied.registry.client.delete_registered_model_alias("telco_churn", CHALLENGER)

    with pytest.raises(TrainingBegun):
        train(copied)


@pytest.mark.slow
def test_a_challenger_of_a_sample_says_so_in_the_registry_and_in_dagster(project: Project) -> None:
    run = project.run(project.write(), training={"max_rows": 1000})

    description = project.registry.by_alias(CHALLENGER).description
    assert "of a sample, 0.33" in description
    assert "of the 3,000 with a known label" in description
    assert run.metadata("model")["description"].value == description


def test_without_any_label_the_challenger_that_is_there_stays(copied: Project) -> None:
    without_labels(copied)

    challenger = train(copied, retrain=True)

    assert challenger.row["version"] == 1


def test_without_any_label_and_any_model_there_is_nothing_to_learn_from(project: Project) -> None:
    without_labels(project)

    with pytest.raises(TrainingError, match="no customer has a known label") as refusal:
        train(project)

    assert "column 'Churn' is filled for past customers" in str(refusal.value)


def test_the_table_and_the_registry_say_the_same_of_a_new_challenger(copied: Project) -> None:
    registry, features = copied.registry, copied.state("features")

    challenger = train(copied, lambda: open_run(registry), retrain=True)

    version = registry.by_alias(CHALLENGER)
    row = copied.rows("model").sort("version").row(-1, named=True)
    assert (
        (row["version"], row["run_id"]) == (version.version, version.run_id) == (2, row["run_id"])
    )
    assert row["threshold"] == version.threshold
    assert version.tags["features_data_version"] == features.data_version
    assert version.tags["split"] == features.details["split"] == row["split"]
    assert challenger.committed.reads == {"features": features.version}
    assert challenger.committed.details == {
        "origin": origin(USE_CASE, copied.settings().training, features.data_version),
        "trained_because": challenger.trained_because,
        "single_inputs": {"roc_auc": row["oof_roc_auc"], "inputs": {}},
    }
    assert challenger.trained_because == "asked for"
    assert f"F1 {row['test_f1']:.3f} at threshold {row['threshold']:.3f}" in version.description
    assert latest_challenger(copied.table("model"), registry).row == row


LINEAR = TrainingSettings(candidates=["logistic_regression"])


def test_a_version_says_what_it_was_made_with_and_how(copied: Project) -> None:
    registry = copied.registry

    train(copied, lambda: open_run(registry), LINEAR, gates={"value": "block"})

    version = registry.by_alias(CHALLENGER)
    row = copied.rows("model").sort("version").row(-1, named=True)
    assert json.loads(row["parameters"]) == {"C": 0.1, "max_iter": 1000}
    assert set(json.loads(row["calibration"])) == {
        "slope",
        "intercept",
        "gain",
        "gain_error",
        "done",
    }
    assert version.tags["threshold_rule"] == row["threshold_rule"] == "F1-best out of fold"
    assert version.tags["semantic_version"] == row["semantic_version"]
    assert version.tags["calibration"].startswith("out of fold slope ")
    assert json.loads(version.tags["experiment_gates"]) == {"value": "block"}
    assert (len(version.tags["parameters"]), len(version.tags["inputs"])) == (16, 16)


RECIPE = {"inputs": "a", "recipe": "blend", "parameters": "b", "code_version": "c"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"inputs": "other", "recipe": "other"}, "2.0.0"),
        ({"recipe": "other"}, "1.3.0"),
        ({"parameters": "other"}, "1.3.0"),
        ({"code_version": "other"}, "1.3.0"),
        ({}, "1.2.4"),
    ],
)
def test_a_recipe_has_a_semantic_version(change: dict[str, str], expected: str) -> None:
    """Major for other inputs, minor for another recipe, patch for a refit."""
    assert (
        semantic_version({**RECIPE, "semantic_version": "1.2.3"}, {**RECIPE, **change}) == expected
    )


@pytest.mark.parametrize("previous", [{}, {**RECIPE}, {**RECIPE, "semantic_version": "new"}])
def test_the_first_recipe_is_the_first_version(previous: dict[str, str]) -> None:
    assert semantic_version(previous, RECIPE) == "1.0.0"


def test_a_refit_on_new_data_is_a_patch_and_another_recipe_a_minor_version(
    copied: Project,
) -> None:
    registry = copied.registry

    refit = train(copied, lambda: open_run(registry), retrain=True)
    other = train(copied, lambda: open_run(registry), LINEAR)

    assert copied.rows("model")["semantic_version"].sort().to_list() == ["1.0.0", "1.0.1", "1.1.0"]
    assert (refit.row["semantic_version"], other.row["semantic_version"]) == ("1.0.1", "1.1.0")


def test_a_tuning_logs_a_run_for_each_trial_below_its_own_and_goes_on_later(
    copied: Project, tmp_path: Path
) -> None:
    registry = copied.registry
    lines: list[str] = []
    settings = LINEAR.model_copy(update={"tuning": TuningSettings(trials=4)})

    challenger = train(
        copied, lambda: open_run(registry), settings, studies=tmp_path, progress=lines.append
    )

    run = challenger.row["run_id"]
    children = registry.client.search_runs(
        ["1"], f"tags.mlflow.parentRunId = '{run}'", order_by=["attributes.start_time"]
    )
    children = [child for child in children if "trial" in child.data.tags]
    assert [child.info.run_name.partition(",")[0] for child in children] == [
        f"telco_churn trial {number}: logistic_regression" for number in range(4)
    ]
    assert {child.info.status for child in children} == {"FINISHED"}
    assert [set(child.data.params) for child in children] == [{"recipe"}, *[{"recipe", "C"}] * 3]
    best = min(child.data.metrics["log_loss"] for child in children)
    assert best == json.loads(challenger.row["candidates"])["logistic_regression"]
    assert challenger.row["trials"] == 4
    assert lines[-1].startswith("4 of 4 trials")
    (journal,) = tmp_path.iterdir()
    assert journal.name.startswith("telco_churn-")


def test_a_candidate_that_is_not_known_opens_no_run(copied: Project) -> None:
    with pytest.raises(TrainingError, match="candidate 'unknown': there is no such candidate"):
        train(copied, settings=TrainingSettings(candidates=["unknown"]))


def test_the_model_table_of_an_older_release_goes_on(copied: Project) -> None:
    """Its columns were others; what they said stays."""
    registry, model = copied.registry, copied.table("model")
    old = copied.rows("model").drop(
        "semantic_version", "threshold_rule", "parameters", "calibration", "trials"
    )
    old = old.rename({name: name.replace("oof_", "validation_") for name in old.columns})
    model.replace(nw.from_native(old.lazy()), "an older release's")

    challenger = train(copied, lambda: open_run(registry))

    rows = copied.rows("model").sort("version")
    assert rows["version"].to_list() == [1, 2]
    assert rows["validation_f1"].to_list() == [old["validation_f1"][0], None]
    assert rows["oof_f1"].to_list() == [None, challenger.row["oof_f1"]]
    assert latest_challenger(model, registry).row["version"] == 2


def test_the_typical_row_has_the_median_of_each_number_and_the_commonest_of_each_category() -> None:
    case = replace(USE_CASE, numeric=("months",), categorical=("contract",))
    rows = pd.DataFrame({"months": [1.0, 2.0, 60.0], "contract": ["year", "month", "month"]})

    assert typical_row(case, rows).to_dict("records") == [{"months": 2.0, "contract": "month"}]


@pytest.mark.parametrize(
    ("numeric", "categorical"), [(("months",), ()), ((), ("contract",)), (("unknown",), ("none",))]
)
def test_a_typical_row_can_be_had_of_any_columns(
    numeric: tuple[str, ...], categorical: tuple[str, ...]
) -> None:
    case = replace(USE_CASE, numeric=numeric, categorical=categorical)
    rows = pd.DataFrame(
        {
            "months": [1.0, 2.0],
            "unknown": [float("nan")] * 2,
            "contract": ["year", "month"],
            "none": pd.Series([None, None], dtype=object),
        }
    )[[*numeric, *categorical]]

    found = typical_row(case, rows)

    assert list(found.columns) == [*numeric, *categorical]
    assert len(found) == 1

"""Training: the same rows give the same model, and test rows only judge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from churn_assets.errors import TrainingError
from churn_assets.learning.candidates import CANDIDATES
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.training import Trained, labelled_rows, train
from churn_assets_tests.project import ROWS, USE_CASE, Project

INPUTS = list(USE_CASE.inputs)


def scores(model: Trained, rows: pd.DataFrame) -> np.ndarray:
    return model.pipeline.predict_proba(rows[INPUTS])[:, 1]


def flipped(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    label = rows["label"].astype(bool)
    return rows.assign(label=np.where(rows["split"] == split, ~label, label))


@pytest.mark.usefixtures("few_trees")
def test_the_same_rows_and_seed_give_the_same_model(labelled: pd.DataFrame) -> None:
    first = train(USE_CASE, labelled, seed=0)

    second = train(USE_CASE, labelled, seed=0)

    assert np.array_equal(scores(second, labelled), scores(first, labelled))
    assert second.threshold == first.threshold
    assert second.metrics == first.metrics


@pytest.mark.usefixtures("few_trees")
def test_the_number_of_threads_does_not_change_the_model(
    labelled: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_lightgbm(monkeypatch, n_jobs=1)
    alone = train(USE_CASE, labelled, seed=0)
    change_lightgbm(monkeypatch, n_jobs=2)

    together = train(USE_CASE, labelled, seed=0)

    assert np.array_equal(scores(together, labelled), scores(alone, labelled))


@pytest.mark.usefixtures("few_trees")
def test_another_seed_gives_another_model(labelled: pd.DataFrame) -> None:
    first = train(USE_CASE, labelled, seed=0)

    second = train(USE_CASE, labelled, seed=1)

    assert not np.array_equal(scores(second, labelled), scores(first, labelled))


def test_labels_of_test_rows_change_neither_model_nor_threshold(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    other = train(USE_CASE, flipped(labelled, "test"), seed=0)

    assert other.recipe == trained.recipe
    assert other.threshold == trained.threshold
    assert np.array_equal(scores(other, labelled), scores(trained, labelled))
    assert other.metrics["validation_f1"] == trained.metrics["validation_f1"]
    assert other.metrics["test_f1"] != trained.metrics["test_f1"]


@pytest.mark.usefixtures("few_trees")
def test_labels_of_validation_rows_move_the_threshold_and_not_the_model(
    labelled: pd.DataFrame,
) -> None:
    honest = train(USE_CASE, labelled, seed=0)

    other = train(USE_CASE, flipped(labelled, "validation"), seed=0)

    assert other.threshold != honest.threshold
    assert np.array_equal(scores(other, labelled), scores(honest, labelled))


def test_the_threshold_is_the_f1_best_one_of_the_validation_rows(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    validation = labelled[labelled["split"] == "validation"]
    labels = validation["label"].to_numpy(dtype=bool)

    assert trained.threshold == f1_best_threshold(labels, scores(trained, validation))


def test_the_better_candidate_by_validation_log_loss_is_chosen(trained: Trained) -> None:
    assert set(trained.candidates) == set(CANDIDATES)
    assert trained.candidates[trained.recipe] == min(trained.candidates.values())
    assert trained.metrics["validation_log_loss"] == trained.candidates[trained.recipe]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_each_split_is_judged_by_every_metric_on_its_own_rows(
    split: str, labelled: pd.DataFrame, trained: Trained
) -> None:
    rows = labelled[labelled["split"] == split]

    expected = metrics(rows["label"].to_numpy(dtype=bool), scores(trained, rows), trained.threshold)

    assert len(expected) == 8
    for name, value in expected.items():
        assert trained.metrics[f"{split}_{name}"] == pytest.approx(value), name


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(("label", "found"), [(True, "positive"), (False, "negative")])
def test_a_split_of_one_class_is_refused_with_what_to_check(
    split: str, label: bool, found: str, labelled: pd.DataFrame
) -> None:
    rows = labelled.assign(label=labelled["label"].where(labelled["split"] != split, label))

    with pytest.raises(TrainingError) as refusal:
        train(USE_CASE, rows, seed=0)

    assert f"the {split} rows have only {found} ones" in str(refusal.value)
    assert "Label 'churn' counts as positive where it is 'Yes'" in str(refusal.value)


def test_a_split_without_rows_is_refused(labelled: pd.DataFrame) -> None:
    with pytest.raises(TrainingError, match="the validation rows have none"):
        train(USE_CASE, labelled[labelled["split"] != "validation"], seed=0)


def test_rows_come_sorted_by_key_whatever_their_order_in_the_source(
    labelled: pd.DataFrame, new_project: Callable[..., Project]
) -> None:
    other = new_project()
    source = other.write(lambda frame: frame.sample(fraction=1, shuffle=True, seed=3))
    other.run(source, tables="raw silver rejects features")

    rows = labelled_rows(USE_CASE, other.table("features"), 0, TrainingSettings()).rows

    assert rows["customer_id"].is_monotonic_increasing
    pd.testing.assert_frame_equal(rows, labelled)


def test_a_sample_is_a_share_of_the_same_customers_each_time(
    finished: Project, labelled: pd.DataFrame
) -> None:
    features = finished.table("features")
    version = features.require().version

    half, fifth = (
        labelled_rows(USE_CASE, features, version, TrainingSettings(sample=share)).rows
        for share in (0.5, 0.2)
    )

    assert len(half) == pytest.approx(ROWS / 2, rel=0.1)
    assert set(fifth["customer_id"]) < set(half["customer_id"]) < set(labelled["customer_id"])
    assert half["split"].value_counts(normalize=True)["train"] == pytest.approx(0.6, abs=0.05)


def test_of_more_customers_than_are_wanted_only_so_many_are_trained_on(finished: Project) -> None:
    features = finished.table("features")
    version = features.require().version

    labelled = labelled_rows(USE_CASE, features, version, TrainingSettings(max_rows=1000))

    assert labelled.known == ROWS
    assert 950 < len(labelled.rows) <= 1000
    assert labelled.rows["split"].value_counts(normalize=True)["train"] == pytest.approx(
        0.6, abs=0.05
    )


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training of a small LightGBM alone: the candidate with randomness, in a tenth of the time."""
    monkeypatch.delitem(CANDIDATES, "logistic_regression")
    change_lightgbm(monkeypatch, n_estimators=25)


def change_lightgbm(monkeypatch: pytest.MonkeyPatch, **parameters: int) -> None:
    lightgbm = CANDIDATES["lightgbm"]
    changes = {f"model__{name}": value for name, value in parameters.items()}
    monkeypatch.setitem(
        CANDIDATES, "lightgbm", lambda *given: lightgbm(*given).set_params(**changes)
    )

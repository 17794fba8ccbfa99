"""Training: the same rows give the same model, and test rows only judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.errors import TrainingError
from churn_assets.learning.ensembles import Blend, Recalibrated
from churn_assets.learning.fitting.calibration import repair
from churn_assets.learning.fitting.threshold import value_best_threshold
from churn_assets.learning.fitting.training import Trained, labelled_rows, train
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets.learning.odds import log_odds, sigmoid
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.value import amounts, realised_value
from churn_assets.usecases.spec import BusinessCase
from churn_assets_tests.support.project import ROWS, USE_CASE, Project

INPUTS = list(USE_CASE.inputs)
TREES: Mapping[str, Any] = {"n_estimators": 25, "subsample": 0.7, "subsample_freq": 1}


def few_trees(**changes: Any) -> TrainingSettings:
    """A small LightGBM alone: a candidate with randomness, in a tenth of the time."""
    parameters = {**TREES, **changes.pop("parameters", {})}
    return TrainingSettings(candidates=[{"name": "lightgbm", "parameters": parameters}], **changes)


def linear(**changes: Any) -> TrainingSettings:
    """The fastest candidate alone."""
    return TrainingSettings(candidates=["logistic_regression"], **changes)


def scores(model: Trained, rows: pd.DataFrame) -> np.ndarray:
    return model.pipeline.predict_proba(rows[INPUTS])[:, 1]


def flipped(rows: pd.DataFrame, split: str) -> pd.DataFrame:
    label = rows["label"].astype(bool)
    return rows.assign(label=np.where(rows["split"] == split, ~label, label))


def test_the_same_rows_and_settings_give_the_same_model(labelled: pd.DataFrame) -> None:
    first = train(USE_CASE, labelled, few_trees())

    second = train(USE_CASE, labelled, few_trees())

    assert np.array_equal(scores(second, labelled), scores(first, labelled))
    assert second.threshold == first.threshold
    assert second.metrics == first.metrics


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_the_number_of_threads_does_not_change_the_model(name: str, labelled: pd.DataFrame) -> None:
    def threaded(n_jobs: int, parallel: int) -> Trained:
        candidate = {"name": name, "parameters": {"n_estimators": 25, "n_jobs": n_jobs}}
        tuning = {"parallel": parallel}
        return train(USE_CASE, labelled, TrainingSettings(candidates=[candidate], tuning=tuning))

    alone = threaded(n_jobs=1, parallel=1)

    together = threaded(n_jobs=2, parallel=3)

    assert np.array_equal(scores(together, labelled), scores(alone, labelled))
    assert together.threshold == alone.threshold


def test_by_time_validation_is_scored_by_a_fit_on_what_came_before(labelled: pd.DataFrame) -> None:
    dated = replace(USE_CASE, split_by="day")

    trained = train(dated, labelled, few_trees())

    assert len(trained.oof_labels) == (labelled["split"] == "validation").sum()
    assert not trained.calibration.done
    # What became of train rows may move the fit, and validation's labels the threshold alone.
    moved = train(dated, flipped(labelled, "validation"), few_trees())
    assert np.array_equal(moved.oof_scores, trained.oof_scores)
    assert moved.threshold != trained.threshold


def test_another_seed_gives_another_model(labelled: pd.DataFrame) -> None:
    first = train(USE_CASE, labelled, few_trees())

    second = train(USE_CASE, labelled, few_trees(seed=1))

    assert not np.array_equal(scores(second, labelled), scores(first, labelled))


@pytest.mark.slow
def test_labels_of_test_rows_change_neither_model_nor_threshold(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    """They may change a verdict, and never a score."""
    other = train(USE_CASE, flipped(labelled, "test"), TrainingSettings())

    assert other.recipe == trained.recipe
    assert other.parameters == trained.parameters
    assert other.threshold == trained.threshold
    assert other.calibration == trained.calibration
    assert np.array_equal(scores(other, labelled), scores(trained, labelled))
    assert np.array_equal(other.test_scores, trained.test_scores)
    assert other.metrics["oof_f1"] == trained.metrics["oof_f1"]
    assert other.metrics["test_f1"] != trained.metrics["test_f1"]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_rows_of_train_and_of_validation_are_fitted_on(split: str, labelled: pd.DataFrame) -> None:
    honest = train(USE_CASE, labelled, linear())

    other = train(USE_CASE, flipped(labelled, split), linear())

    assert not np.array_equal(scores(other, labelled), scores(honest, labelled))
    assert len(honest.train) == (labelled["split"] != "test").sum()


def test_the_threshold_is_the_f1_best_one_of_the_scores_out_of_fold(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    learned = labelled[labelled["split"] != "test"]

    assert trained.threshold == f1_best_threshold(trained.oof_labels, trained.oof_scores)
    assert trained.threshold_rule == "F1-best out of fold"
    assert np.array_equal(trained.oof_labels, learned["label"].to_numpy(dtype=bool))


def test_a_score_out_of_fold_comes_from_a_fit_without_its_row(labelled: pd.DataFrame) -> None:
    """A fit of its own rows would tell them apart; labels drawn by lot cannot be told otherwise."""
    lot = np.random.default_rng(0).random(len(labelled)) < 0.3
    grown = {"n_estimators": 100, "min_child_samples": 1, "num_leaves": 64, "learning_rate": 0.3}

    model = train(USE_CASE, labelled.assign(label=lot), few_trees(parameters=grown))

    learned = labelled["split"] != "test"
    fitted = metrics(lot[learned], scores(model, labelled[learned]), 0.5)
    assert fitted["roc_auc"] > 0.9
    assert model.metrics["oof_roc_auc"] == pytest.approx(0.5, abs=0.05)


def test_the_candidate_with_the_least_loss_out_of_fold_is_chosen(trained: Trained) -> None:
    assert list(trained.candidates) == [
        "logistic_regression",
        "random_forest",
        "gradient_boosting",
        "lightgbm",
        "xgboost",
        "blend",
    ]
    losses = {name: one.loss for name, one in trained.candidates.items()}
    assert losses[trained.recipe] == min(losses.values())


def test_the_simplest_of_those_that_chance_may_set_apart_is_chosen_where_it_is_asked_for(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    sparse = {
        "name": "sparse",
        "estimator": "sklearn.linear_model.LogisticRegression",
        "inputs": "linear",
        "parameters": {"C": 0.05, "l1_ratio": 1, "solver": "liblinear"},
    }

    model = train(
        USE_CASE,
        labelled,
        TrainingSettings(candidates=["logistic_regression", sparse], choice="simplest"),
    )

    few, many = model.candidates["sparse"], model.candidates["logistic_regression"]
    assert few.complexity < many.complexity
    assert many.loss < few.loss <= many.loss + many.standard_error
    assert model.recipe == "sparse"
    simplest = min(trained.candidates, key=lambda name: trained.candidates[name].complexity)
    assert trained.recipe != simplest


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_the_loss_that_chooses_is_the_metric_of_the_settings(
    metric: str, labelled: pd.DataFrame
) -> None:
    model = train(USE_CASE, labelled, linear(metric=metric))

    assert model.metrics[f"oof_{metric}"] == pytest.approx(
        model.candidates["logistic_regression"].loss
    )


def test_a_blend_averages_the_log_odds_of_its_members(labelled: pd.DataFrame) -> None:
    settings = TrainingSettings(
        candidates=["blend", {"name": "lightgbm", "parameters": dict(TREES)}]
    )

    model = train(USE_CASE, labelled, settings)

    assert model.recipe == "blend"
    assert isinstance(model.pipeline, Blend)
    odds = [
        log_odds(one.predict_proba(labelled[INPUTS])[:, 1]) for one in model.pipeline.pipelines_
    ]
    assert scores(model, labelled) == pytest.approx(sigmoid(np.mean(odds, axis=0)), abs=1e-12)
    assert model.parameters["lightgbm"] == TREES
    assert set(model.candidates) == {"blend", "lightgbm"}


def test_every_metric_of_out_of_fold_and_test_scores_is_given(
    labelled: pd.DataFrame, trained: Trained
) -> None:
    test = labelled[labelled["split"] == "test"]
    labels = test["label"].to_numpy(dtype=bool)
    found = {
        "oof": metrics(trained.oof_labels, trained.oof_scores, trained.threshold),
        "test": metrics(labels, scores(trained, test), trained.threshold),
    }

    assert set(trained.metrics) == {f"{part}_{name}" for part in found for name in found[part]}
    for part, expected in found.items():
        for name, value in expected.items():
            assert trained.metrics[f"{part}_{name}"] == pytest.approx(value), name
    assert list(trained.test.columns) == ["customer_id", *INPUTS, *USE_CASE.beside, "label"]
    assert np.array_equal(trained.test_labels, labels)


def test_many_rows_are_judged_by_the_validation_rows_alone(
    labelled: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("churn_assets.learning.fitting.folds.CROSS_VALIDATED_ROWS", 1000)
    validation = labelled[labelled["split"] == "validation"]

    model = train(USE_CASE, labelled, few_trees())

    assert np.array_equal(model.oof_labels, validation["label"].to_numpy(dtype=bool))
    assert len(model.train) == (labelled["split"] != "test").sum()
    assert model.metrics["oof_roc_auc"] > 0.7


# Calibration


def drawn(slope: float, rows: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores whose log-odds are so many times too large, and a fold of each."""
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, rows)
    return rng.random(rows) < sigmoid(odds), sigmoid(odds * slope), np.arange(rows) % 5


def test_scores_that_are_probabilities_are_left_as_they_are() -> None:
    found = repair(*drawn(slope=1.0))

    assert not found.done
    assert (found.slope, found.intercept) == pytest.approx((1, 0), abs=0.1)
    assert found.gain < 2 * found.gain_error


def test_scores_that_are_too_sure_are_repaired() -> None:
    found = repair(*drawn(slope=2.0))

    assert found.done
    assert found.slope == pytest.approx(0.5, abs=0.05)
    assert found.gain > 10 * found.gain_error


def test_a_model_that_is_too_sure_is_put_right_with_its_threshold(labelled: pd.DataFrame) -> None:
    grown = {"n_estimators": 150, "learning_rate": 0.3, "min_child_samples": 2}

    model = train(USE_CASE, labelled, few_trees(parameters=grown))

    assert isinstance(model.pipeline, Recalibrated)
    raw = model.pipeline.base.predict_proba(labelled[INPUTS])[:, 1]
    line = model.calibration.slope * log_odds(raw) + model.calibration.intercept
    assert scores(model, labelled) == pytest.approx(sigmoid(line), abs=1e-12)
    assert model.metrics["oof_log_loss"] < model.candidates["lightgbm"].loss
    assert model.threshold == f1_best_threshold(model.oof_labels, model.oof_scores)


def test_scores_that_rank_the_wrong_way_round_are_not_turned_over() -> None:
    labels, scores, folds = drawn(slope=1.0)

    found = repair(~labels, scores, folds)

    assert found.slope < 0
    assert found.gain > 10 * found.gain_error
    assert not found.done


def test_a_single_fold_is_calibrated_by_rows_set_apart() -> None:
    labels, sure, _ = drawn(slope=2.0)

    assert repair(labels, sure, np.zeros(len(labels), dtype=int)).done


# The threshold of the greatest value


def test_the_value_best_threshold_is_worth_as_much_as_any(labelled: pd.DataFrame) -> None:
    model = train(USE_CASE, labelled, linear(threshold="value"))

    learned = labelled[labelled["split"] != "test"]
    stake = amounts(USE_CASE.business, learned, len(learned))

    def worth(threshold: float) -> float:
        contacted = model.oof_scores >= threshold
        return float(realised_value(model.oof_labels, contacted, stake).sum())

    assert model.threshold_rule == "value-best out of fold"
    assert worth(model.threshold) == pytest.approx(
        max(worth(threshold) for threshold in [0.0, *model.oof_scores, 1.1])
    )
    assert worth(model.threshold) > worth(f1_best_threshold(model.oof_labels, model.oof_scores))


@pytest.mark.parametrize(
    ("labels", "given", "contacted"),
    [
        ([True, True, False, False], [0.9, 0.6, 0.4, 0.2], [True, True, False, False]),
        ([False, True], [0.9, 0.2], [False, False]),
        ([True, True], [0.9, 0.2], [True, True]),
        ([True, False, True, False], [0.7, 0.7, 0.7, 0.1], [True, True, True, False]),
        ([False, False], [1.0, 1.0], [False, False]),
    ],
    ids=["the churners", "nobody", "everybody", "ties together", "sure and wrong"],
)
def test_the_value_best_threshold_contacts_those_that_pay(
    labels: list[bool], given: list[float], contacted: list[bool]
) -> None:
    case = BusinessCase("USD", customer_value=100, offer_cost=30, save_rate=1, accept_rate=1)
    stake = amounts(case, {}, len(labels))
    if labels == [False, True]:
        stake = replace(stake, customer_value=np.array([100.0, 55.0]))

    threshold = value_best_threshold(np.array(labels), np.array(given), stake)

    assert (np.array(given) >= threshold).tolist() == contacted


def test_a_value_best_threshold_without_a_business_case_is_refused(labelled: pd.DataFrame) -> None:
    case = replace(USE_CASE, business=None)

    with pytest.raises(TrainingError, match="needs a business case, and the use case has none"):
        train(case, labelled, linear(threshold="value"))


# What cannot be trained


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize(("label", "found"), [(True, "positive"), (False, "negative")])
def test_a_split_of_one_class_is_refused_with_what_to_check(
    split: str, label: bool, found: str, labelled: pd.DataFrame
) -> None:
    rows = labelled.assign(label=labelled["label"].where(labelled["split"] != split, label))

    with pytest.raises(TrainingError) as refusal:
        train(USE_CASE, rows, linear())

    assert f"the {split} rows have only {found} ones" in str(refusal.value)
    assert "Label 'churn' counts as positive where it is 'Yes'" in str(refusal.value)


def test_a_split_without_rows_is_refused(labelled: pd.DataFrame) -> None:
    with pytest.raises(TrainingError, match="the validation rows have none"):
        train(USE_CASE, labelled[labelled["split"] != "validation"], linear())


def test_a_class_of_fewer_rows_than_folds_is_trained_with_fewer_folds(
    labelled: pd.DataFrame,
) -> None:
    churned = labelled["label"].astype(bool)
    kept = labelled[churned].groupby("split").head(1)

    model = train(USE_CASE, pd.concat([labelled[~churned].head(300), kept]), linear())

    assert np.isfinite(model.metrics["oof_log_loss"])


def test_a_default_candidate_that_fails_is_a_failed_trial(labelled: pd.DataFrame) -> None:
    candidates = [
        # It takes no missing number, and the first number has some.
        {"name": "own", "estimator": "sklearn.neighbors.KNeighborsClassifier"},
        "logistic_regression",
        {"name": "mixed", "members": ["logistic_regression", "own"]},
    ]
    rows = labelled.head(900).assign(tenure_months=np.nan, total_charges_usd=np.nan)
    rows.loc[rows.index[::2], "total_charges_usd"] = 1.0
    lines: list[str] = []

    model = train(
        USE_CASE, rows, TrainingSettings(candidates=candidates, folds=2), progress=lines.append
    )

    assert model.recipe == "logistic_regression"
    assert set(model.candidates) == {"logistic_regression"}
    (failed,) = (trial for trial in model.trials if trial.state == "failed")
    assert (failed.candidate, failed.parameters) == ("own", {})
    assert "NaN" in failed.error
    assert lines[0] == f"candidate 'own' failed by default: {failed.error}"
    assert "1 failed" in lines[-1]


@pytest.mark.parametrize("where", ["throughout", "in train"])
def test_a_column_that_train_does_not_know_has_no_part(labelled: pd.DataFrame, where: str) -> None:
    rows = labelled.head(900).copy()
    lost = slice(None) if where == "throughout" else (rows["split"] != "test").to_numpy()
    for name in ("total_charges_usd", "payment_method"):
        rows[name] = rows[name].astype(object)
        rows.loc[lost, name] = None
    rows["total_charges_usd"] = rows["total_charges_usd"].astype(float)

    model = train(USE_CASE, rows, TrainingSettings(folds=2))

    assert not [trial for trial in model.trials if trial.state == "failed"]
    other = model.test.assign(total_charges_usd=1e4, payment_method="Barter")
    inputs = list(USE_CASE.inputs)
    assert np.array_equal(
        model.pipeline.predict_proba(other[inputs])[:, 1],
        model.pipeline.predict_proba(model.test[inputs])[:, 1],
    )


def test_a_candidate_that_cannot_be_fitted_is_named_in_one_line(labelled: pd.DataFrame) -> None:
    candidate = {"name": "own", "estimator": "sklearn.neighbors.KNeighborsClassifier"}
    rows = labelled.assign(
        monthly_charges_usd=labelled["monthly_charges_usd"].where(lambda x: x > 30)
    )

    with pytest.raises(TrainingError) as refusal:
        train(USE_CASE, rows, TrainingSettings(candidates=[candidate]))

    assert "candidate 'own': its default configuration cannot be fitted" in str(refusal.value)
    assert "NaN" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_of_candidates_only_those_compete_that_keep_a_direction_asked_for(
    labelled: pd.DataFrame,
) -> None:
    case = replace(USE_CASE, monotone={"tenure_months": -1})
    settings = TrainingSettings(
        candidates=["logistic_regression", {"name": "lightgbm", "parameters": dict(TREES)}, "blend"]
    )

    assert set(train(case, labelled, settings).candidates) == {"lightgbm"}
    with pytest.raises(TrainingError, match="no candidate can be held to it: logistic_regression"):
        train(case, labelled, linear())


# The rows


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
    prepared: Project, labelled: pd.DataFrame
) -> None:
    features = prepared.table("features")
    version = features.require().version

    half, fifth = (
        labelled_rows(USE_CASE, features, version, TrainingSettings(sample=share)).rows
        for share in (0.5, 0.2)
    )

    assert len(half) == pytest.approx(ROWS / 2, rel=0.1)
    assert set(fifth["customer_id"]) < set(half["customer_id"]) < set(labelled["customer_id"])
    assert half["split"].value_counts(normalize=True)["train"] == pytest.approx(0.6, abs=0.05)


def test_of_more_customers_than_are_wanted_only_so_many_are_trained_on(prepared: Project) -> None:
    features = prepared.table("features")
    version = features.require().version

    labelled = labelled_rows(USE_CASE, features, version, TrainingSettings(max_rows=1000))

    assert labelled.known == ROWS
    assert 950 < len(labelled.rows) <= 1000
    assert labelled.rows["split"].value_counts(normalize=True)["train"] == pytest.approx(
        0.6, abs=0.05
    )


def test_an_input_that_knows_the_outcome_is_named_where_the_score_is_too_good(
    labelled: pd.DataFrame,
) -> None:
    """A column that was filled in when the customer had left, for nineteen in twenty of them."""
    left = labelled["label"].astype(bool)
    rng = np.random.default_rng(0)
    known = left & (rng.random(len(left)) < 0.95)
    leaking = labelled.assign(
        tenure_months=np.where(known, rng.integers(1, 30, len(left)), np.nan),
    )

    found, plain = (train(USE_CASE, rows, linear()) for rows in (leaking, labelled))

    assert found.metrics["oof_roc_auc"] > 0.95
    assert list(found.telling_inputs) == ["tenure_months"]
    assert found.telling_inputs["tenure_months"] == pytest.approx(0.975, abs=0.01)
    assert 0.8 < plain.metrics["oof_roc_auc"] < 0.95
    assert not plain.telling_inputs

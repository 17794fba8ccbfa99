"""The folds that a search fits on and scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting.folds import folded, together
from churn_assets.learning.fitting.training import Trained, labelled_rows, train
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.lake import Lake
from churn_assets.usecases.spec import Column, Contract, Float64, Label, String, UseCase
from churn_assets_tests.support.project import USE_CASE

ROWS = 1200
CASE = replace(
    USE_CASE, numeric=("x",), categorical=("kind",), slices=(), business=None, monotone={}
)
SETTINGS = TrainingSettings(folds=5)


def rows_of(x: np.ndarray, households: np.ndarray | None = None) -> pd.DataFrame:
    kinds = np.where(x % 2, "odd", "even").astype(object)
    rows = pd.DataFrame({"x": np.where(x % 7, x, np.nan), "kind": kinds})
    rows.loc[x % 5 == 0, "kind"] = None
    return rows if households is None else rows.assign(household=households)


def test_copies_belong_together_blanks_being_alike() -> None:
    rows = rows_of(np.tile(np.arange(ROWS // 3), 3))

    units = together(rows, CASE, copies=True)

    alike = rows.fillna({"x": -1, "kind": "none"}).drop_duplicates()
    assert len(np.unique(units)) == len(alike)
    assert np.array_equal(units[: ROWS // 3], units[-ROWS // 3 :])
    assert together(rows, CASE, copies=False) is None


def test_rows_of_a_household_belong_together_and_so_do_those_of_their_copies() -> None:
    case = replace(CASE, group=("household",))
    rows = rows_of(
        np.array([1, 2, 3, 3, 4, 11]), np.array(["a", "a", "b", "a", None, None], object)
    )

    by_household = together(rows, case, copies=False)
    and_copies = together(rows, case, copies=True)

    assert by_household.tolist() == [0, 0, 1, 0, 2, 3]
    assert and_copies.tolist() == [0, 0, 0, 0, 1, 2]


def test_what_belongs_together_is_in_one_fold_and_every_fold_has_both_outcomes() -> None:
    units = np.repeat(np.arange(ROWS // 3), 3)
    labels = np.random.default_rng(0).random(ROWS) < 0.1
    rows = pd.DataFrame({"x": units})

    folds = folded(rows, labels, np.arange(ROWS) % 4 == 0, SETTINGS, belongs_to=units)

    assert all(len(np.unique(folds.fold_of[units == unit])) == 1 for unit in range(ROWS // 3))
    assert folds.scored.all()
    assert len(folds.folds) == 5
    for fit, scored in folds.folds:
        assert sorted([*fit, *scored]) == list(range(ROWS))
        assert labels[scored].mean() == pytest.approx(0.1, abs=0.04)


def test_customers_all_of_whom_churn_in_some_month_are_in_folds_of_both_outcomes() -> None:
    units, month = np.divmod(np.arange(ROWS), 12)

    folds = folded(
        pd.DataFrame({"x": units}), month == 11, month < 6, SETTINGS, belongs_to=units
    ).folds

    assert len(folds) == 5
    assert all(set(month[scored]) == set(range(12)) for _, scored in folds)


def test_rows_that_stand_alone_are_in_the_folds_that_they_were_in() -> None:
    from sklearn.model_selection import StratifiedKFold

    labels = np.random.default_rng(0).random(ROWS) < 0.3
    rows = pd.DataFrame({"x": np.arange(ROWS)})

    folds = folded(rows, labels, np.zeros(ROWS, dtype=bool), SETTINGS).folds

    usual = StratifiedKFold(5, shuffle=True, random_state=SETTINGS.seed).split(rows, labels)
    for (fit, scored), (usual_fit, usual_scored) in zip(folds, usual, strict=True):
        assert np.array_equal(fit, usual_fit)
        assert np.array_equal(scored, usual_scored)


def test_by_time_a_validation_row_that_belongs_to_a_trained_one_is_not_scored() -> None:
    units, is_validation = np.array([0, 1, 2, 1, 3]), np.array([0, 0, 0, 1, 1], dtype=bool)
    labels = np.array([1, 0, 1, 0, 1], dtype=bool)

    (only,) = folded(
        pd.DataFrame({"x": units}), labels, is_validation, SETTINGS, by_time=True, belongs_to=units
    ).folds

    assert [part.tolist() for part in only] == [[0, 1, 2], [4]]


def test_churners_who_are_all_copies_of_one_are_refused() -> None:
    units, labels = np.array([0, 0, 1, 2]), np.array([1, 1, 0, 0], dtype=bool)

    with pytest.raises(TrainingError, match="all rows of one outcome belong to one group or are"):
        folded(pd.DataFrame({"x": units}), labels, labels, SETTINGS, belongs_to=units)


# What copies do to the figures


NUMBERS = tuple(f"x{i}" for i in range(4))
SCATTERED = UseCase(
    name="scattered",
    key="place",
    label=Label("left", positive="Y"),
    contract=Contract(
        Column("place", String), Column("left", String), *(Column(n, Float64) for n in NUMBERS)
    ),
    clean=lambda frame: frame,
    features=lambda frame: frame,
    numeric=NUMBERS,
    categorical=(),
    description="Customers of whom the numbers tell little.",
)
FOREST = TrainingSettings.model_validate(
    {
        "folds": 2,
        "candidates": [
            {"name": "forest", "estimator": "sklearn.ensemble.RandomForestClassifier",
             "parameters": {"n_estimators": 40, "min_samples_leaf": 1}},
        ],
    }
)  # fmt: skip


def scattered(folder: Path, copies: int, customers: int = 1500) -> tuple[Trained, float]:
    """A forest that knows its rows by heart, and its ROC AUC on all test rows, copies or not."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(customers, len(NUMBERS)))
    left = numbers[:, 0] + rng.logistic(size=customers) > 0
    one = pl.DataFrame(dict(zip(NUMBERS, numbers.T, strict=True))).with_columns(
        left=pl.Series(np.where(left, "Y", "N"))
    )
    several = pl.concat([one] * copies).with_columns(place=pl.int_range(pl.len()).cast(pl.String))
    tables = Lake(str(folder / str(copies)), PolarsEngine()).of(SCATTERED)
    tables["silver"].replace(nw.from_native(several.lazy()), "1")
    version = featurise(SCATTERED, tables).version
    labelled = labelled_rows(SCATTERED, tables["features"], version, FOREST)
    trained = train(SCATTERED, labelled.rows, FOREST, copies=labelled.copies)
    test = tables["features"].scan().to_native().filter(pl.col("split") == "test").collect()
    scores = trained.pipeline.predict_proba(test.select(NUMBERS).to_pandas())[:, 1]
    return trained, float(roc_auc_score(test["label"], scores))


def test_a_model_of_customers_who_are_there_twice_looks_no_better_than_it_is(
    tmp_path: Path,
) -> None:
    once, honest = scattered(tmp_path, 1)
    twice, on_copies = scattered(tmp_path, 2)

    assert on_copies > honest + 0.1
    for name in ("test_roc_auc", "oof_roc_auc"):
        assert twice.metrics[name] == pytest.approx(once.metrics[name], abs=0.06)

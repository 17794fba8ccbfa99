"""A compiled model answers as the Pipeline does, to the last decimal and the last word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.compiling import format
from churn_assets.learning.compiling.bundle import TOLERANCE, Bundle
from churn_assets.learning.compiling.compile import Compiled
from churn_assets.learning.ensembles import Recalibrated
from churn_assets.learning.explaining.causes import causes
from churn_assets.learning.explaining.contributions import contributions
from churn_assets.learning.explaining.reasons import reasons
from churn_assets.learning.fitting.candidates import CATALOGUE
from churn_assets.learning.odds import told_scores
from churn_assets_tests.support.project import USE_CASE
from churn_assets_tests.support.serving.bundles import compiled, loaded

Fit = Callable[..., Any]
FAST = ("logistic_regression", "lightgbm", "blend")
"""Their contributions are looked up."""
MONOTONE = replace(USE_CASE, monotone={"tenure_months": -1, "monthly_charges_usd": 1})


def nulls(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype(object).where(frame.notna(), None)


def columns_of(rows: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: nulls(rows[[name]])[name].tolist() for name in USE_CASE.inputs}


def assert_equal(one: Compiled, rows: int) -> None:
    """Compiled, compared with the Pipeline on so many rows, and alike on each."""
    assert one.manifest.path == "compiled", one.manifest.why
    assert one.comparison.faults == ""
    assert one.comparison.rows >= rows
    assert one.comparison.score <= TOLERANCE


@pytest.mark.parametrize("name", ["logistic_regression", "lightgbm"])
def test_it_answers_as_batch_for_every_customer_of_the_file(
    fit: Fit, rows: pd.DataFrame, name: str
) -> None:
    one = compiled(fit(name), rows=rows[list(USE_CASE.inputs)], checked=len(rows))

    assert_equal(one, 2 * len(rows))


@pytest.mark.parametrize("name", sorted({*CATALOGUE} - {*FAST}))
def test_it_answers_as_batch_where_reasons_take_longer(
    fit: Fit, rows: pd.DataFrame, name: str, tmp_path: Path
) -> None:
    model = fit(name)
    one = compiled(model, rows=rows[list(USE_CASE.inputs)])

    scores = loaded(one, tmp_path / "one").scores(columns_of(rows))

    assert_equal(one, 60)
    truth = told_scores(model.predict_proba(rows[list(USE_CASE.inputs)])[:, 1])
    assert np.abs(scores - truth).max() <= TOLERANCE


def test_it_answers_as_batch_for_twenty_thousand_hostile_customers(fit: Fit) -> None:
    assert_equal(compiled(Recalibrated(fit("blend"), 1.1, -0.2), checked=20_000), 20_000)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "gradient_boosting"])
def test_it_answers_as_batch_where_a_score_must_rise_or_fall(fit: Fit, name: str) -> None:
    assert_equal(compiled(fit(name, MONOTONE), MONOTONE), 30)


@pytest.mark.parametrize("rare", ["together", "outcome"])
@pytest.mark.parametrize("name", ["logistic_regression", "lightgbm", "random_forest"])
def test_it_answers_as_batch_where_categories_are_many(
    rows: pd.DataFrame, name: str, rare: str
) -> None:
    from churn_assets.learning.fitting.candidates import pipeline

    towns = rows.assign(gender="town " + rows[USE_CASE.key].str[:3])
    candidate = CATALOGUE[name].model_copy(update={"rare_categories": rare})
    model = pipeline(USE_CASE, candidate, {}, seed=0)
    model.fit(towns[list(USE_CASE.inputs)], towns["label"].to_numpy(dtype=bool))

    assert model[0].rare_ == ["gender"]
    assert_equal(compiled(model, rows=towns[list(USE_CASE.inputs)]), 30)


def test_it_answers_as_batch_where_trees_are_too_large_for_tables(
    fit: Fit, rows: pd.DataFrame
) -> None:
    model = fit("lightgbm", parameters={**CATALOGUE["lightgbm"].parameters, "num_leaves": 31})

    one = compiled(model, rows=rows[list(USE_CASE.inputs)])

    assert isinstance(one.manifest.model, format.Trees)
    assert one.manifest.model.reasons == "library"
    assert_equal(one, 60)


def test_every_reason_can_be_had(fit: Fit, rows: pd.DataFrame, tmp_path: Path) -> None:
    model, some = fit("blend"), rows[list(USE_CASE.inputs)].head(50)
    most = len(USE_CASE.inputs)

    bundle = loaded(compiled(model), tmp_path / "one")

    told = causes(USE_CASE).of(contributions(model, some))
    places = [place.to_pylist() for place in reasons(told, some, USE_CASE, most)]
    expected = [list(why) for why in zip(*places, strict=True)]
    assert bundle.reasons_of(columns_of(some), most) == expected
    assert [bundle.reasons(row, most) for row in nulls(some).to_dict("records")] == expected
    assert bundle.reasons(nulls(some).iloc[0].to_dict(), 0) == []


def test_a_column_that_was_null_throughout_has_no_part(rows: pd.DataFrame) -> None:
    from churn_assets.learning.fitting.candidates import pipeline

    blank = rows.assign(gender=None, tenure_months=np.nan)[list(USE_CASE.inputs)]
    for name in ("logistic_regression", "lightgbm"):
        model = pipeline(USE_CASE, CATALOGUE[name], {}, seed=0)
        model.fit(blank, rows["label"].to_numpy(dtype=bool))

        assert_equal(compiled(model, rows=blank), 60)


def test_what_differs_is_not_kept(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from churn_assets.learning.storing.files import StoredModel

    model = fit("logistic_regression")
    decide = Bundle.decide
    monkeypatch.setattr(Bundle, "decide", lambda self, score: not decide(self, score))
    files = {"MLmodel": b"flavors: {sklearn: {pickled_model: model.skops}}", "model.skops": b""}

    one = compiled(model, stored=lambda: StoredModel(files))

    assert one.manifest.path == "pipeline"
    assert "decisions of" in one.manifest.why
    assert not one.figures["equal"]
    assert set(one.files) == {"manifest.json", "model/MLmodel", "model/model.skops"}


def test_golden_customers_are_made_up(fit: Fit, rows: pd.DataFrame) -> None:
    one = compiled(fit("lightgbm"), rows=rows[list(USE_CASE.inputs)])

    real = {tuple(row) for row in rows[list(USE_CASE.inputs)].itertuples(index=False)}
    made_up = [tuple(golden.inputs.values()) for golden in one.manifest.golden]

    assert len(made_up) == 12
    assert not real & {*made_up}


def test_the_same_model_gives_the_same_bundle(fit: Fit) -> None:
    first, second = (compiled(fit("blend")).files for _ in range(2))

    assert first == second

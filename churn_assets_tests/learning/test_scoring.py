"""Scoring: one prediction for each customer, by the Champion on record."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import Pipeline

import churn_assets
from churn_assets.assets.resources import resources
from churn_assets.errors import RegistryError
from churn_assets.learning.encoding import TableEncoder
from churn_assets.learning.explaining.wording import REASONS
from churn_assets.learning.judging.promotion import promote
from churn_assets.learning.registry import CHAMPION
from churn_assets.learning.scorer import predictions_schema, scored_columns, scorer
from churn_assets.learning.scoring import score
from churn_assets.learning.value import amounts, expected_value
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Committed, Table
from churn_assets_tests.support.project import ROWS, USE_CASE, Project
from churn_assets_tests.support.registering import challenge


def tables(project: Project) -> Mapping[str, Table]:
    return resources(project.settings()).lake.of(USE_CASE)


def scored(project: Project, **budget: int) -> Committed:
    return score(project.workplace, **budget)


def batch(project: Project, rows: int = 50) -> pa.RecordBatch:
    frame = project.rows("features").select(scored_columns(USE_CASE)).head(rows)
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0]


class Fixed(ClassifierMixin, BaseEstimator):
    """Gives the customers of 0, 1, 2 months and so on the scores that it was made with."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def fit(self, X: object, y: object) -> Fixed:  # noqa: N803
        self.classes_ = np.array([False, True])
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        months = np.nan_to_num(X[:, USE_CASE.numeric.index("tenure_months")])
        scores = np.array(self.scores)[np.clip(months.astype(int), 0, len(self.scores) - 1)]
        return np.column_stack([1 - scores, scores])


def fixed(
    project: Project, scores: list[float], **columns: list[Any]
) -> tuple[Any, pa.RecordBatch]:
    """A model that gives these scores, and the customers that it gives them to."""
    frame = batch(project, len(scores)).to_pandas()
    frame = frame.assign(tenure_months=np.arange(len(scores), dtype=float), **columns)
    encoder = TableEncoder(list(USE_CASE.numeric), list(USE_CASE.categorical))
    model = Pipeline([("encode", encoder), ("model", Fixed(scores))])
    model.fit(frame, np.arange(len(scores)) % 2 == 0)
    return model, pa.RecordBatch.from_pandas(frame, schema=batch(project).schema)


def test_each_prediction_is_the_champions_score_of_that_customer(finished: Project) -> None:
    features = finished.rows("features").sort("customer_id")
    inputs = features.select(USE_CASE.inputs).to_arrow().to_pandas()
    expected = finished.registry.load(1).predict_proba(inputs)[:, 1]

    predictions = finished.rows("predictions").sort("customer_id")

    assert predictions["customer_id"].equals(features["customer_id"])
    assert predictions["churn_probability"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert predictions["split"].equals(features["split"])
    assert set(predictions["features_version"]) == {finished.state("features").version}
    assert set(predictions["threshold"]) == {finished.champion().threshold}


def test_scores_at_the_edge_are_decided_and_banded_upwards(finished: Project) -> None:
    champion = replace(finished.champion(), threshold=0.4)
    scores = [0.0, 0.2999, 0.3, 0.3999, 0.4, 0.5999, 0.6, 1.0]
    model, customers = fixed(finished, scores)

    found = scorer(USE_CASE, model, champion, 0)(customers).to_pydict()

    assert found["churn_probability"] == scores
    assert found["decision"] == [False] * 4 + [True] * 4
    assert found["risk_band"] == ["low"] * 2 + ["medium"] * 4 + ["high"] * 2


def test_an_empty_batch_gives_an_empty_batch_of_the_same_columns(finished: Project) -> None:
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)

    found = apply(batch(finished).slice(0, 0))

    assert found.num_rows == 0
    assert found.schema == predictions_schema(USE_CASE)


def test_a_customer_is_scored_the_same_in_any_batch(finished: Project) -> None:
    """Categories that a batch lacks, or has in another order, change nothing."""
    whole = batch(finished, 200)
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)

    columns = ["churn_probability", "expected_value", *REASONS]
    together = apply(whole).select(columns).to_pylist()

    alone = [apply(whole.slice(i, 1)).select(columns).to_pylist()[0] for i in range(20)]
    assert alone == together[:20]


def test_missing_and_unknown_inputs_are_scored(finished: Project) -> None:
    odd = batch(finished).to_pandas()
    odd.loc[:, "contract"] = None
    odd.loc[:, "payment_method"] = "Barter"
    odd.loc[:, "tenure_months"] = np.nan
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)

    found = apply(pa.RecordBatch.from_pandas(odd, schema=batch(finished).schema))

    assert all(0 <= p <= 1 for p in found.column("churn_probability").to_pylist())
    assert found.column("reason_1").null_count == 0


# Whom to contact, and why


def test_predictions_have_their_columns_in_order(finished: Project) -> None:
    assert finished.rows("predictions").columns == [
        "customer_id",
        "churn_probability",
        "decision",
        "threshold",
        "risk_band",
        "expected_value",
        "contact",
        "rank",
        "reason_1",
        "reason_2",
        "reason_3",
        "model_version",
        "features_version",
        "scored_at",
        "split",
    ]


def test_a_contact_is_worth_what_the_business_case_says(finished: Project) -> None:
    predictions = finished.rows("predictions").sort("customer_id")
    features = finished.rows("features").sort("customer_id")
    stake = amounts(USE_CASE.business, features, len(features))

    expected = expected_value(predictions["churn_probability"].to_numpy(), stake)

    assert predictions["expected_value"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert predictions["contact"].to_list() == (expected > 0).tolist()
    assert 0.1 < predictions["contact"].mean() < 0.9


def test_customers_are_ranked_by_value_then_score_then_key(finished: Project) -> None:
    predictions = finished.rows("predictions")

    ranked = predictions.sort(
        "expected_value", "churn_probability", "customer_id", descending=[True, True, False]
    )

    assert ranked["rank"].to_list() == list(range(1, ROWS + 1))
    assert ranked.schema["rank"] == pl.Int64


def test_a_budget_is_spent_on_the_first_and_never_at_a_loss(copied: Project) -> None:
    paying = int(copied.rows("predictions")["contact"].sum())

    few = scored(copied, contacts=25)
    first = copied.rows("predictions").sort("rank")["contact"].to_list()
    more = scored(copied, contacts=ROWS)
    whole = copied.rows("predictions").sort("rank")["contact"].to_list()

    assert few.changed
    assert more.changed
    assert first == [True] * 25 + [False] * (ROWS - 25)
    assert whole == [True] * paying + [False] * (ROWS - paying)


def test_for_an_unknown_amount_nobody_is_contacted(copied: Project) -> None:
    column = USE_CASE.business.customer_value.column
    features, table = copied.rows("features"), copied.table("features")
    unknown = pl.int_range(pl.len()) < 40
    lost = features.with_columns(pl.when(~unknown).then(pl.col(column)).alias(column))
    details = table.require().details
    table.replace(table.engine.from_arrow(lost.to_arrow()), "lost", {}, split=details["split"])

    score(copied.workplace, contacts=25)

    predictions = copied.rows("predictions").sort("rank", nulls_last=True)
    nobody = predictions.filter(pl.col("expected_value").is_null())
    assert set(nobody["customer_id"]) == set(features["customer_id"][:40])
    assert nobody["contact"].to_list() == [False] * 40
    assert nobody["rank"].null_count() == 40
    assert predictions["rank"].drop_nulls().to_list() == list(range(1, ROWS - 39))
    assert predictions["contact"].to_list() == [True] * 25 + [False] * (ROWS - 25)


def test_a_budget_that_stays_scores_nobody_again(copied: Project) -> None:
    first = scored(copied, contacts=25)

    again = scored(copied, contacts=25)

    assert not again.changed
    assert again.version == first.version


def test_a_use_case_without_a_business_case_has_reasons_and_no_value(copied: Project) -> None:
    """What a contact is worth is not known, so nobody is ranked."""
    plain = replace(USE_CASE, business=None)

    score(replace(copied.workplace, use_case=plain), contacts=1)

    predictions = copied.rows("predictions")
    assert not {"expected_value", "contact", "rank"} & set(predictions.columns)
    assert set(REASONS) <= set(predictions.columns)
    assert len(predictions) == ROWS


def test_reasons_tell_each_customer_of_their_own_values(finished: Project) -> None:
    features = finished.rows("features").sort("customer_id")
    predictions = finished.rows("predictions").sort("customer_id")
    known = {
        name: USE_CASE.words.get(name, name.replace("_", " ")) for name in USE_CASE.categorical
    }

    sentences = 0
    for name, words in known.items():
        for reason in REASONS:
            values = predictions[reason].str.extract(
                f"^{words}: (.+), which (?:raises|lowers) the odds "
            )
            assert (values.drop_nulls() == features[name].filter(values.is_not_null())).all()
            sentences += values.count()

    assert sentences > ROWS
    assert predictions["reason_1"].null_count() == 0


def test_a_score_that_is_not_told_apart_leaves_the_order_to_the_key(finished: Project) -> None:
    customers = {"monthly_charges_usd": [50.0] * 4, "customer_id": ["d", "a", "c", "b"]}
    model, batch_of_all = fixed(finished, [0.5, 0.5 + 1e-15, 0.5 - 1e-15, 0.7], **customers)
    engine = PolarsEngine()

    found = scorer(USE_CASE, model, finished.champion(), 0)(batch_of_all)
    order = ["expected_value", "churn_probability", "customer_id"]
    scored = engine.from_arrow(pa.Table.from_batches([found]))
    with engine.ranked(scored, order, [True, True, False], into="rank") as ranked:
        places = engine.collect(ranked.sort("rank"))["customer_id"].to_pylist()

    assert places == ["b", "a", "c", "d"]


def test_a_scorer_works_where_this_package_is_not_installed(
    finished: Project, tmp_path: Path
) -> None:
    """As on the workers of a Spark cluster."""
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)
    customers = batch(finished, ROWS)
    # Whoever has scored before sends no more than who has not.
    here = apply(customers)
    cloudpickle.register_pickle_by_value(churn_assets)
    try:
        (tmp_path / "scorer").write_bytes(cloudpickle.dumps((apply, customers)))
    finally:
        cloudpickle.unregister_pickle_by_value(churn_assets)
    there = (
        "import pickle, sys; from pathlib import Path; import pyarrow as pa;"
        "sys.modules['churn_assets'] = None;"
        "apply, customers = pickle.loads(Path('scorer').read_bytes());"
        "scored = apply(customers);"
        "pa.OSFile('scored', 'wb').write(scored.serialize());"
        "Path('schema').write_bytes(scored.schema.serialize().to_pybytes())"
    )

    subprocess.run([sys.executable, "-c", there], cwd=tmp_path, check=True, timeout=120)

    schema = pa.ipc.read_schema(pa.BufferReader((tmp_path / "schema").read_bytes()))
    found = pa.ipc.read_record_batch(pa.BufferReader((tmp_path / "scored").read_bytes()), schema)
    assert found.equals(here)


def test_the_same_champion_and_features_are_not_scored_again(copied: Project) -> None:
    before = copied.state("predictions")

    committed = scored(copied)

    assert not committed.changed
    assert committed.version == before.version


def test_a_new_champion_scores_every_customer_anew(copied: Project) -> None:
    challenge(copied)
    promote(copied.workplace, "a test")

    committed = scored(copied)

    assert committed.changed
    assert committed.rows == ROWS
    assert set(copied.rows("predictions")["model_version"]) == {2}
    assert committed.details["model_version"] == 2
    assert committed.reads == {
        "features": copied.state("features").version,
        "champion": copied.state("champion").version,
    }


def test_the_champion_on_record_scores_whatever_the_alias_says(copied: Project) -> None:
    challenge(copied)
    copied.registry.point(CHAMPION, 2)

    scored(copied)

    assert set(copied.rows("predictions")["model_version"]) == {1}
    assert copied.registry.by_alias(CHAMPION).version == 1


def test_without_a_champion_nobody_is_scored(project: Project) -> None:
    project.run(project.write(), tables="raw silver rejects features")

    with pytest.raises(RegistryError, match="there is no Champion to score with"):
        scored(project)

    assert project.state("predictions") is None

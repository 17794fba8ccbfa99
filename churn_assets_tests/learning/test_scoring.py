"""Scoring: one prediction for each customer, by the Champion on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from churn_assets.assets.resources import resources
from churn_assets.errors import RegistryError
from churn_assets.learning.promotion import promote
from churn_assets.learning.registry import CHAMPION
from churn_assets.learning.scoring import predictions_schema, score, scorer
from churn_assets.tables.lake import Committed, Table
from churn_assets_tests.learning.registering import challenge
from churn_assets_tests.project import ROWS, USE_CASE, Project


def tables(project: Project) -> Mapping[str, Table]:
    return resources(project.settings())["lake"].of(USE_CASE)


def scored(project: Project) -> Committed:
    return score(USE_CASE, tables(project), project.registry)


def batch(project: Project, rows: int = 50) -> pa.RecordBatch:
    columns = [USE_CASE.key, *USE_CASE.inputs, "split"]
    frame = project.rows("features").select(columns).head(rows)
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0]


class Fixed:
    """Gives the scores that it was made with."""

    def __init__(self, scores: list[float]) -> None:
        self._scores = np.array(scores)

    def predict_proba(self, inputs: object) -> np.ndarray:
        return np.column_stack([1 - self._scores, self._scores])


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

    found = scorer(USE_CASE, Fixed(scores), champion, 0)(batch(finished, len(scores))).to_pydict()

    assert found["churn_probability"] == scores
    assert found["decision"] == [False] * 4 + [True] * 4
    assert found["risk_band"] == ["low"] * 2 + ["medium"] * 4 + ["high"] * 2


def test_an_empty_batch_gives_an_empty_batch_of_the_same_columns(finished: Project) -> None:
    apply = scorer(USE_CASE, Fixed([]), finished.champion(), 0)

    found = apply(batch(finished).slice(0, 0))

    assert found.num_rows == 0
    assert found.schema == predictions_schema(USE_CASE)


def test_a_customer_is_scored_the_same_in_any_batch(finished: Project) -> None:
    """Categories that a batch lacks, or has in another order, change nothing."""
    whole = batch(finished, 200)
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)

    together = apply(whole).column("churn_probability").to_pylist()

    alone = [apply(whole.slice(i, 1)).column("churn_probability")[0].as_py() for i in range(20)]
    assert alone == pytest.approx(together[:20], abs=1e-12)


def test_missing_and_unknown_inputs_are_scored(finished: Project) -> None:
    odd = batch(finished).to_pandas()
    odd.loc[:, "contract"] = None
    odd.loc[:, "payment_method"] = "Barter"
    odd.loc[:, "tenure_months"] = np.nan
    apply = scorer(USE_CASE, finished.registry.load(1), finished.champion(), 0)

    found = apply(pa.RecordBatch.from_pandas(odd, schema=batch(finished).schema))

    assert all(0 <= p <= 1 for p in found.column("churn_probability").to_pylist())


def test_the_same_champion_and_features_are_not_scored_again(copied: Project) -> None:
    before = copied.state("predictions")

    committed = scored(copied)

    assert not committed.changed
    assert committed.version == before.version


def test_a_new_champion_scores_every_customer_anew(copied: Project) -> None:
    challenge(copied)
    promote(USE_CASE, tables(copied), copied.registry, "a test")

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

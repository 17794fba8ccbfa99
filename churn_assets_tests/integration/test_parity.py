"""The whole chain on both engines: equal values, types, rejects, splits and scores."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets_tests.project import Project, customers

DATA = Path(os.environ.get("CHURN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


def break_some(frame: pl.DataFrame) -> pl.DataFrame:
    """Records that break one rule, several, or none in an odd way."""
    row = pl.int_range(pl.len())
    return frame.with_columns(
        TotalCharges=pl.when(row % 97 == 3).then(pl.lit("n/a")).otherwise("TotalCharges"),
        MonthlyCharges=pl.when(row % 89 == 5).then(pl.lit("-1.5")).otherwise("MonthlyCharges"),
        tenure=pl.when(row % 83 == 7).then(pl.lit(" +12.0 ")).otherwise("tenure"),
        Contract=pl.when(row % 79 == 11).then(pl.lit("Weekly")).otherwise("Contract"),
        Churn=pl.when(row % 7 == 2).then(pl.lit("")).otherwise("Churn"),
    )


@pytest.fixture(scope="module")
def both(
    new_project: Callable[..., Project],
    spark_settings: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Project, Project]:
    """One source, run by each engine in a lake of its own."""
    source = tmp_path_factory.mktemp("source") / "customers.csv"
    break_some(customers(5000)).write_csv(source)
    embedded, spark = new_project(), new_project(**spark_settings)
    for project in (embedded, spark):
        assert project.run(source).success
    return embedded, spark


VOLATILE = ("ingested_at", "scored_at", "trained_at", "decided_at", "decided_by", "run_id")


def rows(project: Project, table: str) -> pl.DataFrame:
    """A table as any reader of Delta sees it, in one order."""
    frame = pl.read_delta(project.table(table).uri).drop(VOLATILE, strict=False)
    return frame.sort(frame.columns)


@pytest.mark.parametrize("table", ["raw", "silver", "rejects", "features", "predictions"])
def test_both_engines_write_equal_tables(both: tuple[Project, Project], table: str) -> None:
    embedded, spark = both
    ours, theirs = rows(embedded, table), rows(spark, table)

    assert ours.schema == theirs.schema
    if table == "predictions":
        ours, scores = ours.drop("churn_probability"), ours["churn_probability"]
        theirs, others = theirs.drop("churn_probability"), theirs["churn_probability"]
        assert (scores - others).abs().max() <= 1e-12
    assert ours.equals(theirs)
    assert len(ours) > 0


def test_both_engines_train_one_model(both: tuple[Project, Project]) -> None:
    embedded, spark = both
    ours, theirs = rows(embedded, "model"), rows(spark, "model")

    assert ours.equals(theirs)
    assert embedded.champion().version == spark.champion().version


def test_a_lake_shows_which_engine_wrote_each_version(both: tuple[Project, Project]) -> None:
    embedded, spark = both

    for name, state in embedded.states().items():
        assert state.written_by.startswith("delta-rs"), name
    for name, state in spark.states().items():
        assert "Spark" in state.written_by, name


def test_a_run_that_only_changes_the_engine_does_nothing(
    new_project: Callable[..., Project], spark_settings: Mapping[str, Any]
) -> None:
    project = new_project()
    source = project.write()
    assert project.run(source).success
    before = project.states()

    assert project.run(**spark_settings).success

    assert project.states() == before

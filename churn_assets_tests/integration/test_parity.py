"""The whole chain on both engines: equal values, types, rejects, splits, model and scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from churn_assets.learning.inputs import rows_as_trained
from churn_assets.tables.engines.engine import Engine
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.data import TELCO
from churn_assets_tests.support.parity import break_some, rows
from churn_assets_tests.support.project import (
    ARE_WHOLE,
    QUICK,
    TABLES,
    USE_CASE,
    Project,
    customers,
    write_csv,
)
from churn_assets_tests.support.registering import with_inputs

pytestmark = pytest.mark.timeout(900)

MADE_UP = [case.name for case in USE_CASES.values() if case.generate and case is not USE_CASE]
# Broken records come to a cluster and to a Connect server as well.
SOURCES = [
    *(["real"] if TELCO.exists() else []),
    *MADE_UP,
    *(["many"] if ARE_WHOLE or not TELCO.exists() else []),
]
MADE_UP_ROWS = 4000
MANY = 1_000_000 if ARE_WHOLE else 10_000


@dataclass(frozen=True)
class Both:
    """One source, run by each engine in a lake of its own."""

    embedded: Project
    spark: Project

    def rows(self, table: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """A table of each lake."""
        return rows(self.embedded, table), rows(self.spark, table)


@pytest.fixture(scope="module", params=SOURCES)
def both(
    request: pytest.FixtureRequest,
    new_project: Callable[..., Project],
    spark_settings: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Both:
    source: Path | None = TELCO
    few: dict[str, Any] = {"training": QUICK}
    if request.param == "many":
        # Trained on some of them.
        few["training"] = {**QUICK, "max_rows": MANY // 4}
        source = tmp_path_factory.mktemp("source") / "customers.parquet"
        break_some(customers(MANY)).write_parquet(source)
    if request.param in MADE_UP:
        source = None
        few["use_case"] = USE_CASES[request.param]
        few["sources"] = {request.param: {"rows": MADE_UP_ROWS}}
    both = Both(new_project(**few), new_project(**few, **spark_settings))
    for project in (both.embedded, both.spark):
        run = project.run(source)
        assert run.success, run.error
    return both


@pytest.mark.parametrize("table", ["raw", "silver", "rejects", "features"])
def test_both_engines_write_equal_tables(both: Both, table: str) -> None:
    ours, theirs = both.rows(table)

    assert ours.schema == theirs.schema
    assert ours.equals(theirs)


def test_both_engines_count_the_same_records_for_the_same_reasons(both: Both) -> None:
    ours, theirs = both.embedded.states(), both.spark.states()

    assert {t: s.rows for t, s in ours.items()} == {t: s.rows for t, s in theirs.items()}
    assert ours["rejects"].details == theirs["rejects"].details


def test_both_engines_give_equal_rows_to_a_model_of_inputs_that_were_taken_away(both: Both) -> None:
    case, found = both.embedded.use_case, []
    columns = [*case.keys, *case.inputs]
    for project in (both.embedded, both.spark):
        features, tables = project.state("features"), project.workplace.tables
        rows = rows_as_trained(with_inputs(case, case.inputs[:-1]), case, tables, features)
        made = tables["features"].engine.collect(rows.select(*columns).sort(*case.keys))
        found.append(pl.DataFrame(pl.from_arrow(made)))

    expected, _ = both.rows("features")
    assert all(rows.equals(expected.select(columns)) for rows in found)


def test_both_engines_train_one_model_and_promote_it(both: Both) -> None:
    ours, theirs = both.rows("model")

    assert ours.equals(theirs)
    assert both.embedded.champion().version == both.spark.champion().version


def test_both_engines_give_equal_scores(both: Both) -> None:
    ours, theirs = both.rows("predictions")

    assert ours.schema == theirs.schema
    assert (ours["churn_probability"] - theirs["churn_probability"]).abs().max() <= 1e-12
    assert ours.drop("churn_probability").equals(theirs.drop("churn_probability"))


def test_a_lake_shows_which_engine_wrote_each_version(both: Both) -> None:
    assert {s.written_by.split(":")[0] for s in both.embedded.states().values()} == {"delta-rs"}
    assert all("Apache-Spark" in s.written_by for s in both.spark.states().values())


def test_a_run_that_only_changes_the_engine_does_nothing(
    new_project: Callable[..., Project], spark_settings: Mapping[str, Any]
) -> None:
    project = new_project()
    assert project.run(project.write()).success
    before = project.states()

    assert project.run(**spark_settings).success

    assert project.states() == before


def test_each_engine_goes_on_where_the_other_stopped(
    new_project: Callable[..., Project], spark_settings: Mapping[str, Any], spark_engine: Engine
) -> None:
    project = new_project()
    # One more customer in each file, whose outcome is not known yet: every table is written anew,
    # and the models are equal.
    unknown = customers(3).with_columns(customerID="new " + pl.col("customerID"), Churn=pl.lit(""))
    files = [
        write_csv(
            project.folder / f"{name}.csv", lambda frame, n=n: pl.concat([frame, unknown.head(n)])
        )
        for n, name in enumerate(["first", "second", "third"])
    ]

    for file, engine in zip(files, ({}, spark_settings, {}), strict=True):
        run = project.run(file, retrain=True, **engine)
        assert run.success, run.error

    for name in TABLES:
        commits = DeltaTable(project.table(name).uri).history()
        # Equal rows are put back by a commit that no engine makes.
        writes = [commit for commit in reversed(commits) if commit["operation"] != "RESTORE"]
        written_by_spark = ["Spark" in commit["engineInfo"] for commit in writes]
        # The first commit to the champion table creates it.
        assert written_by_spark[-3:] == [False, True, False], name
    on_spark = spark_engine.read_delta(project.table("predictions").uri, 0, storage_options=None)
    by_spark = pl.read_delta(project.table("predictions").uri, version=1)
    assert len(spark_engine.collect(on_spark)) == len(by_spark) - 1
    assert sorted(project.rows("model")["version"]) == [1, 2, 3]
    assert sorted(project.rows("champion")["version"]) == [1, 2, 3]

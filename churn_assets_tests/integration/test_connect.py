"""The chain on a Spark Connect server in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from churn_assets_tests.support.parity import break_some, rows
from churn_assets_tests.support.processes import churn
from churn_assets_tests.support.project import Project, customers
from churn_assets_tests.support.spark_cluster import connect_server, environ_of, on_spark

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOURCE_ROWS, GENERATED_ROWS = 3000, 300


@dataclass(frozen=True)
class OnServer:
    """A project on a server, with the environment that its processes have."""

    project: Project
    environ: Mapping[str, str]


@pytest.fixture(scope="module")
def on_server(
    new_project: Callable[..., Project],
    spark_settings: Mapping[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OnServer]:
    project, jars = new_project(), Path(spark_settings["spark_jars"])
    with connect_server(tmp_path_factory.mktemp("connect"), jars) as spark:
        yield OnServer(project, environ_of(project.folder / ".churn", spark))


def test_a_server_writes_the_tables_of_the_embedded_engine(
    on_server: OnServer, new_project: Callable[..., Project], tmp_path: Path
) -> None:
    source = tmp_path / "customers.csv"
    break_some(customers(SOURCE_ROWS)).write_csv(source)
    embedded = new_project()
    assert embedded.run(source).success

    run = churn("run", "--source", str(source), environ=on_server.environ)

    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    for table in ("raw", "silver", "rejects", "features", "model"):
        assert rows(embedded, table).equals(rows(on_server.project, table)), table
    ours, theirs = rows(embedded, "predictions"), rows(on_server.project, "predictions")
    assert ours.schema == theirs.schema
    assert ours.drop("churn_probability").equals(theirs.drop("churn_probability"))
    assert (ours["churn_probability"] - theirs["churn_probability"]).abs().max() <= 1e-12
    for name, state in on_server.project.states().items():
        assert "Spark" in state.written_by, name


def test_a_server_takes_generated_and_typed_records(on_server: OnServer, tmp_path: Path) -> None:
    typed = tmp_path / "customers.parquet"
    numbers = {"tenure": pl.Int64, "MonthlyCharges": pl.Float64, "SeniorCitizen": pl.Int64}
    frame = customers(SOURCE_ROWS).cast(numbers)
    total = pl.col("TotalCharges").str.strip_chars().cast(pl.Float64, strict=False)
    frame.with_columns(total).write_parquet(typed)
    environ = {**on_server.environ, "CHURN_LAKE": str(tmp_path / "lake")}

    run = on_spark("refine_sources", str(GENERATED_ROWS), "", str(typed), environ=environ)

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [f"0 {GENERATED_ROWS}", f"0 {SOURCE_ROWS}"]


def test_a_server_lets_one_of_two_conditional_commits_win(
    on_server: OnServer, tmp_path: Path
) -> None:
    run = on_spark("conflict", str(tmp_path), environ=on_server.environ)

    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "overwrite early=committed late=conflict rows=1",
        "append base transaction early=committed late=conflict rows=2",
        "append early=committed late=committed rows=3",
    ]

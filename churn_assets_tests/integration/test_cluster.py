"""The chain on a real standalone cluster of Spark, whose workers and drivers are killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.tables.lake import Table
from churn_assets_tests.integration.test_crash import files_without_commit
from churn_assets_tests.support.parity import break_some, rows
from churn_assets_tests.support.project import Project, customers
from churn_assets_tests.support.spark_cluster import (
    ON_SPARK,
    Cluster,
    Driver,
    environ_of,
    standalone,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SOURCE_ROWS = 3000
COPIES, PARTS = 12, 6
BATCH_ROWS = 5000
SLOW_SECONDS = 0.3
MOST_KILLS = 4
WAIT_SECONDS = 120


class OnCluster:
    """A project on a cluster, and the driver of its works.

    Parameters
    ----------
    project : Project
        What is worked on.
    cluster : Cluster
        Where.
    environ : mapping of str to str
        Of the driver.
    """

    def __init__(self, project: Project, cluster: Cluster, environ: Mapping[str, str]) -> None:
        self.project, self.cluster = project, cluster
        self._environ, self._driver = environ, Driver(environ)

    @property
    def driver(self) -> Driver:
        """The one that runs; a new one where the last was killed."""
        if not self._driver.is_alive:
            self._driver = Driver(self._environ)
        return self._driver


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("source") / "customers.csv"
    break_some(customers(SOURCE_ROWS)).write_csv(file)
    return file


@pytest.fixture(scope="module")
def embedded(new_project: Callable[..., Project], source: Path) -> Project:
    project = new_project()
    run = project.run(source)
    assert run.success, run.error
    return project


@pytest.fixture(scope="module")
def on_cluster(
    new_project: Callable[..., Project],
    spark_settings: Mapping[str, Any],
    source: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OnCluster]:
    with standalone(tmp_path_factory.mktemp("cluster")) as cluster:
        project = new_project()
        root, jars = project.folder / ".churn", spark_settings["spark_jars"]
        ready = OnCluster(project, cluster, environ_of(root, cluster.spark, spark_jars=jars))
        try:
            run = ready.driver.run("churn_assets.cli", "run", "--source", str(source))
            assert run.returncode == 0, run.stderr
            yield ready
        finally:
            ready.driver.kill()


@pytest.mark.parametrize("table", ["raw", "silver", "rejects", "features", "model", "predictions"])
def test_a_cluster_writes_the_tables_of_the_embedded_engine(
    on_cluster: OnCluster, embedded: Project, table: str
) -> None:
    ours, theirs = rows(embedded, table), rows(on_cluster.project, table)

    if table == "predictions":
        ours, scores = ours.drop("churn_probability"), ours["churn_probability"]
        theirs, others = theirs.drop("churn_probability"), theirs["churn_probability"]
        assert (scores - others).abs().max() <= 1e-12
    assert len(ours) > 0
    assert ours.schema == theirs.schema
    assert ours.equals(theirs)


def test_each_commit_on_a_cluster_names_spark(on_cluster: OnCluster) -> None:
    states = on_cluster.project.states()

    for name, state in states.items():
        assert state is not None, name
        assert "Spark" in state.written_by, name


def test_the_guides_lines_score_as_predictions_say_on_workers_without_this_package(
    on_cluster: OnCluster, tmp_path: Path
) -> None:
    file = tmp_path / "scored.parquet"

    scored = on_cluster.driver.run(ON_SPARK, "score_by_udf", str(file))

    assert scored.returncode == 0, scored.stderr
    assert scored.stdout == "import: it is not installed here\n"
    ours, theirs = rows(on_cluster.project, "predictions"), pl.read_parquet(file)
    both = ours.join(theirs, on="customer_id", suffix="_theirs")
    assert both.height == ours.height == theirs.height
    for scores in ("churn_probability_theirs", "by_default"):
        assert (both["churn_probability"] - both[scores]).abs().max() <= 1e-12


def test_a_worker_killed_while_it_scores_loses_no_row_and_doubles_none(
    on_cluster: OnCluster, tmp_path: Path
) -> None:
    cluster, marks = on_cluster.cluster, tmp_path / "marks"
    marks.mkdir()
    features, predictions = tmp_path / "features", tmp_path / "predictions"
    copies = write_copies(on_cluster.project, features)
    driver = on_cluster.driver

    works = [str(features), str(predictions), str(BATCH_ROWS), str(SLOW_SECONDS), str(marks)]
    driver.begin(ON_SPARK, "score_slowly", *works)
    driver.wait_until(partial(at_work, marks, {"/one/", "/two/"}), WAIT_SECONDS, "scoring")
    cluster.workers["one"].kill()
    before = len(list(marks.iterdir()))
    run = driver.end()
    cluster.start_worker("one")

    assert run.returncode == 0, run.stderr
    assert before < copies / BATCH_ROWS / 2, "it was killed late"
    assert any(not mark.startswith("0") for mark in texts(marks)), "no task was tried again"
    scored = pl.read_delta(str(predictions))
    assert scored.height == scored["customer_id"].n_unique() == copies
    scored = scored.with_columns(pl.col("customer_id").str.split("#").list.first())
    expected = rows(on_cluster.project, "predictions")
    both = scored.join(expected, on="customer_id", suffix="_once")
    assert both.height == copies
    assert (both["churn_probability"] - both["churn_probability_once"]).abs().max() <= 1e-12


def test_a_driver_killed_while_it_writes_leaves_the_last_version_and_room_for_the_next(
    on_cluster: OnCluster, tmp_path: Path
) -> None:
    table = on_cluster.project.table("features")
    keys = rows(on_cluster.project, "features")["customer_id"]
    orphans: set[str] = set()

    # A commit may be quicker than a kill that waits for a data file.
    for _ in range(MOST_KILLS):
        driver, since = on_cluster.driver, table.require().version
        driver.begin(ON_SPARK, "replace_for_ever", "features")
        driver.wait_until(partial(has_newer, table, since), WAIT_SECONDS, "replacing")
        before = files_without_commit(table)
        next_data_file(Path(table.uri))
        driver.kill()
        features = rows(on_cluster.project, "features")
        assert features["customer_id"].equals(keys)
        assert features["generation"].n_unique() == 1
        orphans = files_without_commit(table) - before
        if orphans:
            break
    again = table.scan().with_columns(nw.lit(0).alias("generation"))
    table.replace(again, "again")

    assert orphans, "no kill fell between the first data file and the commit"
    features = rows(on_cluster.project, "features")
    assert features["customer_id"].equals(keys)
    assert set(features["generation"]) == {0}


def write_copies(project: Project, into: Path) -> int:
    """Write many copies of the features, each under its own key, in several files; their rows."""
    features = rows(project, "features")
    for part in range(PARTS):
        copies = pl.DataFrame({"copy": [f"#{part}-{i}" for i in range(COPIES)]})
        many = features.join(copies, how="cross")
        key = pl.concat_str("customer_id", "copy")
        many.with_columns(customer_id=key).drop("copy").write_delta(str(into), mode="append")
    return len(features) * PARTS * COPIES


def texts(marks: Path) -> list[str]:
    """What each mark says: the attempt at its task, and where it ran."""
    return [mark.read_text() for mark in marks.iterdir()]


def at_work(marks: Path, workers: set[str]) -> bool:
    """Whether each of the workers has started a batch."""
    return all(any(worker in mark for mark in texts(marks)) for worker in workers)


def has_newer(table: Table, since: int) -> bool:
    """Whether a table has a newer version."""
    return table.require().version > since


def next_data_file(folder: Path) -> None:
    """Wait until a table has one more data file."""
    before = set(folder.glob("*.parquet"))
    end = time.monotonic() + WAIT_SECONDS
    while set(folder.glob("*.parquet")) <= before:
        assert time.monotonic() < end
        time.sleep(0.01)

"""kill -9 at any moment: every table is whole, and the next run goes on from there."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from churn_assets.assets.resources import LAYERS
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, Table
from churn_assets_tests.support.processes import FORKS, churn
from churn_assets_tests.support.programs.killing import (
    GENERATION,
    ROWS,
    USE_CASE,
    append_for_ever,
    create_for_ever,
    registry_of,
    replace_for_ever,
    run_for_ever,
    run_once,
)
from churn_assets_tests.support.project import ARE_WHOLE, QUICK

RANDOM_KILLS, AIMED_KILLS = (60, 40) if ARE_WHOLE else (5, 5)
KILLED_RUNS = 100 if ARE_WHOLE else 6
LONGEST_SECONDS = 0.15
REPLACED_ROWS = 20_000
LONGEST_RUN_SECONDS = 2
START_SECONDS = 60
FIRST_WRITE_KILLS = 50 if ARE_WHOLE else 5
INTO_TRAINING_SECONDS = 0.5


def kill_during(wait: Callable[[], None], target: Callable[..., None], *arguments: Any) -> None:
    """Start a process, and kill it so long after it began its work."""
    started = FORKS.Event()
    process = FORKS.Process(target=target, args=(*arguments, started))
    process.start()
    try:
        assert started.wait(START_SECONDS)
        wait()
        assert process.is_alive(), "it ended before it was killed"
    finally:
        process.kill()
        process.join()


def moments(table: Table) -> Iterator[Callable[[], None]]:
    """When to kill: at random, and as soon as there is one more data file."""
    times = random.Random(table.name)
    for _ in range(RANDOM_KILLS):
        yield partial(time.sleep, times.uniform(0, LONGEST_SECONDS))
    for _ in range(AIMED_KILLS):
        yield partial(_next_data_file, Path(table.uri))


def _next_data_file(folder: Path) -> None:
    before = sum(1 for _ in folder.iterdir())
    end = time.monotonic() + START_SECONDS
    while sum(1 for _ in folder.iterdir()) == before:
        assert time.monotonic() < end


def files_without_commit(table: Table) -> set[str]:
    """Data files that no version names: what a killed write left behind."""
    log = Path(table.uri, "_delta_log").glob("*.json")
    actions = [json.loads(line) for entry in log for line in entry.read_text().splitlines()]
    in_log = {action["add"]["path"] for action in actions if "add" in action}
    return {file.name for file in Path(table.uri).glob("*.parquet")} - in_log


def new_table(folder: Path, name: str, rows: int) -> Table:
    """A table with a key, a text and a generation."""
    table = Lake(str(folder), PolarsEngine(), layers=LAYERS).of(USE_CASE)[name]
    frame = pl.LazyFrame(
        {
            "key": [str(i) for i in range(rows)],
            "text": ["x" * (i % 50) for i in range(rows)],
            GENERATION: [1] * rows,
        },
        schema_overrides={GENERATION: pl.Int32},
    )
    table.replace(nw.from_native(frame), "1")
    return table


@pytest.mark.parametrize("name", ["raw", "silver", "rejects", "features", "predictions"])
def test_a_killed_replacement_leaves_the_old_rows_or_the_new_ones(
    name: str, tmp_path: Path
) -> None:
    table = new_table(tmp_path, name, REPLACED_ROWS)
    between = 0

    for moment in moments(table):
        before = files_without_commit(table)
        kill_during(moment, replace_for_ever, str(tmp_path), name)
        between += bool(files_without_commit(table) - before)

        rows = table.scan().to_native().collect()
        assert rows.height == rows["key"].n_unique() == REPLACED_ROWS
        assert rows[GENERATION].n_unique() == 1

    assert between > 0, "no kill fell between the first data file and the commit"


@pytest.mark.parametrize("name", ["model", "champion"])
def test_a_killed_append_leaves_each_record_once(name: str, tmp_path: Path) -> None:
    table = new_table(tmp_path, name, 1)
    between = 0

    for moment in moments(table):
        earlier = table.scan().to_native().collect()[GENERATION].to_list()
        before = files_without_commit(table)
        kill_during(moment, append_for_ever, str(tmp_path), name)
        between += bool(files_without_commit(table) - before)

        records = sorted(table.scan().to_native().collect()[GENERATION].to_list())
        assert set(earlier) <= set(records)
        assert records == list(range(1, len(records) + 1))

    assert between > 0, "no kill fell between the first data file and the commit"


def test_a_killed_first_write_leaves_a_whole_table_or_room_for_one(tmp_path: Path) -> None:
    times = random.Random("first")

    for kill in range(FIRST_WRITE_KILLS):
        root = tmp_path / str(kill)
        root.mkdir()
        kill_during(
            partial(time.sleep, times.uniform(0, LONGEST_SECONDS)), create_for_ever, str(root)
        )

        for folder in root.iterdir():
            table = Lake(str(folder), PolarsEngine(), layers=LAYERS).of(USE_CASE)["raw"]
            state = table.state()
            assert state is None or _rows(table) == state.rows == ROWS
            table.replace(nw.from_native(pl.LazyFrame({"key": range(ROWS)})), "2")
            assert _rows(table) == ROWS


def test_a_killed_run_keeps_the_next_one_from_nothing(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("churn")), "run"]
    environ = {
        "CHURN_ROOT": str(tmp_path),
        "CHURN_TRAINING": json.dumps(QUICK),
        "CHURN_SOURCES__TELCO_CHURN__ROWS": str(ROWS),
    }
    whole = {**os.environ, **environ}
    with subprocess.Popen(command, env=whole, stdout=subprocess.PIPE, text=True) as run:
        # The next step, training, holds a place in the pool of those who write to the registry.
        assert run.stdout is not None
        assert any("features" in line for line in run.stdout)
        time.sleep(INTO_TRAINING_SECONDS)
        run.kill()

    again = churn("run", environ=environ)

    assert again.returncode == 0, again.stderr
    with DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        statuses = [run.status for run in instance.get_runs()]
    assert statuses == [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]


@pytest.mark.slow
def test_a_run_that_is_killed_anywhere_is_finished_by_the_next_one(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    run_once(str(whole), 0)
    run_once(str(broken), 0)
    tables = Lake(f"{broken}/lake", PolarsEngine(), layers=LAYERS).of(USE_CASE)
    times = random.Random(0)

    for _ in range(KILLED_RUNS):
        kill_during(
            partial(time.sleep, times.uniform(0, LONGEST_RUN_SECONDS)), run_for_ever, str(broken)
        )
        assert {_rows(tables[name]) for name in ("raw", "silver", "features")} == {ROWS}
        assert _rows(tables["predictions"]) == ROWS
    run_once(str(broken), 0)

    expected = Lake(f"{whole}/lake", PolarsEngine(), layers=LAYERS).of(USE_CASE)
    assert _sorted(tables["features"]).equals(_sorted(expected["features"]))
    promotions = tables["champion"].scan().to_native().collect().sort("promotion")
    assert promotions["promotion"].to_list() == list(range(1, promotions.height + 1))
    champion = registry_of(str(broken)).by_alias("champion")
    assert champion is not None
    assert champion.run_id == promotions["run_id"][-1]
    predictions = _sorted(tables["predictions"])
    assert set(predictions["model_version"]) == {champion.version}
    assert predictions["customer_id"].n_unique() == ROWS


def _rows(table: Table) -> int:
    return table.scan().to_native().collect().height


def _sorted(table: Table) -> pl.DataFrame:
    return table.scan().to_native().collect().sort("customer_id")

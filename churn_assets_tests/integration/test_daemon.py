"""A real daemon: what it refreshes by itself after a missed window, and whom it scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import dagster as dg
import polars as pl
import pytest

from churn_assets_tests.support.processes import CHECKOUT, background, churn
from churn_assets_tests.support.project import ONLY_TELCO, QUICK, Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

UP_TO_CHAMPION = "raw silver rejects features model champion"
WINDOW_SECONDS = 60
FIRST, LATER, LATEST = 3000, 4000, 4100


@dataclass(frozen=True)
class Refresh:
    """What the daemon made of a source that had changed."""

    project: Project
    runs: list[dg.RunRecord]

    def tables(self, record: dg.RunRecord) -> set[str]:
        """What a run materialised."""
        entries = self.project.instance.all_logs(
            record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        return {entry.get_dagster_event().asset_key.path[-1] for entry in entries}


def doubtful(frame: pl.DataFrame) -> pl.DataFrame:
    """One label in eight is the opposite: learnable, and sure to be beaten."""
    opposite = pl.when(pl.col("Churn") == "Yes").then(pl.lit("No")).otherwise(pl.lit("Yes"))
    return frame.with_columns(
        Churn=pl.when(pl.int_range(pl.len()) % 8 == 0).then(opposite).otherwise("Churn")
    )


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    """Labels that no model can learn, so that the gates refuse it."""
    return frame.with_columns(pl.col("Churn").shuffle(seed=1))


@pytest.fixture(scope="module")
def refresh(
    new_project: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory
) -> Refresh:
    project = new_project(keeps_history=True)
    before = [
        project.run(project.write(doubtful, rows=FIRST)),
        project.run(tables=UP_TO_CHAMPION, retrain=True),
    ]
    assert all(run.success for run in before)
    artifacts, hidden = project.folder / ".churn" / "artifacts", project.folder / "hidden"
    environ = {
        "CHURN_ROOT": str(project.folder / ".churn"),
        "CHURN_TRAINING": json.dumps(QUICK),
        "CHURN_SOURCES__TELCO_CHURN__URI": str(project.folder / "customers.csv"),
        "CHURN_FRESHNESS__RAW_MINUTES": "1",
        "CHURN_FRESHNESS__PREDICTIONS_MINUTES": "1",
        "DAGSTER_HOME": str(project.folder / "dagster"),
        "FRESHNESS_DAEMON_INTERVAL_SECONDS": "5",
        **ONLY_TELCO,
    }
    assert churn("home", environ=environ).returncode == 0
    command = ["dagster-daemon", "run", "-w", str(CHECKOUT / "workspace.yaml")]
    log = tmp_path_factory.mktemp("daemon") / "log"
    # Nobody can be scored with the second Champion, so the sensor asks for it again and again.
    artifacts.rename(hidden)
    with background(command, environ, log) as daemon:
        daemon.wait_until(
            lambda: "already completed with run keys" in log.read_text(errors="replace"),
            seconds=120,
            what="asked twice for one scoring",
        )
        hidden.rename(artifacts)
        project.write(rows=LATER)
        daemon.wait_until(
            lambda: set(project.rows("predictions")["model_version"]) == {3},
            seconds=240,
            what="scored with the third Champion",
        )
        daemon.wait_until(lambda: _idle(project), seconds=60, what="idle")
        project.write(shuffled, rows=LATEST)
        daemon.wait_until(
            lambda: project.state("predictions").rows == LATEST,
            seconds=240,
            what="scored though the Challenger is refused",
        )
        daemon.wait_until(lambda: _idle(project), seconds=60, what="idle")
    earlier = {run.run_id for run in before}
    runs = [r for r in project.instance.get_run_records() if r.dagster_run.run_id not in earlier]
    return Refresh(project, sorted(runs, key=lambda record: record.create_timestamp))


def test_a_missed_window_carries_a_changed_source_through_to_new_predictions(
    refresh: Refresh,
) -> None:
    states = refresh.project.states()

    assert states["raw"].rows == states["features"].rows == states["predictions"].rows == LATEST
    assert refresh.project.champion().version == 3
    assert states["predictions"].reads["features"] == states["features"].version


def test_each_missed_window_is_answered_by_one_run(refresh: Refresh) -> None:
    raw = [record for record in refresh.runs if "raw" in refresh.tables(record)]

    starts = [record.create_timestamp.timestamp() for record in raw]

    assert starts
    assert all(later - earlier >= WINDOW_SECONDS for earlier, later in pairwise(starts))


def test_a_refused_challenger_keeps_nobody_unscored(refresh: Refresh) -> None:
    predictions = refresh.project.rows("predictions")

    assert refresh.project.registry.by_alias("challenger").version == 4
    assert predictions.height == LATEST
    assert set(predictions["model_version"]) == {3}


def test_no_promotion_and_no_refusal_is_scored_after_twice(refresh: Refresh) -> None:
    keys = Counter(
        record.dagster_run.tags["dagster/run_key"]
        for record in refresh.runs
        if "dagster/run_key" in record.dagster_run.tags
    )

    # A missed window may have everyone scored before the sensor does.
    assert set(keys.values()) == {1}


def test_what_failed_for_a_while_is_all_that_failed(refresh: Refresh) -> None:
    failures = [
        record
        for record in refresh.runs
        if record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS
    ]

    assert {record.dagster_run.status for record in failures} == {dg.DagsterRunStatus.FAILURE}
    # The scorings that could not be, and the runs whose Challenger was refused.
    made = {frozenset(refresh.tables(record)) for record in failures}
    assert made == {frozenset(), frozenset({"raw", "silver", "rejects", "features", "model"})}


def _idle(project: Project) -> bool:
    waiting = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    return not project.instance.get_runs(dg.RunsFilter(statuses=waiting))

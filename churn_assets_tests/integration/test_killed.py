"""A real `churn dev` that is killed: what begins by itself, and what becomes of its runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import dagster as dg
import pytest

from churn_assets.cli.liveness import _processes
from churn_assets_tests.support.processes import (
    HOST,
    WORK_SECONDS,
    answers,
    background,
    churn,
    free_ports,
)
from churn_assets_tests.support.project import ONLY_TELCO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LAUNCH = """
mutation ($job: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $job}) {
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
JOB = {
    "repositoryLocationName": "churn_assets",
    "repositoryName": "__repository__",
    "jobName": "telco_churn",
}
RAW = dg.AssetKey(["telco_churn", "raw"])


@dataclass(frozen=True)
class Outcome:
    """What became of the runs that were killed."""

    begun_by_itself: dg.DagsterRun
    ended_at_start: dg.DagsterRun
    next_seconds: float
    ended_by_daemon: dg.DagsterRun
    noticed_seconds: float


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that takes connections and never answers, so that a run lasts."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen(50)
        yield server.getsockname()[1]


def launched(port: int) -> str:
    """Id of a run of the whole job, launched as the UI does it."""
    question = {"query": LAUNCH, "variables": {"job": JOB}}
    request = Request(
        f"http://{HOST}:{port}/graphql",
        json.dumps(question).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=60) as response:
        return str(json.load(response)["data"]["launchRun"]["run"]["runId"])


@pytest.fixture
def outcome(tmp_path: Path, silent_port: int) -> Outcome:
    root, home = tmp_path / "root", tmp_path / "root" / "dagster"
    (port,) = free_ports(1)
    environ = {
        "CHURN_ROOT": str(root),
        "CHURN_SOURCES__TELCO_CHURN__URI": f"http://{HOST}:{silent_port}/x.csv",
        **ONLY_TELCO,
    }
    os.environ.pop("DAGSTER_HOME", None)
    assert churn("home", environ=environ).returncode == 0
    command = ["churn", "dev", "--port", str(port)]
    with dg.DagsterInstance.from_config(str(home)) as instance:

        def at_work(run_id: str) -> bool:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.status is dg.DagsterRunStatus.STARTED and bool(_processes(instance, run))

        def newest() -> list[dg.DagsterRun]:
            return list(instance.get_runs(limit=1))

        def status(run_id: str) -> dg.DagsterRunStatus:
            run = instance.get_run_by_id(run_id)
            assert run is not None
            return run.status

        with background(command, environ, tmp_path / "first") as dev:
            dev.wait_until(
                lambda: bool(newest()) and at_work(newest()[0].run_id),
                seconds=WORK_SECONDS,
                what="materialising raw by itself",
            )
            first = newest()[0].run_id
            dev.kill()
        assert status(first) is dg.DagsterRunStatus.STARTED
        with background(command, environ, tmp_path / "second") as dev:
            dev.wait_until(lambda: answers(port), seconds=WORK_SECONDS, what="serving")
            ended, begun = status(first), time.monotonic()
            second = launched(port)
            dev.wait_until(
                lambda: at_work(second), seconds=WORK_SECONDS, what="at work on the next run"
            )
            next_seconds = time.monotonic() - begun
            run = instance.get_run_by_id(second)
            assert run is not None
            for pid, _ in _processes(instance, run):
                os.kill(pid, signal.SIGKILL)
            killed = time.monotonic()
            dev.wait_until(
                lambda: status(second) is not dg.DagsterRunStatus.STARTED,
                seconds=WORK_SECONDS,
                what="aware that the worker is gone",
            )
            noticed_seconds = time.monotonic() - killed
        runs = [instance.get_run_by_id(run_id) for run_id in (first, second)]
        assert runs[0] is not None
        assert runs[1] is not None
        assert ended is dg.DagsterRunStatus.FAILURE
        return Outcome(runs[0], runs[0], next_seconds, runs[1], noticed_seconds)


def test_a_killed_dev_or_worker_keeps_no_run_from_starting(outcome: Outcome) -> None:
    assert RAW in (outcome.begun_by_itself.asset_selection or set())
    assert outcome.ended_at_start.status is dg.DagsterRunStatus.FAILURE
    assert outcome.next_seconds < 60
    assert outcome.ended_by_daemon.status is dg.DagsterRunStatus.FAILURE
    assert outcome.noticed_seconds < 45

"""A run whose process was killed is told from one at work, and holds nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.cli.liveness import at_work, end_killed_runs
from churn_assets.machine import MACHINE, this_machine

POOL = "registry"


@dg.job
def job() -> None:
    pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(
        "{telemetry: {enabled: false}, concurrency: {pools: {default_limit: 1}}}"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def started(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED,
    **tags: str,
) -> str:
    """A run under way that holds the only place in a pool."""
    run_id = str(uuid.uuid4())
    instance.create_run_for_job(job, run_id=run_id, status=status, tags=tags)
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run_id, "step").is_claimed
    return run_id


def holders(instance: dg.DagsterInstance) -> list[str]:
    info = instance.event_log_storage.get_concurrency_info(POOL)
    return [slot.run_id for slot in info.claimed_slots]


def test_a_run_at_work_is_left_alone(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started(instance)

    with at_work(home, run_id):
        end_killed_runs(home, instance)

        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
        assert holders(instance) == [run_id]


def test_a_run_that_was_killed_has_failed_and_holds_nothing(
    home: Path, instance: dg.DagsterInstance
) -> None:
    run_id = started(instance)
    with pytest.raises(SystemExit), at_work(home, run_id):
        raise SystemExit

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == []


def test_a_run_that_ended_by_itself_keeps_its_end(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started(instance)
    instance.report_run_canceled(instance.get_run_by_id(run_id))
    with pytest.raises(SystemExit), at_work(home, run_id):
        raise SystemExit

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.CANCELED


def test_a_home_without_runs_has_none_to_end(home: Path, instance: dg.DagsterInstance) -> None:
    end_killed_runs(home, instance)

    assert instance.get_runs_count() == 0


def in_charge(instance: dg.DagsterInstance, run_id: str, pid: int) -> None:
    """Note the process of a run, as an executor does."""
    run = instance.get_run_by_id(run_id)
    instance.report_engine_event(f"Executing steps in process (pid: {pid})", run)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


HERE = {MACHINE: this_machine()}
ELSEWHERE = {MACHINE: "elsewhere " + " ".join(this_machine().split()[1:])}
STARTED_ANEW = {MACHINE: this_machine().split()[0] + " another-boot 1"}
LAUNCHED = {".dagster/grpc_info": json.dumps({"host": "localhost", "socket": "/nowhere/at/all"})}
LAUNCHED_ELSEWHERE = {".dagster/grpc_info": json.dumps({"host": "crm.example", "port": 1})}


@pytest.mark.parametrize("tags", [HERE, LAUNCHED, {**HERE, **LAUNCHED}])
def test_a_run_that_another_started_is_ended_once_its_process_is_killed(
    home: Path,
    instance: dg.DagsterInstance,
    worker: subprocess.Popen[bytes],
    tags: dict[str, str],
) -> None:
    run_id = started(instance, **tags)
    in_charge(instance, run_id, worker.pid)

    end_killed_runs(home, instance)
    before = instance.get_run_by_id(run_id).status
    os.kill(worker.pid, signal.SIGKILL)
    os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT)
    end_killed_runs(home, instance)

    assert before == dg.DagsterRunStatus.STARTED
    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == []


@pytest.mark.parametrize("tags", [{}, ELSEWHERE, LAUNCHED_ELSEWHERE])
def test_a_run_of_another_machine_is_not_judged(
    home: Path, instance: dg.DagsterInstance, tags: dict[str, str]
) -> None:
    run_id = started(instance, **tags)
    in_charge(instance, run_id, 2**22)

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED


def test_a_run_from_before_the_machine_started_anew_is_ended(
    home: Path, instance: dg.DagsterInstance, worker: subprocess.Popen[bytes]
) -> None:
    run_id = started(instance, **STARTED_ANEW)
    in_charge(instance, run_id, worker.pid)

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_whose_server_is_gone_before_it_had_a_process_is_ended(
    home: Path, instance: dg.DagsterInstance
) -> None:
    run_id = started(instance, dg.DagsterRunStatus.STARTING, **LAUNCHED)

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_that_has_not_begun_is_left_alone(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started(instance, dg.DagsterRunStatus.NOT_STARTED, **HERE)

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.NOT_STARTED

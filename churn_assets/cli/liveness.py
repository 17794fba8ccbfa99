"""Tell runs at work from killed ones, whose place in a queue or pool nobody else could take."""

from __future__ import annotations

import fcntl
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.machine import MACHINE, is_running, this_machine

if TYPE_CHECKING:
    import dagster as dg

_LAUNCHED_BY = ".dagster/grpc_info"
"""The tag by which Dagster remembers the server that started a run's process."""
_HERE = ("localhost", "127.0.0.1", "::1")
_PID = re.compile(r"\(pid: (\d+)\)")
_CONNECT_SECONDS = 2.0


@contextmanager
def at_work(home: Path, run_id: str) -> Iterator[None]:
    """Mark a run as at work; the system takes the mark's lock away however the process ends."""
    path = _marks(home) / run_id
    with path.open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        yield
        # After an exception the mark stays: whether the run has ended is looked at later.
        path.unlink(missing_ok=True)


def end_killed_runs(home: Path, instance: dg.DagsterInstance) -> None:
    """End the runs of a DAGSTER_HOME whose process was killed, and free what they held."""
    import dagster as dg

    for path in _marks(home).iterdir():
        if not _is_held(path):
            _end(path.name, instance)
            path.unlink(missing_ok=True)
    status = dg.DagsterRunStatus
    begun = [status.STARTING, status.STARTED, status.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(statuses=begun)):
        if is_killed(home, instance, run):
            _end(run.run_id, instance)


def is_killed(home: Path, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of a run that has begun is gone, whoever started it.

    False where that cannot be told, as of a run on another machine.

    Parameters
    ----------
    home : Path
        Where the marks of runs at work lie.
    instance : DagsterInstance
        Which holds the run.
    run : DagsterRun
        One that has not ended.
    """
    mark = _marks(home) / run.run_id
    if mark.exists():
        return not _is_held(mark)
    server: dict[str, Any] = json.loads(run.tags.get(_LAUNCHED_BY, "{}"))
    machine = run.tags.get(MACHINE)
    if machine is not None:
        if machine.split()[0] != this_machine().split()[0]:
            return False
        if machine != this_machine():
            # The host, or the container of its name, was started anew.
            return True
    elif server.get("host") not in _HERE:
        return False
    processes = _processes(instance, run)
    if processes:
        return not any(is_running(pid, since) for pid, since in processes)
    return bool(server) and not _is_open(server)


def _processes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[tuple[int, float]]:
    """The processes that have said that they are in charge of a run, and when."""
    import dagster as dg

    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    found = [(_PID.search(entry.message), entry.timestamp) for entry in entries]
    return [(int(pid[1]), since) for pid, since in found if pid]


def _is_open(server: dict[str, Any]) -> bool:
    """Whether the server that was to start a run's process still listens."""
    try:
        if "socket" in server:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(_CONNECT_SECONDS)
                probe.connect(server["socket"])
        else:
            address = (server["host"], int(server["port"]))
            socket.create_connection(address, _CONNECT_SECONDS).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return False
    except OSError:
        return True
    return True


def _marks(home: Path) -> Path:
    folder = home / "at_work"
    folder.mkdir(exist_ok=True)
    return folder


def _is_held(path: Path) -> bool:
    """Whether the process that made a mark holds it still."""
    try:
        with path.open() as mark:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _end(run_id: str, instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "Its process was killed.")
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)

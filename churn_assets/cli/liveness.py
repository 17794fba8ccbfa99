"""Tell runs at work from killed ones, whose place in a pool nobody else could take."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg


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
    for path in _marks(home).iterdir():
        with path.open() as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            _end(path.name, instance)
            path.unlink(missing_ok=True)


def _marks(home: Path) -> Path:
    folder = home / "at_work"
    folder.mkdir(exist_ok=True)
    return folder


def _end(run_id: str, instance: dg.DagsterInstance) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and not run.is_finished:
        instance.report_run_failed(run, "Its process was killed.")
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)

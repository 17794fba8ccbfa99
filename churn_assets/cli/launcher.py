"""Dagster's own launcher, which also tells the daemon of runs whose process was killed."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from churn_assets.cli.liveness import is_killed


class WatchedRunLauncher(DefaultRunLauncher):
    """Starts runs as Dagster does, in a process of the code server; dagster.yaml names it."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """That the daemon may ask for it."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a run's process is there, for the daemon, which ends the run if it is not."""
        if is_killed(Path(self._instance.root_directory), self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "Its process was killed.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

"""Many clients at once, while models change, the registry goes, and processes are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil
import pytest

from churn_assets.learning.judging.promotion import rollback
from churn_assets_tests.support.project import ARE_WHOLE, Project
from churn_assets_tests.support.serving.load import asking
from churn_assets_tests.support.serving.running import Serving, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if ARE_WHOLE else 600)]

CLIENTS = 64
SWAPS = 20 if ARE_WHOLE else 3
KILLED = 2_000_000 if ARE_WHOLE else 4_000
"""Calls that are answered in all while processes are killed."""
KILLS = 40 if ARE_WHOLE else 2
WAIT_SECONDS = 120


def bodies(project: Project) -> list[dict[str, Any]]:
    """Calls by key and by inputs."""
    rows = project.rows("features").sort("customer_id").head(50)
    keys = [{"key": {"customer_id": key}} for key in rows["customer_id"]]
    inputs = [{"inputs": row} for row in rows.select(project.use_case.inputs).to_dicts()]
    return [{"customers": [one]} for one in (*keys, *inputs)]


def wait(ready: Callable[[], bool], server: Serving, what: str) -> None:
    """Wait until something is seen of a server."""
    until = time.monotonic() + WAIT_SECONDS
    while not ready():
        assert time.monotonic() < until, f"not {what}: {server.ask('/readyz').body!r}"
        time.sleep(0.05)


def assert_logged_once(project: Project, acknowledged: Sequence[str]) -> None:
    """Each call that was answered is a row of the table, and just one."""
    logged = project.rows("requests")["request_id"].to_list()
    assert len(set(logged)) == len(logged)
    assert set(acknowledged) <= set(logged)


def test_no_call_fails_while_models_change_the_registry_goes_and_the_server_stops(
    copied_scored: Project,
) -> None:
    project, root = copied_scored, copied_scored.folder / ".churn"
    run = project.run(retrain=True)
    assert run.success, run.error

    with (
        serving(root) as server,
        asking(server.address, bodies(project), CLIENTS) as load,
    ):

        def seen() -> Any:
            return server.ask("/readyz").json["use_cases"]["telco_churn"]

        for swap in range(SWAPS):
            version = 1 + swap % 2
            rollback(project.workplace, version, "a test")
            server.ask("/v1/admin/reload", {})
            wait(lambda v=version: seen()["model_version"] == v, server, f"serving {version}")
        for name in ("mlflow.db", "lake"):
            root.joinpath(name).rename(root / f"{name}-away")
        wait(lambda: seen()["trouble"] is not None, server, "missing the lake")
        answered = len(load.acknowledged)
        wait(lambda: len(load.acknowledged) > answered + 500, server, "answering without it")
        assert not (root / "lake").exists(), "a new lake was begun in its place"
        for name in ("mlflow.db", "lake"):
            root.joinpath(f"{name}-away").rename(root / name)
        wait(lambda: seen()["trouble"] is None, server, "back")
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(WAIT_SECONDS)

    assert load.cut == 0
    assert not load.refused
    assert_logged_once(project, load.acknowledged)


def test_what_was_answered_is_in_the_table_once_whatever_is_killed(copied_scored: Project) -> None:
    root = copied_scored.folder / ".churn"
    asked = bodies(copied_scored)
    acknowledged: list[str] = []
    for kill in range(KILLS):
        with (
            serving(root) as server,
            asking(server.address, asked, CLIENTS) as load,
        ):
            share = KILLED // KILLS
            wait(lambda n=share // 2: len(load.acknowledged) > n, server, "answering")
            if kill % 2:
                wait(lambda: bool(flushers(server)), server, "flushing")
                for one in flushers(server):
                    one.kill()
                wait(lambda n=share: len(load.acknowledged) > n, server, "answering on")
            else:
                server.process.kill()
        acknowledged += load.acknowledged
        assert not load.refused
    with serving(root):
        pass

    assert len(acknowledged) >= KILLED * 0.7
    assert_logged_once(copied_scored, acknowledged)


def flushers(server: Serving) -> list[psutil.Process]:
    """The processes that commit what a server logged."""
    below = psutil.Process(server.process.pid).children(recursive=True)
    return [one for one in below if any("flusher" in part for part in one.cmdline())]

"""What is relied on where the table of requests is compacted and expires, while it is written."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake.exceptions import CommitFailedError

from churn_assets.serving.inference_log.flusher import Flusher, flush
from churn_assets.serving.inference_log.pending import Pending
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets.serving.inference_log.upkeep import Clock, Upkeep
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.health import examine
from churn_assets.tables.lake import Table
from churn_assets_tests.support.serving.answering import held, logged, wait_until

NONE = timedelta(0)
MINUTE, DAY = 60_000_000, 86_400_000_000
"""Microseconds."""


@pytest.fixture
def pending(tmp_path: Path) -> Pending:
    folder = tmp_path / "log"
    folder.mkdir()
    return Pending(folder)


@pytest.fixture
def table(tmp_path: Path) -> RequestsTable:
    return RequestsTable(str(tmp_path / "requests"), ("customer_id",))


def now() -> int:
    return time.time_ns() // 1000


def files(table: RequestsTable) -> int:
    return len(table.opened().file_uris())


def flushed(pending: Pending, table: RequestsTable, commits: int) -> None:
    """Commit a file for each of some minutes, up to now."""
    for place in range(commits):
        minutes = commits - 1 - place
        logged(pending.folder, f"r-{place}", requested_at=now() - minutes * MINUTE)
        flush(pending, table)


def test_small_files_are_put_together_and_every_row_stays(
    pending: Pending, table: RequestsTable
) -> None:
    flushed(pending, table, 6)
    before = pl.read_delta(table.uri).sort("request_id")

    few, compacted = table.compact(7, NONE), table.compact(6, NONE)

    assert (few, compacted, files(table)) == (0, 6, 1)
    assert pl.read_delta(table.uri).sort("request_id").equals(before)
    of_lake = Table("requests", table.uri, PolarsEngine())
    assert of_lake.require().details == {"compacted": 6}
    assert examine(of_lake).fault == ""


def test_rows_expire_by_when_they_were_asked_and_no_others(
    pending: Pending, table: RequestsTable
) -> None:
    logged(pending.folder, "old", requested_at=now() - 31 * DAY)
    logged(pending.folder, "young", requested_at=now() - 29 * DAY)
    flush(pending, table)

    month = datetime.now(UTC) - timedelta(days=30)
    expired, again = table.expire(month), table.expire(month)

    assert (expired, again) == (1, 0)
    assert held(table) == ["young"]


def test_files_that_no_version_needs_are_removed_with_their_digests(
    pending: Pending, table: RequestsTable
) -> None:
    flushed(pending, table, 4)
    table.compact(1, NONE)

    Path(table.uri, "part-of-a-killed-flusher.parquet").write_bytes(b"")

    early = table.vacuum(1)
    time.sleep(0.01)
    removed = table.vacuum(0)

    assert (early, removed) == (0, 5)
    assert len(list(Path(table.uri).glob("*.parquet"))) == 1
    assert len(list(Path(table.uri, "_digests").iterdir())) == 1
    assert len(held(table)) == 4
    assert examine(Table("requests", table.uri, PolarsEngine())).fault == ""


def test_rows_are_committed_while_the_table_is_compacted_and_expires(
    pending: Pending, table: RequestsTable
) -> None:
    logged(pending.folder, *(f"old-{n}" for n in range(50)), requested_at=now() - 40 * DAY)
    flush(pending, table)
    done, kept, conflicts = threading.Event(), 0, 0

    def keep_up() -> None:
        nonlocal kept, conflicts
        while not done.is_set():
            try:
                kept += table.compact(2, NONE) > 0
                table.expire(datetime.now(UTC) - timedelta(days=30))
            except CommitFailedError:
                conflicts += 1

    with ThreadPoolExecutor() as pool:
        keeping = pool.submit(keep_up)
        flushed(pending, table, 40)
        done.set()
        keeping.result()

    assert kept >= 3
    assert held(table) == sorted(f"r-{place}" for place in range(40))


def test_two_servers_may_compact_at_once(pending: Pending, table: RequestsTable) -> None:
    flushed(pending, table, 8)

    def compact(_: int) -> str:
        try:
            table.compact(2, NONE)
        except CommitFailedError:
            return "was not first"
        return "done"

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(compact, range(4)))

    assert "done" in outcomes
    assert files(table) == 1
    assert len(set(held(table))) == len(held(table)) == 8


def test_where_the_clock_has_jumped_nothing_expires(
    pending: Pending,
    table: RequestsTable,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    flushed(pending, table, 20)
    real, clock = time.time, Clock()
    upkeep = Upkeep(table, keep_days=30)

    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86_400)
    upkeep.once(clock)

    assert files(table) == 20
    assert "the clock has jumped" in caplog.text
    monkeypatch.undo()
    upkeep.once(clock)
    # The newest is left as it is.
    assert (files(table), len(held(table))) == (2, 20)


def test_a_flusher_keeps_the_table_up_beside_its_commits(
    pending: Pending, table: RequestsTable
) -> None:
    flushed(pending, table, 20)
    flusher = Flusher(pending, table, every_seconds=0.05, upkeep=Upkeep(table, every_seconds=0.1))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(flusher.run)
        logged(pending.folder, "late", requested_at=now())
        try:
            wait_until(lambda: files(table) <= 3)
        finally:
            flusher.stop()

        assert running.result() is True

    assert len(held(table)) == 21

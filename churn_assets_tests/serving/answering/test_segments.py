"""What a worker relies on where it logs an answer before it gives it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_assets.serving.answering.segments import (
    CLOSED,
    OPEN,
    LogFullError,
    SegmentLog,
    encoded,
)
from churn_assets_tests.support.disks import Disk, small_disk
from churn_assets_tests.support.serving.answering import answer, line, wait_until

WORKER = """
import os, sys
from churn_assets.serving.answering.segments import SegmentLog
from churn_assets_tests.support.serving.answering import line
log = SegmentLog(sys.argv[1])
for place in range(100):
    log.write(line(str(place)))
print("acknowledged", flush=True)
os.kill(os.getpid(), 9)
"""


def segments(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.glob(f"*{suffix}"))


def names(folder: Path) -> list[str]:
    """The names of all requests that are logged, in order."""
    files = [*segments(folder, OPEN), *segments(folder, CLOSED)]
    return sorted(json.loads(text)[0] for file in files for text in file.read_text().splitlines())


def is_locked(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder) as disk:
        yield disk


def test_an_entry_is_on_disk_when_write_returns(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path / "log")

    log.write(encoded([answer("a"), answer("b")]))

    assert names(tmp_path / "log") == ["a", "b"]
    assert is_locked(segments(tmp_path / "log", OPEN)[0])
    log.close()


def test_what_is_logged_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)

    log.write(line("a", refusal="two\nlines \u2028 and 'more'", inputs={"é": float("nan")}))
    log.close()

    (segment,) = segments(tmp_path, CLOSED)
    assert segment.read_bytes().count(b"\n") == 1
    values = json.loads(segment.read_text())
    assert (values[-1], values[6]) == ("two\nlines \u2028 and 'more'", {"é": None})


def test_a_closed_log_takes_nothing_more(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)
    log.close()

    with pytest.raises(ValueError, match="closed"):
        log.write(line("a"))

    log.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_acknowledged_is_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "acknowledged\n"
    assert len(names(tmp_path)) == 100
    assert not is_locked(segments(tmp_path, OPEN)[0])


def test_a_segment_is_closed_by_its_age_and_by_its_size(tmp_path: Path) -> None:
    by_age = SegmentLog(tmp_path / "age", age_seconds=0.2, sync_milliseconds=10)
    by_size = SegmentLog(tmp_path / "size", size_bytes=100, sync_milliseconds=10)

    by_age.write(line("a"))
    by_size.write(line("b"))

    assert segments(tmp_path / "age", CLOSED) == []
    wait_until(lambda: segments(tmp_path / "age", CLOSED))
    wait_until(lambda: segments(tmp_path / "size", CLOSED))
    by_age.write(line("c"))
    by_age.close()
    by_size.close()
    assert len(segments(tmp_path / "age", CLOSED)) == 2


def test_a_clock_that_jumps_closes_no_segment_and_keeps_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SegmentLog(tmp_path, age_seconds=0.5, sync_milliseconds=10)
    real = time.time
    log.write(line("a"))

    monkeypatch.setattr(time, "time", lambda: real() + 1e6)
    time.sleep(0.1)
    ahead = segments(tmp_path, CLOSED)
    monkeypatch.setattr(time, "time", lambda: real() - 1e6)
    wait_until(lambda: segments(tmp_path, CLOSED), 5)

    assert ahead == []
    log.close()


def test_what_is_written_is_synced_within_the_time_that_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, synced = os.fdatasync, []
    monkeypatch.setattr(
        os, "fdatasync", lambda file: (real(file), synced.append(os.fstat(file).st_size))
    )
    log = SegmentLog(tmp_path, sync_milliseconds=20)

    for place in range(50):
        log.write(line(str(place)))
    size = segments(tmp_path, OPEN)[0].stat().st_size
    wait_until(lambda: size in synced, 5)

    # Many entries share a sync, and where nothing was written there is none.
    count = len(synced)
    time.sleep(0.2)
    assert count <= 10
    assert len(synced) == count
    log.close()


def test_threads_may_write_at_the_same_time(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, age_seconds=0.01, size_bytes=5000, sync_milliseconds=1)

    def write(thread: int) -> None:
        for place in range(500):
            log.write(line(f"{thread}-{place}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()

    assert len(set(names(tmp_path))) == len(names(tmp_path)) == 2000
    assert segments(tmp_path, OPEN) == []


def test_a_forked_process_goes_on_in_a_segment_of_its_own(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path)
    log.write(line("before"))
    (first,) = segments(tmp_path, OPEN)

    child = os.fork()
    if child == 0:
        try:
            log.write(line("child"))
            log.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    log.write(line("after"))

    assert [json.loads(text)[0] for text in first.read_text().splitlines()] == ["before", "after"]
    assert is_locked(first)
    assert names(tmp_path) == ["after", "before", "child"]
    log.close()


def test_on_a_full_disk_answers_go_on_and_what_is_lost_is_counted_and_told(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    log = SegmentLog(disk.folder / "log")
    log.write(line("before"))

    with disk.full(left=8192):
        for place in range(40):
            log.write(line(f"full-{place}", refusal="x" * 3000))
        lost, fault = log.lost, log.fault
    log.write(line("after"))
    log.close()

    found = names(disk.folder / "log")
    assert fault == "No space left on device"
    assert lost > 30
    assert len(found) == 42 - lost
    assert {"before", "after"} <= set(found)
    assert (log.lost, log.fault) == (lost, "")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "are lost and counted: No space left on device" in told[0]
    assert f"can be written again; {lost} are lost" in told[1]


def test_on_a_full_disk_nothing_is_answered_where_the_setting_says_so(disk: Disk) -> None:
    log = SegmentLog(disk.folder / "log", when_full="refuse")

    with disk.full(left=0), pytest.raises(LogFullError, match="No space left on device"):
        log.write(line("full"))
    log.write(line("after"))
    log.close()

    assert log.lost == 0
    assert "after" in names(disk.folder / "log")


def test_a_write_that_the_disk_cuts_short_leaves_no_half_of_it(disk: Disk) -> None:
    log = SegmentLog(disk.folder / "log", when_full="refuse")
    log.write(line("whole"))

    with disk.full(left=8192), pytest.raises(LogFullError):
        log.write(line("long", refusal="x" * 100_000))
    log.write(line("after"))
    log.close()

    assert names(disk.folder / "log") == ["after", "whole"]


def test_a_worker_that_logs_imports_nothing_that_costs_memory() -> None:
    script = (
        "import sys, churn_assets.serving.answering.segments\n"
        "print(*sorted(m for m in sys.modules if m.startswith('churn_assets.')))\n"
        "print(*{'numpy', 'pyarrow', 'polars', 'deltalake'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    own, heavy = done.stdout.splitlines()
    assert own.split() == [
        "churn_assets.serving",
        "churn_assets.serving.answering",
        "churn_assets.serving.answering.segments",
    ]
    assert heavy == ""

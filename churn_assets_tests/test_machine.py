"""What others on the machine see of our files, and which processes are at work."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churn_assets.machine import is_running, keep_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def others_may_read() -> Iterator[None]:
    """As a user's shell has it, and as it was afterwards."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_what_is_made_is_its_owner_s_alone(tmp_path: Path) -> None:
    keep_private(tmp_path / "a" / "root")
    assert not (tmp_path / "a").exists()
    (tmp_path / "a" / "root").mkdir(parents=True)
    (tmp_path / "a" / "root" / "file").write_text("")
    (tmp_path / "a" / "root" / "folder").mkdir()

    modes = {path.name: mode(path) for path in sorted(tmp_path.rglob("*"))}

    assert modes == {"a": 0o700, "root": 0o700, "file": 0o600, "folder": 0o700}


def test_a_root_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir(mode=0o755)

    keep_private(tmp_path / "root")

    assert mode(tmp_path / "root") == 0o700


def test_a_folder_that_everybody_writes_to_is_not_closed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)

    keep_private(tmp_path / "shared")

    assert mode(tmp_path / "shared") == 0o1777


def test_a_process_runs_until_it_is_killed_and_is_no_earlier_one_of_its_id() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    now = time.time()

    running = is_running(process.pid, now)
    earlier = is_running(process.pid, now - 3600)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    killed = is_running(process.pid, now)
    process.wait()

    assert (running, earlier, killed) == (True, False, False)
    assert not is_running(process.pid, now)

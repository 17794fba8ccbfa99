"""Programs that run beside a test, and are gone after it."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import reduction
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
HOST = "127.0.0.1"
GRACE_SECONDS = 30.0
WORK_SECONDS = 280.0
"""Less than a test may take, so that its message says what it waited for."""

FORKS = multiprocessing.get_context("forkserver")
"""Processes of their own that import nothing again: a server does, and forks for each.

It has no threads that a fork would break.
"""
# What `churn` imports sooner or later, but for what heeds its environment at import.
FORKS.set_forkserver_preload(
    [
        "churn_assets.assets.automation",
        "churn_assets.assets.tables",
        "churn_assets.cli.liveness",
        "churn_assets.cli.show",
        "churn_assets_tests.support.programs.killing",
        "dagster_pyspark",
        "lightgbm",
        "mlflow.store.model_registry.sqlalchemy_store",
        "mlflow.store.tracking.sqlalchemy_store",
        "optuna",
        "sklearn.calibration",
        "sklearn.ensemble",
        "sklearn.linear_model",
        "skops.io",
        "xgboost",
    ]
)


class Background:
    """A program with all that it starts.

    Parameters
    ----------
    command : sequence of str
        A program of the environment that runs the tests, or its full path, and its arguments.
    environ : mapping of str to str
        Beside what the tests have.
    log : Path
        Takes what it prints.
    folder : Path
        Where it runs.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        log: Path,
        folder: Path = CHECKOUT,
    ) -> None:
        self.log = log
        program = Path(sys.executable).parent / command[0]
        with log.open("w") as output:
            self._process = subprocess.Popen(
                [str(program), *command[1:]],
                cwd=folder,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that none of it stays.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something, while the program runs."""
        deadline = time.monotonic() + seconds
        while not ready():
            status = self._process.poll()
            assert status is None, f"ended with {status} before {what}:\n{self.tail()}"
            assert time.monotonic() < deadline, f"not {what} in {seconds:.0f} s:\n{self.tail()}"
            time.sleep(0.5)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended; its exit status."""
        return self._process.wait(seconds)

    def tail(self) -> str:
        """The end of what was printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def kill(self) -> None:
        """Kill it and all that it started, as kill -9 does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> bool:
        """Stop it as Ctrl-C does; whether it and all that it started ended by themselves."""
        deadline = time.monotonic() + GRACE_SECONDS
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        by_itself = not self._alive()
        if not by_itself:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return by_itself

    def _alive(self) -> bool:
        self._process.poll()
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def forked(
    module: str,
    *arguments: str,
    environ: Mapping[str, str],
    folder: Path = CHECKOUT,
    seconds: float = WORK_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """What `python -m` prints in a process of its own, whose imports are those of `FORKS`.

    Parameters
    ----------
    module : str
        What is run.
    *arguments : str
        Its arguments.
    environ : mapping of str to str
        Beside what the tests have.
    folder : Path
        Where it runs.
    seconds : float
        How long it may take.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        streams = [reduction.DupFd(stream.fileno()) for stream in (stdout, stderr)]
        process = FORKS.Process(
            target=_run_module,
            args=([module, *arguments], {**os.environ, **environ}, folder, streams),
        )
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
        for stream in (stdout, stderr):
            stream.seek(0)
        status = process.exitcode
        assert status is not None
        return subprocess.CompletedProcess(arguments, status, stdout.read(), stderr.read())


def churn(
    *arguments: str, environ: Mapping[str, str], folder: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """What `churn` answers, without waiting for all that it imports.

    Its environment is at work, as after `source .venv/bin/activate`, so that it names itself so.
    """
    at_work = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environ = {"PATH": at_work, **environ}
    return forked("churn_assets.cli", *arguments, environ=environ, folder=folder)


def _run_module(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, streams: Sequence[Any]
) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream.detach(), number)
    enter(environ, folder)
    run_module(command)


def enter(environ: Mapping[str, str], folder: Path = CHECKOUT) -> None:
    """Let a forked process have an environment, which is all that it has, and a folder."""
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)


def run_module(command: Sequence[str]) -> None:
    """Run a module with its arguments in this process, as `python -m` does."""
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__")


@contextmanager
def background(
    command: Sequence[str], environ: Mapping[str, str], log: Path, folder: Path = CHECKOUT
) -> Iterator[Background]:
    """Run a program in the block; none of its processes outlives it."""
    program = Background(command, environ, log, folder)
    try:
        yield program
    finally:
        by_itself = program.stop()
    assert by_itself, f"had to be killed:\n{program.tail()}"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind((HOST, 0))
        return [free.getsockname()[1] for free in sockets]


def answers(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0

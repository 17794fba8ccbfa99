"""Spark outside the tests' process: a standalone cluster, a Connect server, and runs on them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
    suppress,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark

from churn_assets.tables.engines.spark_setup import delta_jars
from churn_assets_tests.support.processes import (
    FORKS,
    HOST,
    WORK_SECONDS,
    Background,
    answers,
    background,
    enter,
    forked,
    free_ports,
    run_module,
)
from churn_assets_tests.support.project import QUICK

SPARK = Path(pyspark.__file__).parent
START_SECONDS = 120
ON_SPARK = "churn_assets_tests.support.programs.on_spark"
SMALL_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-DontCompileHugeMethods"
_ENVIRON = {
    "SPARK_HOME": str(SPARK),
    "SPARK_LOCAL_IP": HOST,
    "PYSPARK_PYTHON": sys.executable,
}
# Of master and workers; executors have theirs from the session.
_SMALL_DAEMON = {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": SMALL_JVM}
_DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
_SMALL = {
    "spark.driver.host": HOST,
    "spark.driver.bindAddress": HOST,
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": SMALL_JVM,
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}


@dataclass(frozen=True)
class Cluster:
    """A standalone cluster: one master, and workers of one core each.

    Parameters
    ----------
    folder : Path
        Holds logs and the workers' folders.
    spark : mapping of str to str
        Configuration of a session on it, by Spark's own keys.
    page : str
        Where its master tells its state.
    workers : dict of str to Background
        Those that run, by name.
    """

    folder: Path
    spark: Mapping[str, str]
    page: str
    workers: dict[str, Background]
    _stack: ExitStack

    def start_worker(self, name: str) -> None:
        """Start a worker; its executors run in a folder of its name."""
        log = self.folder / f"{name}.log"
        arguments = [
            *(self.spark["spark.master"], "--host", HOST, "--webui-port", "0"),
            *("--cores", "1", "--memory", "1g", "--work-dir", str(self.folder / name)),
        ]
        self.workers[name] = self._stack.enter_context(
            _daemon("org.apache.spark.deploy.worker.Worker", arguments, log, self.folder)
        )

    def wait_for(self, workers: int) -> None:
        """Wait until so many workers are alive."""
        some = next(iter(self.workers.values()))
        some.wait_until(lambda: self._alive() == workers, START_SECONDS, f"{workers} workers")

    def _alive(self) -> int:
        with urllib.request.urlopen(self.page, timeout=10) as answer:
            return int(json.load(answer)["aliveworkers"])


@contextmanager
def standalone(folder: Path) -> Iterator[Cluster]:
    """A master and two workers, whose executors cannot import this project's package."""
    port, page = free_ports(2)
    arguments = ["--host", HOST, "--port", str(port), "--webui-port", str(page)]
    log = folder / "master.log"
    with (
        _daemon("org.apache.spark.deploy.master.Master", arguments, log, folder) as master,
        ExitStack() as stack,
    ):
        master.wait_until(lambda: answers(port) and answers(page), START_SECONDS, "listening")
        session = {
            **_SMALL,
            "spark.master": f"spark://{HOST}:{port}",
            "spark.executor.memory": "1g",
            "spark.executor.extraJavaOptions": SMALL_JVM,
            "spark.executorEnv.PYTHONPATH": str(without_this_package(folder)),
        }
        cluster = Cluster(folder, session, f"http://{HOST}:{page}/json/", {}, stack)
        for name in ("one", "two"):
            cluster.start_worker(name)
        cluster.wait_for(2)
        yield cluster


@contextmanager
def connect_server(folder: Path, jars: Path) -> Iterator[Mapping[str, str]]:
    """A Spark Connect server with Delta; gives the configuration of a session on it.

    Its Python cannot import this project's package.
    """
    (port,) = free_ports(1)
    configured = {
        **_SMALL,
        **_DELTA,
        "spark.connect.grpc.binding.address": HOST,
        "spark.connect.grpc.binding.port": str(port),
        "spark.jars": ",".join(map(str, delta_jars(jars))),
    }
    command = [str(SPARK / "bin" / "spark-submit"), "--master", "local[2]"]
    for key, value in configured.items():
        command += ["--conf", f"{key}={value}"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    environ = {**_ENVIRON, "PYTHONPATH": str(without_this_package(folder))}
    log = folder / "connect.log"
    with background([*command, "spark-internal"], environ, log, folder) as server:
        server.wait_until(lambda: answers(port), START_SECONDS, "listening")
        yield {"spark.remote": f"sc://{HOST}:{port}"}


def without_this_package(folder: Path) -> Path:
    """A folder for PYTHONPATH with which nobody can import this project's package."""
    package = folder / "blocked" / "churn_assets"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text('raise ImportError("it is not installed here")\n')
    return package.parent


def environ_of(root: Path, spark: Mapping[str, str], **settings: str) -> dict[str, str]:
    """Environment of a project on Spark: its root, Spark's configuration, and more settings."""
    return {
        **{f"CHURN_{name.upper()}": value for name, value in settings.items()},
        "CHURN_ROOT": str(root),
        "CHURN_ENGINE": "spark",
        "CHURN_SPARK": json.dumps(dict(spark)),
        "CHURN_TRAINING": json.dumps(QUICK),
    }


def on_spark(
    work: str, *arguments: str, environ: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Let one of the works of `on_spark` run to its end."""
    return forked(ON_SPARK, work, *arguments, environ=environ)


class Driver:
    """A process in whose Spark session one command runs after another.

    Parameters
    ----------
    environ : mapping of str to str
        Beside what the tests have.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._commands, theirs = FORKS.Pipe()
        self._process = FORKS.Process(target=_serve, args=(theirs, {**os.environ, **environ}))
        self._process.start()
        theirs.close()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a module with its arguments, to its end."""
        self.begin(*command)
        return self.end()

    def begin(self, *command: str) -> None:
        """Begin to run a module with its arguments."""
        self._commands.send(command)

    def end(self, seconds: float = WORK_SECONDS) -> subprocess.CompletedProcess[str]:
        """Wait for the end of what was begun."""
        assert self._commands.poll(seconds), f"not ended in {seconds:.0f} s"
        ended: subprocess.CompletedProcess[str] = self._commands.recv()
        return ended

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for something, while what was begun runs."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._commands.poll()
            assert not ended, f"ended before {what}:\n{self.end().stderr}"
            assert time.monotonic() < deadline, f"not {what} in {seconds:.0f} s"
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it and its JVM, as kill -9 does."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    @property
    def is_alive(self) -> bool:
        """Whether it can run more."""
        return self._process.is_alive()


def _serve(commands: Any, environ: Mapping[str, str]) -> None:
    os.setsid()
    enter(environ)
    with suppress(EOFError):
        while command := commands.recv():
            commands.send(_ended(command))


def _ended(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    status = 0
    with redirect_stdout(io.StringIO()) as stdout, redirect_stderr(io.StringIO()) as stderr:
        try:
            run_module(command)
        except SystemExit as ended:
            status = int(ended.code or 0)
        except Exception:
            traceback.print_exc()
            status = 1
    return subprocess.CompletedProcess(command, status, stdout.getvalue(), stderr.getvalue())


def _daemon(
    main: str, arguments: Sequence[str], log: Path, folder: Path
) -> AbstractContextManager[Background]:
    command = [str(SPARK / "bin" / "spark-class"), main, *arguments]
    return background(command, {**_ENVIRON, **_SMALL_DAEMON}, log, folder)

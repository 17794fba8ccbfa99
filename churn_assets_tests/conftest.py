"""What tests of several packages share."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from churn_assets.assets.resources import resources
from churn_assets.cli.app import GC_OBJECTS
from churn_assets.errors import EngineError
from churn_assets.settings import Settings
from churn_assets.tables.engines import spark_setup
from churn_assets.tables.engines.engine import Engine
from churn_assets_tests.support import processes
from churn_assets_tests.support.postgres import Postgres, postgres_server, programs
from churn_assets_tests.support.processes import CHECKOUT, HOST, answers, background, free_ports
from churn_assets_tests.support.project import Project, Run

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 << 30
"""What a whole run leaves there until it ends, twice."""
ON_SPARK = (
    "assets/test_spark.py",
    "integration/test_parity.py",
    "tables/engines/test_engine_parity.py",
    "tables/test_sampling.py",
    "tables/sources/test_sql.py",
    "tables/engines/test_spark_engine.py",
)
"""Files whose tests run on Spark in their own process."""
WHOLE_FOLDERS = {"browser", "integration"}
"""Whose tests run whole jobs, servers, or Spark beside this process."""
WHOLE_FIXTURES = {"booking", "browser", "daemon", "first_run", "postgres", "s3", "spark_settings"}
"""What runs a whole job, or starts something beside this process, before a test begins."""
PROGRAMS = (processes.background, processes.churn, processes.forked)
"""What a test's file imports that starts programs."""
SLOW_FIXTURES = {"few"}
"""What tests of a search are given, each of which fits many models."""


def pytest_configure() -> None:
    """Spare the tests what only a longer life needs."""
    # Imports make a million objects that stay: looking through them all the time costs seconds.
    gc.set_threshold(GC_OBJECTS)
    # Where there are more processes than cores, threads that wait by spinning hold up the others.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Databases wait until a disk has each commit, and at the end all of them are removed.
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
    """The same where there is no such memory, for databases of this process."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import for the sake of its examples only what has any."""
    if collection_path.suffix != ".py" or collection_path.name.startswith("test_"):
        return None
    return None if ">>> " in collection_path.read_text(encoding="utf-8") else True


# Before the selection by marks.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long or not alone in this process, and begin with the files that take long.

    So no worker is left alone with one of them at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        in_folder = item.path.parent.name in WHOLE_FOLDERS
        if in_folder or fixtures & WHOLE_FIXTURES or _starts_programs(item):
            item.add_marker(pytest.mark.external)
        if fixtures & SLOW_FIXTURES:
            item.add_marker(pytest.mark.slow)
    long = {item.path for item in items if {"slow", "external"} <= _marks(item)}
    items.sort(key=lambda item: (not _on_spark(item.nodeid), item.path not in long))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Let one worker alone start Spark, which takes longer than most tests on it."""
    return _ByFile(config, log) if config.getoption("dist") == "loadfile" else None


class _ByFile(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "on Spark" if _on_spark(nodeid) else super()._split_scope(nodeid)


def _marks(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()}


def _starts_programs(item: pytest.Item) -> bool:
    module = getattr(item, "module", None)
    return any(getattr(module, program.__name__, None) is program for program in PROGRAMS)


def _on_spark(nodeid: str) -> bool:
    return nodeid.partition("::")[0].endswith(ON_SPARK)


@dataclass(frozen=True)
class S3:
    """A running S3-compatible server."""

    storage_options: Mapping[str, str]
    client: Any

    def bucket(self, name: str) -> str:
        """Create a bucket and give its address."""
        self.client.create_bucket(Bucket=name)
        return f"s3://{name}"


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    import boto3

    (port,) = free_ports(1)
    # In a process of its own: delta-rs keeps Python waiting while it waits for an answer.
    command = ["moto_server", "-H", HOST, "-p", str(port)]
    log = tmp_path_factory.mktemp("s3") / "log"
    options = {
        "aws_endpoint_url": f"http://{HOST}:{port}",
        "aws_access_key_id": "test-id",
        "aws_secret_access_key": "test-secret",
        "aws_region": "us-east-1",
        "aws_allow_http": "true",
    }
    client = boto3.client(
        "s3",
        endpoint_url=options["aws_endpoint_url"],
        aws_access_key_id=options["aws_access_key_id"],
        aws_secret_access_key=options["aws_secret_access_key"],
        region_name=options["aws_region"],
    )

    with background(command, {}, log) as server:
        server.wait_until(lambda: answers(port), 60, "listening")
        yield S3(options, client)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running PostgreSQL server.

    Where none is installed, CI fails; a user is told that these tests were not run.
    """
    installed = programs()
    if installed is None:
        reason = "needs PostgreSQL's server: apt-get install postgresql"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with postgres_server(installed, tmp_path_factory.mktemp("postgres") / "log") as server:
        yield server


@pytest.fixture(scope="session")
def spark_settings() -> Mapping[str, Any]:
    """Settings of a project on Spark in this process.

    Where Spark cannot run, CI fails; a user is told that these tests were not run.
    """
    jars = CHECKOUT / ".churn" / "jars"
    try:
        spark_setup.require_java()
        spark_setup.require_jars(jars, {}, resolve=True)
    except EngineError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    return {
        "engine": "spark",
        "spark": {
            "spark.master": "local[2]",
            "spark.driver.memory": "2g",
            # A session that many tests share gains from code that is compiled well.
            "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:-DontCompileHugeMethods",
            "spark.sql.shuffle.partitions": "2",
        },
        "spark_jars": str(jars),
    }


@pytest.fixture(scope="session")
def spark_engine(spark_settings: Mapping[str, Any]) -> Engine:
    """The Spark engine on this process's session."""
    return resources(Settings(**spark_settings)).lake.engine


@pytest.fixture(scope="session")
def spark_configured(
    spark_engine: Engine,
) -> Callable[[Mapping[str, str]], AbstractContextManager[None]]:
    """Changes the configuration of this process's session in a block."""
    from pyspark.sql import SparkSession

    spark_engine.collect(spark_engine.from_arrow(pa.table({"a": [1]})))
    conf = SparkSession.active().conf

    @contextmanager
    def configured(changes: Mapping[str, str]) -> Iterator[None]:
        before = {key: conf.get(key, None) for key in changes}
        for key, value in changes.items():
            conf.set(key, value)
        yield
        for key, old in before.items():
            if old is None:
                conf.unset(key)
            else:
                conf.set(key, old)

    return configured


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """The settings of whoever runs the tests must not change what they test."""
    for name in list(os.environ):
        if name.startswith("CHURN_") and name != "CHURN_TEST_DATA":
            del os.environ[name]
    os.environ.pop("DAGSTER_HOME", None)


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Start a project in a folder of its own; MLflow's empty database is made only once."""
    import mlflow

    template = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{template}").search_experiments()

    def start(**settings: Any) -> Project:
        folder = tmp_path_factory.mktemp("project")
        (folder / ".churn").mkdir()
        shutil.copyfile(template, folder / ".churn" / "mlflow.db")
        return Project(folder, **settings)

    return start


@dataclass(frozen=True)
class Finished:
    """A project whose job ran once, and that run; not to be changed."""

    project: Project
    run: Run


@pytest.fixture(scope="session")
def first_run(new_project: Callable[..., Project]) -> Finished:
    """A project after its first whole run."""
    project = new_project(keeps_history=True)
    run = project.run(project.write())
    assert run.success, run.error
    return Finished(project, run)


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    """The Telco use case in a folder of its own."""
    return new_project()

"""What a Spark session starts with: its configuration, a JDK, and Delta's jars."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from churn_assets.errors import EngineError, first_line

LEAST_JAVA = 17
DELTA_VERSION = "4.4.0"
"""Of `delta-spark`, which PySpark 4.2 goes with; the newest whose jars are all in Maven."""
DELTA_ARTIFACTS = (
    "delta-spark_4.2_2.13",
    "delta-storage",
    "delta-kernel-api",
    "delta-kernel-defaults",
)
_GROUP = "io.delta"
# What else Delta names as its dependencies, Spark has already.
_EXCLUDED = (
    "com.*:*,commons-*:*,io.unitycatalog:*,jakarta.*:*,javax.*:*,net.*:*,org.*:*,"
    f"{_GROUP}:delta-kernel-unitycatalog"
)
_RESOLVE_SECONDS = 300
_ANSWER_SECONDS = 10
_PORTS = {"spark": "7077", "sc": "15002"}
_MOST_CHARACTERS = 300

# What Spark generates for a wide table is so long that Java would only interpret it.
_WIDE_TABLES = "-XX:-DontCompileHugeMethods"
_SESSION = {
    "spark.sql.session.timeZone": "UTC",
    # A rule of all columns at once has a constraint for each choice of its columns' aliases.
    "spark.sql.constraintPropagation.enabled": "false",
    # Arrow batches of this size keep a model's overhead for each call small.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # What pandas writes by default, Spark refuses otherwise.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Reading ten rows would otherwise take fifty tasks.
    "spark.databricks.delta.snapshotPartitions": "2",
    # A table without rows has a data version too, which its commit carries.
    "spark.databricks.delta.skipRecordingEmptyCommits": "false",
    # delta-rs and Polars read neither of these in every table.
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    "spark.databricks.delta.properties.defaults.columnMapping.mode": "none",
}
_APPLICATION = {
    "spark.app.name": "churn_assets",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.executor.extraJavaOptions": _WIDE_TABLES,
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "4g",
    # A JVM that lives for one run gains more from starting fast than from compiling well.
    "spark.driver.extraJavaOptions": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {_WIDE_TABLES}",
    "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
    "spark.ui.enabled": "false",
    # What went wrong comes as one line; the workers' pages of it are of use on a cluster.
    "spark.log.level": "OFF",
}


def configuration(given: Mapping[str, str], jars: Path) -> dict[str, str]:
    """The whole configuration of a session: what was given, and defaults for the rest.

    Parameters
    ----------
    given : mapping of str to str
        Spark's own keys; `spark.remote` names a Spark Connect server, to which only what a
        session may set is sent.
    jars : Path
        Folder of Delta's jars.
    """
    if is_remote(given):
        return {**_SESSION, **given}
    master = given.get("spark.master", "local[*]")
    return {
        **_SESSION,
        **_APPLICATION,
        **(_LOCAL if master.startswith("local") else {}),
        **given,
        "spark.master": master,
        "spark.jars": ",".join(
            filter(None, [given.get("spark.jars"), *map(str, delta_jars(jars))])
        ),
    }


@contextmanager
def starting(given: Mapping[str, str], jars: Path, *, resolve: bool) -> Iterator[None]:
    """See to it that a session can start in the block, and say in one line why it did not.

    Parameters
    ----------
    given : mapping of str to str
        Spark's own keys.
    jars : Path
        Folder of Delta's jars.
    resolve : bool
        Whether jars that are missing are resolved from their Maven coordinates.

    Raises
    ------
    EngineError
        Saying what to install or to set.
    """
    from py4j.protocol import Py4JError
    from pyspark import cloudpickle
    from pyspark.errors import PySparkException
    from pyspark.logger import PySparkLogger
    from pyspark.sql import SparkSession

    if SparkSession.getActiveSession() is None:
        _require_answer(given)
        if not is_remote(given):
            require_java()
            require_jars(jars, given, resolve=resolve)
            # A session that Python starts heeds this variable only.
            python = given.get("spark.pyspark.python", sys.executable)
            os.environ.setdefault("PYSPARK_PYTHON", python)
    try:
        yield
    except (PySparkException, Py4JError, RuntimeError, OSError, ValueError) as error:
        reason = first_line(error, _MOST_CHARACTERS)
        raise EngineError(
            f"Spark did not start: {reason}. Check `spark` in the settings."
        ) from error
    # What Spark refuses comes as one line; its logger would print it as pages of JSON before.
    for context in ("DataFrame", "SQL"):
        PySparkLogger.getLogger(f"{context}QueryContextLogger").setLevel(logging.CRITICAL)
    # Functions of this package travel to the workers with their code: it is not installed there.
    cloudpickle.register_pickle_by_value(sys.modules[__name__.partition(".")[0]])  # type: ignore[no-untyped-call]


def _require_answer(given: Mapping[str, str]) -> None:
    """Refuse a master or server that nobody answers at: Spark tries for minutes."""
    key = "spark.remote" if is_remote(given) else "spark.master"
    address = given.get(key) or os.environ.get("SPARK_REMOTE", "")
    named = re.match(r"(spark|sc)://([^/;]+)", address)
    if named is None:
        return
    scheme, places = named.groups()
    for place in places.split(","):
        host, _, port = place.rpartition(":") if ":" in place else (place, "", "")
        with suppress(OSError):
            socket.create_connection((host, int(port or _PORTS[scheme])), _ANSWER_SECONDS).close()
            return
    raise EngineError(
        f"{scheme}://{places}: no Spark answers there. Start it, or correct {key} under `spark` in "
        "the settings."
    )


def is_remote(given: Mapping[str, str]) -> bool:
    """Whether a Spark Connect server runs the session, with Java and jars of its own."""
    return "spark.remote" in given or "SPARK_REMOTE" in os.environ


def delta_jars(folder: Path) -> list[Path]:
    """Where Delta's jars lie in a folder: as Maven names them, or as Ivy does."""
    return [_jar(folder, artifact) for artifact in DELTA_ARTIFACTS]


def _jar(folder: Path, artifact: str) -> Path:
    plain = folder / f"{artifact}-{DELTA_VERSION}.jar"
    by_ivy = folder / f"{_GROUP}_{plain.name}"
    # Where neither lies there yet, it is the plain one that resolving puts there.
    return by_ivy if by_ivy.exists() and not plain.exists() else plain


def require_java() -> None:
    """Refuse to start without a Java that Spark runs on.

    Raises
    ------
    EngineError
        Saying which one is there, and what to install.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    todo = (
        f"Install a JDK of version {LEAST_JAVA} or newer (openjdk-{LEAST_JAVA}-jre-headless, say) "
        "and set JAVA_HOME to it, or set CHURN_ENGINE to polars."
    )
    if java is None:
        raise EngineError(f"Spark needs Java, and there is none on the PATH. {todo}")
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise EngineError(f"Spark needs Java, and {java} cannot be run. {todo}") from None
    version = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    if version is None:
        raise EngineError(f"Spark needs Java, and {java} does not say which version it is. {todo}")
    if int(version[1]) < LEAST_JAVA:
        raise EngineError(f"Spark needs Java {LEAST_JAVA}, and {java} is Java {version[1]}. {todo}")


def require_jars(folder: Path, given: Mapping[str, str], *, resolve: bool) -> None:
    """See to it that Delta's jars lie in a folder.

    Parameters
    ----------
    folder : Path
        Where they lie, or are put.
    given : mapping of str to str
        Spark's own keys: repositories, Ivy settings and proxies that resolving them heeds.
    resolve : bool
        Whether what is missing is resolved from its Maven coordinates.

    Raises
    ------
    EngineError
        Saying which jars are missing, and where to put them.
    """
    missing = [jar.name for jar in delta_jars(folder) if not jar.exists()]
    if not missing:
        return
    by_hand = (
        f"put {', '.join(f'{artifact}-{DELTA_VERSION}.jar' for artifact in DELTA_ARTIFACTS)} "
        "into a folder and set CHURN_SPARK_JARS to it."
    )
    if not resolve:
        raise EngineError(f"{folder}: Delta's jars are not all there. Download them: {by_hand}")
    reason = _resolve(folder, given)
    if reason is not None:
        coordinates = f"{_GROUP}:{DELTA_ARTIFACTS[0]}:{DELTA_VERSION}"
        raise EngineError(
            f"{coordinates} could not be resolved from Maven ({reason}). Check the network, name a "
            f"mirror in spark: {{spark.jars.repositories: ...}}, or {by_hand}"
        )


def _resolve(folder: Path, given: Mapping[str, str]) -> str | None:
    """Let Spark's own resolver fetch the jars; why it could not, or None."""
    import pyspark

    home = Path(pyspark.__file__).parent
    configured = {
        key: value
        for key, value in given.items()
        # Proxies are set by Java's options.
        if key.startswith("spark.jars.") or key == "spark.driver.extraJavaOptions"
    }
    with tempfile.TemporaryDirectory() as workspace:
        script = Path(workspace, "nothing.py")
        script.touch()
        options = {
            **configured,
            "spark.jars.ivy": workspace,
            "spark.jars.packages": f"{_GROUP}:{DELTA_ARTIFACTS[0]}:{DELTA_VERSION}",
            "spark.jars.excludes": _EXCLUDED,
        }
        command = [str(home / "bin" / "spark-submit"), "--master", "local[1]"]
        for key, value in options.items():
            command += ["--conf", f"{key}={value}"]
        environ = {**os.environ, "SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
        try:
            done = subprocess.run(
                [*command, str(script)],
                capture_output=True,
                text=True,
                timeout=_RESOLVE_SECONDS,
                check=False,
                env=environ,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {_RESOLVE_SECONDS} s"
        jars = list(Path(workspace, "jars").glob("*.jar"))
        if done.returncode or len(jars) < len(DELTA_ARTIFACTS):
            return _reason(f"{done.stdout}\n{done.stderr}".splitlines())
        folder.mkdir(parents=True, exist_ok=True)
        for jar in jars:
            # Into place in one step, so that a run at the same time never sees half a jar.
            part = folder / f".{jar.name}.{os.getpid()}"
            shutil.copyfile(jar, part)
            part.replace(folder / jar.name.removeprefix(f"{_GROUP}_"))
    return None


def _reason(lines: Sequence[str]) -> str:
    faults = (
        line.strip()
        for line in lines
        if re.search(r"Server access error|not found|unresolved dependency|rror:", line)
    )
    return next(faults, "no reason given")[:200].strip(": ")

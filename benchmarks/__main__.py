"""Print the figures.

`python -m benchmarks [load run ratios quality tables engines fresh] [--rows N ...]`.

Each case runs in processes of its own; seconds depend on the machine, ratios hardly do.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from churn_assets.tables.engines.spark_setup import require_jars

PROJECT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CHURN_TEST_DATA", PROJECT.parent / "shared" / "data"))
TELCO = DATA / "telco_customer_churn.csv"
CASES = ("load", "run", "quality", "tables")
RUNS = 5
LOOK_SECONDS = 0.2
EXPLAINED_ROWS = 100_000
MOST_UDF_ROWS = 1_000_000
SPARK_AS_IT_COMES = {
    "spark.driver.extraJavaOptions": "-XX:+UseG1GC",
    "spark.databricks.delta.snapshotPartitions": "50",
    "spark.sql.shuffle.partitions": "200",
    "spark.ui.enabled": "true",
}


@dataclass(frozen=True)
class Measured:
    """Seconds and peak memory of one process."""

    wall: float
    cpu: float
    peak_mb: float
    output: str

    def __str__(self) -> str:
        return f"{self.wall:6.1f} s wall  {self.cpu:6.1f} s CPU  {self.peak_mb:6.0f} MB peak"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument(
        "cases", nargs="*", default="all", choices=("all", *CASES, "ratios", "engines", "fresh")
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--spark", default="{}", help="Spark's configuration, as JSON.")
    arguments = parser.parse_args()
    for case in CASES if "all" in arguments.cases else arguments.cases:
        print(f"\n{case}", flush=True)
        if case == "tables":
            tables(arguments.rows)
        elif case == "engines":
            engines(arguments.rows, json.loads(arguments.spark))
        else:
            {"load": load, "run": run, "quality": quality, "fresh": fresh, "ratios": ratios}[case]()


def load() -> None:
    """CPU of loading the code location, beside that of Dagster alone."""
    load = "from churn_assets.definitions import defs; defs()"
    ours = median(_python("-c", load).cpu for _ in range(RUNS))
    bare = median(_python("-c", "import dagster").cpu for _ in range(RUNS))
    print(f"code location    {ours:.2f} s CPU")
    print(f"dagster alone    {bare:.2f} s CPU, ratio {ours / bare:.2f}")


def run() -> None:
    """The whole path on the real file, where it is: trained, and with nothing to do."""
    with tempfile.TemporaryDirectory() as root:
        environment = {"CHURN_ROOT": root}
        source = ["--source", str(TELCO)] if TELCO.exists() else []
        churn = ["-m", "churn_assets.cli", "run", *source]
        bare = median(_python("-c", BARE).cpu for _ in range(RUNS))
        print(f"first run        {_python(*churn, environment=environment)}")
        retrain = _middle(
            [_python(*churn, "--retrain", environment=environment) for _ in range(RUNS)]
        )
        print(f"retrain          {retrain}")
        tuned = _python(*churn, "--retrain", "--tune", "30", environment=environment)
        print(f"with 30 trials   {tuned}, ratio to retrain {tuned.wall / retrain.wall:.2f}")
        unchanged = _middle([_python(*churn, environment=environment) for _ in range(RUNS)])
        print(f"unchanged        {unchanged}, ratio to retrain {unchanged.cpu / retrain.cpu:.2f}")
        print(f"imports alone    {bare:6.1f} s CPU, {bare / retrain.cpu:.0%} of a retrain")
        shares = json.loads(
            _python("-m", "benchmarks.cases", "shares", *source, environment=environment).output
        )
        for name, seconds in shares.items():
            print(f"{name:<16} {seconds:6.1f} s CPU, {seconds / retrain.cpu:.0%} of a retrain")


def ratios() -> None:
    """CPU of what people wait for, beside that of importing the libraries, in turns."""
    with tempfile.TemporaryDirectory() as root:
        environment = {"CHURN_ROOT": root}
        source = ["--source", str(TELCO)] if TELCO.exists() else []
        churn = ["-m", "churn_assets.cli"]
        _python(*churn, "run", *source, environment=environment)
        commands = {
            "help": ["--help"],
            "unchanged run": ["run", *source],
            "retrain": ["run", "--retrain", *source],
            "status": ["status"],
        }
        bare: list[Measured] = []
        spent: dict[str, list[Measured]] = {name: [] for name in commands}
        # In turns, since a machine that others use is not as fast at all times.
        for _ in range(RUNS):
            bare.append(_python("-c", LIBRARIES))
            for name, typed in commands.items():
                spent[name].append(_python(*churn, *typed, environment=environment))
    alone = _middle(bare)
    print(f"imports          {alone}")
    for name, runs in spent.items():
        typical = _middle(runs)
        print(f"{name:<16} {typical}, ratio to imports {typical.cpu / alone.cpu:.2f}")


def quality() -> None:
    """How good the model is on the test rows, with bootstrap intervals."""
    source = [str(TELCO)] if TELCO.exists() else []
    print("real file" if source else "generated customers")
    for name, (value, low, high) in json.loads(
        _python("-m", "benchmarks.cases", "quality", *source).output
    ).items():
        print(f"{name:<16} {value:.4f}  95 % interval {low:.4f} to {high:.4f}")
    gains = json.loads(_python("-m", "benchmarks.cases", "inputs", *source).output)
    for recipe, losses in gains.items():
        told = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
        print(f"log loss of {recipe} by its inputs: {told}")


def tables(sizes: Sequence[int]) -> None:
    """Generated customers from the source to features, and scored."""
    before: Measured | None = None
    for rows in sizes:
        with tempfile.TemporaryDirectory() as root:
            environment = {
                "CHURN_ROOT": root,
                "CHURN_SOURCES__TELCO_CHURN__ROWS": str(rows),
            }
            built = _case("features", environment)
            print(f"{rows:>12,} rows raw to features  {built}", end="")
            print("" if before is None else f", {built.cpu / before.cpu:.1f} times the CPU")
            before = built
            print(built.output.rstrip())
            _case("fit", environment)
            scored = _case("score", environment)
            print(f"{'':>12}      scoring, process    {scored}")
            print(scored.output.rstrip(), flush=True)
            explained = _case("explained", environment, str(EXPLAINED_ROWS))
            print(f"{'':>12}      {EXPLAINED_ROWS:,} rows explained")
            print(explained.output.rstrip(), flush=True)


def engines(sizes: Sequence[int], spark: Mapping[str, str]) -> None:
    """Both engines on the same Parquet files: raw to features, scoring, and what a start costs."""
    with tempfile.TemporaryDirectory() as jars:
        require_jars(Path(jars), {}, resolve=True)
        options = {"spark.master": f"local[{os.cpu_count()}]", **spark}
        on_spark = {
            "CHURN_ENGINE": "spark",
            "CHURN_SPARK": json.dumps(options),
            "CHURN_SPARK_JARS": jars,
        }
        _starts(on_spark, ",".join(map(str, Path(jars).glob("*.jar"))))
        # From a million rows on, code that is compiled well pays.
        compiled = {
            "spark.driver.extraJavaOptions": "-XX:+UseParallelGC -XX:-DontCompileHugeMethods"
        }
        on_spark["CHURN_SPARK"] = json.dumps({**compiled, **options})
        before: dict[tuple[str, str], Measured] = {}
        for rows in sizes:
            with tempfile.TemporaryDirectory() as root:
                files = Path(root, "source")
                files.mkdir()
                _python("-m", "benchmarks.cases", "source", str(files), str(rows))
                source = {"CHURN_SOURCES__TELCO_CHURN__URI": str(files)}
                for engine, chosen in {"polars": {}, "spark": on_spark}.items():
                    environment = {**source, **chosen, "CHURN_ROOT": str(Path(root, engine))}
                    for step in ("features", "fit", "predictions", "udf", "training"):
                        if step == "udf" and (engine != "spark" or rows > MOST_UDF_ROWS):
                            continue
                        spent = _case(step, environment)
                        if step == "fit":
                            continue
                        _show(step, rows, engine, spent, before)


def _show(
    step: str, rows: int, engine: str, spent: Measured, before: dict[tuple[str, str], Measured]
) -> None:
    ratio = ""
    if engine == "spark":
        beside = before["predictions" if step == "udf" else step, "polars"]
        ratio = f", {spent.wall / beside.wall:.2f} times the wall and {spent.cpu / beside.cpu:.2f}"
        ratio += " times the CPU of polars"
    growth = before.get((step, engine))
    grown = f", {spent.cpu / growth.cpu:.1f} times the CPU of the size before" if growth else ""
    before[step, engine] = spent
    name = {
        "features": "raw to features",
        "predictions": "scoring",
        "udf": "spark_udf",
        "training": "training",
    }[step]
    print(f"{rows:>12,} rows {engine:<6} {name:<15} {spent}, ", end="")
    print(f"{rows / spent.wall:,.0f} rows/s{ratio}{grown}")
    print(spent.output.rstrip(), flush=True)


def _starts(on_spark: Mapping[str, str], jars: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        environment = {**on_spark, "CHURN_ROOT": root}
        ours = _middle([_case("start", environment) for _ in range(RUNS)])
        bare = _middle([_case("start_as_spark_comes", {}, jars) for _ in range(RUNS)])
    print(f"start, our settings     {ours}")
    print(f"start, Spark's own      {bare}, ratio {ours.cpu / bare.cpu:.2f}")
    runs = []
    for options in ({}, SPARK_AS_IT_COMES):
        with tempfile.TemporaryDirectory() as root:
            spark = {**json.loads(on_spark["CHURN_SPARK"]), **options}
            environment = {**on_spark, "CHURN_SPARK": json.dumps(spark), "CHURN_ROOT": root}
            runs.append(_python("-m", "churn_assets.cli", "run", environment=environment))
    print(f"7,043 rows, ours        {runs[0]}")
    print(f"7,043 rows, Spark's own {runs[1]}, ratio {runs[0].cpu / runs[1].cpu:.2f}")


def fresh() -> None:
    """From a fresh clone to the first predictions, downloads included."""
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place, "project")
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], check=True)
        measured = _measure(["make", "run"], {"HOME": place}, clone)
        print(f"clone to scores  {measured}")
        again = _measure(["make", "run"], {"HOME": place}, clone)
        print(f"the second time  {again}, ratio {again.wall / measured.wall:.2f}")


LIBRARIES = """
import dagster, mlflow, sklearn, lightgbm, xgboost, optuna, skops, scipy, matplotlib, polars
import deltalake
"""
"""What the ratios are measured by."""
BARE = """
import churn_assets.definitions, lightgbm, mlflow.sklearn, mlflow.store.tracking.sqlalchemy_store
import dagster._core.storage.sql, dagster_mlflow, matplotlib.figure, narwhals.stable.v2, polars
import sklearn.linear_model, skops.io, deltalake
"""
"""What a retrain imports, and nothing else."""


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> Measured:
    return _measure([sys.executable, "-W", "ignore", *arguments], environment or {}, PROJECT)


def _case(name: str, environment: Mapping[str, str], *arguments: str) -> Measured:
    return _python("-m", "benchmarks.cases", name, *arguments, environment=environment)


def _measure(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Measured:
    """Run a command to its end, and count its time and memory with all that it starts."""
    inherited = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env={**inherited, **environment}, cwd=folder, stdout=output, stderr=log
        )
        # A JVM and its workers are not waited for, so the kernel does not count them for us.
        below = Descendants(process.pid)
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            below.look()
            time.sleep(LOOK_SECONDS)
        wall = time.perf_counter() - start
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
        log.seek(0)
        told = log.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{said}\n{told}")
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(wall, max(cpu, below.cpu), max(usage.ru_maxrss / 1024, below.peak_mb), said)


class Descendants:
    """CPU seconds and peak memory of a process and all that it started, as looked at."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu: dict[int, float] = {}
        self.peak_mb = 0.0

    def look(self) -> None:
        """Add up what there is now; memory that processes share is counted once."""
        shared = 0
        with suppress(psutil.Error):
            for process in (self._root, *self._root.children(recursive=True)):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    self._cpu[process.pid] = times.user + times.system
                    shared += process.memory_full_info().pss
        self.peak_mb = max(self.peak_mb, shared / 2**20)

    @property
    def cpu(self) -> float:
        """Of all that were ever seen."""
        return sum(self._cpu.values())


def _middle(runs: list[Measured]) -> Measured:
    return sorted(runs, key=lambda measured: measured.cpu)[len(runs) // 2]


if __name__ == "__main__":
    main()

"""Print the figures: `python -m benchmarks [load run quality tables fresh] [--rows N ...]`.

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
from dataclasses import dataclass
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CHURN_TEST_DATA", PROJECT.parent / "shared" / "data"))
TELCO = DATA / "telco_customer_churn.csv"
CASES = ("load", "run", "quality", "tables")
RUNS = 5


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
    parser.add_argument("cases", nargs="*", default=CASES, choices=(*CASES, "fresh"))
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    arguments = parser.parse_args()
    for case in arguments.cases:
        print(f"\n{case}", flush=True)
        if case == "tables":
            tables(arguments.rows)
        else:
            {"load": load, "run": run, "quality": quality, "fresh": fresh}[case]()


def load() -> None:
    """CPU of loading the code location, beside that of Dagster alone."""
    ours = median(_python("-c", "import churn_assets.definitions").cpu for _ in range(RUNS))
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
        unchanged = _middle([_python(*churn, environment=environment) for _ in range(RUNS)])
        print(f"unchanged        {unchanged}, ratio to retrain {unchanged.cpu / retrain.cpu:.2f}")
        print(f"imports alone    {bare:6.1f} s CPU, {bare / retrain.cpu:.0%} of a retrain")
        shares = json.loads(
            _python("-m", "benchmarks.cases", "shares", *source, environment=environment).output
        )
        for name, seconds in shares.items():
            print(f"{name:<16} {seconds:6.1f} s CPU, {seconds / retrain.cpu:.0%} of a retrain")


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
            built = _python("-m", "benchmarks.cases", "features", root, str(rows))
            print(f"{rows:>12,} rows raw to features  {built}", end="")
            print("" if before is None else f", {built.cpu / before.cpu:.1f} times the CPU")
            before = built
            print(built.output.rstrip())
            scored = _python("-m", "benchmarks.cases", "score", root)
            print(f"{'':>12}      scoring, process    {scored}")
            print(scored.output.rstrip(), flush=True)


def fresh() -> None:
    """From a fresh clone to the first predictions, downloads included."""
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place, "project")
        subprocess.run(["git", "clone", "-q", str(PROJECT), str(clone)], check=True)
        measured = _measure(["make", "run"], {"HOME": place}, clone)
        print(f"clone to scores  {measured}")
        again = _measure(["make", "run"], {"HOME": place}, clone)
        print(f"the second time  {again}, ratio {again.wall / measured.wall:.2f}")


BARE = """
import churn_assets.definitions, lightgbm, mlflow.sklearn, mlflow.store.tracking.sqlalchemy_store
import dagster._core.storage.sql, dagster_mlflow, matplotlib.figure, narwhals.stable.v2, polars
import sklearn.linear_model, skops.io, deltalake
"""
"""What a retrain imports, and nothing else."""


def _python(*arguments: str, environment: Mapping[str, str] | None = None) -> Measured:
    return _measure([sys.executable, "-W", "ignore", *arguments], environment or {}, PROJECT)


def _measure(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Measured:
    """Run a command to its end; the operating system counts its time and memory."""
    inherited = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env={**inherited, **environment}, cwd=folder, stdout=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit {process.returncode}\n{said}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def _middle(runs: list[Measured]) -> Measured:
    return sorted(runs, key=lambda measured: measured.cpu)[len(runs) // 2]


if __name__ == "__main__":
    main()

"""What a compiled model costs: one score, one with three reasons, a row of a batch of 1,000.

    python -m benchmarks.bundles [CANDIDATE ...]

Each default candidate is fitted as it comes on generated customers, compiled, written and loaded.
Times are of the processor, for customers who all differ, and the least of many short runs, so that
what else the machine does is left out. Beside them stands what the Pipeline takes for one score.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from churn_assets.assets.resources import LAYERS
from churn_assets.learning.compiling.bundle import Bundle, load
from churn_assets.learning.compiling.compile import compile_model
from churn_assets.learning.compiling.format import write
from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.learning.registry import Version
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES

USE_CASE = USE_CASES["telco_churn"]
CUSTOMERS, BATCH, REASONS = 7043, 1000, 3
RUN, SECONDS = 40, 3.0
"""Customers of a short run, and how long runs are repeated."""
MICRO = 1e6
HEAD = ("candidate", "pipeline", "score", "+ reasons", "batch row", "+ reasons", "load ms", "KB")


def customers() -> pd.DataFrame:
    """Features of generated customers."""
    with tempfile.TemporaryDirectory() as root:
        tables = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)
        ingest(USE_CASE, Source(rows=CUSTOMERS), tables)
        list(refine(USE_CASE, tables, max_reject_share=0.05))
        version = featurise(USE_CASE, tables).version
        rows = tables["features"].engine.collect(tables["features"].scan(version))
        return rows.to_pandas(strings_to_categorical=False)


def fitted(name: str, rows: pd.DataFrame) -> Any:
    """A candidate as it comes."""

    def unfitted(of: str) -> Any:
        candidate = CATALOGUE[of]
        if candidate.members:
            return blend({member: unfitted(member) for member in candidate.members})
        return pipeline(USE_CASE, candidate, {}, seed=0)

    labels = rows["label"].fillna(False).to_numpy(dtype=bool)
    return unfitted(name).fit(rows[list(USE_CASE.inputs)], labels)


def compiled(model: Any, folder: Path) -> tuple[Bundle, float, int]:
    """A model's bundle as a server has it, the seconds that loading takes, and its bytes."""
    version = Version(1, "", "", {"threshold": "0.3"})
    one = compile_model(USE_CASE, model, version, "telco", stored=partial(_none, model))
    digest = write(folder, one.files)
    load(folder, digest)
    start = time.process_time()
    bundle = load(folder, digest)
    return bundle, time.process_time() - start, sum(map(len, one.files.values()))


def least(call: Callable[[Any], object], cases: Sequence[Any]) -> float:
    """Microseconds of the processor for each case, the least of many short runs over others."""
    best, runs, end = float("inf"), 0, time.monotonic() + SECONDS
    while not runs or time.monotonic() < end:
        some = [cases[(runs * RUN + i) % len(cases)] for i in range(min(RUN, len(cases)))]
        start = time.process_time()
        for case in some:
            call(case)
        best, runs = min(best, (time.process_time() - start) / len(some)), runs + 1
    return MICRO * best


def measured(name: str, rows: pd.DataFrame, folder: Path) -> list[str]:
    """A line of the table."""
    model = fitted(name, rows)
    bundle, seconds, size = compiled(model, folder / name)
    inputs = rows[list(USE_CASE.inputs)]
    records = inputs.astype(object).where(inputs.notna(), None).to_dict("records")
    batch = {key: [record[key] for record in records[:BATCH]] for key in USE_CASE.inputs}
    alone = [inputs.iloc[[i]] for i in range(2 * RUN)]
    times = [
        least(model.predict_proba, alone),
        least(bundle.score, records),
        least(lambda record: bundle.answer(record, REASONS), records),
        least(bundle.scores, [batch]) / BATCH,
        least(lambda some: (bundle.scores(some), bundle.reasons_of(some)), [batch]) / BATCH,
    ]
    return [name, *(f"{one:,.1f}" for one in times), f"{1000 * seconds:.0f}", f"{size >> 10:,}"]


def main() -> None:
    """Print the table, in microseconds of the processor."""
    rows = customers()
    print("".join(f"{title:>20}" if i == 0 else f"{title:>11}" for i, title in enumerate(HEAD)))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for name in sys.argv[1:] or CATALOGUE:
            first, *others = measured(name, rows, Path(folder))
            print(f"{first:>20}" + "".join(f"{one:>11}" for one in others), flush=True)


def _none(model: Any) -> Any:
    raise AssertionError(f"{model} was not compiled")


if __name__ == "__main__":
    main()

"""Works on Spark in a process of its own, with the settings of its environment.

`python -m churn_assets_tests.support.programs.on_spark WORK [ARGUMENTS]`
"""

from __future__ import annotations

import itertools
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import pyarrow as pa
import pyarrow.parquet as pq

from churn_assets.assets.resources import resources
from churn_assets.learning.judging.record import on_record
from churn_assets.learning.scorer import predictions_schema, scorer
from churn_assets.settings import load_settings
from churn_assets.tables.engines.engine import Commit, ConflictError
from churn_assets.tables.ingest import ingest
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets_tests.support.processes import CHECKOUT
from churn_assets_tests.support.project import USE_CASE

GUIDE = CHECKOUT / "docs" / "scaling.md"
GENERATION = "generation"
WAIT_SECONDS = 120
_SHARED = resources(load_settings())
_LAKE = _SHARED.lake
_TABLES = _LAKE.of(USE_CASE)


def score_by_udf(into: str) -> None:
    """Score features with MLflow's own function for Spark, as the guide does, into a Parquet file.

    Once more with the type of result that MLflow takes by itself. Before, say what comes of
    importing this project's package there.
    """
    import mlflow
    from pyspark.sql import functions as F  # noqa: N812

    print("import:", _imported_there())
    python = re.findall("```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (lines,) = [lines for lines in python if "spark_udf" in lines]
    names: dict[str, Any] = {"spark": _SHARED.spark.started()}
    # Where `.churn` is, as a reader of the guide would be.
    with chdir(Path(_LAKE.root).parents[1]):
        exec(lines, names)
    by_default = mlflow.pyfunc.spark_udf(names["spark"], names["model"])
    features, inputs = names["features"], F.struct(*USE_CASE.inputs)
    again = features.select(USE_CASE.key, by_default(inputs).alias("by_default"))
    pq.write_table(names["scored"].join(again, USE_CASE.key).toArrow(), into)


def score_slowly(features: str, predictions: str, rows: str, seconds: str, marks: str) -> None:
    """Score a table into another, in one task for each file.

    Each batch has so many rows, takes so long, and leaves a mark of its task.
    """
    conf = _SHARED.spark.started().conf
    conf.set("spark.sql.files.maxPartitionBytes", "1m")
    conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", rows)
    champion = on_record(_TABLES["champion"])
    assert champion is not None
    pipeline = _SHARED.mlflow.registry(USE_CASE).load(champion.version)
    score = scorer(USE_CASE, pipeline, champion, features_version=0)

    def slowly(batch: pa.RecordBatch) -> pa.RecordBatch:
        from pyspark import TaskContext

        attempt = TaskContext.get().attemptNumber()
        Path(marks, uuid.uuid4().hex).write_text(f"{attempt} {Path.cwd()}")
        time.sleep(float(seconds))
        return score(batch)

    engine, schema = _LAKE.engine, predictions_schema(USE_CASE)
    rows = engine.read_delta(features, None, storage_options=None)
    scored = engine.map_batches(rows, slowly, schema)
    engine.write_delta(predictions, scored, Commit("overwrite"), storage_options=None)


def replace_for_ever(name: str) -> None:
    """Replace a table by its rows of a new generation, again and again."""
    for generation in itertools.count(1):
        rows = _TABLES[name].scan().with_columns(nw.lit(generation).alias(GENERATION))
        _TABLES[name].replace(rows, str(uuid.uuid4()))


def _imported_there() -> str:
    """What comes of importing this project's package on a worker."""

    def imported_from(batch: pa.RecordBatch) -> pa.RecordBatch:
        try:
            import churn_assets

            text = churn_assets.__file__
        except ImportError as error:
            text = str(error)
        return pa.record_batch({"text": [text] * len(batch)})

    frame = _LAKE.engine.from_arrow(pa.table({"key": [1]}))
    texts = _LAKE.engine.map_batches(frame, imported_from, pa.schema({"text": pa.string()}))
    return str(_LAKE.engine.collect(texts)["text"][0].as_py())


def refine_sources(generated: str, *uris: str) -> None:
    """Bring each source to silver, and say how many rows its tables have."""
    for uri in uris:
        source = Source(uri=uri, rows=int(generated))
        ingest(USE_CASE, source, _TABLES)
        print(*(committed.rows for committed in refine(USE_CASE, _TABLES, 1.0)))


def round_trip(table: str) -> None:
    """Write a row into a Delta table, and say what it holds then."""
    row = _LAKE.engine.from_arrow(pa.table({"who": ["first"]}))
    _LAKE.engine.write_delta(table, row, Commit("overwrite"), storage_options=None)
    rows = _LAKE.engine.read_delta(table, None, storage_options=None)
    print(_LAKE.engine.collect(rows).to_pylist())


def conflict(folder: str) -> None:
    """Say what comes of two writers of which one computes while the other commits."""
    for mode, commit in (
        ("overwrite", {}),
        ("append", {"base": 0, "transaction": "test"}),
        ("append", {}),
    ):
        print(mode, *commit, *_race(Path(folder, uuid.uuid4().hex), mode, commit))


def _race(folder: Path, mode: Any, commit: dict[str, Any]) -> list[str]:
    table, running, go = folder / "table", folder / "running", folder / "go"
    folder.mkdir()
    outcomes = {}

    def slowly(batch: pa.RecordBatch) -> pa.RecordBatch:
        running.touch()
        end = time.monotonic() + WAIT_SECONDS
        while not go.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return batch

    def write(who: str, frame: Any) -> None:
        note = {"userMetadata": who}
        try:
            _LAKE.engine.write_delta(
                str(table), frame, Commit(mode, note, **commit), storage_options=None
            )
            outcomes[who] = "committed"
        except ConflictError:
            outcomes[who] = "conflict"

    rows = pa.table({"who": ["first"]})
    first = _LAKE.engine.from_arrow(rows)
    _LAKE.engine.write_delta(
        str(table), first, Commit("overwrite", {"userMetadata": ""}), storage_options=None
    )
    late = threading.Thread(
        target=write, args=("late", _LAKE.engine.map_batches(first, slowly, rows.schema))
    )
    late.start()
    _wait_until(running.exists)
    write("early", first)
    go.touch()
    late.join(WAIT_SECONDS)
    height = _LAKE.engine.collect(
        _LAKE.engine.read_delta(str(table), None, storage_options=None)
    ).num_rows
    return [f"early={outcomes.get('early')}", f"late={outcomes.get('late')}", f"rows={height}"]


def _wait_until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


WORKS = {
    work.__name__: work
    for work in (
        score_by_udf,
        score_slowly,
        replace_for_ever,
        refine_sources,
        round_trip,
        conflict,
    )
}

if __name__ == "__main__":
    WORKS[sys.argv[1]](*sys.argv[2:])

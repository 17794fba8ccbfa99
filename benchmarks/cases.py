"""What one benchmark process does; `python -m benchmarks` starts it and measures it."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import churn_assets
from churn_assets.assets.resources import LAYERS, resources
from churn_assets.learning.explaining.contributions import contributions
from churn_assets.learning.explaining.reasons import reasons
from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.learning.fitting.training import Labelled, labelled_rows, train
from churn_assets.learning.judging.record import Promotion
from churn_assets.learning.metrics import metrics
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.scorer import scorer
from churn_assets.learning.scoring import predicted
from churn_assets.learning.storing import flavor
from churn_assets.learning.storing.trusted import TRUSTED_TYPES
from churn_assets.settings import Settings, load_settings
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake, Table
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.telco_generator import BATCH_ROWS, SCHEMA, generate

USE_CASE = USE_CASES["telco_churn"]
TRAINED_ON = 20_000
FILE_ROWS = 8 * BATCH_ROWS
RESAMPLES = 2000
RESPLITS = 10
PEERS = ("num_optional_services", "avg_price_increase_usd")


def source(folder: str, rows: str) -> None:
    """Generated customers as Parquet files, as a warehouse unloads them."""
    batches = generate(int(rows), 0)
    for file in range(math.ceil(int(rows) / FILE_ROWS)):
        path = Path(folder, f"part-{file:05}.parquet")
        with pq.ParquetWriter(path, SCHEMA) as writer:
            for batch in islice(batches, FILE_ROWS // BATCH_ROWS):
                writer.write_batch(batch)


def features() -> None:
    """Customers from the source to features, step by step, as the settings say."""
    settings, tables = load_settings(), _tables()
    for name, step in {
        "ingest": lambda: ingest(USE_CASE, settings.source(USE_CASE.name), tables),
        "silver": lambda: list(refine(USE_CASE, tables, 0.05)),
        "features": lambda: featurise(USE_CASE, tables),
    }.items():
        _timed(name, step)
    _show_shuffled()


def predictions() -> None:
    """Score, explain and rank all customers on the engine that the settings name."""
    tables, (model, champion) = _tables(), _model()
    table = tables["features"]
    apply = scorer(USE_CASE, model, champion, 0)

    def write() -> None:
        with predicted(USE_CASE, table.engine, table.scan(), apply) as frame:
            tables["predictions"].replace(frame, "")

    _timed("scoring", write)
    _show_shuffled()


def udf() -> None:
    """Score all features by MLflow's own function for Spark, from a stored model."""
    import mlflow
    from mlflow.models import Model, infer_signature
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F  # noqa: N812

    tables, (model, _) = _tables(), _model()
    frame = tables["features"].scan().to_native()
    inputs = list(USE_CASE.inputs)
    sample = frame.select(*inputs).limit(100).toPandas()
    with tempfile.TemporaryDirectory() as folder:
        flavor.save_model(
            f"{folder}/model",
            Model(),
            validate_serving_input=False,
            sk_model=model,
            signature=infer_signature(sample),
            skops_trusted_types=TRUSTED_TYPES,
            code_paths=[str(Path(churn_assets.__file__).parent)],
        )
        score = mlflow.pyfunc.spark_udf(
            SparkSession.active(), f"{folder}/model", result_type="double"
        )
        scored = frame.select(USE_CASE.key, score(F.struct(*inputs)).alias("score"))
        target = f"{load_settings().lake_uri}/spark_udf"
        _timed("spark_udf", lambda: scored.write.format("delta").mode("overwrite").save(target))


def start() -> None:
    """A session, and ten rows written and read: what each small run pays."""
    tables = _tables()
    tables["model"].replace(tables["model"].engine.from_arrow(pa.table({"a": range(10)})), "")
    tables["model"].engine.collect(tables["model"].scan())


def start_as_spark_comes(jars: str) -> None:
    """The same with Spark's and Delta's own defaults."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.jars", jars)
    builder = builder.config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    builder = builder.config(
        "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
    )
    session = builder.getOrCreate()
    with tempfile.TemporaryDirectory() as folder:
        session.range(10).write.format("delta").mode("overwrite").save(folder)
        session.read.format("delta").load(folder).toArrow()


def _tables() -> Mapping[str, Table]:
    lake: Lake = resources(load_settings()).lake
    return lake.of(USE_CASE)


def fit() -> None:
    """Keep a blend, fitted on some of the features, to score with."""
    table = _tables()["features"]
    sample = table.engine.collect(table.scan().head(TRAINED_ON)).to_pandas()
    members = {n: pipeline(USE_CASE, CATALOGUE[n], {}, 0) for n in CATALOGUE["blend"].members}
    model = blend(members).fit(sample[list(USE_CASE.inputs)], sample["label"])
    joblib.dump(model, load_settings().root_folder / "model")


def training() -> None:
    """Train on as many of the customers as the settings say, sampled by the engine."""
    table, settings = _tables()["features"], TrainingSettings()
    version = table.require().version
    labelled: list[Labelled] = []
    _timed("sample", lambda: labelled.append(labelled_rows(USE_CASE, table, version, settings)))
    _timed("fit and judge", lambda: train(USE_CASE, labelled[0].rows, settings))
    print(f"{'':>12}        {len(labelled[0].rows):,} of {labelled[0].known:,} rows")


def _model() -> tuple[Any, Promotion]:
    model = joblib.load(load_settings().root_folder / "model")
    return model, Promotion(1, "", "", 1, "", 0.3, None, "", datetime.now(UTC), "[]")


def _show_shuffled() -> None:
    """Bytes that Spark's stages wrote for each other, where it ran in this process."""
    if load_settings().engine != "spark":
        return
    from pyspark.sql import SparkSession

    store = SparkSession.active().sparkContext._jsc.sc().statusStore()
    summaries = store.executorList(False)
    written = sum(summaries.apply(i).totalShuffleWrite() for i in range(summaries.size()))
    print(f"{'':>12}        shuffled     {written / 1e6:6.1f} MB")


def score() -> None:
    """Score, explain and rank, beside the bare LightGBM predict of the same encoded rows."""
    tables, (model, champion) = _tables(), _model()
    trees = dict(zip(CATALOGUE["blend"].members, model.pipelines_, strict=True))["lightgbm"]
    table = tables["features"]
    inputs = list(USE_CASE.inputs)

    def ours() -> None:
        apply = scorer(USE_CASE, model, champion, 0)
        with predicted(USE_CASE, table.engine, table.scan(), apply) as frame:
            tables["predictions"].replace(frame, "")

    spent = [0.0, 0.0]

    def bare() -> None:
        lazy = table.scan().select(*inputs).to_native()
        for part in lazy.collect_batches(chunk_size=131_072, engine="streaming"):
            matrix = trees[0].transform(part.to_pandas())
            wall, cpu = time.perf_counter(), time.process_time()
            trees[-1].predict_proba(matrix)
            spent[0] += time.perf_counter() - wall
            spent[1] += time.process_time() - cpu

    bare()
    spent[:] = [0.0, 0.0]
    wall, cpu = _timed("scoring", ours)
    bare()
    print(f"{'':>12}        bare predict {spent[0]:6.1f} s wall  {spent[1]:6.1f} s CPU, ", end="")
    print(f"scoring is {wall / spent[0]:.2f} times its wall, {cpu / spent[1]:.2f} times its CPU")


def explained(rows: str) -> None:
    """Contributions and reasons of so many customers, and nothing else."""
    tables, (model, _) = _tables(), _model()
    table = tables["features"]
    drawn = table.engine.collect(table.scan().select(*USE_CASE.inputs).head(int(rows)))
    inputs = drawn.to_pandas(strings_to_categorical=True)
    _timed("explained", lambda: reasons(contributions(model, inputs), inputs, USE_CASE))


def quality(source: str = "") -> None:
    """Test metrics with 95 % bootstrap intervals, as JSON."""
    trained = train(USE_CASE, _labelled(source), TrainingSettings())
    labels, scores, threshold = trained.test_labels, trained.test_scores, trained.threshold
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(labels), len(labels))
        drawn.append(metrics(labels[rows], scores[rows], threshold))
    judged = metrics(labels, scores, threshold)
    print(
        json.dumps(
            {
                name: (
                    judged[name],
                    *np.quantile([sample[name] for sample in drawn], [0.025, 0.975]),
                )
                for name in ("f1", "roc_auc", "pr_auc", "log_loss", "brier")
            }
        )
    )


def inputs(source: str = "") -> None:
    """Mean test log loss over resplits with fewer and more inputs, as JSON."""
    from sklearn.metrics import log_loss
    from sklearn.model_selection import train_test_split

    rows = _labelled(source)
    in_source = {column.name for column in USE_CASE.contract.columns}
    raw = tuple(name for name in USE_CASE.numeric if name in in_source)
    sets = {"as they come": raw, "with the peers'": raw + PEERS, "all": USE_CASE.numeric}
    found: dict[str, dict[str, float]] = {}
    for name, numeric in sets.items():
        case = replace(USE_CASE, numeric=numeric)
        for recipe in CATALOGUE["blend"].members:
            losses = []
            for seed in range(RESPLITS):
                train_rows, test_rows = train_test_split(
                    rows, test_size=0.2, random_state=seed, stratify=rows["label"]
                )
                columns = list(case.inputs)
                fitted = pipeline(case, CATALOGUE[recipe], {}, 0)
                fitted.fit(train_rows[columns], train_rows["label"])
                scores = fitted.predict_proba(test_rows[columns])[:, 1]
                losses.append(log_loss(test_rows["label"].astype(bool), scores))
            found.setdefault(recipe, {})[name] = float(np.mean(losses))
    print(json.dumps(found))


def shares(*source: str) -> None:
    """CPU seconds of training and of MLflow within one retrain, as JSON."""
    import mlflow.sklearn
    import sklearn.linear_model  # noqa: F401

    from churn_assets.learning.plots import score_pictures
    from churn_assets.learning.registry import Registry

    settings = Settings()
    lake = Lake(settings.lake_uri, PolarsEngine(), layers=LAYERS)
    tables = lake.of(USE_CASE)
    registry = Registry(
        settings.tracking_uri, settings.model_name(USE_CASE.name), settings.artifacts
    )
    table = tables["features"]
    rows = labelled_rows(USE_CASE, table, table.require().version, TrainingSettings()).rows
    spent: dict[str, float] = {}
    trained: Any = None

    def fit() -> None:
        nonlocal trained
        trained = train(USE_CASE, rows, TrainingSettings())

    spent["training"] = _cpu(fit)
    spent["pictures"] = _cpu(
        lambda: score_pictures(trained.test_labels, trained.test_scores, trained.threshold)
    )

    def log() -> None:
        registry.connect()
        mlflow.set_experiment(registry.model_name)
        with mlflow.start_run() as run:
            registry.register(
                trained.pipeline,
                run.info.run_id,
                trained.train.head(100),
                trained.train.head(1),
                "A benchmark's model, to be left alone.",
                {},
            )
            mlflow.log_metrics(dict(trained.metrics))

    spent["MLflow"] = _cpu(log)
    print(json.dumps(spent))


def _labelled(source: str) -> pd.DataFrame:
    """Customers of a source whose label is known, as training gets them."""
    with tempfile.TemporaryDirectory() as root:
        tables = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)
        ingest(USE_CASE, Source(uri=source), tables)
        list(refine(USE_CASE, tables, 0.05))
        version = featurise(USE_CASE, tables).version
        return labelled_rows(USE_CASE, tables["features"], version, TrainingSettings()).rows


def _timed(name: str, step: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    spent = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{'':>12}        {name:<12} {spent[0]:6.1f} s wall  {spent[1]:6.1f} s CPU", flush=True)
    return spent


def _cpu(step: Callable[[], object]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


CASES = (
    source,
    features,
    fit,
    predictions,
    udf,
    training,
    explained,
    score,
    start,
    start_as_spark_comes,
    quality,
    inputs,
    shares,
)

if __name__ == "__main__":
    cases = {case.__name__: case for case in CASES}
    cases[sys.argv[1]](*sys.argv[2:])

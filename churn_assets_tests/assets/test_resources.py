"""MLflow under Dagster: each training has a run of its own, which ends as the training did."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from churn_assets.assets.resources import Mlflow
from churn_assets.definitions import definitions
from churn_assets.serving.online_features.make import TABLE
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.processes import forked
from churn_assets_tests.support.project import ASSETS, QUICK, USE_CASE, Project

METRICS = ("accuracy", "f1", "roc_auc", "pr_auc", "log_loss", "brier", "precision", "recall")
RANKED = ("roc_auc", "pr_auc", "f1", "log_loss", "brier")
PICTURES = {"roc_curve", "precision_recall_curve", "confusion_matrix", "calibration"}


def client(project: Project) -> MlflowClient:
    return project.registry.client


def trainings(project: Project) -> dict[str, MlflowRun]:
    """Every MLflow run of the project, by the Dagster run that it says it belongs to."""
    known = client(project)
    experiment = known.get_experiment_by_name(USE_CASE.name)
    runs = known.search_runs([experiment.experiment_id])
    runs = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    found = {run.data.tags.get("dagster_run_id", ""): run for run in runs}
    assert len(found) == len(runs)
    return found


@pytest.fixture(scope="module")
def training(finished: Finished) -> MlflowRun:
    """The MLflow run of the finished project."""
    return trainings(finished.project)[finished.run.run_id]


def test_a_training_is_one_finished_mlflow_run_that_names_the_dagster_run(
    finished: Finished, training: MlflowRun
) -> None:
    assert list(trainings(finished.project)) == [finished.run.run_id]
    assert training.info.status == "FINISHED"
    recipe, day = training.data.params["recipe"], f"{datetime.now(UTC):%Y-%m}"
    assert training.info.run_name.startswith(f"telco_churn version 1: {recipe}, {day}")
    assert training.data.tags["use_case"] == "telco_churn"


def test_each_candidate_is_a_run_below_the_training_that_the_ui_can_rank(
    finished: Finished, training: MlflowRun
) -> None:
    row = finished.project.rows("model").row(0, named=True)

    below = f"tags.mlflow.parentRunId = '{training.info.run_id}'"
    runs = client(finished.project).search_runs(
        [training.info.experiment_id], below, order_by=["metrics.oof_log_loss"]
    )

    by_recipe = {run.data.params["recipe"]: run for run in runs}
    losses = json.loads(row["candidates"])
    assert list(by_recipe) == sorted(losses, key=losses.get)
    assert next(iter(by_recipe)) == row["recipe"]
    for name, run in by_recipe.items():
        found = run.data.metrics
        assert run.info.run_name.startswith(f"telco_churn candidate: {name}, ")
        assert run.info.status == "FINISHED"
        assert found["oof_log_loss"] == pytest.approx(losses[name])
        for part in ("oof", "train"):
            assert {f"{part}_{metric}" for metric in RANKED} <= set(found)
        assert found["train_log_loss"] < found["oof_log_loss"]
        assert found["fit_seconds"] > 0
        assert found["complexity"] == json.loads(row["comparison"])[name]["complexity"]
    chosen = by_recipe[row["recipe"]]
    assert chosen.data.tags["candidate"] == "chosen"
    assert chosen.data.metrics["oof_roc_auc"] == pytest.approx(row["oof_roc_auc"])
    assert by_recipe["logistic_regression"].data.params["C"] == "0.1"


def test_lift_gain_value_and_complexity_are_metrics_of_the_training(
    finished: Finished, training: MlflowRun
) -> None:
    found, row = training.data.metrics, finished.project.rows("model").row(0, named=True)

    # A tenth holds ten times its gain in lift, but for a row.
    assert found["test_gain_10"] == pytest.approx(found["test_lift_10"] / 10, rel=0.02)
    assert 2 < found["test_lift_10"] < 4
    # What the UI shows has few digits; the record has them all.
    champion = finished.project.champion()
    assert champion is not None
    evidence = {verdict["gate"]: verdict["numbers"] for verdict in json.loads(champion.gates)}
    value = evidence["value"]["challenger_value"]
    assert found["test_value_per_1000"] == pytest.approx(value)
    assert found["complexity"] == row["complexity"] > 0


def test_the_champion_is_marked_with_its_figures_in_the_list_of_runs(
    finished: Finished, training: MlflowRun
) -> None:
    tags, row = training.data.tags, finished.project.rows("model").row(0, named=True)

    assert tags["standing"] == "champion"
    assert tags["mlflow.note.content"].startswith("Champion since 20")
    assert f"version 1, {row['recipe']}. On test rows" in tags["mlflow.note.content"]
    assert (
        f"ROC AUC {row['test_roc_auc']:.3f}, F1 {row['test_f1']:.3f}" in tags["mlflow.note.content"]
    )


def test_the_model_links_its_mlflow_run(finished: Finished, training: MlflowRun) -> None:
    link = finished.run.metadata("model")["mlflow_run"].value

    page = f"/#/experiments/{training.info.experiment_id}/runs/{training.info.run_id}"
    assert link.endswith(page)
    card = Path(finished.run.metadata("model")["model_card_file"].value)
    assert card.name == "model_card.html"
    assert "<!doctype html>" in card.read_text(encoding="utf-8")


def test_a_training_logs_every_metric_of_every_split(
    finished: Finished, training: MlflowRun
) -> None:
    row = finished.project.rows("model").row(0, named=True)

    for part in ("oof", "test"):
        for metric in METRICS:
            assert training.data.metrics[f"{part}_{metric}"] == row[f"{part}_{metric}"]
    found = json.loads(row["candidates"])
    assert set(found) == set(QUICK["candidates"])
    assert {name: training.data.metrics[f"{name}_oof_log_loss"] for name in found} == found


def test_a_training_logs_what_the_model_was_made_with(
    finished: Finished, training: MlflowRun
) -> None:
    row = finished.project.rows("model").row(0, named=True)

    params = training.data.params
    assert params["recipe"] == row["recipe"]
    assert float(params["threshold"]) == row["threshold"]
    assert params["seed"] == "0"
    assert params["sample"] == "1.0"
    train = finished.project.rows("features").filter(pl.col("split") != "test")
    assert params["train_rows"] == str(train.height)
    told = json.loads(row["parameters"])
    assert told
    assert {name: params[name] for name in told} == {n: str(v) for n, v in told.items()}


def test_a_training_keeps_the_pictures(finished: Finished, training: MlflowRun) -> None:
    files = client(finished.project).list_artifacts(training.info.run_id, "pictures")

    assert {Path(file.path).stem for file in files} == PICTURES
    assert {Path(file.path).suffix for file in files} == {".svg"}


def test_a_training_names_the_features_table_with_its_delta_version(
    finished: Finished, training: MlflowRun
) -> None:
    features = finished.project.state("features")

    (given,) = training.inputs.dataset_inputs

    source = json.loads(given.dataset.source)
    assert given.dataset.name == "telco_churn.features"
    assert source["path"] == features.uri
    assert source["delta_table_version"] == features.version
    assert features.data_version.startswith(given.dataset.digest)
    assert {tag.key: tag.value for tag in given.tags}["mlflow.data.context"] == "training"


def test_the_model_of_a_training_has_a_signature_and_an_example(
    finished: Finished, training: MlflowRun
) -> None:
    info = finished.project.registry.info(1)

    assert info.run_id == training.info.run_id
    assert info.signature.inputs.input_names() == list(USE_CASE.inputs)
    assert info.signature.outputs is not None
    assert info.saved_input_example_info is not None


def test_two_dagster_runs_in_one_process_have_an_mlflow_run_each(
    finished: Finished, copied: Project
) -> None:
    """Nothing of the second is found in the first."""
    (first,) = trainings(copied).values()

    second = copied.run(tables="model", training={**QUICK, "seed": 1, "sample": 0.8})

    found = trainings(copied)
    assert "model" in second.materialized
    assert set(found) == {finished.run.run_id, second.run_id}
    again, other = found[finished.run.run_id], found[second.run_id]
    assert again.data.params == first.data.params
    assert again.data.metrics == first.data.metrics
    assert again.info.end_time == first.info.end_time
    assert (other.data.params["seed"], other.data.params["sample"]) == ("1", "0.8")
    assert other.data.metrics["test_roc_auc"] != first.data.metrics["test_roc_auc"]
    assert other.info.status == "FINISHED"


def test_a_training_writes_into_no_run_that_was_left_open(copied: Project) -> None:
    import mlflow

    known = client(copied)
    experiment = known.get_experiment_by_name(USE_CASE.name)
    left = mlflow.start_run(experiment_id=experiment.experiment_id)

    run = copied.run(tables="model", retrain=True)

    left = known.get_run(left.info.run_id)
    assert run.success, run.error
    assert left.info.status == "KILLED"
    assert not left.data.metrics
    assert not left.data.params
    assert mlflow.active_run() is None


def breaking(estimator: str, **parameters: str) -> dict[str, Any]:
    """A training whose only candidate breaks it."""
    place = f"churn_assets_tests.support.breaking.{estimator}"
    return {"candidates": [{"name": "breaks", "estimator": place, "parameters": parameters}]}


def test_a_training_that_raises_ends_failed_and_the_next_one_is_apart(copied: Project) -> None:
    import mlflow

    failed = copied.run(tables="model", training=breaking("Broken"))
    assert "candidate 'breaks': its default configuration cannot be fitted" in failed.error
    assert mlflow.active_run() is None
    passed = copied.run(tables="model", retrain=True)

    found = trainings(copied)
    assert (failed.success, passed.success) == (False, True)
    assert found[failed.run_id].info.status == "FAILED"
    assert not found[failed.run_id].data.metrics
    assert found[passed.run_id].info.status == "FINISHED"
    newest = copied.rows("model").sort("version").row(-1, named=True)
    assert newest["run_id"] == found[passed.run_id].info.run_id


def test_labels_of_one_class_end_the_mlflow_run_failed_and_are_told_in_one_line(
    copied: Project,
) -> None:
    source = copied.write(lambda frame: frame.with_columns(Churn=pl.lit("No")))

    run = copied.run(source, tables="raw silver rejects features model")

    assert "training needs labels of both classes" in run.error
    assert "\n" not in run.error
    assert trainings(copied)[run.run_id].info.status == "FAILED"
    assert copied.rows("model").height == 1


def test_an_mlflow_that_breaks_during_a_training_is_told_in_one_line(copied: Project) -> None:
    """The first error is told, not the one of ending a run that cannot be ended."""
    database = str(copied.folder / ".churn" / "mlflow.db")

    run = copied.run(tables="model", training=breaking("BreaksMlflow", database=database))

    assert run.error.startswith("MLflow at sqlite:///")
    assert "no such table" in run.error
    assert "\n" not in run.error
    assert copied.rows("model").height == 1


def test_a_training_that_fails_in_a_process_of_its_own_ends_failed(copied: Project) -> None:
    """MLflow ends a run as finished when its process does, unless it was ended before."""
    source = copied.write(lambda frame: frame.with_columns(Churn=pl.lit("No")))
    copied.run(source, tables="raw silver rejects features")

    apart = forked(
        "churn_assets_tests.support.programs.training_apart",
        str(copied.folder / ".churn"),
        environ={"DAGSTER_HOME": str(copied.folder / "dagster")},
    )

    assert apart.returncode == 0, apart.stderr
    run_id, success = apart.stdout.split()[-2:]
    assert success == "False"
    assert trainings(copied)[run_id].info.status == "FAILED"


@pytest.mark.filterwarnings("ignore:starlette")
def test_credentials_of_the_tracking_server_are_shown_nowhere(
    project: Project, mlflow_server: Callable[[Path], str]
) -> None:
    address = mlflow_server(project.folder)
    uri = address.replace("://", "://someone:top-secret@")

    run = project.run(project.write(), mlflow={"tracking_uri": uri})

    assert run.success, run.error
    link = run.metadata("model")["mlflow_run"].value
    assert link.startswith(f"{address}/#/experiments/")
    with closing(sqlite3.connect(project.folder / "server.db")) as database:
        told = "\n".join(database.iterdump())
    logged = [entry.to_json() for entry in all_events(project, run.run_id)]
    kept = [path.read_bytes() for path in (project.folder / ".churn").rglob("*.json")]
    assert run.run_id in told
    assert "telco_churn_model" in "".join(logged)
    assert "top-secret" not in told + "".join(logged) + str(kept)


def test_versions_may_be_registered_apart_from_the_runs(project: Project) -> None:
    runs, versions = (f"sqlite:///{project.folder}/{name}.db" for name in ("runs", "versions"))
    mlflow = {
        "tracking_uri": runs,
        "registry_uri": versions,
        "model_name": "main.crm.{use_case}",
        "experiment": "/Shared/{use_case}",
        "artifacts": (project.folder / "artifacts").as_uri(),
    }

    run = project.run(project.write(), mlflow=mlflow)

    assert run.success, run.error
    registered = MlflowClient(versions, versions)
    champion = registered.get_model_version_by_alias("main.crm.telco_churn", "champion")
    assert MlflowClient(runs).get_experiment_by_name("/Shared/telco_churn") is not None
    assert MlflowClient(runs).get_run(champion.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_the_ui_shows_the_resources_their_configuration_and_who_uses_them(
    project: Project, engine: str
) -> None:
    """And no credential."""
    settings = project.settings(
        mlflow={"tracking_uri": "http://someone:top-secret@127.0.0.1:9"},
        engine=engine,
        spark={"spark.hadoop.fs.s3a.secret.key": "top-secret", "spark.executor.memory": "2g"},
    )

    shown = RepositorySnap.from_def(definitions(settings).get_repository_def())

    resources = {resource.name: resource for resource in shown.resources}
    of_case = {
        name: {key.path[-1] for key in resource.asset_keys_using if key.path[0] == USE_CASE.name}
        for name, resource in resources.items()
    }
    assert resources["mlflow"].configured_values["tracking_uri"] == '"http://127.0.0.1:9"'
    assert resources["mlflow"].configured_values["model_name"] == '"{use_case}"'
    assert of_case["mlflow"] == {"model", "champion", "predictions", "traffic", TABLE}
    if engine == "spark":
        spark = json.loads(resources["spark"].configured_values["spark_config"])
        assert spark["spark.executor.memory"] == "2g"
        assert of_case["spark"] == {*ASSETS, "traffic"}
    assert "top-secret" not in dg.serialize_value(shown)
    assert "top-secret" not in repr(Mlflow.of(settings))


@pytest.fixture
def mlflow_server() -> Iterator[Callable[[Path], str]]:
    """MLflow's own server in a thread, with a database in the folder given."""
    from mlflow.server import app, handlers
    from werkzeug.serving import make_server

    servers = []

    def start(folder: Path) -> str:
        database, artifacts = f"sqlite:///{folder / 'server.db'}", (folder / "files").as_uri()
        handlers.initialize_backend_stores(database, database, artifacts)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def all_events(project: Project, run_id: str) -> list[Any]:
    return project.instance.all_logs(run_id)

"""The registry: a version is what it was registered as, and doubt is never taken for absence."""

from __future__ import annotations

import http.server
import importlib.metadata
import json
import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from churn_assets.errors import RegistryError
from churn_assets.learning.ensembles import Recalibrated
from churn_assets.learning.fitting.candidates import CATALOGUE, blend, pipeline
from churn_assets.learning.registry import CHALLENGER, CHAMPION, DIGEST, MANIFEST, Registry
from churn_assets.learning.storing.files import StoredModel
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import (
    challenge,
    inputs,
    open_run,
    register,
    stored_files,
)


def test_an_alias_of_no_model_and_an_alias_that_was_never_set_are_none(
    project: Project, copied: Project
) -> None:
    registry = copied.registry
    registry.client.delete_registered_model_alias(registry.model_name, CHAMPION)
    never_registered = Registry(registry.tracking_uri, "another")

    assert registry.by_alias(CHAMPION) is None
    assert registry.by_alias(CHALLENGER) is not None
    assert never_registered.by_alias(CHAMPION) is None


def test_an_alias_that_cannot_be_read_is_an_error_and_not_none(copied: Project) -> None:
    registry = copied.registry
    with closing(sqlite3.connect(copied.folder / ".churn" / "mlflow.db")) as database:
        database.execute("DROP TABLE registered_model_aliases")

    with pytest.raises(RegistryError, match="no such table"):
        registry.by_alias(CHAMPION)


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_server_that_is_not_mlflow_is_an_error_and_not_a_missing_alias(
    status: int, other_server: Callable[[int], str]
) -> None:
    registry = Registry(other_server(status), "telco_churn")

    with pytest.raises(RegistryError, match=r"MLflow at http://127\.0\.0\.1"):
        registry.by_alias(CHAMPION)


def test_a_version_of_another_run_is_refused_with_what_to_do(finished: Project) -> None:
    registry = finished.registry

    with pytest.raises(RegistryError) as refusal:
        registry.by_number(1, "another run")

    assert "version 1 of run another run is on record" in str(refusal.value)
    assert "Restore the registry's database" in str(refusal.value)


def test_a_version_that_the_registry_lost_is_refused(finished: Project) -> None:
    with pytest.raises(RegistryError, match="version 99 of run any is on record"):
        finished.registry.by_number(99, "any")


def test_a_version_is_found_by_its_number_and_run(finished: Project) -> None:
    row = finished.rows("model").row(0, named=True)

    version = finished.registry.by_number(row["version"], row["run_id"])

    assert version.threshold == row["threshold"]
    assert version.tags["recipe"] == row["recipe"]
    assert version.tags["features_version"] == str(row["features_version"])
    assert version.tags["features_data_version"] == finished.state("features").data_version
    assert USE_CASE.description in version.description


@pytest.mark.parametrize("threshold", [None, "high"])
def test_a_threshold_that_is_missing_or_no_number_is_named(
    threshold: str | None, copied: Project
) -> None:
    registry = copied.registry
    if threshold is None:
        registry.client.delete_model_version_tag(registry.model_name, "1", "threshold")
    else:
        registry.client.set_model_version_tag(registry.model_name, "1", "threshold", threshold)

    with pytest.raises(RegistryError, match="version 1 has no tag 'threshold' that is a number"):
        _ = registry.by_alias(CHALLENGER).threshold


def test_a_new_version_takes_the_alias_challenger_and_leaves_champion(copied: Project) -> None:
    version = challenge(copied, recipe="made by hand")

    challenger, champion = (copied.registry.by_alias(name) for name in (CHALLENGER, CHAMPION))
    assert (version.version, version.tags["recipe"]) == (2, "made by hand")
    assert challenger == version
    assert champion.version == 1


def test_a_model_is_kept_and_read_without_pickle(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [path.name for path in (finished.folder / ".churn" / "artifacts").rglob("*")]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    pipeline = finished.registry.load(1)

    assert "model.skops" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    assert pipeline.predict_proba(inputs(finished)).shape == (200, 2)


def test_a_model_of_a_type_that_nobody_named_is_not_stored(copied: Project) -> None:
    odd = Pipeline([("odd", OddStep()), *copied.registry.load(1).steps])
    tags = copied.registry.by_alias(CHALLENGER).tags

    with pytest.raises(RegistryError, match="OddStep"):
        register(copied.registry, odd, inputs(copied), tags)

    assert copied.registry.by_alias(CHALLENGER).version == 1


def fitted(name: str, project: Project) -> Any:
    """A small model of each kind that training makes."""
    rows = project.rows("features").head(300)
    frame, labels = rows.select(USE_CASE.inputs).to_pandas(), rows["label"].to_numpy()
    few = {"lightgbm": {"n_estimators": 5}, "xgboost": {"n_estimators": 5}}
    single = {
        one: pipeline(USE_CASE, CATALOGUE[one], few.get(one, {}), 0)
        for one in ("logistic_regression", "lightgbm")
    }
    if name == "blend":
        return blend(single).fit(frame, labels)
    if name == "recalibrated":
        return Recalibrated(blend(single).fit(frame, labels), 0.9, 0.1)
    if name == "monotone":
        case = replace(USE_CASE, monotone={"tenure_months": -1})
        return pipeline(case, CATALOGUE["lightgbm"], few["lightgbm"], 0).fit(frame, labels)
    return pipeline(USE_CASE, CATALOGUE[name], few.get(name, {}), 0).fit(frame, labels)


def requirements(registry: Registry, version: int) -> dict[str, str]:
    """The distributions that a stored model asks for, and their versions."""
    from mlflow.artifacts import download_artifacts

    folder = download_artifacts(
        f"models:/{registry.model_name}/{version}", tracking_uri=registry.tracking_uri
    )
    lines = Path(folder, "requirements.txt").read_text().split()
    return dict(line.split("==") for line in lines)


ALWAYS = {"mlflow", "numpy", "pandas", "scikit-learn", "scipy", "skops"}


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("logistic_regression", set()),
        ("random_forest", set()),
        ("gradient_boosting", set()),
        ("lightgbm", {"lightgbm"}),
        ("xgboost", {"xgboost-cpu"}),
        ("blend", {"lightgbm"}),
        ("recalibrated", {"lightgbm"}),
        ("monotone", {"lightgbm"}),
    ],
)
def test_a_model_of_each_kind_is_stored_with_what_it_needs_and_scores_the_same(
    name: str, needs: set[str], copied: Project
) -> None:
    registry, model, rows = copied.registry, fitted(name, copied), inputs(copied)

    version = register(registry, model, rows, {"threshold": "0.5"}).version

    again = registry.load(version)
    assert np.array_equal(again.predict_proba(rows), model.predict_proba(rows))
    needed = requirements(registry, version)
    assert set(needed) == ALWAYS | needs
    assert needed["scikit-learn"] == importlib.metadata.version("scikit-learn")


def test_types_of_a_package_that_settings_name_are_stored_and_read(copied: Project) -> None:
    rows, plain = inputs(copied), copied.registry
    trusting = replace(plain, trusted=("churn_assets_tests",))
    own = Pipeline([("odd", OddStep()), *plain.load(1).steps])

    version = register(trusting, own, rows, {"threshold": "0.5"}).version

    again = trusting.load(version)
    assert np.array_equal(again.predict_proba(rows), own.predict_proba(rows))
    with pytest.raises(RegistryError, match=r"it holds churn_assets_tests.*OddStep"):
        plain.load(version)


def test_a_model_that_only_pickle_could_store_is_refused_in_one_line(copied: Project) -> None:
    registry = replace(copied.registry, trusted=("churn_assets_tests",))
    odd = OddStep()
    odd.rule = lambda score: score
    own = Pipeline([("odd", odd), *registry.load(1).steps])

    with pytest.raises(RegistryError, match="cannot be stored without pickle") as refusal:
        register(registry, own, inputs(copied), {"threshold": "0.5"})

    assert "\n" not in str(refusal.value)
    assert registry.by_alias(CHALLENGER).version == 1


def test_a_model_that_was_registered_by_other_means_is_not_unpickled(copied: Project) -> None:
    import mlflow

    registry = copied.registry
    with open_run(registry):
        mlflow.sklearn.log_model(
            registry.load(1),
            name="model",
            serialization_format="cloudpickle",
            registered_model_name=registry.model_name,
        )

    with pytest.raises(RegistryError, match="version 2 is not stored by skops"):
        registry.load(2)


def test_a_version_carries_the_digest_of_its_files_and_so_does_the_model_table(
    finished: Project,
) -> None:
    row = finished.rows("model").row(0, named=True)

    files = StoredModel.of(stored_files(finished.registry, 1))

    assert finished.registry.by_alias(CHALLENGER).digest == files.digest
    assert row["model_digest"] == files.digest
    assert len(files.digest) == len(sha256().hexdigest())
    assert any(name.startswith("code/churn_assets/") for name in files.files)


def test_a_file_put_into_a_models_folder_is_named_and_nothing_of_the_model_is_imported(
    copied: Project,
) -> None:
    version = challenge(copied).version
    folder, path = stored_files(copied.registry, version), list(sys.path)
    mark = folder / "imported"
    for module in ("skops", "churn_assets"):
        evil = folder / "code" / module / "__init__.py"
        evil.parent.mkdir(exist_ok=True)
        evil.write_text(f"open({str(mark)!r}, 'w')")

    with pytest.raises(RegistryError) as refusal:
        copied.registry.load(version)

    assert str(refusal.value).startswith(
        f"telco_churn: the files of version {version} are not those that were registered "
        "(code/churn_assets/__init__.py was changed, code/skops/__init__.py was added), so nothing "
        "of them was loaded. Predictions stand."
    )
    assert "\n" not in str(refusal.value)
    assert sys.path == path
    assert not mark.exists()


def test_another_models_bytes_are_not_loaded_for_a_versions_own(copied: Project) -> None:
    version = challenge(copied).version
    other = stored_files(
        copied.registry,
        register(
            copied.registry, fitted("logistic_regression", copied), inputs(copied), {}
        ).version,
    )
    shutil.copyfile(other / "model.skops", stored_files(copied.registry, version) / "model.skops")

    with pytest.raises(RegistryError, match=r"\(model.skops was changed\)"):
        copied.registry.load(version)


def test_a_list_of_files_that_was_changed_with_them_names_none(copied: Project) -> None:
    registry, challenger = copied.registry, challenge(copied)
    folder = stored_files(registry, challenger.version)
    (folder / "code" / "evil.py").write_text("")
    registry.client.log_text(challenger.run_id, StoredModel.of(folder).manifest, MANIFEST)

    with pytest.raises(RegistryError, match="are not those that were registered, so nothing"):
        registry.load(challenger.version)


def test_a_version_that_was_registered_without_a_digest_is_loaded_and_can_be_given_one(
    copied: Project,
) -> None:
    registry, version = copied.registry, challenge(copied).version
    registry.client.delete_model_version_tag(registry.model_name, str(version), DIGEST)
    rows = inputs(copied)
    before = registry.load(version).predict_proba(rows)

    digest = registry.seal(version)

    folder = stored_files(registry, version)
    assert digest == registry.by_alias(CHALLENGER).digest == StoredModel.of(folder).digest
    assert np.array_equal(registry.load(version).predict_proba(rows), before)
    (folder / "requirements.txt").write_text("")
    for use in (registry.load, registry.seal):
        with pytest.raises(RegistryError, match=r"\(requirements.txt was changed\)"):
            use(version)


def test_loading_a_model_writes_nothing_beside_it(finished: Project) -> None:
    folder = stored_files(finished.registry, 1)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    finished.registry.load(1)

    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_loading_leaves_the_packages_own_code_where_it_was(finished: Project) -> None:
    import churn_assets

    path, package = list(sys.path), churn_assets.__file__

    finished.registry.load(1)

    assert sys.path == path
    assert sys.modules["churn_assets"].__file__ == package


MODEL = "models:/telco_churn/1"
FRESH = """
import importlib.util, json, pathlib, sys
sys.path[:] = [p for p in sys.path if not (pathlib.Path(p) / "churn_assets").is_dir()]
assert importlib.util.find_spec("churn_assets") is None
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
rows = pd.read_json(sys.stdin, orient="table")
scores = model.predict(rows)
import churn_assets
print(json.dumps({"scores": scores.tolist(), "code": churn_assets.__file__}))
"""


def test_a_process_without_this_package_predicts_what_predictions_say_with_the_code_kept_beside(
    finished: Project, tmp_path: Path
) -> None:
    rows = inputs(finished)
    keys = finished.rows("features").select(USE_CASE.key).head(len(rows))
    expected = keys.join(finished.rows("predictions"), on=USE_CASE.key, maintain_order="left")[
        "churn_probability"
    ]

    fresh = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            FRESH,
            finished.registry.tracking_uri,
            MODEL,
        ],
        input=rows.to_json(orient="table", double_precision=15),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert fresh.returncode == 0, fresh.stderr
    found = json.loads(fresh.stdout.splitlines()[-1])
    assert found["scores"] == pytest.approx(expected.to_list(), rel=0, abs=1e-12)
    assert "artifacts" in found["code"]


def test_the_input_example_is_made_up_and_fits_the_signature(finished: Project) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    folder = download_artifacts(MODEL, tracking_uri=finished.registry.tracking_uri)
    example = Model.load(folder).load_input_example(folder)

    customers = finished.rows("features").select(USE_CASE.inputs).to_dicts()
    assert example.to_dict("records")[0] not in customers
    assert list(example.columns) == list(USE_CASE.inputs)
    signature = finished.registry.info(1).signature
    assert signature.inputs.input_names() == list(USE_CASE.inputs)
    assert [str(column) for column in signature.outputs] == [
        "'churn_probability': double (required)"
    ]
    assert np.isfinite(finished.registry.load(1).predict_proba(example)).all()


def test_two_registries_in_one_process_do_not_mix(finished: Project, project: Project) -> None:
    ours, other = finished.registry, project.registry
    ours.connect()
    other.connect()

    loaded, info = ours.load(1), ours.info(1)

    assert loaded is not None
    assert info.signature is not None
    with pytest.raises(RegistryError, match="not found"):
        other.load(1)


def test_two_first_runs_at_once_both_find_the_experiment(project: Project) -> None:
    registries = [project.registry for _ in range(4)]
    together = threading.Barrier(len(registries))
    found: list[object] = []

    def connect(registry: Registry) -> None:
        together.wait(30)
        try:
            found.append(registry.client.get_experiment_by_name("telco_churn").experiment_id)
        except RegistryError as error:
            found.append(error)

    threads = [threading.Thread(target=connect, args=[registry]) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert found == ["1"] * len(registries)


def test_a_server_that_does_not_answer_is_named_without_its_credentials() -> None:
    registry = Registry("http://someone:very:secret@word@127.0.0.1:9", "telco_churn")

    with pytest.raises(RegistryError) as refusal:
        registry.by_alias(CHAMPION)

    message = str(refusal.value)
    assert message.startswith("MLflow at http://127.0.0.1:9: ")
    assert message.endswith("Start it, or set CHURN_MLFLOW__TRACKING_URI to one that runs.")
    assert not [part for part in ("someone", "very", "secret", "word") if part in message]
    assert "\n" not in message
    assert "secret" not in repr(registry)


class OddStep:
    """A transformer that no list of trusted types names."""

    def fit(self, table: object, labels: object = None) -> OddStep:
        return self

    def transform(self, table: object) -> object:
        return table


@pytest.fixture
def other_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], str]]:
    """A server that knows an experiment, and answers whatever else is asked with a web page."""
    servers = []

    def start(status: int) -> str:
        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = "experiments/get-by-name" in self.path
                page = json.dumps({"experiment": {"experiment_id": "1", "name": "telco_churn"}})
                body = (page if known else "<html>Please sign in</html>").encode()
                self.send_response(200 if known else status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()

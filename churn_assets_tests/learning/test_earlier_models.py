"""Models that an earlier version registered: loaded and scored as that version did."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from churn_assets.learning.explaining.contributions import contributions
from churn_assets.learning.registry import Registry
from churn_assets.learning.storing import flavor
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.registering import stored_files

EARLIER = Path(__file__).parents[1] / "data" / "registered_by_0_1_0"
EXPECTED = json.loads((EARLIER / "expected.json").read_text())
KINDS = sorted(EXPECTED["models"])
CLOSE = {"rtol": 0, "atol": 1e-12}
"""A sum of logarithms may differ in its last bits (about 1e-16) from one version of NumPy or of the
compilers of LightGBM and XGBoost to the next; 1e-12 is what `predictions` keeps of a score."""


@pytest.fixture(scope="module")
def registry(new_project: Callable[..., Project]) -> Registry:
    """A registry that holds each of them under the number of its place."""
    registry = new_project().registry
    client = registry.client
    experiment = client.get_experiment_by_name(registry.model_name).experiment_id
    client.create_registered_model(registry.model_name)
    for kind in KINDS:
        # As `Registry.register` does, with the files of that version for those of a new model.
        model = client.create_logged_model(experiment, "model")
        folder = Path(
            shutil.copytree(EARLIER / kind, model.artifact_location.removeprefix("file://"))
        )
        described = (folder / "MLmodel").read_text()
        numbered = re.sub(r"\bm-[0-9a-f]{32}\b", model.model_id, described)
        (folder / "MLmodel").write_text(numbered)
        client.create_model_version(registry.model_name, model.model_uri, model_id=model.model_id)
    return registry


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """The made-up customers that the earlier version scored."""
    return pd.DataFrame(**json.loads((EARLIER / "inputs.json").read_text()))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def uri(registry: Registry, kind: str) -> str:
    return f"models:/{registry.model_name}/{KINDS.index(kind) + 1}"


def assert_same(found: Any, kind: str) -> None:
    assert found.shape == (8, 2)
    np.testing.assert_allclose(found[:, 1], EXPECTED["models"][kind]["scores"], **CLOSE)


def test_the_registry_loads_it_and_it_scores_as_it_did(
    registry: Registry, customers: pd.DataFrame, kind: str
) -> None:
    model = registry.load(KINDS.index(kind) + 1)

    assert_same(model.predict_proba(customers), kind)


def test_it_is_explained_as_it_was(registry: Registry, customers: pd.DataFrame, kind: str) -> None:
    expected = EXPECTED["models"][kind]

    found = contributions(registry.load(KINDS.index(kind) + 1), customers)

    assert list(found.names) == EXPECTED["names"]
    # Log-odds are added up over trees and orders of inputs: more bits are lost than in a score.
    assert found.base == pytest.approx(expected["base"], abs=1e-9)
    np.testing.assert_allclose(found.values, expected["contributions"], rtol=0, atol=1e-9)


def test_a_batch_job_of_a_user_loads_it_by_scikit_learns_flavour(
    registry: Registry, customers: pd.DataFrame, kind: str
) -> None:
    import mlflow.sklearn

    registry.connect()

    model = mlflow.sklearn.load_model(uri(registry, kind))

    assert_same(model.predict_proba(customers), kind)


def test_a_batch_job_of_a_user_loads_it_by_the_python_function(
    registry: Registry, customers: pd.DataFrame, kind: str
) -> None:
    import mlflow.pyfunc

    registry.connect()

    model = mlflow.pyfunc.load_model(uri(registry, kind))

    assert_same(model.predict(customers), kind)


def test_this_packages_own_loader_gives_its_probability_of_churn(
    registry: Registry, customers: pd.DataFrame, kind: str
) -> None:
    folder = stored_files(registry, KINDS.index(kind) + 1)

    scores = flavor._load_pyfunc(str(folder)).predict(customers)

    np.testing.assert_allclose(scores, EXPECTED["models"][kind]["scores"], **CLOSE)


def test_every_kind_of_model_is_among_them() -> None:
    """What the registry trusts of this package is what stored models name."""
    from churn_assets.learning.fitting.candidates import CATALOGUE
    from churn_assets.learning.storing.trusted import TRUSTED_TYPES

    stored = "".join((EARLIER / kind / "MLmodel").read_text() for kind in KINDS)

    assert set(CATALOGUE) <= set(KINDS)
    assert not [name for name in TRUSTED_TYPES if f"- {name}\n" not in stored]

"""A version's bundle is kept with it, found again, and compiled where it has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from churn_assets.errors import BundleError, RegistryError
from churn_assets.learning.compiling.bundle import TOLERANCE, load
from churn_assets.learning.compiling.keep import bundle_of, keep_bundle
from churn_assets.learning.fitting.challenger import train_challenger
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import CHALLENGER, Registry, Version
from churn_assets.learning.storing.files import StoredFiles
from churn_assets_tests.conftest import Finished
from churn_assets_tests.learning.test_earlier_models import (
    EXPECTED,
    KINDS,
    customers,
    kind,
    registry,
)
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.registering import challenge, copy_of, open_run

__all__ = ["customers", "kind", "registry"]


@pytest.fixture
def copied(first_run: Finished, project: Project) -> Project:
    return copy_of(first_run.project, project.folder)


def challenger(project: Project) -> Version:
    version = project.registry.by_alias(CHALLENGER)
    assert version is not None
    return version


def kept(project: Project, version: Version) -> Path:
    """Where the files of a version's bundle lie."""
    file = project.registry.card_file(version.run_id, "bundle")
    assert file is not None
    return file


def test_a_model_is_registered_with_its_bundle(first_run: Finished, tmp_path: Path) -> None:
    project = first_run.project
    version = challenger(project)

    folder = bundle_of(project.registry, version, USE_CASE, tmp_path)

    digest = StoredFiles.of(kept(project, version)).digest
    assert version.bundle_digest == digest == project.champion().bundle_digest
    assert folder == tmp_path / f"{version.version}-{digest[:16]}"
    manifest = load(folder, digest).manifest
    assert (manifest.version, manifest.run_id) == (version.version, version.run_id)
    assert manifest.threshold == version.threshold
    assert manifest.path == "compiled"


def test_the_check_on_the_model_shows_how_near_it_is(first_run: Finished) -> None:
    check = first_run.run.checks["bundle_equal"]

    assert check.passed
    assert not check.blocking
    assert check.metadata["path"].value == "compiled"
    assert check.metadata["rows"].value > 800
    assert check.metadata["score"].value <= TOLERANCE
    assert "as the Pipeline on" in check.description


def test_everybody_is_scored_by_it_as_predictions_have_it(
    first_run: Finished, tmp_path: Path
) -> None:
    project = first_run.project
    rows = (
        project.rows("features")
        .join(project.rows("predictions"), on=USE_CASE.key)
        .sort(USE_CASE.key)
    )
    bundle = load(bundle_of(project.registry, challenger(project), USE_CASE, tmp_path))

    columns = rows.select(USE_CASE.inputs).to_dict(as_series=False)
    scores = bundle.scores(columns)

    assert np.abs(scores - rows["churn_probability"].to_numpy()).max() <= TOLERANCE
    assert [bundle.decide(score) for score in scores] == rows["decision"].to_list()
    assert [bundle.band(score) for score in scores] == rows["risk_band"].to_list()
    assert bundle.reasons_of(columns) == [
        list(why) for why in rows.select("reason_1", "reason_2", "reason_3").rows()
    ]
    told = rows["churn_probability"].to_list()
    assert list(map(bundle.value, told, rows.to_dicts())) == rows["expected_value"].to_list()


def test_it_is_fetched_once(first_run: Finished, tmp_path: Path) -> None:
    project = first_run.project
    version = challenger(project)
    folder = bundle_of(project.registry, version, USE_CASE, tmp_path)
    before = folder.stat().st_ino

    assert bundle_of(project.registry, version, USE_CASE, tmp_path) == folder
    assert folder.stat().st_ino == before
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]


def test_a_copy_that_was_damaged_is_fetched_again(first_run: Finished, tmp_path: Path) -> None:
    project = first_run.project
    version = challenger(project)
    folder = bundle_of(project.registry, version, USE_CASE, tmp_path)
    (folder / "manifest.json").write_text("{}")

    assert load(bundle_of(project.registry, version, USE_CASE, tmp_path), version.bundle_digest)
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]


def test_what_was_changed_in_the_registry_is_refused(copied: Project, tmp_path: Path) -> None:
    version = challenger(copied)
    # The copy shares its files with the original: its version gets others.
    wrong = replace(version, tags={**version.tags, "bundle_digest": "0" * 64})

    with pytest.raises(BundleError, match="are not those that were registered"):
        bundle_of(copied.registry, wrong, USE_CASE, tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_bundle_whose_files_are_lost_says_what_to_do(copied: Project, tmp_path: Path) -> None:
    version = challenge(copied)
    copied.registry.tag(version.version, {"bundle_digest": "0" * 64})
    lost = copied.registry.by_number(version.version, version.run_id)

    with pytest.raises(RegistryError, match="Restore the artifacts below 'bundle' of run"):
        bundle_of(copied.registry, lost, USE_CASE, tmp_path)


def test_a_version_without_one_is_compiled_when_it_is_first_asked_for(
    copied: Project, tmp_path: Path
) -> None:
    version = challenge(copied)

    folder = bundle_of(copied.registry, version, USE_CASE, tmp_path)
    again = bundle_of(copied.registry, version, USE_CASE, tmp_path)

    assert version.bundle_digest is None
    assert folder == again
    assert folder.name.startswith(f"{version.version}-")
    assert load(folder).manifest.run_id == version.run_id
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]


def test_one_that_was_compiled_here_and_changed_is_compiled_again(
    copied: Project, tmp_path: Path
) -> None:
    version = challenge(copied)
    folder = bundle_of(copied.registry, version, USE_CASE, tmp_path)
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "threshold": 0.0}))

    again = bundle_of(copied.registry, version, USE_CASE, tmp_path)

    assert again == folder
    assert load(again).manifest.threshold == version.threshold


def test_a_model_of_an_earlier_version_answers_as_it_did(
    registry: Registry, customers: pd.DataFrame, kind: str, tmp_path: Path
) -> None:
    number = KINDS.index(kind) + 1
    tags = {"threshold": "0.4", "semantic_version": "1.0.0"}
    version = Version(number, "", "", tags)

    bundle = load(bundle_of(registry, version, USE_CASE, tmp_path))

    assert bundle.manifest.path == "compiled", bundle.manifest.why
    scores = bundle.scores(customers.astype(object).where(customers.notna(), None).to_dict("list"))
    assert scores == pytest.approx(EXPECTED["models"][kind]["scores"], abs=1e-11)


@pytest.fixture
def of_ones_own(new_project: Callable[..., Project]) -> Project:
    project = new_project()
    assert project.run(project.write(), tables="raw silver rejects features").success
    return project


def test_an_estimator_of_ones_own_is_served_by_its_pipeline(
    of_ones_own: Project, tmp_path: Path
) -> None:
    naive = {"name": "naive", "estimator": "sklearn.naive_bayes.GaussianNB", "inputs": "linear"}
    place = of_ones_own.workplace
    trained = train_challenger(
        place,
        TrainingSettings(candidates=(naive,), folds=2),
        partial(open_run, place.registry),
        keep=keep_bundle,
    )
    version = challenger(of_ones_own)

    folder = bundle_of(place.registry, version, USE_CASE, tmp_path)
    bundle = load(folder, version.bundle_digest)

    figures = trained.committed.details["bundle"]
    assert figures["equal"]
    assert figures["path"] == bundle.manifest.path == "pipeline"
    assert "GaussianNB is evaluated by scikit-learn alone" in bundle.manifest.why
    rows = of_ones_own.rows("features").head(200)
    columns = rows.select(USE_CASE.inputs).to_dict(as_series=False)
    model = place.registry.load(version.version)
    truth = model.predict_proba(rows.select(USE_CASE.inputs).to_pandas())[:, 1]
    assert bundle.scores(columns) == pytest.approx(truth, abs=TOLERANCE)
    assert bundle.score(rows.to_dicts()[0]) == pytest.approx(truth[0], abs=TOLERANCE)
    assert bundle.reasons(rows.to_dicts()[0]) == bundle.reasons_of(columns)[0]

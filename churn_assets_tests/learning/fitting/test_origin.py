"""What a training depends on: a change of it trains again, nothing else does."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import churn_assets
from churn_assets.learning.fitting import origin as module
from churn_assets.learning.fitting.origin import changes, libraries, model_code, origin
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.scoring import predictions_code
from churn_assets.tables.versions import _followed
from churn_assets_tests.support.project import USE_CASE

PACKAGE = Path(churn_assets.__file__).parent
LINEAR = TrainingSettings(candidates=["logistic_regression"])


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets distributions be installed in other versions."""
    real = importlib.metadata.version
    uncached = module._installed.__wrapped__

    def install(**versions: str) -> None:
        by_name = {name.replace("_", "-"): version for name, version in versions.items()}
        monkeypatch.setattr(
            importlib.metadata, "version", lambda name: by_name.get(name) or real(name)
        )
        monkeypatch.setattr(module, "_installed", uncached)

    return install


def test_the_same_settings_have_the_same_code_version() -> None:
    assert model_code(USE_CASE, TrainingSettings()) == model_code(USE_CASE, TrainingSettings())


@pytest.mark.parametrize("change", [{"seed": 1}, {"sample": 0.5}])
def test_each_setting_of_the_training_changes_it(change: dict[str, float]) -> None:
    changed = TrainingSettings(**change)

    assert model_code(USE_CASE, changed) != model_code(USE_CASE, TrainingSettings())


def test_how_a_model_is_trained_does_not_change_how_predictions_are_made() -> None:
    """Predictions depend on the training through the Champion alone."""
    assert predictions_code(USE_CASE) == predictions_code(USE_CASE)
    assert predictions_code(USE_CASE) != model_code(USE_CASE, TrainingSettings())


def test_how_a_model_is_judged_explained_or_applied_does_not_change_it() -> None:
    followed = {
        file.relative_to(PACKAGE).as_posix()
        for file in _followed(["churn_assets.learning.fitting"])
    }

    assert {"learning/encoding.py", "learning/ensembles.py", "learning/metrics.py"} <= followed
    assert not [
        file
        for file in followed
        if file.startswith(("learning/judging", "learning/explaining", "learning/scor"))
    ]


def test_another_minor_version_of_a_library_changes_it_and_a_patch_does_not(
    installed: Callable[..., None],
) -> None:
    installed(scikit_learn="1.8.0")
    before = model_code(USE_CASE, LINEAR)

    installed(scikit_learn="1.8.3")
    assert model_code(USE_CASE, LINEAR) == before
    installed(scikit_learn="1.9.0")
    assert model_code(USE_CASE, LINEAR) != before


def test_libraries_are_followed_only_where_the_settings_say_so(
    installed: Callable[..., None],
) -> None:
    alone = LINEAR.model_copy(update={"follow_libraries": False})
    before = model_code(USE_CASE, alone)

    installed(scikit_learn="0.1.0", numpy="0.1.0")

    assert model_code(USE_CASE, alone) == before
    assert libraries(alone) == {}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        (None, {"lightgbm", "numpy", "scikit-learn", "xgboost-cpu"}),
        (["logistic_regression"], {"numpy", "scikit-learn"}),
        (["blend"], {"lightgbm", "numpy", "scikit-learn"}),
        ([{"name": "mine", "estimator": "sklearn.svm.SVC"}], {"numpy", "scikit-learn"}),
        ([{"name": "odd", "estimator": "optuna.Any"}], {"numpy", "optuna", "scikit-learn"}),
        # Its distribution bears another name.
        ([{"name": "odd", "estimator": "yaml.Any"}], {"numpy", "pyyaml", "scikit-learn"}),
        # A module of one's own, and one that is not there.
        ([{"name": "own", "estimator": f"{__package__}.A"}], {"numpy", "scikit-learn"}),
        ([{"name": "gone", "estimator": "nowhere.A"}], {"numpy", "scikit-learn"}),
        (["unknown"], {"numpy", "scikit-learn"}),
    ],
)
def test_the_libraries_are_those_that_the_candidates_are_fitted_with(
    candidates: Any, expected: set[str], installed: Callable[..., None]
) -> None:
    installed(scikit_learn="1.8.3")

    found = libraries(TrainingSettings(candidates=candidates))

    assert {name.lower() for name in found} == expected
    assert found["scikit-learn"] == "1.8"


def test_asking_for_a_code_version_imports_nothing_heavy_and_takes_no_time() -> None:
    script = (
        "import sys;"
        "from churn_assets.learning.fitting.origin import model_code;"
        "from churn_assets.learning.recipe import TrainingSettings;"
        "from churn_assets.usecases import USE_CASES;"
        "model_code(USE_CASES['telco_churn'], TrainingSettings());"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )

    heavy = {"mlflow", "lightgbm", "sklearn", "pandas", "pyspark", "scipy", "matplotlib", "xgboost"}
    assert not heavy & set(found.stdout.split())
    libraries(TrainingSettings())
    started = time.process_time()
    for _ in range(100):
        libraries(TrainingSettings())
    assert (time.process_time() - started) / 100 < 0.005


def test_an_origin_can_be_kept_and_read_again() -> None:
    one = origin(USE_CASE, TrainingSettings(), "1")

    assert set(one) == {"code", "use_case", "settings", "libraries", "features"}
    assert changes(one, origin(USE_CASE, TrainingSettings(), "1")) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "training.seed 1 instead of 0"),
        ({"tuning": {"trials": 30}}, "training.tuning.trials 30 instead of 0"),
        ({"candidates": ["lightgbm"]}, "training.candidates"),
        (
            {"metric": "brier", "folds": 3},
            'training.metric "brier" instead of "log_loss", training.folds 3 instead of 5',
        ),
        ({"follow_libraries": False}, "training.follow_libraries false instead of true"),
    ],
)
def test_changed_settings_are_named(change: dict[str, Any], words: str) -> None:
    before = origin(USE_CASE, TrainingSettings(), "1")
    now = origin(USE_CASE, TrainingSettings(**change), "1")

    assert changes(before, now) == [f"settings changed ({words})"]


def test_a_setting_that_the_earlier_version_did_not_have_was_not_changed() -> None:
    now = origin(USE_CASE, TrainingSettings(), "1")
    settings = {name: value for name, value in now["settings"].items() if name != "folds"}

    assert changes({**now, "settings": settings, "code": "other"}, now) == [
        "the code that trains changed"
    ]

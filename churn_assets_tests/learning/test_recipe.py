"""What a training depends on: a change of it trains again, nothing else does."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from churn_assets.learning.recipe import TrainingSettings, model_code, predictions_code
from churn_assets_tests.support.project import USE_CASE


def test_the_same_settings_have_the_same_code_version() -> None:
    assert model_code(USE_CASE, TrainingSettings()) == model_code(USE_CASE, TrainingSettings())


@pytest.mark.parametrize("change", [{"seed": 1}, {"sample": 0.5}])
def test_each_setting_of_the_training_changes_it(change: dict[str, float]) -> None:
    changed = TrainingSettings(**change)

    assert model_code(USE_CASE, changed) != model_code(USE_CASE, TrainingSettings())


def test_a_seed_does_not_change_how_predictions_are_made() -> None:
    """Predictions depend on the training through the Champion alone."""
    assert predictions_code(USE_CASE) == predictions_code(USE_CASE)
    assert predictions_code(USE_CASE) != model_code(USE_CASE, TrainingSettings())


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"sample": 1.5}, {"sampel": 0.5}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings(**wrong)


def test_asking_for_a_code_version_imports_nothing_heavy() -> None:
    script = (
        "import sys;"
        "from churn_assets.learning.recipe import TrainingSettings, model_code;"
        "from churn_assets.usecases import USE_CASES;"
        "model_code(USE_CASES['telco_churn'], TrainingSettings());"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )

    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )

    heavy = {"mlflow", "lightgbm", "sklearn", "pandas", "pyspark", "scipy", "matplotlib"}
    assert not heavy & set(found.stdout.split())

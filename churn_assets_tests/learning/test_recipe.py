"""The settings of a training, and what predictions depend on."""

import pytest
from pydantic import ValidationError

from churn_assets.learning.fitting.origin import model_code
from churn_assets.learning.recipe import TrainingSettings, predictions_code
from churn_assets_tests.support.project import USE_CASE


def test_a_seed_does_not_change_how_predictions_are_made() -> None:
    """Predictions depend on the training through the Champion alone."""
    assert predictions_code(USE_CASE) == predictions_code(USE_CASE)
    assert predictions_code(USE_CASE) != model_code(USE_CASE, TrainingSettings())


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"sample": 1.5}, {"sampel": 0.5}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings(**wrong)

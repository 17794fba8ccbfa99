"""The settings of a training."""

import pytest
from pydantic import ValidationError

from churn_assets.learning.recipe import TrainingSettings


@pytest.mark.parametrize("wrong", [{"sample": 0}, {"sample": 1.5}, {"sampel": 0.5}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TrainingSettings(**wrong)

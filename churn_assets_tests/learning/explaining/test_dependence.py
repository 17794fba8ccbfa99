"""How the mean score depends on one input."""

from __future__ import annotations

import pandas as pd
import pytest

from churn_assets.learning.explaining.dependence import partial_dependence
from churn_assets_tests.support.explaining import Fitted, scores


def test_partial_dependence_is_the_mean_score_with_the_input_set(
    fitted: Fitted, inputs: pd.DataFrame
) -> None:
    model = fitted("blend")
    some = inputs.head(300)

    dependence = partial_dependence(model, some, "contract")

    assert dependence.values == ["Month-to-month", "One year", "Two year"]
    expected = [scores(model, some.assign(contract=value)).mean() for value in dependence.values]
    assert dependence.scores == pytest.approx(expected)


def test_partial_dependence_tries_what_a_number_takes(fitted: Fitted, inputs: pd.DataFrame) -> None:
    model = fitted("logistic_regression")

    dependence = partial_dependence(model, inputs, "tenure_months", most=8)
    flag = partial_dependence(model, inputs, "is_new")

    known = inputs["tenure_months"]
    assert (dependence.values[0], dependence.values[-1]) == (known.min(), known.max())
    assert 2 < len(dependence.values) <= 8
    assert set(dependence.values) <= set(known)
    assert flag.values == [0, 1]


def test_an_input_that_nobody_has_depends_on_nothing(fitted: Fitted, inputs: pd.DataFrame) -> None:
    for name in ("tenure_months", "contract"):
        unknown = inputs.head(50).assign(**{name: None})

        dependence = partial_dependence(fitted("lightgbm"), unknown, name)

        assert (dependence.values, len(dependence.scores)) == ([], 0)

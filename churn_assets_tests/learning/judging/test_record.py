"""The record of promotions, and the alias that follows it."""

from __future__ import annotations

import pytest

from churn_assets.errors import RegistryError
from churn_assets.learning.judging.record import align, on_record
from churn_assets.learning.registry import CHALLENGER, CHAMPION
from churn_assets_tests.support.project import Project
from churn_assets_tests.support.registering import bearers, challenge

NOBODY = "0.99"
"""A threshold at which nobody is decided as churn, so that F1 is 0."""


def test_before_the_first_promotion_nobody_is_on_record(project: Project) -> None:
    assert on_record(project.table("champion")) is None
    assert align(project.table("champion"), project.registry) is None


@pytest.mark.parametrize("alias", ["removed", "on the Challenger"])
def test_an_alias_that_does_not_follow_the_record_is_put_right(copied: Project, alias: str) -> None:
    challenge(copied, threshold=NOBODY)
    if alias == "removed":
        copied.registry.client.delete_registered_model_alias("telco_churn", CHAMPION)
    else:
        copied.registry.point(CHAMPION, 2)

    record = align(copied.table("champion"), copied.registry)

    assert record == copied.champion()
    assert bearers(copied) == {CHALLENGER: 2, CHAMPION: 1}


def test_an_alias_is_never_put_on_another_model_than_the_one_on_record(
    copied: Project,
) -> None:
    """A registry that starts over gives the same number to another run's model."""
    registry = copied.registry
    registry.client.delete_registered_model("telco_churn")
    registry.client.create_registered_model("telco_churn")
    registry.client.create_model_version("telco_churn", "file:///nowhere")

    with pytest.raises(RegistryError, match="Restore the registry's database"):
        align(copied.table("champion"), registry)

    assert registry.by_alias(CHAMPION) is None

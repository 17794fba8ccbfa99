"""A process that commits one change of who answers, for a worker that was asked to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from churn_assets.learning.workplace import Workplace
from churn_assets.serving import beside
from churn_assets.serving.loader import lake_of, registry_of, rollout_of
from churn_assets.serving.traffic.changes import change
from churn_assets.serving.traffic.wishes import Wish
from churn_assets.settings import Settings

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase


class Asked(beside.Asked):
    """What a worker hands on.

    Parameters
    ----------
    wish : Wish
        What is to hold.
    by, why : str
        Who asks, and the reason.
    """

    wish: Wish
    by: str
    why: str


def changed(asked: Asked, settings: Settings, case: UseCase) -> dict[str, Any]:
    """Commit what is asked; who answers then."""
    place = Workplace(case, lake_of(settings).of(case), registry_of(settings, case))
    done = change(place, asked.wish, rollout_of(settings), by=asked.by, why=asked.why)
    stands = done.standing
    return {"traffic": None if stands is None else msgspec.to_builtins(stands.traffic)}


if __name__ == "__main__":
    sys.exit(beside.answer(Asked, changed))

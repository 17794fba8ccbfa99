"""Promotes a project's Challenger in a process of its own, once for each line that it is sent."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

from churn_assets.assets.resources import resources
from churn_assets.errors import GateError
from churn_assets.learning.judging.promotion import promote
from churn_assets.learning.registry import CHALLENGER, Registry
from churn_assets.settings import Settings
from churn_assets_tests.support.project import USE_CASE

DIED = 86
"""Exit status of a process that died on purpose."""


def promote_for_ever(root: str, test: Connection, *, dies: bool) -> None:
    """Promote for each line of a test, and say what came of it.

    One that dies does so between the commit to the table and the alias.
    """
    if dies:
        Registry.point = lambda *_: os._exit(DIED)  # type: ignore[method-assign]
    place = resources(Settings(root=root)).workplace(USE_CASE)
    # What is slow at first is done before the race.
    place.registry.load(place.registry.by_alias(CHALLENGER).version)
    test.send("ready")
    while True:
        who = test.recv()
        try:
            committed, _ = promote(place, who)
            test.send("promoted" if committed.changed else "unchanged")
        except GateError as error:
            test.send(str(error))

"""Promotes a project's Challenger in a process of its own: at each line that it is sent.

`python -m churn_assets_tests.integration.promoting ROOT [dies]` says `ready`, then for each
line what came of it. One that dies does so between the commit to the table and the alias.
"""

from __future__ import annotations

import os
import sys

from churn_assets.assets.resources import resources
from churn_assets.errors import GateError
from churn_assets.learning.promotion import promote
from churn_assets.learning.registry import CHALLENGER, Registry
from churn_assets.settings import Settings
from churn_assets_tests.project import USE_CASE

DIED = 86
"""Exit status of a process that died on purpose."""


def main(root: str, *modes: str) -> None:
    if "dies" in modes:
        Registry.point = lambda *_: os._exit(DIED)  # type: ignore[method-assign]
    shared = resources(Settings(root=root))
    tables, registry = shared["lake"].of(USE_CASE), shared["mlflow"].registry(USE_CASE)
    # What is slow at first is done before the race.
    registry.load(registry.by_alias(CHALLENGER).version)
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            committed, _ = promote(USE_CASE, tables, registry, f"process {line.strip()}")
            print("promoted" if committed.changed else "unchanged", flush=True)
        except GateError as error:
            print(error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

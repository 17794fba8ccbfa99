"""What is predicted: one use case a file, found by being there."""

import importlib
import pkgutil

from churn_assets.usecases.spec import UseCase


def _found() -> dict[str, UseCase]:
    """Every use case that a module of this package holds, by its name."""
    found: dict[str, UseCase] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for held in vars(importlib.import_module(module.name)).values():
            if not isinstance(held, UseCase):
                continue
            if found.setdefault(held.name, held) is not held:
                raise ValueError(f"two use cases are named '{held.name}'; give one another name")
    return found


USE_CASES: dict[str, UseCase] = _found()

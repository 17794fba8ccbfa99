"""What is predicted: one use case a file, found by being there."""

import importlib
import pkgutil
import traceback
from types import ModuleType

from churn_assets.errors import UseCaseError, first_line
from churn_assets.usecases.spec import UseCase

USE_CASES: dict[str, UseCase]
"""Every use case that a module of this package holds, by its name; looked for when asked for."""


def __getattr__(name: str) -> dict[str, UseCase]:
    if name != "USE_CASES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = _found()
    return found


def _found() -> dict[str, UseCase]:
    found: dict[str, UseCase] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for held in vars(_imported(module.name)).values():
            if not isinstance(held, UseCase):
                continue
            if found.setdefault(held.name, held) is not held:
                raise UseCaseError(
                    f"{module.name}: another use case is named '{held.name}' as well. Give one "
                    "another name."
                )
    return found


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        told = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, SyntaxError):
            place = f"{error.filename}, line {error.lineno}"
        else:
            *_, last = traceback.extract_tb(error.__traceback__)
            place = f"{last.filename}, line {last.lineno}"
        raise UseCaseError(
            f"the use case {name.rpartition('.')[2]} cannot be loaded: {place}: {told}. Mend its "
            "file, or take it out of the folder."
        ) from error

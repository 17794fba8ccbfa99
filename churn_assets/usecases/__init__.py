"""What is predicted: one use case a file, found by being there."""

import importlib
import pkgutil
import traceback
from functools import cache
from types import ModuleType

from churn_assets.errors import UseCaseError, first_line
from churn_assets.usecases.spec import UseCase

USE_CASES: dict[str, UseCase]
"""Every use case that a module of this package holds, by its name; looked for at first use."""


def __getattr__(name: str) -> dict[str, UseCase]:
    # Not at import: the modules of the use cases import this package themselves.
    if name == "USE_CASES":
        return _use_cases()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def find_use_cases() -> dict[str, UseCase]:
    """Every use case of this package's modules, by its name.

    Raises
    ------
    UseCaseError
        Where a module cannot be loaded, or two use cases have one name.
    """
    use_cases: dict[str, UseCase] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(_load(module.name)).values():
            if not isinstance(value, UseCase):
                continue
            if use_cases.setdefault(value.name, value) is not value:
                raise UseCaseError(
                    f"{module.name}: another use case is named '{value.name}' as well. Give one "
                    "another name."
                )
    return use_cases


_use_cases = cache(find_use_cases)


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        fault = f"{type(error).__name__}: {first_line(error)}"
        if isinstance(error, SyntaxError):
            place = f"{error.filename}, line {error.lineno}"
        else:
            *_, last = traceback.extract_tb(error.__traceback__)
            place = f"{last.filename}, line {last.lineno}"
        raise UseCaseError(
            f"the use case {name.rpartition('.')[2]} cannot be loaded: {place}: {fault}. Mend its "
            "file, or take it out of the folder."
        ) from error

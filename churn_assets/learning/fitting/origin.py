"""What a training is made from, and why it is done again; light, so that definitions can ask."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from churn_assets.learning.fitting.candidates import estimators
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import UseCase

_CODE = "churn_assets.learning.fitting"
_DISTRIBUTIONS = {"sklearn": ("scikit-learn",), "xgboost": ("xgboost-cpu", "xgboost")}
"""By package, where its own name is another one."""
_ALWAYS = ("sklearn", "numpy")
"""What every candidate is fitted with."""
_BY_EARLIER_VERSION = "the model on record was trained by an earlier version of Churn Assets"


def model_code(use_case: UseCase, settings: TrainingSettings) -> str:
    """Version of the code, settings and libraries that make a model."""
    return code_version(
        _CODE,
        use_case=use_case.declared,
        libraries=libraries(settings),
        **settings.model_dump(),
    )


def study_name(use_case: UseCase, settings: TrainingSettings, rows_version: str) -> str:
    """Name of a search: of everything that changes a trial, and not of how many there are."""
    unbounded = settings.tuning.model_copy(update={"trials": 0, "seconds": None})
    # Choice and threshold come after the search.
    searched = settings.model_copy(
        update={"tuning": unbounded, "threshold": "f1", "choice": "best"}
    )
    version = data_version(model_code(use_case, searched), {"rows": rows_version})
    return f"{use_case.name}-{version[:16]}"


def libraries(settings: TrainingSettings) -> dict[str, str]:
    """Minor version of each library that the candidates are fitted with, by its distribution.

    They are read from what is installed, and not imported. Where `follow_libraries` is off there
    are none, and nor is a package that no distribution is found of, as a module of one's own.
    """
    if not settings.follow_libraries:
        return {}
    packages = {*_ALWAYS, *(path.partition(".")[0] for path in estimators(settings))}
    installed = (_installed(package) for package in sorted(packages - {"churn_assets"}))
    return {name: _minor(version) for name, version in filter(None, installed)}


def origin(
    use_case: UseCase, settings: TrainingSettings, features_version: str
) -> Mapping[str, Any]:
    """What a training is made from, to be kept with the model table's commit.

    Parameters
    ----------
    use_case : UseCase
        What is predicted.
    settings : TrainingSettings
        How it is trained.
    features_version : str
        Data version of the features.
    """
    parts = {
        "code": code_version(_CODE),
        "use_case": code_version(use_case=use_case.declared),
        "settings": settings.model_dump(mode="json"),
        "libraries": libraries(settings),
        "features": features_version,
    }
    # As it will be read again.
    stored: dict[str, Any] = json.loads(json.dumps(parts, default=str))
    return stored


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between the origins of two trainings, in words.

    Parameters
    ----------
    before : mapping
        That of the model on record, as `origin` gave it; empty where an earlier version of this
        package, which kept none, made it.
    now : mapping
        That of the training to come.
    """
    if not before:
        return [_BY_EARLIER_VERSION]
    words = list(_library_changes(before["libraries"], now["libraries"]))
    if before["features"] != now["features"]:
        words.append("the features changed")
    settings = list(_setting_changes("training", before["settings"], now["settings"]))
    if settings:
        words.append(f"settings changed ({', '.join(settings)})")
    if before["code"] != now["code"]:
        words.append("the code that trains changed")
    if before["use_case"] != now["use_case"]:
        words.append("the use case changed")
    return words


def _library_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in now:
        # One that came or went did so with the settings, which say so.
        if name in before and before[name] != now[name]:
            yield f"{name} {now[name]} instead of {before[name]}"


def _setting_changes(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in now:
        # A setting that the earlier version did not have was not changed by anybody.
        if key not in before or before[key] == now[key]:
            continue
        called = f"{name}.{key}"
        if isinstance(before[key], Mapping) and isinstance(now[key], Mapping):
            yield from _setting_changes(called, before[key], now[key])
        elif isinstance(before[key], list) or isinstance(now[key], list):
            yield called
        else:
            yield f"{called} {json.dumps(now[key])} instead of {json.dumps(before[key])}"


@cache
def _installed(package: str) -> tuple[str, str] | None:
    """Name and version of the distribution that a package comes from."""
    for name in _DISTRIBUTIONS.get(package, (package,)):
        try:
            return name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    # Asking what each installed file belongs to takes its time, and is of no use for one's own.
    if spec is None or not str(spec.origin).startswith(sysconfig.get_path("purelib")):
        return None
    names = importlib.metadata.packages_distributions().get(package)
    return None if not names else (names[0], importlib.metadata.version(names[0]))


def _minor(version: str) -> str:
    """A version without what comes after its second number.

    >>> _minor("1.8.3")
    '1.8'
    """
    numbers = re.match(r"\d+(\.\d+)?", version)
    return version if numbers is None else numbers[0]

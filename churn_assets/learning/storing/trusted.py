"""Which types a stored model may hold, and which packages they need."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Any

from churn_assets.errors import RegistryError, first_line

TRUSTED_TYPES = [
    "churn_assets.learning.encoding.LinearEncoder",
    "churn_assets.learning.encoding.MonotonePipeline",
    "churn_assets.learning.encoding.TableEncoder",
    "churn_assets.learning.ensembles.Blend",
    "churn_assets.learning.ensembles.Recalibrated",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
]
"""What a stored model may hold beside what skops takes by itself."""

REQUIREMENTS = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
"""What every stored model needs; and the packages of its own types."""
_DISTRIBUTIONS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu"}
_NEEDS_NO_MORE = {"builtins", "churn_assets", "collections", "numpy", "sklearn"}
"""Packages that come with Python, the model or `REQUIREMENTS`."""


def untrusted(types: Iterable[str], packages: tuple[str, ...]) -> list[str]:
    """Those of some types that are neither this package's to store nor of the packages named."""
    return [
        name
        for name in types
        if name not in TRUSTED_TYPES and name.partition(".")[0] not in packages
    ]


def storable_types(pipeline: Any, packages: tuple[str, ...], model_name: str) -> list[str]:
    """The types of a pipeline that skops takes only by name.

    Raises
    ------
    RegistryError
        Where it cannot be stored without pickle, or holds a type of no package that was named.
    """
    from skops.io import dumps, get_untrusted_types, loads

    try:
        stored = dumps(pipeline)
        types: list[str] = get_untrusted_types(data=stored)
        odd = untrusted(types, packages)
        if not odd:
            # Some things can be written and not be read.
            loads(stored, trusted=types)
    except Exception as error:
        raise RegistryError(
            f"{model_name}: the model cannot be stored without pickle: {first_line(error)}. "
            "Choose another estimator in `training.candidates`."
        ) from error
    if odd:
        raise RegistryError(
            f"{model_name}: the model holds {odd[0]}, and only types of packages that "
            "`training.candidates` names are stored beside this package's own."
        )
    return types


def requirements(types: Iterable[str]) -> list[str]:
    """The distributions that a model of such types needs, pinned to those that made it."""
    packages = {name.partition(".")[0] for name in types} - _NEEDS_NO_MORE
    unknown = packages - set(_DISTRIBUTIONS)
    # Asking what each installed file belongs to takes its time.
    known = importlib.metadata.packages_distributions() if unknown else {}
    names = {_DISTRIBUTIONS.get(name) or known.get(name, [""])[0] for name in packages}
    return [
        f"{name}=={importlib.metadata.version(name)}"
        for name in sorted({*REQUIREMENTS, *filter(None, names)})
    ]

"""Bundles for tests: compiled in memory, written, loaded as a server does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from churn_assets.learning.compiling.bundle import Bundle, load
from churn_assets.learning.compiling.compile import Compiled, compile_model
from churn_assets.learning.compiling.format import write
from churn_assets.learning.registry import Version
from churn_assets.learning.storing.files import StoredModel
from churn_assets.usecases.spec import UseCase
from churn_assets_tests.support.project import USE_CASE

VERSION = Version(3, "a" * 32, "", {"threshold": "0.31", "semantic_version": "1.2.0"})


def compiled(model: Any, use_case: UseCase = USE_CASE, **given: Any) -> Compiled:
    """A model's bundle, for which there is no Pipeline to fall back on."""
    return compile_model(use_case, model, VERSION, "telco", **{"stored": _no_pipeline, **given})


def loaded(one: Compiled, folder: Path) -> Bundle:
    """A bundle as a server has it."""
    return load(folder, write(folder, one.files))


def _no_pipeline() -> StoredModel:
    raise AssertionError("the Pipeline was asked for")

"""What tests of explanations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from churn_assets.usecases.spec import Column, Contract, Label, String, UseCase

Fitted = Callable[[str], Any]
"""Gives a candidate's default, fitted."""


def scores(model: Any, inputs: pd.DataFrame) -> np.ndarray:
    return np.asarray(model.predict_proba(inputs)[:, 1], dtype=float)


def plain_use_case(
    numeric: tuple[str, ...], categorical: tuple[str, ...] = (), **more: Any
) -> UseCase:
    return UseCase(
        name="made",
        key="id",
        label=Label("left", "Yes"),
        contract=Contract(Column("id", String), Column("left", String)),
        clean=lambda frame: frame,
        features=lambda frame: frame,
        numeric=numeric,
        categorical=categorical,
        description="",
        **more,
    )

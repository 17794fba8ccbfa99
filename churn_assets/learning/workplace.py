"""A use case with where its tables and its models are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from churn_assets.learning.registry import Registry
    from churn_assets.tables.lake import Table
    from churn_assets.usecases.spec import UseCase


MODEL_TABLES = ("model", "champion", "predictions", "scores")
SERVED_TABLES = ("traffic", "requests")
"""The tables that servers write to, once there is one."""


def model_tables(_: UseCase) -> tuple[str, ...]:
    """The tables that learning adds for a use case, in the order in which they are made."""
    return MODEL_TABLES


def served_tables(_: UseCase) -> tuple[str, ...]:
    """The tables of a use case that servers write to."""
    return SERVED_TABLES


@dataclass(frozen=True)
class Workplace:
    """What training, judging and scoring of a use case work on.

    Parameters
    ----------
    use_case : UseCase
        What is predicted.
    tables : mapping of str to Table
        Its tables, by name.
    registry : Registry
        Its registered models.
    """

    use_case: UseCase
    tables: Mapping[str, Table]
    registry: Registry

"""What a Challenger must reach: the settings of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from churn_assets.learning.recipe import Part

LOSSES = ("log_loss", "brier")
"""Metrics of which less is better, so that a floor is the greatest value allowed."""


class GateSettings(Part):
    """What a Challenger must reach.

    Parameters
    ----------
    rule : {"refresh", "improve"}
        Not worse than the Champion, or better as well.
    auc_margin, brier_margin : float
        How much worse still counts as not worse.
    first_auc : float
        Lower 95 % bound of ROC AUC that the first Champion must reach.
    floors : mapping of str to float
        Least value of a metric on test rows, of a loss the greatest, for every Challenger.
    value : {"block", "warn"}
        Whether less simulated value than the Champion's refuses, or warns.
    value_tolerance : float
        Share of the Champion's value that may be lost.
    slice_rows : int
        Least test rows of a slice that is judged; one with fewer than 50 churners or stayers
        is not.
    slice_tolerance : float
        F1 that a slice may lose, beyond chance.
    approval : {"none", "required"}
        Whether a person must approve.
    """

    rule: Literal["refresh", "improve"] = "refresh"
    auc_margin: float = Field(default=0.005, ge=0)
    brier_margin: float = Field(default=0.0015, ge=0)
    first_auc: float = Field(default=0.6, ge=0.5, le=1)
    floors: Mapping[str, float] = {}
    value: Literal["block", "warn"] = "warn"
    value_tolerance: float = Field(default=0.02, ge=0, le=1)
    slice_rows: int = Field(default=100, ge=1)
    slice_tolerance: float = Field(default=0.05, ge=0, le=1)
    approval: Literal["none", "required"] = "none"


DEFAULT_GATES = GateSettings()

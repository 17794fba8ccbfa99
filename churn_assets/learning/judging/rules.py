"""What a Challenger must reach: the settings of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from churn_assets.learning.recipe import Part

LOSSES = ("log_loss", "brier")
"""Metrics of which less is better, so that a floor is the greatest value allowed."""
MARGIN_ERRORS = 2.5
"""Standard errors of a difference that a refresh may lose on few rows; `benchmarks/gate_law.py`
shows what comes of it."""
MOST_AUC_MARGIN, MOST_BRIER_MARGIN = 0.025, 0.05
"""What it may lose at most, however few they are; of the Brier score as a share."""
Overridable = Literal[
    "better_than_chance",
    "f1_gate",
    "first_champion",
    "non_inferiority",
    "superiority",
    "value",
    "floors",
    "calibration",
    "slices",
    "stress",
]
"""Gates that a person may be let to decide against: all but governance, and approval itself."""


class GateSettings(Part):
    """What a Challenger must reach.

    Parameters
    ----------
    rule : {"refresh", "improve"}
        Not worse than the Champion, or better as well.
    auc_margin : float
        How much less ROC AUC still counts as not worse.
    brier_margin : float
        The same of the Brier score, as a share of the base rate's, p (1 - p). By `refresh` either
        margin grows to 2.5 standard errors of the difference where rows are few, up to .025 and
        .05.
    f1_margin : float
        How much less F1 than the Champion's is taken.
    first_auc : float
        Lower 95 % bound of ROC AUC that the first Champion must reach.
    floors : mapping of str to float
        Least value of a metric on test rows, of a loss the greatest, for every Challenger.
    value : {"block", "warn"}
        Whether less simulated value than the Champion's refuses, or warns.
    value_tolerance : float
        Share of the Champion's value that may be lost.
    calibration : {"block", "warn"}
        Whether scores that are not probabilities refuse, or warn; with a business case, which
        contacts people by them, they refuse.
    slice_rows : int
        Least test rows of a slice that is judged; one with fewer than 50 churners or stayers
        is not.
    slice_tolerance : float
        F1 that a slice may lose, beyond chance.
    override : tuple of str
        Gates that a person may decide against, by `churn approve --despite`.
    approval : {"none", "required"}
        Whether a person must approve.
    """

    rule: Literal["refresh", "improve"] = "refresh"
    auc_margin: float = Field(default=0.005, ge=0)
    brier_margin: float = Field(default=0.0075, ge=0)
    f1_margin: float = Field(default=0.0, ge=0, le=1)
    first_auc: float = Field(default=0.6, ge=0.5, le=1)
    floors: Mapping[str, float] = {}
    value: Literal["block", "warn"] = "warn"
    value_tolerance: float = Field(default=0.02, ge=0, le=1)
    calibration: Literal["block", "warn"] = "block"
    slice_rows: int = Field(default=100, ge=1)
    slice_tolerance: float = Field(default=0.05, ge=0, le=1)
    override: tuple[Overridable, ...] = ()
    approval: Literal["none", "required"] = "none"


DEFAULT_GATES = GateSettings()

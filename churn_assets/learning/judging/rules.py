"""What a Challenger must reach: the settings of the gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

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
    approval : {"none", "incomparable", "required"}
        Whether a person must approve: never, where the Champion cannot be compared with, or always.
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
    approval: Literal["none", "incomparable", "required"] = "none"

    def and_of(self, experiment: Mapping[str, Any]) -> GateSettings:
        """These settings, and what an experiment asks for beyond them.

        Parameters
        ----------
        experiment : mapping of str to any
            Settings by name, as `model_dump` gives them; of each the stricter one holds.

        >>> GateSettings(f1_margin=0.1).and_of({"f1_margin": 0.0, "floors": {"f1": 0.5}}).floors
        {'f1': 0.5}
        """
        asked = GateSettings.model_validate(experiment)
        held = {
            name: _stricter(name, getattr(self, name), getattr(asked, name))
            for name in asked.model_fields_set
        }
        return self.model_copy(update=held)


DEFAULT_GATES = GateSettings()
_STRICTEST_LAST = {
    "rule": ("refresh", "improve"),
    "value": ("warn", "block"),
    "calibration": ("warn", "block"),
    "approval": ("none", "incomparable", "required"),
}


def _stricter(name: str, one: Any, other: Any) -> Any:
    """Of two values of a setting, the one that lets fewer pass."""
    if name == "floors":
        both = {**one, **other}
        strict = {metric: min if metric in LOSSES else max for metric in both}
        return {
            metric: strict[metric](one.get(metric, floor), other.get(metric, floor))
            for metric, floor in both.items()
        }
    if name == "override":
        return tuple(gate for gate in one if gate in other)
    if name in _STRICTEST_LAST:
        return max(one, other, key=_STRICTEST_LAST[name].index)
    # Of the others a smaller margin, tolerance or group is stricter.
    return max(one, other) if name == "first_auc" else min(one, other)

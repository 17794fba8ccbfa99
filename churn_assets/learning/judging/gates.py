"""The gates, each in one entry.

A new gate is a judge in `judges.py` and an entry here; docs/learning.md shows the same table.
"""

from __future__ import annotations

from churn_assets.learning.judging import approvals, gate_plots, judges
from churn_assets.learning.judging.gate import Gate

GATES = (
    Gate(
        "governance",
        "Described, signed, with an example and lineage; nobody rejected it; it loads and scores "
        "real rows.",
        judges.governance,
        counts_rows=False,
    ),
    Gate(
        "better_than_chance",
        "ROC AUC's lower 95 % bound beats guessing on test rows; the Brier score and, where the "
        "threshold is F1's, F1 are not surely below those of guessing.",
        judges.better_than_chance,
        gate_plots.ranks,
    ),
    Gate(
        "f1_gate",
        "F1 at least the Champion's on the same test rows, less `f1_margin`, each at its own "
        "threshold.",
        judges.f1_gate,
        gate_plots.f1_gain,
    ),
    Gate(
        "first_champion",
        "There is a Champion to compare with, or: ROC AUC's lower 95 % bound reaches `first_auc`, "
        "the Brier score is not surely above the base rate's, the mean score is near the rate.",
        judges.first_champion,
        gate_plots.scores_by_outcome,
    ),
    Gate(
        "non_inferiority",
        "Lower 95 % bounds: ROC AUC not lower than the Champion's by `auc_margin` (paired "
        "DeLong), Brier score not higher by the share `brier_margin` of the base rate's; by "
        "`refresh` the margins grow where rows are few.",
        judges.non_inferiority,
        gate_plots.ranks_of_both,
    ),
    Gate(
        "superiority",
        "Lower 95 % bound: a better Brier score than the Champion's.",
        judges.superiority,
        gate_plots.brier_gain,
        applies=lambda _, settings: settings.rule == "improve",
        condition="with `rule: improve`",
    ),
    Gate(
        "value",
        "Simulated value at least the Champion's, less `value_tolerance`, each contacting whom it "
        "says it pays to; warns, or blocks with `value: block`.",
        judges.value,
        gate_plots.values,
        applies=lambda use_case, _: use_case.business is not None,
        condition="with a business case",
        blocks=lambda _, settings: settings.value == "block",
    ),
    Gate(
        "floors",
        "Each metric that the settings name reaches its floor on test rows.",
        judges.floors,
        gate_plots.floors,
        applies=lambda _, settings: bool(settings.floors),
        condition="with `floors`",
    ),
    Gate(
        "calibration",
        "Scores are as high as the rates that come true, as far as chance tells: by their mean, by "
        "tenths, by Cox's slope and intercept; without a business case `calibration: warn` warns.",
        judges.calibration,
        gate_plots.calibration,
        blocks=lambda use_case, settings: (
            use_case.business is not None or settings.calibration == "block"
        ),
    ),
    Gate(
        "slices",
        "In no group of at least `slice_rows` customers, 50 churners and 50 stayers among them, is "
        "F1 below the Champion's by more than `slice_tolerance` beyond the chance of all groups "
        "together.",
        judges.slices,
        gate_plots.slices,
        applies=lambda use_case, _: bool(use_case.slices),
        condition="with `slices` in the use case",
    ),
    Gate(
        "stress",
        "Scores hostile but valid rows, and keeps to what the use case calls monotone.",
        judges.stress,
        gate_plots.stress,
    ),
    Gate(
        "approval",
        "A person approved this version on this evidence; by `approval: incomparable` only where "
        "the Champion cannot be compared with.",
        approvals.approval,
        applies=lambda _, settings: settings.approval != "none",
        condition="with `approval: required` or `incomparable`",
    ),
)
"""In the order in which they speak."""

"""A model card of made-up values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from churn_assets.learning.card.page import Card, Effect, Group, Part, Policy, Score, Stage, Worth
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.pages.plots import Line, draw

WORD = "Some & <x-word>text</x-word> \"quoted\" 'so'"
"""What would change a page, were it not escaped."""


def made_up(word: str = WORD, **changes: Any) -> Card:
    """A card that has everything, with a word wherever text from elsewhere is shown."""
    svg = draw("A line", [Line([0, 1], [0, 1])])
    fields: dict[str, Any] = {
        "name": f"name {word}",
        "version": 2,
        "semantic_version": f"1.1.0 {word}",
        "description": f"description {word}",
        "trained_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "made_at": datetime(2026, 1, 2, 3, 5, tzinfo=UTC),
        "verdicts": [
            Verdict(f"gate_{word}", True, f"reason {word}"),
            Verdict("f1_gate", True, "F1 0.634, Champion 0.630"),
        ],
        "gate_pictures": {f"gate_{word}": svg, "f1_gate": None},
        "scores": [
            Score("ROC AUC", 0.85, 0.83, 0.87, 0.5, 1.0, 0.848),
            Score(f"Log loss {word}", 0.411, 0.38, 0.44, 0.58, 0.0, 0.412),
        ],
        "test_rows": 1400,
        "known_rows": 2800,
        "champion": 1,
        "pictures": {f"roc_{word}": svg},
        "groups": [
            Group(f"column {word}", f"group {word}", 700, 0.26, 0.27, 0.6, 0.55, 0.65),
            Group(f"column {word}", "few", 20, 0.2, 0.3),
        ],
        "worth": Worth(
            currency=f"USD {word}",
            policies=[Policy("Nobody", 0, 0), Policy(f"model {word}", 0.4, 45_480)],
            advised=f"model {word}",
            assumptions={f"assumed {word}": f"50 {word}"},
            pictures={f"value {word}": svg},
        ),
        "importance": {f"input {word}": 0.6, "tenure": 0.3},
        "effects": [
            Effect(f"input {word}", [f"level {word}", "other"], [0.3, 0.2]),
            Effect(f"tenure {word}", [0.0, 10.0, 72.0], [0.5, 0.3, 0.1]),
        ],
        "recipe": {f"Threshold {word}": f"0.31 {word}"},
        "candidates": {f"blend {word}": 0.41, "other": 0.42},
        "chosen": f"blend {word}",
        "parameters": {f"C {word}": f"0.1 {word}"},
        "stages": [Stage(f"source {word}", note=f"s3://bucket/{word}"), Stage("raw", 3, "7 rows")],
        "parts": [Part("train", 4200, 0.26), Part(f"test {word}", 1400, 0.27)],
        "lineage": {f"Split {word}": f"hash/1 {word}"},
        "limits": [f"limit {word}"],
        "reproduce": f"churn train {word}",
    }
    return Card(**{**fields, **changes})

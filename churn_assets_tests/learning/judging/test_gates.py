"""Which gates there are, when they apply, and that the docs show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from churn_assets.learning.judging.court import gates_for
from churn_assets.learning.judging.gate import always
from churn_assets.learning.judging.gates import GATES
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings, Overridable
from churn_assets_tests.support.judging import (
    ALL_GATES,
    NAMES,
    USE_CASE,
)

DOCS = Path(__file__).parents[3] / "docs" / "learning.md"


def test_the_owners_rule_and_chance_are_always_asked() -> None:
    bare = replace(USE_CASE, business=None, slices=())

    for case, settings in ((bare, DEFAULT_GATES), (USE_CASE, ALL_GATES)):
        gates = {gate.name: gate for gate in gates_for(case, settings)}
        for name in ("governance", "better_than_chance", "f1_gate"):
            assert gates[name].blocks(case, settings)


def test_a_gate_applies_where_use_case_and_settings_ask_for_it() -> None:
    bare = replace(USE_CASE, business=None, slices=())

    least = {gate.name for gate in gates_for(bare, DEFAULT_GATES)}
    most = [gate.name for gate in gates_for(USE_CASE, ALL_GATES)]

    assert set(NAMES) - least == {"superiority", "value", "floors", "slices", "approval"}
    assert most == NAMES


def test_a_person_may_be_let_to_decide_against_every_gate_but_governance_and_approval() -> None:
    assert set(get_args(Overridable)) == set(NAMES) - {"governance", "approval"}
    for gate in ("governance", "approval", "f2_gate"):
        with pytest.raises(ValidationError):
            GateSettings(override=(gate,))


def test_only_value_may_warn() -> None:
    for value, warns in (("warn", ["value"]), ("block", [])):
        settings = GateSettings(value=value)
        gates = gates_for(USE_CASE, settings)
        assert [gate.name for gate in gates if not gate.blocks(USE_CASE, settings)] == warns


@pytest.mark.parametrize(
    ("setting", "loose", "strict"),
    [
        ("rule", "refresh", "improve"),
        ("auc_margin", 0.01, 0.0),
        ("f1_margin", 0.1, 0.05),
        ("first_auc", 0.6, 0.8),
        ("floors", {"f1": 0.5, "brier": 0.2}, {"f1": 0.6, "brier": 0.1}),
        ("value", "warn", "block"),
        ("slice_rows", 200, 100),
        ("override", ("f1_gate", "slices"), ("f1_gate",)),
        ("approval", "incomparable", "required"),
    ],
)
def test_of_settings_and_an_experiment_the_stricter_holds(
    setting: str, loose: Any, strict: Any
) -> None:
    for one, other in ((loose, strict), (strict, loose)):
        both = GateSettings(**{setting: one}).and_of({setting: other})
        assert getattr(both, setting) == strict


def test_what_an_experiment_does_not_name_is_as_the_settings_have_it() -> None:
    settings = GateSettings(f1_margin=0.1, floors={"f1": 0.5}, rule="improve")

    both = settings.and_of({"floors": {"roc_auc": 0.7}})

    assert both == settings.model_copy(update={"floors": {"f1": 0.5, "roc_auc": 0.7}})


# What people read of them


def test_the_docs_show_every_gate_as_its_entry_has_it() -> None:
    lines = [f"| `{gate.name}` | {gate.condition} | {gate.description} |" for gate in GATES]
    table = "\n".join(["| gate | applies | passes when |", "|---|---|---|", *lines, ""])

    assert table in DOCS.read_text(encoding="utf-8")


def test_a_gate_that_does_not_always_apply_says_when() -> None:
    assert all((gate.applies is always) == (gate.condition == "always") for gate in GATES)


def test_no_two_gates_share_a_name() -> None:
    assert len(set(NAMES)) == len(GATES)

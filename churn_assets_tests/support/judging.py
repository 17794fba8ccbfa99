"""Made-up evidence for the gates, and what they say of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from churn_assets.learning.judging.court import decide, refusal
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.gates import GATES
from churn_assets.learning.judging.judges import LINEAGE_TAGS
from churn_assets.learning.judging.rules import DEFAULT_GATES, GateSettings
from churn_assets.learning.judging.stress import Stress
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.value import Amounts
from churn_assets.usecases import USE_CASES

NAMES = [gate.name for gate in GATES]
USE_CASE = USE_CASES["telco_churn"]
SPLIT = "hash/1 salt=made train=0.6 validation=0.2"
ROWS = 1200
ALL_GATES = GateSettings(rule="improve", floors={"accuracy": 0.75}, approval="required")
"""Settings by which every gate applies."""


def contender(scores: np.ndarray, version: int = 1, **changes: Any) -> Contender:
    tags = {**dict.fromkeys(LINEAGE_TAGS, "known"), "split": SPLIT}
    good = Contender(
        version=version,
        run_id=f"run {version}",
        description="Which subscribers leave in the next billing period.",
        tags=tags,
        has_signature=True,
        has_input_example=True,
        threshold=0.4,
        scores=scores,
    )
    return replace(good, **changes)


def made_up(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, three in ten of them positive, and calibrated scores that know them but for noise."""
    rng = np.random.default_rng(0)
    odds = rng.normal(-1.5, 2.5, ROWS)
    labels = rng.random(ROWS) < 1 / (1 + np.exp(-odds))
    seen = odds + np.random.default_rng(seed + 1).normal(0, noise, ROWS)
    known = 2.5**2 / (2.5**2 + noise**2)
    guess = -1.5 + known * (seen + 1.5)
    spread = 1 + np.pi / 8 * known * noise**2
    return labels, 1 / (1 + np.exp(-guess / np.sqrt(spread)))


def evidence(*, noise: float = 0.5, champion: Contender | None = None, **changes: Any) -> Evidence:
    """A good Challenger, with some of it changed."""
    labels, scores = made_up(noise)
    challenger = replace(contender(scores, version=2), **changes)
    thirds = np.arange(ROWS) % 3
    return Evidence(
        challenger,
        champion,
        labels,
        SPLIT,
        slices={"contract": np.array(["month", "year", "two"], dtype=object)[thirds]},
        stake=Amounts(
            np.linspace(200, 1400, ROWS), np.full(ROWS, 50.0), np.full(ROWS, 5.0), 0.3, 1.0
        ),
        stress=Stress(500, ranges={"tenure": (0.1, 0.9)}),
    )


def as_good() -> Contender:
    """A Champion that cannot be told from the Challenger."""
    return contender(made_up(0.5)[1])


def tags_without(tag: str) -> dict[str, str]:
    return {name: value for name, value in contender(np.zeros(1)).tags.items() if name != tag}


def verdicts_of(given: Evidence, settings: GateSettings = DEFAULT_GATES) -> dict[str, Verdict]:
    """What each gate says."""
    judgement = decide(lambda: given, USE_CASE, settings)
    return {verdict.gate: verdict for verdict in judgement.verdicts}


def verdict_of(gate: str, given: Evidence, **settings: Any) -> Verdict:
    """What one gate says."""
    return verdicts_of(given, GateSettings(**settings))[gate]


def refusal_of(given: Evidence, **settings: Any) -> str | None:
    gates = GateSettings(**settings)
    return refusal(list(verdicts_of(given, gates).values()), USE_CASE, gates)


def passed(verdicts: dict[str, Verdict]) -> dict[str, bool]:
    return {gate: verdict.passed for gate, verdict in verdicts.items()}


def with_approval(given: Evidence, **changes: str) -> Evidence:
    """The same, approved by a person on this very evidence."""
    tags = {
        **given.challenger.tags,
        "approval": "approved",
        "approval_by": "a person",
        "approval_at": "2026-01-01T00:00:00+00:00",
        "approval_digest": given.digest,
        **changes,
    }
    return replace(given, challenger=replace(given.challenger, tags=tags))

"""The gates: pure, and closed wherever the evidence is amiss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from churn_assets.errors import RegistryError
from churn_assets.learning import gates
from churn_assets.learning.gates import (
    GATES,
    LINEAGE_TAGS,
    Contender,
    Evidence,
    Verdict,
    better_than_chance,
    decide,
    f1_gate,
    governance,
    refusal,
)

SPLIT = "hash/1 salt=made train=0.6 validation=0.2"
ROWS = 400


def contender(scores: np.ndarray, version: int = 1, **changes: Any) -> Contender:
    tags = {**dict.fromkeys(LINEAGE_TAGS, "known"), "split": SPLIT}
    good = Contender(
        version=version,
        description="Which subscribers leave in the next billing period.",
        tags=tags,
        has_signature=True,
        has_input_example=True,
        threshold=0.5,
        scores=scores,
    )
    return replace(good, **changes)


def made(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, three in ten of them positive, and scores that know them but for noise."""
    rng = np.random.default_rng(seed)
    labels = rng.random(ROWS) < 0.3
    return labels, np.clip(0.25 + 0.5 * labels + rng.normal(0, noise, ROWS), 0, 1)


def evidence(*, noise: float = 0.3, champion: Contender | None = None, **changes: Any) -> Evidence:
    """A good Challenger, with some of it changed."""
    labels, scores = made(noise)
    challenger = replace(contender(scores, version=2), **changes)
    return Evidence(challenger, champion, labels, SPLIT)


def without(tag: str) -> dict[str, str]:
    return {name: value for name, value in contender(np.zeros(1)).tags.items() if name != tag}


def says(said: list[Verdict]) -> dict[str, bool]:
    return {verdict.gate: verdict.passed for verdict in said}


def test_a_good_first_challenger_passes_every_gate_with_its_evidence() -> None:
    said = decide(evidence)

    assert says(said) == {"governance": True, "better_than_chance": True, "f1_gate": True}
    assert refusal(said) is None
    numbers = {verdict.gate: verdict.numbers for verdict in said}
    assert numbers["governance"]["rows_scored"] == ROWS
    assert numbers["better_than_chance"]["roc_auc_lower_95"] > 0.5
    assert numbers["f1_gate"]["challenger_f1"] > 0.6


def test_the_gates_are_pure() -> None:
    given = evidence(champion=contender(made(0.4, seed=0)[1]))
    before = copy.deepcopy(given)

    first, second = decide(lambda: given), decide(lambda: given)

    assert first == second
    assert np.array_equal(given.challenger.scores, before.challenger.scores)
    assert np.array_equal(given.labels, before.labels)
    assert given.challenger.tags == before.challenger.tags


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": "x" * 39}, "fewer than 40 characters"),
        ({"description": " " * 60}, "fewer than 40 characters"),
        ({"has_signature": False}, "no signature"),
        ({"has_input_example": False}, "no input example"),
        *(({"tags": without(tag)}, f"lacks the tags {tag}") for tag in LINEAGE_TAGS),
        ({"tags": {**without("recipe"), "recipe": " "}}, "lacks the tags recipe"),
        ({"scores": made(0.3)[1] * 2}, "no probabilities"),
        ({"scores": made(0.3)[1] - 1}, "no probabilities"),
        ({"scores": np.where(np.arange(ROWS) == 7, np.nan, 0.5)}, "no probabilities"),
        ({"scores": np.zeros(0)}, "no labelled test rows"),
    ],
)
def test_governance_refuses_what_is_undocumented_or_does_not_score(
    changes: dict[str, Any], reason: str
) -> None:
    verdict = governance(evidence(**changes))

    assert not verdict.passed
    assert reason in verdict.reason


def test_a_description_of_forty_characters_is_enough() -> None:
    assert governance(evidence(description="x" * 40)).passed


def test_governance_says_every_fault_at_once() -> None:
    verdict = governance(evidence(has_signature=False, tags=without("recipe")))

    assert verdict.reason == "it has no signature; it lacks the tags recipe"


def test_useless_scores_are_not_better_than_chance() -> None:
    labels, scores = made(0.3)
    shuffled = np.random.default_rng(1).permutation(scores)

    verdict = better_than_chance(Evidence(contender(shuffled), None, labels, SPLIT))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_good_ranks_with_a_threshold_that_is_no_better_than_a_constant_guess_do_not_pass() -> None:
    verdict = better_than_chance(evidence(threshold=0.0))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] > 0.5
    assert verdict.numbers["f1_lower_95"] <= verdict.numbers["best_constant_f1"]


def test_reversed_ranks_with_a_lucky_f1_do_not_pass() -> None:
    """The bound of ROC AUC refuses by itself."""
    labels = np.arange(ROWS) < 320
    scores = np.where(np.arange(ROWS) < 300, 0.5 + np.arange(ROWS) / 10_000, 0.4)
    scores[-40:] = 0.99

    verdict = better_than_chance(Evidence(contender(scores), None, labels, SPLIT))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_a_handful_of_test_rows_proves_nothing() -> None:
    labels = np.array([True, False, True, False, False, True, False, False])
    scores = np.array([0.9, 0.1, 0.4, 0.6, 0.2, 0.7, 0.3, 0.1])

    assert not better_than_chance(Evidence(contender(scores), None, labels, SPLIT)).passed


def test_a_challenger_with_the_champions_very_f1_passes() -> None:
    _, scores = made(0.3)

    verdict = f1_gate(evidence(champion=contender(scores)))

    assert verdict.passed
    assert verdict.numbers["challenger_f1"] == verdict.numbers["champion_f1"]


def test_a_challenger_with_a_lower_f1_is_refused_with_both_figures() -> None:
    verdict = f1_gate(evidence(noise=0.35, champion=contender(made(0.2)[1])))

    assert not verdict.passed
    ours, theirs = verdict.numbers["challenger_f1"], verdict.numbers["champion_f1"]
    assert ours < theirs
    assert verdict.reason == (
        f"Challenger 2 has F1 {ours:.3f}, Champion 1 has {theirs:.3f} on the same 400 test rows"
    )


def test_the_champion_is_judged_at_its_own_threshold() -> None:
    """At the Challenger's threshold of .5 the Champion, whose scores are halved, finds nobody."""
    labels, scores = made(0.2)
    champion = contender(scores / 2, threshold=0.25)

    verdict = f1_gate(evidence(noise=0.35, champion=champion))

    assert not verdict.passed
    assert verdict.numbers["champion_f1"] == pytest.approx(
        f1_gate(Evidence(contender(scores), None, labels, SPLIT)).numbers["challenger_f1"]
    )


@pytest.mark.parametrize("who", ["challenger", "champion"])
@pytest.mark.parametrize("split", ["hash/1 salt=other train=0.6 validation=0.2", ""])
def test_a_comparison_on_rows_that_either_may_have_trained_on_is_refused(
    who: str, split: str
) -> None:
    _, scores = made(0.3)
    given = evidence(champion=contender(scores))
    judged = getattr(given, who)
    other = replace(given, **{who: replace(judged, tags={**judged.tags, "split": split})})

    verdict = f1_gate(other)

    assert not verdict.passed
    assert f"version {judged.version} was trained by another split" in verdict.reason


def with_scores(value: float) -> np.ndarray:
    _, scores = made(0.3)
    return np.where(np.arange(ROWS) == 7, value, scores)


AMISS: dict[str, tuple[Callable[[], Evidence], str]] = {
    "a score is no number": (
        lambda: evidence(scores=with_scores(np.nan)),
        "scores that are no probabilities",
    ),
    "a score is infinite": (
        lambda: evidence(scores=with_scores(np.inf)),
        "scores that are no probabilities",
    ),
    "a score of the Champion is no number": (
        lambda: evidence(champion=contender(with_scores(np.nan))),
        "f1_gate: unreadable: ValueError: Input contains NaN",
    ),
    "the threshold is no number": (
        lambda: evidence(threshold=float("nan")),
        "challenger_threshold is nan, not a finite number",
    ),
    "the threshold is infinite": (
        lambda: evidence(threshold=float("-inf")),
        "challenger_threshold is -inf, not a finite number",
    ),
    "the Champion's threshold is no number": (
        lambda: evidence(champion=contender(made(0.3)[1], threshold=float("nan"))),
        "champion_threshold is nan, not a finite number",
    ),
    "a score is missing": (
        lambda: evidence(scores=made(0.3)[1][:-1]),
        "f1_gate: unreadable: ValueError",
    ),
    "there is no test row": (
        lambda: Evidence(contender(np.zeros(0)), None, np.zeros(0, dtype=bool), SPLIT),
        "the 0 labelled test rows do not hold both classes",
    ),
    "every test row churned": (
        lambda: replace(evidence(), labels=np.ones(ROWS, dtype=bool)),
        "the 400 labelled test rows do not hold both classes",
    ),
    "no test row churned": (
        lambda: replace(evidence(), labels=np.zeros(ROWS, dtype=bool)),
        "the 400 labelled test rows do not hold both classes",
    ),
    "tags cannot be read": (lambda: evidence(tags=None), "unreadable: AttributeError"),
    "the description cannot be read": (
        lambda: evidence(description=None),
        "governance: unreadable: AttributeError",
    ),
}


@pytest.mark.parametrize(("amiss", "told"), AMISS.values(), ids=AMISS.keys())
def test_evidence_that_is_amiss_refuses(
    amiss: Callable[[], Evidence], told: str, recwarn: pytest.WarningsRecorder
) -> None:
    said = decide(amiss)

    reason = refusal(said)
    assert set(says(said)) == set(GATES)
    assert reason is not None
    assert told in reason
    assert "\n" not in reason
    assert not recwarn.list


def test_evidence_that_cannot_be_had_refuses_at_every_gate_and_is_said_once() -> None:
    def broken() -> Evidence:
        raise RegistryError("MLflow at http://host: not there. Start it.")

    said = decide(broken)

    assert set(says(said).values()) == {False}
    assert refusal(said) == (
        "governance, better_than_chance, f1_gate: MLflow at http://host: not there. Start it."
    )


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_that_breaks_refuses_and_the_others_still_speak(
    gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Evidence) -> Verdict:
        raise ZeroDivisionError("division by zero\nsecond line")

    monkeypatch.setitem(gates.GATES, gate, broken)

    said = decide(evidence)

    assert says(said) == {**dict.fromkeys(GATES, True), gate: False}
    assert refusal(said) == f"{gate}: unreadable: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_that_was_not_asked_refuses(gate: str) -> None:
    said = [verdict for verdict in decide(evidence) if verdict.gate != gate]

    assert refusal(said) == "not every gate was decided"


def test_no_verdict_at_all_refuses() -> None:
    assert refusal([]) == "not every gate was decided"

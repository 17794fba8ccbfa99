"""The court: every gate is asked, and where anything is amiss it is closed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest

from churn_assets.errors import RegistryError
from churn_assets.learning.judging import court
from churn_assets.learning.judging.court import decide, refusal
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.gates import GATES
from churn_assets.learning.judging.rules import DEFAULT_GATES
from churn_assets.learning.judging.verdict import Finding, Verdict
from churn_assets_tests.support.judging import (
    ALL_GATES,
    NAMES,
    ROWS,
    SPLIT,
    USE_CASE,
    as_good,
    contender,
    evidence,
    made_up,
    passed,
    refusal_of,
    verdicts_of,
    with_approval,
)


def test_a_good_first_challenger_passes_every_gate_with_its_evidence() -> None:
    given = with_approval(evidence())

    verdicts = verdicts_of(given, ALL_GATES)

    assert passed(verdicts) == dict.fromkeys(NAMES, True)
    assert refusal_of(given, **ALL_GATES.model_dump()) is None
    assert verdicts["governance"].numbers["rows_scored"] == ROWS
    assert verdicts["better_than_chance"].numbers["roc_auc_lower_95"] > 0.5
    assert verdicts["f1_gate"].numbers["challenger_f1"] > 0.6


def test_a_better_challenger_passes_every_gate_with_its_evidence() -> None:
    given = with_approval(evidence(champion=contender(made_up(2.5)[1])))

    verdicts = verdicts_of(given, ALL_GATES)

    assert passed(verdicts) == dict.fromkeys(NAMES, True)
    assert "there is no Champion" not in str(verdicts)


@pytest.mark.parametrize("champion", [None, as_good()], ids=["first", "compared"])
def test_what_gates_say_is_kept_as_json_and_read_back(champion: Contender | None) -> None:
    verdicts = verdicts_of(evidence(champion=champion), ALL_GATES)

    for verdict in verdicts.values():
        stored = json.loads(json.dumps(asdict(verdict), allow_nan=False))
        assert asdict(Verdict(**stored)) == json.loads(json.dumps(asdict(verdict)))
        assert "\n" not in verdict.reason


def test_the_gates_are_pure() -> None:
    given = evidence(champion=contender(made_up(0.9)[1]))
    before = copy.deepcopy(given)

    first, second = verdicts_of(given, ALL_GATES), verdicts_of(given, ALL_GATES)

    assert first == second
    assert np.array_equal(given.challenger.scores, before.challenger.scores)
    assert np.array_equal(given.labels, before.labels)
    assert given.challenger.tags == before.challenger.tags


def test_a_verdict_that_was_kept_before_gates_could_warn_is_read_as_one_that_blocks() -> None:
    stored = {"gate": "f1_gate", "passed": True, "reason": "F1 0.600", "numbers": {"rows": 4}}

    assert Verdict(**stored).blocking


# Whatever is amiss refuses


def with_scores(value: float) -> np.ndarray:
    return np.where(np.arange(ROWS) == 7, value, made_up(0.5)[1])


AMISS: dict[str, tuple[Callable[[], Evidence], str]] = {
    "a score is no number": (
        lambda: evidence(scores=with_scores(np.nan)),
        "version 2 gives scores that are not probabilities",
    ),
    "a score is infinite": (
        lambda: evidence(scores=with_scores(np.inf)),
        "version 2 gives scores that are not probabilities",
    ),
    "a score of the Champion is no number": (
        lambda: evidence(champion=contender(with_scores(np.nan))),
        "version 1 gives scores that are not probabilities",
    ),
    "a score of the Champion is infinite": (
        lambda: evidence(champion=contender(with_scores(np.inf))),
        "version 1 gives scores that are not probabilities",
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
        lambda: evidence(champion=contender(made_up(0.5)[1], threshold=float("nan"))),
        "champion_threshold is nan, not a finite number",
    ),
    "a score is missing": (
        lambda: evidence(scores=made_up(0.5)[1][:-1]),
        "version 2 has 1,199 scores of 1,200 test rows",
    ),
    "there is no test row": (
        lambda: Evidence(contender(np.zeros(0)), None, np.zeros(0, dtype=bool), SPLIT),
        "the 0 labelled test rows do not hold both classes",
    ),
    "every test row churned": (
        lambda: replace(evidence(), labels=np.ones(ROWS, dtype=bool)),
        "the 1,200 labelled test rows do not hold both classes",
    ),
    "no test row churned": (
        lambda: replace(evidence(), labels=np.zeros(ROWS, dtype=bool)),
        "the 1,200 labelled test rows do not hold both classes",
    ),
    "tags cannot be read": (lambda: evidence(tags=None), "unreadable: AttributeError"),
    "the description cannot be read": (
        lambda: evidence(description=None),
        "governance: unreadable: AttributeError",
    ),
    "the groups are missing": (
        lambda: replace(evidence(), slices={}),
        "slices: the groups of the test rows are not known",
    ),
}


@pytest.mark.parametrize(("amiss", "fault"), AMISS.values(), ids=AMISS.keys())
def test_evidence_that_is_amiss_refuses(
    amiss: Callable[[], Evidence], fault: str, recwarn: pytest.WarningsRecorder
) -> None:
    reason = refusal_of(amiss())

    assert reason is not None
    assert fault in reason
    assert "\n" not in reason
    assert not recwarn.list


def test_scores_that_are_no_numbers_pass_no_gate_that_compares() -> None:
    verdicts = verdicts_of(evidence(champion=contender(with_scores(np.nan))), ALL_GATES)

    good = {gate for gate, verdict in verdicts.items() if verdict.passed}
    assert good == {"governance", "better_than_chance", "stress"}


def test_evidence_that_cannot_be_had_refuses_at_every_gate_and_is_said_once() -> None:
    def broken() -> Evidence:
        raise RegistryError("MLflow at http://host: not there. Start it.")

    judgement = decide(broken, USE_CASE, ALL_GATES)

    verdicts = judgement.verdicts
    assert judgement.evidence is None
    assert [verdict.gate for verdict in verdicts] == NAMES
    assert not any(verdict.passed for verdict in verdicts)
    assert [verdict.gate for verdict in verdicts if not verdict.blocking] == ["value"]
    blocking = ", ".join(gate for gate in NAMES if gate != "value")
    assert refusal(verdicts, USE_CASE, ALL_GATES) == (
        f"{blocking}: MLflow at http://host: not there. Start it"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_gate_that_breaks_refuses_and_the_others_still_speak(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Finding:
        raise ZeroDivisionError("division by zero\nsecond line")

    gates = [replace(gate, judge=broken) if gate.name == name else gate for gate in GATES]
    monkeypatch.setattr(court, "GATES", gates)
    settings = ALL_GATES.model_copy(update={"value": "block"})

    verdicts = verdicts_of(with_approval(evidence()), settings)

    assert passed(verdicts) == {**dict.fromkeys(NAMES, True), name: False}
    assert refusal(list(verdicts.values()), USE_CASE, settings) == (
        f"{name}: unreadable: ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize("gate", NAMES)
def test_a_gate_that_was_not_asked_refuses(gate: str) -> None:
    verdicts = [
        verdict for name, verdict in verdicts_of(evidence(), ALL_GATES).items() if name != gate
    ]

    assert refusal(verdicts, USE_CASE, ALL_GATES) == "not every gate was decided"


def test_no_verdict_at_all_refuses() -> None:
    assert refusal([], USE_CASE, DEFAULT_GATES) == "not every gate was decided"

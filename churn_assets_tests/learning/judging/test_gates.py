"""The gates: pure, and closed wherever the evidence is amiss."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from churn_assets.errors import RegistryError
from churn_assets.learning.judging import gates
from churn_assets.learning.judging.court import DESCRIPTIONS, decide, gate_specs, refusal
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.gates import LINEAGE_TAGS
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.stress import Stress, Sweep
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.value import Amounts
from churn_assets.usecases import USE_CASES

USE_CASE = USE_CASES["telco_churn"]
SPLIT = "hash/1 salt=made train=0.6 validation=0.2"
ROWS = 1200
AS_THEY_COME = GateSettings()
EVERY = GateSettings(rule="improve", floors={"accuracy": 0.75}, approval="required")
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


def made(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
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
    labels, scores = made(noise)
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
    return contender(made(0.5)[1])


def without(tag: str) -> dict[str, str]:
    return {name: value for name, value in contender(np.zeros(1)).tags.items() if name != tag}


def every(given: Evidence, settings: GateSettings = AS_THEY_COME) -> dict[str, Verdict]:
    """What each gate says."""
    verdicts, _ = decide(lambda: given, USE_CASE, settings)
    return {verdict.gate: verdict for verdict in verdicts}


def one(gate: str, given: Evidence, **settings: Any) -> Verdict:
    """What one gate says."""
    return every(given, GateSettings(**settings))[gate]


def refused(given: Evidence, **settings: Any) -> str | None:
    asked = GateSettings(**settings)
    return refusal(list(every(given, asked).values()), USE_CASE, asked)


def says(verdicts: dict[str, Verdict]) -> dict[str, bool]:
    return {gate: verdict.passed for gate, verdict in verdicts.items()}


def approved(given: Evidence, **changes: str) -> Evidence:
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


def test_a_good_first_challenger_passes_every_gate_with_its_evidence() -> None:
    given = approved(evidence())

    said = every(given, EVERY)

    assert says(said) == dict.fromkeys(DESCRIPTIONS, True)
    assert refused(given, **EVERY.model_dump()) is None
    assert said["governance"].numbers["rows_scored"] == ROWS
    assert said["better_than_chance"].numbers["roc_auc_lower_95"] > 0.5
    assert said["f1_gate"].numbers["challenger_f1"] > 0.6


def test_a_better_challenger_passes_every_gate_with_its_evidence() -> None:
    given = approved(evidence(champion=contender(made(2.5)[1])))

    said = every(given, EVERY)

    assert says(said) == dict.fromkeys(DESCRIPTIONS, True)
    assert "there is no Champion" not in str(said)


@pytest.mark.parametrize("champion", [None, as_good()], ids=["first", "compared"])
def test_what_gates_say_is_kept_as_json_and_read_back(champion: Contender | None) -> None:
    said = every(evidence(champion=champion), EVERY)

    for verdict in said.values():
        kept = json.loads(json.dumps(asdict(verdict), allow_nan=False))
        assert asdict(Verdict(**kept)) == json.loads(json.dumps(asdict(verdict)))
        assert "\n" not in verdict.reason


def test_a_verdict_that_was_kept_before_gates_could_warn_is_read_as_one_that_blocks() -> None:
    kept = {"gate": "f1_gate", "passed": True, "reason": "F1 0.600", "numbers": {"rows": 4}}

    assert Verdict(**kept).blocking


def test_the_gates_are_pure() -> None:
    given = evidence(champion=contender(made(0.9)[1]))
    before = copy.deepcopy(given)

    first, second = every(given, EVERY), every(given, EVERY)

    assert first == second
    assert np.array_equal(given.challenger.scores, before.challenger.scores)
    assert np.array_equal(given.labels, before.labels)
    assert given.challenger.tags == before.challenger.tags


# Which gates apply


def test_the_owners_rule_and_chance_are_always_asked() -> None:
    bare = replace(USE_CASE, business=None, slices=())

    for case, settings in ((bare, AS_THEY_COME), (USE_CASE, EVERY)):
        specs = {spec.name: spec for spec in gate_specs(case, settings)}
        for gate in ("governance", "better_than_chance", "f1_gate"):
            assert specs[gate].blocking


def test_a_gate_applies_where_use_case_and_settings_ask_for_it() -> None:
    bare = replace(USE_CASE, business=None, slices=())

    least = {spec.name for spec in gate_specs(bare, AS_THEY_COME)}
    most = [spec.name for spec in gate_specs(USE_CASE, EVERY)]

    assert set(DESCRIPTIONS) - least == {"superiority", "value", "floors", "slices", "approval"}
    assert most == list(DESCRIPTIONS)


def test_only_value_may_warn() -> None:
    for asked, blocks in (("warn", False), ("block", True)):
        specs = gate_specs(USE_CASE, GateSettings(value=asked))
        assert [spec.name for spec in specs if not spec.blocking] == ([] if blocks else ["value"])


# Governance, and better than chance


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": "x" * 39}, "fewer than 40 characters"),
        ({"description": " " * 60}, "fewer than 40 characters"),
        ({"has_signature": False}, "no signature"),
        ({"has_input_example": False}, "no input example"),
        *(({"tags": without(tag)}, f"lacks the tags {tag}") for tag in LINEAGE_TAGS),
        ({"tags": {**without("recipe"), "recipe": " "}}, "lacks the tags recipe"),
        ({"scores": made(0.5)[1] * 2}, "no probabilities"),
        ({"scores": made(0.5)[1] - 1}, "no probabilities"),
        ({"scores": np.where(np.arange(ROWS) == 7, np.nan, 0.5)}, "no probabilities"),
        ({"scores": np.zeros(0)}, "no labelled test rows"),
    ],
)
def test_governance_refuses_what_is_undocumented_or_does_not_score(
    changes: dict[str, Any], reason: str
) -> None:
    verdict = one("governance", evidence(**changes))

    assert not verdict.passed
    assert reason in verdict.reason


def test_a_description_of_forty_characters_is_enough() -> None:
    assert one("governance", evidence(description="x" * 40)).passed


def test_governance_says_every_fault_at_once() -> None:
    verdict = one("governance", evidence(has_signature=False, tags=without("recipe")))

    assert verdict.reason == "it has no signature; it lacks the tags recipe"


def test_useless_scores_are_not_better_than_chance() -> None:
    shuffled = np.random.default_rng(1).permutation(made(0.5)[1])

    verdict = one("better_than_chance", evidence(scores=shuffled))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_good_ranks_with_a_threshold_that_is_no_better_than_a_constant_guess_do_not_pass() -> None:
    verdict = one("better_than_chance", evidence(threshold=0.0))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] > 0.5
    assert verdict.numbers["f1_lower_95"] <= verdict.numbers["best_constant_f1"]


def test_reversed_ranks_with_a_lucky_f1_do_not_pass() -> None:
    """The bound of ROC AUC refuses by itself."""
    labels = np.arange(ROWS) < 960
    scores = np.where(np.arange(ROWS) < 900, 0.5 + np.arange(ROWS) / 10_000, 0.3)
    scores[-120:] = 0.99

    verdict = one("better_than_chance", replace(evidence(scores=scores), labels=labels))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_a_handful_of_test_rows_proves_nothing() -> None:
    labels = np.array([True, False, True, False, False, True, False, False])
    scores = np.array([0.9, 0.1, 0.4, 0.6, 0.2, 0.7, 0.3, 0.1])

    given = Evidence(contender(scores), None, labels, SPLIT)

    assert not one("better_than_chance", given).passed


# F1


def test_a_challenger_with_the_champions_very_f1_passes() -> None:
    verdict = one("f1_gate", evidence(champion=as_good()))

    assert verdict.passed
    assert verdict.numbers["challenger_f1"] == verdict.numbers["champion_f1"]
    assert verdict.numbers["difference_lower_95"] == 0


def test_a_challenger_with_a_lower_f1_is_refused_with_both_figures() -> None:
    verdict = one("f1_gate", evidence(noise=2, champion=as_good()))

    assert not verdict.passed
    ours, theirs = verdict.numbers["challenger_f1"], verdict.numbers["champion_f1"]
    assert ours < theirs
    assert verdict.numbers["difference"] == pytest.approx(ours - theirs)
    assert verdict.numbers["difference_lower_95"] < ours - theirs
    assert verdict.reason == (
        f"Challenger 2 has F1 {ours:.3f}, Champion 1 has {theirs:.3f} on the same 1,200 test rows"
    )


def test_the_champion_is_judged_at_its_own_threshold() -> None:
    """At the Challenger's threshold of .4 the Champion, whose scores are thirds, finds nobody."""
    champion = contender(made(0.5)[1] / 3, threshold=0.4 / 3)

    verdict = one("f1_gate", evidence(noise=2, champion=champion))

    alone = one("f1_gate", evidence()).numbers["challenger_f1"]
    assert not verdict.passed
    assert verdict.numbers["champion_f1"] == pytest.approx(alone)


def test_a_sample_says_of_how_many_rows() -> None:
    verdict = one("f1_gate", replace(evidence(champion=as_good()), known=5000))

    assert verdict.numbers["rows"] == ROWS
    assert verdict.numbers["sampled_from"] == 5000
    assert "a sample of 5,000" in verdict.reason


@pytest.mark.parametrize(
    ("day", "compared"), [("2018-09-01", True), ("2018-10-03", True), ("2018-10-04", False)]
)
def test_by_time_a_champion_is_compared_with_on_rows_that_came_after_its_own(
    day: str, compared: bool
) -> None:
    def split(by_time: Contender, test_from: str) -> dict[str, str]:
        return {**by_time.tags, "split": f"time/1 by=day test_from={test_from}"}

    given = evidence(champion=as_good())
    present = replace(
        given,
        split="time/1 by=day test_from=2018-10-03",
        challenger=replace(given.challenger, tags=split(given.challenger, "2018-10-03")),
        champion=replace(given.champion, tags=split(given.champion, day)),
    )

    assert one("f1_gate", present).passed is compared
    assert compared or "was trained by another split" in one("f1_gate", present).reason


@pytest.mark.parametrize(
    ("who", "todo"), [("challenger", "churn run --retrain"), ("champion", "put that split back")]
)
@pytest.mark.parametrize("split", ["hash/1 salt=other train=0.6 validation=0.2", ""])
def test_a_comparison_on_rows_that_either_may_have_trained_on_is_refused(
    who: str, todo: str, split: str
) -> None:
    given = evidence(champion=contender(made(2.5)[1]))
    judged = getattr(given, who)
    other = replace(given, **{who: replace(judged, tags={**judged.tags, "split": split})})

    said = every(other, EVERY)

    asked = set(DESCRIPTIONS) - {"governance", "better_than_chance", "stress", "approval"}
    for gate in asked:
        assert not said[gate].passed
        assert f"version {judged.version} was trained by another split" in said[gate].reason
        assert todo in said[gate].reason
    # Of many gates that say the same, the refusal says it once.
    assert str(refused(other, **EVERY.model_dump())).count("by another split") == 1


# The first Champion


def test_the_first_champion_must_rank_as_well_as_the_settings_say() -> None:
    found = one("first_champion", evidence()).numbers["roc_auc_lower_95"]

    assert one("first_champion", evidence(), first_auc=found - 0.001).passed
    verdict = one("first_champion", evidence(), first_auc=found + 0.001)
    assert not verdict.passed
    assert "ROC AUC" in verdict.reason


def test_the_first_champions_scores_must_be_as_high_as_the_rate() -> None:
    verdict = one("first_champion", evidence(scores=made(0.5)[1] ** 0.7))

    assert not verdict.passed
    assert "off the rate" in verdict.reason


def test_the_first_champions_scores_must_beat_the_base_rate() -> None:
    labels, scores = made(0.5)
    extreme = np.where(scores > np.quantile(scores, 1 - labels.mean()), 1.0, 0.0)
    noisy = np.random.default_rng(0).permutation(ROWS) < 700
    extreme[noisy] = np.random.default_rng(1).permutation(extreme[noisy])

    verdict = one("first_champion", evidence(scores=extreme))

    assert not verdict.passed
    assert "no better than the base rate's" in verdict.reason


def test_of_few_rows_the_mean_score_may_be_three_standard_errors_off() -> None:
    labels, scores = made(0.5)
    few = Evidence(contender(np.clip(scores[:60] + 0.06, 0, 1)), None, labels[:60], SPLIT)

    numbers = one("first_champion", few).numbers

    rate = labels[:60].mean()
    assert numbers["most_gap"] == pytest.approx(3 * np.sqrt(rate * (1 - rate) / 60))


def test_with_a_champion_what_the_first_must_reach_is_not_asked() -> None:
    verdict = one("first_champion", evidence(champion=as_good()), first_auc=1)

    assert verdict.passed
    assert "there is a Champion to compare with, version 1" in verdict.reason


# Not worse, and better


def test_a_challenger_as_good_as_the_champion_is_not_worse_and_not_better() -> None:
    given = evidence(champion=as_good())

    assert one("non_inferiority", given).passed
    assert refused(given) is None
    said = refused(given, rule="improve")
    assert said is not None
    assert said.startswith("superiority: Brier gain to Champion 1 is +0.0000")


def test_a_worse_challenger_is_refused_whatever_its_f1() -> None:
    verdict = one("non_inferiority", evidence(noise=2, champion=as_good()))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_difference_lower_95"] < -0.005
    assert verdict.numbers["brier_gain_lower_95"] < -0.0015


def test_each_margin_refuses_by_itself() -> None:
    given = evidence(noise=0.7, champion=as_good())
    numbers = one("non_inferiority", given).numbers
    auc, brier = -numbers["roc_auc_difference_lower_95"], -numbers["brier_gain_lower_95"]
    assert auc > 0
    assert brier > 0

    def passes(auc_share: float, brier_share: float) -> bool:
        margins = {"auc_margin": auc_share * auc, "brier_margin": brier_share * brier}
        return one("non_inferiority", given, **margins).passed

    assert passes(1.01, 1.01)
    assert not passes(0.99, 1.01)
    assert not passes(1.01, 0.99)


def test_a_challenger_whose_ranks_are_the_same_but_scores_too_high_is_worse() -> None:
    verdict = one("non_inferiority", evidence(scores=made(0.5)[1] ** 0.6, champion=as_good()))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_difference"] == pytest.approx(0)


def test_a_better_challenger_is_superior() -> None:
    verdict = one("superiority", evidence(champion=contender(made(2.5)[1])), rule="improve")

    assert verdict.passed
    assert verdict.numbers["brier_gain_lower_95"] > 0


# Value and floors


def contacts_nobody() -> Evidence:
    return evidence(scores=made(0.5)[1] / 100, champion=as_good())


def test_less_value_than_the_champions_warns_or_refuses_as_the_settings_say() -> None:
    warned, blocked = (one("value", contacts_nobody(), value=how) for how in ("warn", "block"))

    assert (warned.passed, warned.blocking) == (False, False)
    assert (blocked.passed, blocked.blocking) == (False, True)
    assert "value" not in str(refused(contacts_nobody()))
    assert "value: Challenger 2 is worth 0 USD for 1,000 customers" in str(
        refused(contacts_nobody(), value="block")
    )


def test_value_is_what_each_gains_by_contacting_whom_its_own_score_makes_pay() -> None:
    labels, ours = made(0.5)
    theirs = made(1.5)[1]
    worth = np.linspace(200, 1400, ROWS)

    def by_hand(scores: np.ndarray) -> float:
        total = 0.0
        for churned, score, kept in zip(labels, scores, worth, strict=True):
            if score * 0.3 * (kept - 50) - (1 - score) * 50 - 5 > 0:
                total += (0.3 * (kept - 50) if churned else -50) - 5
        return 1000 * total / ROWS

    numbers = one("value", evidence(champion=contender(theirs))).numbers

    assert numbers["challenger_value"] == pytest.approx(by_hand(ours))
    assert numbers["champion_value"] == pytest.approx(by_hand(theirs))
    assert numbers["difference"] == pytest.approx(by_hand(ours) - by_hand(theirs))
    assert numbers["difference_lower_95"] < numbers["difference"] < numbers["difference_upper_95"]


def test_a_share_of_the_champions_value_may_be_lost() -> None:
    given = evidence(noise=1.5, champion=as_good())
    numbers = one("value", given).numbers
    lost = -numbers["difference"] / numbers["champion_value"]
    assert lost > 0

    assert one("value", given, value_tolerance=lost + 0.001).passed
    assert not one("value", given, value_tolerance=lost - 0.001).passed


def test_value_without_amounts_refuses() -> None:
    verdict = one("value", replace(evidence(), stake=None))

    assert not verdict.passed
    assert "what is at stake with the test rows is not known" in verdict.reason


@pytest.mark.parametrize("amount", ["customer_value", "offer_cost", "contact_cost"])
def test_an_amount_that_is_no_number_refuses(amount: str) -> None:
    given = evidence()
    amiss = replace(given.stake, **{amount: np.where(np.arange(ROWS) == 7, np.nan, 50.0)})

    verdict = one("value", replace(given, stake=amiss))

    assert not verdict.passed
    assert verdict.reason == f"{amount} of the test rows is not a finite number"


def test_each_floor_is_held_for_every_challenger() -> None:
    for champion in (None, as_good()):
        given = evidence(champion=champion)
        assert one("floors", given, floors={"accuracy": 0.75, "f1": 0.55}).passed
        verdict = one("floors", given, floors={"accuracy": 0.75, "f1": 0.95})
        assert not verdict.passed
        assert verdict.reason.startswith("f1 0.")
        assert verdict.reason.endswith("is below 0.95")


def test_of_a_loss_the_floor_is_the_most_that_is_allowed() -> None:
    brier = one("floors", evidence(), floors={"brier": 1}).numbers["found"]["brier"]

    assert one("floors", evidence(), floors={"brier": brier + 1e-6}).passed
    assert not one("floors", evidence(), floors={"brier": brier - 1e-6}).passed


@pytest.mark.parametrize(
    ("floors", "reason"),
    [
        ({"f2": 0.5}, "no metric is called f2; name under gates.floors one of accuracy, f1"),
        ({"f1": float("nan")}, "not a finite number"),
    ],
)
def test_a_floor_that_cannot_be_held_refuses(floors: dict[str, float], reason: str) -> None:
    verdict = one("floors", evidence(), floors=floors)

    assert not verdict.passed
    assert reason in verdict.reason


# Calibration and slices


def test_scores_that_are_too_extreme_are_refused_though_ranks_and_mean_are_right() -> None:
    _, scores = made(2.5)
    odds = np.log(scores / (1 - scores))
    extreme = 1 / (1 + np.exp(-3 * odds))
    extreme *= scores.mean() / extreme.mean()

    verdict = one("calibration", evidence(scores=np.clip(extreme, 0, 1)))

    assert not verdict.passed
    assert verdict.reason.startswith("expected calibration error")
    assert verdict.numbers["slope"] < 0.6


def test_scores_that_are_all_too_high_are_refused() -> None:
    verdict = one("calibration", evidence(scores=made(0.5)[1] ** 0.7))

    assert not verdict.passed
    assert "off the rate" in verdict.reason


def month_is_lost() -> Evidence:
    """The Challenger knows nothing of those who pay by the month."""
    given = evidence(champion=as_good())
    month = given.slices["contract"] == "month"
    return replace(
        given, challenger=replace(given.challenger, scores=np.where(month, 0.1, made(0.5)[1]))
    )


def test_a_slice_that_loses_is_refused_and_named() -> None:
    verdict = one("slices", month_is_lost())

    assert not verdict.passed
    assert verdict.reason.startswith("F1 of contract month is 0.000, below the Champion's 0.")
    assert "contract year" not in verdict.reason
    found = {slice_["group"]: slice_ for slice_ in verdict.numbers["slices"]}
    assert found["month"]["rows"] == ROWS / 3
    assert found["year"]["difference"] == 0


def test_a_slice_may_lose_as_much_as_the_settings_say() -> None:
    assert one("slices", month_is_lost(), slice_tolerance=1).passed


def test_a_slice_of_few_churners_is_named_and_not_judged() -> None:
    given = month_is_lost()
    month = given.slices["contract"] == "month"
    churners = np.cumsum(given.labels & month)

    few, enough = (
        one("slices", replace(given, labels=given.labels & (~month | (churners <= most))))
        for most in (49, 50)
    )

    assert few.passed
    assert few.numbers["not_judged"] == ["contract month"]
    assert not enough.passed


def test_a_loss_that_may_be_chance_does_not_refuse() -> None:
    given = evidence(champion=contender(made(0.5, seed=3)[1]))
    found = one("slices", given, slice_tolerance=0).numbers["slices"]

    losses = [s["difference"] < 0 for s in found]
    sure = [s["difference"] < 0 and s["difference_upper_95"] < 0 for s in found]

    assert any(losses)
    assert not any(sure)
    assert one("slices", given, slice_tolerance=0).passed


def test_a_slice_of_few_rows_or_of_one_outcome_is_named_and_not_judged() -> None:
    given = month_is_lost()
    one_outcome = {"loyal": np.where(given.labels, "no", "yes").astype(object)}

    small = one("slices", given, slice_rows=ROWS // 3 + 1)
    alike = one("slices", replace(given, slices=one_outcome))

    assert small.passed
    assert small.numbers["not_judged"] == ["contract month", "contract two", "contract year"]
    assert "not judged, too few rows, churners or stayers: contract month" in small.reason
    assert alike.numbers["not_judged"] == ["loyal no", "loyal yes"]


def test_without_a_champion_slices_are_shown() -> None:
    verdict = one("slices", replace(month_is_lost(), champion=None))

    assert verdict.passed
    assert [slice_["challenger_f1"] > 0 for slice_ in verdict.numbers["slices"]] == [
        False,
        True,
        True,
    ]


def test_slices_that_were_not_gathered_refuse() -> None:
    assert not one("slices", replace(evidence(), slices={})).passed


# Stress


FALLS = Sweep(1, (0.0, 1.0), (0.5, 0.4), rows=50, broken=3, worst=0.1)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Stress(9, error="tenure null: ValueError: NaN"), "broke at tenure null: ValueError"),
        (Stress(9, improbable=("tenure 1e+06",)), "no probabilities at tenure 1e+06"),
        (Stress(9, sweeps={"price": FALLS}), "of 3 of 50 customers falls with price, by up to 0.1"),
        (Stress(9, sweeps={"price": replace(FALLS, direction=-1)}), "customers rises with price"),
        (None, "was not given hostile rows"),
    ],
)
def test_a_challenger_that_takes_hostile_rows_badly_is_refused(
    found: Stress | None, reason: str
) -> None:
    verdict = one("stress", replace(evidence(), stress=found))

    assert not verdict.passed
    assert reason in verdict.reason


def test_a_monotone_challenger_passes_and_says_in_what() -> None:
    verdict = one(
        "stress", replace(evidence(), stress=Stress(9, sweeps={"price": replace(FALLS, broken=0)}))
    )

    assert verdict.passed
    assert "monotone in price" in verdict.reason


# A person's approval


def test_an_approval_on_this_evidence_passes_and_says_by_whom() -> None:
    verdict = one(
        "approval", approved(evidence(), approval_note="looks right"), approval="required"
    )

    assert verdict.passed
    assert verdict.reason == "approved by a person at 2026-01-01T00:00:00+00:00 (looks right)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"approval": ""}, "version 2 waits for a person; look at it and use `churn approve`"),
        ({"approval": "perhaps"}, "waits for a person"),
        ({"approval": "rejected", "approval_note": "no"}, "rejected by a person at 2026-01-01"),
        ({"approval_by": " "}, "does not say by whom"),
        ({"approval_digest": "other"}, "the evidence changed since"),
        ({"approval_digest": ""}, "the evidence changed since"),
    ],
)
def test_what_is_no_approval_of_this_evidence_waits(changes: dict[str, str], reason: str) -> None:
    verdict = one("approval", approved(evidence(), **changes), approval="required")

    assert not verdict.passed
    assert reason in verdict.reason


def test_an_approval_is_of_one_version_only() -> None:
    given = approved(evidence())
    other = replace(given, challenger=replace(given.challenger, version=3, run_id="run 3"))

    assert not one("approval", other, approval="required").passed


# Whatever is amiss refuses


def with_scores(value: float) -> np.ndarray:
    return np.where(np.arange(ROWS) == 7, value, made(0.5)[1])


AMISS: dict[str, tuple[Callable[[], Evidence], str]] = {
    "a score is no number": (
        lambda: evidence(scores=with_scores(np.nan)),
        "version 2 gives scores that are no probabilities",
    ),
    "a score is infinite": (
        lambda: evidence(scores=with_scores(np.inf)),
        "version 2 gives scores that are no probabilities",
    ),
    "a score of the Champion is no number": (
        lambda: evidence(champion=contender(with_scores(np.nan))),
        "version 1 gives scores that are no probabilities",
    ),
    "a score of the Champion is infinite": (
        lambda: evidence(champion=contender(with_scores(np.inf))),
        "version 1 gives scores that are no probabilities",
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
        lambda: evidence(champion=contender(made(0.5)[1], threshold=float("nan"))),
        "champion_threshold is nan, not a finite number",
    ),
    "a score is missing": (
        lambda: evidence(scores=made(0.5)[1][:-1]),
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


@pytest.mark.parametrize(("amiss", "told"), AMISS.values(), ids=AMISS.keys())
def test_evidence_that_is_amiss_refuses(
    amiss: Callable[[], Evidence], told: str, recwarn: pytest.WarningsRecorder
) -> None:
    reason = refused(amiss())

    assert reason is not None
    assert told in reason
    assert "\n" not in reason
    assert not recwarn.list


def test_scores_that_are_no_numbers_pass_no_gate_that_compares() -> None:
    said = every(evidence(champion=contender(with_scores(np.nan))), EVERY)

    passed = {gate for gate, verdict in said.items() if verdict.passed}
    assert passed == {"governance", "better_than_chance", "stress"}


def test_evidence_that_cannot_be_had_refuses_at_every_gate_and_is_said_once() -> None:
    def broken() -> Evidence:
        raise RegistryError("MLflow at http://host: not there. Start it.")

    said, found = decide(broken, USE_CASE, EVERY)

    assert found is None
    assert [verdict.gate for verdict in said] == list(DESCRIPTIONS)
    assert not any(verdict.passed for verdict in said)
    assert [verdict.gate for verdict in said if not verdict.blocking] == ["value"]
    blocking = ", ".join(gate for gate in DESCRIPTIONS if gate != "value")
    assert refusal(said, USE_CASE, EVERY) == (
        f"{blocking}: MLflow at http://host: not there. Start it."
    )


@pytest.mark.parametrize("gate", DESCRIPTIONS)
def test_a_gate_that_breaks_refuses_and_the_others_still_speak(
    gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Evidence, **settings: Any) -> Verdict:
        raise ZeroDivisionError("division by zero\nsecond line")

    monkeypatch.setattr(gates, gate, broken)
    asked = EVERY.model_copy(update={"value": "block"})

    said = every(approved(evidence()), asked)

    assert says(said) == {**dict.fromkeys(DESCRIPTIONS, True), gate: False}
    assert refusal(list(said.values()), USE_CASE, asked) == (
        f"{gate}: unreadable: ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize("gate", DESCRIPTIONS)
def test_a_gate_that_was_not_asked_refuses(gate: str) -> None:
    said = [verdict for name, verdict in every(evidence(), EVERY).items() if name != gate]

    assert refusal(said, USE_CASE, EVERY) == "not every gate was decided"


def test_no_verdict_at_all_refuses() -> None:
    assert refusal([], USE_CASE, AS_THEY_COME) == "not every gate was decided"

"""What each gate finds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from churn_assets.learning.judging.court import decide
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.judges import LINEAGE_TAGS
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.stress import Stress, Sweep
from churn_assets.learning.judging.verdict import Verdict
from churn_assets.learning.metrics import f1
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
    refusal_of,
    tags_without,
    verdict_of,
    verdicts_of,
    with_approval,
)

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

# Governance, and better than chance


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": "x" * 39}, "fewer than 40 characters"),
        ({"description": " " * 60}, "fewer than 40 characters"),
        ({"has_signature": False}, "no signature"),
        ({"has_input_example": False}, "no input example"),
        *(({"tags": tags_without(tag)}, f"lacks the tags {tag}") for tag in LINEAGE_TAGS),
        ({"tags": {**tags_without("recipe"), "recipe": " "}}, "lacks the tags recipe"),
        ({"scores": made_up(0.5)[1] * 2}, "not probabilities"),
        ({"scores": made_up(0.5)[1] - 1}, "not probabilities"),
        ({"scores": np.where(np.arange(ROWS) == 7, np.nan, 0.5)}, "not probabilities"),
        ({"scores": np.zeros(0)}, "no labelled test rows"),
    ],
)
def test_governance_refuses_what_is_undocumented_or_does_not_score(
    changes: dict[str, Any], reason: str
) -> None:
    verdict = verdict_of("governance", evidence(**changes))

    assert not verdict.passed
    assert reason in verdict.reason


def test_a_description_of_forty_characters_is_enough() -> None:
    assert verdict_of("governance", evidence(description="x" * 40)).passed


def test_governance_says_every_fault_at_once() -> None:
    verdict = verdict_of("governance", evidence(has_signature=False, tags=tags_without("recipe")))

    assert verdict.reason == "it has no signature; it lacks the tags recipe"


def test_useless_scores_are_not_better_than_chance() -> None:
    shuffled = np.random.default_rng(1).permutation(made_up(0.5)[1])

    verdict = verdict_of("better_than_chance", evidence(scores=shuffled))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_good_ranks_with_a_threshold_that_is_no_better_than_a_constant_guess_do_not_pass() -> None:
    verdict = verdict_of("better_than_chance", evidence(threshold=0.0))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] > 0.5
    assert verdict.numbers["f1"] == pytest.approx(verdict.numbers["best_constant_f1"])
    assert "no better than" in verdict.reason


def test_f1_is_not_asked_of_a_threshold_that_is_not_f1s() -> None:
    given = evidence(threshold=0.0)
    tags = {**given.challenger.tags, "threshold_rule": "value-best out of fold"}

    verdict = verdict_of("better_than_chance", evidence(threshold=0.0, tags=tags))

    assert verdict.passed
    assert "f1" not in verdict.numbers


def test_f1_of_nobody_decided_to_churn_is_surely_below_that_of_guessing() -> None:
    verdict = verdict_of("better_than_chance", evidence(threshold=0.999))

    assert not verdict.passed
    assert verdict.numbers["f1_gain_upper_95"] < 0


def test_where_nearly_all_churn_and_the_scores_say_so_everyone_may_be_decided_to() -> None:
    rng = np.random.default_rng(0)
    odds = rng.normal(2, 0.5, ROWS)
    labels = rng.random(ROWS) < 1 / (1 + np.exp(-odds))
    given = evidence(scores=1 / (1 + np.exp(-odds)), threshold=0.3)

    assert verdict_of("better_than_chance", replace(given, labels=labels)).passed


def test_reversed_ranks_with_a_lucky_f1_do_not_pass() -> None:
    """The bound of ROC AUC refuses by itself."""
    labels = np.arange(ROWS) < 960
    scores = np.where(np.arange(ROWS) < 900, 0.5 + np.arange(ROWS) / 10_000, 0.3)
    scores[-120:] = 0.99

    verdict = verdict_of("better_than_chance", replace(evidence(scores=scores), labels=labels))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_lower_95"] <= 0.5


def test_a_handful_of_test_rows_proves_nothing() -> None:
    labels = np.array([True, False, True, False, False, True, False, False])
    scores = np.array([0.9, 0.1, 0.4, 0.6, 0.2, 0.7, 0.3, 0.1])

    given = Evidence(contender(scores), None, labels, SPLIT)

    assert not verdict_of("better_than_chance", given).passed


# F1


def test_a_challenger_with_the_champions_very_f1_passes() -> None:
    verdict = verdict_of("f1_gate", evidence(champion=as_good()))

    assert verdict.passed
    assert verdict.numbers["challenger_f1"] == verdict.numbers["champion_f1"]
    assert verdict.numbers["difference_lower_95"] == 0


def test_a_challenger_with_a_lower_f1_is_refused_with_both_figures() -> None:
    verdict = verdict_of("f1_gate", evidence(noise=2, champion=as_good()))

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
    champion = contender(made_up(0.5)[1] / 3, threshold=0.4 / 3)

    verdict = verdict_of("f1_gate", evidence(noise=2, champion=champion))

    alone = verdict_of("f1_gate", evidence()).numbers["challenger_f1"]
    assert not verdict.passed
    assert verdict.numbers["champion_f1"] == pytest.approx(alone)


def test_a_sample_says_of_how_many_rows() -> None:
    verdict = verdict_of("f1_gate", replace(evidence(champion=as_good()), known=5000))

    assert verdict.numbers["rows"] == ROWS
    assert verdict.numbers["sampled_from"] == 5000
    assert "a sample of 5,000" in verdict.reason


def test_f1_may_be_lower_by_the_margin_that_the_settings_say() -> None:
    given = evidence(noise=2, champion=as_good())
    lost = -verdict_of("f1_gate", given).numbers["difference"]

    assert verdict_of("f1_gate", given, f1_margin=lost + 0.001).passed
    verdict = verdict_of("f1_gate", given, f1_margin=lost - 0.001)
    assert not verdict.passed
    assert f"and may lose {lost - 0.001:g}" in verdict.reason


def better_but_for_f1() -> Evidence:
    """Scores that are better beyond chance, at a threshold that costs some F1."""
    given = evidence(champion=contender(made_up(2)[1]))
    theirs = f1(given.labels, given.champion.decisions)
    scores = given.challenger.scores
    worse = next(
        t for t in np.linspace(0.4, 1, 300) if theirs - f1(given.labels, scores >= t) > 0.001
    )
    return replace(given, challenger=replace(given.challenger, threshold=float(worse)))


def test_where_f1_alone_refuses_what_the_bounds_show_to_be_better_it_says_so() -> None:
    verdicts = verdicts_of(better_but_for_f1())

    assert [v.gate for v in verdicts.values() if not v.passed and v.blocking] == ["f1_gate"]
    reason = verdicts["f1_gate"].reason
    assert "it alone refuses, though the lower 95 % bounds are better in ROC AUC by 0." in reason


def test_where_another_gate_refuses_as_well_f1_does_not_say_that_it_alone_does() -> None:
    given = better_but_for_f1()
    undescribed = replace(given, challenger=replace(given.challenger, description=""))

    assert "it alone refuses" not in verdict_of("f1_gate", undescribed).reason


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

    assert verdict_of("f1_gate", present).passed is compared
    assert compared or "was trained by another split" in verdict_of("f1_gate", present).reason


@pytest.mark.parametrize(
    ("who", "todo"), [("challenger", "churn run --retrain"), ("champion", "put that split back")]
)
@pytest.mark.parametrize("split", ["hash/1 salt=other train=0.6 validation=0.2", ""])
def test_a_comparison_on_rows_that_either_may_have_trained_on_is_refused(
    who: str, todo: str, split: str
) -> None:
    given = evidence(champion=contender(made_up(2.5)[1]))
    judged = getattr(given, who)
    other = replace(given, **{who: replace(judged, tags={**judged.tags, "split": split})})

    verdicts = verdicts_of(other, ALL_GATES)

    comparing = set(NAMES) - {"governance", "better_than_chance", "stress", "approval"}
    for gate in comparing:
        assert not verdicts[gate].passed
        assert f"version {judged.version} was trained by another split" in verdicts[gate].reason
        assert todo in verdicts[gate].reason
    # Of many gates that say the same, the refusal says it once.
    assert str(refusal_of(other, **ALL_GATES.model_dump())).count("by another split") == 1


# The first Champion


def test_the_first_champion_must_rank_as_well_as_the_settings_say() -> None:
    found = verdict_of("first_champion", evidence()).numbers["roc_auc_lower_95"]

    assert verdict_of("first_champion", evidence(), first_auc=found - 0.001).passed
    verdict = verdict_of("first_champion", evidence(), first_auc=found + 0.001)
    assert not verdict.passed
    assert "ROC AUC" in verdict.reason


def test_the_first_champions_scores_must_be_as_high_as_the_rate() -> None:
    verdict = verdict_of("first_champion", evidence(scores=made_up(0.5)[1] ** 0.7))

    assert not verdict.passed
    assert "off the rate" in verdict.reason


def test_the_first_champions_scores_must_beat_the_base_rate() -> None:
    labels, scores = made_up(0.5)
    extreme = np.where(scores > np.quantile(scores, 1 - labels.mean()), 1.0, 0.0)
    noisy = np.random.default_rng(0).permutation(ROWS) < 700
    extreme[noisy] = np.random.default_rng(1).permutation(extreme[noisy])

    verdict = verdict_of("first_champion", evidence(scores=extreme))

    assert not verdict.passed
    assert "no better than the base rate's" in verdict.reason


def test_of_few_rows_the_mean_score_may_be_three_standard_errors_off() -> None:
    labels, scores = made_up(0.5)
    few = Evidence(contender(np.clip(scores[:60] + 0.06, 0, 1)), None, labels[:60], SPLIT)

    numbers = verdict_of("first_champion", few).numbers

    rate = labels[:60].mean()
    assert numbers["most_gap"] == pytest.approx(3 * np.sqrt(rate * (1 - rate) / 60))


def test_with_a_champion_what_the_first_must_reach_is_not_asked() -> None:
    verdict = verdict_of("first_champion", evidence(champion=as_good()), first_auc=1)

    assert verdict.passed
    assert "there is a Champion to compare with, version 1" in verdict.reason


# Not worse, and better


def test_a_challenger_as_good_as_the_champion_is_not_worse_and_not_better() -> None:
    given = evidence(champion=as_good())

    assert verdict_of("non_inferiority", given).passed
    assert refusal_of(given) is None
    verdicts = refusal_of(given, rule="improve")
    assert verdicts is not None
    assert verdicts.startswith("superiority: Brier gain to Champion 1 is +0.0000")


def test_a_worse_challenger_is_refused_whatever_its_f1() -> None:
    verdict = verdict_of("non_inferiority", evidence(noise=2, champion=as_good()))

    assert not verdict.passed
    assert verdict.numbers["roc_auc_difference_lower_95"] < -0.005
    assert verdict.numbers["brier_gain_lower_95"] < -0.0015


def test_each_margin_refuses_by_itself() -> None:
    given = evidence(noise=0.7, champion=as_good())
    numbers = verdict_of("non_inferiority", given, rule="improve").numbers
    base_rate = given.labels.mean() * (1 - given.labels.mean())
    auc = -numbers["roc_auc_difference_lower_95"]
    brier = -numbers["brier_gain_lower_95"] / base_rate
    assert auc > 0
    assert brier > 0

    def passes(auc_share: float, brier_share: float) -> bool:
        margins = {"auc_margin": auc_share * auc, "brier_margin": brier_share * brier}
        return verdict_of("non_inferiority", given, rule="improve", **margins).passed

    assert passes(1.01, 1.01)
    assert not passes(0.99, 1.01)
    assert not passes(1.01, 0.99)


def test_of_few_rows_a_refresh_has_wider_margins_up_to_the_most() -> None:
    """Equal models of 1,200 rows: 2.5 standard errors; of very unlike ones the most."""
    near, far = (
        verdict_of("non_inferiority", evidence(noise=noise, champion=as_good())).numbers
        for noise in (1, 8)
    )

    for name, base, most in (("roc_auc_difference", 0.005, 0.025), ("brier_gain", 0.0075, 0.05)):
        rate = made_up(0.5)[0].mean()
        scale = 1 if name == "roc_auc_difference" else rate * (1 - rate)
        margin = "roc_auc_margin" if name == "roc_auc_difference" else "brier_margin"
        error = (near[name] - near[f"{name}_lower_95"]) / 1.6448536
        assert base * scale < near[margin] < most * scale
        assert near[margin] == pytest.approx(2.5 * error, rel=0.01)
        assert far[margin] == pytest.approx(most * scale)


def test_the_verdict_says_what_difference_the_rows_can_prove() -> None:
    verdict = verdict_of("non_inferiority", evidence(noise=0.7, champion=as_good()))

    found, lower = (verdict.numbers[f"roc_auc_difference{end}"] for end in ("", "_lower_95"))
    provable = 2.49 * (found - lower) / 1.6448536
    assert verdict.numbers["provable_roc_auc_difference"] == pytest.approx(provable)
    assert f"these 1,200 rows can prove a difference of {provable:.2g} in ROC AUC" in verdict.reason


def test_a_challenger_whose_ranks_are_the_same_but_scores_too_high_is_worse() -> None:
    verdict = verdict_of(
        "non_inferiority", evidence(scores=made_up(0.5)[1] ** 0.6, champion=as_good())
    )

    assert not verdict.passed
    assert verdict.numbers["roc_auc_difference"] == pytest.approx(0)


def test_a_better_challenger_is_superior() -> None:
    verdict = verdict_of(
        "superiority", evidence(champion=contender(made_up(2.5)[1])), rule="improve"
    )

    assert verdict.passed
    assert verdict.numbers["brier_gain_lower_95"] > 0


# Value and floors


def contacts_nobody() -> Evidence:
    return evidence(scores=made_up(0.5)[1] / 100, champion=as_good())


def test_less_value_than_the_champions_warns_or_refuses_as_the_settings_say() -> None:
    warned, blocked = (
        verdict_of("value", contacts_nobody(), value=how) for how in ("warn", "block")
    )

    assert (warned.passed, warned.blocking) == (False, False)
    assert (blocked.passed, blocked.blocking) == (False, True)
    assert "value" not in str(refusal_of(contacts_nobody()))
    assert "value: Challenger 2 is worth 0 USD for 1,000 customers" in str(
        refusal_of(contacts_nobody(), value="block")
    )


def test_value_is_what_each_gains_by_contacting_whom_its_own_score_makes_pay() -> None:
    labels, ours = made_up(0.5)
    theirs = made_up(1.5)[1]
    worth = np.linspace(200, 1400, ROWS)

    def by_hand(scores: np.ndarray) -> float:
        total = 0.0
        for churned, score, kept in zip(labels, scores, worth, strict=True):
            if score * 0.3 * (kept - 50) - (1 - score) * 50 - 5 > 0:
                total += (0.3 * (kept - 50) if churned else -50) - 5
        return 1000 * total / ROWS

    numbers = verdict_of("value", evidence(champion=contender(theirs))).numbers

    assert numbers["challenger_value"] == pytest.approx(by_hand(ours))
    assert numbers["champion_value"] == pytest.approx(by_hand(theirs))
    assert numbers["difference"] == pytest.approx(by_hand(ours) - by_hand(theirs))
    assert numbers["difference_lower_95"] < numbers["difference"] < numbers["difference_upper_95"]


def test_a_share_of_the_champions_value_may_be_lost() -> None:
    given = evidence(noise=1.5, champion=as_good())
    numbers = verdict_of("value", given).numbers
    lost = -numbers["difference"] / numbers["champion_value"]
    assert lost > 0

    assert verdict_of("value", given, value_tolerance=lost + 0.001).passed
    assert not verdict_of("value", given, value_tolerance=lost - 0.001).passed


def test_value_without_amounts_refuses() -> None:
    verdict = verdict_of("value", replace(evidence(), stake=None))

    assert not verdict.passed
    assert "what is at stake with the test rows is not known" in verdict.reason


@pytest.mark.parametrize("amount", ["customer_value", "offer_cost", "contact_cost"])
def test_rows_of_an_unknown_amount_are_counted_and_left_out_of_the_value(amount: str) -> None:
    given = evidence(noise=1.5, champion=as_good())
    known = np.arange(ROWS) % 100 != 7
    stake = replace(given.stake, **{amount: np.where(known, getattr(given.stake, amount), np.nan)})
    without = replace(
        given,
        challenger=replace(given.challenger, scores=given.challenger.scores[known]),
        champion=replace(given.champion, scores=given.champion.scores[known]),
        labels=given.labels[known],
        stake=given.stake.of(known),
        slices={},
    )

    verdict = verdict_of("value", replace(given, stake=stake))

    assert verdict.numbers["rows_of_unknown_amount"] == 12
    assert "(without 12 rows of unknown amount)" in verdict.reason
    same = {"challenger_value", "champion_value", "difference", "challenger_contacts"}
    expected = verdict_of("value", without).numbers
    assert {name: verdict.numbers[name] for name in same} == {name: expected[name] for name in same}


def test_value_where_no_amount_is_known_refuses() -> None:
    given = evidence()
    unknown = replace(given.stake, customer_value=np.full(ROWS, np.nan))

    verdict = verdict_of("value", replace(given, stake=unknown))

    assert not verdict.passed
    assert verdict.reason == "of no test row are all amounts known"


def test_each_floor_is_held_for_every_challenger() -> None:
    for champion in (None, as_good()):
        given = evidence(champion=champion)
        assert verdict_of("floors", given, floors={"accuracy": 0.75, "f1": 0.55}).passed
        verdict = verdict_of("floors", given, floors={"accuracy": 0.75, "f1": 0.95})
        assert not verdict.passed
        assert verdict.reason.startswith("f1 0.")
        assert verdict.reason.endswith("is below 0.95")


def test_of_a_loss_the_floor_is_the_most_that_is_allowed() -> None:
    brier = verdict_of("floors", evidence(), floors={"brier": 1}).numbers["found"]["brier"]

    assert verdict_of("floors", evidence(), floors={"brier": brier + 1e-6}).passed
    assert not verdict_of("floors", evidence(), floors={"brier": brier - 1e-6}).passed


@pytest.mark.parametrize(
    ("floors", "reason"),
    [
        ({"f2": 0.5}, "no metric is called f2; name under gates.floors one of accuracy, f1"),
        ({"f1": float("nan")}, "not a finite number"),
    ],
)
def test_a_floor_that_cannot_be_held_refuses(floors: dict[str, float], reason: str) -> None:
    verdict = verdict_of("floors", evidence(), floors=floors)

    assert not verdict.passed
    assert reason in verdict.reason


# Calibration and slices


def test_scores_that_are_too_extreme_are_refused_though_ranks_and_mean_are_right() -> None:
    _, scores = made_up(2.5)
    odds = np.log(scores / (1 - scores))
    extreme = 1 / (1 + np.exp(-3 * odds))
    extreme *= scores.mean() / extreme.mean()

    verdict = verdict_of("calibration", evidence(scores=np.clip(extreme, 0, 1)))

    assert not verdict.passed
    assert verdict.reason.startswith("expected calibration error")
    assert verdict.numbers["slope"] < 0.6


def test_scores_that_are_all_too_high_are_refused() -> None:
    verdict = verdict_of("calibration", evidence(scores=made_up(0.5)[1] ** 0.7))

    assert not verdict.passed
    assert "off the rate" in verdict.reason


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.27, 0.5, 0.8])
def test_odds_that_are_twice_too_high_are_refused_at_any_rate_and_right_ones_are_not(
    rate: float,
) -> None:
    rng = np.random.default_rng(1)
    odds = 1.5 * rng.normal(size=20_000)
    odds += np.log(rate / (1 - rate)) * 1.2
    labels = rng.random(20_000) < 1 / (1 + np.exp(-odds))
    bare = {"slices": {}, "stake": None}

    def calibration(times: float) -> Verdict:
        given = evidence(scores=1 / (1 + np.exp(-odds) / times))
        return verdict_of("calibration", replace(given, labels=labels, **bare))

    right, doubled, halved = (calibration(times) for times in (1, 2, 0.5))

    assert right.passed
    assert not doubled.passed
    assert not halved.passed
    assert "times what comes true" in doubled.reason
    assert doubled.numbers["intercept"] == pytest.approx(-np.log(2), abs=0.25)


def test_a_use_case_that_tolerates_more_has_wider_rules_all() -> None:
    """As bookings do: odds that are 1.5 times too high are no harm where seasons move them."""
    odds = np.random.default_rng(0).normal(-0.5, 1, 50_000)
    labels = np.random.default_rng(1).random(50_000) < 1 / (1 + np.exp(-odds))
    given = replace(
        evidence(scores=1 / (1 + np.exp(-odds) / 1.4)), labels=labels, slices={}, stake=None
    )

    def passes(error: float) -> bool:
        case = replace(USE_CASE, calibration_error=error)
        judgement = decide(lambda: given, case, GateSettings())
        return {v.gate: v.passed for v in judgement.verdicts}["calibration"]

    assert not passes(0.03)
    assert passes(0.08)


def test_calibration_may_warn_without_a_business_case_and_not_with_one() -> None:
    given = evidence(scores=made_up(0.5)[1] ** 0.7)
    settings = GateSettings(calibration="warn")

    def verdict(case: UseCase) -> Verdict:
        judgement = decide(lambda: given, case, settings)
        return {v.gate: v for v in judgement.verdicts}["calibration"]

    bare, valued = verdict(replace(USE_CASE, business=None)), verdict(USE_CASE)

    assert (bare.passed, bare.blocking) == (False, False)
    assert (valued.passed, valued.blocking) == (False, True)
    assert "gates.calibration: warn does not hold with a business case" in valued.reason
    assert "warn" not in bare.reason


def month_is_lost() -> Evidence:
    """The Challenger knows nothing of those who pay by the month."""
    given = evidence(champion=as_good())
    month = given.slices["contract"] == "month"
    return replace(
        given, challenger=replace(given.challenger, scores=np.where(month, 0.1, made_up(0.5)[1]))
    )


def test_a_slice_that_loses_is_refused_and_named() -> None:
    verdict = verdict_of("slices", month_is_lost())

    assert not verdict.passed
    assert verdict.reason.startswith("F1 of contract month is 0.000, below the Champion's 0.")
    assert verdict.reason.endswith("judged as a family of 3 slices")
    assert "contract year" not in verdict.reason
    found = {slice_["group"]: slice_ for slice_ in verdict.numbers["slices"]}
    assert found["month"]["rows"] == ROWS / 3
    assert found["year"]["difference"] == 0


def test_a_slice_may_lose_as_much_as_the_settings_say() -> None:
    assert verdict_of("slices", month_is_lost(), slice_tolerance=1).passed


def test_a_slice_of_few_churners_is_named_and_not_judged() -> None:
    given = month_is_lost()
    month = given.slices["contract"] == "month"
    churners = np.cumsum(given.labels & month)

    few, enough = (
        verdict_of("slices", replace(given, labels=given.labels & (~month | (churners <= most))))
        for most in (49, 50)
    )

    assert few.passed
    assert few.numbers["not_judged"] == ["contract month"]
    assert not enough.passed


def test_a_loss_that_may_be_chance_does_not_refuse() -> None:
    given = evidence(champion=contender(made_up(0.5, seed=3)[1]))
    found = verdict_of("slices", given, slice_tolerance=0).numbers["slices"]

    losses = [s["difference"] < 0 for s in found]
    sure = [s["difference"] < 0 and s["difference_upper_95"] < 0 for s in found]

    assert any(losses)
    assert not any(sure)
    assert verdict_of("slices", given, slice_tolerance=0).passed


def test_a_slice_of_few_rows_or_of_one_outcome_is_named_and_not_judged() -> None:
    given = month_is_lost()
    one_outcome = {"loyal": np.where(given.labels, "no", "yes").astype(object)}

    small = verdict_of("slices", given, slice_rows=ROWS // 3 + 1)
    alike = verdict_of("slices", replace(given, slices=one_outcome))

    assert small.passed
    assert small.numbers["not_judged"] == ["contract month", "contract two", "contract year"]
    assert "not judged, too few rows, churners or stayers: contract month" in small.reason
    assert alike.numbers["not_judged"] == ["loyal no", "loyal yes"]


def test_without_a_champion_slices_are_shown() -> None:
    verdict = verdict_of("slices", replace(month_is_lost(), champion=None))

    assert verdict.passed
    assert [slice_["challenger_f1"] > 0 for slice_ in verdict.numbers["slices"]] == [
        False,
        True,
        True,
    ]


def test_slices_that_were_not_gathered_refuse() -> None:
    assert not verdict_of("slices", replace(evidence(), slices={})).passed


# Stress


FALLS = Sweep(1, (0.0, 1.0), (0.5, 0.4), rows=50, broken=3, worst=0.1)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Stress(9, error="tenure null: ValueError: NaN"), "broke at tenure null: ValueError"),
        (Stress(9, improbable=("tenure 1e+06",)), "not probabilities at tenure 1e+06"),
        (Stress(9, sweeps={"price": FALLS}), "of 3 of 50 customers falls with price, by up to 0.1"),
        (Stress(9, sweeps={"price": replace(FALLS, direction=-1)}), "customers rises with price"),
        (None, "was not given hostile rows"),
    ],
)
def test_a_challenger_that_takes_hostile_rows_badly_is_refused(
    found: Stress | None, reason: str
) -> None:
    verdict = verdict_of("stress", replace(evidence(), stress=found))

    assert not verdict.passed
    assert reason in verdict.reason


def test_a_monotone_challenger_passes_and_says_in_what() -> None:
    verdict = verdict_of(
        "stress", replace(evidence(), stress=Stress(9, sweeps={"price": replace(FALLS, broken=0)}))
    )

    assert verdict.passed
    assert "monotone in price" in verdict.reason


# A person's approval


def test_an_approval_on_this_evidence_passes_and_says_by_whom() -> None:
    verdict = verdict_of(
        "approval", with_approval(evidence(), approval_note="looks right"), approval="required"
    )

    assert verdict.passed
    assert verdict.reason == "approved by a person at 2026-01-01T00:00:00+00:00 (looks right)"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"approval": ""}, "version 2 waits for a person"),
        ({"approval": "perhaps"}, "waits for a person"),
        ({"approval": "rejected", "approval_note": "no"}, "rejected by a person at 2026-01-01"),
        ({"approval_by": " "}, "does not say by whom"),
        ({"approval_digest": "other"}, "the evidence changed since"),
        ({"approval_digest": ""}, "the evidence changed since"),
    ],
)
def test_what_is_no_approval_of_this_evidence_waits(changes: dict[str, str], reason: str) -> None:
    verdict = verdict_of("approval", with_approval(evidence(), **changes), approval="required")

    assert not verdict.passed
    assert reason in verdict.reason


def test_an_approval_is_of_one_version_only() -> None:
    given = with_approval(evidence())
    other = replace(given, challenger=replace(given.challenger, version=3, run_id="run 3"))

    assert not verdict_of("approval", other, approval="required").passed

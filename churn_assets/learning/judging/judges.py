"""What each gate finds by the evidence: pure, and an error where it cannot judge.

Every judge takes the evidence, the use case and the settings of the gates, as `gate.Judge` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import GateError
from churn_assets.learning.fitting.threshold import THRESHOLD_RULES
from churn_assets.learning.judging.approvals import decision_of, is_rejected
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.requirements import (
    require_both_classes,
    require_comparable,
    require_scores,
)
from churn_assets.learning.judging.rules import (
    LOSSES,
    MARGIN_ERRORS,
    MOST_AUC_MARGIN,
    MOST_BRIER_MARGIN,
    GateSettings,
)
from churn_assets.learning.judging.verdict import Finding
from churn_assets.learning.metrics import (
    Z_95_ONE_SIDED,
    Estimate,
    auc_difference,
    best_constant_f1,
    brier_gain,
    calibration_bounds,
    calibration_error,
    f1,
    f1_difference,
    mean_bounds,
    metrics,
    roc_auc_bounds,
)
from churn_assets.learning.value import PER_CUSTOMERS, break_even, realised_value
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.learning.value import Amounts
    from churn_assets.types import Bools, Floats


MIN_DESCRIPTION = 40
LINEAGE_TAGS = (
    "use_case",
    "recipe",
    "threshold",
    "split",
    "features_version",
    "features_data_version",
    "code_version",
)
STANDARD_ERRORS = 3
"""How far the mean score may be from the rate by chance."""
COMMON = 0.25
"""Rate from which on an outcome is not rare: a tolerance holds as it is. Of a rarer one it is the
same share of the rate."""
ODDS_TOLERANCE = 0.2
"""How far Cox's intercept may be from 0, and the logarithm of his slope: a factor of 1.22."""
USUAL_CALIBRATION_ERROR = 0.03
"""What a use case tolerates where it says nothing; one that tolerates more has wider rules all."""
CONSTANT_SHARE = 0.05
"""Share of scores that speak against a constant decision, below which it may be right."""
FAMILY_ERROR = 0.05
"""How often any slice of an equal model may be refused, however many there are."""
DETECTABLE = 2.49
"""Standard errors of a difference that is found four times in five, one-sided at 95 %."""
LEAST_OF_AN_OUTCOME = 50
"""Churners, and stayers, of a slice; with fewer, F1 of equal models differs by a tenth."""


def governance(evidence: Evidence, *_: object) -> Finding:
    """The registry says what it is and where it comes from, nobody rejected it, and it scores."""
    challenger = evidence.challenger
    missing = [tag for tag in LINEAGE_TAGS if not challenger.tags.get(tag, "").strip()]
    faults = []
    if len(challenger.description.strip()) < MIN_DESCRIPTION:
        faults.append(f"its description has fewer than {MIN_DESCRIPTION} characters")
    if not challenger.has_signature:
        faults.append("it has no signature")
    if not challenger.has_input_example:
        faults.append("it has no input example")
    if missing:
        faults.append(f"it lacks the tags {', '.join(missing)}")
    if not len(challenger.scores):
        faults.append("there are no labelled test rows for it to score")
    if not challenger.gives_probabilities:
        faults.append("it gives scores that are not probabilities")
    if is_rejected(challenger.tags):
        faults.append(decision_of(challenger.tags))
    numbers = {
        "description": challenger.description,
        "rows_scored": len(challenger.scores),
        "tags": dict(challenger.tags),
    }
    passed = not faults
    reason = "documented, traceable, loads and scores" if passed else "; ".join(faults)
    return Finding(passed, reason, numbers)


def better_than_chance(evidence: Evidence, *_: object) -> Finding:
    """The Challenger's ranks and scores beat what no knowledge reaches, beyond chance.

    Without it, a model of shuffled labels beats a good Champion wherever the labels that
    both are judged by are shuffled as well.
    """
    require_both_classes(evidence)
    challenger, labels = evidence.challenger, evidence.labels
    require_scores(challenger, evidence)
    auc = roc_auc_bounds(labels, challenger.scores)
    skill = _brier_skill(labels, challenger.scores)
    numbers: dict[str, Any] = {
        "roc_auc": auc.value,
        "roc_auc_lower_95": auc.lower,
        **_bounds("brier_skill", skill),
    }
    faults = []
    if not auc.lower > 0.5:  # noqa: PLR2004
        faults.append(f"the lower 95 % bound of ROC AUC {auc.lower:.3f} is not above 0.500")
    if not skill.upper > 0:
        faults.append(f"Brier skill {skill.value:+.3f} is surely no better than the base rate's")
    found = f"lower 95 % bound of ROC AUC {auc.lower:.3f}, Brier skill {skill.value:+.3f}"
    f1_rule = THRESHOLD_RULES["f1"]
    if challenger.tags.get("threshold_rule", f1_rule) == f1_rule:
        constant = best_constant_f1(labels)
        gain = f1_difference(labels, challenger.decisions, np.ones_like(labels))
        numbers |= {
            "f1": f1(labels, challenger.decisions),
            "best_constant_f1": constant,
            **_bounds("f1_gain", gain),
        }
        found += f", F1 {numbers['f1']:.3f} against {constant:.3f} of guessing"
        if gain.upper < 0 or _is_needlessly_constant(challenger, constant):
            faults.append(
                f"F1 {numbers['f1']:.3f} is no better than {constant:.3f}, that of deciding "
                "everyone to churn"
            )
    return Finding(not faults, "; ".join(faults) or found, numbers)


def f1_gate(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """The Challenger's F1 is at least the Champion's, on the same rows, each at its threshold."""
    require_comparable(evidence)
    challenger, champion, labels = evidence.challenger, evidence.champion, evidence.labels
    ours = f1(labels, challenger.decisions)
    numbers: dict[str, Any] = {
        "challenger_version": challenger.version,
        "challenger_f1": ours,
        "challenger_threshold": challenger.threshold,
    }
    if champion is None:
        reason = f"F1 {ours:.3f}, and {evidence.nobody}"
        return Finding(True, reason, numbers)
    theirs = f1(labels, champion.decisions)
    numbers |= {
        "champion_version": champion.version,
        "champion_f1": theirs,
        "champion_threshold": champion.threshold,
        **_bounds("difference", f1_difference(labels, challenger.decisions, champion.decisions)),
    }
    sample = f", a sample of {evidence.known:,}" if evidence.is_sample else ""
    reason = (
        f"Challenger {challenger.version} has F1 {ours:.3f}, Champion {champion.version} has "
        f"{theirs:.3f} on the same {len(labels):,} test rows{sample}"
    )
    if settings.f1_margin:
        numbers["f1_margin"] = settings.f1_margin
        reason += f", and may lose {settings.f1_margin:g}"
    return Finding(ours >= theirs - settings.f1_margin, reason, numbers)


def proves_better(evidence: Evidence) -> str:
    """By what bounds the Challenger is better than the Champion beyond chance; empty by none."""
    champion, labels = evidence.champion, evidence.labels
    if champion is None:
        return ""
    found = {
        "ROC AUC": auc_difference(labels, evidence.challenger.scores, champion.scores),
        "the Brier score": brier_gain(labels, evidence.challenger.scores, champion.scores),
    }
    better = [f"{name} by {one.lower:.4f}" for name, one in found.items() if one.lower > 0]
    return " and ".join(better)


def first_champion(evidence: Evidence, use_case: UseCase, settings: GateSettings) -> Finding:
    """Where no Champion is compared with: ranks well, beats the base rate, is as high as it."""
    require_comparable(evidence)
    if evidence.champion is not None:
        reason = f"there is a Champion to compare with, version {evidence.champion.version}"
        return Finding(True, reason)
    labels, scores = evidence.labels, evidence.challenger.scores
    auc = roc_auc_bounds(labels, scores)
    brier, rate = float(((scores - labels) ** 2).mean()), float(labels.mean())
    constant, least_auc = rate * (1 - rate), settings.first_auc
    numbers = {
        "roc_auc": auc.value,
        "roc_auc_lower_95": auc.lower,
        "least_roc_auc_lower_95": least_auc,
        "brier": brier,
        "brier_of_the_rate": constant,
        **_means(evidence, use_case),
    }
    faults = []
    if not auc.lower >= least_auc:
        faults.append(f"the lower 95 % bound of ROC AUC {auc.lower:.3f} is below {least_auc:.3f}")
    if not _brier_skill(labels, scores).upper > 0:
        faults.append(f"Brier score {brier:.4f} is no better than the base rate's {constant:.4f}")
    faults += _off_the_rate(numbers)
    reason = "; ".join(faults) or (
        f"lower 95 % bound of ROC AUC {auc.lower:.3f}, Brier score {brier:.4f} against the base "
        f"rate's {constant:.4f}, mean score {numbers['mean_score']:.3g} at a rate of {rate:.3g}"
    )
    if evidence.incomparable:
        reason += f"; asked as of a first one, for {evidence.incomparable}"
    return Finding(not faults, reason, numbers)


def non_inferiority(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """The Challenger is not worse than the Champion by more than a margin, as chance tells."""
    require_comparable(evidence)
    champion, labels = evidence.champion, evidence.labels
    if champion is None:
        return Finding(True, evidence.nobody)
    rate = float(labels.mean())
    auc = auc_difference(labels, evidence.challenger.scores, champion.scores)
    brier = brier_gain(labels, evidence.challenger.scores, champion.scores)
    base_rate = rate * (1 - rate)
    auc_margin, brier_margin = settings.auc_margin, settings.brier_margin * base_rate
    if settings.rule == "refresh":
        auc_margin = _margin(auc, auc_margin, MOST_AUC_MARGIN)
        brier_margin = _margin(brier, brier_margin, MOST_BRIER_MARGIN * base_rate)
    provable = DETECTABLE * _standard_error(auc)
    numbers = {
        **_bounds("roc_auc_difference", auc),
        "roc_auc_margin": auc_margin,
        "provable_roc_auc_difference": provable,
        **_bounds("brier_gain", brier),
        "brier_margin": brier_margin,
        "provable_brier_difference": DETECTABLE * _standard_error(brier),
    }
    passed = auc.lower > -auc_margin and brier.lower > -brier_margin
    compared = "above" if passed else "not both above"
    reason = (
        f"lower 95 % bounds of ROC AUC difference {auc.lower:+.4f} and Brier gain "
        f"{brier.lower:+.4f} to Champion {champion.version} are {compared} the margins "
        f"{-auc_margin:+.4f} and {-brier_margin:+.4f}"
    )
    if provable > 0:
        reason += (
            f"; these {len(labels):,} rows can prove a difference of {provable:.2g} in ROC AUC"
        )
    return Finding(passed, reason, numbers)


def superiority(evidence: Evidence, *_: object) -> Finding:
    """The Challenger's Brier score is better than the Champion's, beyond chance."""
    require_comparable(evidence)
    champion = evidence.champion
    if champion is None:
        return Finding(True, evidence.nobody)
    gain = brier_gain(evidence.labels, evidence.challenger.scores, champion.scores)
    passed = gain.lower > 0
    compared = "above" if passed else "not above"
    reason = (
        f"Brier gain to Champion {champion.version} is {gain.value:+.4f}, its lower 95 % bound "
        f"{gain.lower:+.4f} is {compared} 0"
    )
    return Finding(passed, reason, _bounds("brier_gain", gain))


def value(evidence: Evidence, use_case: UseCase, settings: GateSettings) -> Finding:
    """The Challenger's simulated value is at least the Champion's, less a share of it.

    Each contacts the customers with whom a contact pays by its own score; test rows of whom an
    amount is not known are counted and left out.
    """
    require_comparable(evidence)
    challenger, champion, stake = evidence.challenger, evidence.champion, evidence.stake
    if stake is None or use_case.business is None:
        raise GateError("what is at stake with the test rows is not known")
    known = stake.known
    if not known.any():
        raise GateError("of no test row are all amounts known")
    labels, stake = evidence.labels[known], stake.of(known)
    currency, tolerance = use_case.business.currency, settings.value_tolerance
    ours, our_contacts = _value(challenger, known, labels, stake)
    numbers: dict[str, Any] = {
        "currency": currency,
        "customers": PER_CUSTOMERS,
        "challenger_value": float(ours.mean()),
        "challenger_contacts": our_contacts,
        "rows_of_unknown_amount": int((~known).sum()),
    }
    worth = f"{numbers['challenger_value']:,.0f} {currency} for {PER_CUSTOMERS:,} customers"
    if not known.all():
        worth += f" (without {numbers['rows_of_unknown_amount']:,} rows of unknown amount)"
    if champion is None:
        return Finding(True, f"{worth}, and {evidence.nobody}", numbers)
    theirs, their_contacts = _value(champion, known, labels, stake)
    least = float(theirs.mean()) - tolerance * abs(float(theirs.mean()))
    numbers |= {
        "champion_value": float(theirs.mean()),
        "champion_contacts": their_contacts,
        "least_value": least,
        **_bounds("difference", mean_bounds(ours - theirs)),
    }
    reason = (
        f"Challenger {challenger.version} is worth {worth}, Champion {champion.version} "
        f"{numbers['champion_value']:,.0f}, of which {100 * tolerance:g} % may be lost"
    )
    return Finding(numbers["challenger_value"] >= least, reason, numbers)


def floors(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """Each named metric of the Challenger reaches its floor; of a loss, it is the most allowed."""
    require_comparable(evidence)
    challenger, least = evidence.challenger, settings.floors
    found = metrics(evidence.labels, challenger.scores, challenger.threshold)
    unknown = [name for name in least if name not in found]
    if unknown:
        raise GateError(
            f"no metric is called {', '.join(unknown)}; name under gates.floors one of "
            f"{', '.join(found)}"
        )
    missed = []
    for name, floor in least.items():
        if not (found[name] <= floor if name in LOSSES else found[name] >= floor):
            compared = "above" if name in LOSSES else "below"
            missed.append(f"{name} {found[name]:.4f} is {compared} {floor:g}")
    numbers = {"found": {name: found[name] for name in least}, "floors": dict(least)}
    reason = "; ".join(missed) or ", ".join(f"{name} {found[name]:.4f}" for name in least)
    return Finding(not missed, reason, numbers)


def calibration(evidence: Evidence, use_case: UseCase, settings: GateSettings) -> Finding:
    """The Challenger's scores are as high as the rates that come true, as far as chance tells."""
    require_comparable(evidence)
    labels, scores = evidence.labels, evidence.challenger.scores
    found = calibration_error(labels, scores)
    slope, intercept = calibration_bounds(labels, scores)
    most = max(_tolerance(evidence, use_case), found.consistent_error)
    most_odds = ODDS_TOLERANCE * max(1.0, use_case.calibration_error / USUAL_CALIBRATION_ERROR)
    numbers = {
        **_means(evidence, use_case),
        "calibration_error": found.error,
        "most_calibration_error": most,
        "calibration_error_by_chance_99": found.consistent_error,
        **_bounds("slope", slope, 99),
        **_bounds("intercept", intercept, 99),
        "most_log_odds": most_odds,
    }
    faults = _off_the_rate(numbers)
    if not found.error <= most:
        faults.append(f"expected calibration error {found.error:.2g} is above {most:.2g}")
    if slope.upper < math.exp(-most_odds) or slope.lower > math.exp(most_odds):
        extreme = "extreme" if slope.value < 1 else "alike"
        faults.append(f"scores are too {extreme}, Cox's slope is {slope.value:.2f} instead of 1")
    if intercept.lower > most_odds or intercept.upper < -most_odds:
        faults.append(f"odds are {math.exp(-intercept.value):.2f} times what comes true")
    reason = "; ".join(faults) or (
        f"mean score {numbers['mean_score']:.3g} at a rate of {numbers['rate']:.3g}, expected "
        f"calibration error {found.error:.2g} of at most {most:.2g}, Cox's slope "
        f"{slope.value:.2f}, odds {math.exp(-intercept.value):.2f} times what comes true"
    )
    if faults and settings.calibration == "warn" and use_case.business is not None:
        reason += (
            " (gates.calibration: warn does not hold with a business case, which contacts "
            "customers by these scores)"
        )
    return Finding(not faults, reason, numbers)


def slices(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """In no group of customers is F1 below the Champion's by more than a little and than chance."""
    require_comparable(evidence)
    if not evidence.slices:
        raise GateError("the groups of the test rows are not known")
    tolerance = settings.slice_tolerance
    family, small = [], []
    for name, group, rows in _groups(evidence):
        if _is_small(evidence.labels[rows], settings.slice_rows):
            small.append(f"{name} {group}")
        else:
            family.append((name, group, rows))
    # Bonferroni: as sure of all of them together as of one.
    sure = 1 - FAMILY_ERROR / max(len(family), 1)
    judged, worse = [], []
    for name, group, rows in family:
        numbers = {"slice": name, "group": group, **_slice(evidence, rows, sure)}
        judged.append(numbers)
        lost = numbers.get("difference", 0.0) < -tolerance
        if lost and numbers["difference_upper_family"] < 0:
            worse.append(
                f"F1 of {name} {group} is {numbers['challenger_f1']:.3f}, below the Champion's "
                f"{numbers['champion_f1']:.3f} by more than {tolerance:g}"
            )
    reason = "; ".join(worse)
    if worse:
        reason += f"; judged as a family of {len(family)} slices"
    elif evidence.champion is None:
        reason = f"{len(family)} slices, and {evidence.nobody}"
    else:
        reason = (
            f"F1 in none of a family of {len(family)} slices is surely lower by more than "
            f"{tolerance:g}"
        )
    if small:
        reason += f"; not judged, too few rows, churners or stayers: {', '.join(small)}"
    return Finding(
        not worse,
        reason,
        {
            "slices": judged,
            "not_judged": small,
            "tolerance": tolerance,
            "family": len(family),
        },
    )


def stress(evidence: Evidence, *_: object) -> Finding:
    """The Challenger scores hostile but valid rows, and is monotone where it must be."""
    stress = evidence.stress
    if stress is None:
        raise GateError("the Challenger was not given hostile rows to score")
    faults = [] if stress.error is None else [f"scoring broke at {stress.error}"]
    if stress.improbable:
        faults.append(f"scores are not probabilities at {', '.join(stress.improbable)}")
    for name, sweep in stress.sweeps.items():
        if sweep.broken:
            way = "falls" if sweep.direction > 0 else "rises"
            faults.append(
                f"the score of {sweep.broken} of {sweep.rows} customers {way} with {name}, by up "
                f"to {sweep.worst:.4f}"
                + (f" ({', '.join(sweep.along)} moved along)" if sweep.along else "")
            )
    numbers = {
        "hostile_rows": stress.rows,
        "score_ranges": {name: list(ends) for name, ends in stress.ranges.items()},
        "monotone": {
            name: {
                "values": list(sweep.values),
                "scores": list(sweep.scores),
                "broken": sweep.broken,
            }
            for name, sweep in stress.sweeps.items()
        },
    }
    monotone = f", monotone in {', '.join(stress.sweeps)}" if stress.sweeps else ""
    reason = "; ".join(faults) or f"scores all {stress.rows:,} hostile rows{monotone}"
    return Finding(not faults, reason, numbers)


def _bounds(name: str, estimate: Estimate, sure: int = 95) -> dict[str, float]:
    """An estimate and its bounds, by name."""
    return {
        name: estimate.value,
        f"{name}_lower_{sure}": estimate.lower,
        f"{name}_upper_{sure}": estimate.upper,
    }


def _standard_error(estimate: Estimate) -> float:
    return (estimate.value - estimate.lower) / Z_95_ONE_SIDED


def _margin(found: Estimate, base: float, most: float) -> float:
    """A margin that grows with how little the rows can tell, up to the most."""
    return max(base, min(MARGIN_ERRORS * _standard_error(found), most))


def _brier_skill(labels: Bools, scores: Floats) -> Estimate:
    """Share of the base rate's Brier score that the scores save."""
    rate = float(labels.mean())
    gain = brier_gain(labels, scores, np.full(len(labels), rate))
    scale = rate * (1 - rate)
    return Estimate(gain.value / scale, gain.lower / scale, gain.upper / scale)


def _is_needlessly_constant(challenger: Contender, constant: float) -> bool:
    """Whether everyone is decided to churn, against what the scores say.

    F1 is best by deciding all whose probability is above half of the best F1 (Lipton et al. 2014,
    "Optimal thresholding of classifiers to maximize F1 measure"); so nobody lies below it where
    deciding everyone is best.
    """
    below = float((challenger.scores < constant / 2).mean())
    return bool(challenger.decisions.all()) and below > CONSTANT_SHARE


def _tolerance(evidence: Evidence, use_case: UseCase) -> float:
    """The use case's calibration error; of a rare outcome the same share of its rate."""
    rate = float(evidence.labels.mean())
    return use_case.calibration_error * min(1.0, min(rate, 1 - rate) / COMMON)


def _means(evidence: Evidence, use_case: UseCase) -> dict[str, float]:
    """Mean score and rate of churn, and how far they may be apart."""
    rate, rows = float(evidence.labels.mean()), len(evidence.labels)
    chance = STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / rows)
    return {
        "mean_score": float(evidence.challenger.scores.mean()),
        "rate": rate,
        "most_gap": max(_tolerance(evidence, use_case), chance),
    }


def _off_the_rate(numbers: Mapping[str, float]) -> list[str]:
    mean, rate, most = numbers["mean_score"], numbers["rate"], numbers["most_gap"]
    if abs(mean - rate) <= most:
        return []
    return [f"mean score {mean:.3g} is over {most:.2g} off the rate {rate:.3g}"]


def _value(
    contender: Contender, known: Bools, labels: Bools, stake: Amounts
) -> tuple[Floats, float]:
    """Simulated value of each known test row, and how many contacts, for so many customers."""
    contacted = contender.scores[known] >= break_even(stake)
    value = realised_value(labels, contacted, stake)
    return PER_CUSTOMERS * value, PER_CUSTOMERS * float(contacted.mean())


def _groups(evidence: Evidence) -> Iterator[tuple[str, str, Bools]]:
    """Column, group and which rows are of it."""
    for name, groups in evidence.slices.items():
        for group in sorted(set(groups.tolist())):
            yield name, str(group), groups == group


def _is_small(labels: Bools, least_rows: int) -> bool:
    """Whether a group has too few customers, churners or stayers to be judged."""
    churners = int(labels.sum())
    return len(labels) < least_rows or min(churners, len(labels) - churners) < LEAST_OF_AN_OUTCOME


def _slice(evidence: Evidence, rows: Bools, sure: float) -> dict[str, Any]:
    """F1 of both within a group, each at its own threshold; one bound as sure as a family needs."""
    labels, champion = evidence.labels[rows], evidence.champion
    ours = evidence.challenger.decisions[rows]
    numbers: dict[str, Any] = {
        "rows": len(labels),
        "rate": float(labels.mean()),
        "challenger_f1": f1(labels, ours),
    }
    if champion is None:
        return numbers
    theirs = champion.decisions[rows]
    return {
        **numbers,
        "champion_f1": f1(labels, theirs),
        **_bounds("difference", f1_difference(labels, ours, theirs)),
        "difference_upper_family": f1_difference(labels, ours, theirs, sure=sure).upper,
    }

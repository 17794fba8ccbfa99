"""What each gate finds by the evidence: pure, and an error where it cannot judge.

Every judge takes the evidence, the use case and the settings of the gates, as `gate.Judge` says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from churn_assets.errors import GateError
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.requirements import (
    require_both_classes,
    require_comparable,
    require_scores,
)
from churn_assets.learning.judging.rules import LOSSES, GateSettings
from churn_assets.learning.judging.verdict import Finding
from churn_assets.learning.metrics import (
    Estimate,
    auc_difference,
    best_constant_f1,
    brier_gain,
    calibration_error,
    calibration_line,
    f1,
    f1_difference,
    f1_lower,
    mean_bounds,
    metrics,
    roc_auc_lower,
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
MEAN_TOLERANCE = 0.03
"""How far the mean score may be from the rate, however many rows there are."""
STANDARD_ERRORS = 3
"""The same, where there are few."""
LEAST_OF_AN_OUTCOME = 50
"""Churners, and stayers, of a slice; with fewer, F1 of equal models differs by a tenth."""
_NO_CHAMPION = Finding(True, "there is no Champion yet to compare with")


def governance(evidence: Evidence, *_: object) -> Finding:
    """The registry says what the Challenger is, where it comes from, and it scores real rows."""
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
    numbers = {
        "description": challenger.description,
        "rows_scored": len(challenger.scores),
        "tags": dict(challenger.tags),
    }
    passed = not faults
    reason = "documented, traceable, loads and scores" if passed else "; ".join(faults)
    return Finding(passed, reason, numbers)


def better_than_chance(evidence: Evidence, *_: object) -> Finding:
    """The Challenger's lower 95 % bounds of AUC and F1 beat what no knowledge reaches.

    Without it, a model of shuffled labels beats a good Champion wherever the labels that
    both are judged by are shuffled as well.
    """
    require_both_classes(evidence)
    challenger, labels = evidence.challenger, evidence.labels
    require_scores(challenger, evidence)
    auc, auc_bound = roc_auc_lower(labels, challenger.scores)
    found, bound = f1_lower(labels, challenger.decisions)
    constant = best_constant_f1(labels)
    numbers = {
        "roc_auc": auc,
        "roc_auc_lower_95": auc_bound,
        "f1": found,
        "f1_lower_95": bound,
        "best_constant_f1": constant,
    }
    passed = auc_bound > 0.5 and bound > constant  # noqa: PLR2004
    compared = "above" if passed else "not both above"
    reason = (
        f"lower 95 % bounds of ROC AUC {auc_bound:.3f} and F1 {bound:.3f} are {compared} "
        f"those of guessing, 0.500 and {constant:.3f}"
    )
    return Finding(passed, reason, numbers)


def f1_gate(evidence: Evidence, *_: object) -> Finding:
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
        reason = f"F1 {ours:.3f}, and there is no Champion yet"
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
    return Finding(ours >= theirs, reason, numbers)


def first_champion(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """Where there is no Champion: ranks well, and its scores beat the base rate and are as high."""
    require_comparable(evidence)
    if evidence.champion is not None:
        reason = f"there is a Champion to compare with, version {evidence.champion.version}"
        return Finding(True, reason)
    labels, scores = evidence.labels, evidence.challenger.scores
    auc, bound = roc_auc_lower(labels, scores)
    brier, rate = float(((scores - labels) ** 2).mean()), float(labels.mean())
    constant, least_auc = rate * (1 - rate), settings.first_auc
    numbers = {
        "roc_auc": auc,
        "roc_auc_lower_95": bound,
        "least_roc_auc_lower_95": least_auc,
        "brier": brier,
        "brier_of_the_rate": constant,
        **_means(evidence),
    }
    faults = []
    if not bound >= least_auc:
        faults.append(f"the lower 95 % bound of ROC AUC {bound:.3f} is below {least_auc:.3f}")
    if not brier < constant:
        faults.append(f"Brier score {brier:.4f} is no better than the base rate's {constant:.4f}")
    faults += _off_the_rate(numbers)
    reason = "; ".join(faults) or (
        f"lower 95 % bound of ROC AUC {bound:.3f}, Brier score {brier:.4f} against the base "
        f"rate's {constant:.4f}, mean score {numbers['mean_score']:.3f} at a rate of {rate:.3f}"
    )
    return Finding(not faults, reason, numbers)


def non_inferiority(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """The Challenger is not worse than the Champion by more than a margin, as chance tells."""
    require_comparable(evidence)
    champion, labels = evidence.champion, evidence.labels
    if champion is None:
        return _NO_CHAMPION
    auc_margin, brier_margin = settings.auc_margin, settings.brier_margin
    auc = auc_difference(labels, evidence.challenger.scores, champion.scores)
    brier = brier_gain(labels, evidence.challenger.scores, champion.scores)
    numbers = {
        **_bounds("roc_auc_difference", auc),
        "roc_auc_margin": auc_margin,
        **_bounds("brier_gain", brier),
        "brier_margin": brier_margin,
    }
    passed = auc.lower > -auc_margin and brier.lower > -brier_margin
    compared = "above" if passed else "not both above"
    reason = (
        f"lower 95 % bounds of ROC AUC difference {auc.lower:+.4f} and Brier gain "
        f"{brier.lower:+.4f} to Champion {champion.version} are {compared} the margins "
        f"{-auc_margin:+.4f} and {-brier_margin:+.4f}"
    )
    return Finding(passed, reason, numbers)


def superiority(evidence: Evidence, *_: object) -> Finding:
    """The Challenger's Brier score is better than the Champion's, beyond chance."""
    require_comparable(evidence)
    champion = evidence.champion
    if champion is None:
        return _NO_CHAMPION
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
        return Finding(True, f"{worth}, and there is no Champion yet", numbers)
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


def calibration(evidence: Evidence, use_case: UseCase, _: GateSettings) -> Finding:
    """The Challenger's scores are as high as the rates that come true, as far as chance tells."""
    require_comparable(evidence)
    labels, scores = evidence.labels, evidence.challenger.scores
    found = calibration_error(labels, scores)
    slope, intercept = calibration_line(labels, scores)
    most = max(use_case.calibration_error, found.consistent_error)
    numbers = {
        **_means(evidence),
        "calibration_error": found.error,
        "most_calibration_error": most,
        "calibration_error_by_chance_99": found.consistent_error,
        "slope": slope,
        "intercept": intercept,
    }
    faults = _off_the_rate(numbers)
    if not found.error <= most:
        faults.append(f"expected calibration error {found.error:.3f} is above {most:.3f}")
    reason = "; ".join(faults) or (
        f"mean score {numbers['mean_score']:.3f} at a rate of {numbers['rate']:.3f}, expected "
        f"calibration error {found.error:.3f} of at most {most:.3f}"
    )
    return Finding(not faults, reason, numbers)


def slices(evidence: Evidence, _: UseCase, settings: GateSettings) -> Finding:
    """In no group of customers is F1 below the Champion's by more than a little and than chance."""
    require_comparable(evidence)
    if not evidence.slices:
        raise GateError("the groups of the test rows are not known")
    tolerance = settings.slice_tolerance
    judged, small, worse = [], [], []
    for name, group, rows in _groups(evidence):
        if _is_small(evidence.labels[rows], settings.slice_rows):
            small.append(f"{name} {group}")
            continue
        numbers = {"slice": name, "group": group, **_slice(evidence, rows)}
        judged.append(numbers)
        lost = numbers.get("difference", 0.0) < -tolerance
        if lost and numbers["difference_upper_95"] < 0:
            worse.append(
                f"F1 of {name} {group} is {numbers['challenger_f1']:.3f}, below the Champion's "
                f"{numbers['champion_f1']:.3f} by more than {tolerance:g}"
            )
    reason = "; ".join(worse)
    if not worse and evidence.champion is None:
        reason = f"{len(judged)} slices, and there is no Champion yet"
    elif not worse:
        reason = f"F1 in none of {len(judged)} slices is surely lower by more than {tolerance:g}"
    if small:
        reason += f"; not judged, too few rows, churners or stayers: {', '.join(small)}"
    return Finding(
        not worse, reason, {"slices": judged, "not_judged": small, "tolerance": tolerance}
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


def approval(evidence: Evidence, *_: object) -> Finding:
    """A person approved this version, on this very evidence."""
    tags = evidence.challenger.tags
    decision, person = tags.get("approval", ""), tags.get("approval_by", "").strip()
    same = tags.get("approval_digest", "") == evidence.digest
    todo = "look at it and use `churn approve` or `churn reject`"
    if decision not in ("approved", "rejected"):
        reason = f"version {evidence.challenger.version} waits for a person; {todo}"
    elif not same:
        reason = f"{_decision(tags)}, but the evidence changed since; {todo}"
    elif decision == "approved" and not person:
        reason = f"approved, but tag approval_by does not say by whom; {todo}"
    else:
        reason = _decision(tags)
    numbers = {
        "evidence": evidence.digest,
        **{name: text for name, text in tags.items() if name.startswith("approval")},
    }
    return Finding(decision == "approved" and bool(person) and same, reason, numbers)


def _bounds(name: str, estimate: Estimate) -> dict[str, float]:
    """An estimate and its 95 % bounds, by name."""
    return {
        name: estimate.value,
        f"{name}_lower_95": estimate.lower,
        f"{name}_upper_95": estimate.upper,
    }


def _means(evidence: Evidence) -> dict[str, float]:
    """Mean score and rate of churn, and how far they may be apart."""
    rate, rows = float(evidence.labels.mean()), len(evidence.labels)
    return {
        "mean_score": float(evidence.challenger.scores.mean()),
        "rate": rate,
        "most_gap": max(MEAN_TOLERANCE, STANDARD_ERRORS * math.sqrt(rate * (1 - rate) / rows)),
    }


def _off_the_rate(numbers: Mapping[str, float]) -> list[str]:
    mean, rate, most = numbers["mean_score"], numbers["rate"], numbers["most_gap"]
    if abs(mean - rate) <= most:
        return []
    return [f"mean score {mean:.3f} is over {most:.3f} off the rate {rate:.3f}"]


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


def _slice(evidence: Evidence, rows: Bools) -> dict[str, Any]:
    """F1 of both within a group, each at its own threshold."""
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
    }


def _decision(tags: Mapping[str, str]) -> str:
    """What a person decided, who, when and why."""
    person = tags.get("approval_by", "").strip() or "nobody"
    note = tags.get("approval_note", "").strip()
    when = tags.get("approval_at", "") or "no known time"
    return f"{tags['approval']} by {person} at {when}" + (f" ({note})" if note else "")

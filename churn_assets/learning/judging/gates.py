"""Decide whether a Challenger may become Champion; pure, and closed where anything is amiss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn_assets.errors import GateError
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.verdict import (
    Verdict,
    bounds,
    decisions,
    is_probable,
    no_champion,
    require_both_classes,
    require_comparable,
    require_scores,
    sample_note,
    verdict,
)
from churn_assets.learning.metrics import (
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
from churn_assets.learning.value import break_even, realised_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from churn_assets.types import Floats


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
LOSSES = ("log_loss", "brier")
"""Metrics of which less is better, so that a floor is the greatest value allowed."""
MEAN_TOLERANCE = 0.03
"""How far the mean score may be from the rate, however many rows there are."""
STANDARD_ERRORS = 3
LEAST_OF_AN_OUTCOME = 50
"""Churners, and stayers, of a slice; with fewer, F1 of equal models differs by a tenth."""
PER = 1000
"""Customers that value is told for."""


def governance(evidence: Evidence) -> Verdict:
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
    if not is_probable(challenger):
        faults.append("it gives scores that are no probabilities")
    numbers = {
        "description": challenger.description,
        "rows_scored": len(challenger.scores),
        "tags": dict(challenger.tags),
    }
    passed = not faults
    reason = "documented, traceable, loads and scores" if passed else "; ".join(faults)
    return Verdict("governance", passed, reason, numbers)


def better_than_chance(evidence: Evidence) -> Verdict:
    """The Challenger's lower 95 % bounds of AUC and F1 beat what no knowledge reaches.

    Without it, a model of shuffled labels beats a good Champion wherever the labels that
    both are judged by are shuffled as well.
    """
    require_both_classes(evidence)
    challenger, labels = evidence.challenger, evidence.labels
    require_scores(challenger, evidence)
    auc, auc_bound = roc_auc_lower(labels, challenger.scores)
    found, bound = f1_lower(labels, decisions(challenger))
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
    return verdict("better_than_chance", passed, reason, numbers, evidence)


def f1_gate(evidence: Evidence) -> Verdict:
    """The Challenger's F1 is at least the Champion's, on the same rows, each at its threshold."""
    require_comparable(evidence)
    challenger, champion, labels = evidence.challenger, evidence.champion, evidence.labels
    ours = f1(labels, decisions(challenger))
    numbers: dict[str, Any] = {
        "challenger_version": challenger.version,
        "challenger_f1": ours,
        "challenger_threshold": challenger.threshold,
    }
    if champion is None:
        reason = f"F1 {ours:.3f}, and there is no Champion yet"
        return verdict("f1_gate", True, reason, numbers, evidence)
    theirs = f1(labels, decisions(champion))
    numbers |= {
        "champion_version": champion.version,
        "champion_f1": theirs,
        "champion_threshold": champion.threshold,
        **bounds("difference", f1_difference(labels, decisions(challenger), decisions(champion))),
    }
    reason = (
        f"Challenger {challenger.version} has F1 {ours:.3f}, Champion {champion.version} has "
        f"{theirs:.3f} on the same {len(labels):,} test rows{sample_note(evidence)}"
    )
    return verdict("f1_gate", ours >= theirs, reason, numbers, evidence)


def first_champion(evidence: Evidence, least_auc: float) -> Verdict:
    """Where there is no Champion: ranks well, and its scores beat the base rate and are as high.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    least_auc : float
        What the lower 95 % bound of ROC AUC must reach.
    """
    require_comparable(evidence)
    if evidence.champion is not None:
        reason = f"there is a Champion to compare with, version {evidence.champion.version}"
        return verdict("first_champion", True, reason, {}, evidence)
    labels, scores = evidence.labels, evidence.challenger.scores
    auc, bound = roc_auc_lower(labels, scores)
    brier, rate = float(((scores - labels) ** 2).mean()), float(labels.mean())
    constant = rate * (1 - rate)
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
    return verdict("first_champion", not faults, reason, numbers, evidence)


def non_inferiority(evidence: Evidence, auc_margin: float, brier_margin: float) -> Verdict:
    """The Challenger is not worse than the Champion by more than a margin, as far as chance tells.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    auc_margin, brier_margin : float
        How far below 0 the lower 95 % bounds of the AUC difference and the Brier gain may be.
    """
    require_comparable(evidence)
    champion, labels = evidence.champion, evidence.labels
    if champion is None:
        return no_champion("non_inferiority", evidence)
    auc = auc_difference(labels, evidence.challenger.scores, champion.scores)
    brier = brier_gain(labels, evidence.challenger.scores, champion.scores)
    numbers = {
        **bounds("roc_auc_difference", auc),
        "roc_auc_margin": auc_margin,
        **bounds("brier_gain", brier),
        "brier_margin": brier_margin,
    }
    passed = auc.lower > -auc_margin and brier.lower > -brier_margin
    compared = "above" if passed else "not both above"
    reason = (
        f"lower 95 % bounds of ROC AUC difference {auc.lower:+.4f} and Brier gain "
        f"{brier.lower:+.4f} to Champion {champion.version} are {compared} the margins "
        f"{-auc_margin:+.4f} and {-brier_margin:+.4f}"
    )
    return verdict("non_inferiority", passed, reason, numbers, evidence)


def superiority(evidence: Evidence) -> Verdict:
    """The Challenger's Brier score is better than the Champion's, beyond chance."""
    require_comparable(evidence)
    champion = evidence.champion
    if champion is None:
        return no_champion("superiority", evidence)
    gain = brier_gain(evidence.labels, evidence.challenger.scores, champion.scores)
    passed = gain.lower > 0
    compared = "above" if passed else "not above"
    reason = (
        f"Brier gain to Champion {champion.version} is {gain.value:+.4f}, its lower 95 % bound "
        f"{gain.lower:+.4f} is {compared} 0"
    )
    return verdict("superiority", passed, reason, bounds("brier_gain", gain), evidence)


def value(evidence: Evidence, tolerance: float, currency: str) -> Verdict:
    """The Challenger's simulated value is at least the Champion's, less a share of it.

    Each contacts the customers with whom a contact pays by its own score.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    tolerance : float
        Share of the Champion's value that may be lost.
    currency : str
        Of all amounts.
    """
    require_comparable(evidence)
    challenger, champion, stake = evidence.challenger, evidence.champion, evidence.stake
    if stake is None:
        raise GateError("what is at stake with the test rows is not known")
    for name in ("customer_value", "offer_cost", "contact_cost"):
        if not math.isfinite(float(getattr(stake, name).sum())):
            raise GateError(f"{name} of the test rows is not a finite number")
    least_score = break_even(stake)

    def simulated(contender: Contender) -> tuple[Floats, float]:
        contacted = contender.scores >= least_score
        return PER * realised_value(evidence.labels, contacted, stake), float(contacted.mean())

    ours, our_contacts = simulated(challenger)
    numbers: dict[str, Any] = {
        "currency": currency,
        "customers": PER,
        "challenger_value": float(ours.mean()),
        "challenger_contacts": PER * our_contacts,
    }
    said = f"{numbers['challenger_value']:,.0f} {currency} for {PER:,} customers"
    if champion is None:
        return verdict("value", True, f"{said}, and there is no Champion yet", numbers, evidence)
    theirs, their_contacts = simulated(champion)
    least = float(theirs.mean()) - tolerance * abs(float(theirs.mean()))
    numbers |= {
        "champion_value": float(theirs.mean()),
        "champion_contacts": PER * their_contacts,
        "least_value": least,
        **bounds("difference", mean_bounds(ours - theirs)),
    }
    reason = (
        f"Challenger {challenger.version} is worth {said}, Champion {champion.version} "
        f"{numbers['champion_value']:,.0f}, of which {100 * tolerance:g} % may be lost"
    )
    return verdict("value", numbers["challenger_value"] >= least, reason, numbers, evidence)


def floors(evidence: Evidence, least: Mapping[str, float]) -> Verdict:
    """Each named metric of the Challenger reaches its floor; of a loss, it is the most allowed.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    least : mapping of str to float
        The floors by name of the metric.
    """
    require_comparable(evidence)
    challenger = evidence.challenger
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
    return verdict("floors", not missed, reason, numbers, evidence)


def calibration(evidence: Evidence, tolerance: float) -> Verdict:
    """The Challenger's scores are as high as the rates that come true, as far as chance tells.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    tolerance : float
        Expected calibration error that does no harm, however many rows there are.
    """
    require_comparable(evidence)
    labels, scores = evidence.labels, evidence.challenger.scores
    found = calibration_error(labels, scores)
    slope, intercept = calibration_line(labels, scores)
    most = max(tolerance, found.consistent_error)
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
    return verdict("calibration", not faults, reason, numbers, evidence)


def slices(evidence: Evidence, least_rows: int, tolerance: float) -> Verdict:
    """In no group of customers is F1 below the Champion's by more than a little and than chance.

    Parameters
    ----------
    evidence : Evidence
        Whom to judge, and by what.
    least_rows : int
        A smaller group is not judged, nor one with few churners or few stayers.
    tolerance : float
        F1 that a group may lose.
    """
    require_comparable(evidence)
    if not evidence.slices:
        raise GateError("the groups of the test rows are not known")
    judged, small, worse = [], [], []
    for name, group, rows in _groups(evidence):
        labels = evidence.labels[rows]
        fewest = min(labels.sum(), len(labels) - labels.sum())
        if len(labels) < least_rows or fewest < LEAST_OF_AN_OUTCOME:
            small.append(f"{name} {group}")
            continue
        found = {"slice": name, "group": group, **_slice(evidence, rows)}
        judged.append(found)
        lost = found.get("difference", 0.0) < -tolerance
        if lost and found["difference_upper_95"] < 0:
            worse.append(
                f"F1 of {name} {group} is {found['challenger_f1']:.3f}, below the Champion's "
                f"{found['champion_f1']:.3f} by more than {tolerance:g}"
            )
    numbers = {"slices": judged, "not_judged": small, "tolerance": tolerance}
    reason = "; ".join(worse)
    if not worse and evidence.champion is None:
        reason = f"{len(judged)} slices, and there is no Champion yet"
    elif not worse:
        reason = f"F1 in none of {len(judged)} slices is surely lower by more than {tolerance:g}"
    if small:
        reason += f"; not judged, too few rows, churners or stayers: {', '.join(small)}"
    return verdict("slices", not worse, reason, numbers, evidence)


def stress(evidence: Evidence) -> Verdict:
    """The Challenger scores hostile but valid rows, and is monotone where it must be."""
    found = evidence.stress
    if found is None:
        raise GateError("the Challenger was not given hostile rows to score")
    faults = [] if found.error is None else [f"scoring broke at {found.error}"]
    if found.improbable:
        faults.append(f"scores are no probabilities at {', '.join(found.improbable)}")
    for name, sweep in found.sweeps.items():
        if sweep.broken:
            way = "falls" if sweep.direction > 0 else "rises"
            faults.append(
                f"the score of {sweep.broken} of {sweep.rows} customers {way} with {name}, by up "
                f"to {sweep.worst:.4f}"
            )
    numbers = {
        "hostile_rows": found.rows,
        "score_ranges": {name: list(ends) for name, ends in found.ranges.items()},
        "monotone": {
            name: {
                "values": list(sweep.values),
                "scores": list(sweep.scores),
                "broken": sweep.broken,
            }
            for name, sweep in found.sweeps.items()
        },
    }
    monotone = f", monotone in {', '.join(found.sweeps)}" if found.sweeps else ""
    reason = "; ".join(faults) or f"scores all {found.rows:,} hostile rows{monotone}"
    return verdict("stress", not faults, reason, numbers, evidence)


def approval(evidence: Evidence) -> Verdict:
    """A person approved this version, on this very evidence."""
    tags = evidence.challenger.tags
    answered, by = tags.get("approval", ""), tags.get("approval_by", "").strip()
    note = tags.get("approval_note", "").strip()
    told = f"{answered} by {by or 'nobody'} at {tags.get('approval_at', '') or 'no known time'}"
    told += f" ({note})" if note else ""
    same = tags.get("approval_digest", "") == evidence.digest
    passed = answered == "approved" and bool(by) and same
    todo = "look at it and use `churn approve` or `churn reject`"
    if answered not in ("approved", "rejected"):
        reason = f"version {evidence.challenger.version} waits for a person; {todo}"
    elif not same:
        reason = f"{told}, but the evidence changed since; {todo}"
    elif answered == "approved" and not by:
        reason = f"approved, but tag approval_by does not say by whom; {todo}"
    else:
        reason = told
    numbers = {
        "evidence": evidence.digest,
        **{name: text for name, text in tags.items() if name.startswith("approval")},
    }
    return verdict("approval", passed, reason, numbers, evidence)


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


def _groups(evidence: Evidence) -> list[tuple[str, str, NDArray[Any]]]:
    """Column, group and which rows are of it."""
    return [
        (name, str(group), groups == group)
        for name, groups in evidence.slices.items()
        for group in sorted(set(groups.tolist()))
    ]


def _slice(evidence: Evidence, rows: NDArray[Any]) -> dict[str, Any]:
    """F1 of both within a group, each at its own threshold."""
    labels, challenger, champion = evidence.labels[rows], evidence.challenger, evidence.champion
    ours = decisions(challenger)[rows]
    found: dict[str, Any] = {
        "rows": len(labels),
        "rate": float(labels.mean()),
        "challenger_f1": f1(labels, ours),
    }
    if champion is None:
        return found
    theirs = decisions(champion)[rows]
    return {
        **found,
        "champion_f1": f1(labels, theirs),
        **bounds("difference", f1_difference(labels, ours, theirs)),
    }

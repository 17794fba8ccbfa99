"""Decide whether a Challenger may become Champion; pure, and closed where anything is amiss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ChurnError, GateError
from churn_assets.learning.metrics import best_constant_f1, f1_lower, metrics, roc_auc_lower

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Contender:
    """A registered model and its scores of the rows to judge by, scored now.

    Parameters
    ----------
    version : int
        In the registry.
    description : str
        As the registry shows it.
    tags : mapping of str to str
        As the registry holds them.
    has_signature, has_input_example : bool
        Whether the stored model carries them.
    threshold : float
        Its own.
    scores : array of shape (n_test,)
        Probability of churn of each test row.
    """

    version: int
    description: str
    tags: Mapping[str, str]
    has_signature: bool
    has_input_example: bool
    threshold: float
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What the gates decide by.

    Parameters
    ----------
    challenger : Contender
        Who wants to become Champion.
    champion : Contender or None
        Who is; None only where there never was one.
    labels : array of shape (n_test,)
        What became of each test row.
    split : str
        The split that the test rows come from.
    known : int
        How many labelled test rows there are, of which these may be a sample.
    """

    challenger: Contender
    champion: Contender | None
    labels: NDArray[np.bool_]
    split: str
    known: int = 0


@dataclass(frozen=True)
class Verdict:
    """What one gate says.

    Parameters
    ----------
    gate : str
        Its name.
    passed : bool
        Whether the Challenger may pass.
    reason : str
        Why, in one line.
    numbers : mapping
        What it was decided by.
    """

    gate: str
    passed: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


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
    if not ((challenger.scores >= 0) & (challenger.scores <= 1)).all():
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
    _require_both_classes(evidence.labels)
    challenger, labels = evidence.challenger, evidence.labels
    auc, auc_bound = roc_auc_lower(labels, challenger.scores)
    f1, f1_bound = f1_lower(labels, challenger.scores >= challenger.threshold)
    constant = best_constant_f1(labels)
    numbers = {
        "roc_auc": auc,
        "roc_auc_lower_95": auc_bound,
        "f1": f1,
        "f1_lower_95": f1_bound,
        "best_constant_f1": constant,
        **_rows(evidence),
    }
    _require_numbers(numbers)
    passed = auc_bound > 0.5 and f1_bound > constant  # noqa: PLR2004
    compared = "above" if passed else "not both above"
    reason = (
        f"lower 95 % bounds of ROC AUC {auc_bound:.3f} and F1 {f1_bound:.3f} are {compared} "
        f"those of guessing, 0.500 and {constant:.3f}"
    )
    return Verdict("better_than_chance", passed, reason, numbers)


def f1_gate(evidence: Evidence) -> Verdict:
    """The Challenger's F1 is at least the Champion's, on the same rows, each at its threshold."""
    challenger, champion = evidence.challenger, evidence.champion
    for contender in (challenger, champion):
        split = evidence.split if contender is None else contender.tags.get("split", "")
        if contender is not None and split != evidence.split:
            return Verdict(
                "f1_gate",
                False,
                f"version {contender.version} was trained by another split ({split or 'unknown'}), "
                f"so it may have seen test rows of the present one ({evidence.split})",
            )
    _require_both_classes(evidence.labels)
    ours = metrics(evidence.labels, challenger.scores, challenger.threshold)["f1"]
    numbers = {
        "challenger_version": challenger.version,
        "challenger_f1": ours,
        "challenger_threshold": challenger.threshold,
        **_rows(evidence),
    }
    if champion is None:
        _require_numbers(numbers)
        return Verdict("f1_gate", True, f"F1 {ours:.3f}, and there is no Champion yet", numbers)
    theirs = metrics(evidence.labels, champion.scores, champion.threshold)["f1"]
    numbers |= {
        "champion_version": champion.version,
        "champion_f1": theirs,
        "champion_threshold": champion.threshold,
    }
    _require_numbers(numbers)
    reason = (
        f"Challenger {challenger.version} has F1 {ours:.3f}, Champion {champion.version} has "
        f"{theirs:.3f} on the same {len(evidence.labels):,} test rows{_sample(evidence)}"
    )
    return Verdict("f1_gate", ours >= theirs, reason, numbers)


GATES: Mapping[str, Callable[[Evidence], Verdict]] = {
    "governance": governance,
    "better_than_chance": better_than_chance,
    "f1_gate": f1_gate,
}


def decide(gather: Callable[[], Evidence]) -> list[Verdict]:
    """What every gate says; evidence that cannot be had or read refuses.

    Parameters
    ----------
    gather : callable
        Gives the evidence, or raises where it cannot be had.
    """
    try:
        evidence = gather()
    except Exception as error:
        return closed(error)
    return [_closed(gate, judge, evidence) for gate, judge in GATES.items()]


def closed(error: Exception) -> list[Verdict]:
    """Every gate refuses, because the evidence cannot be had."""
    return [Verdict(gate, False, _unreadable(error)) for gate in GATES]


def refusal(verdicts: list[Verdict]) -> str | None:
    """Why the Challenger is refused, in one line; None where every gate lets it pass."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if {verdict.gate for verdict in verdicts} != set(GATES):
        return "not every gate was decided"
    if not failed:
        return None
    if len({verdict.reason for verdict in failed}) == 1:
        return f"{', '.join(verdict.gate for verdict in failed)}: {failed[0].reason}"
    return "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in failed)


def _closed(gate: str, judge: Callable[[Evidence], Verdict], evidence: Evidence) -> Verdict:
    try:
        return judge(evidence)
    except Exception as error:
        return Verdict(gate, False, _unreadable(error))


def _unreadable(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if isinstance(error, ChurnError) else f"unreadable: {type(error).__name__}: {said}"


def _rows(evidence: Evidence) -> dict[str, Any]:
    rows = len(evidence.labels)
    return (
        {"rows": rows, "sampled_from": evidence.known} if evidence.known > rows else {"rows": rows}
    )


def _sample(evidence: Evidence) -> str:
    sampled = evidence.known > len(evidence.labels)
    return f", a sample of {evidence.known:,}" if sampled else ""


def _require_both_classes(labels: NDArray[np.bool_]) -> None:
    if len(set(labels.tolist())) < 2:  # noqa: PLR2004
        raise GateError(
            f"the {len(labels):,} labelled test rows do not hold both classes, so no model can "
            "be judged by them"
        )


def _require_numbers(numbers: Mapping[str, float]) -> None:
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, not a finite number")

"""What a gate says, and what no gate can decide without."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from churn_assets.errors import GateError
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.metrics import (
    Estimate,
)
from churn_assets.usecases.spec import is_apart

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        What it was decided by, as JSON takes it.
    blocking : bool
        Whether the Challenger is refused where it does not pass.
    """

    gate: str
    passed: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    blocking: bool = True


def verdict(
    gate: str, passed: bool, reason: str, numbers: Mapping[str, Any], evidence: Evidence
) -> Verdict:
    """A verdict whose numbers are numbers, with the rows that it was reached by."""
    rows: dict[str, Any] = {"rows": len(evidence.labels)}
    if evidence.known > len(evidence.labels):
        rows["sampled_from"] = evidence.known
    _require_finite(numbers)
    return Verdict(gate, bool(passed), reason, {**numbers, **rows})


def no_champion(gate: str, evidence: Evidence) -> Verdict:
    """Pass: there is nobody to compare with."""
    return verdict(gate, True, "there is no Champion yet to compare with", {}, evidence)


def bounds(name: str, found: Estimate) -> dict[str, float]:
    """An estimate and its 95 % bounds, by name."""
    return {
        name: found.value,
        f"{name}_lower_95": found.lower,
        f"{name}_upper_95": found.upper,
    }


def decisions(contender: Contender) -> NDArray[Any]:
    """Whom a contender takes for a churner, at its own threshold."""
    decided: NDArray[Any] = contender.scores >= contender.threshold
    return decided


def sample_note(evidence: Evidence) -> str:
    """That the test rows are a sample, where they are."""
    sampled = evidence.known > len(evidence.labels)
    return f", a sample of {evidence.known:,}" if sampled else ""


def require_comparable(evidence: Evidence) -> None:
    """Refuse what no fair comparison can be made by."""
    challenger, champion = evidence.challenger, evidence.champion
    contenders = [challenger] if champion is None else [challenger, champion]
    for contender in contenders:
        split = contender.tags.get("split", "")
        if not is_apart(split, evidence.split):
            todo = (
                "train again with `churn run --retrain`"
                if contender is challenger
                else "put that split back in the use case, or start over without the champion "
                "table and the registry's alias"
            )
            raise GateError(
                f"version {contender.version} was trained by another split "
                f"({split or 'unknown'}), so it may have seen test rows of the present one "
                f"({evidence.split}); {todo}"
            )
    require_both_classes(evidence)
    for contender in contenders:
        require_scores(contender, evidence)


def require_both_classes(evidence: Evidence) -> None:
    """Refuse test rows of one outcome alone."""
    labels = evidence.labels
    if labels.all() or not labels.any():
        raise GateError(
            f"the {len(labels):,} labelled test rows do not hold both classes, so no model can "
            "be judged by them"
        )


def require_scores(contender: Contender, evidence: Evidence) -> None:
    """Refuse scores of other rows or that are not probabilities, and a threshold that is NaN."""
    if contender.scores.shape != evidence.labels.shape:
        raise GateError(
            f"version {contender.version} has {len(contender.scores):,} scores of "
            f"{len(evidence.labels):,} test rows"
        )
    if not is_probable(contender):
        raise GateError(f"version {contender.version} gives scores that are no probabilities")
    if not math.isfinite(contender.threshold):
        who = "challenger" if contender is evidence.challenger else "champion"
        raise GateError(f"{who}_threshold is {contender.threshold}, not a finite number")


def is_probable(contender: Contender) -> bool:
    """Whether all scores are probabilities."""
    return bool(((contender.scores >= 0) & (contender.scores <= 1)).all())


def _require_finite(numbers: Any, name: str = "") -> None:
    """Refuse a number that is none, wherever it is."""
    if isinstance(numbers, Mapping):
        for key, inner in numbers.items():
            _require_finite(inner, str(key))
    elif isinstance(numbers, (list, tuple)):
        for inner in numbers:
            _require_finite(inner, name)
    elif isinstance(numbers, float) and not math.isfinite(numbers):
        raise ValueError(f"{name} is {numbers}, not a finite number")

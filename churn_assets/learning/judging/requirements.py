"""What no gate can decide without; where it is missing, the gate refuses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from churn_assets.errors import GateError
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.usecases.spec import is_apart


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
    if not contender.gives_probabilities:
        raise GateError(f"version {contender.version} gives scores that are not probabilities")
    if not math.isfinite(contender.threshold):
        who = "challenger" if contender is evidence.challenger else "champion"
        raise GateError(f"{who}_threshold is {contender.threshold}, not a finite number")


def require_finite(numbers: Any, name: str = "") -> None:
    """Refuse NaN and infinity, wherever they are among the numbers of a finding."""
    if isinstance(numbers, Mapping):
        for key, inner in numbers.items():
            require_finite(inner, str(key))
    elif isinstance(numbers, (list, tuple)):
        for inner in numbers:
            require_finite(inner, name)
    elif isinstance(numbers, float) and not math.isfinite(numbers):
        raise ValueError(f"{name} is {numbers}, not a finite number")

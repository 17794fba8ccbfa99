"""The score from which a customer counts as one who churns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from churn_assets.errors import TrainingError
from churn_assets.learning.metrics import f1_best_threshold
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.value import Amounts, amounts, realised_value
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Bools, Floats

THRESHOLD_RULES = {"f1": "F1-best out of fold", "value": "value-best out of fold"}
"""How a table and a card call what the threshold is best by."""


def value_best_threshold(labels: Bools, scores: Floats, stake: Amounts) -> float:
    """The score from which contacting customers is worth most, as simulated.

    It lies halfway between two scores, as the F1-best one does; above all where contacting
    nobody is best.

    Parameters
    ----------
    labels : array of shape (n_customers,)
        Whether each churned.
    scores : array of shape (n_customers,)
        Probability of churn, in [0, 1].
    stake : Amounts
        What is at stake with them.
    """
    worth = realised_value(labels, np.ones(len(labels), dtype=bool), stake)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    total = np.concatenate([[0.0], np.cumsum(worth[order])])
    # Customers of one score are contacted together.
    may_end = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])
    contacts = int(np.argmax(np.where(may_end, total, -np.inf)))
    above = ranked[contacts - 1] if contacts else np.nextafter(1.0, 2.0)
    below = ranked[contacts] if contacts < len(ranked) else 0.0
    middle = (above + below) / 2
    return float(middle if middle > below else above)


def best_threshold(
    use_case: UseCase,
    settings: TrainingSettings,
    scored: pd.DataFrame,
    labels: Bools,
    scores: Floats,
) -> float:
    """The threshold that is best by the settings' rule, on scores out of fold.

    Parameters
    ----------
    use_case : UseCase
        Its business case says what a contact is worth.
    settings : TrainingSettings
        Give the rule.
    scored : DataFrame of n_rows rows
        The scored customers, with the columns that the business case names.
    labels : array of shape (n_rows,)
        Whether each churned.
    scores : array of shape (n_rows,)
        Out of fold, in [0, 1].

    Raises
    ------
    TrainingError
        Where the rule needs a business case and there is none, or all its amounts are unknown.
    """
    if settings.threshold == "f1":
        return f1_best_threshold(labels, scores)
    if use_case.business is None:
        raise TrainingError(
            f"{use_case.name}: the value-best threshold needs a business case, and the use case "
            "has none. Give it one, or set training.threshold to f1."
        )
    stake = amounts(use_case.business, scored, len(scored))
    known = stake.known
    if not known.any():
        raise TrainingError(
            f"{use_case.name}: the value-best threshold needs the amounts of some customer, and "
            f"none is known. Fill {', '.join(use_case.business.columns)} in the source, or set "
            "training.threshold to f1."
        )
    return value_best_threshold(labels[known], scores[known], stake.of(known))

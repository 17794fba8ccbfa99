"""Whether one input alone explains most of a score that is too good to be true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.fitting.comparison import quick_metrics
from churn_assets.learning.fitting.folds import Rows

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Floats, Indices
    from churn_assets.usecases.spec import UseCase

IMPLAUSIBLE_AUC = 0.95
"""What customers are like seldom tells as much: in the benchmark of Verbeke et al. (2012) the best
of 21 techniques reach .6 to .9 on ten of eleven tables of churn."""
MOST_OF_THE_WAY = 0.9
"""From guessing, .5, to the model's ROC AUC: the share of its Gini coefficient, 2 AUC - 1."""
KEY = "single_inputs"
"""Under which the model table's commit keeps what was found."""
_BINS = 20


def telling_inputs(use_case: UseCase, rows: Rows, auc: float) -> dict[str, float]:
    """The inputs that alone explain most of an implausibly good score, and how good each is.

    A score is implausibly good from a ROC AUC of .95 on. An input explains most of it where its
    own Gini coefficient (2 AUC - 1) is at least nine tenths of the model's: all the others
    together then add next to nothing. That is how a column looks that was filled in when the
    outcome was known. Where several inputs each tell much less and only together so much, none is
    named; nor is any where the score is plausible, however much of it one input explains, since
    one strong input, such as the length of a contract, is quite usual then.

    An input alone scores each row out of fold, by the rate among the fitted rows of its category,
    or of its twentieth where it is a number; a blank is a category of its own. So a relation of any
    shape is found, and a text that names a record tells nothing.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs.
    rows : Rows
        What was fitted on and scored.
    auc : float
        The model's ROC AUC out of fold.

    Returns
    -------
    dict of str to float
        ROC AUC by input, the best first.

    References
    ----------
    Kaufman, Rosset, Perlich and Stitelman (2012), "Leakage in data mining: formulation, detection,
    and avoidance", ACM TKDD 6(4): a single feature of surprising strength is what to look for.
    Verbeke, Dejaeger, Martens, Hur and Baesens (2012), "New insights into churn prediction in the
    telecommunication sector: a profit driven data mining approach", EJOR 218(1).
    """
    if auc < IMPLAUSIBLE_AUC:
        return {}
    least = 0.5 + MOST_OF_THE_WAY * (auc - 0.5)
    alone = {name: _auc_alone(rows.inputs[name], rows) for name in use_case.inputs}
    ranked = sorted(alone.items(), key=lambda one: -one[1])
    return {name: found for name, found in ranked if found >= least}


def suspicion(details: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a training's score is plausible, and in words why not.

    Parameters
    ----------
    details : mapping
        What the model table keeps with its commit.

    >>> suspicion({"single_inputs": {"roc_auc": 0.85, "inputs": {}}})
    (True, 'ROC AUC 0.850 out of fold, and no input alone explains it')
    >>> suspicion({"single_inputs": {"roc_auc": 0.99, "inputs": {"refund": 0.98}}})[1]
    'ROC AUC 0.990 out of fold is implausibly good, and refund alone reaches 0.980: is it known \
before the outcome is? If not, take it out of the inputs'
    """
    if KEY not in details:
        return True, "not looked at when this model was trained"
    auc, inputs = details[KEY]["roc_auc"], details[KEY]["inputs"]
    if not inputs:
        return True, f"ROC AUC {auc:.3f} out of fold, and no input alone explains it"
    alone = ", ".join(f"{name} alone reaches {found:.3f}" for name, found in inputs.items())
    return False, (
        f"ROC AUC {auc:.3f} out of fold is implausibly good, and {alone}: is it known before the "
        "outcome is? If not, take it out of the inputs"
    )


def _auc_alone(column: pd.Series[Any], rows: Rows) -> float:
    """Mean over folds of the ROC AUC that one input reaches alone."""
    found = []
    for fit, scored in rows.folds:
        labels = rows.labels[scored]
        if not 0 < labels.sum() < len(labels):
            continue
        codes = _codes(column, fit)
        known = np.bincount(codes[fit], minlength=codes.max() + 1)
        churned = np.bincount(codes[fit], rows.labels[fit], minlength=len(known))
        # One row of the mean rate stands for what was never seen.
        rates: Floats = (churned + rows.labels[fit].mean()) / (known + 1)
        found.append(quick_metrics(labels, rates[codes[scored]])["roc_auc"])
    return float(np.mean(found)) if found else 0.5


def _codes(column: pd.Series[Any], fit: Indices) -> Indices:
    """A number from 0 for the category of each row; blanks have one of their own."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        codes: Indices = column.astype("category").cat.codes.to_numpy().astype(np.intp)
        return codes + 1
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    fitted = values[fit]
    fitted = fitted[~np.isnan(fitted)]
    edges = np.unique(np.quantile(fitted, np.arange(1, _BINS) / _BINS)) if len(fitted) else fitted
    places = np.searchsorted(edges, values, side="right") + 1
    return np.where(np.isnan(values), 0, places)

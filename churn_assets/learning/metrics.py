"""How good scores are, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

Z_95_ONE_SIDED = 1.6448536269514722
RESAMPLES = 2000


def metrics(labels: Bools, scores: Floats, threshold: float) -> dict[str, float]:
    """Accuracy, F1, precision and recall at a threshold; ROC AUC, PR AUC, log loss, Brier.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; both classes must occur.
    scores : array of shape (n_rows,)
        Probability of churn, in [0, 1].
    threshold : float
        Least score that is decided as churn.
    """
    from sklearn import metrics as sk

    decided = scores >= threshold
    return {
        "accuracy": float(sk.accuracy_score(labels, decided)),
        "f1": float(sk.f1_score(labels, decided)),
        "precision": float(sk.precision_score(labels, decided, zero_division=0.0)),
        "recall": float(sk.recall_score(labels, decided)),
        "roc_auc": float(sk.roc_auc_score(labels, scores)),
        "pr_auc": float(sk.average_precision_score(labels, scores)),
        "log_loss": float(sk.log_loss(labels, scores)),
        "brier": float(sk.brier_score_loss(labels, scores)),
    }


def f1_best_threshold(labels: Bools, scores: Floats) -> float:
    """The score from which deciding churn gives the highest F1.

    It lies halfway between two scores, so that no rounding of either changes a decision.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = int(np.argmax(f1[:-1]))
    below, least = thresholds[max(best - 1, 0)], thresholds[best]
    middle = (below + least) / 2
    # Between neighbouring floats there is no middle.
    return float(middle if middle > below else least)


def roc_auc_lower(labels: Bools, scores: Floats) -> tuple[float, float]:
    """ROC AUC and its one-sided 95 % lower bound.

    References
    ----------
    DeLong et al. (1988), "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44(3); computed from midranks as in
    Sun and Xu (2014), IEEE Signal Processing Letters 21(11).
    """
    from scipy.stats import rankdata

    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above_negative = (ranks[:m] - rankdata(positive)) / n
    below_positive = 1 - (ranks[m:] - rankdata(negative)) / m
    auc = float(above_negative.mean())
    variance = above_negative.var(ddof=1) / m + below_positive.var(ddof=1) / n
    return auc, float(auc - Z_95_ONE_SIDED * np.sqrt(variance))


def f1_lower(labels: Bools, decided: Bools, seed: int = 0) -> tuple[float, float]:
    """F1 and its one-sided 95 % lower bound from a bootstrap of the rows.

    Resampling rows is drawing their confusion matrix from a multinomial distribution.
    """
    cells = np.array(
        [
            np.sum(labels & decided),
            np.sum(~labels & decided),
            np.sum(labels & ~decided),
            np.sum(~labels & ~decided),
        ]
    )
    drawn = np.random.default_rng(seed).multinomial(
        cells.sum(), cells / cells.sum(), size=RESAMPLES
    )
    return float(_f1(cells)), float(np.quantile(_f1(drawn.T), 0.05))


def best_constant_f1(labels: Bools) -> float:
    """F1 of the best constant guess, which is that everyone churns."""
    rate = float(labels.mean())
    return 2 * rate / (1 + rate)


def _f1(cells: NDArray[Any]) -> Any:
    hit, false_alarm, missed, _ = cells
    return 2 * hit / np.maximum(2 * hit + false_alarm + missed, 1)

"""Pictures of how good scores are, as PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.pages.plots import BLUE, GREY, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from churn_assets.types import Bools, Floats

_BINS = 10


def score_pictures(labels: Bools, scores: Floats, threshold: float) -> dict[str, bytes]:
    """ROC curve, precision-recall curve, confusion matrix and calibration by name.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned.
    scores : array of shape (n_rows,)
        Probability of churn.
    threshold : float
        Least score that is decided as churn; marked on the curves.
    """
    paints = {
        "roc_curve": _roc,
        "precision_recall_curve": _precision_recall,
        "confusion_matrix": _confusion,
        "calibration": _calibration,
    }
    return {
        name: draw(lambda axes, paint=paint: paint(axes, labels, scores, threshold))  # type: ignore[misc]
        for name, paint in paints.items()
    }


def _roc(axes: Axes, labels: Any, scores: Any, threshold: float) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    false_rate, true_rate, _ = roc_curve(labels, scores)
    decided = scores >= threshold
    axes.plot(false_rate, true_rate, color=BLUE)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--")
    axes.plot(decided[~labels].mean(), decided[labels].mean(), "o", color=BLUE)
    axes.set(
        title=f"ROC AUC {roc_auc_score(labels, scores):.3f}",
        xlabel="false positive rate",
        ylabel="true positive rate",
    )


def _precision_recall(axes: Axes, labels: Any, scores: Any, threshold: float) -> None:
    from sklearn.metrics import (
        average_precision_score,
        f1_score,
        precision_recall_curve,
        precision_score,
        recall_score,
    )

    precision, recall, _ = precision_recall_curve(labels, scores)
    decided = scores >= threshold
    axes.plot(recall, precision, color=BLUE)
    axes.axhline(labels.mean(), color=GREY, linestyle="--")
    axes.plot(
        recall_score(labels, decided),
        precision_score(labels, decided, zero_division=0.0),
        "o",
        color=BLUE,
    )
    axes.set(
        title=f"PR AUC {average_precision_score(labels, scores):.3f}, "
        f"F1 {f1_score(labels, decided):.3f} at {threshold:.3f}",
        xlabel="recall",
        ylabel="precision",
        ylim=(0, 1.02),
    )


def _confusion(axes: Axes, labels: Any, scores: Any, threshold: float) -> None:
    decided = scores >= threshold
    cells = [[np.sum(~labels & ~decided), np.sum(~labels & decided)]]
    cells.append([np.sum(labels & ~decided), np.sum(labels & decided)])
    axes.imshow(cells, cmap="Blues")
    for i, row in enumerate(cells):
        for j, count in enumerate(row):
            dark = count > np.max(cells) / 2
            axes.text(j, i, f"{count:,}", ha="center", color="white" if dark else "black")
    axes.set(
        title=f"Decisions at {threshold:.3f}",
        xticks=[0, 1],
        xticklabels=["stays", "churns"],
        xlabel="decided",
        yticks=[0, 1],
        yticklabels=["stayed", "churned"],
    )


def _calibration(axes: Axes, labels: Any, scores: Any, threshold: float) -> None:
    from sklearn.calibration import calibration_curve

    observed, predicted = calibration_curve(labels, scores, n_bins=_BINS, strategy="quantile")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--")
    axes.plot(predicted, observed, "o-", color=BLUE)
    axes.axvline(threshold, color=GREY, linewidth=0.8)
    axes.set(title="Calibration, tenths of rows", xlabel="predicted", ylabel="observed")

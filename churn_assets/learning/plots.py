"""Pictures of how good scores are, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.pages.plots import BLUE, GREY, SHEET, Axis, Bars, Line, Rule, Words, draw

if TYPE_CHECKING:
    from churn_assets.types import Bools, Floats

_BINS = 10
_CURVE = 200
"""Points of a curve, however many rows it comes from."""


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
    pictures = {
        "roc_curve": _roc,
        "precision_recall_curve": _precision_recall,
        "confusion_matrix": _confusion,
        "calibration": _calibration,
    }
    return {name: picture(labels, scores, threshold) for name, picture in pictures.items()}


def roc_line(labels: Any, scores: Any, colour: str = BLUE, label: str = "") -> Line:
    """The ROC curve of some scores."""
    from sklearn.metrics import roc_curve

    false_rate, true_rate, _ = roc_curve(labels, scores)
    return Line(*_thinned(false_rate, true_rate), colour, label)


def decided_dot(labels: Any, decided: Any, colour: str = BLUE, label: str = "") -> Line:
    """Where decisions lie among the rates of a ROC curve."""
    rates = ([decided[~labels].mean()], [decided[labels].mean()])
    return Line(*rates, colour, label, joined=False)


def diagonal(label: str = "") -> Line:
    """From 0 to 1 in both directions."""
    return Line([0, 1], [0, 1], GREY, label, dash=True)


def _roc(labels: Any, scores: Any, threshold: float) -> bytes:
    from sklearn.metrics import roc_auc_score

    return draw(
        f"ROC AUC {roc_auc_score(labels, scores):.3f}",
        [
            diagonal("guessing"),
            roc_line(labels, scores),
            decided_dot(labels, scores >= threshold, label=f"decided at {threshold:.3f}"),
        ],
        Axis("share of stayers taken for churners", 0, 1, is_share=True),
        Axis("share of churners found", 0, 1, is_share=True),
    )


def _precision_recall(labels: Any, scores: Any, threshold: float) -> bytes:
    from sklearn.metrics import (
        average_precision_score,
        f1_score,
        precision_recall_curve,
        precision_score,
        recall_score,
    )

    precision, recall, _ = precision_recall_curve(labels, scores)
    decided = scores >= threshold
    at = ([recall_score(labels, decided)], [precision_score(labels, decided, zero_division=0.0)])
    area, f1 = average_precision_score(labels, scores), f1_score(labels, decided)
    return draw(
        f"PR AUC {area:.3f}, F1 {f1:.3f}",
        [
            Rule(y=labels.mean(), label="guessing", dash=True),
            Line(*_thinned(recall, precision)),
            Line(*at, label=f"decided at {threshold:.3f}", joined=False),
        ],
        Axis("share of churners found (recall)", 0, 1, is_share=True),
        Axis("churners among those decided (precision)", 0, 1, is_share=True),
    )


def _confusion(labels: Any, scores: Any, threshold: float) -> bytes:
    decided = scores >= threshold
    cells = [
        (x, y, int(np.sum((labels if y == 0 else ~labels) & (decided if x == 1 else ~decided))))
        for y in (1, 0)
        for x in (0, 1)
    ]
    most = max(count for *_, count in cells) or 1
    boxes = [(x - 0.49, x + 0.49, y - 0.48, y + 0.48) for x, y, _ in cells]
    return draw(
        f"Decisions at {threshold:.3f}",
        [
            Bars(boxes, [SHEET] * len(cells)),
            Bars(
                boxes,
                [BLUE] * len(cells),
                opacity=[0.08 + 0.42 * count / most for *_, count in cells],
            ),
            *(Words(x, y, f"{count:,}") for x, y, count in cells),
        ],
        Axis("decided", -0.5, 1.5, {0: "stays", 1: "churns"}),
        Axis("", -0.5, 1.5, {0: "churned", 1: "stayed"}),
    )


def _calibration(labels: Any, scores: Any, threshold: float) -> bytes:
    from sklearn.calibration import calibration_curve

    observed, predicted = calibration_curve(labels, scores, n_bins=_BINS, strategy="quantile")
    return draw(
        "Calibration, tenths of the rows",
        [
            diagonal("as predicted"),
            Rule(x=threshold, label="threshold"),
            Line(predicted, observed, label="found", dots=True),
        ],
        Axis("mean score", 0, 1, is_share=True),
        Axis("rate of churn", 0, 1, is_share=True),
    )


def _thinned(x: Any, y: Any) -> tuple[Any, Any]:
    """Some points of a curve, evenly, its ends among them."""
    points = np.linspace(0, len(x) - 1, min(_CURVE, len(x))).astype(int)
    return x[points], y[points]

"""Pictures of what a model goes by, as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.explaining.contributions import (
    PartialDependence,
    contributions,
    importance,
    partial_dependence,
)
from churn_assets.learning.plots import BLUE, draw
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MOST_BARS, _MOST_CURVES = 12, 4
_ROWS = 2000
_LONGEST = 24


def pictures(model: Any, inputs: pd.DataFrame, use_case: UseCase) -> dict[str, bytes]:
    """Importance of the inputs, and partial dependence of the strongest four, by name.

    Parameters
    ----------
    model : Pipeline, Blend or Recalibrated
        Fitted.
    inputs : DataFrame of shape (n_customers, n_inputs)
        Customers; some of them, drawn evenly, are explained.
    use_case : UseCase
        Has the words.
    """
    some = inputs.iloc[np.unique(np.linspace(0, len(inputs) - 1, _ROWS).astype(int))]
    means = importance(contributions(model, some))
    drawn = {"importance": draw(lambda axes: _importance(axes, means, use_case))}
    for name in list(means)[:_MOST_CURVES]:
        found = partial_dependence(model, inputs, name)
        drawn[f"partial_dependence_{name}"] = draw(
            lambda axes, found=found: _dependence(axes, found, use_case)  # type: ignore[misc]
        )
    return drawn


def _importance(axes: Axes, means: dict[str, float], use_case: UseCase) -> None:
    names = list(means)[:_MOST_BARS]
    _bars(axes, [use_case.called(name) for name in names], [means[name] for name in names])
    axes.set(title="What the score goes by", xlabel="mean change of log-odds")


def _dependence(axes: Axes, found: PartialDependence, use_case: UseCase) -> None:
    axes.set(title=use_case.called(found.name))
    if all(isinstance(value, str) for value in found.values):
        _bars(axes, found.values, found.scores)
        axes.set(xlabel="mean score, were it the same for all")
    else:
        axes.plot(found.values, found.scores, "o-", color=BLUE)
        axes.set(ylabel="mean score, were it the same for all", ylim=(0, None))


def _bars(axes: Axes, names: Sequence[str], widths: Any) -> None:
    """Bars from the top, even where two names look alike once they are cut short."""
    said = [name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\u2026" for name in names]
    axes.barh(range(len(names)), widths, color=BLUE)
    axes.set_yticks(range(len(names)), said, fontsize=8)
    axes.invert_yaxis()

"""What pictures share: how one is drawn, and its colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, GREY, RED = "#2563eb", "#9ca3af", "#dc2626"
"""Of the model, of what it is compared with, and of what is amiss."""


def draw(paint: Callable[[Axes], None]) -> bytes:
    """A picture as PNG of what a function paints into its axes."""
    # Without pyplot: no global state, and its import is saved.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3.4), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    paint(axes)
    # At a place of its own a title is not fitted again at each of the layout's steps.
    axes.set_title(axes.get_title(), y=1.0)
    # What `savefig` would do, without a draw for nothing and all text measured twice.
    layout = figure.get_layout_engine()
    assert layout is not None
    layout.execute(figure)
    figure.set_layout_engine("none")
    buffer = io.BytesIO()
    canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()

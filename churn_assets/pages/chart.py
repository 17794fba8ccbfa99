"""Where things lie in a drawing that a page makes itself, so that it follows the page's colours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Box(NamedTuple):
    """A rectangle: its corner at the top left, and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """A drawing of shares over a range of numbers.

    Parameters
    ----------
    label : str
        What is drawn.
    low, high : float
        The range, from left to right.
    top : float
        The greatest share.
    width, height, left, right, above, below : int
        Of the drawing, and its margins, in pixels.
    """

    label: str
    low: float
    high: float
    top: float
    width: int = 320
    height: int = 190
    left: int = 40
    right: int = 10
    above: int = 10
    below: int = 24

    @property
    def ticks(self) -> tuple[float, float, float]:
        """The shares that are written at the left."""
        return 0.0, self.top / 2, self.top

    def x(self, value: float) -> float:
        """Where a number of the range lies, from the left."""
        along = (value - self.low) / ((self.high - self.low) or 1)
        return self.left + (self.width - self.left - self.right) * along

    def y(self, share: float) -> float:
        """Where a share lies, from above."""
        room = self.height - self.below - self.above
        return self.height - self.below - room * share / self.top

    def points(self, values: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
        """Where numbers with their shares lie."""
        return [(self.x(value), self.y(share)) for value, share in values]

    def box(self, start: float, end: float, share: float) -> Box:
        """A bar over a part of the range."""
        x, y = self.x(start), self.y(share)
        return Box(x, y, self.x(end) - x, self.y(0.0) - y)

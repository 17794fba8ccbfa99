"""Windows: what is watched together, one after another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Window:
    """Customers or answers that are judged together.

    Parameters
    ----------
    window : int
        Its number within the use case; it rises, and an unchanged run adds none.
    begins, ends : datetime
        When its first and last row came about, in UTC; equal for a scoring.
    rows : int
        How many customers or answers it holds.
    """

    window: int
    begins: datetime
    ends: datetime
    rows: int

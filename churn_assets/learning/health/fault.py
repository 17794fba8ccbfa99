"""What is wrong, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    where : str
        The table, `registry`, `history` or `tuning`.
    what : str
        What is wrong, with its place.
    todo : str
        What a person can do; empty where `what` says it.
    mend : callable, optional
        Puts it right and says how; raises a `ChurnError` where it cannot.
    """

    where: str
    what: str
    todo: str = ""
    mend: Callable[[], str] | None = None

    @property
    def line(self) -> str:
        """All of it in one line."""
        return " ".join(f"{self.where}: {self.what.rstrip('.')}. {self.todo}".split())

"""What a server takes at once, so that it refuses what it cannot do instead of queueing it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http import HTTPStatus

from churn_assets.serving.answering.calls.problems import ProblemError

_LEAST_WAIT = 1
_MOST_CALLERS = 10_000


@dataclass
class Limits:
    """Limits of one server process.

    Parameters
    ----------
    body_bytes : int
        Of a body that is read whole.
    rows : int
        Customers in a call.
    seconds : float
        For a body to come, and for an answer.
    concurrent : int
        Calls at once.
    per_second : float
        Calls of one API key, on average; as many may come at once.
    """

    body_bytes: int = 10_000_000
    rows: int = 1_000
    seconds: float = 30.0
    concurrent: int = 256
    per_second: float = 2_000.0
    running: int = 0
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)

    def enter(self) -> None:
        """Begin a call.

        Raises
        ------
        ProblemError
            503, where as many run as may.
        """
        if self.running >= self.concurrent:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the server answers as many calls as it may. Try again later.",
                retry_after=_LEAST_WAIT,
            )
        self.running += 1

    def leave(self) -> None:
        """End a call."""
        self.running -= 1

    def spend(self, caller: str) -> None:
        """Count a call of an API key: a bucket that fills steadily, and holds a second's worth.

        Raises
        ------
        ProblemError
            429, where the bucket is empty.
        """
        now = time.monotonic()
        left, at = self._left.get(caller, (self.per_second, now))
        left = min(self.per_second, left + (now - at) * self.per_second)
        if left < 1:
            wait = max(_LEAST_WAIT, round((1 - left) / self.per_second))
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"this API key may send {self.per_second:g} calls a second. Send fewer.",
                retry_after=wait,
            )
        if len(self._left) >= _MOST_CALLERS:
            self._left.clear()
        self._left[caller] = left - 1, now

    def require_rows(self, rows: int) -> None:
        """Refuse more customers than a call may have.

        Raises
        ------
        ProblemError
            413.
        """
        if rows > self.rows:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"a call may have {self.rows:,} customers, and this one has {rows:,}. Send several "
                "calls, or use the route `batch`.",
            )

"""What keeps the table `requests` quick to read and no older than it may be."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from churn_assets.serving.inference_log.requests_table import RequestsTable

LEAST_FILES = 16
"""Fewer small files are not worth the writing."""
SETTLED = timedelta(minutes=1)
"""How old a row is that is put together with others."""
_JUMP_SECONDS = 3600
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Upkeep:
    """How often the table is compacted, and what of it is kept.

    Parameters
    ----------
    table : RequestsTable
        Which other servers may write to at the same time.
    every_seconds : float
        How often.
    keep_days : int, optional
        How long a row is kept; for ever by default.
    vacuum_hours : int
        How long a file is kept that no version needs, at least 1: somebody may be reading it.
    """

    table: RequestsTable
    every_seconds: float = 3600.0
    keep_days: int | None = None
    vacuum_hours: int = 24

    def once(self, clock: Clock) -> None:
        """Expire, compact and vacuum.

        Parameters
        ----------
        clock : Clock
            Of this process. Where the time has jumped, nothing is done: what seems old may not be.
        """
        if clock.has_jumped():
            _logger.error("the clock has jumped, so nothing expires until this is started again")
            return
        if self.keep_days is not None:
            expired = self.table.expire(datetime.now(UTC) - timedelta(days=self.keep_days))
            if expired:
                _logger.info("%s rows older than %s days are deleted", expired, self.keep_days)
        compacted = self.table.compact(LEAST_FILES, SETTLED)
        if compacted:
            _logger.info("%s small files are put together", compacted)
        removed = self.table.vacuum(self.vacuum_hours)
        if removed:
            _logger.info("%s files that no version needs are removed", removed)


class Clock:
    """Tells whether the time of day has jumped since this process began."""

    def __init__(self) -> None:
        self._begun = self._difference()

    def has_jumped(self) -> bool:
        """Whether the time of day has gone on by an hour more or less than the time that passed."""
        return abs(self._difference() - self._begun) > _JUMP_SECONDS

    @staticmethod
    def _difference() -> float:
        # The one that goes on while a machine sleeps, where there is one.
        passed = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return time.time() - time.clock_gettime(passed)

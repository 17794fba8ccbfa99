"""The process that commits what workers have logged to the table `requests`.

    python -m churn_assets.serving.inference_log.flusher --folder FOLDER --table URI --key NAME

Each segment is committed exactly once, by a Delta transaction that carries its number: whatever is
killed, and whenever. One flusher works on a folder; a second one waits for the first to end.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import public_text
from churn_assets.serving.inference_log.lines import read_lines
from churn_assets.serving.inference_log.pending import Pending, Segment
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets.serving.inference_log.upkeep import Clock, Upkeep
from churn_assets.tables.faults.refusals import reason

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = "INFERENCE_LOG_STORAGE_OPTIONS"
"""Variable that holds the keys of the object store as JSON; arguments are for all to see."""
COMMIT_BYTES = 32 << 20
"""Of segments that share a commit, beyond the first."""
MOST_SECONDS = 60.0
"""Between two attempts where the table cannot be reached."""
_CONFLICTS = 5
"""After as many, one waits until the next pass."""
_FINISHING_SECONDS = 0.2
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_MODULE = "churn_assets.serving.inference_log.flusher"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Flushed:
    """What one pass has committed.

    Parameters
    ----------
    rows, segments, commits : int
        How many of each.
    """

    rows: int = 0
    segments: int = 0
    commits: int = 0


def flush(pending: Pending, table: RequestsTable) -> Flushed:
    """Commit every segment that no worker writes to any more, and remove it.

    Parameters
    ----------
    pending : Pending
        The log, whose lock this process holds.
    table : RequestsTable
        Where the rows go.

    Raises
    ------
    TableError
        Where a commit is not seen in the table; the segments are still there then.
    """
    rows = segments = commits = 0
    if not pending.waiting():
        return Flushed()
    for group in _groups(pending.numbered(table.committed(pending.log))):
        read = [_read(segment, table) for segment in group]
        rows += sum(map(len, read))
        if any(map(len, read)):
            _append(read, table, pending.log, group[-1].number)
            commits += 1
        pending.remove(group)
        segments += len(group)
    return Flushed(rows, segments, commits)


def _append(rows: Sequence[pa.RecordBatch], table: RequestsTable, log: str, number: int) -> None:
    """Commit rows, though the table is compacted at the same time."""
    from deltalake.exceptions import CommitFailedError

    for last in (*[False] * _CONFLICTS, True):
        try:
            table.append(rows, log, number)
        except CommitFailedError:
            if last:
                raise
            # It may be a commit of our own, of which the answer was lost.
            if table.committed(log) >= number:
                return
        else:
            return


def _groups(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Segments that share a commit, in order."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        if group and size + segment.size > COMMIT_BYTES:
            yield group
            group, size = [], 0
        group.append(segment)
        size += segment.size
    if group:
        yield group


def _read(segment: Segment, table: RequestsTable) -> pa.RecordBatch:
    lines = read_lines(segment.file.read_bytes(), table)
    if lines.damaged:
        aside = segment.set_aside(lines.damaged)
        _logger.error("%s damaged lines are kept in %s", len(lines.damaged), aside)
    if lines.unfinished:
        _logger.warning(
            "segment %s: a write was broken off, and not answered (%s bytes)",
            segment.number,
            lines.unfinished,
        )
    return lines.rows


class Flusher:
    """Flushes a log at intervals, until it is told to stop.

    Parameters
    ----------
    pending : Pending
        The log.
    table : RequestsTable
        Where the rows go.
    every_seconds : float
        Between two passes; a worker closes a segment after some seconds as well, and both
        together say how late a row may be.
    grace_seconds : float
        For how long workers are waited for when it is told to stop.
    upkeep : Upkeep, optional
        What is done beside; nothing by default.
    """

    def __init__(
        self,
        pending: Pending,
        table: RequestsTable,
        *,
        every_seconds: float = 3.0,
        grace_seconds: float = 30.0,
        upkeep: Upkeep | None = None,
    ) -> None:
        self._pending, self._table = pending, table
        self._every, self._grace = every_seconds, grace_seconds
        self._upkeep = upkeep
        self._stopped = threading.Event()
        self._failures = 0

    def stop(self) -> None:
        """Let `run` commit all that is there, and return."""
        self._stopped.set()

    def run(self, parent: int | None = None) -> bool:
        """Flush until it is told to stop.

        Parameters
        ----------
        parent : int, optional
            A process with whose end it stops as well, which is the one that started it.

        Returns
        -------
        bool
            Whether everything is committed.
        """
        while True:
            with self._pending.held() as is_ours:
                if is_ours:
                    self._work(parent)
                    return self._finish()
            if self._has_stopped(parent):
                # What is left is for the one that works.
                return True
            self._stopped.wait(self._every)

    def _work(self, parent: int | None) -> None:
        keeping = None
        if self._upkeep is not None:
            keeping = threading.Thread(target=self._keep_up, name="upkeep", daemon=True)
            keeping.start()
        while not self._has_stopped(parent):
            self._stopped.wait(self._every if self._attempt() else self._backoff())

    def _has_stopped(self, parent: int | None) -> bool:
        if parent is not None and os.getppid() != parent:
            self._stopped.set()
        return self._stopped.is_set()

    def _finish(self) -> bool:
        """Commit what is there until nothing is, as long as workers may take to end."""
        until = time.monotonic() + self._grace
        while True:
            done = self._attempt()
            left = self._pending.left()
            if done and not left:
                return True
            if time.monotonic() > until:
                _logger.error("%s segments stay for the next start", left)
                return False
            time.sleep(_FINISHING_SECONDS)

    def _attempt(self) -> bool:
        """Flush, or say what keeps it from that."""
        try:
            flushed = flush(self._pending, self._table)
        except Exception as error:
            self._failures += 1
            # The first time, and then ever more seldom.
            if self._failures.bit_count() == 1:
                _logger.error("%s segments wait: %s", self._pending.left(), _why(error))
            return False
        if self._failures:
            _logger.warning("the table can be written again, after %s attempts", self._failures)
        self._failures = 0
        if flushed.segments:
            _logger.debug("%s rows in %s commits", flushed.rows, flushed.commits)
        return True

    def _backoff(self) -> float:
        # Not at the same moment as the flushers of other servers.
        most = min(MOST_SECONDS, self._every * 2.0**self._failures)
        return most * random.uniform(0.5, 1.0)

    def _keep_up(self) -> None:
        """Keep the table up, while rows are committed."""
        assert self._upkeep is not None
        clock = Clock()
        while not self._stopped.wait(self._upkeep.every_seconds * random.uniform(0.9, 1.1)):
            try:
                self._upkeep.once(clock)
            except Exception as error:
                # Another server's flusher was first, or the table cannot be reached.
                _logger.info("the table is put in order another time: %s", _why(error))


def _why(error: Exception) -> str:
    return public_text(reason(str(error) or type(error).__name__))


def start(
    folder: Path,
    table: RequestsTable,
    *,
    every_seconds: float = 3.0,
    grace_seconds: float = 30.0,
    upkeep: Upkeep | None = None,
    **options: Any,
) -> subprocess.Popen[Any]:
    """Start the process, which ends with this one, or by SIGTERM when the workers have ended.

    Parameters
    ----------
    folder : Path
        Of the segments.
    table, every_seconds, grace_seconds, upkeep
        As `Flusher` takes them.
    **options
        As `subprocess.Popen` takes them.
    """
    arguments = [sys.executable, "-m", _MODULE]
    arguments += ["--folder", str(folder), "--table", table.uri, "--with-parent"]
    arguments += [part for key in table.keys for part in ("--key", key)]
    arguments += ["--every-seconds", str(every_seconds), "--grace-seconds", str(grace_seconds)]
    if upkeep is not None:
        arguments += ["--upkeep-seconds", str(upkeep.every_seconds)]
        arguments += ["--vacuum-hours", str(upkeep.vacuum_hours)]
        if upkeep.keep_days is not None:
            arguments += ["--keep-days", str(upkeep.keep_days)]
    keys = table.storage_options
    environ = {**os.environ, **({OPTIONS: json.dumps(dict(keys))} if keys else {})}
    # Blocked from its start on, so that none that comes while it imports ends it with work to do.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return subprocess.Popen(arguments, env=environ, **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the process; 0 where everything is committed in the end."""
    parser = ArgumentParser(description="Commits what a server has logged to the table requests.")
    parser.add_argument("--folder", type=Path, required=True, help="of the segments")
    parser.add_argument("--table", required=True, help="folder or URI of the table")
    parser.add_argument("--key", action="append", default=[], help="a key column; again for each")
    parser.add_argument("--every-seconds", type=float, default=3.0, help="between two passes")
    parser.add_argument("--grace-seconds", type=float, default=30.0, help="for workers that end")
    parser.add_argument("--upkeep-seconds", type=float, help="between two compactions; none")
    parser.add_argument("--keep-days", type=int, help="how long a row is kept; for ever")
    parser.add_argument("--vacuum-hours", type=int, default=24, help="how long an old file is")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent ends")
    parser.add_argument("--once", action="store_true", help="commit what is there, and end")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s requests: %(message)s")
    options = json.loads(environ[OPTIONS]) if OPTIONS in environ else None
    table = RequestsTable(given.table, tuple(given.key), options)
    pending = Pending(given.folder)
    if given.once:
        return _once(pending, table)
    flusher = Flusher(
        pending,
        table,
        every_seconds=given.every_seconds,
        grace_seconds=given.grace_seconds,
        upkeep=None
        if given.upkeep_seconds is None
        else Upkeep(table, given.upkeep_seconds, given.keep_days, given.vacuum_hours),
    )
    # Waited for in a thread: a handler could not wake whom it interrupts.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    threading.Thread(target=_stop_by_signal, args=(flusher,), daemon=True).start()
    return 0 if flusher.run(os.getppid() if given.with_parent else None) else 1


def _stop_by_signal(flusher: Flusher) -> None:
    signal.sigwait(_SIGNALS)
    flusher.stop()


def _once(pending: Pending, table: RequestsTable) -> int:
    with pending.held() as is_ours:
        if not is_ours:
            _logger.error("another flusher works on %s", pending.folder)
            return 1
        try:
            flushed = flush(pending, table)
        except Exception as error:
            _logger.error("%s segments wait: %s", pending.left(), _why(error))
            return 1
    _logger.info("%s rows of %s segments are committed", flushed.rows, flushed.segments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

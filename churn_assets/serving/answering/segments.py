"""The log of a worker: a line for each answer, written to disk before the answer is given.

A segment is a file of lines of one worker. Its name says how far it is::

    <name>.new       not locked yet, and empty
    <name>.open      written to by a worker that holds its lock, or left by one that was killed
    <name>.closed    whole
    <number>.sealed  numbered by the flusher, to be committed as that (see inference_log/pending.py)

A line that was written is the system's: it outlives the process, however that ends. Power loss
costs what was written since the last sync.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

NEW, OPEN, CLOSED, SEALED = ".new", ".open", ".closed", ".sealed"
WhenFull = Literal["answer", "refuse"]
_logger = logging.getLogger(__name__)
_encode_lines = msgspec.json.Encoder().encode_lines


class LogFullError(Exception):
    """What is to be answered cannot be written to the log, and is refused for it."""


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One answer or refusal, in the order of its columns in the table `requests`.

    A new field belongs at the end, with a default: what an older worker wrote is read by a newer
    flusher.

    Parameters
    ----------
    request_id : str
        Of the call.
    row : int
        Place in the call, from 0.
    requested_at : int
        When the call came, in microseconds since 1970, UTC.
    key : sequence of str, optional
        Values of the key columns, in their order; None where none was given.
    form : str
        How it was given: key, record or inputs.
    route : str
        Of the server.
    inputs : object, optional
        The model inputs as they were decoded: a mapping or Struct of plain values.
    churn_probability : float, optional
        The score, in [0, 1].
    decision : bool, optional
        Whether the score reaches the threshold.
    threshold : float, optional
        Of the model that scored.
    risk_band : str, optional
        That the score falls in.
    model_version : int, optional
        Who scored.
    semantic_version : str, optional
        Of that model.
    variant : str, optional
        By which part of the traffic it was answered.
    share : float, optional
        That part, in [0, 1].
    shadow : bool
        Whether it was only logged, and not the answer.
    features_version : int, optional
        Delta version of the features that the key was looked up in.
    latency_ms : float
        From the call to this entry, in milliseconds.
    status : int
        HTTP status.
    refusal : str, optional
        Why it was refused; None where it was answered.
    """

    request_id: str
    row: int
    requested_at: int
    key: Sequence[str] | None
    form: str
    route: str
    inputs: Any
    churn_probability: float | None
    decision: bool | None
    threshold: float | None
    risk_band: str | None
    model_version: int | None
    semantic_version: str | None
    variant: str | None
    share: float | None
    shadow: bool
    features_version: int | None
    latency_ms: float
    status: int
    refusal: str | None


def encoded(entries: Sequence[Entry]) -> bytes:
    r"""The lines of some entries.

    >>> entry = Entry(
    ...     "r1", 0, 0, ["C1"], "key", "/predict", {"tenure": 3}, 0.5, True, 0.4, "high", 2,
    ...     "1.0.0", "champion", 1.0, False, 7, 0.1, 200, None)
    >>> encoded([entry])[:50]
    b'["r1",0,0,["C1"],"key","/predict",{"tenure":3},0.5'
    """
    return _encode_lines(entries)


class SegmentLog:
    """What one process writes its entries to; any of its threads may.

    A process that is forked from it goes on in a segment of its own.

    Parameters
    ----------
    folder : path
        Of the segments, on a local disk; made where it is not there.
    age_seconds : float
        After how long a segment is closed, by a clock that does not jump.
    size_bytes : int
        From which size on a segment is closed before that.
    sync_milliseconds : int
        Most that power loss may cost: so long after an entry the disk is asked to keep it.
    when_full : {"answer", "refuse"}
        What follows where an entry cannot be written: it is counted as `lost`, or `LogFullError`.

    Attributes
    ----------
    lost : int
        How many entries could not be written.
    fault : str
        Why the last one could not be; empty where it could.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        age_seconds: float = 4.0,
        size_bytes: int = 16 << 20,
        sync_milliseconds: int = 100,
        when_full: WhenFull = "answer",
    ) -> None:
        self.folder = Path(folder)
        self.lost = 0
        self.fault = ""
        self._age_seconds, self._size_bytes = age_seconds, size_bytes
        self._sync_seconds = sync_milliseconds / 1000
        self._when_full = when_full
        self._closed = self._is_due = False
        self._start_over()
        _LOGS.add(self)

    def write(self, entries: bytes) -> None:
        """Write whole lines, as `encoded` gives them; what is written outlives this process.

        Raises
        ------
        LogFullError
            Where they cannot be written, if that is to be refused.
        ValueError
            After `close`.
        """
        with self._lock:
            try:
                if self._file < 0:
                    self._begin()
                written = os.write(self._file, entries)
                while written < len(entries):
                    written += os.write(self._file, entries[written:])
            except OSError as error:
                self._take_back()
                self._count_lost(entries, error)
                return
            self._size += len(entries)
            if self.fault:
                self._recover()
        if not self._is_due:
            self._is_due = True
            self._woken.set()

    def close(self) -> None:
        """Close the segment; nothing can be written after that."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            keeper = self._keeper
        self._woken.set()
        self._ended.set()
        if keeper is not None:
            keeper.join()
        self._keep(is_last=True)

    def _start_over(self) -> None:
        """Have no segment and no thread, as at first or in a forked process."""
        self._lock = threading.Lock()
        self._woken, self._ended = threading.Event(), threading.Event()
        self._keeper: threading.Thread | None = None
        self._file, self._name, self._size = -1, "", 0
        self._syncing = -1
        self._begun = 0.0
        self._is_due = False

    def hold(self) -> None:
        """Begin and close no segment while this process forks."""
        self._lock.acquire()

    def release(self) -> None:
        """Go on in the process that has forked."""
        self._lock.release()

    def leave(self) -> None:
        """In a forked process, leave the segment to the one that it was forked from."""
        for file in (self._file, self._syncing):
            if file >= 0:
                # Its lock stays with the other process, which has the same open file.
                os.close(file)
        self._start_over()

    def _begin(self) -> None:
        if self._closed:
            raise ValueError("the log is closed")
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{os.getpid()}-{secrets.token_hex(8)}"
            new = self.folder / (name + NEW)
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            try:
                # Locked before it is called open, so that nobody takes it for a dead worker's.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                new.rename(self.folder / (name + OPEN))
            except (BlockingIOError, FileNotFoundError):
                # The flusher took it for one that a killed worker left, and removes it.
                os.close(file)
                continue
            except OSError:
                os.close(file)
                raise
            break
        self._file, self._name, self._size = file, name, 0
        self._begun = time.monotonic()
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._tend, name="inference-log", daemon=True)
            self._keeper.start()

    def _take_back(self) -> None:
        """Let a segment end with its last whole entry, after one that was written in part."""
        if self._file < 0:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            # The flusher adopts it, and leaves out the end that no answer followed.
            os.close(self._file)
            self._file = -1

    def _count_lost(self, entries: bytes, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        if not self.fault:
            follows = "are lost and counted" if self._when_full == "answer" else "are refused"
            _logger.error("%s: entries %s: %s", self.folder, follows, reason)
        self.fault = reason
        if self._when_full == "refuse":
            raise LogFullError(f"the inference log cannot be written: {reason}") from error
        self.lost += entries.count(b"\n")

    def _recover(self) -> None:
        self.fault = ""
        _logger.warning("%s: entries can be written again; %d are lost", self.folder, self.lost)

    def _tend(self) -> None:
        """Sync and close segments as they come due, until the log is closed."""
        ended = self._ended
        while not ended.is_set():
            self._woken.wait(self._seconds_left())
            if ended.wait(self._sync_seconds):
                return
            try:
                self._keep()
            except OSError as error:
                _logger.error("%s: the segment stays open: %s", self.folder, error)

    def _seconds_left(self) -> float | None:
        """Until the segment is to be closed; None where there is none."""
        if self._file < 0:
            return None
        return max(0.0, self._begun + self._age_seconds - time.monotonic())

    def _keep(self, *, is_last: bool = False) -> None:
        with self._lock:
            # Before the sync, so that what is written during it asks for another.
            self._woken.clear()
            self._is_due = False
            if self._file < 0:
                return
            # Of its own, since the segment may be closed meanwhile.
            file = self._syncing = os.dup(self._file)
            if is_last or not self._seconds_left() or self._size >= self._size_bytes:
                self._close_segment()
        try:
            os.fdatasync(file)
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                # The names of new and of closed segments.
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            _logger.error("%s: entries are not safe from power loss: %s", self.folder, error)
        finally:
            self._syncing = -1
            os.close(file)

    def _close_segment(self) -> None:
        opened = self.folder / (self._name + OPEN)
        try:
            opened.rename(opened.with_suffix(CLOSED))
        except FileNotFoundError:
            _logger.error("%s: somebody removed it; its entries are lost", opened)
        except OSError as error:
            # It is adopted as one without a worker.
            _logger.warning("%s: cannot be renamed: %s", opened, error)
        os.close(self._file)
        self._file = -1


_LOGS: weakref.WeakSet[SegmentLog] = weakref.WeakSet()


def _each(act: Callable[[SegmentLog], None]) -> Callable[[], None]:
    def act_on_each() -> None:
        for log in list(_LOGS):
            act(log)

    return act_on_each


os.register_at_fork(
    before=_each(SegmentLog.hold),
    after_in_parent=_each(SegmentLog.release),
    after_in_child=_each(SegmentLog.leave),
)

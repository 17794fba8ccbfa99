"""The segments in a folder that wait to be committed, each under a number of its own."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from churn_assets.serving.answering.segments import CLOSED, NEW, OPEN, SEALED

DAMAGED = ".damaged"
_ID, _LOCK = "id", "flusher.lock"
_DIGITS = 12


@dataclass(frozen=True)
class Segment:
    """A segment that is numbered.

    Parameters
    ----------
    number : int
        By which the table knows whether it is committed; from 1.
    file : Path
        Where it lies.
    """

    number: int
    file: Path

    @property
    def size(self) -> int:
        """In bytes."""
        return self.file.stat().st_size

    def set_aside(self, lines: tuple[bytes, ...]) -> Path:
        """Keep lines that say no entry beside it, and give the file that holds them."""
        aside = self.file.with_suffix(DAMAGED)
        aside.write_bytes(b"\n".join((*lines, b"")))
        return aside


@dataclass(frozen=True)
class Pending:
    """The segments of one log; used by the one flusher that holds its lock.

    Parameters
    ----------
    folder : Path
        Where workers write them.
    """

    folder: Path

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Whether this process is the log's one flusher, in the block."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        with _locked_alone(file) as is_ours:
            yield is_ours

    @property
    def log(self) -> str:
        """The name by which tables know this log, made with its first flusher."""
        place = self.folder / _ID
        with suppress(FileNotFoundError):
            return place.read_text().strip()
        made = f"requests-{uuid.uuid4().hex}"
        part = self.folder / f"{_ID}.part"
        with part.open("w") as file:
            file.write(f"{made}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
        self._sync_names()
        return made

    def waiting(self) -> bool:
        """Whether there is a segment that no worker writes to any more."""
        return bool(self._files(SEALED) or self._files(CLOSED) or list(self._orphans()))

    def numbered(self, committed: int) -> list[Segment]:
        """The segments to commit, in order; those up to a number, which are committed, are removed.

        Segments that a worker has closed, or that one without a process has left, are numbered.
        """
        sealed = []
        for file in self._files(SEALED):
            segment = Segment(int(file.stem), file)
            if segment.number <= committed:
                file.unlink(missing_ok=True)
            else:
                sealed.append(segment)
        sealed.sort(key=lambda segment: segment.number)
        last = max([committed, *(segment.number for segment in sealed)])
        self._remove_unused()
        found = False
        for file in [*self._files(CLOSED), *self._orphans()]:
            with suppress(FileNotFoundError):
                if file.stat().st_size == 0:
                    file.unlink()
                    continue
                last += 1
                target = self.folder / f"{last:0{_DIGITS}}{SEALED}"
                file.rename(target)
                sealed.append(Segment(last, target))
                found = True
        if found:
            # A number that power loss took back would be committed again as another.
            self._sync_names()
        return sealed

    def remove(self, segments: list[Segment]) -> None:
        """Remove segments that are seen to be committed."""
        for segment in segments:
            segment.file.unlink(missing_ok=True)

    def left(self) -> int:
        """How many segments are there, whoever writes to them."""
        return sum(1 for suffix in (OPEN, CLOSED, SEALED) for _ in self._files(suffix))

    def _files(self, suffix: str) -> list[Path]:
        return sorted(file for file in self.folder.iterdir() if file.suffix == suffix)

    def _orphans(self) -> Iterator[Path]:
        """Open segments whose lock nobody holds any more, or ever takes again."""
        for file in self._files(OPEN):
            with _locked(file) as is_orphan:
                if is_orphan:
                    yield file

    def _remove_unused(self) -> None:
        """Remove what a worker was killed over before it wrote anything."""
        for file in self._files(NEW):
            with _locked(file) as is_orphan:
                if is_orphan:
                    file.unlink(missing_ok=True)

    def _sync_names(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _locked(file: Path) -> Iterator[bool]:
    """Whether a file could be locked, which it then is in the block."""
    try:
        opened = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    with _locked_alone(opened) as is_locked:
        yield is_locked


@contextmanager
def _locked_alone(opened: int) -> Iterator[bool]:
    """Whether an open file could be locked, which it then is in the block; it is closed after."""
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(opened)

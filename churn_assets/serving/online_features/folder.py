"""The folder of a use case's snapshots: which one is to be served, and which are not needed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from churn_assets.errors import SnapshotError
from churn_assets.serving.answering.snapshot import Head

CURRENT = "current.json"
"""Names the snapshot that is to be served."""
SUFFIX = ".lmdb"
KEPT = 2
"""How many are kept: the one that is to be served, and the one before."""
_MAKING = ".making-"


class Current(msgspec.Struct, frozen=True, kw_only=True):
    """Which snapshot is to be served.

    Parameters
    ----------
    file : str
        Its name.
    digest : str
        The sha256 of its pages, as its head has it.
    data_version : str
        Its data version, likewise.
    features_version : int
        Delta version of the features in it.
    current_at : float
        When it was last known to be of the newest features, in seconds since 1970, UTC.
    """

    file: str
    digest: str
    data_version: str
    features_version: int
    current_at: float


def name_of(head: Head) -> str:
    """A file's name: another one for each version of features and of predictions."""
    return f"{head.features_version}-{head.data_version[:16]}{SUFFIX}"


def current_of(head: Head) -> Current:
    """What says that a snapshot is to be served, as of now."""
    return Current(
        file=name_of(head),
        digest=head.digest,
        data_version=head.data_version,
        features_version=head.features_version,
        current_at=time.time(),
    )


def read_current(folder: Path) -> Current | None:
    """Which snapshot of a folder is to be served; None where there is none yet.

    Raises
    ------
    SnapshotError
        Where the file that says so is damaged.
    """
    try:
        return as_current((folder / CURRENT).read_bytes(), str(folder / CURRENT))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotError(f"{folder / CURRENT}: cannot be read: {error.strerror}.") from error


def as_current(text: bytes, place: str) -> Current:
    """Read what says which snapshot is to be served.

    Raises
    ------
    SnapshotError
        Where it is damaged, or names a file elsewhere.
    """
    try:
        current = msgspec.json.decode(text, type=Current)
    except msgspec.MsgspecError:
        raise SnapshotError(f"{place}: is damaged. `churn run` makes it again.") from None
    if Path(current.file).name != current.file or not current.file.endswith(SUFFIX):
        raise SnapshotError(f"{place}: names no snapshot. `churn run` makes it again.")
    return current


def point(folder: Path, current: Current) -> None:
    """Say which snapshot is to be served from now on."""
    with making(folder) as own:
        unfinished = own / CURRENT
        unfinished.write_bytes(msgspec.json.encode(current))
        unfinished.replace(folder / CURRENT)


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A folder within another, for what is not finished; it is gone after the block."""
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=_MAKING, dir=folder))
    try:
        with _locked(own):
            yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def prune(folder: Path, current: Current) -> list[Path]:
    """Remove the snapshots that nobody maps, and what a killed process left unfinished.

    Parameters
    ----------
    folder : Path
        Of a use case's snapshots.
    current : Current
        The one that is to be served; it and the newest of the others are kept.

    Returns
    -------
    list of Path
        What was removed.
    """
    others = [file for file in folder.glob(f"*{SUFFIX}") if file.name != current.file]
    others.sort(key=lambda file: file.stat().st_mtime, reverse=True)
    return [
        path
        for path in (*others[KEPT - 1 :], *folder.glob(f"{_MAKING}*"))
        if _remove_unless_held(path)
    ]


def _remove_unless_held(path: Path) -> bool:
    try:
        with _locked(path):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file or folder alone, which fails where anybody else holds it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)

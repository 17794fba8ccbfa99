"""What is damaged in a table on disk: its data files, the digests kept of them, and its log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from churn_assets.errors import DamageError

LOG, DIGESTS = "_delta_log", "_digests"
"""Folders of a table: Delta's log, and the digests of the data files that each commit added."""
_DIGITS = 20
"""Of a version, in the name of a file of the log."""


def folder(uri: str) -> Path | None:
    """The folder of a table on disk; None in an object store.

    >>> folder("file:///lake/raw")
    PosixPath('/lake/raw')
    """
    if uri.startswith("file://"):
        return Path(url2pathname(urlsplit(uri).path))
    return None if "://" in uri else Path(uri)


def damaged(table: str, fault: str) -> DamageError:
    """The error that says what of a table is damaged, and what to do."""
    return DamageError(f"the table {table} is damaged: {fault}; run `churn doctor`.")


def require_files(table: str, uri: str, sizes: Mapping[str, int]) -> None:
    """Refuse a table on disk whose files are not there with the sizes that the log says.

    Raises
    ------
    DamageError
        Naming the first that is not.
    """
    place = folder(uri)
    if place is None:
        # To ask a store for each file takes a request; the doctor does.
        return
    for name, size in sizes.items():
        file = place / name
        try:
            found = file.stat().st_size
        except FileNotFoundError:
            raise damaged(table, f"{file} is missing") from None
        if found != size:
            raise damaged(table, wrong_size(str(file), found, size))


def wrong_size(file: str, found: int, size: int) -> str:
    """That a file is longer or shorter than it was written."""
    return f"{file} has {found:,} bytes of {size:,}"


def log_fault(uri: str) -> str | None:
    """The first file of a table's log that is damaged or missing; None where none is found."""
    place = folder(uri)
    if place is None or not (place / LOG).is_dir():
        return None
    unreadable = next(unreadable_checkpoints(place), None)
    if unreadable:
        return f"{unreadable} cannot be read"
    commits = {int(file.stem): file for file in _commits(place)}
    checkpoints = [int(file.name[:_DIGITS]) for file in _checkpoints(place)]
    first = max(checkpoints) + 1 if checkpoints else 0
    for version in range(first, max(commits, default=first - 1) + 1):
        if version not in commits:
            return f"{place / LOG / f'{version:020}.json'} is missing"
        if not is_whole(commits[version]):
            return f"{commits[version]} cannot be read"
    return None


def newest_commit(place: Path) -> Path | None:
    """The newest commit in a table's log."""
    return max(_commits(place), default=None)


def is_whole(commit: Path) -> bool:
    """Whether each line of a commit says what was done."""
    try:
        return all(isinstance(action, dict) for action in _actions(commit))
    except (OSError, ValueError):
        return False


def unreadable_checkpoints(place: Path) -> Iterator[Path]:
    """The checkpoints of a table's log that cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in _checkpoints(place):
        try:
            pq.read_table(file)
        except (pa.ArrowException, OSError):
            yield file


def keep_digests(uri: str, version: int) -> None:
    """Keep the SHA-256 of each data file that a commit added, of a table on disk.

    An object store checks by itself what it holds.
    """
    place = folder(uri)
    if place is None:
        return
    # The commit holds whether or not digests of it can be kept.
    with suppress(OSError, ValueError):
        added = _added(place / LOG / f"{version:020}.json")
        digests = {name: _digest(place / name) for name in added}
        if digests:
            kept = place / DIGESTS / f"{version:020}.json"
            kept.parent.mkdir(exist_ok=True)
            part = kept.with_suffix(".part")
            part.write_text(json.dumps(digests))
            part.replace(kept)


def drop_digests(uri: str, removed: Iterable[str]) -> None:
    """Forget the digests of data files that were removed, of a table on disk."""
    place, gone = folder(uri), set(removed)
    for file in (place / DIGESTS).glob("*.json") if place and gone else ():
        with suppress(OSError, ValueError):
            if gone.issuperset(json.loads(file.read_text())):
                file.unlink()


def digests(uri: str) -> dict[str, str]:
    """The SHA-256 of each data file of which it was kept, by its path in the table."""
    place = folder(uri)
    kept: dict[str, str] = {}
    for file in sorted((place / DIGESTS).glob("*.json")) if place else ():
        with suppress(OSError, ValueError):
            kept.update(json.loads(file.read_text()))
    return kept


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _added(commit: Path) -> Iterator[str]:
    for action in _actions(commit):
        if "add" in action:
            yield unquote(action["add"]["path"])


def _actions(commit: Path) -> Iterator[Mapping[str, Mapping[str, str]]]:
    """The lines of a commit; none would be no commit."""
    lines = commit.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError("an empty commit")
    yield from map(json.loads, lines)


def _commits(place: Path) -> Iterable[Path]:
    files = (place / LOG).glob("*.json")
    return (file for file in files if file.stem.isdigit() and len(file.stem) == _DIGITS)


def _checkpoints(place: Path) -> Iterable[Path]:
    return sorted((place / LOG).glob("*.checkpoint*.parquet"))

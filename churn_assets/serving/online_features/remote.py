"""Snapshots in an object store: given out by the asset, fetched by each server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from churn_assets.errors import ChurnError, SnapshotError, first_line, public_text, public_uri
from churn_assets.serving.answering.snapshot import Head, read_head, verify
from churn_assets.serving.online_features.folder import (
    CURRENT,
    SUFFIX,
    Current,
    as_current,
    making,
    point,
    prune,
)
from churn_assets.tables.sources.stores import connect

_CHUNK_BYTES = 8 << 20


def publish(
    path: Path, current: Current, uri: str, options: Mapping[str, str] | None = None
) -> None:
    """Put a snapshot into an object store, and then say there that it is to be served.

    Parameters
    ----------
    path : Path
        The snapshot.
    current : Current
        What says so.
    uri : str
        Folder of the use case's snapshots there.
    options : mapping of str to str, optional
        Keys of the store; by default what the environment has.

    Raises
    ------
    SnapshotError
        Where the store cannot be written to; what it held stands.
    """
    import obstore

    with _reaching(uri, "given out"):
        store = _store(uri, options)
        sizes = {entry["path"]: entry["size"] for entry in obstore.list(store).collect()}
        before: Current | None = None
        if CURRENT in sizes:
            # What is damaged there is replaced.
            with suppress(SnapshotError):
                before = _served(store, uri)
        if sizes.get(current.file) != path.stat().st_size:
            obstore.put(store, current.file, path)
        obstore.put(store, CURRENT, msgspec.json.encode(current))
        if before is None or before.file == current.file:
            return
        # A server may be fetching the one before.
        kept = {current.file, before.file}
        stale = [name for name in sizes if name.endswith(SUFFIX) and name not in kept]
        if stale:
            obstore.delete(store, stale)


def fetch_snapshot(uri: str, cache: Path, options: Mapping[str, str] | None = None) -> Path:
    """Bring the snapshot that is to be served into a folder of this machine, unless it is there.

    Parameters
    ----------
    uri : str
        Folder of the use case's snapshots in an object store.
    cache : Path
        Folder for them here; what is to be served is said in it as in the folder that they are
        made in.
    options : mapping of str to str, optional
        Keys of the store; by default what the environment has.

    Returns
    -------
    Path
        The snapshot, verified.

    Raises
    ------
    SnapshotError
        Where it cannot be had, or what came is damaged; what was fetched before stands.
    """
    import obstore

    with _reaching(uri, "fetched"):
        store = _store(uri, options)
        current = _served(store, uri)
        path = cache / current.file
        if not _is_there(path, current):
            with making(cache) as own:
                unfinished = own / current.file
                with unfinished.open("wb") as file:
                    for chunk in obstore.get(store, current.file).stream(
                        min_chunk_size=_CHUNK_BYTES
                    ):
                        file.write(chunk)
                _require(verify(unfinished), current, uri)
                unfinished.replace(path)
    point(cache, current)
    prune(cache, current)
    return path


def _served(store: Any, uri: str) -> Current:
    """What a store says is to be served."""
    import obstore

    said = bytes(obstore.get(store, CURRENT).bytes())
    return as_current(said, f"{public_uri(uri)}/{CURRENT}")


def _is_there(path: Path, current: Current) -> bool:
    # It was verified before it was moved there.
    try:
        return read_head(path).digest == current.digest
    except SnapshotError:
        return False


def _require(head: Head, current: Current, uri: str) -> None:
    if head.digest != current.digest:
        raise SnapshotError(
            f"{public_uri(uri)}: {current.file} is not the file that {CURRENT} names by its "
            "digest. It is being replaced, or was changed; what was fetched before serves on."
        )


def _store(uri: str, options: Mapping[str, str] | None) -> Any:
    if uri.startswith("file:"):
        from obstore.store import from_url

        return from_url(uri, mkdir=True)
    return connect(uri, options or {}, public_uri(uri), "storage_options")


@contextmanager
def _reaching(uri: str, what: str) -> Iterator[None]:
    """Say in one line why a store cannot be used."""
    try:
        yield
    except ChurnError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and not type(error).__module__.startswith("obstore"):
            raise
        raise SnapshotError(
            f"{public_uri(uri)}: the features by key could not be {what}: "
            f"{public_text(first_line(error))}. Those before stand. Check serving.features_uri and "
            "the store's keys."
        ) from error

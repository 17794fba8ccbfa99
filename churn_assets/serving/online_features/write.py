"""Write a snapshot: pairs in, a file that never changes out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import lmdb
import msgspec

from churn_assets.errors import SnapshotError
from churn_assets.serving.answering.snapshot import Head, seal
from churn_assets.serving.online_features.pairs import Pair

_COMMIT = 65_536
"""Pairs in one transaction; LMDB holds its pages in memory until it ends."""
_ROOM_BYTES, _MOST_BYTES_A_ROW = 1 << 26, 1 << 14
"""What is reserved of addresses, not of disk or memory."""


def write_snapshot(path: Path, pairs: Iterable[Pair], head: Head, *, making: Path) -> Head:
    """Write a snapshot beside its place and move it there, so that it is there whole or not at all.

    Parameters
    ----------
    path : Path
        Its place.
    pairs : iterable of tuple
        Key and value of each customer, in the order of the keys, each key once.
    head : Head
        What it is; its rows are the most that there can be, and counted here.
    making : Path
        A folder on the same disk.

    Returns
    -------
    Head
        As it was written.

    Raises
    ------
    SnapshotError
        Where a key comes twice, or it cannot be written.
    """
    unfinished = making / path.name
    try:
        rows = _fill(unfinished, iter(pairs), head)
        sealed = seal(unfinished, msgspec.structs.replace(head, rows=rows))
        unfinished.replace(path)
        _sync_folder(path.parent)
    except (OSError, lmdb.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SnapshotError(
            f"{path}: the features by key cannot be written: {why}. Those before stand; see to it "
            "and run again."
        ) from error
    return sealed


def _fill(path: Path, pairs: Iterable[Pair], head: Head) -> int:
    room = _ROOM_BYTES + head.rows * _MOST_BYTES_A_ROW
    rows = 0
    # Nobody reads it before it is sealed, so nothing need be on the disk before that.
    with lmdb.open(
        str(path), subdir=False, map_size=room, lock=False, sync=False, metasync=False
    ) as env:
        pairs = iter(pairs)
        while block := list(islice(pairs, _COMMIT)):
            with env.begin(write=True) as transaction, transaction.cursor() as cursor:
                _, added = cursor.putmulti(block, append=True, overwrite=False)
            if added != len(block):
                raise SnapshotError(
                    f"{head.use_case}: two customers in features have one key. Those before "
                    "stand; give each customer a key of their own."
                )
            rows += added
    return rows


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

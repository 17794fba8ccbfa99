"""Customers as pairs of key and value, in the order of the keys, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
import numpy as np

from churn_assets.serving.answering.snapshot import MOST_KEY_BYTES, Kind, key_bytes

if TYPE_CHECKING:
    import polars as pl

Pair = tuple[bytes, bytes]
BATCH = 32_768
"""Rows that are drawn at once: as many as a row group of the tables has."""
PART = 4 * BATCH
"""Pairs that are sorted in memory at once."""
_BLOCK = 512
"""Pairs that are read at once of each sorted part."""
_LENGTH_BYTES = 8
_LAST_EXACT = 2.0**53
_FOUR = b"\x94"
"""The head of an array of four, as a customer's value is one."""
_NO_ADVICE = msgspec.msgpack.encode(None) * 2
_encode = msgspec.msgpack.Encoder().encode


def of_features(
    batch: pl.DataFrame, keys: Sequence[str], columns: Mapping[str, Kind]
) -> list[Pair]:
    """A pair for each row of features: the value wants only its advice behind it.

    Parameters
    ----------
    batch : polars.DataFrame
        The key's columns as text, the columns, and `split`.
    keys : sequence of str
        The key's columns.
    columns : mapping of str to {"number", "text"}
        As `Head` has them.
    """
    batch = _sorted(batch, keys)
    values = [
        _numbers(batch[name]) if kind == "number" else batch[name].to_list()
        for name, kind in columns.items()
    ]
    # There is nothing to read of a row without columns.
    rows: Iterable[tuple[Any, ...]] = zip(*values, strict=True) if values else [()] * len(batch)
    splits = {split: _encode(split) for split in batch["split"].unique().to_list()}
    return [
        (key, _FOUR + _encode(row) + splits[split])
        for key, row, split in zip(_keys(batch, keys), rows, batch["split"].to_list(), strict=True)
    ]


def of_predictions(batch: pl.DataFrame, keys: Sequence[str]) -> list[Pair]:
    """A pair for each row of predictions: the advice of a customer."""
    batch = _sorted(batch, keys)
    advice = zip(batch["contact"].to_list(), batch["rank"].to_list(), strict=True)
    return [
        (key, _encode(contact) + _encode(rank))
        for key, (contact, rank) in zip(_keys(batch, keys), advice, strict=True)
    ]


def in_order(
    batches: Iterable[list[Pair]], folder: Path, name: str, part: int = PART
) -> Iterator[Pair]:
    """Pairs in the order of their keys: sorted by parts that lie on disk, and merged.

    Parameters
    ----------
    batches : iterable of list of tuple
        The pairs, as they come.
    folder : Path
        Where the parts lie meanwhile.
    name : str
        What their files are called.
    part : int
        Pairs that are sorted in memory at once.
    """
    with (folder / name).open("w+b") as file:
        parts: list[tuple[int, int]] = []
        pairs: list[Pair] = []
        for batch in batches:
            pairs += batch
            if len(pairs) >= part:
                parts.append(_spill(file, pairs))
                pairs = []
        pairs.sort()
        file.flush()
        yield from merge(pairs, *(_part(file, *ends) for ends in parts))


def advised(customers: Iterable[Pair], advice: Iterator[Pair]) -> Iterator[Pair]:
    """Customers with the advice of the same key behind each, where there is any; both in order."""
    key, advised_with = next(advice, (None, b""))
    for customer, value in customers:
        while key is not None and key < customer:
            key, advised_with = next(advice, (None, b""))
        yield customer, value + (advised_with if key == customer else _NO_ADVICE)


def _sorted(batch: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Rows sorted where that is quick, so that little is left to sort later.

    Nobody can be asked for whose key is not known.
    """
    return batch.drop_nulls(keys).sort(keys)


def _keys(batch: pl.DataFrame, names: Sequence[str]) -> list[bytes]:
    import polars as pl

    if len(names) == 1:
        # All at once, as `key_bytes` has them.
        column = batch[names[0]]
        if bool((column.str.len_bytes() < MOST_KEY_BYTES).all()):
            return (key_bytes([""]).decode() + column).cast(pl.Binary).to_list()
    return [key_bytes(parts) for parts in zip(*(batch[n].to_list() for n in names), strict=True)]


def _numbers(column: pl.Series) -> list[float | int | None]:
    """Numbers, whole ones as integers where all of a batch are: those take a byte or two."""
    import polars as pl

    values = column.drop_nulls().to_numpy()
    is_whole = (values == np.trunc(values)) & (np.abs(values) <= _LAST_EXACT)
    is_below_zero = (values == 0) & np.signbit(values)
    if bool(np.all(is_whole & ~is_below_zero)):
        return column.cast(pl.Int64).to_list()
    return column.to_list()


def _spill(file: BinaryIO, pairs: list[Pair]) -> tuple[int, int]:
    """Sort pairs and write them behind what is there; gives where they begin and end."""
    pairs.sort()
    begin = file.tell()
    for at in range(0, len(pairs), _BLOCK):
        block = _encode(pairs[at : at + _BLOCK])
        file.write(len(block).to_bytes(_LENGTH_BYTES))
        file.write(block)
    return begin, file.tell()


def _part(file: BinaryIO, begin: int, end: int) -> Iterator[Pair]:
    decode = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode
    while begin < end:
        file.seek(begin)
        length = int.from_bytes(file.read(_LENGTH_BYTES))
        block = file.read(length)
        begin += _LENGTH_BYTES + length
        yield from decode(block)

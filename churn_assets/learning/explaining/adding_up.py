"""How explanations of any model are added up, by NumPy alone: for batches and for servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from churn_assets.types import Floats, Indices

_CHUNK = 2048
"""Rows that are walked at once, with a copy of each for each input."""


def by_input(encoded: Floats, sources: Sequence[str], names: Sequence[str]) -> Floats:
    """Sum what encoded columns add over those of each input.

    Parameters
    ----------
    encoded : array of shape (n_rows, n_encoded)
        What each encoded column adds.
    sources : sequence of str
        The input that each comes from.
    names : sequence of str
        The inputs.

    Returns
    -------
    array of shape (n_rows, n_inputs)
        In column-major order.
    """
    place = {name: i for i, name in enumerate(names)}
    summed = np.zeros((len(encoded), len(place)), order="F")
    for column, source in enumerate(sources):
        summed[:, place[source]] += encoded[:, column]
    return summed


def summed(values: Floats, places: Indices, size: int) -> Floats:
    """Sum values by place, one after the other as they come, of shape (size,)."""
    sums: Any = np.bincount(places, values, size)
    found: Floats = sums
    return found


def completed(shares: Floats, odds: Floats) -> tuple[float, Floats]:
    """The base and the shares of a model that finds them in single precision, made to add up.

    Parameters
    ----------
    shares : array of shape (n_rows, n_encoded + 1)
        The last column is the base.
    odds : array of shape (n_rows,)
        Log-odds of the scores; what rounding leaves of them goes to the greatest share.
    """
    shares = shares.astype(np.float64)
    base, values = float(shares[0, -1]), shares[:, :-1]
    left = odds - (base + values.sum(axis=1))
    values[np.arange(len(values)), np.abs(values).argmax(axis=1)] += left
    return base, values


def blocks_of(sources: Sequence[str]) -> dict[str, list[int]]:
    """The places of the encoded columns of each input."""
    blocks: dict[str, list[int]] = {}
    for column, source in enumerate(sources):
        blocks.setdefault(source, []).append(column)
    return blocks


def walk(
    whole: Floats,
    nobody: Floats,
    blocks: dict[str, list[int]],
    odds: Callable[[Floats], Floats],
) -> tuple[float, Floats]:
    """Tell one input of each customer after the other, and see what the score does.

    What an input adds is put at the first of its encoded columns.

    Parameters
    ----------
    whole : array of shape (n_rows, n_encoded)
        The customers.
    nobody : array of shape (1, n_encoded)
        A customer of whom nothing is known.
    blocks : dict of str to list of int
        As `blocks_of` gives them.
    odds : callable
        Log-odds of the score of encoded rows.
    """
    order = [str(name) for name in np.random.default_rng(0).permutation(list(blocks))]
    added = np.zeros(whole.shape)
    start = odds(nobody)
    for first in range(0, len(whole), _CHUNK):
        target, part = whole[first : first + _CHUNK], added[first : first + _CHUNK]
        for way in (order, order[::-1]):
            steps = np.repeat(nobody[None], len(way), axis=0).repeat(len(target), axis=1)
            for i, source in enumerate(way):
                steps[i:, :, blocks[source]] = target[:, blocks[source]]
            after = odds(steps.reshape(-1, steps.shape[2])).reshape(len(way), len(target))
            before = np.vstack([np.repeat(start, len(target)), after[:-1]])
            part[:, [blocks[source][0] for source in way]] += (after - before).T / 2
    return float(start[0]), added

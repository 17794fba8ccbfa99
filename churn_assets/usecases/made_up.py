"""What the generators of made-up records share: batches, draws by logits, codes as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from churn_assets.types import Floats

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
MOST_ROWS = 1_000_000_000  # up to it no generator gives an id twice

_Numbers = npt.NDArray[np.float64 | np.int64]
Facts = dict[str, Floats]
"""What there is to know of each row of a batch, by name; the fact `base` is 1 everywhere."""
Weights = Mapping[str, float]
"""A weight for each term of a sum: a fact, or a product of facts such as `a*b`."""


def batches(
    rows: int, seed: int, make: Callable[[np.random.Generator, int], pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Make up a table batch by batch.

    Parameters
    ----------
    rows : int
        How many rows, at most `MOST_ROWS`.
    seed : int
        Not negative.
    make : callable
        Makes up `BATCH_ROWS` rows, from what to draw with and the place of the first one.

    Yields
    ------
    pyarrow.RecordBatch
        `BATCH_ROWS` rows, fewer in the last one.
    """
    if rows > MOST_ROWS:
        raise ValueError(f"rows={rows:,} is over {MOST_ROWS:,}; generate fewer.")
    for start in range(0, rows, BATCH_ROWS):
        # A generator of its own for each batch makes a longer table begin with the shorter one.
        rng = np.random.default_rng((seed, start // BATCH_ROWS))
        yield make(rng, start).slice(0, rows - start)


def weighted_sum(weights: Weights, facts: Facts) -> Floats:
    """Add up weighted facts: the terms of a logit, or of a price.

    >>> weighted_sum({"base": 1.0, "old*ill": 2.0}, {"base": np.ones(2), "old": np.ones(2),
    ...                                       "ill": np.array([0.0, 1.0])}).tolist()
    [1.0, 3.0]
    """
    total = np.zeros_like(facts["base"])
    for term, weight in weights.items():
        total += weight * math.prod(facts[name] for name in term.split("*"))
    return total


def logistic(logits: Floats) -> Floats:
    """Turn logits into probabilities."""
    return 1 / (1 + np.exp(-logits))


def choose(rng: np.random.Generator, facts: Facts, *options: Weights) -> Floats:
    """Draw 0 or the place of an option, counted from 1, by a multinomial logit."""
    odds = (np.exp(weighted_sum(weights, facts)) for weights in options)
    *bounds, whole = accumulate((facts["base"], *odds))
    draw = whole * rng.random(len(whole))
    return np.asarray(np.add.reduce([draw >= bound for bound in bounds]), dtype=np.float64)


def from_deciles(rng: np.random.Generator, deciles: _Numbers, row: _Numbers) -> Floats:
    """Draw from distributions that are straight between their deciles.

    Parameters
    ----------
    rng : numpy.random.Generator
    deciles : array of shape (n_distributions, 11)
        The least value, the nine deciles and the greatest value.
    row : array of shape (n_rows,)
        Which distribution each value is drawn from.

    Returns
    -------
    array of shape (n_rows,)
        Not rounded.
    """
    part, decile = np.modf(10 * rng.random(len(row)))
    place = row.astype(np.intp), decile.astype(np.intp)
    below, above = deciles[:, :-1][place], deciles[:, 1:][place]
    return np.asarray(below + part * (above - below), dtype=np.float64)


def from_shares(rng: np.random.Generator, shares: Floats, row: _Numbers) -> Floats:
    """Draw codes by their shares.

    Parameters
    ----------
    rng : numpy.random.Generator
    shares : array of shape (n_distributions, n_codes)
        Of each code, up to a factor of its row.
    row : array of shape (n_rows,)
        Which distribution each code is drawn from.

    Returns
    -------
    array of shape (n_rows,)
        From 0 to `n_codes` - 1.
    """
    bounds = np.cumsum(shares, axis=1)
    bounds /= bounds[:, -1:]
    draw = rng.random(len(row))
    place = row.astype(np.intp)
    steps = (draw >= bounds[place, code] for code in range(shares.shape[1] - 1))
    return np.asarray(sum(steps, np.zeros(len(row))), dtype=np.float64)


def fact(true: npt.NDArray[np.bool]) -> Floats:
    """1 where it is true, else 0."""
    return np.where(true, 1.0, 0.0)


def one_hot(codes: Floats, names: Sequence[str]) -> Facts:
    """Give a fact for each code, named by the names in their order."""
    return {name: fact(codes == code) for code, name in enumerate(names)}


def text_schema(columns: Iterable[str]) -> pa.Schema:
    """The schema of records whose columns are all text."""
    import pyarrow as pa

    return pa.schema((name, pa.string()) for name in columns)


def holds(batch: pa.RecordBatch, column: str, value: str = "Yes") -> Floats:
    """1 where a text column has a value, else 0."""
    import pyarrow.compute as pc

    return fact(pc.equal(batch[column], value).to_numpy(zero_copy_only=False))


def numbers(batch: pa.RecordBatch, column: str) -> Floats:
    """Read a text column as numbers."""
    import pyarrow as pa

    return np.asarray(batch[column].cast(pa.float64()))


def decode(values: Sequence[str], codes: npt.NDArray[np.generic]) -> pa.Array:
    """Write each code, from 0 to 32,767, as the value at its place."""
    import pyarrow as pa

    return pa.array(values).take(pa.array(codes.astype(np.int16)))


def whole_numbers(values: Floats) -> pa.Array:
    """Write whole numbers as text without a decimal point."""
    import pyarrow as pa

    return pa.array(values.astype(np.int64)).cast(pa.string())


def money(units: Floats, units_in_one: int) -> pa.Array:
    """Write amounts without trailing zeros, as in 20, 42.3 and 56.95, of their smallest units."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ones, rest = np.divmod(units.astype(np.int64), units_in_one)
    decimals = tuple(f"{unit / units_in_one:g}".removeprefix("0") for unit in range(units_in_one))
    return pc.binary_join_element_wise(pa.array(ones).cast(pa.string()), decode(decimals, rest), "")


def draw_label(
    rng: np.random.Generator,
    batch: pa.RecordBatch,
    label: str,
    values: tuple[str, str],
    probability: Floats,
) -> pa.RecordBatch:
    """Fill the label's column: the second value with a probability, else the first."""
    place = batch.schema.get_field_index(label)
    codes = rng.random(batch.num_rows) < probability
    return batch.set_column(place, batch.schema.field(place), decode(values, codes))

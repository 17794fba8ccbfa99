"""Rows that are alike in all model inputs: whether more of them are than chance gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from churn_assets.types import Bools, Frame

    Hashes = NDArray[np.uint64]


MOST_ROWS = 100_000
"""Rows that are compared; of more a hash of the key draws so many."""
TOLERANCE = 1.5
"""How many times as many as chance gives are chance still, since what it gives is estimated."""
DEVIATIONS = 3.0
"""Standard deviations of a count that are chance still."""
_FOLLOWED_ROWS = 1000
_COMPARED_PARTS = 8
"""Those with the most near misses, which tell most of chance."""
_TIED = "__tied"


@dataclass(frozen=True)
class Repeats:
    """How many profiles stand on both sides of a split, and how many would by chance.

    Parameters
    ----------
    rows : int
        Rows that were compared.
    copies : int
        Rows that are alike in every column to one before them.
    on_both_sides : int
        Different rows that both sides have.
    by_chance : float
        How many of these chance gives.
    """

    rows: int
    copies: int
    on_both_sides: int
    by_chance: float

    @property
    def are_copies(self) -> bool:
        """Whether both sides have more of them than chance gives."""
        most = TOLERANCE * (self.by_chance + 1)
        return self.on_both_sides > most + DEVIATIONS * math.sqrt(most)


def repeats(
    rows: pl.DataFrame,
    is_trained: Bools,
    parts: Callable[[], Sequence[Sequence[str]]] | None = None,
) -> Repeats:
    """How many profiles stand on both sides of a split, beside what chance gives.

    Chance is told by near misses between the profiles of the two sides, which copies are none of.
    Take two parts of the columns, and the pairs that are alike outside them: some differ in the one
    part alone, some in the other alone, some in both. Were the parts independent there, the first
    two counts, multiplied, over the third are as many pairs as would be alike in both. A profile
    that very many rows have, such as that of customers of whom nothing is known, counts once.

    Parameters
    ----------
    rows : DataFrame
        The columns to compare; two nulls are alike.
    is_trained : array of shape (n_rows,)
        Which side each row is on.
    parts : callable, optional
        Gives columns that change together, asked where more profiles are on both sides than a few;
        by default each column changes by itself.

    References
    ----------
    Sekar and Deming (1949), "On a method of estimating birth and death rates and the extent of
    registration", JASA 44: how many two lists would share, from what each has alone.
    """
    if not rows.columns:
        return Repeats(len(is_trained), 0, 0, 0.0)
    hashes = {name: rows[name].hash(seed=seed).to_numpy() for seed, name in enumerate(rows.columns)}
    whole = _total(hashes.values(), rows.height)
    sides = [
        np.flatnonzero(side)[np.unique(whole[side], return_index=True)[1]]
        for side in (is_trained, ~is_trained)
    ]

    def alike_outside(part: Collection[str]) -> int:
        """Pairs of a profile of either side that are alike outside a part."""
        rest = whole - _total((hashes[name] for name in part), rows.height)
        return _pairs(*(rest[side] for side in sides))

    shared = alike_outside(())
    found = Repeats(rows.height, rows.height - len(np.unique(whole)), shared, 0.0)
    # So few are chance, whatever the near misses say.
    if not found.are_copies:
        return found

    def near_misses(part: Collection[str]) -> int:
        return alike_outside(part) - shared if part else 0

    misses = {
        frozenset(part): near_misses(part)
        for part in (parts() if parts else [[name] for name in rows.columns])
    }
    if len(misses) == 1:
        # Without a second part there is nothing to tell chance by.
        return replace(found, by_chance=float(shared))
    most = sorted(misses, key=lambda part: (-misses[part], sorted(part)))[:_COMPARED_PARTS]
    product, both = np.zeros((2, len(most), len(most)))
    for (i, one), (j, other) in combinations(enumerate(most), 2):
        common = near_misses(one & other)
        alone, other_alone = misses[one] - common, misses[other] - common
        product[i, j] = product[j, i] = alone * other_alone
        both[i, j] = both[j, i] = near_misses(one | other) - alone - other_alone - common
    by_part = product.sum(0) / (both.sum(0) + 1)
    # Of a part that changes with others, they tell too little; the median passes over it.
    informative = by_part[[misses[part] > 0 for part in most]]
    return replace(found, by_chance=float(np.median(informative)) if len(informative) else 0.0)


def parts_of(use_case: UseCase, silver: Frame, engine: Engine) -> list[list[str]]:
    """The model inputs that change with each column of silver.

    They are found by following `features`: each column in turn gets other rows' values.

    Parameters
    ----------
    use_case : UseCase
        Whose `features` apply.
    silver : frame
        Valid, typed, cleaned records.
    engine : Engine
        What draws some of them.
    """
    import narwhals.stable.v2 as nw

    drawn = sampled(silver, use_case, engine, share=1, most_rows=_FOLLOWED_ROWS)
    rows = in_memory(engine.collect(drawn.frame.sort(*use_case.row_keys)))

    def inputs(records: pl.DataFrame) -> pl.DataFrame:
        made = use_case.features(nw.from_native(records.lazy())).sort(*use_case.row_keys)
        table: pl.DataFrame = made.select(*use_case.inputs).to_native().collect()
        return table

    before, half = inputs(rows), rows.height // 2
    parts = []
    for name in rows.columns:
        if name in use_case.row_keys:
            continue
        values = rows[name]
        after = inputs(rows.with_columns(values[half:].append(values[:half])))
        parts.append([one for one in before.columns if not before[one].equals(after[one])])
    return [part for part in parts if part]


def untied(labelled: Frame, use_case: UseCase, details: Mapping[str, Any]) -> Frame:
    """Rows without those of test that are tied to a row which is trained on.

    A row is tied to those of its group, and where the table has copies to those that are alike in
    all model inputs. What became of either plays no part.

    Parameters
    ----------
    labelled : frame
        Features whose label is known.
    use_case : UseCase
        Names the inputs and the group.
    details : mapping
        What features keep with their commit.
    """
    import narwhals.stable.v2 as nw

    ties = ties_of(use_case, copies=has_copies(details))
    if not ties:
        return labelled
    marked = labelled.with_columns(_is_tied(use_case, ties).alias(_TIED))
    return marked.filter((nw.col("split") != "test") | ~nw.col(_TIED)).drop(_TIED)


def has_copies(details: Mapping[str, Any]) -> bool:
    """Whether more rows of features are alike than chance gives, by what their commit says."""
    return bool(details.get("copies", {}).get("beyond_chance"))


def ties_of(use_case: UseCase, *, copies: bool) -> list[tuple[str, ...]]:
    """Columns in which rows on either side of the split that are alike are tied to each other.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs and the group, which a hash keeps on one side.
    copies : bool
        Whether rows that are alike in all inputs are tied.
    """
    by_inputs = [use_case.inputs] if copies and use_case.inputs else []
    by_group = [use_case.together] if use_case.together and use_case.split_by else []
    return by_inputs + by_group


def tied_rows(
    labelled: Frame, use_case: UseCase, ties: Sequence[tuple[str, ...]], engine: Engine
) -> dict[str, int]:
    """How many rows of validation and of test are tied to a row that is trained on.

    Parameters
    ----------
    labelled : frame
        Features whose label is known.
    use_case : UseCase
        Whose features these are.
    ties : sequence of tuple of str
        As `ties_of` gives them.
    engine : Engine
        What counts.
    """
    import narwhals.stable.v2 as nw

    by_split: dict[str, int] = {}
    if ties:
        # Spark filters by no window, but by a column.
        marked = labelled.with_columns(_is_tied(use_case, ties).alias(_TIED))
        tied = marked.filter(nw.col(_TIED)).select("split")
        counts = tied.group_by("split").agg(nw.len().cast(nw.Int64).alias(_TIED))
        by_split = {row["split"]: row[_TIED] for row in engine.collect(counts).to_pylist()}
    return {split: by_split.get(split, 0) for split in ("validation", "test")}


def in_memory(table: pa.Table) -> pl.DataFrame:
    """Rows of this process, to be looked at from all sides."""
    import polars as pl

    return pl.DataFrame(pl.from_arrow(table))


def _is_tied(use_case: UseCase, ties: Sequence[tuple[str, ...]]) -> nw.Expr:
    """Whether a row that is held out is tied to one that is trained on."""
    import narwhals.stable.v2 as nw

    def tied_to(rows: nw.Expr) -> nw.Expr:
        of_each = []
        for columns in ties:
            is_alike = rows.cast(nw.Int64).max().over(*columns) == 1
            if columns == use_case.together:
                # Without a group a row stands alone.
                is_alike &= ~nw.any_horizontal(
                    *(nw.col(name).is_null() for name in columns), ignore_nulls=True
                )
            of_each.append(is_alike)
        return nw.any_horizontal(*of_each, ignore_nulls=True)

    split = nw.col("split")
    return (
        nw.when(split == "test")
        .then(tied_to(split != "test"))
        .when(split == "validation")
        .then(tied_to(split == "train"))
        .otherwise(nw.lit(False))
    )


def _total(hashes: Iterable[Hashes], rows: int) -> Hashes:
    """Sum of some columns' hashes, which tells rows apart as all these values do."""
    total = np.zeros(rows, dtype=np.uint64)
    for of_column in hashes:
        total += of_column
    return total


def _pairs(one: Hashes, other: Hashes) -> int:
    """How many pairs of one of either are alike."""
    values, counts = np.unique(one, return_counts=True)
    others, other_counts = np.unique(other, return_counts=True)
    _, of_one, of_other = np.intersect1d(values, others, assume_unique=True, return_indices=True)
    return int((counts[of_one] * other_counts[of_other]).sum())

"""Tables of Shapley values as arrays: kept in files, and looked up for one row at once."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.explaining.adding_up import summed
from churn_assets.learning.explaining.tree_shap import ZERO, Split, Table

if TYPE_CHECKING:
    from churn_assets.types import Floats, Indices

_MISSING = ("None", "Zero", "NaN")


def files_of(tables: Sequence[Table], name: str) -> dict[str, bytes]:
    """The files of the tables of a model's trees, all names of them beginning alike."""
    splits = [split for table in tables for split in table.splits]
    columns = [column for table in tables for column in table.shares]
    shares = [one for table in tables for one in table.shares.values()]
    arrays: dict[str, Any] = {
        "splits": np.array([len(table.splits) for table in tables], dtype=np.int32),
        "columns": np.array([split.column for split in splits], dtype=np.int32),
        "thresholds": np.array([split.threshold for split in splits]),
        "default_left": np.array([split.default_left for split in splits], dtype=bool),
        "missing": np.array([_MISSING.index(split.missing) for split in splits], dtype=np.int8),
        "sharers": np.array([len(table.shares) for table in tables], dtype=np.int32),
        "share_columns": np.array(columns, dtype=np.int32),
        "shares": np.concatenate(shares) if shares else np.zeros(0),
        "expected": np.array([table.expected for table in tables]),
    }
    return {f"{name}.{part}.npy": _npy(values) for part, values in arrays.items()}


def tables_in(files: Mapping[str, bytes], name: str) -> list[Table]:
    """The tables that `files_of` wrote."""

    def part(of: str) -> Any:
        return np.load(io.BytesIO(files[f"{name}.{of}.npy"]), allow_pickle=False)

    splits = [
        Split(column, threshold, default_left, _MISSING[missing])
        for column, threshold, default_left, missing in zip(
            *(part(of).tolist() for of in ("columns", "thresholds", "default_left", "missing")),
            strict=True,
        )
    ]
    columns, shares = part("share_columns").tolist(), part("shares")
    tables, place = [], 0
    for n_splits, n_columns, expected in zip(
        *(part(of).tolist() for of in ("splits", "sharers", "expected")), strict=True
    ):
        own, splits = tuple(splits[:n_splits]), splits[n_splits:]
        held, columns = columns[:n_columns], columns[n_columns:]
        size = 2**n_splits
        by_column = {
            column: shares[place + i * size : place + (i + 1) * size]
            for i, column in enumerate(held)
        }
        place += n_columns * size
        tables.append(Table(own, by_column, expected))
    return tables


class LookUp:
    """Finds for one row what `look_up` finds for many, bit for bit, in a few array operations.

    Parameters
    ----------
    tables : sequence of Table
        Of a model's trees.
    width : int
        How many columns a row has.
    """

    def __init__(self, tables: Sequence[Table], width: int) -> None:
        most = max((len(table.splits) for table in tables), default=0)
        sharers = max((len(table.shares) for table in tables), default=0)
        # What fills a tree up is a question that every row answers with no.
        shape, self._width = (most, len(tables)), width
        columns, thresholds = np.zeros(shape, dtype=np.intp), np.full(shape, -np.inf)
        default_left, missing = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.int8)
        share_columns = np.full((len(tables), sharers), width, dtype=np.intp)
        sizes = [2 ** len(table.splits) for table in tables]
        shares = np.zeros((sum(sizes), sharers))
        self._first: Indices = np.cumsum([0, *sizes[:-1]]).astype(np.intp)
        for i, table in enumerate(tables):
            for bit, split in enumerate(table.splits):
                columns[bit, i], thresholds[bit, i] = split.column, split.threshold
                default_left[bit, i] = split.default_left
                missing[bit, i] = _MISSING.index(split.missing)
            rows = slice(self._first[i], self._first[i] + sizes[i])
            for j, (column, values) in enumerate(table.shares.items()):
                share_columns[i, j], shares[rows, j] = column, values
        self._columns, self._thresholds = columns, thresholds
        self._default_left = default_left
        self._of_zero, self._of_nan = missing == 1, missing == 2  # noqa: PLR2004
        self._any_zero = bool(self._of_zero.any())
        self._bits = 2 ** np.arange(most, dtype=np.uint16)[:, None]
        self._share_columns, self._shares = share_columns.ravel(), shares

    def __call__(self, row: Floats, *, is_known: bool = False) -> Floats:
        """What each column of a row of shape (n_columns,) adds; one that is known has no NaN."""
        if is_known and not self._any_zero:
            left = row.take(self._columns) <= self._thresholds
        else:
            left = self._left(row, np.isnan(row))
        codes = np.add.reduce(left * self._bits, axis=0, dtype=np.uint16)
        added = self._shares.take(codes + self._first, axis=0).ravel()
        return summed(added, self._share_columns, self._width + 1)[: self._width]

    def _left(self, row: Floats, unknown: Any) -> Any:
        """Which way the row goes at each split, where something of it is missing."""
        values = np.where(unknown, 0.0, row)
        left = values.take(self._columns) <= self._thresholds
        is_missing = unknown.take(self._columns) & self._of_nan
        if self._any_zero:
            is_missing |= (np.abs(values) <= ZERO).take(self._columns) & self._of_zero
        return np.where(is_missing, self._default_left, left)


def _npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()

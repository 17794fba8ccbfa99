"""Rows of a small Arrow table, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Each row by name of column.

    By Polars, since pyarrow imports all of pandas to read a time with a zone.

    >>> import pyarrow as pa
    >>> rows_of(pa.table({"a": [1, None]}))
    [{'a': 1}, {'a': None}]
    """
    import polars as pl

    return pl.DataFrame(table).to_dicts()

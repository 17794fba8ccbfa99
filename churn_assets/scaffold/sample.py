"""The records that a new use case begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from churn_assets.errors import SourceError
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import LINE_FAULT
from churn_assets.tables.sources.columns import Expected
from churn_assets.tables.sources.open import open_source
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import Contract, delta_name

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 100_000
"""A share found in so many is right to a third of a percentage point, 19 times of 20, and three
hundred columns of them fit into memory."""


@dataclass(frozen=True)
class Sample:
    """Records of a source, all or a share of them.

    Parameters
    ----------
    records : DataFrame
        Each source column under its `delta_name`.
    sources : tuple of str
        The columns as the source calls them.
    rows : int
        How many records the source has.
    uri : str
        Where they come from, without credentials.
    short_lines : tuple of str
        Lines with fewer fields than the header: which, and how many fields. They are not among the
        records.
    """

    records: pl.DataFrame
    sources: tuple[str, ...]
    rows: int
    uri: str
    short_lines: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the source."""
        return self.rows == self.records.height


def draw(source: Source, settings: str, key: Sequence[str], most_rows: int = MOST_ROWS) -> Sample:
    """Draw records from a source, in one pass.

    Of more than `most_rows` a hash of the key draws so many: any record as likely as another, and
    records that share a key together, so that a key that repeats shows.

    Parameters
    ----------
    source : Source
        What is read.
    settings : str
        Prefix of the source's settings, for refusals.
    key : sequence of str
        Columns as the source calls them; by all columns where one is not among them.
    most_rows : int
        So many are drawn at most.

    Raises
    ------
    SourceError
        Where the source cannot be read.
    """
    import polars as pl

    expected = Expected(Contract(), settings)
    opened = open_source(source, expected)
    table = opened.records(PolarsEngine())
    columns = [delta_name(name) for name in table.sources]
    key_columns = [delta_name(name) for name in key if name in table.sources]
    whole = table.frame.to_native()
    is_short = pl.lit(value=False)
    if LINE_FAULT in whole.collect_schema():
        is_short = pl.col(LINE_FAULT).is_not_null()
    lazy = whole.filter(~is_short).select(*columns)
    with_place = lazy.with_columns(pl.struct(key_columns or columns).hash().alias(_PLACE))
    try:
        records, count, short = pl.collect_all(
            [
                with_place.bottom_k(most_rows, by=_PLACE),
                lazy.select(pl.len()),
                whole.filter(is_short),
            ],
            engine="streaming",
        )
    except Exception as error:
        refusal = opened.explain(error)
        if refusal is None:
            raise
        raise refusal from error
    lines = tuple(short[LINE_FAULT]) if LINE_FAULT in short else ()
    if lines and not count.item():
        raise SourceError(
            f"{table.uri}: every line has fewer fields than the header ({lines[0]}). Correct the "
            f"header, or set {settings}.short_lines to blank."
        )
    # In one order, whichever thread came first.
    records = records.sort(_PLACE, maintain_order=True).drop(_PLACE)
    return Sample(records, table.sources, count.item(), table.uri, lines)


_PLACE = "__place"

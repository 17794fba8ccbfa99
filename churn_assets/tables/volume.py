"""How much of what a table holds comes again before it is replaced: a cut file is not whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.written import WHITESPACE

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    from churn_assets.types import Frame

FEW = 30
"""Values of a column of which half are lost by chance in less than one of a hundred times."""
USUAL = 0.8
"""Share that comes again where little is known of how a table changes."""
LEAST_CHANGE = 0.05
"""Change of the number of records that is never unusual."""
DEVIATIONS = 4.0
"""From how many standard deviations of its earlier changes on a change is unusual."""
KNOWN_CHANGES = 3
"""Earlier changes from which the usual one is known."""
REMEMBERED = 10
"""Earlier versions whose number of records is kept with a table."""
MOST_NAMED = 3
"""Columns that a line names."""
_CAME = "__came"


class VolumeSettings(BaseModel):
    """How much of what a table holds must come again for it to be replaced.

    Each is a share in [0, 1]; 0 lets anything pass.

    Parameters
    ----------
    rows : float
        Records now, of those before.
    values : float
        Share of records with a value in a column, of that before; a column of which fewer than
        `FEW` values would have been expected is not looked at.
    keys : float
        Customers of before who are there now; 0 where each delivery is of other customers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: float = Field(default=0.5, ge=0, le=1)
    values: float = Field(default=0.5, ge=0, le=1)
    keys: float = Field(default=0.5, ge=0, le=1)

    @property
    def of_additions(self) -> VolumeSettings:
        """Of records that are added, so that nobody is lost by them."""
        return self.model_copy(update={"rows": 0.0, "keys": 0.0})


@dataclass(frozen=True)
class Volume:
    """Records that come, beside those that a table holds.

    Parameters
    ----------
    rows, rows_before : int
        Records that come, and those before, of each customer one.
    keys_before, keys_kept : int
        Customers before, and those of them who are there now.
    filled : mapping of str to tuple of float
        Share of records with a value now and before, of each column with enough of them.
    """

    rows: int
    rows_before: int
    keys_before: int
    keys_kept: int
    filled: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def losses(self, least: VolumeSettings) -> dict[str, str]:
        """What is lost beyond the limits, in words, by the setting that limits it.

        >>> Volume(300, 7043, 7043, 300).losses(VolumeSettings())
        {'rows': '300 records came, 4.3 % of the 7,043 before'}
        """
        losses: dict[str, str] = {}
        if self.rows < least.rows * self.rows_before:
            losses["rows"] = (
                f"{self.rows:,} records came, {_percent(self.rows / self.rows_before)} of the "
                f"{self.rows_before:,} before"
            )
        elif self.keys_kept < least.keys * self.keys_before:
            # Where records are missing, so are their customers.
            losses["keys"] = (
                f"{self.keys_kept:,} of the {self.keys_before:,} customers before came, "
                f"{_percent(self.keys_kept / self.keys_before)}"
            )
        emptier = [
            f"'{name}' in {_percent(now)} of the records, and in {_percent(before)} before"
            for name, (now, before) in self.filled.items()
            if now < least.values * before
        ]
        if emptier:
            more = f" and {len(emptier) - MOST_NAMED} more" if len(emptier) > MOST_NAMED else ""
            losses["values"] = f"there is a value of {', '.join(emptier[:MOST_NAMED])}{more}"
        return losses


def compare(
    now: Frame,
    before: Frame,
    engine: Engine,
    *,
    keys: Sequence[str],
    blank: Mapping[str, Sequence[str]],
) -> Volume:
    """Count what comes, and what of the records before comes again.

    Parameters
    ----------
    now, before : frame
        Records as they came, under their `delta_name`.
    engine : Engine
        What computes both.
    keys : sequence of str
        Columns that together name a customer.
    blank : mapping of str to sequence of str
        The columns whose values are counted, and what is written for a value that is not there.
    """
    import narwhals.stable.v2 as nw

    rows, filled = _filled(now, engine, blank)
    records, filled_before = _filled(before, engine, blank)
    held, come = (_keys(frame, keys) for frame in (before, now))
    came = come.with_columns(nw.lit(1).alias(_CAME))
    counts = engine.collect(
        held.join(came, on=list(keys), how="left").select(
            nw.len().cast(nw.Int64).alias("before"), nw.col(_CAME).sum().alias("kept")
        )
    ).to_pylist()[0]
    shares = {
        name: (filled[name] / rows, filled_before[name] / records)
        for name in blank
        if name in filled and name in filled_before and rows and records
    }
    return Volume(
        rows,
        # A table that keeps history has several records of a customer.
        min(records, counts["before"] or records),
        counts["before"],
        counts["kept"] or 0,
        {name: share for name, share in shares.items() if share[1] * rows >= FEW},
    )


def unusual(volume: Volume, least: VolumeSettings, rows_before: Sequence[int]) -> dict[str, str]:
    """What changed more than it does as a rule, in words; nothing of it keeps a table back.

    The number of records is compared with how it changed before, where that is known.

    Parameters
    ----------
    volume : Volume
        What came beside what was there.
    least : VolumeSettings
        What has no limit is not looked at.
    rows_before : sequence of int
        Records of the versions before, the oldest first.
    """
    rule = VolumeSettings(
        rows=USUAL if least.rows else 0.0,
        values=USUAL if least.values else 0.0,
        keys=USUAL if least.keys else 0.0,
    )
    changes = [
        math.log(later / earlier) for earlier, later in pairwise(rows_before) if earlier and later
    ]
    if not least.rows or len(changes) < KNOWN_CHANGES or not volume.rows:
        return volume.losses(rule)
    usual = math.sqrt(sum(change**2 for change in changes) / len(changes))
    change = math.log(volume.rows / rows_before[-1])
    words = volume.losses(rule.model_copy(update={"rows": 0.0}))
    if abs(change) > max(LEAST_CHANGE, DEVIATIONS * usual):
        words["rows"] = (
            f"{volume.rows:,} records after {rows_before[-1]:,}, and as a rule they change by "
            f"{_percent(usual)}"
        )
    return words


def _filled(
    frame: Frame, engine: Engine, blank: Mapping[str, Sequence[str]]
) -> tuple[int, dict[str, int]]:
    """How many records there are, and how many of them have a value in each column."""
    import narwhals.stable.v2 as nw

    schema = frame.collect_schema()
    there = {
        name: _has_value(name, schema[name], words).cast(nw.Int64).sum()
        for name, words in blank.items()
        if name in schema
    }
    counts: dict[str, Any] = engine.collect(
        frame.select(nw.len().cast(nw.Int64).alias(_CAME), **there)
    ).to_pylist()[0]
    rows = counts.pop(_CAME)
    return rows, {name: int(count or 0) for name, count in counts.items()}


def _has_value(name: str, dtype: nw.dtypes.DType, blank: Sequence[str]) -> nw.Expr:
    import narwhals.stable.v2 as nw

    value = nw.col(name)
    there = ~value.is_null()
    if dtype != nw.String:
        return there
    return there & ~value.str.strip_chars(WHITESPACE).is_in(["", *blank])


def _keys(frame: Frame, keys: Sequence[str]) -> Frame:
    """Each customer once, by a text, whatever type the source gave the key."""
    import narwhals.stable.v2 as nw

    texts = (nw.col(name).cast(nw.String).str.strip_chars(WHITESPACE) for name in keys)
    return frame.select(*texts).drop_nulls().unique()


def _percent(share: float) -> str:
    """A share for people, of which little is not nothing.

    >>> _percent(0.0426), _percent(1.0), _percent(0.00012)
    ('4.3 %', '100 %', '0.012 %')
    """
    percent = float(f"{100 * share:.2g}")
    return f"{percent:g} %"

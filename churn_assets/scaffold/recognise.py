"""Which type the values of each column are, by the contract's own reading of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from churn_assets.tables.contract import WHITESPACE, validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Column, Contract, DType

if TYPE_CHECKING:
    import polars as pl

MOST_UNREADABLE = 0.01
"""Share of the records, over all columns. A column is of a type where no more of its values are
none: these records become rejects, a fifth of those that a run may have by default."""
BLANK_WORDS = frozenset({
    "na", "n/a", "#n/a", "nan", "null", "(null)", "\\n", "none", "nil", "blank", "(blank)",
    "missing", "unknown", "undefined", "?", "-", "--", ".",
})  # fmt: skip
"""What people write where they have no number or no date, in lower case."""

_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y")
_TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S")
_DATE_LIKE = r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([ T][0-9:.]+)?$"
_CODE = r"^[+-]?0[0-9]"
"""A number does not begin with 0 and a digit; a code may."""
_DRESSED = r"[\s$€£¥%,']|USD|EUR|GBP"
"""What people write into numbers that they look at."""
_LOOKED_AT = 200


@dataclass(frozen=True)
class Recognised:
    """The type of a column.

    Parameters
    ----------
    dtype : DType, optional
        Of its values; None where a contract can hold none of them.
    formats : tuple of str
        How its dates are written.
    also : tuple of str
        Formats that read all of its dates as well, as other days.
    blanks : tuple of str
        What is written for a blank.
    unreadable : int
        Records whose value is none of the type; of text, none of the numbers or dates that most
        of its values are.
    example : str
        The most frequent of those values; of text whose values are numbers written for people,
        such a one with 9 for each digit.
    digits : bool
        Whether its texts are codes: made of digits and no numbers.
    """

    dtype: DType | None
    formats: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    unreadable: int = 0
    example: str = ""
    digits: bool = False


def recognise(records: pl.DataFrame, texts: Iterable[str]) -> dict[str, Recognised]:
    """Recognise the type of each column.

    Parameters
    ----------
    records : DataFrame
        Source columns, text or typed.
    texts : iterable of str
        Those that are text whatever they hold, such as keys.
    """
    import polars as pl

    schema, always = records.schema, set(texts)
    found: dict[str, Recognised] = {}
    open_: list[str] = []
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time):
            found[name] = Recognised(None)
        elif name in always:
            found[name] = Recognised(DType.STRING)
        elif dtype.is_temporal():
            found[name] = Recognised(DType.DATE)
        elif dtype == pl.Boolean or dtype.is_integer():
            found[name] = Recognised(DType.INT64)
        else:
            open_.append(name)
    looked = _Looked(records.select(open_))
    found |= looked.numbers()
    found |= looked.dates([name for name in open_ if name not in found])
    found |= {name: looked.text(name) for name in open_ if name not in found}
    return _within_bounds({name: found[name] for name in schema}, looked.most_unreadable)


def _within_bounds(found: Mapping[str, Recognised], most: float) -> dict[str, Recognised]:
    """Types as they were found, but texts where so many records together could not be read."""
    spent, kept = 0, dict(found)
    typed = [name for name, kind in found.items() if kind.dtype is not DType.STRING]
    for name in sorted(typed, key=lambda name: found[name].unreadable):
        spent += found[name].unreadable
        if found[name].unreadable and spent > most:
            kept[name] = replace(found[name], dtype=DType.STRING, formats=(), also=(), blanks=())
    return kept


class _Looked:
    """Columns of text and of numbers that may be whole, and what they are tried for."""

    def __init__(self, records: pl.DataFrame) -> None:
        import polars as pl

        is_text = [name for name, dtype in records.schema.items() if dtype == pl.String]
        stripped = records.with_columns(pl.col(is_text).str.strip_chars(WHITESPACE))
        self.texts = stripped.select(
            pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in is_text
        )
        is_blank = {
            name: pl.col(name).str.to_lowercase().is_in(list(BLANK_WORDS)) for name in is_text
        }
        self.blanks = {
            name: tuple(sorted(self.texts.filter(blank)[name].unique()))
            for name, blank in is_blank.items()
        }
        given = self.texts.with_columns(
            pl.when(~blank).then(pl.col(name)).alias(name) for name, blank in is_blank.items()
        )
        self.given = records.with_columns(given.get_columns())
        self.filled = {name: self.given[name].count() for name in self.given.columns}
        self.most_unreadable = MOST_UNREADABLE * records.height

    def misfits(self, columns: Sequence[Column]) -> dict[str, int]:
        """How many values of each column are none of the type that it is tried for."""
        import narwhals.stable.v2 as nw

        if not columns:
            return {}
        frame = nw.from_native(self.given.select(column.name for column in columns).lazy())
        broken = validate(frame, Contract(*columns), PolarsEngine()).broken
        # Each column has the one rule that its values are of its type.
        counts = {rule.rpartition(": ")[0]: count for rule, count in broken.items()}
        return {column.name: counts.get(column.name, 0) for column in columns}

    def numbers(self) -> dict[str, Recognised]:
        """The columns of numbers, and those of codes that look like some."""
        names = [name for name in self.given.columns if self.filled[name]]
        whole = self.misfits([Column(name, DType.INT64, nullable=True) for name in names])
        some = self.misfits([Column(name, DType.FLOAT64, nullable=True) for name in names])
        found = {}
        for name in names:
            if some[name] > min(self.most_unreadable, self.filled[name] / 2):
                continue
            if name in self.texts.columns and self._is_code(name, whole[name], some[name]):
                found[name] = Recognised(DType.STRING, digits=True)
                continue
            found[name] = Recognised(
                DType.INT64 if whole[name] == some[name] else DType.FLOAT64,
                blanks=self.blanks.get(name, ()),
                unreadable=some[name],
                example=self._no_number(name) if some[name] else "",
            )
        return found

    def dates(self, names: Sequence[str]) -> dict[str, Recognised]:
        """The columns of dates among some of text."""
        import polars as pl

        like: list[str] = []
        for name in names:
            some = self.given[name].drop_nulls().head(_LOOKED_AT) if self.filled[name] else None
            if some is not None and some.dtype == pl.String:
                like += [name] if some.str.contains(_DATE_LIKE).mean() > 1 / 2 else []  # type: ignore[operator]
        timed = [name for name in like if self.given[name].str.contains(":").any()]
        tried: dict[str, dict[str, int]] = {name: {} for name in like}
        for written in (day + time for day in _DATES for time in _TIMES):
            wanted = timed if ":" in written else like
            for name, count in self.misfits([_dated(name, [written]) for name in wanted]).items():
                tried[name][written] = count
        found = {name: self._date(name, counts) for name, counts in tried.items()}
        return {name: date for name, date in found.items() if date is not None}

    def _date(self, name: str, misfits: Mapping[str, int]) -> Recognised | None:
        """A column of dates, in one format or in several that no text has in common."""
        best = min(misfits, key=misfits.__getitem__)
        chosen, left = [best], misfits[best]
        also = [f for f in misfits if f != best and _shape(f) == _shape(best)]
        while left:
            shapes = {_shape(written) for written in chosen}
            others = {
                written: self.misfits([_dated(name, [*chosen, written])])[name]
                for written in misfits
                if _shape(written) not in shapes
            }
            better = min(others, key=others.__getitem__, default=None)
            if better is None or others[better] >= left:
                break
            chosen, left = [*chosen, better], others[better]
        if left > min(self.most_unreadable, self.filled[name] / 2):
            return None
        return Recognised(
            DType.DATE,
            formats=tuple(chosen),
            also=tuple(written for written in also if misfits[written] == misfits[best]),
            blanks=self.blanks[name],
            unreadable=left,
            example=self._no_date(name, chosen) if left else "",
        )

    def text(self, name: str) -> Recognised:
        """A column of text, and what is to be known of it if most of its values are numbers."""
        import polars as pl

        texts = self.given[name].drop_nulls()
        if texts.dtype != pl.String:
            # Numbers too many of which are none, such as infinities.
            return Recognised(DType.FLOAT64)
        plain = texts.str.replace_all(_DRESSED, "").cast(pl.Float64, strict=False)
        is_number = plain.is_not_null() & texts.str.contains("[0-9]")
        others = int((~is_number).sum())
        if others > len(texts) / 2 or not len(texts):
            return Recognised(DType.STRING)
        if others > MOST_UNREADABLE * len(texts):
            example = _most_frequent(texts.filter(~is_number))
            return Recognised(DType.STRING, unreadable=others, example=example)
        shapes = texts.filter(is_number).str.replace_all("[0-9]", "9")
        return Recognised(DType.STRING, example=_most_frequent(shapes))

    def _is_code(self, name: str, whole: int, some: int) -> bool:
        texts = self.given[name]
        beyond_64_bits = whole > some and not texts.str.contains("[.eE]").any()
        return bool(texts.str.contains(_CODE).any()) or beyond_64_bits

    def _no_number(self, name: str) -> str:
        import polars as pl

        values = self.given[name]
        if values.dtype != pl.String:
            return "NaN"
        return _most_frequent(values.filter(values.cast(pl.Float64, strict=False).is_null()))

    def _no_date(self, name: str, formats: Sequence[str]) -> str:
        values = self.given[name]
        for written in formats:
            values = values.filter(values.str.to_date(written, strict=False).is_null())
        return _most_frequent(values)


def _most_frequent(values: pl.Series) -> str:
    some = values.drop_nulls()
    return str(some.mode().sort().first()) if len(some) else ""


def _dated(name: str, formats: Sequence[str]) -> Column:
    return Column(name, DType.DATE, nullable=True, formats=tuple(formats))


def _shape(written: str) -> str:
    """A format without which of its numbers is the month."""
    return written.replace("%m", "%d")

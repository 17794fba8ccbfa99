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
"""Share of the records, over all columns. A column is of a type where no larger share of its values
is not: these records become rejects, a fifth of those that a run may have by default."""
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
_DECORATION = r"[\s$€£¥%,']|USD|EUR|GBP"
"""What people write into numbers that they look at."""
_PROBED_VALUES = 200


@dataclass(frozen=True)
class ColumnType:
    """The type of a column.

    Parameters
    ----------
    dtype : DType, optional
        Of its values; None where a contract can hold none of them.
    formats : tuple of str
        How its dates are written.
    other_formats : tuple of str
        Formats that read all of its dates as well, as other days.
    blanks : tuple of str
        What is written for a blank.
    unreadable : int
        Records whose value is not of the type; of text, not of the numbers or dates that most
        of its values are.
    example : str
        The most frequent of those values; of text whose values are numbers written for people,
        such a one with 9 for each digit.
    digits : bool
        Whether its texts are codes: made of digits and not numbers.
    """

    dtype: DType | None
    formats: tuple[str, ...] = ()
    other_formats: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    unreadable: int = 0
    example: str = ""
    digits: bool = False


def recognise(records: pl.DataFrame, texts: Iterable[str]) -> dict[str, ColumnType]:
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
    types: dict[str, ColumnType] = {}
    undecided: list[str] = []
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration, pl.Time):
            types[name] = ColumnType(None)
        elif name in always:
            types[name] = ColumnType(DType.STRING)
        elif dtype.is_temporal():
            types[name] = ColumnType(DType.DATE)
        elif dtype == pl.Boolean or dtype.is_integer():
            types[name] = ColumnType(DType.INT64)
        else:
            undecided.append(name)
    columns = _Columns(records.select(undecided))
    types |= columns.numbers()
    types |= columns.dates([name for name in undecided if name not in types])
    types |= {name: columns.text(name) for name in undecided if name not in types}
    return _within_bounds({name: types[name] for name in schema}, columns.most_unreadable)


def _within_bounds(types: Mapping[str, ColumnType], most: float) -> dict[str, ColumnType]:
    """The types, but texts where so many records together could not be read."""
    total, result = 0, dict(types)
    no_texts = [name for name, kind in types.items() if kind.dtype is not DType.STRING]
    for name in sorted(no_texts, key=lambda name: types[name].unreadable):
        total += types[name].unreadable
        if types[name].unreadable and total > most:
            result[name] = replace(
                types[name], dtype=DType.STRING, formats=(), other_formats=(), blanks=()
            )
    return result


class _Columns:
    """Columns of text and of numbers that may be whole, tried for each type."""

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
        present = self.texts.with_columns(
            pl.when(~blank).then(pl.col(name)).alias(name) for name, blank in is_blank.items()
        )
        self.values = records.with_columns(present.get_columns())
        """The values, null where there is none or a word for it."""
        self.counts = {name: self.values[name].count() for name in self.values.columns}
        self.most_unreadable = MOST_UNREADABLE * records.height

    def misfits(self, columns: Sequence[Column]) -> dict[str, int]:
        """How many values of each column are not of the type that it is tried for."""
        import narwhals.stable.v2 as nw

        if not columns:
            return {}
        frame = nw.from_native(self.values.select(column.name for column in columns).lazy())
        broken = validate(frame, Contract(*columns), PolarsEngine()).broken
        # Each column has the one rule that its values are of its type.
        counts = {rule.rpartition(": ")[0]: count for rule, count in broken.items()}
        return {column.name: counts.get(column.name, 0) for column in columns}

    def numbers(self) -> dict[str, ColumnType]:
        """The columns of numbers, and those of codes that look like some."""
        names = [name for name in self.values.columns if self.counts[name]]
        whole = self.misfits([Column(name, DType.INT64, nullable=True) for name in names])
        some = self.misfits([Column(name, DType.FLOAT64, nullable=True) for name in names])
        types = {}
        for name in names:
            if some[name] > min(self.most_unreadable, self.counts[name] / 2):
                continue
            if name in self.texts.columns and self._is_code(name, whole[name], some[name]):
                types[name] = ColumnType(DType.STRING, digits=True)
                continue
            types[name] = ColumnType(
                DType.INT64 if whole[name] == some[name] else DType.FLOAT64,
                blanks=self.blanks.get(name, ()),
                unreadable=some[name],
                example=self._not_number(name) if some[name] else "",
            )
        return types

    def dates(self, names: Sequence[str]) -> dict[str, ColumnType]:
        """The columns of dates among some of text."""
        import polars as pl

        like: list[str] = []
        for name in names:
            some = (
                self.values[name].drop_nulls().head(_PROBED_VALUES) if self.counts[name] else None
            )
            if some is not None and some.dtype == pl.String:
                like += [name] if some.str.contains(_DATE_LIKE).mean() > 1 / 2 else []  # type: ignore[operator]
        timed = [name for name in like if self.values[name].str.contains(":").any()]
        misfits: dict[str, dict[str, int]] = {name: {} for name in like}
        for format_ in (day + time for day in _DATES for time in _TIMES):
            columns = [
                _date_column(name, [format_]) for name in (timed if ":" in format_ else like)
            ]
            for name, count in self.misfits(columns).items():
                misfits[name][format_] = count
        types = {name: self._date(name, counts) for name, counts in misfits.items()}
        return {name: date for name, date in types.items() if date is not None}

    def _date(self, name: str, misfits: Mapping[str, int]) -> ColumnType | None:
        """A column of dates, in one format or in several that no text has in common."""
        best = min(misfits, key=misfits.__getitem__)
        formats, unreadable = [best], misfits[best]
        alike = [f for f in misfits if f != best and _shape(f) == _shape(best)]
        while unreadable:
            shapes = {_shape(format_) for format_ in formats}
            others = {
                format_: self.misfits([_date_column(name, [*formats, format_])])[name]
                for format_ in misfits
                if _shape(format_) not in shapes
            }
            better = min(others, key=others.__getitem__, default=None)
            if better is None or others[better] >= unreadable:
                break
            formats, unreadable = [*formats, better], others[better]
        if unreadable > min(self.most_unreadable, self.counts[name] / 2):
            return None
        return ColumnType(
            DType.DATE,
            formats=tuple(formats),
            other_formats=tuple(format_ for format_ in alike if misfits[format_] == misfits[best]),
            blanks=self.blanks[name],
            unreadable=unreadable,
            example=self._not_date(name, formats) if unreadable else "",
        )

    def text(self, name: str) -> ColumnType:
        """A column of text, and more of it if most of its values are numbers."""
        import polars as pl

        texts = self.values[name].drop_nulls()
        if texts.dtype != pl.String:
            # Numbers too many of which are none, such as infinities.
            return ColumnType(DType.FLOAT64)
        plain = texts.str.replace_all(_DECORATION, "").cast(pl.Float64, strict=False)
        is_number = plain.is_not_null() & texts.str.contains("[0-9]")
        others = int((~is_number).sum())
        if others > len(texts) / 2 or not len(texts):
            return ColumnType(DType.STRING)
        if others > MOST_UNREADABLE * len(texts):
            example = _most_frequent(texts.filter(~is_number))
            return ColumnType(DType.STRING, unreadable=others, example=example)
        shapes = texts.filter(is_number).str.replace_all("[0-9]", "9")
        return ColumnType(DType.STRING, example=_most_frequent(shapes))

    def _is_code(self, name: str, whole: int, some: int) -> bool:
        texts = self.values[name]
        beyond_64_bits = whole > some and not texts.str.contains("[.eE]").any()
        return bool(texts.str.contains(_CODE).any()) or beyond_64_bits

    def _not_number(self, name: str) -> str:
        import polars as pl

        values = self.values[name]
        if values.dtype != pl.String:
            return "NaN"
        return _most_frequent(values.filter(values.cast(pl.Float64, strict=False).is_null()))

    def _not_date(self, name: str, formats: Sequence[str]) -> str:
        values = self.values[name]
        for format_ in formats:
            values = values.filter(values.str.to_date(format_, strict=False).is_null())
        return _most_frequent(values)


def _most_frequent(values: pl.Series) -> str:
    some = values.drop_nulls()
    return str(some.mode().sort().first()) if len(some) else ""


def _date_column(name: str, formats: Sequence[str]) -> Column:
    return Column(name, DType.DATE, nullable=True, formats=tuple(formats))


def _shape(format_: str) -> str:
    """A format without which of its numbers is the month."""
    return format_.replace("%m", "%d")

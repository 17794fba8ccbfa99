"""Which type the values of each column are, by the contract's own reading of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from churn_assets.scaffold.number_styles import (
    PLAIN,
    NumberStyle,
    Signs,
    is_like_numbers,
    marks_of,
    rivals,
    styles_of,
)
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.written import MINUS, WHITESPACE, pattern
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

_DAYS = (
    "%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y",
    "%Y.%m.%d", "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%d-%b-%Y",
    "%d %b %Y", "%d. %b %Y", "%d/%b/%Y", "%d.%b.%Y", "%d-%b-%y", "%d %b %y", "%b %d, %Y",
    "%b %d %Y", "%b-%d-%Y", "%Y-%b-%d", "%Y %b %d",
)  # fmt: skip
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%I:%M:%S%p", "%I:%M%p")
_TIMES = (
    "",
    *(f"{before}{clock}{zone}" for before in (" ", "T", ", ") for clock in _CLOCKS
      for zone in ("", "%z", " %z")),
)  # fmt: skip
FORMATS = tuple(day + time for day in _DAYS for time in _TIMES)
_DATE_LIKE = re.compile("(?=.*9)(?=.*[-/. ])[9A-Za-z][-+9A-Za-z/.:, ]{5,39}")
_POWER, _POWER_OR_WHOLE = "^[0-9]+[eE][0-9]+$", "^[0-9]+([eE][0-9]+)?$"
"""A number would have a point, or a sign in its exponent."""
_CALLED = "^[+][1-9][0-9 ]{6,}$"
"""A phone number with the code of its country."""
PHONE_DIGITS, FEWEST_CODES = 7, 20
"""Numbers in groups, all of so many digits or more: written so, amounts differ in length."""
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
    style : NumberStyle
        How its numbers are written.
    unsettled : str
        The mark of its texts that stands before decimals or between thousands: nothing tells.
    """

    dtype: DType | None
    formats: tuple[str, ...] = ()
    other_formats: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()
    unreadable: int = 0
    example: str = ""
    digits: bool = False
    style: NumberStyle = PLAIN
    unsettled: str = ""


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
                types[name],
                dtype=DType.STRING,
                formats=(),
                other_formats=(),
                blanks=(),
                style=PLAIN,
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
        styles, unsettled = self._styles(names)
        whole = self.misfits([style.column(name, DType.INT64) for name, style in styles.items()])
        some = self.misfits([style.column(name, DType.FLOAT64) for name, style in styles.items()])
        types = {}
        for name, style in styles.items():
            if some[name] > min(self.most_unreadable, self.counts[name] / 2):
                continue
            if name in self.texts.columns:
                example = self._code(name, style, whole[name], some[name])
                if example:
                    types[name] = ColumnType(DType.STRING, digits=True, example=example)
                    continue
            if name in unsettled:
                example = _most_frequent(
                    self.values[name]
                    .filter(self.values[name].str.contains("[.,]"))
                    .str.replace_all("[0-9]", "9")
                )
                types[name] = ColumnType(DType.STRING, example=example, unsettled=unsettled[name])
                continue
            types[name] = ColumnType(
                DType.INT64 if whole[name] == some[name] else DType.FLOAT64,
                blanks=self.blanks.get(name, ()),
                unreadable=some[name],
                example=self._not_number(name, style) if some[name] else "",
                style=style,
            )
        return types

    def _styles(self, names: Sequence[str]) -> tuple[dict[str, NumberStyle], dict[str, str]]:
        """How each column's numbers are written, and the mark of those which leave that open."""
        tried: dict[str, list[NumberStyle]] = {}
        for name in names:
            is_text = name in self.texts.columns
            if is_text and not is_like_numbers(self.values[name]):
                continue
            texts = self.values[name].drop_nulls()
            tried[name] = styles_of(texts) if is_text else [PLAIN]
        misfits: dict[str, dict[NumberStyle, int]] = {name: {} for name in tried}
        while any(len(misfits[name]) < len(styles) for name, styles in tried.items()):
            more = {
                name: styles[len(misfits[name])]
                for name, styles in tried.items()
                if len(misfits[name]) < len(styles)
            }
            columns = [style.column(name, DType.FLOAT64) for name, style in more.items()]
            found = self.misfits(columns)
            for name, style in more.items():
                misfits[name][style] = found[name]
        best = {
            name: [style for style in styles if styles[style] == min(styles.values())]
            for name, styles in misfits.items()
            if styles
        }
        open_ = {name: next(rivals(styles), None) for name, styles in best.items()}
        settled = {
            name: (styles[0], self.values[name].drop_nulls())
            for name, styles in best.items()
            if open_[name] is None
            and name in self.texts.columns
            and misfits[name][styles[0]] <= self.most_unreadable
        }
        decimals, thousands = marks_of(settled)
        chosen, unsettled = {name: styles[0] for name, styles in best.items()}, {}
        for name, rival in open_.items():
            if rival is None:
                continue
            mark, as_decimal, as_thousands = rival
            signs = Signs.of(self.values[name].drop_nulls(), mark)
            is_thousands = signs.is_thousands(decimals, thousands)
            chosen[name] = as_thousands if is_thousands else as_decimal
            if is_thousands is None:
                unsettled[name] = mark
        return chosen, unsettled

    def dates(self, names: Sequence[str]) -> dict[str, ColumnType]:
        """The columns of dates among some of text."""
        import polars as pl

        misfits: dict[str, dict[str, int]] = {}
        for name in names:
            if self.counts[name] and self.values[name].dtype == pl.String:
                formats = _like(self.values[name].drop_nulls().head(_PROBED_VALUES).to_list())
                if formats:
                    misfits[name] = {
                        format_: self.misfits([_date_column(name, [format_])])[name]
                        for format_ in formats
                    }
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
        plain = texts.str.replace_all(_DECORATION, "")
        for sign, minus in MINUS.values():
            plain = plain.str.replace_all(sign, minus)
        is_number = plain.cast(pl.Float64, strict=False).is_not_null() & texts.str.contains("[0-9]")
        others = int((~is_number).sum())
        if others > len(texts) / 2 or not len(texts):
            return ColumnType(DType.STRING)
        if others > MOST_UNREADABLE * len(texts):
            example = _most_frequent(texts.filter(~is_number))
            return ColumnType(DType.STRING, unreadable=others, example=example)
        shapes = texts.filter(is_number).str.replace_all("[0-9]", "9")
        return ColumnType(DType.STRING, example=_most_frequent(shapes))

    def _code(self, name: str, style: NumberStyle, whole: int, some: int) -> str:
        """A shape of texts that are digits and not numbers; empty where they are numbers."""
        texts = self.values[name].drop_nulls()
        shapes = texts.str.replace_all("[0-9]", "9")
        if texts.str.contains(_CODE).any():
            return _most_frequent(texts.filter(texts.str.contains(_CODE)))
        if whole > some and not texts.str.contains("[.,eE]").any():
            return _most_frequent(shapes)
        is_power = texts.str.contains(_POWER)
        if is_power.any() and texts.str.contains(_POWER_OR_WHOLE).all():
            return _most_frequent(texts.filter(is_power))
        is_called = texts.str.contains(_CALLED)
        digits = texts.str.replace_all("[^0-9]", "").str.len_chars()
        is_one_length = digits.min() == digits.max() and digits.min() >= PHONE_DIGITS  # type: ignore[operator]
        if is_called.all() or (style.thousands and is_one_length and len(texts) >= FEWEST_CODES):
            return _most_frequent(shapes)
        return ""

    def _not_number(self, name: str, style: NumberStyle) -> str:
        import polars as pl

        if self.values[name].dtype != pl.String:
            return "NaN"
        return self._not_read(style.column(name, DType.FLOAT64))

    def _not_date(self, name: str, formats: Sequence[str]) -> str:
        return self._not_read(_date_column(name, formats))

    def _not_read(self, column: Column) -> str:
        """The most frequent value that a column does not read."""
        import narwhals.stable.v2 as nw

        frame = nw.from_native(self.values.select(column.name).lazy())
        rejects = validate(frame, Contract(column), PolarsEngine()).rejects
        values: pl.DataFrame = rejects.to_native().collect()
        return _most_frequent(values[column.name])


def _like(values: Sequence[str]) -> list[str]:
    """The formats that values look as if they were dates of; none where few of them do."""
    shapes = Counter(re.sub("[0-9]", "9", value) for value in values)
    possible = [shape for shape in shapes if _DATE_LIKE.fullmatch(shape)]
    found: dict[str, None] = {}
    read = 0
    for shape in possible:
        fitting = [format_ for format_ in FORMATS if _shape_of(format_).fullmatch(shape)]
        found |= dict.fromkeys(fitting)
        read += shapes[shape] if fitting else 0
    # In the order of the formats, of which the first of several that fit is taken.
    return [format_ for format_ in FORMATS if format_ in found] if read > len(values) / 2 else []


@cache
def _shape_of(format_: str) -> re.Pattern[str]:
    """What texts of a format look like where each digit is a 9, whatever the numbers are."""
    any_numbers = format_.replace("%m", "%H").replace("%d", "%H").replace("%I", "%H")
    return re.compile(pattern(any_numbers))


def _most_frequent(values: pl.Series) -> str:
    some = values.drop_nulls()
    return str(some.mode().sort().first()) if len(some) else ""


def _date_column(name: str, formats: Sequence[str]) -> Column:
    return Column(name, DType.DATE, nullable=True, formats=tuple(formats))


def _shape(format_: str) -> str:
    """A format without which of its numbers is the month."""
    return format_.replace("%m", "%d")

"""How the numbers of text columns are written: decimal marks, thousands marks, and minus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from churn_assets.tables.written import DASH, MINUS, THOUSANDS
from churn_assets.usecases.spec import Column, DType

if TYPE_CHECKING:
    import polars as pl

FEWEST_TO_SETTLE = 50
"""Numbers whose last digits would be cut where they are 0: that of so many none ends earlier than
three digits after the mark happens by chance once in two hundred times."""
OTHER = {".": ",", ",": "."}
DECIMALS: tuple[Literal[".", ","], ...] = (".", ",")
_NUMBER = (
    rf"^[-+(]?{DASH}?[ ]?[0-9.,][0-9.,' _\u00a0\u2007\u2009\u202f\u2019]*([eE][-+]?[0-9]+)?"
    rf"[ ]?(-|{DASH}|\))?$"
)
_ANY_MINUS = {
    "dash": DASH,
    "behind": rf"[0-9.,] ?(-|{DASH})$",
    "brackets": MINUS["brackets"][0].replace(r"\z", "$"),
}
_PROBED_VALUES = 200


@dataclass(frozen=True)
class NumberStyle:
    """How a column's numbers are written, as `Column` has it."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "_"] = ""
    minus: tuple[Literal["behind", "brackets", "dash"], ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """What a `Column` is told of it."""
        return {"decimal": self.decimal, "thousands": self.thousands, "minus": self.minus}

    def column(self, name: str, dtype: DType) -> Column:
        """A column that is tried for it."""
        return Column(name, dtype, nullable=True, **self.arguments)


PLAIN = NumberStyle()


def is_like_numbers(texts: pl.Series) -> bool:
    """Whether most of some values look like numbers, however they are written."""
    some = texts.drop_nulls().head(_PROBED_VALUES)
    like = some.str.contains(_NUMBER) & some.str.contains("[0-9]")
    return bool(len(some)) and float(like.mean() or 0.0) > 1 / 2  # type: ignore[arg-type]


def styles_of(texts: pl.Series) -> list[NumberStyle]:
    """The styles that a column's numbers may be written in by the signs that occur, plain first."""
    numbers = texts.filter(texts.str.contains(_NUMBER))
    minus: Any = tuple(
        sorted(style for style, sign in _ANY_MINUS.items() if numbers.str.contains(sign).any())
    )
    marks: list[Any] = [
        mark for mark, like in THOUSANDS.items() if numbers.str.contains(like).any()
    ]
    return [
        NumberStyle(decimal, thousands, minus)
        for decimal in DECIMALS
        for thousands in ("", *marks)
        # A decimal comma is no news where there is neither comma nor point between thousands.
        if thousands != decimal and (decimal == "." or "," in marks or thousands == ".")
    ]


@dataclass(frozen=True)
class Signs:
    """What a column's values show of one mark that may be a decimal or a thousands mark.

    Parameters
    ----------
    mark : {".", ","}
        The sign.
    marked : int
        Values that have it.
    has_short : bool
        Whether there are values without it, all below 1,000.
    has_long : bool
        Whether a value without it is 1,000 or more.
    has_cut : bool
        Whether one that has it ends in 0.
    """

    mark: str
    marked: int
    has_short: bool
    has_long: bool
    has_cut: bool

    @classmethod
    def of(cls, texts: pl.Series, mark: str) -> Signs:
        """Of a column in which the mark stands before three digits wherever it stands."""
        has = texts.str.contains(mark, literal=True)
        marked, others = texts.filter(has), texts.filter(~has)
        has_long = bool(others.str.contains("[0-9]{4}").any())
        return cls(
            mark,
            len(marked),
            len(others) > 0 and not has_long,
            has_long,
            bool(marked.str.contains(r"0\D*$").any()),
        )

    def is_thousands(self, decimals: set[str], thousands: set[str]) -> bool | None:
        """Whether it stands between thousands; None where nothing tells.

        Parameters
        ----------
        decimals, thousands : set of str
            The decimal and the thousands marks of the file's other columns.
        """
        other = OTHER[self.mark]
        for_thousands = other in decimals or self.mark in thousands
        for_decimals = self.mark in decimals or other in thousands
        if for_thousands and for_decimals:
            return None
        if self.has_short:
            # Decimals would be cut everywhere or nowhere.
            is_shown = self.has_cut or self.marked >= FEWEST_TO_SETTLE
            return True if for_thousands or (is_shown and not for_decimals) else None
        return for_thousands if for_thousands or for_decimals else None


def marks_of(styles: Mapping[str, tuple[NumberStyle, pl.Series]]) -> tuple[set[str], set[str]]:
    """The decimal and the thousands marks of columns whose style is settled."""
    decimals: set[str] = {
        style.decimal
        for style, texts in styles.values()
        if texts.str.contains(style.decimal, literal=True).any()
    }
    thousands: set[str] = {
        style.thousands for style, _ in styles.values() if style.thousands in OTHER
    }
    return decimals, thousands


def rivals(styles: Sequence[NumberStyle]) -> Iterator[tuple[str, NumberStyle, NumberStyle]]:
    """Of styles that read equally many values, each pair that reads one mark in two ways."""
    for decimal in styles:
        for thousands in styles:
            if decimal.decimal == thousands.thousands:
                yield decimal.decimal, decimal, thousands

"""Numbers and dates as people and programs write them, in the one way that every engine reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from churn_assets.usecases.spec import Column, DType

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    Expr = nw.Expr

# Spelled out, because engines differ in what they take for white space.
WHITESPACE = " \t\n\r\f\v\u00a0\u2007\u202f\ufeff"
_WHOLE = r"^[+-]?[0-9]+(\.0+)?\z"
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
_GROUPED = r"^[+-]?[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+(?:{decimal}[0-9]*)?\z"
THOUSANDS = {
    ".": r"\.",
    ",": ",",
    " ": "[ \u00a0\u2007\u2009\u202f]",
    "'": "['\u2019]",
    "_": "_",
}
"""What stands between groups of three digits, as a pattern: one sign stands for all of its kind."""
DASH = "[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]"
MINUS = {
    "dash": (rf"^{DASH}|{DASH}\z", "-"),
    "behind": (r"^([0-9.,][^-+()]*?)[ \u00a0]*-\z", "-$1"),
    "brackets": (r"^\([ ]*([0-9.,][^-+()]*?)[ ]*\)\z", "-$1"),
}
"""How a number below 0 is written beside -1, as a pattern and what it stands for, in this order."""
_MONTHS = (
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
)  # fmt: skip
_MONTH_NAMES = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    "|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_TOKENS = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "0?[1-9]|1[0-2]",
    "%b": rf"(?i:{_MONTH_NAMES})\.?",
    "%d": "0?[1-9]|[12][0-9]|3[01]",
    "%H": "[0-9]{1,2}",
    "%I": "0?[1-9]|1[0-2]",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}(?:[.,][0-9]+)?",
    "%p": r"(?i:[ap]\.?m\.?)",
    "%z": "(?i:Z|UTC|GMT)|[+-][0-9]{2}(?::?[0-9]{2})?",
}
"""What the parts of a date are in text."""
_PARTS = re.compile("(%[YymbdHIMSpz])")
_PLAIN = {"%Y", "%m", "%d", "%H", "%M", "%S"}


def readable(text: Expr, column: Column) -> Expr:
    """The text where it says a value of a column's type, in the one way that every engine reads.

    Parameters
    ----------
    text : expression
        What a source has, without white space around it.
    column : Column
        Says how its values are written.

    Returns
    -------
    expression
        Of a number its digits, of a date ISO 8601; with the time and its zone where the column
        names a zone that the day is to be told in. Null where the text says no such value.
    """
    import narwhals.stable.v2 as nw

    if column.dtype is DType.INT64:
        return whole(_digits(text, column))
    if column.dtype is DType.FLOAT64:
        number = _digits(text, column)
        return nw.when(number.str.contains(_DECIMAL)).then(number.str.replace_all(r"^\+", ""))
    if column.dtype is DType.DATE:
        return nw.coalesce(*(_iso(text, written, column.zone) for written in column.formats))
    return text


def whole(text: Expr) -> Expr:
    """The digits of a whole number; null where the text says none."""
    import narwhals.stable.v2 as nw

    plain = text.str.replace_all(r"\.0+\z", "").str.replace_all(r"^\+", "")
    return nw.when(text.str.contains(_WHOLE)).then(plain)


def pattern(written: str) -> str:
    """What texts of a format look like: each part that a format has is a group.

    >>> pattern("%Y-%m")
    '([0-9]{4})\\\\-(0?[1-9]|1[0-2])'
    """
    parts = _PARTS.split(written)
    return "".join(f"({_TOKENS[part]})" if part in _TOKENS else re.escape(part) for part in parts)


def _digits(text: Expr, column: Column) -> Expr:
    """A number with a minus in front, without thousands marks and with a decimal point."""
    import narwhals.stable.v2 as nw

    for style, (negative, plain) in MINUS.items():
        if style in column.minus:
            text = text.str.replace_all(negative, plain)
    if column.thousands:
        mark, decimal = THOUSANDS[column.thousands], re.escape(column.decimal)
        grouped = text.str.contains(_GROUPED.format(mark=mark, decimal=decimal))
        without = text.str.replace_all(mark, "")
        text = nw.when(grouped | ~text.str.contains(mark)).then(without)
    if column.decimal == ",":
        with_point = text.str.replace_all(",", ".", literal=True)
        text = nw.when(~text.str.contains(".", literal=True)).then(with_point)
    return text


def _iso(text: Expr, written: str, zone: str) -> Expr:
    """A date in text of one format as ISO 8601 has it, whether there is such a day or not."""
    import narwhals.stable.v2 as nw

    like = rf"^{pattern(written)}\z"
    parts = _PARTS.findall(written)
    places = {part: f"${number}" for number, part in enumerate(parts, start=1)}
    fits = text.str.contains(like)
    if places.keys() <= _PLAIN:
        iso = text.str.replace_all(like, "-".join(places[part] for part in ("%Y", "%m", "%d")))
        padded = iso.str.replace_all(r"-([0-9])-", "-0$1-").str.replace_all(r"-([0-9])\z", "-0$1")
        return nw.when(fits).then(padded)
    given: dict[str, Expr] = {
        part: nw.when(fits).then(text.str.replace_all(like, place))
        for part, place in places.items()
    }
    month = _month(given["%b"]) if "%b" in given else _padded(given["%m"])
    day = nw.concat_str([_year(given), month, _padded(given["%d"])], separator="-")
    if not zone or "%z" not in given:
        return day
    zero = nw.when(fits).then(nw.lit("00"))
    seconds = given["%S"].str.slice(0, 2) if "%S" in given else zero
    clock = nw.concat_str([_hour(given, zero), given.get("%M", zero), seconds], separator=":")
    return nw.concat_str([day, nw.lit(" "), clock, _offset(given["%z"])])


def _year(given: dict[str, Expr]) -> Expr:
    """The year; of two digits the one from 1969 to 2068, as POSIX has it."""
    if "%Y" in given:
        return given["%Y"]
    in_1900s = given["%y"].str.replace_all(r"^(69|[7-9][0-9])\z", "19$1")
    return in_1900s.str.replace_all(r"^([0-9]{2})\z", "20$1")


def _month(name: Expr) -> Expr:
    import narwhals.stable.v2 as nw

    short = name.str.to_lowercase().str.slice(0, 3)
    numbers = enumerate(_MONTHS, start=1)
    return nw.coalesce(*(nw.when(short == month).then(nw.lit(f"{n:02}")) for n, month in numbers))


def _hour(given: dict[str, Expr], zero: Expr) -> Expr:
    """The hour from 00 to 23."""
    import narwhals.stable.v2 as nw

    if "%I" not in given:
        return _padded(given["%H"]) if "%H" in given else zero
    hour = given["%I"].cast(nw.Int64) % 12
    if "%p" in given:
        hour = hour + given["%p"].str.contains("^[pP]").cast(nw.Int64) * 12
    return _padded(hour.cast(nw.String))


def _offset(zone: Expr) -> Expr:
    """Hours and minutes from UTC."""
    in_utc = zone.str.replace_all(r"^[A-Za-z]+\z", "+00:00")
    with_minutes = in_utc.str.replace_all(r"^([+-][0-9]{2})\z", "$1:00")
    return with_minutes.str.replace_all(r"^([+-][0-9]{2})([0-9]{2})\z", "$1:$2")


def _padded(number: Expr) -> Expr:
    return number.str.replace_all(r"^([0-9])\z", "0$1")

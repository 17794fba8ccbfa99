"""Values that say plainly what they are, read without an engine.

An engine needs a millisecond and more to judge one record, most of it for planning. A value that is
plainly right - digits, one of the allowed words, a day as the first format writes it - is the same
to every engine, and is read here in a microsecond. Whatever is not plain is left to `judge`: this
module refuses nothing and decides nothing, and tests hold it to what `judge` makes of the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from churn_assets.tables.contract import TOTAL
from churn_assets.tables.written import WHITESPACE, pattern
from churn_assets.usecases.spec import Column, Contract, DType

NOT_PLAIN: Final = object()
"""What is given of a value that an engine is to judge."""
SAID: Final = object()
"""Stands for a value that is there and may be any."""
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_TOTAL = re.compile(TOTAL.replace(r"\z", r"\Z"))
_HALVES = re.compile("[\ud800-\udfff]")
"""What Python's text may hold of characters beyond 16 bits, and no other's."""
_LAST_EXACT = 2**53
_EPOCH = date(1970, 1, 1)
_DAY = frozenset({"%Y", "%m", "%d"})
_TOKEN = re.compile("%.")

Read = Callable[[Any], Any]


class PlainReader:
    """Reads records of which every value is plain.

    Parameters
    ----------
    contract : Contract
        What a record must hold.
    unjudged : collection of str
        Its columns whose values may be any; they are read as null.
    """

    def __init__(self, contract: Contract, unjudged: Sequence[str] = ()) -> None:
        self._readers = [
            _unjudged(column) if column.name in unjudged else _reader(column)
            for column in contract.columns
        ]
        self._keys = [
            place
            for place, column in enumerate(contract.columns)
            if column.name in contract.key and column.dtype is DType.STRING
        ]
        self._others = len(self._readers) - len(contract.key)

    def read(self, values: Iterable[Any]) -> list[Any] | None:
        """The values of a record by the contract's types; None where one of them is not plain.

        Of a day, how many it is since 1970.

        Parameters
        ----------
        values : iterable of str, int, float or None
            As the source has them, in the order of the contract's columns.
        """
        typed = [read(value) for read, value in zip(self._readers, values, strict=True)]
        if NOT_PLAIN in typed:
            return None
        blanks = typed.count(None)
        if blanks and not self._is_customer(typed, blanks):
            return None
        return [None if value is SAID else value for value in typed]

    def _is_customer(self, typed: Sequence[Any], blanks: int) -> bool:
        """Whether a record with blanks is plainly none of what stands below a table."""
        keys = [typed[place] for place in self._keys]
        return blanks < self._others and all(
            key is not None and key.isascii() and not _TOTAL.match(key) for key in keys
        )


def _reader(column: Column) -> Read:
    read = _READERS[column.dtype](column)
    nullable, blank = column.nullable, frozenset(column.blank)
    ge, le, is_day = column.ge, column.le, column.dtype is DType.DATE
    allowed = None if column.isin is None else frozenset(column.isin)
    if column.dtype is DType.STRING and allowed is not None and not blank:
        # The commonest column by far.
        words: Mapping[Any, str] = {
            word: word for word in allowed if isinstance(word, str) and _is_bare(word)
        }
        return _word_or_null(words) if nullable else _word(words)

    def judged(value: Any) -> Any:
        if value is None or value == "":
            return None if nullable else NOT_PLAIN
        if blank and (value if isinstance(value, str) else repr(value)) in blank:
            return NOT_PLAIN
        found = read(value)
        if found is NOT_PLAIN or (allowed is not None and found not in allowed):
            return NOT_PLAIN
        if (ge is not None and not found >= ge) or (le is not None and not found <= le):
            return NOT_PLAIN
        return (found - _EPOCH).days if is_day else found

    return judged


def _unjudged(column: Column) -> Read:
    blank = frozenset(("", *column.blank))

    def read(value: Any) -> Any:
        is_text = type(value) is str
        text = value.strip(WHITESPACE) if is_text else repr(value)
        return None if value is None or text in blank else SAID

    return read


def _word(words: Mapping[Any, str]) -> Read:
    def read(value: Any) -> Any:
        return words.get(value, NOT_PLAIN) if type(value) is str else NOT_PLAIN

    return read


def _word_or_null(words: Mapping[Any, str]) -> Read:
    def read(value: Any) -> Any:
        if value is None or value == "":
            return None
        return words.get(value, NOT_PLAIN) if type(value) is str else NOT_PLAIN

    return read


def _is_bare(text: str) -> bool:
    """Whether a text has no white space around it by whatever reading of that, and is Unicode."""
    return (
        bool(text)
        and (text.isascii() or not _HALVES.search(text))
        and text.strip() == text
        and text[0] not in WHITESPACE
        and (text[-1] not in WHITESPACE)
    )


def _text(_: Column) -> Read:
    def read(value: Any) -> Any:
        if type(value) is str:
            return value if _is_bare(value) else NOT_PLAIN
        return str(value) if type(value) is int and abs(value) <= _LAST_EXACT else NOT_PLAIN

    return read


def _whole(_: Column) -> Read:
    def read(value: Any) -> Any:
        if type(value) is str:
            return int(value) if _WHOLE.fullmatch(value) and value.isascii() else NOT_PLAIN
        if type(value) is int and abs(value) <= _LAST_EXACT:
            return value
        if type(value) is float and value.is_integer() and abs(value) <= _LAST_EXACT:
            return int(value)
        return NOT_PLAIN

    return read


def _number(column: Column) -> Read:
    written = _WHOLE if column.decimal == "," or column.thousands == "." else _DECIMAL

    def read(value: Any) -> Any:
        if type(value) is str:
            return float(value) if written.fullmatch(value) and value.isascii() else NOT_PLAIN
        if type(value) is float:
            return value if math.isfinite(value) else NOT_PLAIN
        if type(value) is int and abs(value) <= _LAST_EXACT:
            return float(value)
        return NOT_PLAIN

    return read


def _day(column: Column) -> Read:
    formats = [
        (re.compile(pattern(written)), [token[1:] for token in _TOKEN.findall(written)])
        for written in column.formats
    ]
    are_plain = not column.zone and all(
        set(_TOKEN.findall(written)) == _DAY and len(_TOKEN.findall(written)) == len(_DAY)
        for written in column.formats
    )

    def read(value: Any) -> Any:
        if not are_plain or type(value) is not str or not value.isascii():
            return NOT_PLAIN
        for like, tokens in formats:
            match = like.fullmatch(value)
            if match:
                parts = dict(zip(tokens, map(int, match.groups()), strict=True))
                try:
                    return date(parts["Y"], parts["m"], parts["d"])
                except ValueError:
                    return NOT_PLAIN
        return NOT_PLAIN

    return read


_READERS: Mapping[DType, Callable[[Column], Read]] = {
    DType.STRING: _text,
    DType.INT64: _whole,
    DType.FLOAT64: _number,
    DType.DATE: _day,
}

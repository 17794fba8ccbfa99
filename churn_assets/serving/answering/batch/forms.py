"""The three forms that rows of a batch come in: inputs, keys and records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from churn_assets.serving.answering.batch.body import Chunk, Row
from churn_assets.serving.answering.faults import MISSING, NO_COLUMN, Fault
from churn_assets.serving.answering.inputs import (
    BLANK,
    NO_INPUT,
    NO_NUMBER,
    NO_TEXT,
    NO_WHOLE,
    Input,
    InputsReader,
)
from churn_assets.serving.answering.snapshot import Customer, Kind, Value

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

NOBODY = "names nobody who is known here"
TWICE = "names a customer who is there before"
Columns = dict[str, Any]
"""Of each input an array of shape (rows,), where it is a number, or else a list."""


@dataclass
class Given:
    """What a chunk says of its rows.

    Parameters
    ----------
    rows : int
        How many there are.
    keys : mapping of str to list
        Of each column of the key its values as text, of all rows; empty where none was given.
    errors : dict of int to str
        What is wrong with a row, by its place.
    columns : dict of str to array or list
        What a model is given of the others, in their order.
    """

    rows: int
    keys: dict[str, list[str | None]] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    columns: Columns = field(default_factory=dict)

    @property
    def right(self) -> NDArray[np.intp]:
        """The places of the rows with nothing wrong."""
        chosen = np.ones(self.rows, dtype=bool)
        chosen[list(self.errors)] = False
        return np.flatnonzero(chosen)


class Form(Protocol):
    """How rows are given."""

    @property
    def numbers(self) -> Sequence[str]:
        """The columns of numbers, which CSV does not tell."""
        ...

    def faults(self, names: Sequence[str]) -> list[Fault]:
        """What is wrong with the columns of a table, of which no row can be right then."""
        ...

    def given(self, chunk: Chunk) -> Given:
        """What a chunk says, and what is wrong with each of its rows."""
        ...


class ByInputs:
    """Rows of model inputs, with the key beside them or without.

    Parameters
    ----------
    reader : InputsReader
        Of the model.
    keys : sequence of str
        Columns of the key; those that are inputs as well are read as such.
    """

    def __init__(self, reader: InputsReader, keys: Sequence[str] = ()) -> None:
        self._reader = reader
        self._keys = tuple(keys)
        self._apart = tuple(name for name in keys if name not in reader.inputs)
        self.numbers = tuple(n for n, one in reader.inputs.items() if one.kind == "number")

    def faults(self, names: Sequence[str]) -> list[Fault]:
        """Unknown and missing columns."""
        inputs = self._reader.inputs
        known = {*inputs, *self._apart}
        return [
            *(Fault(name, "column", NO_INPUT) for name in names if name not in known),
            *(
                Fault(name, "nothing", MISSING)
                for name, one in inputs.items()
                if one.required and name not in names
            ),
        ]

    def given(self, chunk: Chunk) -> Given:
        """Each value checked by the rules of its input."""
        if chunk.table is not None:
            return self._of_table(chunk.table)
        found = Given(chunk.rows, self._keys_of(chunk.lines), dict(chunk.broken))
        taken: list[Mapping[str, Value]] = []
        for place, row in enumerate(chunk.lines):
            if place in found.errors:
                continue
            inputs = {n: v for n, v in row.items() if n not in self._apart} if self._apart else row
            values, faults = self._reader.convert(inputs)
            if faults:
                found.errors[place] = _words(faults)
            else:
                taken.append(values)
        found.columns = {
            name: _column([row[name] for row in taken], one.kind)
            for name, one in self._reader.inputs.items()
        }
        return found

    def _keys_of(self, rows: Sequence[Row]) -> dict[str, list[str | None]]:
        there = [name for name in self._keys if any(name in row for row in rows)]
        return {name: [_text(row.get(name)) for row in rows] for name in there}

    def _of_table(self, table: pa.RecordBatch) -> Given:
        found = Given(table.num_rows)
        there = set(table.schema.names)
        wrong: dict[int, list[str]] = {}
        whole: Columns = {}
        for name, wanted in self._reader.inputs.items():
            if name not in there:
                whole[name] = _column([None] * table.num_rows, wanted.kind)
                continue
            read = _numbers if wanted.kind == "number" else _texts
            whole[name], broken = read(table.column(name), wanted)
            for rule, rows in broken:
                for place in np.flatnonzero(rows).tolist():
                    wrong.setdefault(place, []).append(f"{name}: {rule}")
        found.keys = {
            name: [_text(value) for value in table.column(name).to_pylist()]
            for name in self._keys
            if name in there
        }
        found.errors = {place: "; ".join(words) for place, words in sorted(wrong.items())}
        if not wrong:
            found.columns = whole
            return found
        right = found.right
        places = right.tolist()
        found.columns = {
            name: [column[at] for at in places] if isinstance(column, list) else column[right]
            for name, column in whole.items()
        }
        return found


class ByKey:
    """Rows that name customers, whose features are known.

    Parameters
    ----------
    get : callable
        Gives what is known of a key, as `Snapshot.get` does.
    keys : sequence of str
        Columns of the key, in their order.
    columns : mapping of str to {"number", "text"}
        What is known of each customer, as `Head.columns` has it.
    """

    numbers: tuple[str, ...] = ()

    def __init__(
        self,
        get: Callable[[Sequence[str]], Customer | None],
        keys: Sequence[str],
        columns: Mapping[str, Kind],
    ) -> None:
        self._get, self._keys, self._columns = get, tuple(keys), dict(columns)

    def faults(self, names: Sequence[str]) -> list[Fault]:
        """Columns that are no part of the key, and parts that are missing."""
        return _beside(names, self._keys)

    def given(self, chunk: Chunk) -> Given:
        """What is known of each customer."""
        rows = chunk.as_lines()
        keys = {name: [_text(row.get(name)) for row in rows] for name in self._keys}
        found = Given(chunk.rows, keys, dict(chunk.broken))
        known: list[Sequence[Value]] = []
        for place, (row, key) in enumerate(
            zip(rows, zip(*keys.values(), strict=True), strict=True)
        ):
            if place in found.errors:
                continue
            faults = _beside(list(row), self._keys)
            faults += [
                Fault(name, "null", BLANK)
                for name, part in zip(self._keys, key, strict=True)
                if name in row and part is None
            ]
            parts = [part for part in key if part is not None]
            customer = None if faults else self._get(parts)
            if faults:
                found.errors[place] = _words(faults)
            elif customer is None:
                found.errors[place] = NOBODY
            else:
                known.append(customer.values)
        found.columns = _columns_of(known, self._columns)
        return found


class Recorded(Protocol):
    """What a model is given of a raw record, as `RecordReader` gives it."""

    @property
    def key(self) -> tuple[str, ...]:
        """The customer's."""
        ...

    @property
    def values(self) -> Sequence[Value]:
        """Of each column, in their order."""
        ...


class ByRecord:
    """Rows as the source has them.

    Parameters
    ----------
    read : callable
        Gives what a model is given of each record, or all that is wrong with it, as
        `RecordReader.read` does.
    keys : sequence of str
        Columns of the key, as predictions call them.
    columns : mapping of str to {"number", "text"}
        What the values are of, as `RecordReader.columns` has it.
    """

    numbers: tuple[str, ...] = ()

    def __init__(
        self,
        read: Callable[[Sequence[Row]], Sequence[Recorded | list[Fault]]],
        keys: Sequence[str],
        columns: Mapping[str, Kind],
    ) -> None:
        self._read, self._keys, self._columns = read, tuple(keys), dict(columns)

    def faults(self, names: Sequence[str]) -> list[Fault]:
        """Nothing: each record is told of by itself."""
        return []

    def given(self, chunk: Chunk) -> Given:
        """Each record by the contract, `clean` and `features`."""
        rows = chunk.as_lines()
        found = Given(chunk.rows, errors=dict(chunk.broken))
        places = [place for place in range(chunk.rows) if place not in found.errors]
        known: list[Sequence[Value]] = []
        found.keys = {name: [None] * chunk.rows for name in self._keys}
        answers = self._read([rows[place] for place in places])
        for place, answer in zip(places, answers, strict=True):
            if isinstance(answer, list):
                found.errors[place] = _words(answer)
                continue
            known.append(answer.values)
            for name, part in zip(self._keys, answer.key, strict=True):
                found.keys[name][place] = part
        found.columns = _columns_of(known, self._columns)
        return found


class Met:
    """Finds customers who come twice in one body."""

    def __init__(self) -> None:
        self._met: set[int] = set()

    def refuse(self, given: Given) -> Given:
        """Rows of which each that names a customer of before is wrong as well."""
        if not given.keys:
            return given
        right = given.right.tolist()
        keys = list(zip(*given.keys.values(), strict=True))
        again = []
        for number, place in enumerate(right):
            key = keys[place]
            if None in key:
                continue
            known = hash(key)
            if known in self._met:
                again.append(number)
                given.errors[place] = TWICE
            self._met.add(known)
        if again:
            kept = np.delete(np.arange(len(right)), again)
            given.columns = {
                name: [column[at] for at in kept.tolist()]
                if isinstance(column, list)
                else column[kept]
                for name, column in given.columns.items()
            }
        return given


def _words(faults: Iterable[Fault]) -> str:
    return "; ".join(fault.words for fault in faults)


def _text(value: Any) -> str | None:
    """A part of a key as text; whole numbers are doubles in a column where some are null."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value).encode(errors="replace").decode()


def _column(values: Sequence[Value], kind: Kind) -> Any:
    if kind == "text":
        return list(values)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _columns_of(rows: Sequence[Sequence[Value]], columns: Mapping[str, Kind]) -> Columns:
    by_column = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return {
        name: _column(values, kind)
        for (name, kind), values in zip(columns.items(), by_column, strict=True)
    }


def _beside(names: Sequence[str], wanted: Sequence[str]) -> list[Fault]:
    return [
        *(Fault(name, "column", NO_COLUMN) for name in names if name not in wanted),
        *(Fault(name, "nothing", MISSING) for name in wanted if name not in names),
    ]


Broken = list[tuple[str, "NDArray[np.bool_]"]]
"""Rules in words, and which rows break each."""


def _numbers(column: pa.Array, wanted: Input) -> tuple[Any, Broken]:
    """A column as doubles, null as NaN."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = np.asarray(column.is_valid())
    blank = [] if wanted.nullable else [(BLANK, ~given)]
    kind, is_number = column.type, NO_WHOLE if wanted.is_whole else NO_NUMBER
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return np.full(len(column), np.nan), [*blank, (is_number, given)]
    doubles = column.cast(pa.float64(), safe=False)
    values = np.array(pc.fill_null(doubles, np.nan), dtype=np.float64)
    finite = np.isfinite(values)
    broken = [*blank, (is_number, given & ~finite)]
    if wanted.is_whole:
        broken.append((NO_WHOLE, finite & (values != np.trunc(values))))
    if wanted.ge is not None:
        broken.append((f"is below {wanted.ge:g}", finite & (values < wanted.ge)))
    if wanted.le is not None:
        broken.append((f"is above {wanted.le:g}", finite & (values > wanted.le)))
    if wanted.isin is not None:
        listed = np.isin(values, np.array(wanted.isin, dtype=np.float64))
        broken.append((_not_among(wanted), finite & ~listed))
    return values, broken


def _texts(column: pa.Array, wanted: Input) -> tuple[Any, Broken]:
    """A column as a list of texts; what is said of a text is said of all its rows at once."""
    import pyarrow as pa

    if isinstance(column, pa.DictionaryArray):
        column = column.cast(column.type.value_type)
    given = np.asarray(column.is_valid())
    blank = [] if wanted.nullable else [(BLANK, ~given)]
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_view(kind)):
        return [None] * len(column), [*blank, (NO_TEXT, given)]
    coded = (column.cast(pa.string()) if _is_view(kind) else column).dictionary_encode()
    texts = [*coded.dictionary.to_pylist(), None]
    # Null is the last of them.
    codes = np.array(coded.indices.fill_null(len(texts) - 1))
    values = np.array(texts, dtype=object)[codes].tolist()
    is_empty = np.array([text == "" for text in texts])
    broken = [*blank, (BLANK, is_empty[codes])]
    if wanted.isin is not None:
        outside = np.array([bool(text) and text not in wanted.isin for text in texts])
        broken.append((_not_among(wanted), outside[codes]))
    return values, broken


def _is_view(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string_view(kind))


def _not_among(wanted: Input) -> str:
    return f"is not one of {', '.join(str(one) for one in wanted.isin or ())}"

"""A raw record, as the source has it, to model inputs: by the contract, `clean` and `features`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from churn_assets.errors import InputsError
from churn_assets.learning.inputs import as_given
from churn_assets.serving.answering.faults import MISSING, NO_COLUMN, NO_VALUE, Fault, kind_of
from churn_assets.serving.plain import PlainReader
from churn_assets.tables.contract import NO_TEXT, judge, typed_records
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Column, Contract, DType, delta_name

if TYPE_CHECKING:
    import polars as pl

    from churn_assets.serving.answering.snapshot import Kind, Value
    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase

NO_ROW = "`features` gives no row of it"
_KEY = "__key_"
_LAST_EXACT = 2.0**53
_MOST_DIGITS = 400
"""No double has more before its decimal point."""


class Record(msgspec.Struct, frozen=True):
    """What a model is given of a record.

    Parameters
    ----------
    key : tuple of str
        The customer's, as predictions have it.
    values : tuple of float, str or None
        Of each of the reader's columns, in their order.
    """

    key: tuple[str, ...]
    values: tuple[Value, ...]


class RecordReader:
    """Reads raw records of a use case as batch does; made once, since its plans take a while.

    A record is judged by the contract, with the words that `rejects` has, and what is valid goes
    through the use case's `clean` and `features`. These are asked about the records of one call at
    once: where they look across rows, they see those of the call, not of the table.

    Parameters
    ----------
    use_case : UseCase
        Whose records.
    columns : mapping of str to {"number", "text"}, optional
        What is wanted of `features`, as a model takes it; by default the use case's inputs, and the
        amounts of its business case.

    Raises
    ------
    InputsError
        Where `features` does not give a column.
    """

    def __init__(self, use_case: UseCase, columns: Mapping[str, Kind] | None = None) -> None:
        self.columns: dict[str, Kind] = dict(wanted_of(use_case) if columns is None else columns)
        contract = use_case.contract
        label = use_case.label.column
        unjudged = [label] if label in contract else []
        self._contract = contract
        self._sources = {column.source: column for column in contract.columns}
        self._optional = {contract[name].source for name in unjudged}
        # A table of outcomes may have been joined to the records, so their label is known too.
        self._ignored = {label, use_case.label_contract[label].source} - {
            column.source for column in contract.columns if column.name not in unjudged
        }
        self._plain = PlainReader(contract, unjudged)
        self._lock = threading.Lock()
        self._judged = _Judged(contract, unjudged)
        self._features = _Features(use_case, self.columns)

    def read(self, records: Sequence[Mapping[str, Any]]) -> list[Record | list[Fault]]:
        """What a model is given of each record, or all that is wrong with it.

        Parameters
        ----------
        records : sequence of mapping
            Each by the names that the source's columns have, numbers as such or as text. A label is
            ignored, whatever it says.

        Returns
        -------
        list of Record or list of Fault
            Of each record, in their order.
        """
        answers: list[Record | list[Fault]] = [[] for _ in records]
        valid: dict[int, Sequence[Any]] = {}
        doubtful: dict[int, list[Any]] = {}
        known, columns = self._sources.keys() | self._ignored, self._contract.columns
        for at, record in enumerate(records):
            values = [record.get(column.source) for column in columns]
            typed = self._plain.read(values)
            if typed is not None and record.keys() <= known and self._is_whole(record):
                valid[at] = typed
            else:
                answers[at] = self._shape(record)
                doubtful[at] = values
        # A plan holds the records of one call at a time.
        with self._lock:
            if doubtful:
                self._judge(doubtful, answers, valid)
            for at, found in self._features.of(valid).items():
                answers[at] = found or [Fault("", "object", NO_ROW)]
        return answers

    def _is_whole(self, record: Mapping[str, Any]) -> bool:
        return all(source in record for source in self._sources if source not in self._optional)

    def _shape(self, record: Mapping[str, Any]) -> list[Fault]:
        """What is wrong with the names in a record, and with values that no source can have."""
        known = self._sources.keys() | self._ignored
        faults = [
            Fault(str(name), kind_of(value), NO_COLUMN)
            for name, value in record.items()
            if name not in known
        ]
        for source in self._sources:
            if source in self._optional:
                continue
            if source not in record:
                faults.append(Fault(source, "nothing", MISSING))
            elif rule := _unreadable(record[source], self._sources[source]):
                faults.append(Fault(source, kind_of(record[source]), rule))
        return faults

    def _judge(
        self,
        doubtful: Mapping[int, list[Any]],
        answers: list[Record | list[Fault]],
        valid: dict[int, Sequence[Any]],
    ) -> None:
        columns = self._contract.columns
        texts = [
            [
                None if (text := _text(value, column)) is _NONE else text
                for value, column in zip(values, columns, strict=True)
            ]
            for values in doubtful.values()
        ]
        broken, typed = self._judged.of(texts)
        for number, (at, values) in enumerate(doubtful.items()):
            shape = answers[at]
            assert isinstance(shape, list)
            said = {fault.field for fault in shape}
            sent = {c.source: value for c, value in zip(columns, values, strict=True)}
            for field, rule in broken[number]:
                # What is not there breaks rules too, and so do totals of it.
                if field in said or (not field and said):
                    continue
                shape.append(Fault(field, kind_of(sent[field]) if field else "object", rule))
            if not shape:
                valid[at] = typed[number]


def wanted_of(use_case: UseCase) -> dict[str, Kind]:
    """The columns of `features` that a model of today's use case and its value need."""
    amounts = () if use_case.business is None else use_case.business.columns
    wanted: dict[str, Kind] = dict.fromkeys(use_case.numeric, "number")
    wanted |= dict.fromkeys(use_case.categorical, "text")
    return wanted | {name: "number" for name in amounts if name not in wanted}


_NONE = object()


def _text(value: Any, column: Column) -> Any:
    """A value as a text file has it; `_NONE` of one that no source can have."""
    if isinstance(value, str):
        return value if value.isascii() or _is_unicode(value) else _NONE
    if isinstance(value, bool):
        is_number = column.dtype in (DType.INT64, DType.FLOAT64)
        return str(int(value)) if is_number else str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_MOST_DIGITS else "9" * _MOST_DIGITS
    if isinstance(value, float):
        # A zero below zero is one only among numbers.
        is_whole = value.is_integer() and (value or column.dtype is DType.STRING)
        return str(int(value)) if is_whole else repr(value).replace(".", column.decimal)
    return None if value is None else _NONE


def _unreadable(value: Any, column: Column) -> str:
    """Why no source can have a value in a column; empty where one can."""
    if _text(value, column) is _NONE:
        return NO_VALUE
    if column.dtype is not DType.STRING or not isinstance(value, float):
        return ""
    return "" if value.is_integer() and abs(value) <= _LAST_EXACT else NO_TEXT


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Rows:
    """A frame whose rows are those of the present call, for a plan that is made once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._rows: pl.DataFrame | None = None

    def frame(self) -> Frame:
        import narwhals.stable.v2 as nw
        import polars as pl

        empty = pl.DataFrame(schema=self._schema)
        present = empty.lazy().map_batches(
            # Cheaper than a source of Polars' own; what is drawn from it stays as it is.
            lambda _: empty if self._rows is None else self._rows,
            predicate_pushdown=False,
            projection_pushdown=False,
            slice_pushdown=False,
            validate_output_schema=False,
            schema=self._schema,
        )
        return nw.from_native(present)

    def computed(self, plan: pl.LazyFrame, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
        """What a plan over the frame makes of rows."""
        import polars as pl

        self._rows = pl.DataFrame(rows, schema=self._schema, orient="row")
        try:
            # To look for a better plan of a few rows takes longer than to go through them.
            return plan.collect(optimizations=pl.QueryOptFlags.none()).rows()
        finally:
            self._rows = None


class _Judged:
    """The contract's verdict on records of text."""

    def __init__(self, contract: Contract, unjudged: Sequence[str]) -> None:
        import polars as pl

        self._places = {delta_name(c.source): at for at, c in enumerate(contract.columns)}
        self._unjudged = [at for at, c in enumerate(contract.columns) if c.name in unjudged]
        self._rows = _Rows(dict.fromkeys(self._places, pl.String))
        found = judge(self._rows.frame(), contract, PolarsEngine(), unjudged=unjudged)
        fields = {f"{column.source}: " for column in contract.columns}
        self._rules = [_field_and_rule(words, fields) for words in found.flags.values()]
        typed = typed_records(found.frame, contract)
        names = typed.collect_schema().names()
        values = {f"__typed_{at}": name for at, name in enumerate(names)}
        flags = found.frame.select(*found.flags)
        self._flags: pl.LazyFrame = flags.to_native()
        dates = {c.name for c in contract.columns if c.dtype is DType.DATE}
        self._typed: pl.LazyFrame = typed.to_native().select(
            (pl.col(name).to_physical() if name in dates else pl.col(name)).alias(alias)
            for alias, name in values.items()
        )

    def of(
        self, records: Sequence[Sequence[Any]]
    ) -> tuple[list[list[tuple[str, str]]], dict[int, list[Any]]]:
        """The rules that each record breaks; and by place the typed values of those without any."""
        rows = [[record[at] for at in self._places.values()] for record in records]
        broken = [
            [rule for rule, is_broken in zip(self._rules, flags, strict=True) if is_broken]
            for flags in self._rows.computed(self._flags, rows)
        ]
        kept = [at for at, rules in enumerate(broken) if not rules]
        typed = self._rows.computed(self._typed, [rows[at] for at in kept]) if kept else []
        values = {at: list(known) for at, known in zip(kept, typed, strict=True)}
        for known in values.values():
            for at in self._unjudged:
                known[at] = None
        return broken, values


def _field_and_rule(words: str, fields: set[str]) -> tuple[str, str]:
    field = max((field for field in fields if words.startswith(field)), key=len, default="")
    return field.removesuffix(": "), words.removeprefix(field)


class _Features:
    """The use case's `clean` and `features` of valid records."""

    def __init__(self, use_case: UseCase, columns: Mapping[str, Kind]) -> None:
        import narwhals.stable.v2 as nw
        import polars as pl

        types = {
            DType.STRING: pl.String,
            DType.INT64: pl.Int64,
            DType.FLOAT64: pl.Float64,
            # Days since 1970: tables hold years that Python's dates do not.
            DType.DATE: pl.Int32,
        }
        contract = use_case.contract
        names = [column.name for column in contract.columns]
        self._rows = _Rows({column.name: types[column.dtype] for column in contract.columns})
        self._keys = [names.index(name) for name in use_case.keys]
        dates = [column.name for column in contract.columns if column.dtype is DType.DATE]
        valid = self._rows.frame()
        if dates:
            valid = nw.from_native(valid.to_native().with_columns(pl.col(dates).cast(pl.Date)))
        made = use_case.features(use_case.clean(valid))
        there = set(made.collect_schema().names())
        absent = [name for name in (*use_case.keys, *columns) if name not in there]
        if absent:
            raise InputsError(
                f"{use_case.name}: `features` gives no {', '.join(absent)}, which the model is to "
                "be given. Let it give that again, or serve a model that does without."
            )
        keys = [
            nw.col(name).cast(nw.String).alias(f"{_KEY}{at}")
            for at, name in enumerate(use_case.keys)
        ]
        numbers = [name for name, kind in columns.items() if kind == "number"]
        texts = [name for name, kind in columns.items() if kind == "text"]
        given = dict(
            zip((*numbers, *texts), as_given(made.collect_schema(), numbers, texts), strict=True)
        )
        plan = made.select(*keys, *(given[name] for name in columns))
        self._plan: pl.LazyFrame = plan.to_native()

    def of(self, valid: Mapping[int, Sequence[Any]]) -> dict[int, Record | None]:
        """What a model is given of records, by their place; None of one without a row."""
        found: dict[int, Record | None] = {}
        for places in self._apart(valid):
            records = self._made([valid[at] for at in places])
            if len(places) == 1:
                found[places[0]] = records[0] if len(records) == 1 else None
                continue
            by_key = {record.key: record for record in records}
            for at in places:
                found[at] = by_key.get(self._key(valid[at]))
        return found

    def _apart(self, valid: Mapping[int, Sequence[Any]]) -> list[list[int]]:
        """Places of records, so that no two with one key are asked about together."""
        rounds: list[list[int]] = []
        met: dict[tuple[str, ...], int] = {}
        for at, values in valid.items():
            key = self._key(values)
            turn = met[key] = met.get(key, -1) + 1
            if turn == len(rounds):
                rounds.append([])
            rounds[turn].append(at)
        return rounds

    def _key(self, values: Sequence[Any]) -> tuple[str, ...]:
        return tuple(str(values[at]) for at in self._keys)

    def _made(self, records: Sequence[Sequence[Any]]) -> list[Record]:
        keys = len(self._keys)
        rows = self._rows.computed(self._plan, records)
        return [Record(row[:keys], row[keys:]) for row in rows]


def reader_of(use_case: str) -> RecordReader:
    """What reads the raw records of a use case, by its name."""
    from churn_assets.usecases import USE_CASES

    return RecordReader(USE_CASES[use_case])

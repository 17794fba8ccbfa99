"""Write the tests of a use case, which hold made-up records and none of a customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template

from churn_assets.scaffold.draft import Draft, Entry
from churn_assets.scaffold.python_text import Brackets, import_lines, lines, literal
from churn_assets.usecases.spec import Column, DType

_TEMPLATE = Path(__file__).with_name("use_case_tests.txt")
_WORDS = ("one", "two", "three", "four")
_RECORDS = range(len(_WORDS))
_BLANK = 2
"""The record that leaves blank what may be."""


def use_case_tests_text(draft: Draft) -> str:
    """The text of the file of tests beside the use case's file."""
    positive, negative = draft.profile.positive, draft.profile.negative
    # A part of the key that is a date stands among the others as well, and more must hold of it.
    others = draft.entries[len(draft.keys) :]
    values = {
        **{entry.column.source: _keys(entry.column) for entry in draft.keys},
        **{entry.column.source: _values(entry) for entry in others},
        draft.label.column.source: [positive, negative, "", positive],
    }
    records = [
        Brackets(f"{literal(source)}: [", list(map(literal, column)), "]")
        for source, column in values.items()
    ]
    broken = [f"{literal(source)}: {literal(value)}" for source, value in _broken(draft)]
    names = [*(["LEFT_OUT"] if draft.left_out else []), draft.name]
    unknown = [literal(draft.profile.label)]
    if draft.left_out:
        unknown.append("*(column.source for column in LEFT_OUT)")
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=draft.name,
        imports="\n".join(_imports({draft.name: names, "spec": ["delta_name"]})),
        records="\n".join(_dictionary("RECORDS", records)),
        broken="\n".join(_dictionary("BROKEN", broken)),
        or_left_out="_or_what_is_left_out" if draft.left_out else "",
        unknown=", ".join(unknown),
    )


def _imports(names: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for module in sorted(names):
        yield from import_lines(f"churn_assets.usecases.{module}", names[module])


def _dictionary(name: str, items: list[str] | list[Brackets]) -> list[str]:
    inside = [line for item in items for line in lines(item, 1, ",")]
    return [f"{name} = {{", *inside, "}"]


def _keys(column: Column) -> list[str]:
    return [f"{column.name}-{i + 1}" for i in _RECORDS]


def _values(entry: Entry) -> list[str]:
    """Made-up values that keep a column's contract."""
    column, is_flag = entry.column, (entry.profile.least, entry.profile.most) == (0, 1)
    values = [_value(column, i % 2 if is_flag else i) for i in _RECORDS]
    if column.nullable:
        values[_BLANK] = ""
    return values


def _value(column: Column, i: int) -> str:
    if column.isin is not None:
        return str(column.isin[i % len(column.isin)])
    if column.dtype is DType.DATE:
        return datetime(2024, i + 1, i + 10, 12, tzinfo=UTC).strftime(column.formats[0])
    number = f"{i}{column.decimal}5"
    return {DType.INT64: str(i), DType.FLOAT64: number}.get(column.dtype, _WORDS[i])


def _broken(draft: Draft) -> Iterator[tuple[str, str]]:
    """A column of each kind, and a value that it must not hold."""
    yield draft.keys[0].column.source, ""
    if draft.numbers:
        yield draft.numbers[0].column.source, "not a number"
    for entry in draft.categories:
        if entry.column.isin is not None:
            yield entry.column.source, "no such value"
            break
    if draft.dates:
        yield draft.dates[0].column.source, "not a day"
    yield draft.profile.label, "neither"

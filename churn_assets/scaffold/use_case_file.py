"""Write a draft as the file of a use case."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date

from churn_assets.scaffold.draft import Draft, Entry
from churn_assets.scaffold.python_text import (
    Brackets,
    comment,
    docstring,
    import_lines,
    lines,
    literal,
    text_argument,
)
from churn_assets.usecases import spec
from churn_assets.usecases.spec import Column, Contract, DType, Label, UseCase

_TYPES = {dtype: name for name, dtype in vars(spec).items() if isinstance(dtype, DType)}
"""What each type is called in a use case."""
_HEADS = {
    "NUMBERS": "Inputs that are amounts, counts or flags.",
    "CATEGORIES": "Inputs that are kinds of something.",
    "DATES": "Not inputs by themselves.",
    "LEFT_OUT": "Not inputs; to make one of a column, move it up.",
}


def use_case_text(draft: Draft) -> str:
    """The text of the use case's file."""
    parts = [
        *_opening(draft),
        *_imports(draft),
        "",
        *_groups(draft),
        "",
        "",
        *_clean(),
        "",
        "",
        *_features(draft),
        "",
        "",
        *_use_case(draft),
    ]
    return "\n".join(parts) + "\n"


def _opening(draft: Draft) -> list[str]:
    profile = draft.profile
    read = f"{profile.read:,} records"
    if not profile.is_whole:
        read = f"{profile.read:,} of {profile.rows:,} records, drawn by a hash of the key,"
    return docstring(
        f"{draft.name}: of which records {profile.label} will be {profile.positive}.\n\nBegun by "
        f"`churn new` from {read} of {profile.file_name}. Each QUESTION is yours to "
        "answer; until then the code beside it is what was assumed, and a column that is asked "
        "about is no input, nor is what would be made of it.",
        0,
    )


def _imports(draft: Draft) -> list[str]:
    kinds = {kind.__name__ for kind in (Column, Contract, Label, UseCase)}
    names = sorted(kinds | {_TYPES[entry.column.dtype] for entry in draft.entries})
    return [
        "",
        "from __future__ import annotations",
        "",
        "from typing import TYPE_CHECKING",
        "",
        *import_lines("churn_assets.usecases.spec", names),
        "",
        "if TYPE_CHECKING:",
        "    from churn_assets.types import Frame",
    ]


def _groups(draft: Draft) -> Iterator[str]:
    if "inputs" in draft.argument_questions:
        yield from _question(draft.argument_questions["inputs"], 0)
    for name, entries in _present(draft).items():
        if name == "CATEGORIES" and "isin" in draft.argument_questions:
            yield from _question(draft.argument_questions["isin"], 0)
        first = entries[0]
        if len(entries) == 1 and not (first.notes or first.questions):
            yield from lines(Brackets(f"{name} = (", [_column(first.column)]), 0)
        else:
            yield f"{name} = ("
            for entry in entries:
                yield from _entry(entry)
            yield ")"
        yield f'"""{_HEADS[name]}"""'


def _entry(entry: Entry, depth: int = 1) -> Iterator[str]:
    for note in entry.notes:
        yield from comment(note, depth)
    for question in entry.questions:
        yield from _question(question, depth)
    yield from lines(_column(entry.column), depth, ",")


def _question(question: str, depth: int) -> list[str]:
    return comment(f"QUESTION: {question}", depth)


def _column(column: Column) -> Brackets:
    arguments: list[str | Brackets] = [literal(column.name), _TYPES[column.dtype]]
    if column.source != column.name:
        arguments.append(f"source={literal(column.source)}")
    if column.nullable:
        arguments.append("nullable=True")
    if column.ge is not None:
        arguments.append(f"ge={column.ge:g}" if not isinstance(column.ge, date) else "")
    if column.isin is not None:
        arguments.append(_strings("isin", [str(value) for value in column.isin]))
    if column.dtype is DType.DATE and column.formats != Column("day", DType.DATE).formats:
        arguments.append(_strings("formats", column.formats))
    defaults = Column("number", DType.FLOAT64)
    for name in ("zone", "decimal", "thousands"):
        if getattr(column, name) != getattr(defaults, name):
            arguments.append(f"{name}={literal(getattr(column, name))}")
    if column.minus:
        arguments.append(_strings("minus", column.minus))
    if column.blank:
        arguments.append(_strings("blank", column.blank))
    return Brackets("Column(", arguments)


def _strings(name: str, values: Sequence[str]) -> Brackets:
    return Brackets(f"{name}=(", [literal(value) for value in values])


def _clean() -> list[str]:
    return [
        "def clean(records: Frame) -> Frame:",
        '    """Typed, valid records to silver."""',
        "    return records",
    ]


def _features(draft: Draft) -> list[str]:
    head = [
        "def features(silver: Frame) -> Frame:",
        '    """Silver to the key, the model inputs and the label\'s column."""',
    ]
    if not draft.months:
        return [*head, "    return silver"]
    months = [
        f"nw.col({literal(name)}).dt.month().alias({literal(month)})"
        for name, month in draft.months.items()
    ]
    return [
        *head,
        "    import narwhals.stable.v2 as nw",
        "",
        "    # The month tells the season; the year of a record does not come again.",
        "    return silver.with_columns(",
        *(f"        {month}," for month in months),
        "    )",
    ]


def _use_case(draft: Draft) -> Iterator[str]:
    profile, questions = draft.profile, draft.argument_questions
    keys = [literal(entry.column.name) for entry in draft.keys]
    key = keys[0] if len(keys) == 1 else str(Brackets("(", keys))
    yield f"{draft.name} = UseCase("
    yield f"    name={literal(draft.name)},"
    yield f"    key={key},"
    label = [literal(draft.label.column.name), f"positive={literal(profile.positive)}"]
    yield from lines(Brackets("label=Label(", label), 1, ",")
    yield "    contract=Contract("
    for entry in (*draft.keys, draft.label):
        yield from _entry(entry, 2)
    yield from (f"        *{name}," for name in _present(draft))
    yield "    ),"
    yield "    clean=clean,"
    yield "    features=features,"
    yield from _inputs("numeric", "NUMBERS" if draft.numbers else "", list(draft.months.values()))
    yield from _inputs("categorical", "CATEGORIES" if draft.categories else "", [])
    if "description" in questions:
        yield from _question(questions["description"], 1)
    yield from text_argument("description", _description(draft), 1)
    if "group" in questions:
        yield from _question(questions["group"], 1)
    if "split_by" in questions:
        yield from _question(questions["split_by"], 1)
    yield from _question(questions["business"], 1)
    yield from _business(draft)
    for name in ("slices", "risk_bands"):
        if name in questions:
            yield from _question(questions[name], 1)
    words = _words(draft)
    if words:
        yield from lines(Brackets("words={", words, "}"), 1, ",")
    yield ")"


def _present(draft: Draft) -> dict[str, Sequence[Entry]]:
    """The groups of columns beside key and label, by what they are called; those with any."""
    groups = (draft.numbers, draft.categories, draft.dates, draft.left_out)
    return {name: entries for name, entries in zip(_HEADS, groups, strict=True) if entries}


def _inputs(name: str, group: str, others: Sequence[str]) -> list[str]:
    columns = f"column.name for column in {group}"
    if not others:
        return [f"    {name}=tuple({columns})," if group else f"    {name}=(),"]
    more = [literal(other) for other in others]
    return lines(Brackets(f"{name}=(", [f"*({columns})", *more] if group else more), 1, ",")


def _description(draft: Draft) -> str:
    profile = draft.profile
    return (
        f"Which records of {profile.file_name} will have {profile.positive} as their "
        f"{profile.label}, from {draft.inputs} inputs."
    )


def _business(draft: Draft) -> list[str]:
    """What a business case looks like, to be filled in."""
    money = next((e.column.name for e in draft.numbers if e.column.dtype is DType.FLOAT64), "")
    own = f', or PerCustomer("{money}")' if money else ""
    return [
        "    # business=BusinessCase(  # from churn_assets.usecases.spec",
        '    #     currency="EUR",',
        f"    #     customer_value=...,  # kept with whom the offer keeps{own}",
        "    #     offer_cost=...,  # of an offer that is taken",
        "    #     contact_cost=...,  # of each contact",
        "    #     save_rate=0.3,  # share of those who would leave that the offer keeps",
        "    #     accept_rate=1.0,  # share of the others that take the offer",
        "    # ),",
    ]


def _words(draft: Draft) -> list[str]:
    """What inputs are called whose names lost something of the source's."""
    return [
        f"{literal(entry.column.name)}: {literal(' '.join(entry.column.source.split()))}"
        for entry in (*draft.numbers, *draft.categories)
        if _letters(entry.column.name) != _letters(entry.column.source)
    ]


def _letters(name: str) -> str:
    return re.sub(r"[\s_]", "", name).casefold()

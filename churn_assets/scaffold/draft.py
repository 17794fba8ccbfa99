"""What a use case is to be made of: decided where a table says enough, a question elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from churn_assets.scaffold.keys import NEARLY_SEQUENTIAL
from churn_assets.scaffold.names import own_name
from churn_assets.scaffold.profile import (
    FEWEST_OF_CLASS,
    ColumnProfile,
    Profile,
    contract_column,
    in_records,
)
from churn_assets.scaffold.python_text import Brackets, literal
from churn_assets.tables.sources.columns import listed
from churn_assets.usecases.spec import Column, DType

LEAK_AUC, LEAK_GAP = 0.95, 0.5
"""A column that tells the label so well alone is suspected to know it, where it errs at most half
as often as the best of the others. What customers are like seldom reaches .9."""
SAME_AS_LABEL = 0.99
"""Share of either outcome's records from which on a blank says which it is."""
MOST_CATEGORIES = 30
"""Each becomes a column for the model; of more, most have too few records to learn from."""
MOST_ALLOWED, FEWEST_OF_ALLOWED = 12, 5
"""Values that a contract lists, and how often each occurs at least: where one occurs once or
twice, others are still to come."""
NEARLY_ALL = 0.95
"""Share of different values from which on a text names a record."""
FEWEST_TO_TELL = 50
"""Records; among fewer, values may all differ by chance."""
CODE_DIGITS = 6
"""Whole numbers, all different and all of so many digits, are codes: amounts differ in length."""
EVEN_DIGITS, LONG_DIGITS = 5, 9
"""Whole numbers all of so many digits may be codes, such as those of places; all of so many more
are hardly amounts, and may be phone numbers."""
FREE_TEXT_WORDS = 4.0
"""Words in a text, on average, from which on it is a sentence."""
MONEY_DECIMALS = 2
FEW_BLANK = 0.01
"""Share of the records below which a note mentions blanks: they may be mistakes."""
PURE_SHARE = 0.01
"""Share of the records; of a smaller group, that all have one outcome is worth no question."""
SEASON = timedelta(days=2 * 365)
"""Before each month has come twice, it says something of one year and not of the season."""
RARE_RATE = 0.1
"""Of the positive, below which the default risk bands hold next to nobody."""
FEW_ROWS = 1000
"""With fewer the gates may not be sure that a model beats guessing."""
MOST_NAMED = 3
"""Columns in a sentence."""
MOST_GROUPS = 10
"""Values of a column by which customers are judged apart."""

_MOST_SHOWN = 40
"""Characters of a value in a sentence."""

_MARKS = {
    ".": "a point", ",": "a comma", " ": "a blank", "'": "an apostrophe", "_": "an underscore",
}  # fmt: skip
_MINUS = {
    "behind": "with the minus behind it",
    "brackets": "in brackets",
    "dash": "with a dash for a minus, such as U+2212",
}

_KNOWS = re.compile(
    "churn|cancel|attrition|exit|left|leav|quit|terminat|deactivat|closed|closing|end_date|reason"
    "|status|outcome|score|predict|probab|refund|retention|win_?back|complain"
)
"""In names of columns that are often filled in when the outcome is known."""
_IDENTIFIES = re.compile("(^|_)(id|uuid|guid|key|hash|email|phone|iban)$")
_CODES = re.compile("(^|_)(code|zip|postcode|plz|type|class|category|segment|region|area)(_|$)")
_NUMBERED = re.compile(
    "(^|_)(zip|zip_?code|postal|postal_?code|post_?code|plz|postleitzahl|phone|phone_number|telephone"
    "|telefon|tel|mobile|cell|fax|msisdn|iban|ean|sku|ssn)(_|$)"
)
"""In names of columns of digits that are hardly ever amounts."""
_GROUPS = re.compile("(^|_)(gender|sex|age|senior|country|region|state|nationality|ethnicity)(_|$)")

LEAK, IDENTIFIER, ASKED = "leak", "identifier", "open question"
"""Why a column is left out that is suspected to know the outcome, that names a record, or that only
the reader can say of what it is."""

Group = Literal["numbers", "categories", "dates", "left_out"]


@dataclass(frozen=True)
class Entry:
    """A column of the contract.

    Parameters
    ----------
    column : Column
        What the contract requires of it.
    profile : ColumnProfile
        What it is like in the table.
    notes, questions : tuple of str
        What the table shows of it, and what only the reader knows.
    why : str
        Why it is not an input, in a word or two; empty where it is one.
    """

    column: Column
    profile: ColumnProfile
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Draft:
    """A use case to be written.

    Parameters
    ----------
    name : str
        Of the use case.
    profile : Profile
        Of the table that it comes from.
    keys : tuple of Entry
        Of the contract.
    label : Entry
        Likewise.
    numbers, categories, dates, left_out : tuple of Entry
        The other columns of the contract: inputs, dates, and what is not an input.
    months : mapping of str to str
        Dates whose month is an input, and what that is called.
    unread : tuple of ColumnProfile
        Columns of types that no contract can require.
    argument_questions : mapping of str to str
        Questions of the whole, by the argument of the use case that answers them; `isin` of the
        categories, `inputs` of all that may be one.
    """

    name: str
    profile: Profile
    keys: tuple[Entry, ...]
    label: Entry
    numbers: tuple[Entry, ...]
    categories: tuple[Entry, ...]
    dates: tuple[Entry, ...]
    left_out: tuple[Entry, ...]
    months: Mapping[str, str]
    unread: tuple[ColumnProfile, ...]
    argument_questions: Mapping[str, str]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Of the contract, in its order."""
        return (
            *self.keys,
            self.label,
            *self.numbers,
            *self.categories,
            *self.dates,
            *self.left_out,
        )

    @property
    def leaks(self) -> tuple[Entry, ...]:
        """Those left out that are suspected to know the outcome."""
        return tuple(entry for entry in self.left_out if entry.why == LEAK)

    @property
    def inputs(self) -> int:
        """How many inputs the model gets."""
        return len(self.numbers) + len(self.categories) + len(self.months)

    @property
    def kinds(self) -> str:
        """The inputs in words."""
        numbers, categories = len(self.numbers), len(self.categories)
        parts = [
            f"{numbers} {'number' if numbers == 1 else 'numbers'}",
            f"{categories} {'category' if categories == 1 else 'categories'}",
        ]
        months = [f"the month of {' and '.join(self.months)}"] if self.months else []
        return ", ".join(parts + months)

    @property
    def questions(self) -> tuple[tuple[str, str], ...]:
        """Every question, with what it is of."""
        return (
            *((e.profile.source, question) for e in self.entries for question in e.questions),
            *self.argument_questions.items(),
        )

    @property
    def is_few(self) -> bool:
        """Whether there may be too few records for a model to pass the gates."""
        return self.profile.known < FEW_ROWS


def draft(name: str, profile: Profile) -> Draft:
    """Draft a use case.

    Parameters
    ----------
    name : str
        Of the use case.
    profile : Profile
        Of its table.
    """
    of_outcome = {*profile.keys, profile.label}
    others = [column for column in profile.columns if column.source not in of_outcome]
    others += profile.key_days
    inputs = [column for column in others if not _identifier_evidence(column, profile.valid)]
    grouper = _Grouper(profile, inputs)
    groups: dict[Group, list[Entry]] = {
        "numbers": [], "categories": [], "dates": [], "left_out": []
    }  # fmt: skip
    for column in others:
        if column.type.dtype is not None:
            group, entry = grouper.entry(column)
            groups[group].append(entry)
    names = {column.name for column in (*profile.columns, *profile.key_days)}
    months = {
        day: own_name(f"{day}_month", names)
        for day, column in ((entry.column.name, entry.profile) for entry in groups["dates"])
        if column.most - column.least >= SEASON
    }
    without_questions = Draft(
        name=name,
        profile=profile,
        keys=tuple(
            Entry(
                replace(_column(profile[key]), nullable=False),
                profile[key],
                questions=tuple(_copies_question(profile)) if key == profile.keys[0] else (),
            )
            for key in profile.keys
        ),
        label=_label(profile),
        numbers=tuple(groups["numbers"]),
        categories=tuple(groups["categories"]),
        dates=tuple(groups["dates"]),
        left_out=tuple(groups["left_out"]),
        months=months,
        unread=tuple(column for column in others if column.type.dtype is None),
        argument_questions={},
    )
    return replace(without_questions, argument_questions=_argument_questions(without_questions))


def _copies_question(profile: Profile) -> Iterator[str]:
    """Whether one customer is there several times."""
    copies = profile.copies
    if copies is None:
        return
    with_them = ""
    if copies.with_them:
        with_them = f" and {listed(list(map(_in_quotes, copies.with_them)), MOST_NAMED)} repeats"
    yield (
        f"is one customer here several times? {copies.records:,} of {profile.valid:,} records "
        f"share every input and the label with an earlier one{with_them}, so that test scores "
        "flatter. Remove the copies from the source and name the customer as the key; test rows "
        "whose twin was trained on are not judged on."
    )


def _label(profile: Profile) -> Entry:
    questions = []
    if profile.rate > 1 / 2:
        questions.append(
            f"is '{profile.positive}' what is to be foreseen? It is the usual outcome, of "
            f"{profile.rate:.1%}."
        )
    column = profile[profile.label]
    allowed = (profile.negative, profile.positive)
    note = "Blank where the outcome is not known yet: such a record is scored, not trained on."
    return Entry(
        replace(_column(column), isin=allowed, nullable=True),
        column,
        (note,),
        tuple(questions),
    )


def _argument_questions(draft: Draft) -> Mapping[str, str]:
    """What only the reader knows of the whole."""
    questions = {}
    fewest = min(draft.profile.positives, draft.profile.known - draft.profile.positives)
    if fewest < FEWEST_OF_CLASS:
        questions["inputs"] = (
            f"which columns are filled in only when the outcome is known? With {fewest} records of "
            "one outcome, what a column tells of it could not be looked at."
        )
    if any(entry.column.isin for entry in draft.categories):
        questions["isin"] = (
            "are these lists of values complete? A record with any other becomes a reject; without "
            "isin= every value may come."
        )
    questions["description"] = "for whom is this, and what is done with the scores?"
    group = _group_question(draft)
    if group:
        questions["group"] = group
    split_by = _split_question(draft)
    if split_by:
        questions["split_by"] = split_by
    questions["business"] = (
        "what is a contact worth? With amounts, predictions rank whom to contact by value; without "
        "them there is no value, and nobody is told to contact."
    )
    groups = [
        entry.column.name
        for entry in (*draft.categories, *draft.numbers)
        if 1 < entry.profile.distinct <= MOST_GROUPS
        and (entry.column.dtype is DType.STRING or _GROUPS.search(entry.column.name))
    ]
    usual = [name for name in groups if _GROUPS.search(name)] or groups
    if usual:
        questions["slices"] = (
            "which groups must be served alike? Each is judged apart, such as "
            f"slices={Brackets('(', [literal(name) for name in usual[:2]])}."
        )
    if draft.profile.rate < RARE_RATE:
        questions["risk_bands"] = (
            f"from which probability on is a risk high? By default from 60 %, and "
            f"{draft.profile.rate:.1%} of all are {draft.profile.positive}: perhaps "
            f'risk_bands={{"low": 0.0, "medium": {2 * draft.profile.rate:.2g}, '
            f'"high": {5 * draft.profile.rate:.2g}}}.'
        )
    return questions


def _group_question(draft: Draft) -> str:
    """Whether records of one customer or household are to keep to one side of the split."""
    for entry in draft.left_out:
        records = draft.profile.valid - entry.profile.blank
        if entry.why == IDENTIFIER and entry.profile.distinct < records:
            return (
                f"do records of one {entry.profile.source} belong together? It has "
                f"{entry.profile.distinct:,} values in {in_records(records)}. "
                f"group=({literal(entry.column.name)},) keeps them to one side of the split."
            )
    return ""


def _split_question(draft: Draft) -> str:
    """Whether the newest records are to be the test."""
    days = " or ".join(f'split_by="{entry.column.name}"' for entry in draft.dates)
    if len(draft.keys) > 1:
        first = draft.keys[0].profile
        if first.distinct < draft.profile.valid:
            how = days or "split_by= a date that tells when"
            return (
                f"the split puts records of one {first.source} on both sides, so that test scores "
                f"flatter. Are they to keep to one side: group=({literal(first.name)},)? Or is the "
                f"model to be judged on the newest records instead: {how}?"
            )
    if not days:
        return ""
    return (
        "are scores to hold for times to come? Then judge on the newest records and not on some "
        f"of all times: {days}."
    )


class _Grouper:
    """Puts each column into the group of what it is to a model.

    Parameters
    ----------
    profile : Profile
        Of the table.
    others : sequence of ColumnProfile
        Columns that may be inputs.
    """

    def __init__(self, profile: Profile, others: Sequence[ColumnProfile]) -> None:
        self.profile = profile
        strengths = [(c.auc, c.source) for c in others if c.auc is not None and c.auc < LEAK_AUC]
        self.best, self.best_name = max(strengths, default=(0.5, ""))

    def entry(self, column: ColumnProfile) -> tuple[Group, Entry]:
        """The group of a column, and its entry there."""
        entry = Entry(_column(column), column, tuple(self._notes(column)))
        for find in (
            self._empty,
            self._unsettled,
            self._code,
            self._identifier,
            self._leak,
            self._unusable,
        ):
            why = find(column)
            if why is not None:
                notes = entry.notes if why.is_question else (*entry.notes, why.text)
                questions = (why.text,) if why.is_question else ()
                return "left_out", replace(entry, notes=notes, questions=questions, why=why.short)
        *others, last = list(self._questions(column)) or [""]
        if last:
            last += f" Until you answer it is left out; as it stands it goes to {_place(column)}."
            return "left_out", replace(entry, questions=(*others, last), why=ASKED)
        entry = replace(entry, column=_input(column))
        if column.type.dtype is DType.DATE:
            return "dates", entry
        return "categories" if column.type.dtype is DType.STRING else "numbers", entry

    def _notes(self, column: ColumnProfile) -> Iterator[str]:
        """What the values show."""
        if column.type.dtype is not DType.STRING and column.type.unreadable:
            what = "day" if column.type.dtype is DType.DATE else "number"
            yield (
                f"{in_records(column.type.unreadable)} with no {what}, such as "
                f"{_in_quotes(column.type.example)}: rejects."
            )
        yield from writing_notes(column)
        if 0 < column.blank <= FEW_BLANK * self.profile.valid:
            yield f"Blank in {column.blank:,} of {in_records(self.profile.valid)}."

    def _empty(self, column: ColumnProfile) -> _Why | None:
        if not column.distinct:
            return _Why("blank", "Blank in every record.")
        if column.distinct == 1 and not column.blank:
            (only,) = column.values or column.bars
            return _Why("constant", f"{_in_quotes(only.name)} in every record.")
        return None

    def _unsettled(self, column: ColumnProfile) -> _Why | None:
        """Numbers with a mark that may stand before decimals or between thousands."""
        mark = column.type.unsettled
        if not mark:
            return None
        as_decimals = "" if mark == "." else ', decimal=","'
        as_thousands = ', decimal=",", thousands="."' if mark == "." else ', thousands=","'
        return _Why(
            "numbers that may be read in two ways",
            f"does the {'point' if mark == '.' else 'comma'} in {_in_quotes(column.type.example)} "
            "stand before decimals or between thousands? There are three digits behind it wherever "
            f"it stands. Write Float64{as_decimals} for decimals or Int64{as_thousands} for "
            "thousands, and move this to NUMBERS.",
            is_question=True,
        )

    def _code(self, column: ColumnProfile) -> _Why | None:
        """Digits that are hardly an amount, in more values than categories may have."""
        evidence = _evidence_of_code(column)
        if not evidence or column.distinct <= MOST_CATEGORIES:
            return None
        return _Why(
            "code",
            f"is this a code or an amount? It {evidence}, in {column.distinct:,} different values. "
            "Of a code group the values in clean, such as by their first digits, and move it to "
            "CATEGORIES; an amount is Float64, in NUMBERS.",
            is_question=True,
        )

    def _identifier(self, column: ColumnProfile) -> _Why | None:
        if self.profile.copies and column.source in self.profile.copies.with_them:
            return _Why(IDENTIFIER, "Names a customer who is here several times.")
        evidence = _identifier_evidence(column, self.profile.valid)
        if not evidence:
            return None
        if column.type.dtype is DType.INT64 and not _IDENTIFIES.search(column.name):
            return _Why(
                IDENTIFIER,
                f"does this name a record, or is it an amount? It has {evidence}. So it is left "
                "out; move it to NUMBERS if it is an amount.",
                is_question=True,
            )
        return _Why(IDENTIFIER, f"Names a record and tells nothing of it: {evidence}.")

    def _leak(self, column: ColumnProfile) -> _Why | None:
        suspicions = " ".join(self._suspicions(column))
        if not suspicions:
            return None
        return _Why(
            LEAK,
            f"is this known before the outcome is? {suspicions} So it is left out; move it to "
            f"{_place(column)} if it is.",
            is_question=True,
        )

    def _suspicions(self, column: ColumnProfile) -> Iterator[str]:
        if column.auc is None or column.filled is None:
            return
        if column.auc >= LEAK_AUC and 1 - column.auc <= LEAK_GAP * (1 - self.best):
            beside = (
                f" (the next best, {self.best_name}: {self.best:.3f})" if self.best_name else ""
            )
            yield f"Alone it tells the outcome with a ROC AUC of {column.auc:.3f}{beside}."
        stayed, churned = column.filled
        positive, negative = self.profile.positive, self.profile.negative
        if min(abs(stayed - churned), max(stayed, churned)) >= SAME_AS_LABEL:
            yield (
                f"It has a value in {churned:.1%} of the records that are {positive}, and in "
                f"{stayed:.1%} of those that are {negative}."
            )
        elif column.filled_is_pure:
            rows = self.profile.valid - column.blank
            yield (
                f"It has a value in {in_records(rows)}, and all whose outcome is known are "
                f"{positive if churned else negative}."
            )

    def _unusable(self, column: ColumnProfile) -> _Why | None:
        """Text that is not a category."""
        if column.type.dtype is not DType.STRING or column.distinct <= MOST_CATEGORIES:
            return None
        question = _numbers_question(column)
        if question:
            return _Why("numbers as text", question, is_question=True)
        if column.words >= FREE_TEXT_WORDS:
            return _Why("free text", f"Free text, {column.words:.0f} words on average.")
        frequent = sum(bar.rows for bar in column.values[:MOST_GROUPS])
        share = frequent / max(self.profile.valid - column.blank, 1)
        return _Why(
            "too many categories",
            f"how are its {column.distinct:,} values to be grouped? The {MOST_GROUPS} most "
            f"frequent hold {share:.0%} of the records, and of most a model sees too few to learn "
            "from. Group them in clean and move this to CATEGORIES, or leave it out.",
            is_question=True,
        )

    def _questions(self, column: ColumnProfile) -> Iterator[str]:
        """What only the reader knows of what would be an input."""
        if _KNOWS.search(column.name):
            yield "is this known before the outcome is? Its name says that it may not be."
        yield from self._pure_value_questions(column)
        yield from filter(None, [_numbers_question(column)])
        if column.type.other_formats:
            yield (
                f"is the day or the month first? {' and '.join(column.type.other_formats)} would "
                "read every date as well."
            )
        is_whole = column.type.dtype is DType.INT64
        is_flag = (column.least, column.most) == (0, 1)
        is_called_so = _CODES.search(column.name) or _evidence_of_code(column)
        is_even = column.distinct > MOST_CATEGORIES and _digits(column) >= EVEN_DIGITS
        if is_whole and not is_flag and (is_called_so or is_even):
            yield (
                f"are these {column.distinct:,} whole numbers amounts or codes? Codes are String, "
                "in CATEGORIES."
            )
        if column.type.digits:
            yield (
                f"are these codes or amounts? Such as {_in_quotes(column.type.example)} they are "
                "taken for codes, which are not numbers; amounts are Float64, in NUMBERS."
            )
        spellings: dict[str, list[str]] = {}
        if column.type.dtype is DType.STRING:
            for bar in column.values:
                spellings.setdefault(bar.name.casefold(), []).append(bar.name)
        for same in spellings.values():
            if len(same) > 1:
                names = " and ".join(map(_in_quotes, same))
                yield f"are {names} the same? Then make them so in clean."

    def _pure_value_questions(self, column: ColumnProfile) -> Iterator[str]:
        pure = [bar for bar in column.pure if bar.known >= PURE_SHARE * self.profile.known]
        for rate, outcome in ((1, self.profile.positive), (0, self.profile.negative)):
            some = [bar for bar in pure if bar.rate == rate]
            if some:
                names = " or ".join(bar.name for bar in some[:3])
                rows = sum(bar.known for bar in some[:3])
                yield (
                    f"is this known before the outcome is? All {rows:,} records with "
                    f"{column.source} {names} are {outcome}."
                )


def writing_notes(column: ColumnProfile) -> Iterator[str]:
    """How numbers and times are written, where that is not the plain way."""
    kind = column.type
    if kind.style.thousands:
        yield f"Written with {_MARKS[kind.style.thousands]} between thousands."
    if kind.style.decimal == "," and kind.dtype is DType.FLOAT64:
        yield "Written with a comma before decimals."
    for minus in kind.style.minus:
        yield f"Below 0 it is written {_MINUS[minus]}."
    zone = ' zone="Europe/Berlin" would make it the day there.'
    if any("%z" in written for written in kind.formats):
        yield f"Times with a zone; the day is the one that is written.{zone}"
    elif kind.dtype is DType.DATE and "time_zone='" in column.source_type:
        yield f"Times with a zone; the day is the one in UTC.{zone}"


def _evidence_of_code(column: ColumnProfile) -> str:
    """How digits show that they are hardly an amount; empty where they do not."""
    if column.type.dtype not in (DType.STRING, DType.INT64):
        return ""
    if column.type.digits:
        return f"is written as {_in_quotes(column.type.example)}"
    if column.type.dtype is DType.INT64 and _digits(column) >= LONG_DIGITS:
        return f"has {_digits(column)} digits everywhere"
    return "is called so" if _NUMBERED.search(column.name) else ""


def _digits(column: ColumnProfile) -> int:
    """How many digits all whole numbers have; 0 where they differ in it."""
    if column.type.dtype is not DType.INT64 or column.least is None:
        return 0
    digits = {len(str(abs(value))) for value in (column.least, column.most)}
    return digits.pop() if len(digits) == 1 else 0


@dataclass(frozen=True)
class _Why:
    """Why a column is not an input: in a word or two, and as the file says it."""

    short: str
    text: str
    is_question: bool = False


def _column(profile: ColumnProfile) -> Column:
    """What the contract requires of any column."""
    column = contract_column(profile)
    assert column is not None
    return replace(column, nullable=profile.blank > 0)


def _input(profile: ColumnProfile) -> Column:
    """What the contract requires of an input, whose values must be such as a model may learn."""
    column = _column(profile)
    if _is_amount(profile):
        column = replace(column, ge=0)
    frequent = [bar.name for bar in profile.values if bar.rows >= FEWEST_OF_ALLOWED]
    is_text = profile.type.dtype is DType.STRING
    if is_text and 1 < len(frequent) == profile.distinct <= MOST_ALLOWED:
        column = replace(column, isin=tuple(sorted(frequent)))
    return column


def _numbers_question(column: ColumnProfile) -> str:
    """What to ask of text that may be numbers; empty where it is not."""
    kind = column.type
    if kind.dtype is not DType.STRING or not kind.example or kind.digits:
        return ""
    if kind.unreadable:
        return (
            f"what does {_in_quotes(kind.example)} stand for? {in_records(kind.unreadable)} hold "
            "no number, and the others do. If it is a blank, say so by blank=("
            f"{literal(kind.example)},), make this Float64 and put it into NUMBERS."
        )
    return (
        f"are these numbers? They are written as {_in_quotes(kind.example)}, and what stands there "
        "beside digits and marks is not read: write them without it in the source, make this "
        "Float64 and put it into NUMBERS."
    )


def _is_amount(column: ColumnProfile) -> bool:
    """Whether numbers look like counts or money, which are never below 0."""
    if column.type.dtype not in (DType.INT64, DType.FLOAT64) or column.least is None:
        return False
    return bool(column.least >= 0 and column.most > 1 and column.decimals <= MONEY_DECIMALS)


def _identifier_evidence(column: ColumnProfile, records: int) -> str:
    """How values show that they name a record and tell nothing of it; empty where they do not."""
    rows = records - column.blank
    if rows < FEWEST_TO_TELL:
        return ""
    are = f"{column.distinct:,} different values in {in_records(rows)}"
    has_such_name = bool(_IDENTIFIES.search(column.name))
    if column.type.dtype is DType.STRING:
        is_text = column.words >= FREE_TEXT_WORDS or bool(column.type.example)
        all_differ = column.distinct >= NEARLY_ALL * rows and not is_text
        is_code = column.distinct > MOST_CATEGORIES and has_such_name
        return are if all_differ or is_code else ""
    if column.type.dtype is DType.INT64:
        if has_such_name and column.distinct > MOST_CATEGORIES:
            return are
        evidence = _code_evidence(column)
        return f"{are}{evidence}" if column.distinct == rows and evidence else ""
    return ""


def _code_evidence(column: ColumnProfile) -> str:
    """How whole numbers that all differ show that they are not amounts."""
    if column.most - column.least < NEARLY_SEQUENTIAL * column.distinct:
        return ", as if counted up"
    digits = _digits(column)
    return f", each of {digits} digits" if digits >= CODE_DIGITS else ""


def _place(column: ColumnProfile) -> str:
    places = {DType.STRING: "CATEGORIES", DType.DATE: "DATES"}
    return places.get(column.type.dtype, "NUMBERS")  # type: ignore[arg-type]


def _in_quotes(text: str) -> str:
    """A value as it stands in a sentence, on one line and not too long."""
    return f"'{' '.join(text.split())[:_MOST_SHOWN]}'"

"""What a use case is to be made of: decided where a table says enough, asked where it does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from churn_assets.scaffold.profile import (
    FEWEST_OF_CLASS,
    Bar,
    ColumnProfile,
    Profile,
    expected,
)
from churn_assets.usecases.spec import Column, DType

LEAK_AUC, LEAK_GAP = 0.95, 0.5
"""A column that tells the label so well alone is suspected to know it, where it is wrong at most
half as often as the best of the others. What customers are like seldom reaches .9."""
SAME_AS_LABEL = 0.99
"""Share of the records where a blank goes with one outcome."""
MOST_CATEGORIES = 30
"""Each is a column of its own to a model; of more, most have too few records to learn from."""
MOST_ALLOWED, FEWEST_OF_ALLOWED = 12, 5
"""Values that a contract lists, and how often each of them was seen at least: where one was seen
once or twice, others are still to come."""
NEARLY_ALL = 0.95
"""Share of different values among the records, from which on a text names a record."""
NEARLY_SEQUENTIAL = 2.0
"""Whole numbers, all different, that leave at most every other number out were counted up."""
CODE_DIGITS = 6
"""Whole numbers, all different and all of so many digits or more, are codes: amounts differ in
length."""
FREE_TEXT_BLANKS = 3.0
"""Blanks in a text, on average, from which on it is a sentence."""
FEW_BLANK = 0.01
"""Share of the records that is worth a word in the contract."""
PURE_SHARE = 0.01
"""Share of the records; of a smaller group, that all of it has one outcome is worth no question."""
SEASON = timedelta(days=2 * 365)
"""Before each month has come twice, a month tells one year's events from another's, not seasons."""
RARE_RATE = 0.1
"""Of the positive, below which the default risk bands would hold next to nobody."""
FEW_ROWS = 1000
"""With fewer records the gates may not be sure that a model beats guessing."""

_KNOWS = re.compile(
    r"churn|cancel|attrition|exit|left|leav|quit|terminat|deactivat|closed|closing|end_date|"
    r"reason|status|outcome|score|predict|probab|refund|retention|win_?back|complain|_after"
)
"""What the names of columns have in them that are often filled in when the outcome is known."""
_IDENTIFIES = re.compile(r"(^|_)(id|ids|uuid|guid|key|nr|no|number|code|hash|email|phone|iban)$")
_IS_CODE = re.compile(r"(^|_)(code|zip|zipcode|postcode|plz|type|class|category|segment|region)(_|$)")
_GROUPS = re.compile(r"(^|_)(gender|sex|age|senior|country|region|state|nationality|ethnicity)(_|$)")

Group = Literal["number", "category", "date", "left out"]


@dataclass(frozen=True)
class Entry:
    """A column of the contract.

    Parameters
    ----------
    column : Column
        What the contract asks of it.
    profile : ColumnProfile
        What it was seen to be.
    notes, questions : tuple of str
        What was assumed of it, and what the reader must say.
    """

    column: Column
    profile: ColumnProfile
    notes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draft:
    """A use case to be written.

    Parameters
    ----------
    name : str
        Of the use case.
    profile : Profile
        What it was made from.
    keys, label : tuple of Entry, Entry
        Of the contract.
    numbers, categories, dates, left_out : tuple of Entry
        The other columns of the contract: model inputs, dates, and what is no input.
    months : tuple of str
        Dates whose month is an input.
    unread : tuple of ColumnProfile
        Columns that no contract can hold.
    asked : mapping of str to tuple of str
        Questions by what they are of: ``isin``, ``clean``, ``split_by``, ``business``,
        ``slices``, ``risk_bands``, ``description``.
    """

    name: str
    profile: Profile
    keys: tuple[Entry, ...]
    label: Entry
    numbers: tuple[Entry, ...]
    categories: tuple[Entry, ...]
    dates: tuple[Entry, ...]
    left_out: tuple[Entry, ...]
    months: tuple[str, ...]
    unread: tuple[ColumnProfile, ...]
    asked: dict[str, str]

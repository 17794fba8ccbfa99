"""The types that a use case is made of."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Literal

from churn_assets.types import Frame

if TYPE_CHECKING:
    import pyarrow as pa


class DType(enum.Enum):
    """The type that a column has once it is parsed."""

    STRING = "string"
    INT64 = "int64"
    FLOAT64 = "float64"
    DATE = "date"


String, Int64, Float64, Date = DType.STRING, DType.INT64, DType.FLOAT64, DType.DATE
ISO = ("%Y-%m-%d",)
_DECIMALS, _THOUSANDS = (".", ","), ("", ".", ",", " ", "'", "_")
_MINUS = ("behind", "brackets", "dash")

RESERVED = frozenset({
    # Beside the inputs in features, and beside the key in predictions.
    "label", "split", "to_score", "churn_probability", "decision", "threshold", "risk_band", "expected_value",
    "contact", "rank", "reason_1", "reason_2", "reason_3", "model_version", "features_version",
    "scored_at",
    # Beside the columns of the source in raw and rejects.
    "source_uri", "ingested_at", "line_fault", "reasons",
})  # fmt: skip
"""Names of what tables hold beside a source's own columns."""
_IN_REQUESTS = frozenset({
    "request_id", "row", "requested_at", "form", "route", "inputs", "semantic_version", "variant", "share",
    "shadow", "latency_ms", "status", "refusal",
})  # fmt: skip
"""Names of what the log of servers holds beside the key."""
_IN_FEATURES = ("label", "split", "to_score")
_TYPES = {String: "text", Int64: "whole number", Float64: "number", Date: "date"}
_UNITS = ("seconds", "minutes", "hours", "days", "weeks", "months", "years", "percent", "kb", "mb")
_COUNTS = ("num", "number", "number of", "count", "count of")
_NOT_IN_TABLES = re.compile(r"[ ,;{}()\n\t=.`]")


def delta_name(name: str) -> str:
    """Name under which a source column is kept in raw.

    Delta and Parquet refuse some characters in names, and Spark takes others for its own
    quotes and separators, so they become underscores.

    >>> delta_name("booking status")
    'booking_status'
    >>> delta_name("avg.price")
    'avg_price'
    """
    return _NOT_IN_TABLES.sub("_", name)


@dataclass(frozen=True)
class Column:
    """What one column of a source must hold.

    Parameters
    ----------
    name : str
        Name from silver on, in snake_case, with its unit where that helps.
    dtype : DType
        Type from silver on.
    source : str, optional
        Name in the source; `name` by default.
    nullable : bool
        Whether a record may leave it blank.
    unique : bool
        Whether two records may not share a value.
    ge, le : float or date, optional
        Least and greatest allowed value, inclusive.
    isin : tuple, optional
        The allowed values.
    odd : tuple of float
        Values that are valid and odd: they are kept, and counted as outliers.
    formats : tuple of str
        How dates are written in text, as `strptime` has it: `%Y`, `%m` and `%d`, with or without
        leading zeros, `%y` of two digits from 1969 on, `%b` for the English names of months, short
        or whole; and a time of day, which is left out: `%H` or `%I` with `%p`, `%M`, `%S` with or
        without fractions, and `%z`, which is Z or an offset from UTC.
    zone : str
        Time zone that the days of times with a zone are told in, such as Europe/Berlin; without one
        the day is the one that text has, and of typed times the one in UTC.
    decimal, thousands : str
        How numbers are written in text: what stands before decimals, a point or a comma, and
        between groups of three digits: a point, a comma, a blank, an apostrophe or an underscore.
    minus : tuple of {"behind", "brackets", "dash"}
        How numbers below 0 are written in text, beside -1: 1-, (1), or with a dash such as U+2212.
    blank : tuple of str
        What is written in text for a value that is not there, such as NA, beside nothing at all.
    description : str
        What the column holds, in a short phrase for people.
    """

    name: str
    dtype: DType
    source: str = ""
    nullable: bool = False
    unique: bool = False
    ge: float | date | None = None
    le: float | date | None = None
    isin: tuple[str | int | float, ...] | None = None
    odd: tuple[float, ...] = ()
    formats: tuple[str, ...] = ISO
    zone: str = ""
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "_"] = ""
    minus: tuple[Literal["behind", "brackets", "dash"], ...] = ()
    blank: tuple[str, ...] = ()
    # Not in the repr, which enters code versions: it tells people something and decides nothing.
    description: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)
        if self.isin is not None:
            object.__setattr__(self, "isin", tuple(self.isin))
        self._require_readable()

    def _require_readable(self) -> None:
        """Refuse what says no way of writing numbers or dates."""
        if self.decimal not in _DECIMALS or self.thousands not in _THOUSANDS:
            raise ValueError(
                f"{self.name}: decimal= is one of {_DECIMALS} and thousands= of {_THOUSANDS}"
            )
        if self.decimal == self.thousands:
            raise ValueError(f"{self.name}: decimal= and thousands= are both '{self.decimal}'")
        if not set(self.minus) <= set(_MINUS):
            raise ValueError(f"{self.name}: minus={self.minus!r} is not among {_MINUS}")
        for written in self.formats:
            if not all(re.search(part, written) for part in ("%[Yy]", "%[mb]", "%d")):
                raise ValueError(f"{self.name}: '{written}' says no year, month or day")
        if self.zone and not _is_zone(self.zone):
            raise ValueError(f"{self.name}: '{self.zone}' is not a time zone such as Europe/Berlin")

    @property
    def facts(self) -> str:
        """The type and what is allowed, in a short phrase.

        >>> Column("tenure_months", Int64, ge=0, nullable=True).facts
        'whole number, at least 0, may be blank'
        >>> Column("partner", String, isin=("Yes", "No"), unique=True).facts
        'Yes or No, unique'
        """
        facts = [_TYPES[self.dtype] + (f" in {self.zone}" if self.zone else "")]
        if self.isin:
            *others, last = (" ".join(str(value).split()) for value in self.isin)
            facts = [f"{', '.join(others)} or {last}" if others else last]
        if self.ge is not None and self.le is not None:
            facts.append(f"from {self.ge} to {self.le}")
        elif self.ge is not None:
            facts.append(f"at least {self.ge}")
        elif self.le is not None:
            facts.append(f"at most {self.le}")
        facts += ["may be blank"] if self.nullable else []
        facts += ["unique"] if self.unique else []
        return ", ".join(facts)


def _is_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


class Contract:
    """The columns that a source must have, and how many records at least.

    Parameters
    ----------
    *columns : Column
        In the order that silver has them.
    min_rows : int
        Fewer records than this break the contract.
    key : sequence of str
        Columns that two records may not share all values of; a use case names its own key.
    """

    def __init__(self, *columns: Column, min_rows: int = 1, key: Sequence[str] = ()) -> None:
        self.columns = columns
        self.min_rows = min_rows
        self.key = tuple(key)

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def __repr__(self) -> str:
        return f"Contract({self.columns}, min_rows={self.min_rows}, key={self.key})"

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def unique(self) -> tuple[tuple[str, ...], ...]:
        """Columns that two records may not share all values of, each set of them."""
        alone = [(column.name,) for column in self.columns if column.unique]
        return tuple(dict.fromkeys([*([self.key] if self.key else []), *alone]))

    def with_key(self, key: Sequence[str]) -> Contract:
        """The contract with a key."""
        return Contract(*self.columns, min_rows=self.min_rows, key=key)


@dataclass(frozen=True)
class Label:
    """The column that is predicted; null where the outcome is not known yet."""

    column: str
    positive: str


@dataclass(frozen=True)
class Labels:
    """Outcomes that come later, from a source of their own.

    Parameters
    ----------
    contract : Contract
        What a record of that source must hold: the key by the use case's names, the label's
        column, and `time` where it has one.
    time : str, optional
        Date column of it: the day of the outcome. With the use case's `time` a customer may have a
        record for each day and several outcomes, and each is the label of the newest record of
        before: one that is newer tells what was not known then.
    """

    contract: Contract
    time: str | None = None


SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Who is trained on and who is only judged by.

    By a salted hash of the key a customer never changes side as the table grows. By time the
    newest rows are test, and rows move from test to train only.

    Parameters
    ----------
    salt : str
        Two salts give unrelated splits.
    train, validation : float
        Shares of the customers; the rest is test.
    """

    salt: str
    train: float = 0.6
    validation: float = 0.2

    def __str__(self) -> str:
        return f"hash/1 salt={self.salt} train={self.train:g} validation={self.validation:g}"


def hash_split(split: Split, group: Sequence[str] = ()) -> str:
    """A split by a hash of the key or of a group's columns, as all that comes from it stores it.

    >>> hash_split(Split("a"))
    'hash/1 salt=a train=0.6 validation=0.2'
    >>> hash_split(Split("a"), ["household"])
    'hash/1 salt=a train=0.6 validation=0.2 group=household'
    """
    return f"{split} group={'+'.join(group)}" if group else str(split)


def time_split(by: str, test_from: date) -> str:
    """A split by time, as it is stored with all that comes from it.

    >>> time_split("day", date(2018, 10, 3))
    'time/1 by=day test_from=2018-10-03'
    """
    return f"time/1 by={by} test_from={test_from}"


def is_apart(model: str, rows: str) -> bool:
    """Whether a model of one split has seen no test row of another.

    Parameters
    ----------
    model, rows : str
        Splits as they are stored: of the model, and of the rows to judge by.

    >>> is_apart("hash/1 salt=a", "hash/1 salt=b")
    False
    >>> is_apart("time/1 by=day test_from=2018-10-03", "time/1 by=day test_from=2018-11-01")
    True
    >>> is_apart("time/1 by=day test_from=2018-11-01", "time/1 by=day test_from=2018-10-03")
    False
    """
    before, after = (_TIME_SPLIT.fullmatch(split) for split in (model, rows))
    if before is None or after is None:
        return model == rows
    # Days in ISO format are ordered as their text is.
    return before["by"] == after["by"] and before["day"] <= after["day"]


def tested_from(split: str, by: str) -> date | None:
    """The day from which rows are test, of a split by time as it is stored; None of another one.

    >>> tested_from("time/1 by=day test_from=2018-10-03", "day")
    datetime.date(2018, 10, 3)
    """
    match = _TIME_SPLIT.fullmatch(split)
    return date.fromisoformat(match["day"]) if match and match["by"] == by else None


_TIME_SPLIT = re.compile(r"time/1 by=(?P<by>\S+) test_from=(?P<day>\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class PerCustomer:
    """An amount that differs from customer to customer: a column of `features`, times a number.

    Parameters
    ----------
    column : str
        A numeric column that the use case's `features` gives. Where it is null the amount is not
        known, and neither is what a contact is worth: nobody is contacted for it.
    times : float
        What the column is multiplied by.
    """

    column: str
    times: float = 1.0


Amount = float | PerCustomer


@dataclass(frozen=True)
class BusinessCase:
    """What it is worth to contact a customer, against doing nothing.

    Parameters
    ----------
    currency : str
        Of all amounts, as ISO 4217 has it.
    customer_value : float or PerCustomer
        What is kept with a customer who would have left and is saved.
    offer_cost : float or PerCustomer
        What the offer costs where it is accepted.
    contact_cost : float or PerCustomer
        What each contact costs.
    save_rate : float
        Share of those who would leave that the offer keeps, in [0, 1].
    accept_rate : float
        Share of those who would stay anyway that take the offer, in [0, 1].
    """

    currency: str
    customer_value: Amount
    offer_cost: Amount
    contact_cost: Amount = 0.0
    save_rate: float = 0.3
    accept_rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("save_rate", "accept_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}, and not a share between 0 and 1"
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of `features` that the amounts come from."""
        amounts = (self.customer_value, self.offer_cost, self.contact_cost)
        return tuple(
            dict.fromkeys(amount.column for amount in amounts if isinstance(amount, PerCustomer))
        )


FrameFunction = Callable[[Frame], Frame]
Generate = Callable[[int, int], Iterator["pa.RecordBatch"]]


@dataclass(frozen=True)
class UseCase:
    """What is predicted, for whom, from what.

    Parameters
    ----------
    name : str
        Prefix of the asset keys, name of the folder in the lake and of the model.
    key : str or tuple of str
        Column that names a customer, or columns that do together.
    label : Label
        What is predicted.
    contract : Contract
        What a record must hold; no two records share a key.
    clean : callable
        From typed, valid records to silver; a Narwhals frame function.
    features : callable
        From silver to the key, the model inputs and the label's column; likewise.
    numeric, categorical : tuple of str
        The model inputs among the columns of `features`.
    description : str
        What the model does and for whom; shown in the registry.
    generate : callable, optional
        ``generate(rows, seed)`` gives made-up source records in Arrow batches.
    risk_bands : mapping of str to float
        Least churn probability of each band, ascending from 0.
    split : Split, optional
        Shares of train and validation, and the salt; salted with the name by default.
    split_by : str, optional
        Date column of `features` whose newest rows are test; by default the key's hash splits.
    group : tuple of str
        Columns of `features`, of text or whole numbers, whose rows of one value belong together,
        such as a household or the customer of customer-months: nobody is judged on a row of a
        group that was trained on. By default each row stands alone, as does one without a value.
    labels : Labels, optional
        Where the label comes from a source of its own, what that holds.
    time : str, optional
        Date column of `features`: the day that a record tells of.
    business : BusinessCase, optional
        What a contact is worth.
    slices : tuple of str
        Columns of `features` whose groups of customers are judged apart as well, model inputs
        or not.
    calibration_error : float
        Expected calibration error, and error of the mean score, that does no harm; more where
        rates move with time. Of an outcome that is rarer than one in four it is the same share of
        its rate. One above .03 lets Cox's slope and intercept be as much wider off.
    monotone : mapping of str to int
        Numeric inputs of which more must never lower (1) or never raise (-1) the score.
    words : mapping of str to str
        How people call a model input, where its name with blanks does not say it; stands in the
        reasons of predictions.
    glossary : mapping of str to str
        What columns of `features` that no contract has hold and how they are made, each in a
        short phrase for people.
    """

    name: str
    key: str | tuple[str, ...]
    label: Label
    contract: Contract
    clean: FrameFunction
    features: FrameFunction
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    description: str
    generate: Generate | None = None
    risk_bands: Mapping[str, float] = field(
        default_factory=lambda: {"low": 0.0, "medium": 0.3, "high": 0.6}
    )
    split: Split = Split("")
    split_by: str | None = None
    group: tuple[str, ...] = ()
    labels: Labels | None = None
    time: str | None = None
    business: BusinessCase | None = None
    slices: tuple[str, ...] = ()
    calibration_error: float = 0.03
    monotone: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    glossary: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.split.salt:
            object.__setattr__(self, "split", replace(self.split, salt=self.name))
        object.__setattr__(self, "contract", self._with_key(self.contract, self.row_keys))
        if self.labels is not None:
            day = (self.labels.time,) if self.is_point_in_time and self.labels.time else ()
            keyed = self._with_key(self.labels.contract, (*self.keys, *day))
            object.__setattr__(self, "labels", replace(self.labels, contract=keyed))
        if self.label.column not in self.label_contract:
            raise ValueError(
                f"{self.name}: no contract has the label's column '{self.label.column}'"
            )
        self._require_no_outcome()
        self._require_free_names()

    def _require_no_outcome(self) -> None:
        """Refuse the label where the outcome is not known yet, or says who belongs together."""
        amounts = () if self.business is None else self.business.columns
        places = {
            "its key": self.keys,
            "its inputs": self.inputs,
            "the amounts of its business case": amounts,
            "its slices": self.slices,
            "its group": self.group,
        }
        for place, columns in places.items():
            if self.label.column in columns:
                raise ValueError(
                    f"{self.name}: the label's column '{self.label.column}' is among {place}, and "
                    "it is what is predicted. Take it out there"
                )

    def _require_free_names(self) -> None:
        """Refuse a column that is called as one that tables add to it."""
        taken = [name for name in self.keys if name in RESERVED | _IN_REQUESTS]
        taken += [name for name in (*self.inputs, *self.beside) if name in _IN_FEATURES]
        if taken:
            raise ValueError(
                f"{self.name}: '{taken[0]}' is what a column is called that the tables add. Give "
                f"the column another name, such as '{taken[0]}_given', and its source's as `source`"
            )

    def _with_key(self, contract: Contract, key: Sequence[str]) -> Contract:
        for name in self.keys:
            if name not in contract or contract[name].dtype not in (DType.STRING, DType.INT64):
                raise ValueError(
                    f"{self.name}: '{name}' of its key is not a column of text or whole numbers "
                    "in each contract"
                )
        return contract.with_key(key)

    @property
    def declared(self) -> dict[str, str]:
        """All that it says beside its functions, as texts that are equal for what is equal.

        They enter code versions; what only describes columns to people stands in no repr, and so
        not in here.
        """
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.repr}
        return {name: repr(value) for name, value in values.items() if not callable(value)}

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key,) if isinstance(self.key, str) else self.key

    @property
    def is_point_in_time(self) -> bool:
        """Whether records and labels have days: a label is of the newest record before it."""
        return bool(self.time and self.labels and self.labels.time)

    @property
    def row_keys(self) -> tuple[str, ...]:
        """The columns that tell rows of silver apart, and labelled rows of features.

        Those of the key; and the day of a record, where a customer may have one for each day.
        """
        by_day = self.is_point_in_time and self.time in self.contract
        return tuple(dict.fromkeys((*self.keys, *([self.time] if by_day and self.time else []))))

    @property
    def together(self) -> tuple[str, ...]:
        """The columns whose rows of one value belong together; none where each stands alone."""
        return self.group or (self.keys if self.row_keys != self.keys else ())

    @property
    def label_contract(self) -> Contract:
        """The contract that the label's column stands in."""
        return self.contract if self.labels is None else self.labels.contract

    @property
    def days(self) -> tuple[str, ...]:
        """Columns of `features` that tell when."""
        return tuple(dict.fromkeys(name for name in (self.split_by, self.time) if name))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The model inputs, numeric ones first."""
        return self.numeric + self.categorical

    def called(self, name: str) -> str:
        """A model input as people call it."""
        return self.words.get(name, name.replace("_", " "))

    def describe(self, name: str) -> str:
        """What a column of raw, silver or features holds, in a short phrase.

        Parameters
        ----------
        name : str
            The column's name in one of these tables.

        Returns
        -------
        str
            The description that the contract or the glossary has. Else how people call the
            column, with its unit where its name ends in one, and for a column of a contract its
            type and what is allowed.
        """
        column = self._column(name)
        if column is not None and column.description:
            return column.description
        if name in self.glossary:
            return self.glossary[name]
        called = self._with_unit(name if column is None else column.name)
        return called if column is None else f"{called}, {column.facts}"

    def _column(self, name: str) -> Column | None:
        """The column of a contract by its own name, or else by its name in raw."""
        contracts = (
            [self.contract] if self.labels is None else [self.contract, self.labels.contract]
        )
        columns = [column for contract in contracts for column in contract.columns]
        named = (column for column in columns if column.name == name)
        in_raw = (column for column in columns if delta_name(column.source) == name)
        return next(named, next(in_raw, None))

    def _with_unit(self, name: str) -> str:
        """A column as people call it, with its unit."""
        stem, _, end = name.rpartition("_")
        stem = stem.replace("_", " ")
        currency = "" if self.business is None else self.business.currency
        if name in self.words or not stem or stem in _COUNTS:
            return self.called(name)
        if currency and end == currency.lower():
            return f"{stem} in {currency}"
        return f"{stem} in {end}" if end in _UNITS else self.called(name)

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns of `features` that are not model inputs: for value, slices and groups."""
        amounts = () if self.business is None else self.business.columns
        columns = (*amounts, *self.slices, *self.group)
        return tuple(dict.fromkeys(c for c in columns if c not in (*self.keys, *self.inputs)))

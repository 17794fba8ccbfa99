"""What a table is like, column by column, beside the label that it is to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import SourceError
from churn_assets.pages.html import few
from churn_assets.scaffold.keys import Copies, copies_beside, require_key
from churn_assets.scaffold.names import column_names, own_name
from churn_assets.scaffold.recognise import ColumnType, recognise
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.sources.columns import hint, listed, quoted
from churn_assets.usecases.spec import Column, Contract, DType, delta_name

if TYPE_CHECKING:
    import polars as pl

    from churn_assets.scaffold.sample import Sample
    from churn_assets.types import Bools, Indices


FOLDS, BINS, SMOOTHING = 5, 50, 5.0
"""How a column alone tells the label: by the label's rate among the other folds' records of one
value, or of one of so many bins of numbers, as if so many records more had the overall rate."""
FEWEST_OF_CLASS = 20
"""Records of either outcome; of fewer a ROC AUC is often off by a tenth, and tells nothing."""
CHANCE = 1e-6
"""A value whose records all have one label says something where chance would bring that less often:
there are thousands of values to find one among."""
SHOWN_BINS, SHOWN_VALUES, FEWEST_SHOWN = 20, 12, 10
"""Bars of a picture; a value of so few records that a customer may be recognised has none."""
TOTAL_ERROR = 1e-9
"""Of a sum that was written with all its digits."""
KEPT_VALUES, BLANK = 50, "blank"
"""The most frequent values, of which something may be told; and what no value is called."""
_MOST_LISTED = 5


@dataclass(frozen=True)
class Bar:
    """Records of one value, or of a range of values.

    Parameters
    ----------
    name : str
        The value; of a range its least.
    rows, known : int
        Records, and those of them whose label is known.
    rate : float, optional
        Share of the positive among these; None where there is none, or it must not be shown.
    """

    name: str
    rows: int
    known: int
    rate: float | None


@dataclass(frozen=True)
class ColumnProfile:
    """What one column is like.

    Parameters
    ----------
    source, name : str
        In the source, and from silver on.
    source_type : str
        Its type in the source.
    type : ColumnType
        What its values are.
    blank, distinct : int
        Records without a value, and how many values the others have.
    least, most : float or date, optional
        Of numbers and dates.
    decimals : int
        That its numbers have at most, up to 3.
    words : float
        In its texts, on average.
    values : tuple of Bar
        The most frequent ones of texts, and of numbers of which there are few.
    bars : tuple of Bar
        For a picture: values, or ranges in their order; blank ones last.
    auc : float, optional
        ROC AUC of the label told by this column alone, out of fold; None where it tells nothing.
    filled : tuple of float, optional
        Share of the records that have a value, among the negative and the positive.
    pure : tuple of Bar
        Values whose records all have one label, which is not chance.
    filled_is_pure : bool
        Whether that holds of all records that have a value, beside others that have none.
    """

    source: str
    name: str
    source_type: str
    type: ColumnType
    blank: int = 0
    distinct: int = 0
    least: Any = None
    most: Any = None
    decimals: int = 0
    words: float = 0.0
    values: tuple[Bar, ...] = ()
    bars: tuple[Bar, ...] = ()
    auc: float | None = None
    filled: tuple[float, float] | None = None
    pure: tuple[Bar, ...] = ()
    filled_is_pure: bool = False


@dataclass(frozen=True)
class Profile:
    """What a table is like.

    Parameters
    ----------
    rows, read : int
        Records of the source, and how many of them were looked at.
    uri : str
        Where they come from, without credentials.
    keys, label : sequence of str, str
        Columns as the source calls them.
    positive, negative : str
        Values of the label.
    known, positives : int
        Records whose label is known, and those of them that have the positive one.
    unreadable : int
        Records that hold a value which is not of its column's type.
    columns : tuple of ColumnProfile
        In the order of the source; a key is text, whatever it holds.
    key_days : tuple of ColumnProfile
        Columns of the key that hold dates, as dates.
    unique : tuple of str
        Columns that would make a key by themselves.
    totals : tuple of str
        Keys of records without a label whose numbers are the sums of all others.
    copies : Copies, optional
        Records that are copies of others in all but the key, where these are not chance.
    """

    rows: int
    read: int
    uri: str
    keys: tuple[str, ...]
    label: str
    positive: str
    negative: str
    known: int
    positives: int
    unreadable: int
    columns: tuple[ColumnProfile, ...]
    key_days: tuple[ColumnProfile, ...]
    unique: tuple[str, ...]
    totals: tuple[str, ...] = ()
    copies: Copies | None = None

    @property
    def rate(self) -> float:
        """Share of the positive among the records whose label is known."""
        return self.positives / self.known

    @property
    def valid(self) -> int:
        """Records that hold only values of their columns' types."""
        return self.read - self.unreadable

    @property
    def file_name(self) -> str:
        """What the source is called, without its folders."""
        return self.uri.rstrip("/").rpartition("/")[2]

    @property
    def is_whole(self) -> bool:
        """Whether every record of the source was looked at."""
        return self.rows == self.read

    def __getitem__(self, source: str) -> ColumnProfile:
        return next(column for column in self.columns if column.source == source)


def profile(sample: Sample, keys: Sequence[str], label: str, positive: str) -> Profile:
    """Profile a table.

    Parameters
    ----------
    sample : Sample
        Its records.
    keys : sequence of str
        Columns that name a customer, as the source calls them.
    label : str
        The column that is predicted.
    positive : str
        Its value that counts as churn.

    Raises
    ------
    SourceError
        Where a column does not exist, the key is blank or repeats, or the label has not two values
        of which one is the positive.
    """
    import narwhals.stable.v2 as nw

    for name in (*keys, label):
        _require_column(sample, name)
    if len({*keys, label}) <= len(keys):
        raise SourceError(
            f"{sample.uri}: the columns of the key and the label must be different ones; these are "
            f"{_listed([*keys, label])}."
        )
    names = column_names(sample.sources, label)
    schema = sample.records.schema
    types = recognise(sample.records, [delta_name(label)])
    columns = [
        ColumnProfile(
            source, names[source], str(schema[delta_name(source)]), types[delta_name(source)]
        )
        for source in sample.sources
    ]
    days = [
        replace(column, name=own_name(f"{column.name}_day", names.values()))
        for column in columns
        if column.source in keys and column.type.dtype is DType.DATE
    ]
    as_text = ColumnType(DType.STRING)
    columns = [replace(c, type=as_text) if c.source in keys else c for c in columns]
    contract = Contract(
        *(Column(names[key], DType.STRING, source=key) for key in keys),
        *filter(None, map(contract_column, [*(c for c in columns if c.source not in keys), *days])),
        key=[names[key] for key in keys],
    )
    validated = validate(nw.from_native(sample.records.lazy()), contract, PolarsEngine())
    _require_values(sample.uri, validated.broken, keys, label)
    typed: pl.DataFrame = validated.valid.to_native().collect()
    negative = _other_value(sample.uri, typed[names[label]], label, positive)
    require_key(sample.uri, typed, keys, names)
    labelled = _LabelledRecords(typed, typed[names[label]], positive)
    columns = [
        column
        if column.type.dtype is None
        else labelled.profile(column, beside_label=column.source != label)
        for column in columns
    ]
    return Profile(
        rows=sample.rows,
        read=sample.records.height,
        uri=sample.uri,
        keys=tuple(keys),
        label=label,
        positive=positive,
        negative=negative,
        known=len(labelled.outcomes),
        positives=int(labelled.outcomes.sum()),
        unreadable=validated.rejected,
        columns=tuple(columns),
        key_days=tuple(labelled.profile(column, beside_label=True) for column in days),
        unique=tuple(
            column.source
            for column in columns
            if column.source != label
            and column.type.dtype in (DType.STRING, DType.INT64)
            and column.distinct == typed.height
        ),
        totals=_totals(typed, names[keys[0]], names[label]) if sample.is_whole else (),
        copies=copies_beside(typed, [names[key] for key in keys], names[label], names),
    )


def contract_column(column: ColumnProfile) -> Column | None:
    """What a contract must require of a column at least; None where it can require nothing."""
    kind = column.type
    if kind.dtype is None:
        return None
    least = Column(column.name, kind.dtype, source=column.source, nullable=True, blank=kind.blanks)
    if kind.dtype is not DType.STRING:
        least = replace(least, **kind.style.arguments)
    return replace(least, formats=kind.formats) if kind.formats else least


def in_records(count: int) -> str:
    """A count of records as it stands in a sentence."""
    return "1 record" if count == 1 else f"{count:,} records"


class _LabelledRecords:
    """Typed records beside their label.

    Parameters
    ----------
    typed : DataFrame
        The records, in an order that says nothing of them.
    label : Series
        Their label as text, null where it is not known.
    positive : str
        Its value that counts as churn.
    """

    def __init__(self, typed: pl.DataFrame, label: pl.Series, positive: str) -> None:
        self.typed = typed
        self.known: Bools = label.is_not_null().to_numpy()
        self.outcomes: Bools = (label == positive).fill_null(value=False).to_numpy()[self.known]
        self.rate = float(self.outcomes.mean())
        fewest = min(int(self.outcomes.sum()), int((~self.outcomes).sum()))
        self.is_enough = fewest >= FEWEST_OF_CLASS

    def profile(self, column: ColumnProfile, *, beside_label: bool) -> ColumnProfile:
        """What a column is like; beside the label, unless it is the label."""
        values = self.typed[column.name]
        present = values.drop_nulls()
        is_text = column.type.dtype is DType.STRING
        column = replace(
            column,
            blank=values.null_count(),
            distinct=present.n_unique(),
            least=None if is_text else present.min(),
            most=None if is_text else present.max(),
            decimals=_decimals(present) if column.type.dtype is DType.FLOAT64 else 0,
            words=_words(present) if is_text else 0.0,
        )
        if column.distinct <= SHOWN_BINS or is_text:
            blank, *bars = self._bars(_ranks(values), present.unique().sort().cast(str))
            frequent = sorted(bars, key=lambda bar: -bar.rows)
            column = replace(
                column,
                values=tuple(frequent),
                pure=tuple(bar for bar in frequent if self._is_no_chance(bar)),
                bars=_picture_bars(frequent if is_text else bars, blank, is_text=is_text),
            )
        else:
            blank, *bars = self._bars(*_ranges(values))
            column = replace(column, bars=_picture_bars(bars, blank, is_text=is_text))
        if not (beside_label and self.is_enough and column.distinct):
            return column
        is_few = column.distinct <= BINS or is_text
        filled = values.is_not_null().to_numpy()
        _, whole = self._bars(filled.astype(int), [""])
        return replace(
            column,
            auc=self._auc(_ranks(values) if is_few else _quantiles(values)),
            filled=(
                float(filled[self.known][~self.outcomes].mean()),
                float(filled[self.known][self.outcomes].mean()),
            ),
            filled_is_pure=column.blank > 0 and self._is_no_chance(whole),
        )

    def _bars(self, codes: Indices, names: Sequence[str] | pl.Series) -> list[Bar]:
        """Records and rate of each code, in their order; of 0, the blank ones, first.

        Of more than are kept, the most frequent.
        """
        many = len(names) + 1
        rows = np.bincount(codes, minlength=many)
        known = np.bincount(codes[self.known], minlength=many)
        positive = np.bincount(codes[self.known], weights=self.outcomes, minlength=many)
        frequent = np.argsort(-rows[1:], kind="stable")[:KEPT_VALUES]
        return [
            Bar(
                names[i - 1] if i else "",
                int(rows[i]),
                int(known[i]),
                float(positive[i] / known[i]) if known[i] else None,
            )
            for i in (0, *(np.sort(frequent) + 1).tolist())
        ]

    def _is_no_chance(self, bar: Bar) -> bool:
        """Whether all records have one label, which by chance would be seldom."""
        if bar.rate not in (0, 1):
            return False
        return (self.rate if bar.rate else 1 - self.rate) ** bar.known < CHANCE

    def _auc(self, codes: Indices) -> float:
        """ROC AUC of the rate of each code in the other folds."""
        known, many = codes[self.known], int(codes.max()) + 1
        cells = np.arange(len(known)) % FOLDS * many + known
        shape = (FOLDS, many)
        rows = np.bincount(cells, minlength=FOLDS * many).reshape(shape)
        positive = np.bincount(cells, self.outcomes, minlength=FOLDS * many).reshape(shape)
        elsewhere = rows.sum(0) - rows + SMOOTHING
        scores = (positive.sum(0) - positive + SMOOTHING * self.rate) / elsewhere
        _, places = np.unique(scores.ravel(), return_inverse=True)
        churned = np.bincount(places, positive.ravel())
        stayed = np.bincount(places, (rows - positive).ravel())
        below = np.cumsum(stayed) - stayed / 2
        return max(float(churned @ below / (churned.sum() * stayed.sum())), 0.5)


def _totals(typed: pl.DataFrame, key: str, label: str) -> tuple[str, ...]:
    """Records without a label of which a number is the sum of all others."""
    import polars as pl

    sums = []
    for name in (name for name, dtype in typed.schema.items() if dtype.is_numeric()):
        value, rest = pl.col(name), pl.col(name).sum() - pl.col(name)
        is_sum = (value != 0) & ((value - rest).abs() <= TOTAL_ERROR * value.abs())
        # Of two equal numbers beside zeros each is the sum of the others.
        sums.append(is_sum & (is_sum.sum() == 1))
    is_total = pl.any_horizontal(*sums, pl.lit(value=False)) & pl.col(label).is_null()
    return tuple(typed.filter(is_total)[key].to_list())


def _words(texts: pl.Series) -> float:
    """How many words a text has, on average."""
    return float(np.mean(texts.str.count_matches(r"\S+").to_numpy())) if len(texts) else 0.0


def _ranks(values: pl.Series) -> Indices:
    """A code from 1 for each value in their order, 0 where there is none."""
    return values.rank("dense").fill_null(0).cast(int).to_numpy()


def _quantiles(values: pl.Series) -> Indices:
    """A code for each range of about as many records, 0 where there is no value."""
    places = (values.rank("average") - 0.5) * BINS / max(values.count(), 1)
    return (places.floor() + 1).fill_null(0).cast(int).to_numpy()


def _ranges(values: pl.Series) -> tuple[Indices, list[str]]:
    """A code from 1 for each range of one width, and its least value; 0 where there is no value.

    The outer hundredths are taken into the outer ranges, so that one customer shows nowhere.
    """
    numbers = values.to_physical().cast(float)
    low, high = (numbers.quantile(share, "nearest") for share in (0.01, 0.99))
    assert low is not None
    assert high is not None
    if low == high:
        low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    edges = np.linspace(low, high, SHOWN_BINS + 1)[:-1]
    if values.dtype.is_integer() or values.dtype.is_temporal():
        edges = np.unique(np.ceil(edges))
    inside = numbers.fill_null(low).to_numpy()
    codes = np.clip(np.searchsorted(edges, inside, side="right"), 1, len(edges))
    codes[values.is_null().to_numpy()] = 0
    if values.dtype.is_temporal():
        return codes, [str(date.fromordinal(_EPOCH + int(edge))) for edge in edges]
    *names, last = (few(edge) for edge in edges)
    return codes, [*names, f"{last}+"]


_EPOCH = date(1970, 1, 1).toordinal()


def _picture_bars(bars: Sequence[Bar], blank: Bar, *, is_text: bool) -> tuple[Bar, ...]:
    """The bars of a picture, without any in which a customer may be recognised."""
    last = [replace(blank, name=BLANK)] if blank.rows else []
    if is_text:
        return (*(bar for bar in bars[:SHOWN_VALUES] if bar.rows >= FEWEST_SHOWN), *last)
    few = (replace(bar, rate=None) if bar.rows < FEWEST_SHOWN else bar for bar in bars)
    return (*few, *last)


def _decimals(numbers: pl.Series) -> int:
    """Digits behind the point, up to 3."""
    values = numbers.to_numpy()
    near = np.maximum(np.abs(values), 1) * 1e-9
    for decimals in (0, 1, 2):
        if (np.abs(values - np.round(values, decimals)) <= near).all():
            return decimals
    return 3


# What is refused


def _require_column(sample: Sample, name: str) -> None:
    if name not in sample.sources:
        raise SourceError(
            f"{sample.uri}: there is no column {quoted(name)}.{hint(name, sample.sources)} "
            f"It has {_listed(sample.sources)}."
        )


def _other_value(uri: str, label: pl.Series, name: str, positive: str) -> str:
    """The value of the label beside the positive one."""
    values = [str(value) for value in label.drop_nulls().unique().sort()]
    where = f"{uri}: column {quoted(name)}"
    if len(values) != len(("positive", "negative")):
        have = f"has {len(values)} values ({_listed(values)})" if values else "is blank everywhere"
        if len(values) == 1:
            have = f"has one value, {quoted(values[0])}"
        raise SourceError(
            f"{where} {have}, and a label has two. Make it two in the source, or name another "
            "column; a record whose outcome is not known yet has a blank there.",
            records=f" ({_listed(values)})" if len(values) > 1 else "",
        )
    if positive in values:
        return next(value for value in values if value != positive)
    has = f"{hint(positive, values)} It has {_listed(values)}; give one of them as --positive."
    raise SourceError(f"{where} is never {quoted(positive)}.{has}", records=has)


def _require_values(uri: str, broken: Mapping[str, int], keys: Sequence[str], label: str) -> None:
    """Refuse a key that is blank, and a key or label of numbers that are not text."""
    reasons = {**dict.fromkeys(keys, "a key names each record"), label: "a label has two values"}
    for rule, count in broken.items():
        source, _, reason = rule.rpartition(": ")
        if source in reasons:
            raise SourceError(
                f"{uri}: column {quoted(source)} {reason} in {in_records(count)}, and "
                f"{reasons[source]}. Name another column, or remove those records."
            )


def _listed(names: Sequence[str]) -> str:
    return listed(list(map(quoted, names)), _MOST_LISTED)

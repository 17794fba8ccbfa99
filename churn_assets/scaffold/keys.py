"""What tells records apart, which of them are copies, and what to do where a key repeats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.errors import SourceError
from churn_assets.tables.copies import repeats
from churn_assets.tables.sources.columns import listed, quoted
from churn_assets.usecases.spec import delta_name

if TYPE_CHECKING:
    import polars as pl

    from churn_assets.scaffold.sample import Sample


FEW_REPEATS = 0.05
"""Share of the records; where no more repeat a key, these are mistakes, and the key lacks no part.
"""
NEARLY_SEQUENTIAL = 2.0
"""Whole numbers, all different, that leave out at most every other one were counted up."""
FEWEST_VALUES = 30
"""Of a column that may name a customer; fewer are kinds of something."""
TRAINED_SHARE = 0.6
"""Of the records, as a split has it by default."""
_PERIODS = re.compile("(^|_)(date|day|week|month|quarter|year|period|time|timestamp)(_|$)")
_IDENTIFIES = re.compile("(^|_)(id|uuid|guid|key|hash|email|phone|iban|number|no)$")
_MOST_LISTED = 3
_MOST_PAIRED = 12
"""Columns of which each pair is looked at."""


@dataclass(frozen=True)
class Copies:
    """Records that are alike in all that may be an input, more of them than chance gives.

    Parameters
    ----------
    records : int
        How many have the same inputs and the same outcome as one before them.
    with_them : tuple of str
        Columns with a value for each of the different records, which may name the customer.
    """

    records: int
    with_them: tuple[str, ...]


def require_key(
    uri: str, typed: pl.DataFrame, keys: Sequence[str], names: Mapping[str, str]
) -> None:
    """Refuse a key that does not tell records apart, with what to do about it.

    Parameters
    ----------
    uri : str
        Of the source, for the refusal.
    typed : DataFrame
        The records, columns by the names that a use case gives them.
    keys : sequence of str
        The key's columns as the source calls them.
    names : mapping of str to str
        Name of each column of the source.

    Raises
    ------
    SourceError
        Where a key comes up twice. No counter is advised as a key, and no input as a part of one.
    """
    columns = [names[key] for key in keys]
    repeated = typed.height - typed.select(columns).n_unique()
    if not repeated:
        return
    sources = {name: source for source, name in names.items() if name in typed.columns}
    apart = [name for name in sources if name not in columns and _names_records(typed[name])]
    copies = typed.height - typed.drop(apart).n_unique()
    of_rows = f"of {typed.height:,} records"
    which = f"{'column' if len(keys) == 1 else 'columns'} {_listed(keys)}"
    if copies:
        others = _listed([sources[name] for name in apart])
        alike = f"all but {others}" if others else "every column"
        is_copy = "is a copy of another" if copies == 1 else "are copies of others"
        advice = f"remove {_it(copies)} from the source"
        if copies < repeated:
            advice += f", and of {repeated - copies:,} more that repeat {which} one each"
        raise SourceError(f"{uri}: {copies:,} {of_rows} {is_copy} in {alike}: {advice}.")
    if repeated <= FEW_REPEATS * typed.height:
        twice = typed.select(columns).filter(typed.select(columns).is_duplicated())
        values = [" ".join(map(str, row)) for row in twice.unique().sort(columns).rows()]
        what = f"repeats key {values[0]}" if repeated == 1 else f"repeat keys such as {values[0]}"
        raise SourceError(
            f"{uri}: {which} must tell records apart, and {repeated:,} {of_rows} {what}: "
            f"remove {_it(repeated)} from the source."
        )
    alone = [sources[name] for name in apart if not is_counter(typed[name])]
    beside = [
        source
        for name, source in sources.items()
        if name not in columns
        and (typed[name].dtype.is_temporal() or _PERIODS.search(name))
        and typed.select(*columns, name).n_unique() == typed.height
    ]
    advice = "Remove the repeated records from the source, or name columns that differ"
    if alone:
        advice = f"Alone {_listed(alone)} would do"
    elif beside:
        advice = f"Add --key {quoted(beside[0])}, with which it does"
    raise SourceError(
        f"{uri}: {which} {'does' if len(keys) == 1 else 'do'} not tell records apart: "
        f"{repeated:,} of {typed.height:,} repeat an earlier one. {advice}."
    )


def key_proposal(sample: Sample, label: str) -> str:
    """What tells the records of a table apart, and how to say so, for who named no key.

    Parameters
    ----------
    sample : Sample
        The records.
    label : str
        The column that is predicted, as the source calls it, which is none.
    """
    among = [source for source in sample.sources if source != label]
    values = {source: sample.records[delta_name(source)] for source in among}
    # Blank text is no name; an amount may differ everywhere, and names nobody.
    whole = [
        name for name in among if not _has_blanks(values[name]) and not _is_amount(values[name])
    ]
    alone = sorted(
        (name for name in whole if _names_records(values[name])),
        key=lambda name: is_counter(values[name]),
    )
    if alone:
        counted = ""
        if is_counter(values[alone[0]]):
            counted = " It was counted up: make sure that a customer keeps it in the next file."
        return (
            f"{sample.uri}: name the column that tells records apart. {quoted(alone[0])} does: "
            f"add --key {quoted(alone[0])}.{counted}"
        )
    for one, other in combinations(whole[:_MOST_PAIRED], 2):
        pair = sample.records.select(delta_name(one), delta_name(other))
        if pair.n_unique() == pair.height:
            return (
                f"{sample.uri}: no column alone tells records apart. {quoted(one)} and "
                f"{quoted(other)} do together, which may be by chance: if they name a customer, "
                f"add --key {quoted(one)} --key {quoted(other)}."
            )
    return (
        f"{sample.uri}: no column tells records apart, and no two do. Add one to the source that "
        "names the customer, and name it by --key. A mere number of the row would do for one "
        "file; it costs that nobody is found again in the next one, so that neither outcomes "
        "that come later nor contacts can be told to whom they belong."
    )


def copies_beside(
    typed: pl.DataFrame, keys: Sequence[str], label: str, names: Mapping[str, str]
) -> Copies | None:
    """Records that are copies of others in all but the key; None where chance gives as many.

    Parameters
    ----------
    typed : DataFrame
        The records, no two of one key.
    keys : sequence of str
        Of the key, by the names that a use case gives them.
    label : str
        Likewise.
    names : mapping of str to str
        Name of each column of the source.
    """
    import polars as pl

    sources = {name: source for source, name in names.items()}
    outside = {*keys, label}
    inputs = typed.select(
        name for name in typed.columns if name not in outside and not _names_records(typed[name])
    )
    side = np.random.default_rng(0).random(typed.height) < TRAINED_SHARE
    if not repeats(inputs, side).are_copies:
        return None
    with_label = inputs.with_columns(typed[label])
    different = with_label.n_unique()
    name_them = [
        sources[name]
        for name in inputs.columns
        if (typed[name].dtype.is_integer() or typed[name].dtype == pl.String)
        and typed[name].n_unique() == different >= FEWEST_VALUES
    ]
    return Copies(typed.height - different, tuple(name_them))


def is_counter(values: pl.Series) -> bool:
    """Whether values were counted up: whole numbers, or texts of one beginning and such a number.

    Parameters
    ----------
    values : Series
        Whole numbers or texts, all different.
    """
    import polars as pl

    if values.dtype == pl.String:
        if values.str.replace(r"\d+$", "").n_unique() > 1:
            return False
        values = values.str.extract(r"(\d+)$").cast(pl.Int64, strict=False)
    if not values.dtype.is_integer() or values.null_count():
        return False
    least, most = values.min(), values.max()
    return bool(most - least < NEARLY_SEQUENTIAL * len(values))  # type: ignore[operator]


def _names_records(values: pl.Series) -> bool:
    """Whether values are all different names or numbers of records, and no amounts or sentences."""
    import polars as pl

    if values.n_unique() < len(values):
        return False
    if values.dtype == pl.String:
        return not values.str.contains(r"\s").any()
    return values.dtype.is_integer() and (
        is_counter(values) or bool(_IDENTIFIES.search(values.name))
    )


def _has_blanks(values: pl.Series) -> bool:
    import polars as pl

    if values.dtype == pl.String:
        return bool((values.is_null() | (values.str.strip_chars() == "")).any())
    return values.null_count() > 0


def _is_amount(values: pl.Series) -> bool:
    """Whether values are numbers with decimals, or times."""
    import polars as pl

    if values.dtype == pl.String:
        return bool(values.str.contains(r"^[+-]?\d+[.,]\d+$|^\d+[-/.]\d+[-/.]\d+").all())
    return values.dtype.is_float() or values.dtype.is_temporal()


def _it(count: int) -> str:
    return "it" if count == 1 else "them"


def _listed(names: Sequence[str]) -> str:
    return listed(list(map(quoted, names)), _MOST_LISTED)

"""How a source's columns are named, and whether they serve the contract."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from churn_assets.errors import SourceError, refusal
from churn_assets.tables.lake import INGESTED_AT, LINE_FAULT, SOURCE_URI
from churn_assets.tables.sources.text import Header, delimiter_text, likely_delimiter
from churn_assets.usecases.spec import Contract, Generate, UseCase, delta_name

# Names that tables add beside the columns of the source.
_RESERVED = (SOURCE_URI, INGESTED_AT, LINE_FAULT, "reasons")
NOTHING, BETWEEN = "\x00", "\x1f"
"""What stands for a null, and between values, where a record is compared as one text."""
_MOST_LISTED, _MOST_CHARACTERS = 3, 60


@dataclass(frozen=True)
class Expected:
    """What a source must give.

    Parameters
    ----------
    contract : Contract
        Of the records.
    settings : str
        Prefix of the source's settings, for refusals.
    name : str
        Of the use case.
    label : str, optional
        Column of the contract that the source may lack, and is null then.
    generate : callable, optional
        Makes up records where no source is set.
    other_columns : frozenset of str
        Source columns that another table of the use case is made from.
    """

    contract: Contract
    settings: str
    name: str = ""
    label: str | None = None
    generate: Generate | None = None
    other_columns: frozenset[str] = frozenset()

    @classmethod
    def of(cls, use_case: UseCase) -> Expected:
        """Of the source of a use case's records."""
        labels = use_case.labels
        return cls(
            use_case.contract,
            f"sources.{use_case.name}",
            use_case.name,
            use_case.label.column if labels is None else None,
            use_case.generate,
            frozenset() if labels is None else _named(labels.contract),
        )

    @classmethod
    def labels_of(cls, use_case: UseCase, settings: str) -> Expected:
        """Of the source of its labels, which may be that of the records as well."""
        return cls(
            use_case.label_contract,
            settings,
            use_case.name,
            None,
            use_case.generate,
            _named(use_case.contract),
        )


def _named(contract: Contract) -> frozenset[str]:
    return frozenset(delta_name(column.source) for column in contract.columns)


@dataclass(frozen=True)
class Columns:
    """How the columns of a source stand to the contract.

    Parameters
    ----------
    names : tuple of str
        As raw has them, in the order of the file.
    sources : tuple of str
        Likewise, as a contract names them.
    missing_label : str, optional
        Name that raw gives to the label, where the source has none.
    extra : tuple of str
        Those that the contract does not name.
    """

    names: tuple[str, ...]
    sources: tuple[str, ...]
    missing_label: str | None
    extra: tuple[str, ...]


def columns_of(
    place: str,
    in_file: Sequence[str],
    rename: Mapping[str, str],
    expected: Expected,
) -> Columns:
    """Name the columns as raw has them.

    Parameters
    ----------
    place : str
        Name of the file, for refusals.
    in_file : sequence of str
        Names in the file.
    rename : mapping of str to str
        Name in the file to the name that the contract expects.
    expected : Expected
        The contract that the columns must serve.

    Raises
    ------
    SourceError
        Where a column is missing or has no name of its own.
    """
    where, contract = expected.settings, expected.contract
    needed = {delta_name(column.source): column.source for column in contract.columns}
    for old in rename:
        if old not in in_file:
            raise SourceError(
                f"{place}: there is no column {quoted(old)} to rename.{hint(old, in_file)} "
                f"Correct {where}.rename."
            )
    sources = tuple(rename.get(name, name) for name in in_file)
    names = tuple(map(delta_name, sources))
    _require_distinct(place, names, where)
    label = None if expected.label is None else contract[expected.label].source
    missing = [source for name, source in needed.items() if name not in names]
    if missing and missing != [label]:
        raise _missing(place, missing, len(needed), in_file, where)
    named = needed.keys() | expected.other_columns
    return Columns(
        names,
        sources,
        delta_name(missing[0]) if missing else None,
        tuple(name for name in names if name not in named),
    )


def _require_distinct(place: str, names: Sequence[str], where: str) -> None:
    by_folded_name: dict[str, str] = {}
    for name in names:
        # Delta takes names that differ in case only for one.
        if name.casefold() in by_folded_name:
            raise SourceError(
                f"{place}: two columns of one name, {quoted(by_folded_name[name.casefold()])} and "
                f"{quoted(name)}. "
                f"Remove one from the file, or give them two names there or in {where}.rename."
            )
        if name.casefold() in _RESERVED:
            raise SourceError(
                f"{place}: the name of column {quoted(name)} is taken by what is kept with each "
                f"record. Give it another under {where}.rename."
            )
        by_folded_name[name.casefold()] = name


def _missing(
    place: str, missing: Sequence[str], columns: int, in_file: Sequence[str], where: str
) -> SourceError:
    named = listed(list(map(quoted, missing)), _MOST_LISTED)
    one = len(missing) == 1
    like = hint(missing[0], in_file).lstrip()
    return SourceError(
        refusal(
            place,
            f"{'column' if one else 'columns'} {named} {'is' if one else 'are'} missing "
            f"(found {columns - len(missing)} of {columns} columns)",
            "Nothing was replaced",
            f"{like + ' ' if like else ''}Name another column for {'it' if one else 'each'} under "
            f"{where}.rename, or add {'it' if one else 'them'} to the file",
        )
    )


def quoted(name: str) -> str:
    """A name as it stands in a line of text, however long or broken it is."""
    line = re.sub(r"\s", " ", name)
    return f"'{line[:_MOST_CHARACTERS]}{'...' if line[_MOST_CHARACTERS:] else ''}'"


def listed(names: Sequence[str], most: int) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def hint(name: str, known: Sequence[str]) -> str:
    """Say which known name looks like this one, whatever its case and separators."""

    def plain(text: str) -> str:
        return re.sub(r"[\W_]", "", text).lower()

    by_plain = {plain(other): other for other in known}
    close = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.8)
    return f" {quoted(by_plain[close[0]])} looks like it." if close else ""


def require_delimiter(
    place: str, header: Header, delimiter: str, rename: Mapping[str, str], expected: Expected
) -> None:
    """Refuse a header in which next to nothing is a column, where another delimiter fits.

    Raises
    ------
    SourceError
        Naming the delimiter that the file seems to have.
    """
    names = {column.source for column in expected.contract.columns} | set(rename)
    if len(names & set(header.names)) > 1:
        return
    likely = likely_delimiter(header, names, delimiter)
    if likely:
        raise SourceError(
            f"{place}: the file seems to be delimited by {delimiter_text(likely)}: "
            f"set {expected.settings}.delimiter."
        )


def require_equal(columns: dict[str, tuple[str, ...]]) -> None:
    """Refuse files whose columns are not those of the first one."""
    first, *others = columns
    for other in others:
        if columns[other] != columns[first]:
            here, there = set(columns[other]), set(columns[first])
            differs = sorted(here ^ there)[:_MOST_LISTED]
            what = ", ".join(map(quoted, differs)) if differs else "their order"
            raise SourceError(
                f"{other}: its columns are not those of {first} ({what} differs). Make them "
                "equal, or choose files with a glob."
            )

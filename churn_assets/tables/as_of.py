"""Tables as they were known on a past day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from churn_assets.errors import TableError
from churn_assets.tables import engines
from churn_assets.tables.contract import up_to
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import Contract, UseCase

_NAMED = "a date column, named as `time`"
_OF_OUTCOMES = f"the day of each outcome ({_NAMED} of the use case's `labels`)"


def as_known_on(
    use_case: UseCase, day: date, present: Mapping[str, Table], tables: Mapping[str, Table]
) -> Committed:
    """Let raw be what was known of the records at the end of a day, in UTC.

    That is the version of today's table that held then, without records of later days. Where
    today's table is younger, its records of up to that day are used, if each says its day and
    holds no outcome, which came later.

    Parameters
    ----------
    use_case : UseCase
        Whose records these are.
    day : date
        The past day.
    present, tables : mapping of str to Table
        Today's tables, which are read, and those that are written beside them.

    Raises
    ------
    TableError
        Where nothing was known on that day.
    """
    missing = [] if use_case.time else [f"the day of each record ({_NAMED} of the use case)"]
    missing += [] if use_case.labels else [_OF_OUTCOMES]
    return _known_on(use_case.contract, use_case.time, missing, day, present["raw"], tables["raw"])


def labels_as_known_on(
    use_case: UseCase, day: date, present: Mapping[str, Table], tables: Mapping[str, Table]
) -> Committed:
    """Likewise for labels; of a table that is younger, those of up to that day, if they have days.

    Raises
    ------
    TableError
        As `as_known_on` does.
    """
    labels = use_case.labels
    assert labels is not None
    missing = [] if labels.time else [_OF_OUTCOMES]
    return _known_on(
        labels.contract, labels.time, missing, day, present["labels"], tables["labels"]
    )


def _known_on(
    contract: Contract,
    time: str | None,
    missing: Sequence[str],
    day: date,
    present: Table,
    into: Table,
) -> Committed:
    newest = present.require()
    version = present.version_on(day)
    if version is None and missing:
        first = present.first_day()
        raise TableError(
            f"{present.uri}: nothing was known on {day}: the table's first version is of {first}, "
            f"and what was known before it only dates in the records tell. Missing is "
            f"{' and '.join(missing)}. Choose {first} or a later day, or let the source tell it."
        )
    source_version = newest.version if version is None else version
    made_from = data_version(
        code_version(as_known_on, engines, day=str(day)),
        {present.name: newest.data_version, "version": str(source_version)},
    )
    current = into.current(made_from)
    if current:
        return current
    frame = present.scan(source_version)
    if time is not None:
        frame = up_to(frame, contract, time, day, present.engine)
    details = {**newest.details, "as_of": str(day), "history": bool(newest.details.get("history"))}
    return into.replace(frame, made_from, {f"today's {present.name}": source_version}, **details)

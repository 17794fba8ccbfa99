"""Tables as they were known on a past day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from churn_assets.errors import TableError
from churn_assets.tables import engines
from churn_assets.tables.contract import up_to
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.versions import code_version, data_version
from churn_assets.usecases.spec import Contract, UseCase


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
    younger = use_case.time if use_case.labels else None
    return _known_on(use_case.contract, use_case.time, younger, day, present["raw"], tables["raw"])


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
    return _known_on(
        labels.contract, labels.time, labels.time, day, present["labels"], tables["labels"]
    )


def _known_on(
    contract: Contract,
    time: str | None,
    younger: str | None,
    day: date,
    present: Table,
    into: Table,
) -> Committed:
    newest = present.require()
    version = present.version_on(day)
    if version is None and younger is None:
        first = present.first_day()
        raise TableError(
            f"{present.uri}: nothing was known on {day}: the table's first version is of {first}, "
            "and the outcomes have no days of their own. Choose a later day, or give the use case "
            "`labels` with a `time`."
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

"""What assets and checks share: keys, previews, pictures, and how a refusal ends a step."""

from __future__ import annotations

import inspect
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import dagster as dg

from churn_assets.errors import ChurnError, public_error
from churn_assets.pages import markdown
from churn_assets.tables.lake import Table
from churn_assets.tables.rows import rows_of
from churn_assets.usecases.spec import UseCase

CELL_CHARACTERS = 80
DIGITS = 4
"""Of numbers that people read."""


def key(use_case: UseCase, table: str) -> dg.AssetKey:
    """Key of the asset of a table."""
    return dg.AssetKey([use_case.name, table])


def person_and_run(person: str, run_id: str) -> str:
    """Who decides: a person, if one is named, and the run."""
    return ", ".join(filter(None, [person, f"Dagster run {run_id}"]))


def preview(table: Table, rows: int) -> dg.MetadataValue[Any] | None:
    """The first records of a table, or None where there are none to show."""
    if rows == 0:
        return None
    records = rows_of(table.engine.collect(table.scan().head(rows)))
    if not records:
        return None
    rows_shown = [[_cell(value) for value in row.values()] for row in records]
    return dg.MetadataValue.md(markdown.table([_cell(name) for name in records[0]], rows_shown))


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())[:CELL_CHARACTERS]


def pictures(images: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """Pictures by name, which the UI shows in rows of two."""
    return dg.MetadataValue.md(markdown.images(images))


@contextmanager
def refusals(*, records: bool = False) -> Iterator[None]:
    """End the step with one line where the core refuses, not with a traceback.

    Whatever ends it, Dagster's history keeps no credential of it.

    Parameters
    ----------
    records : bool
        Whether the history may show keys and values of customers.
    """
    try:
        yield
    except ChurnError as error:
        if isinstance(error.__cause__, Exception):
            cause = public_error(error.__cause__, records=records)
            dg.get_dagster_logger().debug("".join(traceback.format_exception(cause)))
        raise dg.Failure(error.line(records=records), allow_retries=False) from None
    except (dg.Failure, dg.RetryRequested, dg.DagsterError):
        raise
    except Exception as error:
        public = public_error(error, records=records)
        if public is error:
            raise
        raise public from None


def refused(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, or generator, of which `refusals` ends the step."""

    @wraps(function)
    def guarded(*arguments: Any, **resources: Any) -> Any:
        with refusals():
            return function(*arguments, **resources)

    @wraps(function)
    def guarded_results(*arguments: Any, **resources: Any) -> Iterator[Any]:
        with refusals():
            yield from function(*arguments, **resources)

    return guarded_results if inspect.isgeneratorfunction(function) else guarded


def plain_metadata(row: Any) -> dict[str, Any]:
    """Metadata of plain values; JSON text is shown as JSON, the rest as text."""
    metadata: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str) and value[:1] in ("{", "["):
            metadata[name] = dg.MetadataValue.json(rounded(json.loads(value)))
        elif isinstance(value, (str, bool, int, float, dict, list)):
            metadata[name] = rounded(value)
        elif value is not None:
            metadata[name] = str(value)
    return metadata


def rounded(value: Any) -> Any:
    """A value of which numbers have few digits, so that people can compare them."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if abs(value) < 10**DIGITS else float(round(value))
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value

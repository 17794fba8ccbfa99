"""Where the records of a table came from: a source that somebody named, or the generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from churn_assets.errors import public_uri
from churn_assets.tables.lake import SOURCE_URI, Committed, Table

GENERATED = "generated"
"""Names a use case's own generator where a source could be named."""
MADE_UP = "made up"
"""What records are that come from there."""
_UPSTREAM = ("raw", "silver", "features", "model", "predictions")
"""What a table reads of which its records are."""


def is_made_up(state: Committed) -> bool:
    """Whether a table of a source's records holds the generator's."""
    return _is_made_up(state.details)


def origin(tables: Mapping[str, Table], table: str, version: int | None = None) -> str | None:
    """Where the records of a table came from: an address without credentials, or `MADE_UP`.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case.
    table : str
        Its name.
    version : int, optional
        Delta version; the newest by default.

    Returns
    -------
    str, optional
        None where there is no table, or its log no longer tells.
    """
    newest = tables[table].state()
    if newest is None:
        return None
    if version is None:
        version = newest.version
    note = tables[table].note(version)
    if note.get("data_version") == newest.data_version:
        # The same rows came again, and the table says from where.
        note = tables[table].note(newest.version)
    details = note.get("details", {})
    if SOURCE_URI in details:
        return MADE_UP if _is_made_up(details) else public_uri(str(details[SOURCE_URI]))
    reads = note.get("reads", {})
    upstream = next((name for name in _UPSTREAM if name in reads), None)
    return None if upstream is None else origin(tables, upstream, reads[upstream])


def _is_made_up(details: Mapping[str, Any]) -> bool:
    uri = str(details.get(SOURCE_URI, ""))
    return uri.startswith(f"{GENERATED}:") and not details.get("files")

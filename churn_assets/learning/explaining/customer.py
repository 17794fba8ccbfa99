"""What is on record of one customer: scores over time, what moved them, what servers were asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TableError
from churn_assets.learning.explaining.wording import REASONS
from churn_assets.tables.lake import Table
from churn_assets.tables.rows import rows_of

if TYPE_CHECKING:
    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase

MOST = 10
"""Scorings and requests that are told, the newest."""


@dataclass(frozen=True)
class Change:
    """What moved a score from one scoring to the next.

    Parameters
    ----------
    since, until : datetime
        When it was scored.
    before, now : float
        The scores.
    model_versions : tuple of int
        Who scored then, and who now.
    gone, new : tuple of str
        Reasons that are not given any more, and those that were not given before.
    inputs : mapping of str to tuple, optional
        The inputs that changed, each as it was and as it is; None where features of that time are
        not there any more.
    """

    since: datetime
    until: datetime
    before: float
    now: float
    model_versions: tuple[int, int]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    inputs: Mapping[str, tuple[Any, Any]] | None


@dataclass(frozen=True)
class Customer:
    """What is on record of one customer, the oldest first.

    Parameters
    ----------
    key : mapping of str to str
        Value of each key column.
    scores : tuple of mapping
        A row of the table `scores` for each scoring.
    changes : tuple of Change
        From each scoring to the next, where anything changed.
    requests : tuple of mapping
        A row of the table `requests` for each answer about the customer.
    """

    key: Mapping[str, str]
    scores: tuple[Mapping[str, Any], ...]
    changes: tuple[Change, ...]
    requests: tuple[Mapping[str, Any], ...]


def on_record(
    use_case: UseCase, tables: Mapping[str, Table], parts: Sequence[str], most: int = MOST
) -> Customer:
    """What is on record of a customer.

    Parameters
    ----------
    use_case : UseCase
        Whose customer it is.
    tables : mapping of str to Table
        Of the use case.
    parts : sequence of str
        The key, in the order of its columns.
    most : int
        How many scorings and requests, the newest.

    Raises
    ------
    TableError
        Where nobody of that key was ever scored or asked for.
    """
    key = dict(zip(use_case.keys, parts, strict=True))
    # A lake of an earlier version has no scores yet.
    scored = tables["scores"] if tables["scores"].state() else tables["predictions"]
    scored.require()
    scores = _rows(scored, scored.scan(), key, "scored_at", most)
    requests: list[dict[str, Any]] = []
    if tables["requests"].state():
        asked = tables["requests"]
        requests = _rows(asked, asked.scan(), key, "requested_at", most)
    if not scores and not requests:
        who = f" ({', '.join(f'{name} {value}' for name, value in key.items())})"
        raise TableError(
            f"{use_case.name}: nobody of that key{who} was ever scored or asked for.", records=who
        )
    inputs = _inputs(use_case, tables["features"], key, {row["features_version"] for row in scores})
    changes = (_change(before, now, inputs) for before, now in pairwise(scores))
    found = (change for change in changes if change is not None)
    return Customer(key, tuple(scores), tuple(found), tuple(requests))


def _rows(
    table: Table, frame: Frame, key: Mapping[str, str], by: str, most: int
) -> list[dict[str, Any]]:
    """The newest rows of a customer, the oldest of them first."""
    newest = _of(frame, key).sort(by, descending=True).head(most)
    return rows_of(table.engine.collect(newest))[::-1]


def _of(frame: Frame, key: Mapping[str, str]) -> Frame:
    import narwhals.stable.v2 as nw

    is_meant = (nw.col(name).cast(nw.String) == value for name, value in key.items())
    return frame.filter(*is_meant)


def _inputs(
    use_case: UseCase, features: Table, key: Mapping[str, str], versions: set[int]
) -> dict[int, dict[str, Any]]:
    """The customer's inputs at versions of features, of those that are still there."""
    found = {}
    for version in versions:
        try:
            rows = _of(features.scan(version), key).head(1)
            held = rows_of(features.engine.collect(rows))
        except Exception:
            # Delta cleans up what is old, and each engine says so in its own way.
            continue
        if held:
            found[version] = {name: held[0].get(name) for name in use_case.inputs}
    return found


def _change(
    before: Mapping[str, Any], now: Mapping[str, Any], inputs: Mapping[int, Mapping[str, Any]]
) -> Change | None:
    """What moved a score; None where nothing changed."""
    were, are = ([row[name] for name in REASONS if row.get(name)] for row in (before, now))
    old, new = (inputs.get(row["features_version"]) for row in (before, now))
    changed = None
    if old is not None and new is not None:
        changed = {
            name: (old.get(name), value) for name, value in new.items() if old.get(name) != value
        }
    change = Change(
        since=before["scored_at"],
        until=now["scored_at"],
        before=before["churn_probability"],
        now=now["churn_probability"],
        model_versions=(before["model_version"], now["model_version"]),
        gone=tuple(reason for reason in were if reason not in are),
        new=tuple(reason for reason in are if reason not in were),
        inputs=changed,
    )
    moved = change.before != change.now or change.gone or change.new or changed
    return change if moved else None

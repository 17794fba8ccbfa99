"""One customer as people and programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from churn_assets.assets.resources import resources
from churn_assets.cli.predictions import amount, yes
from churn_assets.cli.show import with_damage_named
from churn_assets.learning.explaining.customer import Change, Customer, on_record

if TYPE_CHECKING:
    from churn_assets.settings import Settings
    from churn_assets.usecases.spec import UseCase

_NO_CHANGE = 5e-4
"""Of a score of three digits."""


@with_damage_named
def show_customer(
    use_case: UseCase, settings: Settings, parts: Sequence[str], *, as_json: bool
) -> None:
    """Show a customer's scores over time, what moved them, whether to make contact, and requests.

    Parameters
    ----------
    use_case, settings
        Whose customer it is.
    parts : sequence of str
        The key, in the order of its columns.
    as_json : bool
        Whether as one JSON object.
    """
    customer = on_record(use_case, resources(settings).lake.of(use_case), parts)
    if as_json:
        print(json.dumps(asdict(customer), default=_plain, ensure_ascii=False, allow_nan=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for line in _lines(customer, use_case):
        console.print(escape(line))


def _lines(customer: Customer, use_case: UseCase) -> Iterator[str]:
    key = ", ".join(f"{name} {value}" for name, value in customer.key.items())
    yield f"{use_case.name}: {key}"
    if customer.scores:
        yield ""
        yield from _table(
            ["scored at", "score", "", "band", "decision", "model"],
            [
                [
                    _minute(row["scored_at"]),
                    f"{row['churn_probability']:.3f}",
                    moved,
                    row["risk_band"],
                    "churn" if row["decision"] else "stay",
                    str(row["model_version"]),
                ]
                for row, moved in zip(customer.scores, _moves(customer), strict=True)
            ],
        )
        for change in customer.changes:
            yield ""
            yield from _change(change)
        yield ""
        yield from _advice(customer, use_case)
    yield ""
    if not customer.requests:
        yield "No server was asked about them."
        return
    yield from _table(
        ["requested at", "form", "score", "model", "variant", "status"],
        [
            [
                _minute(row["requested_at"]),
                row["form"],
                _score(row["churn_probability"]),
                _known(row["model_version"]),
                _known(row["variant"]) + (", only logged" if row["shadow"] else ""),
                str(row["status"]) + (f": {row['refusal']}" if row["refusal"] else ""),
            ]
            for row in customer.requests
        ],
    )


def _moves(customer: Customer) -> Iterator[str]:
    """By how much each score differs from the one before."""
    scores = [row["churn_probability"] for row in customer.scores]
    yield ""
    for before, now in pairwise(scores):
        yield f"{now - before:+.3f}" if abs(now - before) >= _NO_CHANGE else "="


def _change(change: Change) -> Iterator[str]:
    """What moved a score, a line for each."""
    yield f"{_minute(change.until)}: {change.before:.3f} to {change.now:.3f}"
    before, now = change.model_versions
    if before != now:
        yield f"  scored by version {now}, and by {before} before"
    for name, (was, value) in (change.inputs or {}).items():
        yield f"  {name} is {_known(value)}, and was {_known(was)}"
    if change.inputs is None:
        yield "  features of that time are not there any more"
    for reason in change.new:
        yield f"  now: {reason}"
    for reason in change.gone:
        yield f"  no more: {reason}"


def _advice(customer: Customer, use_case: UseCase) -> Iterator[str]:
    """Whether to make contact by the last scoring, and why it is as it is."""
    last = customer.scores[-1]
    if use_case.business is not None and last.get("contact") is not None:
        worth = f"{amount(last['expected_value'])} {use_case.business.currency}"
        rank = "" if last["rank"] is None else f", rank {last['rank']:,}"
        yield f"Contact: {yes(last['contact'])}; worth {worth}{rank}"
    for name in ("reason_1", "reason_2", "reason_3"):
        if last.get(name):
            yield f"  {last[name]}"


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for cells in (head, *rows):
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _known(value: Any) -> str:
    return "-" if value is None else str(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

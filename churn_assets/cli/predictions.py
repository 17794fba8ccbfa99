"""Predictions as people and programs read them: a table, or a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from churn_assets.assets.resources import resources
from churn_assets.cli.show import with_damage_named
from churn_assets.cli.words import command
from churn_assets.errors import TableError
from churn_assets.tables.rows import rows_of

if TYPE_CHECKING:
    import polars as pl

    from churn_assets.settings import Settings
    from churn_assets.types import Frame
    from churn_assets.usecases.spec import UseCase

LISTED = 10
"""Customers in a table; a file has everyone."""
_WORTH = ("expected_value", "contact", "rank")
_REASONS = ("reason_1", "reason_2", "reason_3")


@with_damage_named
def show_predictions(use_case: UseCase, settings: Settings, top: int) -> None:
    """Whom to contact first, where a business case says so, or who is most likely to churn."""
    frame, columns, is_valued = _in_order(use_case, settings)
    predictions = resources(settings).lake.of(use_case)["predictions"]
    rows = rows_of(predictions.engine.collect(frame.head(top)))
    currency = use_case.business.currency if use_case.business else ""
    worth = [f"value ({currency})" if currency else "value", "contact"] if is_valued else []
    lines = [[*use_case.keys, "probability", *worth, "why"]]
    for row in rows:
        why = "; ".join(str(row[name]) for name in _REASONS if name in columns and row[name])
        value = [amount(row["expected_value"]), yes(row["contact"])] if is_valued else []
        who = [str(row[name]) for name in use_case.keys]
        lines.append([*who, f"{row['churn_probability']:.3f}", *value, why])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    console = Console(highlight=False, soft_wrap=True)
    for cells in lines:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        # A customer is a line, whole where it goes to a file or a pipe.
        line = "  ".join(padded).rstrip()
        most = console.width if console.is_terminal else len(line)
        console.print(escape(line if len(line) <= most else f"{line[: most - 1]}…"))
    if use_case.business is not None and not is_valued:
        console.print(
            f"The business case is newer than they are: `{command('score')}` values them."
        )


@with_damage_named
def write_predictions(
    use_case: UseCase, settings: Settings, top: int | None, kind: str, output: Path | None
) -> None:
    """Write predictions in order of their value, all by default, to a file or to stdout.

    Parameters
    ----------
    use_case, settings
        Whose predictions they are.
    top : int, optional
        How many.
    kind : {"csv", "json", "parquet"}
        Of the file; JSON is one list of objects.
    output : Path, optional
        The file; stdout by default.

    Raises
    ------
    TableError
        Where it cannot be written; what was there stays then.
    """
    import polars as pl

    frame, _, _ = _in_order(use_case, settings)
    predictions = resources(settings).lake.of(use_case)["predictions"]
    rows = pl.DataFrame(predictions.engine.collect(frame if top is None else frame.head(top)))
    if output is None:
        _write(rows, kind, sys.stdout.buffer)
        return
    beside = output.with_name(f".{output.name}.new")
    try:
        with beside.open("wb") as stream:
            _write(rows, kind, stream)
        beside.replace(output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TableError(f"{output}: cannot be written ({error.strerror}).") from None
    Console(highlight=False, soft_wrap=True).print(
        f"{rows.height:,} predictions in {escape(str(output))}"
    )


def _in_order(use_case: UseCase, settings: Settings) -> tuple[Frame, set[str], bool]:
    """Predictions in order of their value, else of probability; their columns; whether valued."""
    predictions = resources(settings).lake.of(use_case)["predictions"]
    # Those that were made before the use case had a business case have no value.
    columns = set(predictions.require().columns)
    is_valued = use_case.business is not None and columns.issuperset(_WORTH)
    by = ["rank"] if is_valued else []
    order = [*by, "churn_probability", *use_case.keys]
    falling = [name == "churn_probability" for name in order]
    return predictions.scan().sort(order, descending=falling, nulls_last=True), columns, is_valued


def _write(rows: pl.DataFrame, kind: str, stream: Any) -> None:
    if kind == "csv":
        rows.write_csv(stream)
    elif kind == "json":
        rows.write_json(stream)
        stream.write(b"\n")
    else:
        rows.write_parquet(stream)


def amount(value: float | None) -> str:
    """An amount of money as people read it."""
    return "not known" if value is None else f"{value:,.0f}"


def yes(value: bool) -> str:
    """Yes or no."""
    return "yes" if value else "no"

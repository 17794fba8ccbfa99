"""What assets and checks share: keys, previews, pictures, and how a refusal ends a step."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from churn_assets.errors import ChurnError
from churn_assets.tables.lake import Table
from churn_assets.usecases.spec import UseCase

CELL_CHARACTERS = 80


def key(use_case: UseCase, table: str) -> dg.AssetKey:
    """Key of the asset of a table."""
    return dg.AssetKey([use_case.name, table])


def preview(table: Table, rows: int) -> dg.MetadataValue[Any] | None:
    """The first records of a table, or None where there are none to show."""
    if rows == 0:
        return None
    records = table.engine.collect(table.scan().head(rows)).to_pylist()
    if not records:
        return None
    lines = [[_cell(value) for value in row.values()] for row in records]
    header = list(records[0])
    table_lines = [header, ["---"] * len(header), *lines]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in table_lines))


def _cell(value: Any) -> str:
    """A value on one line of a Markdown table."""
    text = "" if value is None else " ".join(str(value).split())
    return text[:CELL_CHARACTERS].replace("\\", "\\\\").replace("|", "\\|")


def pictures(images: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """PNG files by name, which the UI shows in rows of two."""
    encoded = {name: base64.b64encode(png).decode() for name, png in images.items()}
    links = [f"![{name}](data:image/png;base64,{png})" for name, png in encoded.items()]
    rows = [" ".join(links[i : i + 2]) for i in range(0, len(links), 2)]
    return dg.MetadataValue.md("\n\n".join(rows))


@contextmanager
def refusals() -> Iterator[None]:
    """End the step with one line where the core refuses, not with a traceback."""
    try:
        yield
    except ChurnError as error:
        if error.__cause__ is not None:
            lines = traceback.format_exception(error.__cause__)
            dg.get_dagster_logger().debug("".join(lines))
        raise dg.Failure(str(error), allow_retries=False) from None


def plain_metadata(row: Any) -> dict[str, Any]:
    """Metadata of plain values; JSON text is shown as JSON, the rest as text."""
    metadata: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str) and value[:1] in ("{", "["):
            metadata[name] = dg.MetadataValue.json(json.loads(value))
        elif isinstance(value, (str, bool, int, float, dict, list)):
            metadata[name] = value
        elif value is not None:
            metadata[name] = str(value)
    return metadata

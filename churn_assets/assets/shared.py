"""What assets say alike: their specs, what was committed, and how a refusal is told."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg

from churn_assets.errors import ChurnError
from churn_assets.settings import FreshnessSettings
from churn_assets.tables.lake import Committed, Table
from churn_assets.usecases.spec import UseCase

CELL_CHARACTERS = 80
RETRY_REFRESH = "0 * * * *"
"""When a refresh that failed is tried again: each hour, as cron says it."""


def key(use_case: UseCase, table: str) -> dg.AssetKey:
    """Key of the asset of a table."""
    return dg.AssetKey([use_case.name, table])


def spec(
    use_case: UseCase,
    table: str,
    description: str,
    *,
    code_version: str,
    deps: Sequence[str] = (),
    kinds: Sequence[str],
    refresh_minutes: float | None = None,
) -> dg.AssetSpec:
    """Declare the asset of a table.

    Parameters
    ----------
    use_case : UseCase
        Names the group and the key's first part.
    table : str
        The key's second part.
    description : str
        What a row is.
    code_version : str
        Changes when the code that writes the table does.
    deps : sequence of str
        The tables that it is made from.
    kinds : sequence of str
        Shown in the UI, beside `deltalake`.
    refresh_minutes : float, optional
        Stale after so long, and then refreshed by itself; without it the table follows
        what it is made from, as soon as that has passed its blocking checks.
    """
    return dg.AssetSpec(
        key=key(use_case, table),
        deps=[key(use_case, dep) for dep in deps],
        description=description,
        group_name=use_case.name,
        code_version=code_version,
        kinds={"deltalake", *kinds},
        automation_condition=follow() if refresh_minutes is None else refresh(),
        freshness_policy=None if refresh_minutes is None else window(refresh_minutes),
    )


def follow() -> dg.AutomationCondition[Any]:
    """Materialise when an input has, and all of them passed their blocking checks."""
    condition = dg.AutomationCondition
    return condition.eager() & condition.all_deps_blocking_checks_passed()


def refresh() -> dg.AutomationCondition[Any]:
    """Materialise once for each missed freshness window, as soon as all inputs have settled.

    So a refused Challenger, which ends its run, takes no refresh of predictions with it; and
    the rescoring sensor is first where there is a new Champion. A refresh that failed is
    tried again each hour.
    """
    condition = dg.AutomationCondition
    missed = condition.freshness_failed().newly_true()
    again = (
        condition.freshness_failed()
        & condition.execution_failed()
        & condition.cron_tick_passed(RETRY_REFRESH)
    )
    due = (missed | again).since(condition.newly_requested() | condition.newly_updated())
    inputs_change = condition.any_deps_match(
        condition.in_progress() | condition.newly_updated() | condition.will_be_requested()
    )
    return due & ~condition.in_progress() & ~inputs_change


def window(minutes: float) -> dg.FreshnessPolicy:
    """Fresh for so long; the UI warns in the last tenth of it."""
    fail = timedelta(minutes=minutes)
    warn = fail * 0.9
    # Dagster takes no window under a minute.
    warned = warn if warn >= timedelta(minutes=1) else None
    return dg.FreshnessPolicy.time_window(fail_window=fail, warn_window=warned)


def refresh_minutes(freshness: FreshnessSettings, table: str) -> float:
    """After how long a table with a window is stale."""
    return float(getattr(freshness, f"{table}_minutes"))


def materialized(
    use_case: UseCase,
    committed: Committed,
    *,
    metadata: Mapping[str, Any] | None = None,
    lineage: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    preview: Any = None,
) -> dg.MaterializeResult[Any]:
    """What Dagster is told of a committed table.

    Parameters
    ----------
    use_case : UseCase
        Whose table it is.
    committed : Committed
        The version that holds now.
    metadata : mapping, optional
        What else to show.
    lineage : mapping of str to sequence of (table, column), optional
        What each column is made from.
    preview : MetadataValue, optional
        Some records.
    """
    columns = dg.TableSchema([dg.TableColumn(n, t) for n, t in committed.columns.items()])
    shown: dict[str, Any] = {
        "dagster/row_count": committed.rows,
        "dagster/table_name": f"{use_case.name}.{committed.table}",
        "dagster/uri": committed.uri,
        "dagster/size_bytes": committed.size_bytes,
        "dagster/column_schema": columns,
        "delta_version": committed.version,
        "written": committed.changed,
        "written_by": committed.written_by,
        "versions_read": dict(committed.reads),
        **(metadata or {}),
    }
    if lineage:
        shown["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(key(use_case, table), name) for table, name in inputs]
                for column, inputs in lineage.items()
            }
        )
    if preview is not None:
        shown["preview"] = preview
    return dg.MaterializeResult(
        asset_key=key(use_case, committed.table),
        metadata=shown,
        data_version=dg.DataVersion(committed.data_version),
    )


def preview(table: Table, rows: int) -> dg.MetadataValue[Any] | None:
    """The first records of a table, or None where none are to be shown."""
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


def pictures(drawn: Mapping[str, bytes]) -> dg.MarkdownMetadataValue:
    """PNG files by name, which the UI shows in rows of two."""
    encoded = {name: base64.b64encode(png).decode() for name, png in drawn.items()}
    shown = [f"![{name}](data:image/png;base64,{png})" for name, png in encoded.items()]
    rows = [" ".join(shown[i : i + 2]) for i in range(0, len(shown), 2)]
    return dg.MetadataValue.md("\n\n".join(rows))


@contextmanager
def refusals() -> Iterator[None]:
    """End the step with one line where the core refuses, not with a traceback."""
    try:
        yield
    except ChurnError as error:
        if error.__cause__ is not None:
            told = traceback.format_exception(error.__cause__)
            dg.get_dagster_logger().debug("".join(told))
        raise dg.Failure(str(error), allow_retries=False) from None


def plain_metadata(row: Any) -> dict[str, Any]:
    """Metadata of plain values; JSON text is shown as JSON, the rest as text."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, str) and value[:1] in ("{", "["):
            shown[name] = dg.MetadataValue.json(json.loads(value))
        elif isinstance(value, (str, bool, int, float, dict, list)):
            shown[name] = value
        elif value is not None:
            shown[name] = str(value)
    return shown

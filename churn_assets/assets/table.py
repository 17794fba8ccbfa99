"""How the asset of a table is declared: by a function that reads like a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_assets.assets.automation import follow, refresh, window
from churn_assets.assets.glossary import describe
from churn_assets.assets.shared import key, preview, refusals, rounded
from churn_assets.errors import public_values
from churn_assets.machine import MACHINE, this_machine
from churn_assets.settings import Settings
from churn_assets.tables.health import damage_named
from churn_assets.tables.lake import Committed
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.tables.lake import Lake

Lineage = Mapping[str, Sequence[tuple[str, str]]]
"""Of each column, the tables and their columns that it is made from."""
Declare = Callable[[Callable[..., Any]], dg.AssetsDefinition]


@dataclass(frozen=True)
class Materialization:
    """A committed table, and what else the UI shows of it than the writer kept with it.

    Parameters
    ----------
    committed : Committed
        The version that holds now.
    metadata : mapping
        By name, as Dagster takes it.
    """

    committed: Committed
    metadata: Mapping[str, Any] = field(default_factory=dict)


def table(
    case: UseCase,
    settings: Settings,
    *,
    code: str,
    deps: Sequence[str] = (),
    follows: Sequence[str] | None = None,
    beside: Mapping[str, str] | None = None,
    kinds: Sequence[str] = (),
    stored: str = "deltalake",
    fresh_minutes: float | None = None,
    is_asked_for: bool = False,
    lineage: Lineage | None = None,
    **options: Any,
) -> Declare:
    """Declare the asset of the table that a function writes, by the function's name and docstring.

    The function returns what it committed, a `Committed` or `Materialization`, or yields several.
    What the core refuses ends the step with one line; the UI shows metadata and a preview of each
    table.

    Parameters
    ----------
    case : UseCase
        Whose table it is.
    settings : Settings
        Of this deployment.
    code : str
        Version of the code that makes the table; empty of a record, which no code makes anew.
    deps : sequence of str
        The tables that it is made from.
    follows : sequence of str, optional
        Those of them that it follows; by default all.
    beside : mapping of str to str, optional
        Tables that the function writes as well, and what a row of each is.
    kinds : sequence of str
        Materialization in the UI beside how it is stored; by default the engine.
    stored : str
        How the table is stored, as the UI has it; what is not in the lake has no preview.
    fresh_minutes : float, optional
        The table is stale after so long, and then refreshed by itself; without it, it follows
        what it is made from, as soon as that has passed its blocking checks.
    is_asked_for : bool
        Whether it is only ever written to when somebody asks.
    lineage : mapping, optional
        What each column is made from.
    **options
        As `dagster.multi_asset` takes them.
    """

    def declare(function: Callable[..., Any]) -> dg.AssetsDefinition:
        rows = {function.__name__: inspect.getdoc(function) or "", **(beside or {})}
        ignored = [] if follows is None else [key(case, d) for d in deps if d not in follows]
        condition = follow(ignored) if fresh_minutes is None else refresh(begins=not deps)
        specs = [
            dg.AssetSpec(
                key=key(case, name),
                deps=[key(case, dep) for dep in deps],
                description=row,
                group_name=case.name,
                code_version=code or None,
                kinds={stored, *(kinds or [settings.engine])},
                automation_condition=None if is_asked_for else condition,
                freshness_policy=None if fresh_minutes is None else window(fresh_minutes),
            )
            for name, row in rows.items()
        ]

        @wraps(function)
        def materialize(*arguments: Any, **resources: Any) -> Iterator[dg.MaterializeResult[Any]]:
            lake: Lake = resources["lake"]
            context = dg.AssetExecutionContext.get()
            context.instance.add_run_tags(context.run.run_id, {MACHINE: this_machine()})
            with (
                refusals(records=settings.preview_rows > 0),
                damage_named(lambda: lake.of(case)),
            ):
                for materialization in _each(function(*arguments, **resources)):
                    name = materialization.committed.table
                    written = lake.of(case).get(name)
                    if written is not None:
                        written.register()
                    yield materialize_result(
                        case,
                        materialization,
                        lineage=lineage if name == function.__name__ else None,
                        # Tables of records; what was trained and decided is metadata itself.
                        preview=(
                            None
                            if kinds or written is None
                            else preview(written, settings.preview_rows)
                        ),
                        called="" if written is None else written.registered_as,
                    )

        name = f"{case.name}_{function.__name__}"
        listing = _listing_spark(materialize) if settings.engine == "spark" else materialize
        return dg.multi_asset(name=name, specs=specs, **options)(listing)

    return declare


def _listing_spark(materialize: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A function that lists Spark's session among its resources: that of the lake's engine."""

    @wraps(materialize)
    def listing(*arguments: Any, spark: Any, **resources: Any) -> Iterator[Any]:
        yield from materialize(*arguments, **resources)

    own = inspect.signature(materialize)
    resource: Any = dg.ResourceParam
    session = inspect.Parameter("spark", inspect.Parameter.KEYWORD_ONLY, annotation=resource[Any])
    parameters = [*own.parameters.values(), session]
    listing.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return listing


def _each(result: Committed | Materialization | Iterable[Committed]) -> Iterator[Materialization]:
    if isinstance(result, Materialization):
        yield result
    elif isinstance(result, Committed):
        yield Materialization(result, result.details)
    else:
        yield from (Materialization(committed, committed.details) for committed in result)


def materialize_result(
    case: UseCase,
    materialization: Materialization,
    *,
    lineage: Lineage | None = None,
    preview: Any = None,
    called: str = "",
) -> dg.MaterializeResult[Any]:
    """What Dagster keeps of a committed table.

    Parameters
    ----------
    case : UseCase
        Whose table it is.
    materialization : Materialization
        The version that holds now, and what else to show.
    lineage : mapping, optional
        What each column is made from.
    preview : MetadataValue, optional
        Some records.
    called : str
        Its name in a catalog; empty where none knows it.
    """
    committed = materialization.committed
    columns = [
        dg.TableColumn(name, of, description=describe(case, committed.table, name))
        for name, of in committed.columns.items()
    ]
    metadata: dict[str, Any] = {
        **rounded(dict(materialization.metadata)),
        "dagster/row_count": committed.rows,
        **({} if preview is None else {"preview": preview}),
        "written": committed.changed,
        "delta_version": committed.version,
        "versions_read": dict(committed.reads),
        "written_by": committed.written_by,
        "dagster/table_name": called or f"{case.name}.{committed.table}",
        "dagster/uri": committed.uri,
        "dagster/size_bytes": committed.size_bytes,
        "dagster/column_schema": dg.TableSchema(columns),
    }
    if lineage:
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(key(case, table), name) for table, name in inputs]
                for column, inputs in lineage.items()
            }
        )
    return dg.MaterializeResult(
        asset_key=key(case, committed.table),
        metadata=public_values(metadata),
        data_version=dg.DataVersion(committed.data_version),
    )

"""What the command line shows of a use case: the summary of a run, status, top predictions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key, refresh_minutes
from churn_assets.tables.lake import TABLES

if TYPE_CHECKING:
    import dagster as dg

    from churn_assets.settings import Settings
    from churn_assets.usecases.spec import UseCase


def show_summary(
    use_case: UseCase,
    settings: Settings,
    checks: Sequence[dg.AssetCheckEvaluation],
    console: Console,
) -> None:
    """What a run came to."""
    tables = resources(settings)["lake"].of(use_case)
    state = {name: tables[name].require() for name in TABLES}
    promotion = _last(tables["champion"], "promotion")
    model = _last(tables["model"], "trained_at")
    console.print()
    stages = " → ".join(f"{n} {state[n].rows:,}" for n in ("raw", "silver", "features"))
    console.print(f"[bold]{use_case.name}[/]: {stages} → predictions {state['predictions'].rows:,}")
    console.print(f"Rejected records: {state['rejects'].rows:,}")
    console.print(
        f"Challenger: version {model['version']} ({model['recipe']}), test ROC AUC "
        f"{model['test_roc_auc']:.3f}, F1 {model['test_f1']:.3f}, Brier {model['test_brier']:.3f}"
    )
    for check in checks:
        if check.blocking:
            console.print(f"  {check.check_name}: {escape(check.description or '')}")
    console.print(
        f"Champion: version {promotion['version']}, since {_when(promotion['decided_at'])}"
    )
    console.print(f"Predictions: {state['predictions'].uri}")
    console.print("Next: `make dev` opens the Dagster UI; `churn predictions --top 10` lists who.")


def show_status(use_case: UseCase, settings: Settings) -> None:
    """Tables with versions and rows, aliases, the last promotion, freshness."""
    import dagster as dg

    console = Console(highlight=False)
    shared = resources(settings)
    tables, registry = shared["lake"].of(use_case), shared["mlflow"].registry(use_case)
    grid = Grid("table", "version", "rows", "written", "fresh", title=use_case.name)
    with dg.DagsterInstance.get() as instance:
        for name in TABLES:
            state = tables[name].state()
            if state is None:
                grid.add_row(name, "-", "-", "never", "-")
                continue
            event = instance.get_latest_materialization_event(key(use_case, name))
            fresh = "-"
            if event and hasattr(settings.freshness, f"{name}_minutes"):
                age = timedelta(seconds=datetime.now(UTC).timestamp() - event.timestamp)
                window = timedelta(minutes=refresh_minutes(settings.freshness, name))
                fresh = "yes" if age <= window else f"no, {_span(age - window)} late"
            grid.add_row(
                name, str(state.version), f"{state.rows:,}", _when(state.committed_at), fresh
            )
    console.print(grid)
    for alias in ("challenger", "champion"):
        version = registry.by_alias(alias)
        told = "none" if version is None else f"version {version.version}"
        console.print(f"{alias}: {told} of {registry.model_name}")
    champion = tables["champion"].state()
    if champion is not None and champion.rows:
        last = _last(tables["champion"], "promotion")
        console.print(
            f"last promotion: version {last['version']} at {_when(last['decided_at'])} "
            f"by {last['decided_by']}"
        )
    console.print(f"lake: {settings.lake_uri}")


def show_predictions(use_case: UseCase, settings: Settings, top: int) -> None:
    """The customers who are most likely to churn."""
    predictions = resources(settings)["lake"].of(use_case)["predictions"]
    predictions.require()
    columns = [use_case.key, "churn_probability", "decision", "risk_band", "model_version"]
    frame = predictions.scan().sort("churn_probability", use_case.key, descending=[True, False])
    rows = predictions.engine.collect(frame.select(columns).head(top)).to_pylist()
    grid = Grid(*columns)
    for row in rows:
        row["churn_probability"] = f"{row['churn_probability']:.3f}"
        row["decision"] = "yes" if row["decision"] else "no"
        grid.add_row(*(escape(str(value)) for value in row.values()))
    Console(highlight=False).print(grid)


def _last(table: Any, by: str) -> dict[str, Any]:
    rows = table.engine.collect(table.scan().sort(by, descending=True).head(1)).to_pylist()
    return dict(rows[0])


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))

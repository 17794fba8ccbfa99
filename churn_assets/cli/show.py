"""What the command line shows of a use case: the summary of a run, status, top predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.cli.home import history, prepare_home
from churn_assets.cli.run import Outcome, scored
from churn_assets.errors import public_uri
from churn_assets.learning.judging.record import decided
from churn_assets.learning.scoring import behind
from churn_assets.settings import Settings, settings_file
from churn_assets.tables.health import damage_named
from churn_assets.tables.provenance import MADE_UP, origin

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

Shown = ParamSpec("Shown")
"""What a function that shows something takes beside use case and settings."""


def _with_damage_named(
    show: Callable[Concatenate[UseCase, Settings, Shown], None],
) -> Callable[Concatenate[UseCase, Settings, Shown], None]:
    """Let what shows tables say which file of them is damaged, where one is."""

    @wraps(show)
    def shown(
        use_case: UseCase, settings: Settings, /, *arguments: Shown.args, **named: Shown.kwargs
    ) -> None:
        with damage_named(lambda: resources(settings).lake.of(use_case)):
            show(use_case, settings, *arguments, **named)

    return shown


@_with_damage_named
def show_summary(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """What a run from the source to predictions came to."""
    tables, console = resources(settings).lake.of(use_case), outcome.console
    state = {name: table.require() for name, table in tables.items()}
    promotion = _last(tables["champion"], "promotion")
    console.print()
    stages = " → ".join(f"{n} {state[n].rows:,}" for n in ("raw", "silver", "features"))
    console.print(f"[bold]{use_case.name}[/]: {stages} → predictions {state['predictions'].rows:,}")
    console.print(f"Rejected records: {state['rejects'].rows:,}")
    _show_challenger(tables, outcome)
    console.print(
        f"Champion: version {promotion['version']}, since {_when(promotion['decided_at'])}"
    )
    console.print(f"Predictions: {state['predictions'].uri}")
    console.print("Next: `make dev` opens the Dagster UI; `churn predictions --top 10` lists who.")


@_with_damage_named
def show_records(use_case: UseCase, settings: Settings, outcome: Outcome, source: str = "") -> None:
    """Where the records came from that raw holds after a run, as its last line.

    Parameters
    ----------
    use_case, settings, outcome
        Of the run.
    source : str
        What was typed for it.
    """
    tables, console = resources(settings).lake.of(use_case), outcome.console
    came_from = origin(tables, "raw")
    if came_from is None:
        return
    line = f"Records: {escape(came_from)}"
    setting = f"sources.{use_case.name}.uri in {escape(str(settings_file(settings.profile)))}"
    if came_from == MADE_UP:
        line += "; `--source` names your own."
    elif source and not outcome.refused:
        line += (
            f". Runs without a source go on from them; to read them anew each time, set {setting}."
        )
    elif not settings.source(use_case.name).is_named:
        line += f", as they were read {_when(tables['raw'].require().committed_at)}."
    console.print(line)


@_with_damage_named
def show_scoring(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """Who scored whom."""
    tables = resources(settings).lake.of(use_case)
    outcome.console.print(f"\n{scored(tables)}")
    outcome.console.print(f"Predictions: {tables['predictions'].require().uri}")


@_with_damage_named
def show_training(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """What a training came to."""
    outcome.console.print()
    _show_challenger(resources(settings).lake.of(use_case), outcome)
    outcome.console.print("Next: `churn promote` makes it the Champion.")


@_with_damage_named
def show_champion(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """Who is Champion now, and whose the predictions are."""
    tables, console = resources(settings).lake.of(use_case), outcome.console
    champion = _last(tables["champion"], "promotion")
    console.print(
        f"\nChampion: version {champion['version']}, by {champion['action']} at "
        f"{_when(champion['decided_at'])}"
    )
    predictions = tables["predictions"].state()
    by = None if predictions is None else predictions.details.get("model_version")
    if by != champion["version"]:
        state = "Nobody is scored yet" if by is None else f"Predictions are those of version {by}"
        console.print(f"{state}: the sensor under `make dev` rescores everyone, or `churn score`.")


def _show_challenger(tables: Mapping[str, Any], outcome: Outcome) -> None:
    model = _last(tables["model"], "trained_at")
    outcome.console.print(
        f"Challenger: version {model['version']} ({model['recipe']}), test ROC AUC "
        f"{model['test_roc_auc']:.3f}, F1 {model['test_f1']:.3f}, Brier {model['test_brier']:.3f}"
    )
    for check in outcome.checks:
        if check.asset_key.path[-1] == "model":
            outcome.console.print(f"  {check.check_name}: {escape(check.description or '')}")


@_with_damage_named
def show_status(use_case: UseCase, settings: Settings) -> None:
    """Tables with their versions, rows and sources, aliases, the last promotion, freshness."""
    console = Console(highlight=False)
    shared = resources(settings)
    tables, registry = shared.lake.of(use_case), shared.mlflow.registry(use_case)
    names = ("table", "version", "rows", "written", "fresh", "records from")
    grid = Grid(*names, title=use_case.name)
    grid.columns[-1].overflow = "fold"
    late = behind(tables)
    with history(prepare_home(settings)) as instance:
        for name, table in tables.items():
            state = table.state()
            if state is None:
                grid.add_row(name, "-", "-", "never", "-", "-")
                continue
            event = instance.get_latest_materialization_event(key(use_case, name))
            fresh = "-"
            minutes = settings.freshness.minutes(name)
            if event and minutes is not None:
                age = timedelta(seconds=datetime.now(UTC).timestamp() - event.timestamp)
                window = timedelta(minutes=minutes)
                fresh = "yes" if age <= window else f"no, {_span(age - window)} late"
            if name == "predictions" and late:
                fresh = f"no, {late}"
            grid.add_row(
                name,
                str(state.version),
                f"{state.rows:,}",
                _when(state.committed_at),
                fresh,
                escape(_origin(tables, name) or "-"),
            )
    console.print(grid)
    for alias in ("challenger", "champion"):
        version = registry.by_alias(alias)
        held = "none" if version is None else f"version {version.version}"
        console.print(f"{alias}: {held} of {registry.model_name}")
    if decided(tables["champion"]):
        last = _last(tables["champion"], "promotion")
        console.print(
            f"last {last['action']}: version {last['version']} at {_when(last['decided_at'])} "
            f"by {last['decided_by']}"
        )
    console.print(f"lake: {public_uri(settings.lake_uri)}")


@_with_damage_named
def show_predictions(use_case: UseCase, settings: Settings, top: int) -> None:
    """Whom to contact first, where a business case says so, or who is most likely to churn."""
    predictions = resources(settings).lake.of(use_case)["predictions"]
    predictions.require()
    valued = use_case.business is not None
    by = ["rank"] if valued else ["churn_probability", *use_case.keys]
    descending = [name == "churn_probability" for name in by]
    frame = predictions.scan().sort(by, descending=descending, nulls_last=True)
    reasons = [f"reason_{place}" for place in (1, 2, 3)]
    worth = ["expected_value", "contact"] if valued else []
    columns = [*use_case.keys, "churn_probability", *worth, *reasons]
    rows = predictions.engine.collect(frame.select(columns).head(top)).to_pylist()
    grid = Grid(*use_case.keys, "probability", *(["value", "contact"] if valued else []), "why")
    for place, _ in enumerate(use_case.keys):
        grid.columns[place].no_wrap = True
    for row in rows:
        why = "\n".join(filter(None, (row[reason] for reason in reasons)))
        value = [_amount(row["expected_value"]), _yes(row["contact"])] if valued else []
        probability = f"{row['churn_probability']:.3f}"
        who = (row[name] for name in use_case.keys)
        grid.add_row(*(escape(str(cell)) for cell in (*who, probability, *value, why)))
    Console(highlight=False).print(grid)


def _amount(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"


def _origin(tables: Mapping[str, Any], name: str) -> str | None:
    """Where a table's records came from; of a model those that it was trained on."""
    if name not in ("model", "champion"):
        return origin(tables, name)
    models = tables["model"].engine.collect(tables["model"].scan()).to_pylist()
    version = max((row["version"] for row in models), default=None)
    if name == "champion" and tables[name].require().rows:
        version = _last(tables[name], "promotion")["version"]
    trained_on = [row["features_version"] for row in models if row["version"] == version]
    return origin(tables, "features", trained_on[-1]) if trained_on else None


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _last(table: Any, by: str) -> dict[str, Any]:
    rows = table.engine.collect(table.scan().sort(by, descending=True).head(1)).to_pylist()
    return dict(rows[0])


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))

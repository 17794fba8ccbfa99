"""What the command line shows of a use case: the summary of a run, status, the model card."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from rich.console import Console
from rich.markup import escape
from rich.table import Table as Grid

from churn_assets.assets.resources import resources
from churn_assets.cli.home import last_materialized, prepare_home
from churn_assets.cli.words import command
from churn_assets.errors import RegistryError, public_uri
from churn_assets.learning.judging.record import decided
from churn_assets.learning.scoring import behind
from churn_assets.settings import Settings, settings_file
from churn_assets.tables.health import damage_named
from churn_assets.tables.provenance import MADE_UP, origin
from churn_assets.tables.rows import rows_of
from churn_assets.usecases.questions import file_of, open_questions

if TYPE_CHECKING:
    from churn_assets.cli.run import Outcome
    from churn_assets.learning.registry import Registry
    from churn_assets.usecases.spec import UseCase

Shown = ParamSpec("Shown")
"""What a function that shows something takes beside use case and settings."""


def with_damage_named(
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


@with_damage_named
def show_summary(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """What a run from the source to predictions came to; little where nothing changed."""
    shared = resources(settings)
    tables, console = shared.lake.of(use_case), outcome.console
    made = ("raw", "silver", "rejects", "features", "predictions")
    state = {name: tables[name].require() for name in made}
    promotion = _last(tables["champion"], "promotion")
    since = f"version {promotion['version']}, since {_when(promotion['decided_at'])}"
    console.print()
    if not outcome.written:
        warned = sum(not check.passed for check in outcome.checks)
        checks = f"{len(outcome.checks) - warned} of {len(outcome.checks)} checks passed"
        console.print(f"[bold]{use_case.name}[/]: nothing has changed; {checks}. Champion: {since}")
        console.print(f"Next: `{command('predictions')}`, `{command('card')}`, `{command('dev')}`")
        return
    stages = " → ".join(f"{n} {state[n].rows:,}" for n in ("raw", "silver", "features"))
    console.print(f"[bold]{use_case.name}[/]: {stages} → predictions {state['predictions'].rows:,}")
    console.print(f"Rejected records: {state['rejects'].rows:,}")
    _show_challenger(tables, shared.mlflow.registry(use_case), outcome)
    _show_questions(use_case, console)
    console.print(f"Champion: {since}")
    console.print(f"Predictions: {state['predictions'].uri}")
    console.print(
        f"Next: `{command('predictions --top 10')}` lists whom to contact; "
        f"`{command('dev')}` opens the Dagster UI."
    )


@with_damage_named
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


@with_damage_named
def show_scoring(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """Who scored whom."""
    from churn_assets.cli.run import scored

    tables = resources(settings).lake.of(use_case)
    outcome.console.print(f"\n{scored(tables)}")
    outcome.console.print(f"Predictions: {tables['predictions'].require().uri}")


@with_damage_named
def show_training(use_case: UseCase, settings: Settings, outcome: Outcome) -> None:
    """What a training came to."""
    outcome.console.print()
    shared = resources(settings)
    _show_challenger(shared.lake.of(use_case), shared.mlflow.registry(use_case), outcome)
    _show_questions(use_case, outcome.console)
    outcome.console.print(f"Next: `{command('promote')}` makes it the Champion.")


@with_damage_named
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
        console.print(
            f"{state}: the sensor under `{command('dev')}` rescores everyone, or "
            f"`{command('score')}`."
        )


def _show_challenger(tables: Mapping[str, Any], registry: Registry, outcome: Outcome) -> None:
    model = _last(tables["model"], "trained_at")
    outcome.console.print(
        f"Challenger: version {model['version']} ({model['recipe']}), test ROC AUC "
        f"{model['test_roc_auc']:.3f}, F1 {model['test_f1']:.3f}, Brier {model['test_brier']:.3f}"
    )
    card = registry.card(model["run_id"])
    place = f"{escape(str(card))}; " if card else ""
    outcome.console.print(f"Model card: {place}`{command('card')}` opens it")


@with_damage_named
def show_card(use_case: UseCase, settings: Settings, version: int | None, *, opened: bool) -> None:
    """Where a version's model card is; opened in a browser where there is one.

    Parameters
    ----------
    use_case, settings
        Whose card it is.
    version : int, optional
        By default that of the newest Challenger.
    opened : bool
        Whether to open it.
    """
    shared = resources(settings)
    model, registry = shared.lake.of(use_case)["model"], shared.mlflow.registry(use_case)
    model.require()
    runs = {row["version"]: row["run_id"] for row in rows_of(model.engine.collect(model.scan()))}
    chosen = max(runs) if version is None else version
    if chosen not in runs:
        known = ", ".join(map(str, sorted(runs)))
        raise RegistryError(f"{use_case.name}: there is no version {chosen}; there are {known}.")
    folder = settings.root_folder / "cards" / use_case.name / str(chosen)
    card = registry.card(runs[chosen], folder)
    if card is None:
        raise RegistryError(
            f"{use_case.name}: version {chosen} has no model card; the gates write it when they "
            "judge a version, in `churn run` or `churn train`."
        )
    Console(highlight=False, soft_wrap=True).print(escape(str(card)))
    if opened and _has_screen():
        webbrowser.open(card.as_uri())


def _has_screen() -> bool:
    """Whether a browser would open beside the terminal, and not in it."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def _show_questions(use_case: UseCase, console: Console) -> None:
    """How many questions `churn new` asked that nobody answered yet."""
    asked = open_questions(use_case)
    if asked:
        console.print(
            f"[yellow]Open questions: {len(asked)}[/], each a QUESTION in "
            f"{escape(str(file_of(use_case)))}. A column that is asked about has no part in the "
            "model until it is answered."
        )


@with_damage_named
def show_status(use_case: UseCase, settings: Settings) -> None:
    """Tables with their versions, rows and sources, aliases, the last promotion, freshness."""
    console = Console(highlight=False)
    shared = resources(settings)
    tables, registry = shared.lake.of(use_case), shared.mlflow.registry(use_case)
    names = ("table", "version", "rows", "written", "fresh", "records from")
    grid = Grid(*names, title=use_case.name)
    grid.columns[-1].overflow = "fold"
    late = behind(tables)
    made_at = last_materialized(prepare_home(settings), use_case.name)
    for name, table in tables.items():
        state = table.state()
        if state is None:
            grid.add_row(name, "-", "-", "never", "-", "-")
            continue
        fresh = "-"
        minutes = settings.freshness.minutes(name)
        if name in made_at and minutes is not None:
            age = datetime.now(UTC) - made_at[name]
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
    for line in who_answers_in_words(tables, settings):
        console.print(escape(line))
    console.print(f"lake: {public_uri(settings.lake_uri)}")


def who_answers_in_words(tables: Mapping[str, Any], settings: Settings) -> list[str]:
    """Who is Champion on record, and who answers; in one line where they are the same.

    Parameters
    ----------
    tables : mapping of str to Table
        Of the use case, by name.
    settings : Settings
        Say how a new Champion takes over.
    """
    from churn_assets.serving.loader import rollout_of
    from churn_assets.serving.traffic.changes import who_answers
    from churn_assets.serving.traffic.standing import in_words

    now = datetime.now(UTC)
    stands = who_answers(tables, rollout_of(settings), now)
    if stands is None:
        return ["traffic: nobody answers, since there is no Champion yet"]
    words = in_words(stands, now)
    lines = [f"traffic: {words[0].lower()}{words[1:]}"]
    if not stands.is_settled:
        rest, since = stands.rest.version, _when(stands.on_record.decided_at)
        lines.append(
            f"Champion on record: version {stands.on_record.version}, since {since}; "
            f"`{command(f'rollback {rest}')}` makes version {rest} Champion again"
        )
    return lines


def _origin(tables: Mapping[str, Any], name: str) -> str | None:
    """Where a table's records came from; of a model those that it was trained on."""
    if name not in ("model", "champion"):
        return origin(tables, name)
    models = rows_of(tables["model"].engine.collect(tables["model"].scan()))
    version = max((row["version"] for row in models), default=None)
    if name == "champion" and tables[name].require().rows:
        version = _last(tables[name], "promotion")["version"]
    trained_on = [row["features_version"] for row in models if row["version"] == version]
    return origin(tables, "features", trained_on[-1]) if trained_on else None


def _last(table: Any, by: str) -> dict[str, Any]:
    return rows_of(table.engine.collect(table.scan().sort(by, descending=True).head(1)))[0]


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _span(span: timedelta) -> str:
    return str(timedelta(seconds=round(span.total_seconds())))

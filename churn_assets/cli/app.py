"""`churn`: what people type."""

from __future__ import annotations

import gc
import getpass
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from churn_assets.cli.home import history, prepare_home
from churn_assets.errors import ChurnError, SettingsError, public_error
from churn_assets.settings import (
    declared_use_cases,
    load_settings,
    project_folder,
    settings_file,
)
from churn_assets.tables.lake import record_tables
from churn_assets.tables.provenance import GENERATED
from churn_assets.tables.sources.source import Source

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

app = typer.Typer(
    help="From customer records to a governed Champion and scored customers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

UseCaseOption = Annotated[str, typer.Option("--use-case", help="What is predicted.")]
SourceOption = Annotated[
    str,
    typer.Option(
        help="Path or URI of the records, or `generated` for made-up ones; by default what the "
        "settings say, or else the records that are there."
    ),
]
AcceptOption = Annotated[
    bool,
    typer.Option(
        "--accept", help="Take the source as it is, once, though far less comes than is there."
    ),
]
RetrainOption = Annotated[
    bool, typer.Option("--retrain", help="Train even where data and code are unchanged.")
]
TuneOption = Annotated[
    int | None, typer.Option(min=0, help="How many configurations to try.", metavar="TRIALS")
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        metavar="DAY",
        formats=["%Y-%m-%d"],
        help="As things were known on a past day, beside today's.",
    ),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's log.")]
ByOption = Annotated[str, typer.Option(help="Who decides; by default who is logged in.")]
NoteOption = Annotated[str, typer.Option(help="Why; kept with the decision.")]
DEFAULT_USE_CASE = "telco_churn"
GC_OBJECTS = 200_000


@app.command()
def run(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    accept: AcceptOption = False,
    retrain: RetrainOption = False,
    tune: TuneOption = None,
    as_of: AsOfOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Ingest, train, gate, promote and score, with progress for each asset.

    Where the Challenger is refused, the Champion scores all the same.
    """
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings(_options(use_case, source=source, tune=tune, as_of=as_of))
        from churn_assets.cli.run import run_and_score
        from churn_assets.cli.show import show_records, show_summary

        config = _run_config(case, accept=accept, retrain=retrain)
        outcome = run_and_score(case, settings, config=config, verbose=verbose)
        if not outcome.refused:
            show_summary(case, settings, outcome)
        with _refusals(outcome.refused):
            show_records(case, settings, outcome, source)
    if outcome.refused:
        _refuse(outcome.refused)


@app.command()
def train(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    accept: AcceptOption = False,
    experiment: Annotated[
        str, typer.Option(help="YAML file of candidates, tuning and gates.", metavar="FILE")
    ] = "",
    retrain: RetrainOption = False,
    tune: TuneOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Train a Challenger and judge it; nobody is promoted."""
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings(
            _options(use_case, source=source, experiment=experiment, tune=tune)
        )
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_records, show_training

        config = _run_config(case, accept=accept, retrain=retrain)
        tables = (*record_tables(case), "model")
        outcome = run_job(case, settings, tables, config=config, verbose=verbose)
        if not outcome.refused:
            show_training(case, settings, outcome)
        with _refusals(outcome.refused):
            show_records(case, settings, outcome, source)
    if outcome.refused:
        _refuse(outcome.refused)


@app.command()
def score(use_case: UseCaseOption = DEFAULT_USE_CASE, verbose: VerboseOption = False) -> None:
    """Score every customer in features with the Champion, and do nothing else."""
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_records, show_scoring

        outcome = run_job(case, settings, ("predictions",), verbose=verbose)
        if not outcome.refused:
            show_scoring(case, settings, outcome)
            show_records(case, settings, outcome)
    if outcome.refused:
        _refuse(outcome.refused)


@app.command()
def promote(use_case: UseCaseOption = DEFAULT_USE_CASE, verbose: VerboseOption = False) -> None:
    """Make the Challenger the Champion, if the gates let it pass."""
    _decide(use_case, {}, verbose)


@app.command()
def rollback(
    version: Annotated[
        int | None, typer.Argument(help="Which earlier Champion; by default the one before.")
    ] = None,
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    by: ByOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Make an earlier Champion the Champion again."""
    config = {"rollback": True, "version": version, "decided_by": by or _who()}
    _decide(use_case, config, verbose)


@app.command()
def approve(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    by: ByOption = "",
    note: NoteOption = "",
    despite: Annotated[
        list[str] | None,
        typer.Option(help="A gate that refuses it and that gates.override names; may be repeated."),
    ] = None,
) -> None:
    """Approve the Challenger on the evidence as it is now."""
    _answer(use_case, approved=True, by=by, note=note, despite=despite or ())


@app.command()
def reject(
    use_case: UseCaseOption = DEFAULT_USE_CASE, by: ByOption = "", note: NoteOption = ""
) -> None:
    """Reject the Challenger."""
    _answer(use_case, approved=False, by=by, note=note)


@app.command()
def status(use_case: UseCaseOption = DEFAULT_USE_CASE, as_of: AsOfOption = None) -> None:
    """Tables with their versions, rows and sources, aliases, the last promotion, freshness."""
    case = _use_case(use_case)
    with _refusals():
        from churn_assets.cli.show import show_status

        show_status(case, load_settings(_options(use_case, as_of=as_of)))


@app.command()
def predictions(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    top: Annotated[int, typer.Option(min=1, help="How many customers.")] = 10,
    as_of: AsOfOption = None,
) -> None:
    """The customers who are most likely to churn."""
    case = _use_case(use_case)
    with _refusals():
        from churn_assets.cli.show import show_predictions

        show_predictions(case, load_settings(_options(use_case, as_of=as_of)), top)


@app.command()
def doctor(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make whole again what can be; train nothing.")
    ] = False,
) -> None:
    """Whether tables, models, alias and history are whole; with --repair, mend them."""
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        from churn_assets.cli.doctor import show_health

        remaining = show_health(case, settings, repair=repair)
    if remaining:
        _refuse(remaining)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the use case, such as hotel_bookings.")],
    source: Annotated[
        str, typer.Option("--from", help="Path or URI of the records.", metavar="SOURCE")
    ],
    key: Annotated[
        list[str], typer.Option(help="Column that names a customer; again for each further one.")
    ],
    label: Annotated[str, typer.Option(help="Column that is predicted.")],
    positive: Annotated[str, typer.Option(help="Its value that counts as churn.")],
    delimiter: Annotated[str | None, typer.Option(help="Between fields; by default ','.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of text; by default utf-8.")] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, parquet or delta; by default what the ending says.")
    ] = None,
) -> None:
    """Begin a use case: profile a table, write its file and its test, and ask what is open."""
    given = {"delimiter": delimiter, "encoding": encoding, "format": format}
    # Other commands may be typed in another folder.
    address = source if "://" in source else str(Path(source).expanduser().absolute())
    with _refusals():
        settings = load_settings(coming=name)
        from churn_assets.scaffold.new import Places, begin
        from churn_assets.scaffold.summary import summary

        configured = settings.sources.get(name)
        new_case = begin(
            name,
            _source({"uri": address, **given}, configured),
            key,
            label,
            positive,
            Places(
                use_cases=Path(__file__).parents[1] / "usecases",
                tests=project_folder() / "churn_assets_tests" / "usecases",
                profiles=settings.profiles_folder,
                settings=settings_file(settings.profile),
            ),
            configured,
        )
        typer.echo(summary(new_case))


@app.command()
def dev(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the UI.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI, with the daemon that runs sensors and schedules."""
    _use_case(use_case)
    with _refusals():
        home = prepare_home(load_settings())
        with history(home):
            # Opened so that runs that were killed are ended before the daemon counts them.
            pass
    workspace = project_folder() / "workspace.yaml"
    dagster = Path(sys.executable).with_name("dagster")
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    if source:
        # The UI's processes run in the project's folder.
        is_address = "://" in source or source == GENERATED
        address = source if is_address else str(Path(source).absolute())
        environment[f"CHURN_SOURCES__{use_case.upper()}__URI"] = address
    os.chdir(project_folder())
    arguments = ["dev", "-w", str(workspace), "-p", str(port), "-h", host]
    os.execve(dagster, [str(dagster), *arguments], environment)


@app.command()
def mlflow(port: Annotated[int, typer.Option(help="Port of the UI.")] = 5000) -> None:
    """Open MLflow's UI on the local store."""
    with _refusals():
        settings = load_settings()
        from churn_assets.assets.resources import resources

        for case in declared_use_cases(settings).values():
            # So that the UI finds the files of a project that was moved.
            resources(settings).mlflow.registry(case).connect()
    command = Path(sys.executable).with_name("mlflow")
    # Not as an argument, which every user of the machine can list.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri}
    os.execve(command, [str(command), "ui", "--port", str(port)], environment)


@app.command()
def home() -> None:
    """Put dagster.yaml where DAGSTER_HOME is, and print that folder."""
    with _refusals():
        typer.echo(prepare_home(load_settings()))


def main() -> None:
    """Run the command line."""
    # What an object store's client warns of comes before the one line that says what is wrong.
    os.environ.setdefault("RUST_LOG", "error")
    # Imports make a million objects that stay: looking through them all the time costs seconds.
    gc.set_threshold(GC_OBJECTS)
    try:
        app()
    except Exception as error:
        public = public_error(error, records=_shows_records())
        if public is error:
            raise
        raise public from None


def _decide(use_case: str, config: Mapping[str, Any], verbose: bool) -> None:
    """Run the champion asset."""
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_champion

        outcome = run_job(
            case, settings, ("champion",), config={"champion": config}, verbose=verbose
        )
        if not outcome.refused:
            show_champion(case, settings, outcome)
    if outcome.refused:
        _refuse(outcome.refused)


def _answer(
    use_case: str, *, approved: bool, by: str, note: str, despite: Sequence[str] = ()
) -> None:
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        from churn_assets.assets.resources import resources
        from churn_assets.learning.judging.promotion import answer

        challenger = answer(
            resources(settings).workplace(case),
            settings.gates,
            approved=approved,
            by=by or _who(),
            note=note,
            despite=despite,
            most_rows=settings.training.max_rows,
        )
    if not approved:
        typer.echo(
            f"Challenger {challenger.version} is rejected and is not promoted; the Champion stands."
        )
        return
    needed = "" if settings.gates.approval != "none" else " (gates.approval asks for none)"
    how = f" despite {', '.join(despite)}" if despite else needed
    typer.echo(
        f"Challenger {challenger.version} is approved{how}; `churn promote` makes it the "
        "Champion, if every other gate lets it pass."
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f"uid {os.getuid()}"


def _options(
    use_case: str,
    *,
    source: str = "",
    experiment: str = "",
    tune: int | None = None,
    as_of: datetime | None = None,
) -> dict[str, Any]:
    """What was typed for one command, as settings."""
    options: dict[str, Any] = {}
    if source:
        options["sources"] = {use_case: {"uri": source}}
    if experiment:
        options["experiment"] = str(Path(experiment).absolute())
    if tune is not None:
        options["training"] = {"tuning": {"trials": tune}}
    if as_of is not None:
        options["as_of"] = as_of.date()
    return options


def _run_config(case: UseCase, *, accept: bool, retrain: bool) -> dict[str, dict[str, bool]]:
    """How the assets of a run are run, by table."""
    sources = ["raw", *(["labels"] if case.labels else [])]
    return {**{table: {"accept": accept} for table in sources}, "model": {"retrain": retrain}}


def _source(given: Mapping[str, str | None], configured: Source | None) -> Source:
    """A source as it is typed, and for the rest as it is set."""
    typed = {name: value for name, value in given.items() if value is not None}
    try:
        valid = Source.model_validate(typed)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise typer.BadParameter(
            fault["msg"].removeprefix("Value error, "), param_hint=f"--{fault['loc'][0]}"
        ) from None
    if configured is None:
        return valid
    return configured.model_copy(update={name: getattr(valid, name) for name in typed})


def _use_case(name: str) -> UseCase:
    with _refusals():
        declared = declared_use_cases(load_settings())
    if name not in declared:
        raise typer.BadParameter(
            f"there is no use case '{name}'; known are {', '.join(declared)}.",
            param_hint="--use-case",
        )
    return declared[name]


@contextmanager
def _refusals(earlier: str | None = None) -> Iterator[None]:
    """End with one line on stderr where anything is refused: the first that was."""
    try:
        yield
    except ChurnError as error:
        _refuse(earlier or error.line(records=_shows_records()))


def _shows_records() -> bool:
    """Whether keys and values of customers may be shown here."""
    try:
        return load_settings().preview_rows > 0
    except SettingsError:
        return False


def _refuse(reason: str) -> None:
    # A path may hold a line end.
    typer.echo(f"churn: {' '.join(reason.splitlines())}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    main()

"""`churn`: what people type."""

from __future__ import annotations

import errno
import gc
import getpass
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from churn_assets.cli.liveness import end_killed_runs
from churn_assets.errors import ChurnError, SettingsError, public_uri
from churn_assets.settings import (
    Settings,
    declared_use_cases,
    load_settings,
    project_folder,
    settings_file,
)
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
    str, typer.Option(help="Path or URI of the records; by default what the settings say.")
]
RetrainOption = Annotated[
    bool, typer.Option("--retrain", help="Train even where data and code are unchanged.")
]
TuneOption = Annotated[
    int | None, typer.Option(min=0, help="How many configurations to try.", metavar="TRIALS")
]
AsOfOption = Annotated[
    str, typer.Option(metavar="DAY", help="As things were known on a past day, beside today's.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's log.")]
ByOption = Annotated[str, typer.Option(help="Who decides; by default who is logged in.")]
NoteOption = Annotated[str, typer.Option(help="Why; kept with the decision.")]
DEFAULT_USE_CASE = "telco_churn"
GC_OBJECTS = 200_000
UP_TO_MODEL = ("raw", "silver", "rejects", "features", "model")
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@app.command()
def run(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    retrain: RetrainOption = False,
    tune: TuneOption = None,
    as_of: AsOfOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Ingest, train, gate, promote and score, with progress for each asset."""
    _choose_day(as_of)
    case = _use_case(use_case)
    _choose_source(use_case, source)
    _choose_trials(tune)
    with _refusals():
        settings = _prepared()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_summary

        outcome = run_job(case, config={"model": {"retrain": retrain}}, verbose=verbose)
        if not outcome.refused:
            show_summary(case, settings, outcome)
    if outcome.refused:
        _refuse(outcome.refused)
    if source:
        kept = f"sources.{use_case}.uri in {settings_file(settings.profile)}"
        typer.echo(f"This run alone used {public_uri(source)}; to keep it, set {kept}.")


@app.command()
def train(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    experiment: Annotated[
        str, typer.Option(help="YAML file of candidates, tuning and gates.", metavar="FILE")
    ] = "",
    retrain: RetrainOption = False,
    tune: TuneOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Train a Challenger and judge it; nobody is promoted."""
    case = _use_case(use_case)
    _choose_source(use_case, source)
    _choose_trials(tune)
    if experiment:
        os.environ["CHURN_EXPERIMENT"] = str(Path(experiment).absolute())
    with _refusals():
        settings = _prepared()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_training

        outcome = run_job(
            case, UP_TO_MODEL, config={"model": {"retrain": retrain}}, verbose=verbose
        )
        if not outcome.refused:
            show_training(case, settings, outcome)
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
    use_case: UseCaseOption = DEFAULT_USE_CASE, by: ByOption = "", note: NoteOption = ""
) -> None:
    """Approve the Challenger on the evidence as it is now."""
    _answer(use_case, approved=True, by=by, note=note)


@app.command()
def reject(
    use_case: UseCaseOption = DEFAULT_USE_CASE, by: ByOption = "", note: NoteOption = ""
) -> None:
    """Reject the Challenger."""
    _answer(use_case, approved=False, by=by, note=note)


@app.command()
def status(use_case: UseCaseOption = DEFAULT_USE_CASE, as_of: AsOfOption = "") -> None:
    """Tables with versions and rows, aliases, the last promotion, freshness."""
    _choose_day(as_of)
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        _prepare_home(settings)
        from churn_assets.cli.show import show_status

        show_status(case, settings)


@app.command()
def predictions(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    top: Annotated[int, typer.Option(min=1, help="How many customers.")] = 10,
    as_of: AsOfOption = "",
) -> None:
    """The customers who are most likely to churn."""
    _choose_day(as_of)
    case = _use_case(use_case)
    with _refusals():
        from churn_assets.cli.show import show_predictions

        show_predictions(case, load_settings(), top)


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
        begun = begin(
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
        typer.echo(summary(begun))


@app.command()
def dev(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address of the UI.")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI, with the daemon that runs sensors and schedules."""
    _use_case(use_case)
    # The UI's processes run in the project's folder.
    _choose_source(
        use_case, str(Path(source).absolute()) if source and "://" not in source else source
    )
    with _refusals():
        _prepare_home(load_settings())
        end_killed_runs()
    workspace = project_folder() / "workspace.yaml"
    dagster = Path(sys.executable).with_name("dagster")
    os.chdir(project_folder())
    arguments = ["dev", "-w", str(workspace), "-p", str(port), "-h", host]
    os.execv(dagster, [str(dagster), *arguments])


@app.command()
def mlflow(port: Annotated[int, typer.Option(help="Port of the UI.")] = 5000) -> None:
    """Open MLflow's UI on the local store."""
    with _refusals():
        settings = load_settings()
    command = Path(sys.executable).with_name("mlflow")
    arguments = ["ui", "--backend-store-uri", settings.tracking_uri, "--port", str(port)]
    os.execv(command, [str(command), *arguments])


@app.command()
def home() -> None:
    """Put dagster.yaml where DAGSTER_HOME is, and print that folder."""
    with _refusals():
        typer.echo(_prepare_home(load_settings()))


def main() -> None:
    """Run the command line."""
    # What an object store's client warns of comes before the one line that says what is wrong.
    os.environ.setdefault("RUST_LOG", "error")
    # Imports make a million objects that stay: looking through them all the time costs seconds.
    gc.set_threshold(GC_OBJECTS)
    app()


def _decide(use_case: str, config: Mapping[str, Any], verbose: bool) -> None:
    """Run the champion asset."""
    case = _use_case(use_case)
    with _refusals():
        settings = _prepared()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_champion

        outcome = run_job(case, ("champion",), config={"champion": config}, verbose=verbose)
        if not outcome.refused:
            show_champion(case, settings, outcome)
    if outcome.refused:
        _refuse(outcome.refused)


def _answer(use_case: str, *, approved: bool, by: str, note: str) -> None:
    case = _use_case(use_case)
    with _refusals():
        settings = load_settings()
        from churn_assets.assets.resources import resources
        from churn_assets.learning.judging.promotion import answer

        shared = resources(settings)
        challenger = answer(
            case,
            shared["lake"].of(case),
            shared["mlflow"].registry(case),
            settings.gates,
            approved=approved,
            by=by or _who(),
            note=note,
            most_rows=settings.training.max_rows,
        )
    if not approved:
        typer.echo(f"Challenger {challenger.version} is rejected; the Champion stands.")
        return
    needed = "" if settings.gates.approval == "required" else " (gates.approval asks for none)"
    typer.echo(
        f"Challenger {challenger.version} is approved{needed}; `churn promote` makes it the "
        "Champion, if every other gate lets it pass."
    )


def _prepared() -> Settings:
    settings = load_settings()
    _prepare_home(settings)
    return settings


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In a container the user may have no name.
        return f"uid {os.getuid()}"


def _choose_trials(tune: int | None) -> None:
    if tune is not None:
        os.environ["CHURN_TRAINING__TUNING__TRIALS"] = str(tune)


def _choose_day(as_of: str) -> None:
    if as_of:
        os.environ["CHURN_AS_OF"] = as_of


def _choose_source(use_case: str, source: str) -> None:
    if source:
        os.environ[f"CHURN_SOURCES__{use_case.upper()}__URI"] = source


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


def _prepare_home(settings: Settings) -> Path:
    """Make DAGSTER_HOME and put dagster.yaml into it: elsewhere it is silently ignored."""
    # What was known on a past day is no part of today's history.
    home = None if settings.as_of else os.environ.get("DAGSTER_HOME")
    folder = Path(home or settings.dagster_home).expanduser().absolute()
    # Dagster takes no relative folder.
    os.environ["DAGSTER_HOME"] = str(folder)
    template, place = project_folder() / "config" / "dagster.yaml", folder / "dagster.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if template.exists() and (
            not place.exists() or place.read_bytes() != template.read_bytes()
        ):
            shutil.copyfile(template, place)
    except OSError as error:
        raise SettingsError(
            f"{folder}: cannot be written ({error.strerror}). Set CHURN_ROOT or DAGSTER_HOME to "
            "another folder."
        ) from None
    return folder


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ChurnError as error:
        _refuse(str(error))
    except Exception as error:
        fault = _storage_fault(error)
        if fault is None:
            raise
        _refuse(
            f"{os.environ['DAGSTER_HOME']}: Dagster's history cannot be kept: {fault}. Free some "
            "space or give write permission, then run again. The last versions stand."
        )


def _storage_fault(error: BaseException | None) -> str | None:
    """What a full or read-only disk did to Dagster's own files; None for any other error."""
    while error is not None:
        if isinstance(error, sqlite3.OperationalError):
            return str(error)
        if isinstance(error, OSError) and error.errno in _STORAGE:
            return error.strerror
        error = error.__cause__ or error.__context__
    return None


def _refuse(reason: str) -> None:
    # A path may hold a line end.
    typer.echo(f"churn: {' '.join(reason.splitlines())}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    main()

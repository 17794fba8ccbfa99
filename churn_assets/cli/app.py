"""`churn`: what people type."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churn_assets.cli.serving import traffic
from churn_assets.cli.usage import (
    find_use_case,
    format_of,
    refusals,
    refuse,
    shows_records,
    source_of,
    typed_settings,
    who,
)
from churn_assets.cli.words import DEFAULT_USE_CASE, command
from churn_assets.errors import public_error

if TYPE_CHECKING:
    from churn_assets.settings import Settings
    from churn_assets.usecases.spec import UseCase

app = typer.Typer(
    help="From customer records to a governed Champion and scored customers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Rich takes longer to import than all that help needs.
    rich_markup_mode=None,
)

app.add_typer(traffic.app, name="traffic")

UseCaseOption = Annotated[str, typer.Option("--use-case", help="What is predicted.")]
SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        "--input",
        help="Path or URI of the records, or `generated` for made-up ones; by default what the "
        "settings say, or else the records that are there.",
    ),
]
OutputOption = Annotated[
    str, typer.Option(help="Path or URI of a Delta table that is to hold the predictions as well.")
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
GC_OBJECTS = 200_000


@app.command()
def run(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    source: SourceOption = "",
    output: OutputOption = "",
    accept: AcceptOption = False,
    retrain: RetrainOption = False,
    tune: TuneOption = None,
    as_of: AsOfOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Ingest, train, gate, promote and score.

    Where the Challenger is refused, the Champion scores all the same.
    """
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings(use_case, source=source, tune=tune, as_of=as_of)
        from churn_assets.cli.run import run_and_score
        from churn_assets.cli.show import show_records, show_summary

        config = _run_config(case, settings, accept=accept, retrain=retrain) | _output(output)
        outcome = run_and_score(case, settings, config=config, verbose=verbose)
        if not outcome.refused:
            show_summary(case, settings, outcome)
        with refusals(outcome.refused):
            show_records(case, settings, outcome, source)
    if outcome.refused:
        refuse(outcome.refused)


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
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings(use_case, source=source, experiment=experiment, tune=tune)
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_records, show_training
        from churn_assets.tables.lake import HOLDOUT, record_tables

        config = _run_config(case, settings, accept=accept, retrain=retrain)
        held_out = [HOLDOUT] if HOLDOUT in config else []
        tables = (*held_out, *record_tables(case), "model")
        outcome = run_job(case, settings, tables, config=config, verbose=verbose)
        if not outcome.refused:
            show_training(case, settings, outcome)
        with refusals(outcome.refused):
            show_records(case, settings, outcome, source)
    if outcome.refused:
        refuse(outcome.refused)


@app.command()
def score(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    output: OutputOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Score every customer with the Champion, and nothing else."""
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings()
        from churn_assets.assets.automation import SCORING
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_records, show_scoring

        outcome = run_job(case, settings, SCORING, config=_output(output), verbose=verbose)
        if not outcome.refused:
            show_scoring(case, settings, outcome)
            show_records(case, settings, outcome)
    if outcome.refused:
        refuse(outcome.refused)


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
    config = {"rollback": True, "version": version, "decided_by": by or who()}
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
    """Tables with rows and sources, Champion, freshness."""
    case = find_use_case(use_case)
    with refusals():
        from churn_assets.cli.show import show_status

        show_status(case, typed_settings(use_case, as_of=as_of))


@app.command()
def predictions(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    top: Annotated[
        int | None, typer.Option(min=1, help="How many customers; 10 in a table, all in a file.")
    ] = None,
    format: Annotated[
        str, typer.Option(help="csv, json or parquet, instead of a table.", metavar="FORMAT")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="File to write; its ending says the format.", metavar="FILE")
    ] = None,
    as_of: AsOfOption = None,
) -> None:
    """Whom to contact first, and why; or everyone, as a file."""
    kind = format_of(format, output)
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings(use_case, as_of=as_of)
        from churn_assets.cli.predictions import LISTED, show_predictions, write_predictions

        if kind:
            write_predictions(case, settings, top, kind, output)
        else:
            show_predictions(case, settings, top or LISTED)


@app.command()
def customer(
    key: Annotated[
        list[str],
        typer.Argument(
            help="Key of the customer; where it has several parts, each in its order.",
            show_default=False,
        ),
    ],
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    format: Annotated[str, typer.Option(help="json, instead of tables.", metavar="FORMAT")] = "",
    as_of: AsOfOption = None,
) -> None:
    """One customer: scores over time, contact, requests."""
    if format not in ("", "json"):
        raise typer.BadParameter(f"'{format}' is not json.", param_hint="--format")
    case = find_use_case(use_case)
    if len(key) != len(case.keys):
        raise typer.BadParameter(
            f"{use_case} has a key of {', '.join(case.keys)}.", param_hint="KEY"
        )
    with refusals():
        settings = typed_settings(use_case, as_of=as_of)
        from churn_assets.cli.serving.customer import show_customer

        show_customer(case, settings, key, as_json=bool(format))


@app.command()
def card(
    version: Annotated[
        int | None, typer.Argument(help="Of which model; by default the newest Challenger.")
    ] = None,
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    opened: Annotated[
        bool,
        typer.Option("--open/--no-open", help="Whether to open a browser, where there is one."),
    ] = True,
) -> None:
    """Open a model card, and print where it is."""
    case = find_use_case(use_case)
    with refusals():
        from churn_assets.cli.show import show_card

        show_card(case, typed_settings(), version, opened=opened)


@app.command()
def doctor(
    use_case: UseCaseOption = DEFAULT_USE_CASE,
    repair: Annotated[
        bool, typer.Option("--repair", help="Make whole again what can be; train nothing.")
    ] = False,
) -> None:
    """Say what is damaged; with --repair, mend it."""
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings()
        from churn_assets.cli.doctor import show_health

        remaining = show_health(case, settings, repair=repair)
    if remaining:
        refuse(remaining)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the use case, such as hotel_bookings.")],
    source: Annotated[
        str, typer.Option("--from", help="Path or URI of the records.", metavar="SOURCE")
    ],
    label: Annotated[str, typer.Option(help="Column that is predicted.")],
    positive: Annotated[str, typer.Option(help="Its value that counts as churn.")],
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Column that names a customer; again for each further one. Without it, one is "
            "proposed."
        ),
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between fields; by default ','.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of text; by default utf-8.")] = None,
    format: Annotated[
        str | None, typer.Option(help="csv, parquet or delta; by default what the ending says.")
    ] = None,
) -> None:
    """Begin a use case from a table, and ask what is open."""
    given = {"delimiter": delimiter, "encoding": encoding, "format": format}
    # Other commands may be typed in another folder.
    address = source if "://" in source else str(Path(source).expanduser().absolute())
    with refusals():
        settings = typed_settings(coming=name)
        from churn_assets.scaffold.new import Places, begin
        from churn_assets.scaffold.summary import summary
        from churn_assets.settings import project_folder, settings_file

        configured = settings.sources.get(name)
        new_case = begin(
            name,
            source_of({"uri": address, **given}, configured),
            key or (),
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
    """Open the Dagster UI, with sensors and schedules at work."""
    find_use_case(use_case)
    with refusals():
        from churn_assets.cli.home import history, prepare_home
        from churn_assets.tables.provenance import GENERATED

        home = prepare_home(typed_settings())
        with history(home):
            # Opened so that runs that were killed are ended before the daemon counts them.
            pass
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    if source:
        # The UI's processes run in the project's folder.
        is_address = "://" in source or source == GENERATED
        address = source if is_address else str(Path(source).absolute())
        environment[f"CHURN_SOURCES__{use_case.upper()}__URI"] = address
    with refusals():
        from churn_assets.cli.dev import become_dagster

        become_dagster(host, port, environment)


@app.command()
def serve(
    use_case: Annotated[
        str, typer.Option(help="What routes speak for that name none; all are served.")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen at; -1 leaves it to settings.")] = -1,
) -> None:
    """Answer requests, one prediction at a time."""
    if use_case:
        find_use_case(use_case)
    with refusals():
        from churn_assets.cli.serving.serve import serve as become_server

        become_server(typed_settings(), host or None, port if port >= 0 else None, use_case or None)


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Who gets it.")],
    role: Annotated[list[str], typer.Option(help="predict, explain or admin; again for each.")],
) -> None:
    """Make an API key of the server, which is shown once."""
    with refusals():
        from churn_assets.cli.serving.serve import add_key

        typer.echo(add_key(typed_settings(), name, role))


@app.command()
def mlflow(port: Annotated[int, typer.Option(help="Port of the UI.")] = 5000) -> None:
    """Open MLflow's UI on the local store."""
    with refusals():
        settings = typed_settings()
        from churn_assets.assets.resources import resources
        from churn_assets.settings import declared_use_cases

        for case in declared_use_cases(settings).values():
            # So that the UI finds the files of a project that was moved.
            resources(settings).mlflow.registry(case).connect()
    program = Path(sys.executable).with_name("mlflow")
    # Not as an argument, which every user of the machine can list.
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri}
    os.execve(program, [str(program), "ui", "--port", str(port)], environment)


@app.command()
def home() -> None:
    """Print DAGSTER_HOME, with dagster.yaml put into it."""
    with refusals():
        from churn_assets.cli.home import prepare_home

        typer.echo(prepare_home(typed_settings()))


def main() -> None:
    """Run the command line."""
    # What an object store's client warns of comes before the one line that says what is wrong.
    os.environ.setdefault("RUST_LOG", "error")
    # Imports make a million objects that stay: looking through them all the time costs seconds.
    gc.set_threshold(GC_OBJECTS)
    try:
        app()
    except Exception as error:
        public = public_error(error, records=shows_records())
        if public is error:
            raise
        raise public from None


def _decide(use_case: str, config: Mapping[str, Any], verbose: bool) -> None:
    """Run the champion asset."""
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings()
        from churn_assets.cli.run import run_job
        from churn_assets.cli.show import show_champion

        outcome = run_job(
            case, settings, ("champion",), config={"champion": config}, verbose=verbose
        )
        if not outcome.refused:
            show_champion(case, settings, outcome)
    if outcome.refused:
        refuse(outcome.refused)


def _answer(
    use_case: str, *, approved: bool, by: str, note: str, despite: Sequence[str] = ()
) -> None:
    case = find_use_case(use_case)
    with refusals():
        settings = typed_settings()
        from churn_assets.assets.resources import resources
        from churn_assets.learning.judging.promotion import answer

        challenger = answer(
            resources(settings).workplace(case),
            settings.gates,
            approved=approved,
            by=by or who(),
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
        f"Challenger {challenger.version} is approved{how}; `{command('promote')}` makes it the "
        "Champion, if every other gate lets it pass."
    )


def _run_config(
    case: UseCase, settings: Settings, *, accept: bool, retrain: bool
) -> dict[str, dict[str, Any]]:
    """How the assets of a run are run, by table."""
    from churn_assets.tables.lake import HOLDOUT

    held_out = [HOLDOUT] if settings.source(case.name).holdout else []
    sources = ["raw", *(["labels"] if case.labels else []), *held_out]
    return {**{table: {"accept": accept} for table in sources}, "model": {"retrain": retrain}}


def _output(place: str) -> dict[str, dict[str, Any]]:
    """How predictions are run, by where they are to be as well."""
    if not place:
        return {}
    # A path is typed from where the command is.
    address = place if "://" in place else str(Path(place).expanduser().absolute())
    return {"predictions": {"output": address}}


if __name__ == "__main__":
    main()

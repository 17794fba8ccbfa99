"""`churn traffic`: who answers, and how that is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from churn_assets.cli.usage import find_use_case, refusals, refuse, typed_settings, who
from churn_assets.cli.words import DEFAULT_USE_CASE

if TYPE_CHECKING:
    from churn_assets.settings import Settings
    from churn_assets.usecases.spec import UseCase

app = typer.Typer(
    help="Who answers: show it, or change it on record.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

OfGroup = Annotated[str, typer.Option("--use-case", help="What is predicted.")]
UseCaseOption = Annotated[str, typer.Option("--use-case", help="What is predicted.")]
VersionOption = Annotated[
    int | None, typer.Option(min=1, help="Which version; by default the Challenger.")
]
ShareOption = Annotated[float, typer.Option(help="Of the customers, between 0 and 1.")]
WhyOption = Annotated[str, typer.Option(help="The reason; kept with the change.")]
ByOption = Annotated[str, typer.Option(help="Who decides; by default who is logged in.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's log.")]
LISTED = 10
"""Changes that are shown."""


@app.callback()
def traffic(context: typer.Context, use_case: OfGroup = DEFAULT_USE_CASE) -> None:
    """Who answers: show it, or change it on record."""
    context.obj = use_case


@app.command()
def show(context: typer.Context, use_case: UseCaseOption = "") -> None:
    """Who is Champion on record, who answers, and the last changes."""
    case = find_use_case(use_case or context.obj)
    with refusals():
        _show(case, typed_settings())


@app.command()
def shadow(
    context: typer.Context,
    why: WhyOption,
    version: VersionOption = None,
    by: ByOption = "",
    use_case: UseCaseOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Let a Challenger score along; nobody sees its scores."""
    wish = {"kind": "shadow", "version": version}
    _change(use_case or context.obj, wish, why, by, verbose)


@app.command()
def canary(
    context: typer.Context,
    share: ShareOption,
    why: WhyOption,
    version: VersionOption = None,
    by: ByOption = "",
    use_case: UseCaseOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Let a Challenger answer a share of the customers."""
    wish = {"kind": "canary", "version": version, "share": share}
    _change(use_case or context.obj, wish, why, by, verbose)


@app.command()
def ab(
    context: typer.Context,
    share: ShareOption,
    why: WhyOption,
    version: VersionOption = None,
    by: ByOption = "",
    use_case: UseCaseOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Compare a Challenger with the Champion for long, on a share of the customers."""
    wish = {"kind": "ab", "version": version, "share": share}
    _change(use_case or context.obj, wish, why, by, verbose)


@app.command()
def ramp(
    context: typer.Context,
    why: WhyOption,
    steps: Annotated[
        str, typer.Option(help="Shares with commas between; by default as the settings say.")
    ] = "",
    step_seconds: Annotated[
        float | None, typer.Option(help="How long each lasts; by default as the settings say.")
    ] = None,
    version: VersionOption = None,
    by: ByOption = "",
    use_case: UseCaseOption = "",
    verbose: VerboseOption = False,
) -> None:
    """Let a Challenger answer more and more customers, or a Champion take over."""
    given: dict[str, Any] = {"steps": _numbers(steps), "step_seconds": step_seconds}
    wish = {"kind": "ramp", "version": version, **given}
    _change(use_case or context.obj, wish, why, by, verbose)


@app.command()
def off(
    context: typer.Context,
    why: WhyOption,
    by: ByOption = "",
    use_case: UseCaseOption = "",
    verbose: VerboseOption = False,
) -> None:
    """End a test: the Champion alone answers."""
    _change(use_case or context.obj, {"kind": "champion"}, why, by, verbose)


def _numbers(steps: str) -> list[float] | None:
    if not steps:
        return None
    try:
        return [float(step) for step in steps.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"'{steps}' is not made of numbers with commas between.", param_hint="--steps"
        ) from None


def _change(use_case: str, wish: dict[str, Any], why: str, by: str, verbose: bool) -> None:
    """Run the traffic asset."""
    case = find_use_case(use_case)
    given = {name: value for name, value in wish.items() if value is not None}
    config = {**given, "why": why, "decided_by": by or who()}
    with refusals():
        settings = typed_settings()
        from churn_assets.cli.run import run_job

        outcome = run_job(
            case,
            settings,
            ("traffic",),
            job=f"{case.name}_change_traffic",
            config={"traffic": config},
            verbose=verbose,
        )
        if not outcome.refused:
            _show(case, settings)
    if outcome.refused:
        refuse(outcome.refused)


def _show(case: UseCase, settings: Settings) -> None:
    """Who answers, and the last changes with who and why."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    from churn_assets.assets.resources import resources
    from churn_assets.cli.show import who_answers_in_words
    from churn_assets.serving.traffic.record import history

    console = Console(highlight=False, soft_wrap=True)
    tables = resources(settings).lake.of(case)
    for line in who_answers_in_words(tables, settings):
        console.print(escape(line))
    changes = history(tables["traffic"])[-LISTED:]
    if not changes:
        return
    grid = Grid("change", "kind", "version", "share", "when", "by", "why")
    for one in reversed(changes):
        share = ", ".join(f"{100 * step:g} %" for step in one.steps or (one.share,))
        version = "-" if one.version is None else str(one.version)
        told = (str(one.change), one.kind, version, share, one.minute, one.decided_by, one.why)
        grid.add_row(*map(escape, told))
    Console(highlight=False).print(grid)

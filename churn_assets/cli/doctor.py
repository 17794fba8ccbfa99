"""What `churn doctor` shows: what is damaged, and what was mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from churn_assets.assets.resources import resources
from churn_assets.cli.home import home_folder
from churn_assets.errors import ChurnError
from churn_assets.learning.health.examination import Patient
from churn_assets.learning.health.files import databases, history_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from churn_assets.learning.health.fault import Fault
    from churn_assets.settings import Settings
    from churn_assets.tables.health import Examination
    from churn_assets.usecases.spec import UseCase

_ROUNDS = 2
"""What is mended may show what else is wrong, as a restored record does of the alias."""


def show_health(use_case: UseCase, settings: Settings, *, repair: bool) -> str:
    """Examine a use case and show what is wrong; mend what can be mended, where that is asked for.

    Returns
    -------
    str
        What remains wrong and what to do, in one line; empty where all is well.
    """
    console = Console(highlight=False, soft_wrap=True)
    patient = Patient(
        resources(settings).workplace(use_case),
        settings.max_reject_share,
        settings.contacts.get(use_case.name),
        settings.studies_folder,
    )
    home = home_folder(settings)
    found: dict[str, Examination] = {}

    def faults(progress: Callable[[Examination], None]) -> list[Fault]:
        return [*patient.examine(progress), *history_faults(home)]

    def show(examination: Examination) -> None:
        found[examination.table] = examination
        console.print(_row(examination))

    wrong = faults(show)
    for fault in wrong:
        console.print(f"[red]✗[/] {escape(fault.line)}")
    if not wrong:
        console.print(_summary(found, len(databases(home))))
        return ""
    if not repair:
        return _advice(wrong)
    for _ in range(_ROUNDS):
        for fault in wrong:
            if fault.mend is not None:
                try:
                    console.print(f"[green]✓[/] {escape(fault.mend())}")
                except ChurnError as error:
                    console.print(f"[red]✗[/] {escape(f'{fault.where}: {error}')}")
        wrong = faults(lambda _: None)
        if not any(fault.mend for fault in wrong):
            break
    if wrong:
        return f"{_things(wrong)} could not be mended: {', '.join(f.line for f in wrong)}"
    console.print("All is well again.")
    return ""


def _row(examination: Examination) -> str:
    state = examination.state
    if examination.fault:
        return f"[red]✗[/] {examination.table:<12} damaged"
    if state is None:
        return f"[dim]- {examination.table:<12} not there yet[/]"
    return (
        f"[green]✓[/] {examination.table:<12} {state.rows:>10,} rows   version {state.version:<4} "
        f"{examination.files:,} files"
    )


def _summary(found: dict[str, Examination], histories: int) -> str:
    there = [one for one in found.values() if one.state is not None]
    files, rows = sum(one.files for one in there), sum(one.state.rows for one in there if one.state)
    return (
        f"All is well: {len(there)} tables with {files:,} files and {rows:,} rows; the models on "
        f"record, their runs and the alias; {histories} databases of Dagster's history."
    )


def _advice(wrong: list[Fault]) -> str:
    can = sum(fault.mend is not None for fault in wrong)
    todo = f"`churn doctor --repair` can mend {can} of them" if can else "none can be mended here"
    return f"{_things(wrong)} wrong; {todo}."


def _things(wrong: list[Fault]) -> str:
    return "1 thing is" if len(wrong) == 1 else f"{len(wrong)} things are"

"""Run a use case's job in this process, with progress; Dagster keeps the history."""

from __future__ import annotations

import logging
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console
from rich.markup import escape

from churn_assets.assets.gates import NOT_ASKED
from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.cli.home import history, prepare_home
from churn_assets.cli.liveness import at_work
from churn_assets.definitions import definitions
from churn_assets.learning.judging.record import NOBODY, decided
from churn_assets.settings import Settings

if TYPE_CHECKING:
    from churn_assets.tables.lake import Table
    from churn_assets.usecases.spec import UseCase

_STDERR = 2
_STOPPED = "the run was stopped. The last versions stand; run again."


def run_job(
    use_case: UseCase,
    settings: Settings,
    tables: Sequence[str] = (),
    *,
    config: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> Outcome:
    """Materialise a use case's tables with their checks, and show progress.

    Parameters
    ----------
    use_case : UseCase
        Whose job it is.
    settings : Settings
        Of this run.
    tables : sequence of str
        Names of those to materialise; all by default.
    config : mapping of str to mapping, optional
        Configuration of the assets by table.
    verbose : bool
        Whether to show Dagster's log instead.
    """
    console = Console(highlight=False, soft_wrap=True)
    job = definitions(settings).resolve_job_def(use_case.name)
    level = "INFO" if verbose else "CRITICAL"
    home = prepare_home(settings)
    with history(home) as instance:
        run_id = str(uuid.uuid4())
        progress = Progress(console)
        instance.add_event_listener(run_id, progress)
        quiet = nullcontext() if verbose else _silent_libraries()
        with at_work(home, run_id), quiet:
            result = job.execute_in_process(
                run_id=run_id,
                instance=instance,
                raise_on_error=False,
                asset_selection=[key(use_case, table) for table in tables] or None,
                run_config={
                    "ops": {
                        f"{use_case.name}_{table}": {"config": dict(content)}
                        for table, content in (config or {}).items()
                    },
                    "loggers": {"console": {"config": {"log_level": level}}},
                },
            )
    refused = None if result.success else progress.refusal()
    stopped = refused == _STOPPED
    return Outcome(refused, progress.checks, console, frozenset(progress.tables), stopped)


def run_and_score(use_case: UseCase, settings: Settings, **options: Any) -> Outcome:
    """Run the whole job; where it ends between features and champion, score all the same.

    A refusal leaves the Champion as it is, and today's customers are the Champion's to score.

    Parameters
    ----------
    use_case, settings, **options
        As `run_job` takes them.
    """
    outcome = run_job(use_case, settings, **options)
    is_unscored = "features" in outcome.tables and "champion" not in outcome.tables
    if outcome.refused is None or outcome.stopped or not is_unscored:
        return outcome
    tables = resources(settings).lake.of(use_case)
    if decided(tables["champion"]) is None:
        is_told = NOBODY in outcome.refused
        return replace(outcome, refused=outcome.refused + ("" if is_told else f" {NOBODY}."))
    scoring = run_job(
        use_case, settings, ("predictions",), verbose=bool(options.get("verbose", False))
    )
    how = scoring.refused or scored(tables)
    return replace(outcome, refused=f"{outcome.refused} {how}", stopped=scoring.stopped)


def scored(tables: Mapping[str, Table]) -> str:
    """Who scored how many customers, of which features, in a sentence."""
    predictions = tables["predictions"].require()
    return (
        f"Champion {predictions.details['model_version']} scored {predictions.rows:,} customers "
        f"of features version {predictions.reads['features']}."
    )


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Keep stderr for the one line of a refusal: native libraries print there past Python."""
    sys.stderr.flush()
    screen, nowhere = os.dup(_STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(screen, _STDERR)
        os.close(screen)
        os.close(nowhere)


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Parameters
    ----------
    refused : str or None
        Why it was refused, in one line; None where it succeeded.
    checks : list of AssetCheckEvaluation
        The results of its checks.
    console : Console
        What it was shown on.
    tables : frozenset of str
        What it materialised, whether that was written or unchanged.
    stopped : bool
        Whether a person or the system stopped it.
    """

    refused: str | None
    checks: Sequence[dg.AssetCheckEvaluation]
    console: Console
    tables: frozenset[str] = frozenset()
    stopped: bool = False


class Progress:
    """Prints each asset and check as it comes, and remembers what went wrong."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: dict[str, float] = {}
        self._failures: list[str] = []
        self.checks: list[dg.AssetCheckEvaluation] = []
        self.tables: list[str] = []

    def __call__(self, entry: dg.EventLogEntry) -> None:
        """Take one event of the run's log."""
        event = entry.dagster_event
        if event is None:
            # What a step logs on its way, not what Dagster logs of it.
            if entry.level == logging.INFO and entry.step_key:
                self._console.print(f"[dim]… {escape(entry.user_message)}[/]")
            return
        if event.event_type == dg.DagsterEventType.STEP_START:
            self._started[event.step_key or ""] = time.monotonic()
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION:
            self._materialized(event)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            self._checked(event.asset_check_evaluation_data)
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE:
            self._failed(event.step_failure_data)
        elif event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY:
            self._console.print(f"[yellow]…[/] {event.step_key}: trying again")

    def refusal(self) -> str:
        """What stopped the run, in one line."""
        return self._failures[0] if self._failures else _STOPPED

    def _materialized(self, event: dg.DagsterEvent) -> None:
        materialization = event.step_materialization_data.materialization
        metadata = materialization.metadata
        seconds = time.monotonic() - self._started.get(event.step_key or "", time.monotonic())
        table = materialization.asset_key.path[-1]
        self.tables.append(table)
        rows: Any = metadata["dagster/row_count"].value
        state = "written" if metadata["written"].value else "unchanged"
        self._console.print(
            f"[green]✓[/] {table:<12} {rows:>10,} rows   version "
            f"{metadata['delta_version'].value:<4} {state:<10} [dim]{seconds:5.1f} s[/]"
        )
        if "stands" in metadata:
            self._console.print(f"  [yellow]![/] {escape(str(metadata['stands'].value))}")

    def _checked(self, check: dg.AssetCheckEvaluation) -> None:
        if NOT_ASKED in check.metadata:
            return
        self.checks.append(check)
        failed = "[red]✗[/]" if check.blocking else "[yellow]![/]"
        mark = "[green]✓[/]" if check.passed else failed
        reason = f": {escape(check.description)}" if check.description else ""
        self._console.print(f"  {mark} [dim]{check.check_name}{reason}[/]")

    def _failed(self, failure: Any) -> None:
        if failure.user_failure_data is not None:
            self._failures.append(str(failure.user_failure_data.description))
        elif failure.error is not None:
            error = failure.error
            while error.cause is not None:
                error = error.cause
            if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
                self._failures.append(_STOPPED)
                return
            first = (error.message.strip() or str(error.cls_name)).splitlines()[0]
            self._failures.append(f"unexpected: {first} (`churn run --verbose` shows more)")

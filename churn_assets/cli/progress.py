"""What a run shows while it goes on: each table, and what its checks found."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.markup import escape

from churn_assets.assets.gates import NOT_ASKED
from churn_assets.cli.words import rounded

if TYPE_CHECKING:
    from rich.console import Console

_AFTER_PREDICTIONS = {"scores", "online_features"}
STOPPED = "the run was stopped. The last versions stand; run again."


class Progress:
    """Prints each asset and check as it comes, and remembers what went wrong.

    Of a table that is unchanged, only the checks that do not pass are shown; and of what only
    follows from predictions, nothing.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._started: dict[str, float] = {}
        self._failures: list[str] = []
        self.checks: list[dg.AssetCheckEvaluation] = []
        self.tables: list[str] = []
        self.written: set[str] = set()

    def __call__(self, entry: dg.EventLogEntry) -> None:
        """Take one event of the run's log."""
        event = entry.dagster_event
        if event is None:
            # What a step logs on its way, not what Dagster logs of it.
            if entry.level == logging.INFO and entry.step_key:
                elapsed = time.monotonic() - self._begun
                text = escape(rounded(entry.user_message))
                self._console.print(f"[dim]… {elapsed:.0f} s: {text}[/]")
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
        return self._failures[0] if self._failures else STOPPED

    def _materialized(self, event: dg.DagsterEvent) -> None:
        materialization = event.step_materialization_data.materialization
        metadata = materialization.metadata
        seconds = time.monotonic() - self._started.get(event.step_key or "", time.monotonic())
        table = materialization.asset_key.path[-1]
        self.tables.append(table)
        rows: Any = metadata["dagster/row_count"].value
        if metadata["written"].value:
            self.written.add(table)
        elif table in _AFTER_PREDICTIONS:
            return
        state = "written" if table in self.written else "unchanged"
        self._console.print(
            f"[green]✓[/] {table:<15} {rows:>10,} rows   version "
            f"{metadata['delta_version'].value:<4} {state:<10} [dim]{seconds:5.1f} s[/]"
        )
        if "stands" in metadata:
            self._console.print(f"  [yellow]![/] {escape(str(metadata['stands'].value))}")

    def _checked(self, check: dg.AssetCheckEvaluation) -> None:
        if NOT_ASKED in check.metadata:
            return
        self.checks.append(check)
        if check.passed and check.asset_key.path[-1] not in self.written:
            return
        failed = "[red]✗[/]" if check.blocking else "[yellow]![/]"
        mark = "[green]✓[/]" if check.passed else failed
        reason = f": {escape(rounded(check.description))}" if check.description else ""
        self._console.print(f"  {mark} [dim]{check.check_name}{reason}[/]")

    def _failed(self, failure: Any) -> None:
        if failure.user_failure_data is not None:
            self._failures.append(rounded(str(failure.user_failure_data.description)))
        elif failure.error is not None:
            error = failure.error
            while error.cause is not None:
                error = error.cause
            if error.cls_name == dg.DagsterExecutionInterruptedError.__name__:
                self._failures.append(STOPPED)
                return
            first = (error.message.strip() or str(error.cls_name)).splitlines()[0]
            self._failures.append(f"unexpected: {first} (`churn run --verbose` shows more)")

"""Run a use case's job in this process, with progress; Dagster keeps the history."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg
from rich.console import Console

from churn_assets.assets.automation import SCORING
from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.cli.home import history, prepare_home
from churn_assets.cli.liveness import at_work
from churn_assets.cli.progress import STOPPED, Progress
from churn_assets.definitions import definitions
from churn_assets.learning.judging.record import NOBODY, decided
from churn_assets.settings import Settings

if TYPE_CHECKING:
    from churn_assets.tables.lake import Table
    from churn_assets.usecases.spec import UseCase

_STDERR = 2


def run_job(
    use_case: UseCase,
    settings: Settings,
    tables: Sequence[str] = (),
    *,
    job: str = "",
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
    job : str
        Of Dagster; by default the one from the source to predictions.
    config : mapping of str to mapping, optional
        Configuration of the assets by table.
    verbose : bool
        Whether to show Dagster's log instead.
    """
    console = Console(highlight=False, soft_wrap=True)
    resolved = definitions(settings).resolve_job_def(job or use_case.name)
    level = "INFO" if verbose else "CRITICAL"
    home = prepare_home(settings)
    with history(home) as instance:
        run_id = str(uuid.uuid4())
        progress = Progress(console)
        instance.add_event_listener(run_id, progress)
        quiet = nullcontext() if verbose else _silent_libraries()
        with at_work(home, run_id), quiet:
            result = resolved.execute_in_process(
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
    stopped = refused == STOPPED
    return Outcome(
        refused,
        progress.checks,
        console,
        frozenset(progress.tables),
        stopped,
        frozenset(progress.written),
    )


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
    config: Mapping[str, Any] = options.get("config") or {}
    scoring = run_job(
        use_case,
        settings,
        SCORING,
        config={name: of for name, of in config.items() if name == "predictions"},
        verbose=bool(options.get("verbose", False)),
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
    written : frozenset of str
        Those of the tables that were written.
    """

    refused: str | None
    checks: Sequence[dg.AssetCheckEvaluation]
    console: Console
    tables: frozenset[str] = frozenset()
    stopped: bool = False
    written: frozenset[str] = frozenset()

"""A whole project in a folder of its own: real tables, a real registry, a real Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from churn_assets.assets.resources import LAYERS, resources
from churn_assets.learning.judging.court import gates_for, gates_of
from churn_assets.learning.judging.record import Promotion, on_record
from churn_assets.learning.judging.rules import DEFAULT_GATES
from churn_assets.learning.registry import Registry
from churn_assets.learning.workplace import SERVED_TABLES, Workplace
from churn_assets.serving.online_features.make import TABLE
from churn_assets.settings import Settings
from churn_assets.tables.lake import Committed, Table
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import UseCase
from churn_assets.usecases.telco_generator import generate

ARE_WHOLE = "WHOLE_PROOFS" in os.environ
"""Whether proofs run by the million, as in `make bench`; `make test` runs the same on far less."""
USE_CASE = USE_CASES["telco_churn"]
TABLES = tuple(name for layer in LAYERS for name in layer(USE_CASE))
"""Of that use case those that a run makes, in the order in which they are made."""
SHOWN = (*TABLES, *SERVED_TABLES)
"""And those that servers write to."""
ASSETS = (*TABLES, TABLE)
"""All that a run makes, some of it beside the lake."""
_GATES = gates_for(USE_CASE, DEFAULT_GATES)
GATES = {gate.name for gate in _GATES}
DECLARED = {gate.name for gate in gates_of(USE_CASE)}
"""Gates that have a check in the UI, whether these settings ask for them or not."""
BLOCKING = {gate.name for gate in _GATES if gate.blocks(USE_CASE, DEFAULT_GATES)}
ROWS = 3000
"""Enough customers for every gate to pass, few enough to train on in a second."""

ONLY_TELCO = {
    f"CHURN_USE_CASES__{name.upper()}": "false" for name in USE_CASES if name != USE_CASE.name
}
"""Variables that switch the other use cases off, where only one is of interest."""

QUICK = {"candidates": ("logistic_regression", "lightgbm"), "folds": 2}
"""Training that takes a second, for tests of what comes after it."""


class Run:
    """What one Dagster run came to."""

    def __init__(self, result: dg.ExecuteInProcessResult) -> None:
        self.success = result.success
        self.run_id = result.run_id
        self.events = result.all_events
        checks = result.get_asset_check_evaluations()
        self.failed_checks = {c.check_name for c in checks if not c.passed}
        self.blocked_by = {c.check_name for c in checks if not c.passed and c.blocking}
        self.checks = {c.check_name: c for c in checks}
        self.materialized = {
            event.asset_key.path[-1]
            for event in self.events
            if event.is_step_materialization and event.asset_key is not None
        }

    @property
    def error(self) -> str:
        """What the first failed step says to its reader."""
        for event in self.events:
            if event.is_step_failure and event.step_failure_data.user_failure_data:
                return str(event.step_failure_data.user_failure_data.description)
        return "".join(
            str(event.step_failure_data.error) for event in self.events if event.is_step_failure
        )

    def metadata(self, table: str) -> Mapping[str, Any]:
        """What Dagster keeps of a table's materialization."""
        return next(
            event.step_materialization_data.materialization.metadata
            for event in self.events
            if event.is_step_materialization
            and event.asset_key is not None
            and event.asset_key.path[-1] == table
        )


class Project:
    """A use case in a folder of its own.

    Parameters
    ----------
    folder : Path
        Of everything that the project keeps.
    use_case : UseCase
        Which one it is.
    keeps_history : bool
        Whether Dagster's history lies in the folder too; else it is gone with the project, for
        writing it takes as long as training.
    source : mapping, optional
        Settings of its source, beside the address.
    **settings
        As `Settings` takes them, beside `root`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        use_case: UseCase = USE_CASE,
        keeps_history: bool = False,
        source: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self._source = source or {}
        self.use_case = use_case
        self._settings = {"root": str(folder / ".churn"), "training": QUICK, **settings}
        home = folder / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        if keeps_history:
            (home / "dagster.yaml").write_text("telemetry: {enabled: false}")
            self.instance = dg.DagsterInstance.from_config(str(home))
        else:
            silent = {"telemetry": {"enabled": False}}
            self.instance = dg.DagsterInstance.ephemeral(str(home), settings=silent)

    def settings(self, **changes: Any) -> Settings:
        """The project's settings, with some changed."""
        return Settings(**{**self._settings, **changes})

    def write(
        self, change: Callable[[pl.DataFrame], pl.DataFrame] | None = None, *, rows: int = ROWS
    ) -> Path:
        """Write customers to a CSV file, changed by a function of the frame."""
        return write_csv(self.folder / "customers.csv", change, rows=rows)

    def run(
        self,
        source: Path | str | None = None,
        *,
        tables: str | None = None,
        retrain: bool = False,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        **changes: Any,
    ) -> Run:
        """Materialise the tables named (all by default) from a source.

        Parameters
        ----------
        source : path or URI, optional
            Kept for the runs to come; by default the project's file or the generator.
        tables : str, optional
            Names separated by spaces; without it the whole job.
        retrain : bool
            Whether to train where nothing changed.
        config : mapping of str to mapping, optional
            Configuration of the assets, by table.
        **changes
            Settings for this run.
        """
        # Its own definitions heed the environment at import.
        from churn_assets.definitions import definitions

        if source is not None:
            described = {**self._source, "uri": str(source)}
            self._settings["sources"] = {self.use_case.name: described}
        name = self.use_case.name
        defs = definitions(self.settings(**changes))
        names = None if tables is None else tables.split()
        selection = None if names is None else [dg.AssetKey([name, table]) for table in names]
        trains = names is None or "model" in names
        by_table = {**({"model": {"retrain": retrain}} if trains else {}), **(config or {})}
        ops = {f"{name}_{table}": {"config": dict(of)} for table, of in by_table.items()}
        result = defs.resolve_job_def(name).execute_in_process(
            instance=self.instance,
            asset_selection=selection,
            raise_on_error=False,
            run_config={"ops": ops, "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        return Run(result)

    def table(self, name: str) -> Table:
        """A table of the lake."""
        return resources(self.settings()).lake.of(self.use_case)[name]

    def state(self, name: str) -> Committed | None:
        """A table's newest version."""
        return self.table(name).state()

    def states(self) -> dict[str, Committed | None]:
        """The newest version of each table that a run makes, and of others that are there."""
        tables = resources(self.settings()).lake.of(self.use_case)
        states = {name: table.state() for name, table in tables.items()}
        return {n: state for n, state in states.items() if state or n not in SERVED_TABLES}

    def rows(self, name: str) -> pl.DataFrame:
        """All rows of a table."""
        return self.table(name).scan().to_native().collect()

    @property
    def registry(self) -> Registry:
        """The registered model."""
        return resources(self.settings()).mlflow.registry(self.use_case)

    @property
    def workplace(self) -> Workplace:
        """What training, judging and scoring work on."""
        return resources(self.settings()).workplace(self.use_case)

    def champion(self) -> Promotion | None:
        """Who is Champion on record."""
        return on_record(self.table("champion"))


def customers(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """Made-up customers, as their source file would have them."""
    return pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in generate(rows, seed)])


def write_csv(
    path: Path,
    change: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    *,
    rows: int = ROWS,
    seed: int = 0,
) -> Path:
    """Write made-up customers to a CSV file, changed by a function of the frame."""
    frame = customers(rows, seed)
    (frame if change is None else change(frame)).write_csv(path)
    return path

"""What assets share: the lake and MLflow, made from the settings."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dagster as dg

from churn_assets.errors import EngineError, public_uri
from churn_assets.learning.recipe import trusted_packages
from churn_assets.learning.workplace import Workplace, model_tables
from churn_assets.settings import Settings
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, record_tables
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.assets.spark import Spark
    from churn_assets.learning.registry import Registry

LAYERS = (record_tables, model_tables)
"""What each layer of the package adds to the lake."""
LOCAL_MLFLOW_UI = "http://127.0.0.1:5000"
"""Where `make mlflow` shows a local store."""


class Mlflow:
    """MLflow under Dagster: each use case's registry, and runs that end as they should.

    dagster-mlflow opens the run, and tags it with Dagster's; it is imported on first use,
    since that takes seconds. The run lasts as long as the training, not as long as the
    process: so one that fails ends FAILED under every executor, and two in one process
    never share a run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def registry(self, use_case: UseCase) -> Registry:
        """The registered model of a use case."""
        from churn_assets.learning.registry import Registry

        settings = self._settings
        name = settings.model_name(use_case.name)
        return Registry(
            settings.tracking_uri,
            name,
            settings.artifacts,
            settings.mlflow.registry_uri,
            settings.experiment_name(use_case.name),
            trusted_packages(settings.training),
        )

    def workplace(self, use_case: UseCase, lake: Lake) -> Workplace:
        """What training, judging and scoring of a use case work on."""
        return Workplace(use_case, lake.of(use_case), self.registry(use_case))

    def opener(
        self, context: dg.AssetExecutionContext, use_case: UseCase
    ) -> Callable[[], AbstractContextManager[str]]:
        """A function that opens an MLflow run for this Dagster run."""
        return lambda: self.run(context, use_case)

    def links(self, use_case: UseCase, run_id: str) -> dict[str, Any]:
        """Where a person sees an MLflow run and its model card, as Dagster's metadata."""
        from churn_assets.learning.registry import CARD

        registry = self.registry(use_case)
        uri = self._settings.tracking_uri
        server = uri if uri.startswith("http") else LOCAL_MLFLOW_UI
        experiment = registry.experiment_of(run_id)
        page = f"{public_uri(server).rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
        here = registry.card_file(run_id)
        # A browser opens no file from a page: there is a path to copy, and the card as Markdown.
        file = (
            dg.MetadataValue.url(f"{page}/artifacts/{CARD}")
            if here is None
            else dg.MetadataValue.path(str(here))
        )
        card = registry.card_text(run_id)
        return {
            **({} if card is None else {"model_card": dg.MetadataValue.md(card)}),
            "model_card_file": file,
            "mlflow_run": dg.MetadataValue.url(page),
        }

    @contextmanager
    def run(self, context: dg.AssetExecutionContext, use_case: UseCase) -> Iterator[str]:
        """An MLflow run, active in the block, linked to the Dagster run; gives its id."""
        import mlflow
        from mlflow.exceptions import MlflowException

        registry = self.registry(use_case)
        registry.connect()
        # A run that another training left open in this thread must not be written into.
        while mlflow.active_run():
            with suppress(MlflowException):
                mlflow.end_run("KILLED")
        try:
            with registry.refusals():
                self._open(context, use_case)
                active = mlflow.active_run()
            assert active is not None
            yield active.info.run_id
        except BaseException as error:
            # Where MLflow is what failed, its own error must not hide the first one.
            with suppress(Exception):
                mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        with registry.refusals():
            mlflow.end_run("FINISHED")

    def _open(self, context: dg.AssetExecutionContext, use_case: UseCase) -> None:
        # dagster-mlflow is marked as beta, which is no news for a user's log.
        with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):
            from dagster_mlflow.resources import MlFlow

            MlFlow(  # type: ignore[no-untyped-call]
                SimpleNamespace(
                    # That a run starts is seen by the link to it.
                    log=logging.getLogger("dagster_mlflow"),
                    dagster_run=SimpleNamespace(
                        job_name=f"{use_case.name} {context.run.run_id[:8]}"
                    ),
                    run_id=context.run.run_id,
                    resource_config={
                        "experiment_name": self._settings.experiment_name(use_case.name),
                        "mlflow_tracking_uri": self._settings.tracking_uri,
                        "extra_tags": {"use_case": use_case.name},
                    },
                )
            )


@dataclass(frozen=True)
class Resources:
    """What all assets share; plain objects, so that the UI shows no credential.

    Parameters
    ----------
    lake : Lake
        Where the tables lie.
    mlflow : Mlflow
        Where runs and models are kept.
    spark : Spark or None
        The session, where Spark is the engine.
    """

    lake: Lake
    mlflow: Mlflow
    spark: Spark | None = None

    @property
    def bound(self) -> dict[str, Any]:
        """By the names that assets and checks ask for them by."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}

    def workplace(self, use_case: UseCase) -> Workplace:
        """What training, judging and scoring of a use case work on."""
        return self.mlflow.workplace(use_case, self.lake)


def resources(settings: Settings) -> Resources:
    """The resources that the settings ask for.

    Raises
    ------
    EngineError
        Where Spark is asked for and not installed.
    """
    engine: Engine = PolarsEngine()
    spark = None
    if settings.engine == "spark":
        # Only here, so that nothing of Spark is imported where it is not asked for.
        try:
            from churn_assets.assets.spark import Spark
            from churn_assets.tables.engines.spark_engine import SparkEngine
        except ModuleNotFoundError as error:
            raise EngineError(
                f"engine: spark needs {error.name}, which is not installed. Install the extra: "
                "pip install 'churn-assets[spark]'."
            ) from None

        spark = Spark.of(settings)
        engine = SparkEngine(spark.started)
    lake = Lake(settings.lake_uri, engine, settings.lake_options, LAYERS)
    return Resources(lake, Mlflow(settings), spark)

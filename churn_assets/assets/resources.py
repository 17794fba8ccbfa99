"""What assets share: the lake and MLflow, made from the settings."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from pydantic import Field

from churn_assets.errors import EngineError, public_uri
from churn_assets.learning.recipe import trusted_packages
from churn_assets.learning.workplace import Workplace, model_tables, served_tables
from churn_assets.settings import Settings
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import HOLDOUT, Lake, record_tables
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.assets.spark import Spark
    from churn_assets.learning.registry import Registry

LAYERS = (record_tables, model_tables)
"""The tables that a run makes: what each layer of the package adds to the lake."""
LOCAL_MLFLOW_UI = "http://127.0.0.1:5000"
"""Where `make mlflow` shows a local store."""


@dataclass(frozen=True)
class Hidden:
    """What the UI must not show of a resource: whole addresses, by the field that shows a part."""

    whole: Mapping[str, str | None] = field(repr=False)


class Mlflow(dg.ConfigurableResource["Mlflow"]):
    """MLflow: each use case's registered model, and a run for each training.

    dagster-mlflow opens the run, and tags it with Dagster's; it is imported on first use,
    since that takes seconds. The run lasts as long as the training, not as long as the
    process: so one that fails ends FAILED under every executor, and two in one process
    never share a run.
    """

    tracking_uri: str = Field(description="MLflow's tracking store, without credentials.")
    registry_uri: str = Field(description="Where versions are registered, likewise.")
    artifacts: str | None = Field(
        description="Where a new experiment keeps files; without it the server says."
    )
    model_name: str = Field(description="Name of the registered model of {use_case}.")
    experiment: str = Field(description="Name of the experiment of the runs of {use_case}.")
    trusted: list[str] = Field(
        description="Packages of a candidate's own whose types a stored model may hold."
    )
    hidden: dg.ResourceDependency[Hidden]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """MLflow as the settings ask for it."""
        addresses = {
            "tracking_uri": settings.tracking_uri,
            "registry_uri": settings.mlflow.registry_uri or settings.tracking_uri,
            "artifacts": settings.artifacts,
        }
        shown: dict[str, Any] = {
            name: public_uri(one) if one else None for name, one in addresses.items()
        }
        return cls(
            **shown,
            model_name=settings.model_name("{use_case}"),
            experiment=settings.experiment_name("{use_case}"),
            trusted=list(trusted_packages(settings.training)),
            hidden=Hidden(addresses),
        )

    def registry(self, use_case: UseCase) -> "Registry":
        """The registered model of a use case."""
        from churn_assets.learning.registry import Registry

        return Registry(
            self._whole("tracking_uri"),
            self.model_name.replace("{use_case}", use_case.name),
            self._whole("artifacts"),
            self._whole("registry_uri"),
            self._experiment_of(use_case),
            tuple(self.trusted),
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
        server = self.tracking_uri if self.tracking_uri.startswith("http") else LOCAL_MLFLOW_UI
        experiment = registry.experiment_of(run_id)
        page = f"{server.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
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
        with ExitStack() as opened:
            try:
                with registry.refusals(), _as_it_is():
                    opened.enter_context(self._tracking(context, use_case))
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

    def _tracking(
        self, context: dg.AssetExecutionContext, use_case: UseCase
    ) -> AbstractContextManager[Any]:
        """dagster-mlflow's resource, which opens a run as it is set up."""
        from dagster_mlflow import mlflow_tracking

        config = {
            "experiment_name": self._experiment_of(use_case),
            "mlflow_tracking_uri": self._whole("tracking_uri"),
            "extra_tags": {
                "use_case": use_case.name,
                # Until it is known what came of it.
                "mlflow.runName": f"{use_case.name} training, {datetime.now(UTC):%Y-%m-%d %H:%M}",
            },
        }
        return dg.build_resources(
            {"mlflow": mlflow_tracking},
            instance=context.instance,
            resource_config={"mlflow": {"config": config}},
            dagster_run=context.run,
            # That a run starts is seen by the link to it.
            log_manager=dg.DagsterLogManager.create(loggers=[], dagster_run=context.run),
        )

    def _whole(self, name: str) -> Any:
        """An address with its credentials; as it is shown where a run itself configures it."""
        shown, whole = getattr(self, name), self.hidden.whole.get(name)
        return whole if whole and public_uri(whole) == shown else shown

    def _experiment_of(self, use_case: UseCase) -> str:
        return self.experiment.replace("{use_case}", use_case.name)


@dataclass(frozen=True)
class Resources:
    """What all assets share; the UI shows how MLflow and Spark are configured, and no credential.

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
    spark: "Spark | None" = None

    @property
    def bound(self) -> dict[str, Any]:
        """By the names that assets and checks ask for them by."""
        parts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}

    def workplace(self, use_case: UseCase) -> Workplace:
        """What training, judging and scoring of a use case work on."""
        return self.mlflow.workplace(use_case, self.lake)


def _held_out(settings: Settings, use_case: UseCase) -> tuple[str, ...]:
    """The table of a hold-out, where the settings name one."""
    return () if settings.source(use_case.name).holdout is None else (HOLDOUT,)


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
    layers = (*LAYERS, served_tables, partial(_held_out, settings))
    lake = Lake(settings.lake_uri, engine, settings.lake_options, layers, settings.table_names)
    return Resources(lake, Mlflow.of(settings), spark)


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Leave out that dagster-mlflow is beta and calls what is to go: no news for a user's log."""
    with warnings.catch_warnings():
        for category in (dg.BetaWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield

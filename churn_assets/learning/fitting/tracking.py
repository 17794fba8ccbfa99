"""What MLflow keeps of a training: its run, and below it one for each candidate and trial."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import public_uri
from churn_assets.learning.fitting.training import Trained
from churn_assets.learning.fitting.trial import Trial
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import PICTURES, Registry
from churn_assets.learning.workplace import Workplace
from churn_assets.tables.lake import Committed, Table
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from mlflow.entities import Metric

SAMPLE_ROWS = 100
"""Rows that a signature is inferred from."""


def log_training(
    place: Workplace,
    features: Committed,
    trained: Trained,
    images: Mapping[str, bytes],
    settings: TrainingSettings,
) -> None:
    """Log parameters, metrics, pictures and the dataset in the active run, in few requests."""
    import mlflow
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.models import infer_signature

    mlflow.log_params(
        {
            "recipe": trained.recipe,
            "threshold": trained.threshold,
            "threshold_rule": trained.threshold_rule,
            "calibration": trained.calibration.summary,
            "split": features.details["split"],
            "sample": settings.sample,
            "max_rows": settings.max_rows,
            "seed": settings.seed,
            "choice": settings.choice,
            "train_rows": len(trained.train),
            "trials": len(trained.trials),
            **flat(trained.parameters),
        }
    )
    losses = {f"{name}_oof_{settings.metric}": one.loss for name, one in trained.candidates.items()}
    mlflow.log_metrics(
        {**trained.metrics, **trained.gains, **losses, "complexity": trained.complexity}
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, svg in images.items():
            Path(folder, f"{name}.svg").write_bytes(svg)
        mlflow.log_artifacts(folder, PICTURES)
    # Of all rows, MLflow would look at each value to infer what the first ones say as well.
    dataset = MetaDataset(  # type: ignore[abstract]
        _dataset_source(place.tables["features"], features.version),
        name=f"{place.use_case.name}.features",
        digest=features.data_version[:8],
        schema=infer_signature(trained.train.head(SAMPLE_ROWS)).inputs,
    )
    mlflow.log_input(dataset, context="training")


def log_parts(
    registry: Registry,
    run_id: str,
    use_case: UseCase,
    trained: Trained,
    settings: TrainingSettings,
) -> None:
    """A run for each candidate below the training's, and for each trial of a tuning or that failed.

    A run costs three requests: it is begun, filled in one batch, and ended.
    """
    from mlflow.entities import Metric, Param, RunStatus
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    client = registry.client
    experiment = registry.experiment_of(run_id)

    def log(
        name: str,
        metrics: list[Metric],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        failed: bool = False,
    ) -> None:
        run = client.create_run(
            experiment,
            tags={MLFLOW_PARENT_RUN_ID: run_id, "use_case": use_case.name, **tags},
            run_name=f"{use_case.name} {name}, {today()}",
        )
        texts = [Param(key, str(value)) for key, value in params.items()]
        client.log_batch(run.info.run_id, metrics=metrics, params=texts)
        status = RunStatus.FAILED if failed else RunStatus.FINISHED
        client.set_terminated(run.info.run_id, RunStatus.to_string(status))

    now = int(time.time() * 1000)
    for name, one in trained.candidates.items():
        metrics = {
            **one.metrics,
            f"oof_{settings.metric}_standard_error": one.standard_error,
            "fit_seconds": one.seconds,
            "complexity": one.complexity,
        }
        log(
            f"candidate: {name}",
            [Metric(key, value, now, 0) for key, value in metrics.items()],
            {"recipe": name, **flat(trained.configurations[name])},
            {"candidate": "chosen" if name == trained.recipe else "not chosen"},
        )
    for number, trial in enumerate(trained.trials):
        if settings.tuning.trials or trial.state == "failed":
            log(
                f"trial {number}: {trial.candidate}",
                [Metric(settings.metric, loss, now, k) for k, loss in enumerate(trial.losses)],
                {"recipe": trial.candidate, **trial.parameters},
                _of_trial(trial),
                failed=trial.state == "failed",
            )


def today() -> str:
    """The day that the name of a run tells."""
    return f"{datetime.now(UTC):%Y-%m-%d}"


def flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration in one level: of a blend, `<member>__<parameter>`.

    >>> flat({"lightgbm": {"num_leaves": 8}, "C": 0.1})
    {'lightgbm__num_leaves': 8, 'C': 0.1}
    """
    level: dict[str, Any] = {}
    for name, value in parameters.items():
        within = value.items() if isinstance(value, Mapping) else ()
        level.update({f"{name}__{inner}": one for inner, one in within} or {name: value})
    return level


def _of_trial(trial: Trial) -> dict[str, str]:
    return {"trial": trial.state, **({"error": trial.error} if trial.error else {})}


def _dataset_source(table: Table, version: int) -> Any:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource

    class Source(DeltaDatasetSource):
        def to_dict(self) -> dict[str, Any]:
            # MLflow leaves out a version of 0, which is a table's first.
            return {**super().to_dict(), "delta_table_version": version}

    return Source(path=public_uri(table.uri), delta_table_version=version)

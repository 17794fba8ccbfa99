"""Train a Challenger from the features table and register it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrainingError, public_uri
from churn_assets.learning import training
from churn_assets.learning.plots import pictures
from churn_assets.learning.recipe import TrainingSettings, model_code
from churn_assets.learning.registry import CHALLENGER, PICTURES, Registry, Version
from churn_assets.learning.training import Labelled, Trained, labelled_rows
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.lineage import data_version
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd

SAMPLE_ROWS = 100
"""Rows that a signature is inferred from."""
OpenRun = Callable[[], AbstractContextManager[str]]
"""Opens an MLflow run, active in the block, and gives its id."""


@dataclass(frozen=True)
class Challenger:
    """The registered Challenger and what came of its training.

    Parameters
    ----------
    committed : Committed
        The model table.
    row : mapping
        The Challenger's row in it.
    pictures : mapping of str to bytes
        PNG by name.
    description : str
        What the registry says of it.
    """

    committed: Committed
    row: Mapping[str, Any]
    pictures: Mapping[str, bytes]
    description: str


def train_challenger(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    settings: TrainingSettings,
    open_run: OpenRun,
    *,
    retrain: bool = False,
) -> Challenger:
    """Train and register a Challenger, unless the newest one comes from the same data and code.

    Where no label is known, the newest Challenger stays: there is nothing to learn from.

    Raises
    ------
    TrainingError
        Where the rows cannot be trained on.
    RegistryError
        Where MLflow cannot be reached.
    """
    features = tables["features"].require()
    version = data_version(model_code(use_case, settings), {"features": features.data_version})
    latest = latest_challenger(tables["model"], registry)
    if latest and latest.committed.data_version == version and not retrain:
        return latest
    labelled = labelled_rows(use_case, tables["features"], features.version, settings)
    if labelled.rows.empty and latest:
        return latest
    if labelled.rows.empty:
        raise TrainingError(
            f"{_source(use_case, tables)}: no customer has a known label, and there is no model "
            f"yet. Give a source whose column '{use_case.contract[use_case.label.column].source}' "
            "is filled for past customers."
        )
    with open_run() as run_id:
        try:
            trained = training.train(use_case, labelled.rows, settings.seed)
        except TrainingError as error:
            raise TrainingError(f"{_source(use_case, tables)}: {error}") from None
        drawn = pictures(trained.test_labels, trained.test_scores, trained.threshold)
        with registry.refusals():
            _log_training(use_case, tables["features"], features, trained, drawn, settings)
        registered = registry.register(
            trained.pipeline,
            run_id,
            inputs=trained.train.head(SAMPLE_ROWS),
            example=typical_row(use_case, trained.train),
            description=_description(use_case, trained, labelled),
            tags={
                "use_case": use_case.name,
                "recipe": trained.recipe,
                "threshold": repr(trained.threshold),
                "threshold_rule": "F1-best on validation",
                "split": features.details["split"],
                "features_version": str(features.version),
                "features_data_version": features.data_version,
                "code_version": model_code(use_case, settings),
                "data_version": version,
            },
        )
    row = _row(registry, registered, features, trained, len(labelled.rows))
    committed = tables["model"].append(
        _frame(row, tables["model"]), version, {"features": features.version}
    )
    return Challenger(committed, row, drawn, registered.description)


def _source(use_case: UseCase, tables: Mapping[str, Table]) -> str:
    """Where the records came from, for refusals."""
    raw = tables["raw"].state()
    return use_case.name if raw is None else str(raw.details.get("source_uri", raw.uri))


def latest_challenger(model: Table, registry: Registry) -> Challenger | None:
    """The newest row of the model table, if the registry's Challenger is that very version."""
    import narwhals.stable.v2 as nw

    state = model.state()
    registered = registry.by_alias(CHALLENGER) if state else None
    if state is None or registered is None:
        return None
    rows = model.engine.collect(
        model.scan(state.version).filter(nw.col("run_id") == registered.run_id)
    ).to_pylist()
    if not rows:
        return None
    drawn = registry.pictures(registered.run_id)
    return Challenger(state, rows[-1], drawn, registered.description)


def typical_row(use_case: UseCase, train: pd.DataFrame) -> pd.DataFrame:
    """One made-up row: the median of each number, the commonest of each category."""
    numbers = {name: train[name].dropna().median() for name in use_case.numeric}
    kinds = {name: next(iter(train[name].mode()), None) for name in use_case.categorical}
    row = {**numbers, **kinds}
    return train.head(0).reindex([0]).assign(**row).astype(train.dtypes.to_dict())


def _log_training(
    use_case: UseCase,
    table: Table,
    features: Committed,
    trained: Trained,
    drawn: Mapping[str, bytes],
    settings: TrainingSettings,
) -> None:
    """Log parameters, metrics, pictures and the dataset in the active run, in few requests."""
    import tempfile
    from pathlib import Path

    import mlflow
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.models import infer_signature

    model = trained.pipeline[-1].get_params()
    mlflow.log_params(
        {
            "recipe": trained.recipe,
            "threshold": trained.threshold,
            "split": features.details["split"],
            "sample": settings.sample,
            "max_rows": settings.max_rows,
            "seed": settings.seed,
            "train_rows": len(trained.train),
            **{name: value for name, value in model.items() if value is not None},
        }
    )
    losses = {f"{name}_validation_log_loss": loss for name, loss in trained.candidates.items()}
    mlflow.log_metrics({**trained.metrics, **losses})
    with tempfile.TemporaryDirectory() as folder:
        for name, png in drawn.items():
            Path(folder, f"{name}.png").write_bytes(png)
        mlflow.log_artifacts(folder, PICTURES)
    # Of all rows, MLflow would look at each value to infer what the first ones say as well.
    dataset = MetaDataset(  # type: ignore[abstract]
        _dataset_source(table, features.version),
        name=f"{use_case.name}.features",
        digest=features.data_version[:8],
        schema=infer_signature(trained.train.head(SAMPLE_ROWS)).inputs,
    )
    mlflow.log_input(dataset, context="training")


def _dataset_source(table: Table, version: int) -> Any:
    from mlflow.data.delta_dataset_source import DeltaDatasetSource

    class Source(DeltaDatasetSource):
        def to_dict(self) -> dict[str, Any]:
            # MLflow leaves out a version of 0, which is a table's first.
            return {**super().to_dict(), "delta_table_version": version}

    return Source(path=public_uri(table.uri), delta_table_version=version)


def _description(use_case: UseCase, trained: Trained, labelled: Labelled) -> str:
    sample = ""
    if len(labelled.rows) < labelled.known:
        share = len(labelled.rows) / labelled.known
        sample = f" of a sample, {share:.3g} of the {labelled.known:,} with a known label"
    return (
        f"{use_case.description} This version: {trained.recipe}, fitted on "
        f"{len(trained.train):,} customers{sample}; on {len(trained.test_labels):,} test customers "
        f"ROC AUC {trained.metrics['test_roc_auc']:.3f}, F1 {trained.metrics['test_f1']:.3f} "
        f"at threshold {trained.threshold:.3f}."
    )


def _row(
    registry: Registry, registered: Version, features: Committed, trained: Trained, rows: int
) -> dict[str, Any]:
    return {
        "model_name": registry.model_name,
        "version": registered.version,
        "run_id": registered.run_id,
        "recipe": trained.recipe,
        "threshold": trained.threshold,
        "split": registered.tags["split"],
        "features_version": features.version,
        "features_data_version": features.data_version,
        "labelled_rows": rows,
        "candidates": json.dumps(dict(trained.candidates)),
        **trained.metrics,
        "trained_at": datetime.now(UTC),
    }


def _frame(row: Mapping[str, Any], table: Table) -> Any:
    import pyarrow as pa

    return table.engine.from_arrow(pa.Table.from_pylist([dict(row)]))

"""Score every customer with the Champion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.errors import RegistryError
from churn_assets.learning.promotion import Promotion, align
from churn_assets.learning.recipe import predictions_code
from churn_assets.learning.registry import Registry
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.lineage import data_version
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]


def score(use_case: UseCase, tables: Mapping[str, Table], registry: Registry) -> Committed:
    """Replace predictions by the Champion's of every customer in features.

    Raises
    ------
    RegistryError
        Where there is no Champion, or it cannot be had.
    """
    features = tables["features"].require()
    champion = align(tables["champion"], registry)
    if champion is None:
        raise RegistryError(
            f"{use_case.name}: there is no Champion to score with; run `churn run` first."
        )
    version = data_version(
        predictions_code(use_case),
        {"features": features.data_version, "champion": champion.data_version},
    )
    current = tables["predictions"].current(version)
    if current:
        return current
    engine = tables["features"].engine
    frame = engine.map_batches(
        tables["features"].scan(features.version).select(use_case.key, *use_case.inputs, "split"),
        scorer(use_case, registry.load(champion.version), champion, features.version),
        predictions_schema(use_case),
    )
    reads = {"features": features.version, "champion": tables["champion"].require().version}
    return tables["predictions"].replace(frame, version, reads, model_version=champion.version)


def predictions_schema(use_case: UseCase) -> pa.Schema:
    """The columns of predictions."""
    import pyarrow as pa

    return pa.schema(
        [
            (use_case.key, pa.string()),
            ("churn_probability", pa.float64()),
            ("decision", pa.bool_()),
            ("threshold", pa.float64()),
            ("risk_band", pa.string()),
            ("model_version", pa.int64()),
            ("features_version", pa.int64()),
            ("scored_at", pa.timestamp("us", "UTC")),
            ("split", pa.string()),
        ]
    )


def scorer(
    use_case: UseCase, pipeline: Pipeline, champion: Promotion, features_version: int
) -> Scorer:
    """A function from a batch of features to a batch of predictions, for any engine.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs and the risk bands.
    pipeline : Pipeline
        The Champion's.
    champion : Promotion
        Gives its version and threshold.
    features_version : int
        Delta version of the features that are scored.
    """
    import pyarrow as pa

    scored_at = datetime.now(UTC)
    schema = predictions_schema(use_case)
    names = np.array(list(use_case.risk_bands), dtype=object)
    floors = np.array(list(use_case.risk_bands.values()))

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        inputs = batch.select(list(use_case.inputs)).to_pandas(strings_to_categorical=True)
        rows = len(batch)
        scores = pipeline.predict_proba(inputs)[:, 1] if rows else np.zeros(0)
        bands = pa.DictionaryArray.from_arrays(
            np.searchsorted(floors, scores, side="right").astype(np.int32) - 1, names
        )
        return pa.RecordBatch.from_arrays(
            [
                batch[use_case.key].cast(pa.string()),
                pa.array(scores, pa.float64()),
                pa.array(scores >= champion.threshold),
                pa.repeat(pa.scalar(champion.threshold, pa.float64()), rows),
                bands.cast(pa.string()),
                pa.repeat(pa.scalar(champion.version, pa.int64()), rows),
                pa.repeat(pa.scalar(features_version, pa.int64()), rows),
                pa.repeat(pa.scalar(scored_at, pa.timestamp("us", "UTC")), rows),
                batch["split"].cast(pa.string()),
            ],
            schema=schema,
        )

    return apply

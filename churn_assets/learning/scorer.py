"""From a batch of features to a batch of predictions, for any engine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.explaining.wording import REASONS
from churn_assets.learning.odds import told_scores, told_values
from churn_assets.learning.value import amounts, expected_value
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from churn_assets.learning.judging.record import Promotion
    from churn_assets.learning.registry import Version
    from churn_assets.types import Floats

    Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]


def scored_columns(use_case: UseCase) -> list[str]:
    """The columns of features that a scorer needs."""
    amounts = () if use_case.business is None else use_case.business.columns
    return list(dict.fromkeys([*use_case.keys, *use_case.inputs, *amounts, "split"]))


def predictions_schema(use_case: UseCase) -> pa.Schema:
    """The columns of a scorer's batches: those of predictions but `contact` and `rank`."""
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in use_case.keys),
            ("churn_probability", pa.float64()),
            ("decision", pa.bool_()),
            ("threshold", pa.float64()),
            ("risk_band", pa.string()),
            *([] if use_case.business is None else [("expected_value", pa.float64())]),
            *((reason, pa.string()) for reason in REASONS),
            ("model_version", pa.int64()),
            ("features_version", pa.int64()),
            ("scored_at", pa.timestamp("us", "UTC")),
            ("split", pa.string()),
        ]
    )


def scorer(
    use_case: UseCase, pipeline: Pipeline, champion: Promotion | Version, features_version: int
) -> Scorer:
    """A function from a batch of features to a batch of predictions, for any engine.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs and the risk bands, and has the business case and the words.
    pipeline : Pipeline
        The Champion's.
    champion : Promotion or Version
        Gives its version and threshold.
    features_version : int
        Delta version of the features that are scored.
    """
    import pyarrow as pa

    # Imported here, not by a worker, which lacks this package; and only where somebody is scored.
    from churn_assets.learning.explaining.causes import causes
    from churn_assets.learning.explaining.contributions import contributions
    from churn_assets.learning.explaining.reasons import reasons

    scored_at = datetime.now(UTC)
    schema, by_cause = predictions_schema(use_case), causes(use_case)
    names = np.array(list(use_case.risk_bands), dtype=object)
    floors = np.array(list(use_case.risk_bands.values()))

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = len(batch)
        if rows == 0:
            return pa.RecordBatch.from_pylist([], schema)
        inputs = batch.select(list(use_case.inputs)).to_pandas(strings_to_categorical=True)
        scores = told_scores(pipeline.predict_proba(inputs)[:, 1])
        bands = pa.DictionaryArray.from_arrays(
            np.searchsorted(floors, scores, side="right").astype(np.int32) - 1, names
        )
        explained = by_cause.of(contributions(pipeline, inputs))
        why = reasons(explained, inputs, use_case, most=len(REASONS))
        return pa.RecordBatch.from_arrays(
            [
                *(batch[name].cast(pa.string()) for name in use_case.keys),
                pa.array(scores, pa.float64()),
                pa.array(scores >= champion.threshold),
                pa.repeat(pa.scalar(champion.threshold, pa.float64()), rows),
                bands.cast(pa.string()),
                *_value(use_case, batch, scores),
                *why,
                pa.repeat(pa.scalar(champion.version, pa.int64()), rows),
                pa.repeat(pa.scalar(features_version, pa.int64()), rows),
                pa.repeat(pa.scalar(scored_at, pa.timestamp("us", "UTC")), rows),
                batch["split"].cast(pa.string()),
            ],
            schema=schema,
        )

    return apply


def _value(use_case: UseCase, batch: pa.RecordBatch, scores: Floats) -> list[pa.Array]:
    """The expected value of contacting each customer, where there is a business case."""
    import pyarrow as pa

    case = use_case.business
    if case is None:
        return []
    columns = batch.select(list(case.columns)).to_pandas()
    value = expected_value(scores, amounts(case, columns, len(batch)))
    return [pa.array(told_values(value), mask=np.isnan(value))]

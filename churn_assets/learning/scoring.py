"""Score every customer with the Champion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import RegistryError
from churn_assets.learning.judging.promotion import Promotion, align
from churn_assets.learning.recipe import predictions_code
from churn_assets.learning.registry import Registry
from churn_assets.learning.value import amounts, expected_value
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.versions import data_version
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa
    from sklearn.pipeline import Pipeline

    from churn_assets.learning.value import Floats

    Frame = nw.LazyFrame[Any]
    Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]

REASONS = ("reason_1", "reason_2", "reason_3")
_SCORE_DECIMALS, _VALUE_DECIMALS = 12, 6
"""The last bits of a score hang on the batch, and must not order customers who are alike."""


def score(
    use_case: UseCase,
    tables: Mapping[str, Table],
    registry: Registry,
    *,
    contacts: int | None = None,
) -> Committed:
    """Replace predictions by the Champion's of every customer in features.

    Parameters
    ----------
    use_case, tables, registry
        Who is scored, and where the features and the Champion are.
    contacts : int, optional
        How many customers may be contacted; as many as it pays to by default.

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
        predictions_code(use_case, contacts),
        {"features": features.data_version, "champion": champion.data_version},
    )
    current = tables["predictions"].current(version)
    if current:
        return current
    rows = tables["features"].scan(features.version)
    apply = scorer(use_case, registry.load(champion.version), champion, features.version)
    reads = {"features": features.version, "champion": tables["champion"].require().version}
    with predicted(use_case, tables["features"].engine, rows, apply, contacts) as predictions:
        return tables["predictions"].replace(
            predictions, version, reads, model_version=champion.version
        )


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
    use_case: UseCase, pipeline: Pipeline, champion: Promotion, features_version: int
) -> Scorer:
    """A function from a batch of features to a batch of predictions, for any engine.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs and the risk bands, and has the business case and the words.
    pipeline : Pipeline
        The Champion's.
    champion : Promotion
        Gives its version and threshold.
    features_version : int
        Delta version of the features that are scored.
    """
    import pyarrow as pa

    # Imported here, not by a worker, which lacks this package; and only where somebody is scored.
    from churn_assets.learning.explaining.contributions import contributions, reasons

    scored_at = datetime.now(UTC)
    schema = predictions_schema(use_case)
    names = np.array(list(use_case.risk_bands), dtype=object)
    floors = np.array(list(use_case.risk_bands.values()))

    def apply(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = len(batch)
        if rows == 0:
            return pa.RecordBatch.from_pylist([], schema)
        inputs = batch.select(list(use_case.inputs)).to_pandas(strings_to_categorical=True)
        scores = np.round(pipeline.predict_proba(inputs)[:, 1], _SCORE_DECIMALS)
        bands = pa.DictionaryArray.from_arrays(
            np.searchsorted(floors, scores, side="right").astype(np.int32) - 1, names
        )
        told = reasons(contributions(pipeline, inputs), inputs, use_case, most=len(REASONS))
        return pa.RecordBatch.from_arrays(
            [
                *(batch[name].cast(pa.string()) for name in use_case.keys),
                pa.array(scores, pa.float64()),
                pa.array(scores >= champion.threshold),
                pa.repeat(pa.scalar(champion.threshold, pa.float64()), rows),
                bands.cast(pa.string()),
                *_value(use_case, batch, scores),
                *told,
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
    # No zero below zero.
    return [pa.array(np.round(value, _VALUE_DECIMALS) + 0.0)]


@contextmanager
def predicted(
    use_case: UseCase, engine: Engine, features: Frame, apply: Scorer, contacts: int | None = None
) -> Iterator[Frame]:
    """Predictions of the customers in features, to be used in the block.

    Where there is a business case, they say whom to contact and in which order.

    Parameters
    ----------
    use_case : UseCase
        Whose features these are.
    engine : Engine
        What scores and ranks.
    features : frame
        Who is scored.
    apply : callable
        As `scorer` gives it.
    contacts : int, optional
        As `score` takes it.
    """
    import narwhals.stable.v2 as nw

    columns = scored_columns(use_case)
    scored = engine.map_batches(features.select(columns), apply, predictions_schema(use_case))
    if use_case.business is None:
        yield scored
        return
    names = predictions_schema(use_case).names
    after = names.index("expected_value") + 1
    order = ["expected_value", "churn_probability", *use_case.keys]
    falling = [True, True, *(False for _ in use_case.keys)]
    with engine.ranked(scored, order, falling, into="rank") as ranked:
        contact = nw.col("expected_value") > 0
        if contacts is not None:
            contact &= nw.col("rank") <= contacts
        yield ranked.with_columns(contact.alias("contact")).select(
            *names[:after], "contact", "rank", *names[after:]
        )

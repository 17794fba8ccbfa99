"""Which rows of features are used: those to score, and a sample to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from churn_assets.tables.engines.engine import BUCKETS, Engine
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.types import Frame


TO_SCORE = "to_score"
"""Whether a row is what its customer is scored by; a column where not every row is."""
_BUCKET, _ROWS = "__sample", "__rows"


@dataclass(frozen=True)
class Sample:
    """Rows of a table, and how many there are.

    Parameters
    ----------
    frame : frame
        The rows that were drawn.
    rows : int
        How many they were drawn from.
    """

    frame: Frame
    rows: int


def to_score(features: Frame) -> Frame:
    """The rows of features that customers are scored by: one of each."""
    import narwhals.stable.v2 as nw

    return features.filter(nw.col(TO_SCORE)) if TO_SCORE in features.collect_schema() else features


def sampled(
    frame: Frame, use_case: UseCase, engine: Engine, *, share: float, most_rows: int
) -> Sample:
    """Draw a share of the customers, and fewer where these have more rows than there may be.

    The same customers are drawn each time and by each engine; a smaller sample is part of a
    larger one.

    Parameters
    ----------
    frame : frame
        Rows with the use case's key.
    use_case : UseCase
        Names the key, and salts its hash.
    engine : Engine
        What hashes the key and counts.
    share : float
        Greatest share of the customers, in (0, 1].
    most_rows : int
        Greatest number of rows; one bucket in ten thousand is drawn in any case.
    """
    import narwhals.stable.v2 as nw

    count = engine.collect(frame.select(nw.len().cast(nw.Int64).alias(_ROWS)))
    rows: int = count[_ROWS][0].as_py()
    if share == 1 and rows <= most_rows:
        return Sample(frame, rows)
    hashed = engine.bucket(frame, use_case.keys, f"{use_case.split.salt} sample", into=_BUCKET)
    buckets = max(1, round(share * BUCKETS))
    if rows * share > most_rows:
        by_bucket = hashed.group_by(_BUCKET).agg(nw.len().cast(nw.Int64).alias(_ROWS))
        counts = {row[_BUCKET]: row[_ROWS] for row in engine.collect(by_bucket).to_pylist()}
        rows_up_to = accumulate(counts.get(bucket, 0) for bucket in range(buckets))
        buckets = max(1, sum(rows_so_far <= most_rows for rows_so_far in rows_up_to))
    return Sample(hashed.filter(nw.col(_BUCKET) < buckets).drop(_BUCKET), rows)

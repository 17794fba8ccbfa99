"""Samples: no more rows than are wanted, and the same customers each time."""

from __future__ import annotations

import pyarrow as pa
import pytest

from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.sampling import sampled
from churn_assets_tests.support.project import USE_CASE

KEYS = pa.table({USE_CASE.key: [f"customer {i}" for i in range(20_000)]})


def drawn(engine: Engine, share: float = 1, most_rows: int = len(KEYS)) -> set[str]:
    sample = sampled(engine.from_arrow(KEYS), USE_CASE, engine, share=share, most_rows=most_rows)
    assert sample.rows == len(KEYS)
    return set(engine.collect(sample.frame)[USE_CASE.key].to_pylist())


@pytest.mark.parametrize(("share", "most_rows"), [(1, 5000), (0.5, 20_000), (0.5, 5000)])
def test_both_engines_draw_the_same_customers(
    share: float, most_rows: int, spark_engine: Engine
) -> None:
    assert drawn(PolarsEngine(), share, most_rows) == drawn(spark_engine, share, most_rows)


@pytest.mark.parametrize("most_rows", [20, 1000, 7777, 19_999])
def test_as_many_are_drawn_as_may_be(most_rows: int) -> None:
    # The next bucket of ten thousand would be too many.
    assert most_rows - 12 <= len(drawn(PolarsEngine(), most_rows=most_rows)) <= most_rows


def test_where_there_are_no_more_than_are_wanted_all_are_drawn() -> None:
    assert len(drawn(PolarsEngine())) == len(KEYS)


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    small, large = drawn(PolarsEngine(), most_rows=1000), drawn(PolarsEngine(), share=0.3)

    assert small < large
    assert len(large) == pytest.approx(0.3 * len(KEYS), rel=0.05)


def test_a_sample_draws_alike_from_every_split() -> None:
    engine = PolarsEngine()
    split = engine.bucket(engine.from_arrow(KEYS), USE_CASE.keys, USE_CASE.split.salt, "bucket")
    whole = sampled(split, USE_CASE, engine, share=0.5, most_rows=len(KEYS)).frame

    buckets = engine.collect(whole)["bucket"].to_numpy()

    assert (buckets < 2000).mean() == pytest.approx(0.2, abs=0.02)

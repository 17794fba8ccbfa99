"""Made-up tables are repeatable, of any length, and labelled by a law that can be computed."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from churn_assets.usecases import booking_generator, telco_generator
from churn_assets.usecases.made_up import BATCH_ROWS, MOST_ROWS, text_schema

ROWS = 100_000
GENERATORS = {"telco": telco_generator, "booking": booking_generator}
LEAVES = {"Churn": "Yes", "booking status": "Canceled"}


@pytest.fixture(scope="module", params=GENERATORS.values(), ids=GENERATORS)
def generator(request):
    return request.param


@pytest.fixture(scope="module")
def key(generator):
    return generator.COLUMNS[0]


@pytest.fixture(scope="module")
def label(generator):
    return generator.COLUMNS[-1]


@pytest.fixture(scope="module")
def table(generator):
    return pa.Table.from_batches(generator.generate(ROWS, seed=1), text_schema(generator.COLUMNS))


@pytest.fixture(scope="module")
def law(generator, table):
    return np.concatenate([generator.churn_probability(batch) for batch in table.to_batches()])


@pytest.mark.parametrize("rows", [0, 1, BATCH_ROWS, BATCH_ROWS + 1])
def test_as_many_rows_come_as_are_requested(generator, rows):
    sizes = [batch.num_rows for batch in generator.generate(rows, seed=1)]

    assert sum(sizes) == rows
    assert all(size == BATCH_ROWS for size in sizes[:-1])


def test_the_same_seed_gives_the_same_records_and_another_seed_others(generator, key):
    first, again, other = (next(generator.generate(1_000, seed)) for seed in (1, 1, 2))

    assert first.equals(again)
    assert first[key].equals(other[key])
    assert not first.drop_columns([key]).equals(other.drop_columns([key]))


def test_a_longer_table_begins_with_the_shorter_one(generator, table):
    shorter = pa.Table.from_batches(generator.generate(BATCH_ROWS + 7, seed=1))

    assert table.slice(0, BATCH_ROWS + 7).equals(shorter)


def test_a_billion_records_come_batch_by_batch(generator):
    assert next(generator.generate(MOST_ROWS, seed=1)).num_rows == BATCH_ROWS
    with pytest.raises(ValueError, match="generate fewer"):
        next(generator.generate(MOST_ROWS + 1, seed=1))


@pytest.mark.slow
def test_a_million_records_have_a_million_ids(generator, key):
    ids = pa.chunked_array([batch[key] for batch in generator.generate(1_000_000, seed=1)])

    assert pc.count_distinct(ids).as_py() == 1_000_000


def test_every_column_is_text_without_nulls(generator, table):
    assert table.schema.equals(text_schema(generator.COLUMNS))
    assert tuple(table.column_names) == generator.COLUMNS
    assert set(table.schema.types) == {pa.string()}
    assert all(column.null_count == 0 for column in table.columns)


def test_labels_are_drawn_with_the_probability_of_the_law(table, label, law):
    leaves = pc.equal(table[label], LEAVES[label]).to_numpy()
    deciles = np.array_split(np.argsort(law), 10)

    assert law.shape == (ROWS,)
    assert all(law[low].max() <= law[high].min() for low, high in pairwise(deciles))
    for decile in deciles:
        error = math.sqrt((law[decile] * (1 - law[decile])).sum())
        assert abs(leaves[decile].sum() - law[decile].sum()) < 4 * error


def test_the_law_reads_only_the_record_and_never_the_label(generator, table, label, law):
    batch = table.to_batches()[0]
    unlabelled = batch.set_column(
        generator.COLUMNS.index(label),
        text_schema([label]).field(label),
        pa.nulls(batch.num_rows, pa.string()),
    )

    assert np.array_equal(generator.churn_probability(unlabelled), law[: batch.num_rows])
    assert np.array_equal(generator.churn_probability(batch.slice(40, 2)), law[40:42])

"""What a user relies on between silver and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.tables.contract import judge
from churn_assets.tables.engine import BUCKETS
from churn_assets.tables.featurise import feature_rows, featurise
from churn_assets.tables.lake import Lake, Table
from churn_assets.tables.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Split
from churn_assets_tests.project import USE_CASE, customers

ROWS = 3000
ENGINE = PolarsEngine()

Tables = Mapping[str, Table]


@pytest.fixture(scope="module")
def silver() -> pl.DataFrame:
    judged = judge(nw.from_native(customers(ROWS).lazy()), USE_CASE.contract, ENGINE)
    return USE_CASE.clean(judged.valid).to_native().collect()


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Lake(str(tmp_path), ENGINE).of(USE_CASE)


def features(silver: pl.DataFrame, split: Split = USE_CASE.split) -> pl.DataFrame:
    made = feature_rows(replace(USE_CASE, split=split), nw.from_native(silver.lazy()), ENGINE)
    return made.frame.to_native().collect()


def sides(silver: pl.DataFrame, split: Split = USE_CASE.split) -> dict[str, str]:
    """Which split each customer is in."""
    return dict(features(silver, split).select("customer_id", "split").iter_rows())


# The split


def bucket(key: str, salt: str) -> int:
    frame = nw.from_native(pl.DataFrame({"key": [key]}).lazy())
    return int(ENGINE.collect(ENGINE.bucket(frame, ["key"], salt, "bucket"))["bucket"][0].as_py())


def test_the_bucket_of_a_key_is_the_one_that_every_engine_gives() -> None:
    assert bucket("7590-VHVEG", "salt") == 2916


def test_buckets_of_any_keys_are_within_their_bounds() -> None:
    keys = pl.DataFrame({"key": [*map(str, range(50_000)), "", "Zoë 東京", "x" * 1_000_000]})
    found = ENGINE.bucket(nw.from_native(keys.lazy()), ["key"], "telco_churn", "bucket")

    buckets = found.to_native().collect()["bucket"]

    assert buckets.is_between(0, BUCKETS - 1).all()
    assert buckets.null_count() == 0
    assert buckets.n_unique() > 0.99 * BUCKETS


@pytest.mark.parametrize(("train", "validation"), [(0.6, 0.2), (0.5, 0.25), (0.9, 0.05)])
def test_the_parts_have_the_shares_that_are_set(
    train: float, validation: float, silver: pl.DataFrame
) -> None:
    counts = features(silver, Split("a", train, validation))["split"].value_counts()

    shares = {name: count / ROWS for name, count in counts.iter_rows()}
    assert shares == {
        "train": pytest.approx(train, abs=0.03),
        "validation": pytest.approx(validation, abs=0.03),
        "test": pytest.approx(1 - train - validation, abs=0.03),
    }


def test_a_customer_stays_on_one_side_as_the_table_grows_and_the_rows_move(
    silver: pl.DataFrame,
) -> None:
    some = sides(silver.tail(ROWS // 2).sample(fraction=1, shuffle=True, seed=1))

    assert some.items() <= sides(silver).items()


def test_a_wider_train_part_takes_nobody_out_of_train(silver: pl.DataFrame) -> None:
    before, after = sides(silver, Split("a", 0.6, 0.2)), sides(silver, Split("a", 0.7, 0.1))

    trained = {key for key, side in before.items() if side == "train"}
    assert trained < {key for key, side in after.items() if side == "train"}
    tested = {key for key, side in before.items() if side == "test"}
    assert tested == {key for key, side in after.items() if side == "test"}


def test_two_salts_give_unrelated_splits(silver: pl.DataFrame) -> None:
    one, other = sides(silver, Split("a")), sides(silver, Split("b"))

    both = sum(one[key] == other[key] == "train" for key in one) / ROWS
    assert both == pytest.approx(0.6 * 0.6, abs=0.03)


def test_the_use_case_salts_its_split_with_its_name_by_default() -> None:
    assert USE_CASE.split == Split("telco_churn", 0.6, 0.2)


# The rows


def test_features_have_key_inputs_label_and_split_for_each_customer(silver: pl.DataFrame) -> None:
    frame = features(silver)

    assert frame.columns == ["customer_id", *USE_CASE.inputs, "label", "split"]
    assert sorted(frame["customer_id"]) == sorted(silver["customer_id"])
    assert all(frame.schema[name] == pl.Float64 for name in USE_CASE.numeric)
    assert frame.schema["label"] == pl.Boolean


def test_the_label_is_true_false_or_not_known_yet(silver: pl.DataFrame) -> None:
    outcomes = ["Yes", "No", None]

    frame = features(silver.head(3).with_columns(churn=pl.Series(outcomes)))

    assert frame["label"].to_list() == [True, False, None]


def test_unchanged_silver_and_code_write_nothing_and_a_new_split_does(
    silver: pl.DataFrame, tables: Tables
) -> None:
    committed = tables["silver"].replace(nw.from_native(silver.lazy()), "first")
    first = featurise(USE_CASE, tables)

    again = featurise(USE_CASE, tables)
    split = featurise(replace(USE_CASE, split=Split("another")), tables)

    assert first.changed
    assert first.reads == {"silver": committed.version}
    assert first.rows == ROWS
    assert first.details["split"] == str(USE_CASE.split)
    assert again == replace(first, changed=False)
    assert split.changed


def test_new_silver_replaces_features(silver: pl.DataFrame, tables: Tables) -> None:
    tables["silver"].replace(nw.from_native(silver.lazy()), "first")
    featurise(USE_CASE, tables)
    tables["silver"].replace(nw.from_native(silver.head(7).lazy()), "second")

    committed = featurise(USE_CASE, tables)

    assert (committed.version, committed.rows, committed.changed) == (1, 7, True)

"""What a user relies on between silver and features."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import ContractError
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.engine import BUCKETS
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows, featurise
from churn_assets.tables.ingest import ingest, ingest_labels
from churn_assets.tables.lake import Committed, Lake, Table
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases.spec import Column, Contract, Date, Label, Labels, Split, String
from churn_assets_tests.support.project import USE_CASE, customers

ROWS = 3000
ENGINE = PolarsEngine()

Tables = Mapping[str, Table]


@pytest.fixture(scope="module")
def silver() -> pl.DataFrame:
    judged = validate(nw.from_native(customers(ROWS).lazy()), USE_CASE.contract, ENGINE)
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


# By time


DAYS = replace(
    USE_CASE,
    name="days",
    key="id",
    label=Label("left", positive="Yes"),
    contract=Contract(
        Column("id", String), Column("seen", Date), Column("left", String, nullable=True)
    ),
    clean=lambda frame: frame,
    features=lambda frame: frame,
    numeric=(),
    categorical=(),
    business=None,
    slices=(),
    split_by="seen",
)


def came(tables: Tables, days: Iterable[int], label: str | None = "No") -> Committed:
    """Let one customer for each day of a year come to silver, and make features of them."""
    start = datetime.date(2020, 1, 1)
    frame = pl.DataFrame(
        {
            "id": [str(day) for day in days],
            "seen": [start + datetime.timedelta(days=day) for day in days],
            "left": pl.Series([label for _ in days], dtype=pl.String),
        }
    )
    tables["silver"].replace(nw.from_native(frame.lazy()), str(uuid.uuid4()))
    return featurise(DAYS, tables)


def split_of(tables: Tables) -> dict[int, str]:
    frame = tables["features"].scan().to_native().collect()
    return {int(key): split for key, split in frame.select("id", "split").rows()}


@pytest.fixture
def dated(tmp_path: Path) -> Tables:
    return Lake(str(tmp_path), ENGINE).of(DAYS)


def test_by_time_the_newest_rows_are_test_and_those_before_them_validation(dated: Tables) -> None:
    committed = came(dated, range(100))

    expected = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20
    assert [split_of(dated)[day] for day in range(100)] == expected
    assert committed.details["split"] == "time/1 by=seen test_from=2020-03-21"
    assert "seen" in committed.columns


def test_by_time_rows_move_from_test_to_train_as_the_table_grows_and_never_back(
    dated: Tables,
) -> None:
    came(dated, range(100))
    before = split_of(dated)
    came(dated, range(200))
    grown = split_of(dated)
    came(dated, range(195))

    assert {day for day in range(100) if grown[day] == "test"} == set()
    assert {day for day in before if before[day] != "test" and grown[day] == "test"} == set()
    # Fewer rows than before do not make test rows of what was trained on.
    assert [day for day, split in split_of(dated).items() if split == "test"] == [*range(160, 195)]


def test_by_time_rows_that_are_all_older_than_test_are_refused(dated: Tables) -> None:
    came(dated, range(100))

    with pytest.raises(ContractError, match="no record with a label is as new as 2020-03-21"):
        came(dated, range(50))

    assert len(split_of(dated)) == 100


def test_by_time_only_known_outcomes_say_where_test_begins(dated: Tables) -> None:
    came(dated, range(100), label=None)
    committed = came(dated, range(50))

    assert committed.details["split"] == "time/1 by=seen test_from=2020-02-10"


# Labels of their own


APART = replace(
    DAYS,
    name="apart",
    contract=Contract(Column("id", String), Column("seen", Date)),
    labels=Labels(
        Contract(
            Column("id", String),
            Column("on", Date, nullable=True),
            Column("left", String, isin=("Yes", "No"), nullable=True),
        ),
        time="on",
    ),
    time="seen",
    split_by=None,
)


def labelled(folder: Path, *labels: tuple[str, str, str]) -> tuple[Committed, dict[str, Any]]:
    """Features of customers a to d, seen on the 5th, with these labels."""
    tables = Lake(str(folder), ENGINE).of(APART)
    seen = [datetime.date(2020, 1, 5)] * 4
    frame = pl.DataFrame({"id": ["a", "b", "c", "d"], "seen": seen})
    tables["silver"].replace(nw.from_native(frame.lazy()), "1")
    file = folder / "labels.csv"
    pl.DataFrame(labels, schema=["id", "on", "left"], orient="row").write_csv(file)
    ingest_labels(APART, Source(uri="unused.csv", labels=Source(uri=str(file))), tables)
    committed = featurise(APART, tables, max_reject_share=0.3)
    rows = tables["features"].scan().to_native().collect()
    return committed, dict(rows.select("id", "label").rows())


def test_labels_from_a_source_of_their_own_are_joined_by_key(tmp_path: Path) -> None:
    committed, found = labelled(
        tmp_path, ("a", "2020-01-31", "Yes"), ("b", "2020-01-31", "No"), ("x", "", "No")
    )

    assert found == {"a": True, "b": False, "c": None, "d": None}
    assert committed.reads.keys() == {"silver", "labels"}
    assert committed.details["labels"] == {
        "records": 3,
        "rejected": 0,
        "rules": {},
        "of_nobody": 1,
        "older_than_the_record": 0,
    }


def test_a_label_of_a_day_before_the_record_is_not_given_to_it(tmp_path: Path) -> None:
    committed, found = labelled(
        tmp_path, ("a", "2020-01-04", "Yes"), ("b", "2020-01-05", "Yes"), ("c", "", "No")
    )

    assert found == {"a": None, "b": True, "c": False, "d": None}
    assert committed.details["labels"]["older_than_the_record"] == 1


def test_labels_that_break_their_contract_are_counted_and_too_many_are_refused(
    tmp_path: Path,
) -> None:
    good = [(key, "2020-01-31", "No") for key in "abc"]
    committed, found = labelled(tmp_path, *good, ("d", "2020-01-31", "Perhaps"))

    assert found["d"] is None
    assert committed.details["labels"]["rules"] == {"left: is not one of Yes, No": 1}
    with pytest.raises(ContractError, match=r"2 of 3 records .* features was not replaced"):
        labelled(tmp_path, *[(key, "", "Perhaps") for key in "ab"], ("c", "", "No"))


def test_two_labels_of_a_customer_and_day_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="columns 'id' and 'on' must be unique together"):
        labelled(tmp_path, ("a", "2020-01-31", "Yes"), ("a", "2020-01-31", "No"))
    with pytest.raises(ContractError, match="1 customers have several labels without a day in 'o"):
        labelled(tmp_path, ("a", "", "Yes"), ("a", "", "No"), ("b", "", "No"))


def test_of_labels_of_several_days_a_record_has_the_newest(tmp_path: Path) -> None:
    _, found = labelled(tmp_path, ("a", "2020-01-31", "Yes"), ("a", "2020-02-01", "No"))

    assert found["a"] is False


class Customers:
    """Records of customers by the day, which come bit by bit, and their labels."""

    def __init__(self, folder: Path) -> None:
        self.tables, self._folder = Lake(str(folder / "lake"), ENGINE).of(APART), folder

    def came(self, **days: str) -> None:
        path = self._folder / "records.csv"
        rows = [(key, f"2020-01-{day}") for key, of in days.items() for day in of.split()]
        pl.DataFrame(rows, schema=["id", "seen"], orient="row").write_csv(path)
        ingest(APART, Source(uri=str(path), append=True), self.tables)

    def rows(self, *labels: tuple[str, str, str]) -> set[tuple[str, int, bool | None, bool]]:
        """Features: who, the day of January, label, and whether it is to be scored."""
        path = self._folder / "labels.csv"
        records = [(key, f"2020-01-{day}", left) for key, day, left in labels]
        pl.DataFrame(records, schema=["id", "on", "left"], orient="row").write_csv(path)
        ingest_labels(APART, Source(uri="x", labels=Source(uri=str(path))), self.tables)
        list(refine(APART, self.tables))
        featurise(APART, self.tables)
        made = self.tables["features"].scan().to_native().collect()
        return {
            (row["id"], row["seen"].day, row["label"], row["to_score"])
            for row in made.iter_rows(named=True)
        }


def test_a_label_is_of_the_newest_record_before_it_which_stays_when_a_newer_one_comes(
    tmp_path: Path,
) -> None:
    customers = Customers(tmp_path)
    customers.came(a="01 05", b="01 05", c="05")
    labels = [("a", "02", "No"), ("a", "06", "Yes"), ("b", "05", "No"), ("c", "04", "Yes")]
    first = customers.rows(*labels)

    customers.came(a="09", b="04")
    second = customers.rows(*labels)

    known = {("a", 1, False, False), ("a", 5, True, False), ("b", 5, False, False)}
    assert first == known | {("c", 5, None, True)}
    assert second == known | {("c", 5, None, True), ("a", 9, None, True)}
    features = customers.tables["features"].require()
    assert features.details["to_score"] == 2
    assert features.details["labels"]["older_than_the_record"] == 1


# Keys of several parts


def test_each_part_of_a_key_counts_for_the_split_and_stands_in_features() -> None:
    parts = replace(
        DAYS,
        key=("shop", "id"),
        contract=Contract(
            Column("shop", String), Column("id", String), Column("left", String, nullable=True)
        ),
        split_by=None,
    )
    keys = [(f"s{shop}", f"c{number}") for shop in range(50) for number in range(50)]
    frame = pl.DataFrame(keys, schema=["shop", "id"], orient="row").with_columns(left=pl.lit("No"))

    rows = feature_rows(parts, nw.from_native(frame.lazy()), ENGINE).frame.to_native().collect()

    assert rows.columns == ["shop", "id", "label", "split"]
    shares = rows.group_by("shop").agg((pl.col("split") == "train").mean())["split"]
    assert shares.min() > 0.3
    assert rows["split"].value_counts(normalize=True).sort("split")["proportion"].to_list() == (
        pytest.approx([0.2, 0.6, 0.2], abs=0.03)
    )


# Copies


def test_copies_are_counted_and_nobody_changes_side_for_them(
    silver: pl.DataFrame, tables: Tables
) -> None:
    again = silver.head(300).with_columns(pl.col("customer_id") + " again")
    tables["silver"].replace(nw.from_native(pl.concat([silver, again]).lazy()), "1")

    details = featurise(USE_CASE, tables).details

    rows = tables["features"].scan().to_native().collect()
    keys = ["customer_id", "split"]
    twins = rows.filter(pl.col("customer_id").str.ends_with(" again")).select(
        pl.col("customer_id").str.replace(" again", ""), pl.col("split").alias("other")
    )
    pairs = rows.select(keys).join(twins, on="customer_id").select("split", "other").rows()
    assert dict(rows.select(keys).rows()).items() >= sides(silver).items()
    assert details["copies"]["beyond_chance"]
    assert details["copies"]["alike"] == pytest.approx(300, abs=5)
    learned = {"train", "validation"}
    judged = sum((a == "test" and b in learned) + (b == "test" and a in learned) for a, b in pairs)
    assert details["not_judged"]["test"] == pytest.approx(judged, abs=5)


def test_customers_who_are_alike_by_chance_are_told_and_judged_on(
    silver: pl.DataFrame, tables: Tables
) -> None:
    tables["silver"].replace(nw.from_native(silver.lazy()), "1")

    details = featurise(USE_CASE, tables).details

    assert not details["copies"]["beyond_chance"]
    assert details["not_judged"] == {"validation": 0, "test": 0}


def test_outcomes_play_no_part_in_what_is_a_copy(silver: pl.DataFrame, tables: Tables) -> None:
    again = silver.head(300).with_columns(pl.col("customer_id") + " again")
    both = pl.concat([silver, again])
    found = []
    for number, outcome in enumerate([pl.col("churn"), pl.lit("No"), pl.col("churn").shuffle(1)]):
        changed = both.with_columns(outcome.alias("churn"))
        tables["silver"].replace(nw.from_native(changed.lazy()), str(number))
        found.append(featurise(USE_CASE, tables).details)

    assert found[0] == found[1] == found[2]


# Groups


HOUSEHOLDS = replace(
    DAYS,
    name="households",
    contract=Contract(
        Column("id", String),
        Column("household", String, nullable=True),
        Column("left", String, nullable=True),
    ),
    group=("household",),
    split_by=None,
)


def of_households(case: Any = HOUSEHOLDS) -> pl.DataFrame:
    """Features of 600 households of three, and of 600 people without one."""
    ids = [f"c{i}" for i in range(2400)]
    homes = [f"h{i // 3}" if i < 1800 else None for i in range(2400)]
    frame = pl.DataFrame({"id": ids, "household": homes}).with_columns(left=pl.lit("No"))
    made = feature_rows(case, nw.from_native(frame.lazy()), ENGINE)
    assert made.split.endswith(" group=household") == bool(case.group)
    return made.frame.to_native().collect()


def test_a_household_is_on_one_side_and_who_has_none_stands_alone() -> None:
    rows, ungrouped = of_households(), of_households(replace(HOUSEHOLDS, group=()))

    grouped = rows.drop_nulls("household")
    alone = rows.filter(pl.col("household").is_null()).select("id", "split")
    assert grouped.group_by("household").agg(pl.col("split").n_unique())["split"].max() == 1
    assert alone.rows() == ungrouped.tail(600).select("id", "split").rows()
    for part in (grouped, alone):
        shares = part["split"].value_counts(normalize=True).sort("split")["proportion"]
        assert shares.to_list() == pytest.approx([0.2, 0.6, 0.2], abs=0.06)


def test_a_group_of_amounts_is_refused() -> None:
    case = replace(HOUSEHOLDS, features=lambda frame: frame.with_columns(household=nw.lit(0.5)))

    with pytest.raises(ContractError, match="households: 'household' of its group is Float64"):
        of_households(case)


def test_a_part_of_the_key_may_be_the_group() -> None:
    case = replace(
        HOUSEHOLDS,
        key=("id", "month"),
        contract=Contract(
            Column("id", String), Column("month", String), Column("left", String, nullable=True)
        ),
        group=("id",),
    )
    keys = [(f"c{i}", f"m{month}", "No") for i in range(100) for month in range(12)]
    frame = pl.DataFrame(keys, schema=["id", "month", "left"], orient="row")

    rows = feature_rows(case, nw.from_native(frame.lazy()), ENGINE).frame.to_native().collect()

    assert rows.columns == ["id", "month", "label", "split"]
    assert rows.group_by("id").agg(pl.col("split").n_unique())["split"].max() == 1
    assert rows["split"].n_unique() == 3


# The label as an input


@pytest.mark.parametrize(
    "equal",
    [
        (nw.col("churn") == "Yes").cast(nw.Int64),
        (nw.col("churn") == "No").cast(nw.Int64),
        nw.when(nw.col("churn") == "Yes").then(nw.lit(7.5)),
    ],
    ids=["equal", "the other way round", "blank for one outcome"],
)
def test_an_input_that_is_the_label_is_refused_by_name(
    equal: nw.Expr, silver: pl.DataFrame, tables: Tables
) -> None:
    case = replace(
        USE_CASE,
        features=lambda frame: USE_CASE.features(frame).with_columns(equal.alias("gone")),
        numeric=(*USE_CASE.numeric, "gone"),
    )
    tables["silver"].replace(nw.from_native(silver.lazy()), "1")

    with pytest.raises(ContractError, match="telco_churn: 'gone' of features is the label itself"):
        featurise(case, tables)

    assert tables["features"].state() is None


def test_in_a_few_rows_an_input_may_tell_every_outcome(
    silver: pl.DataFrame, tables: Tables
) -> None:
    gone = (nw.col("churn") == "Yes").cast(nw.Int64).alias("gone")
    case = replace(
        USE_CASE,
        features=lambda frame: USE_CASE.features(frame).with_columns(gone),
        numeric=(*USE_CASE.numeric, "gone"),
    )
    tables["silver"].replace(nw.from_native(silver.head(20).lazy()), "1")

    assert featurise(case, tables).rows == 20

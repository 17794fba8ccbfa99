"""Which rows are copies of others, and which are alike by chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import narwhals.stable.v2 as nw
import numpy as np
import polars as pl
import pytest

from churn_assets.tables.contract import validate
from churn_assets.tables.copies import parts_of, repeats, tied_rows, ties_of, untied
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import feature_rows
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import UseCase, delta_name
from churn_assets_tests.support.data import BOOKINGS, TELCO
from churn_assets_tests.support.project import USE_CASE

ENGINE = PolarsEngine()
ROWS = 4000
Rng = np.random.Generator


def few_values(rng: Rng) -> pl.DataFrame:
    """Eight kinds of four values each: one row in twenty is alike to another."""
    return pl.DataFrame({f"x{i}": rng.integers(0, 4, ROWS) for i in range(8)})


def classes(rng: Rng) -> pl.DataFrame:
    """Kinds that go with six types of customers."""
    kind, chances = rng.integers(0, 6, ROWS), rng.dirichlet([0.3] * 4, size=(6, 14))
    return pl.DataFrame(
        {f"x{i}": [rng.choice(4, p=chances[k, i]) for k in kind] for i in range(14)}
    )


def scales(rng: Rng) -> pl.DataFrame:
    """Ten answers on a scale that all rise with one thing."""
    common = rng.normal(size=(ROWS, 1))
    answers = 0.9 * common + 0.45 * rng.normal(size=(ROWS, 10))
    return pl.DataFrame({f"x{i}": np.digitize(answers[:, i], [-1, 0, 1]) for i in range(10)})


def continuous(rng: Rng) -> pl.DataFrame:
    return pl.DataFrame({f"x{i}": rng.normal(size=ROWS) for i in range(6)})


def price_list(rng: Rng) -> pl.DataFrame:
    """Options that make the price, which makes the total: many are new, with the cheapest plan."""
    options = rng.integers(0, 2, (ROWS, 5))
    price, months = 20 + options @ [5, 10, 10, 25, 5], rng.geometric(0.06, ROWS).clip(1, 72)
    columns = {f"option{i}": options[:, i] for i in range(5)}
    more = {"sex": rng.integers(0, 2, ROWS), "pay": rng.integers(0, 4, ROWS)}
    return pl.DataFrame(
        {**columns, "price": price, "months": months, "total": price * months, **more}
    )


def nothing_known(rng: Rng) -> pl.DataFrame:
    """Of one in five all numbers are blank, so that very many are alike."""
    known = pl.Series(rng.random(ROWS) > 0.2)
    numbers = pl.DataFrame({f"x{i}": rng.gamma(2, 30, ROWS) for i in range(4)})
    blank = numbers.select(pl.when(known).then(pl.all()))
    return blank.with_columns(plan=pl.Series(rng.integers(0, 4, ROWS)))


TABLES = (few_values, classes, scales, continuous, price_list, nothing_known)


def with_copies(rows: pl.DataFrame, share: float, rng: Rng) -> pl.DataFrame:
    """A share of the rows once more; of 2 each of them twice more."""
    more = [rows] * int(share) or [rows[rng.choice(rows.height, int(share * rows.height), False)]]
    return pl.concat([rows, *more])


def sides(rows: pl.DataFrame, rng: Rng) -> np.ndarray:
    return rng.random(rows.height) < 0.6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("table", TABLES)
def test_rows_that_are_alike_by_chance_are_no_copies(
    table: Callable[[Rng], pl.DataFrame], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = table(rng)

    found = repeats(rows, sides(rows, rng))

    assert not found.are_copies
    if found.on_both_sides > 50:
        assert found.by_chance == pytest.approx(found.on_both_sides, rel=0.3)


@pytest.mark.parametrize("table", [few_values, classes, continuous, price_list, nothing_known])
def test_customers_who_are_there_three_times_are_copies(
    table: Callable[[Rng], pl.DataFrame],
) -> None:
    rng = np.random.default_rng(0)
    rows = with_copies(table(rng), 2, rng)

    assert repeats(rows, sides(rows, rng)).are_copies


@pytest.mark.parametrize(("table", "share"), [(few_values, 0.1), (continuous, 0.01)])
def test_some_copies_are_found_where_chance_gives_fewer(
    table: Callable[[Rng], pl.DataFrame], share: float
) -> None:
    rng = np.random.default_rng(0)
    rows = with_copies(table(rng), share, rng)

    found = repeats(rows, sides(rows, rng))

    assert found.are_copies
    assert found.copies >= share * ROWS
    assert found.rows == rows.height


def test_one_column_alone_is_never_a_copy_of_another() -> None:
    rng = np.random.default_rng(0)
    rows = pl.DataFrame({"age": rng.integers(0, 100, ROWS)})

    assert not repeats(rows, sides(rows, rng)).are_copies


# Real tables


def real(case: UseCase, file: str) -> tuple[pl.DataFrame, list[list[str]]]:
    """Features of a real file, and the inputs that change together."""
    records = pl.read_csv(file, infer_schema=False).rename(delta_name)
    silver = case.clean(validate(nw.from_native(records.lazy()), case.contract, ENGINE).valid)
    parts = parts_of(case, silver, ENGINE)
    if case.labels:
        silver = silver.with_columns(nw.lit(case.label.positive).alias(case.label.column))
    return feature_rows(case, silver, ENGINE).frame.to_native().collect(), parts


@pytest.mark.skipif(not TELCO.exists(), reason="without the real file")
def test_real_customers_who_are_alike_are_so_by_chance_and_their_copies_are_not() -> None:
    rows, parts = real(USE_CASE, str(TELCO))
    rng = np.random.default_rng(0)
    inputs, trained = rows.select(USE_CASE.inputs), (rows["split"] == "train").to_numpy()

    by_chance = repeats(inputs, trained, lambda: parts)
    more = with_copies(inputs, 0.1, rng)

    assert (by_chance.copies, by_chance.are_copies) == (40, False)
    assert repeats(more, sides(more, rng), lambda: parts).are_copies


@pytest.mark.skipif(not BOOKINGS.exists(), reason="without the real file")
def test_bookings_of_a_party_are_copies_unless_time_keeps_them_on_one_side() -> None:
    case = USE_CASES["booking_cancellation"]
    rows, parts = real(case, str(BOOKINGS))
    inputs, trained = rows.select(case.inputs), (rows["split"] == "train").to_numpy()

    by_time = repeats(inputs, trained, lambda: parts)
    by_hash = repeats(inputs, sides(inputs, np.random.default_rng(0)), lambda: parts)

    assert by_time.copies > 10_000
    assert not by_time.are_copies
    assert by_hash.are_copies


# What changes together


def test_inputs_are_followed_back_to_the_column_that_they_come_from() -> None:
    silver = pl.DataFrame({"customer_id": [str(i) for i in range(9)], "a": range(9), "b": [1] * 9})
    case = replace(
        USE_CASE,
        features=lambda frame: frame.with_columns(
            (nw.col("a") * 2).alias("twice"), (nw.col("b") + nw.col("a")).alias("both")
        ),
        numeric=("a", "twice", "both"),
        categorical=(),
        slices=(),
        business=None,
    )

    assert parts_of(case, nw.from_native(silver.lazy()), ENGINE) == [["a", "twice", "both"]]


# Who is not judged on


FEW = replace(USE_CASE, numeric=("x",), categorical=("kind",), slices=(), business=None)
HELD_OUT = pl.DataFrame(
    [
        ("train", 1.0, "a", "h1"),
        ("train", None, None, "h2"),
        ("train", None, "b", None),
        ("validation", 1.0, "a", "h3"),
        ("validation", 2.0, "c", "h4"),
        ("test", 1.0, "a", "h5"),
        ("test", 2.0, "c", "h6"),
        ("test", None, None, "h2"),
        ("test", 3.0, "a", "h3"),
        ("test", 4.0, "d", None),
    ],
    schema=["split", "x", "kind", "household"],
    orient="row",
)


def frame() -> nw.LazyFrame[pl.LazyFrame]:
    return nw.from_native(HELD_OUT.lazy())


def test_a_test_row_whose_copy_is_trained_on_is_left_out_blanks_being_alike() -> None:
    kept = untied(frame(), FEW, {"copies": {"beyond_chance": True}}).to_native().collect()

    assert kept.filter(pl.col("split") == "test")["x"].to_list() == [3.0, 4.0]
    assert kept.filter(pl.col("split") != "test").height == 5
    ties = ties_of(FEW, copies=True)
    assert tied_rows(frame(), FEW, ties, ENGINE) == {"validation": 1, "test": 3}


def test_rows_that_chance_makes_alike_are_judged_on() -> None:
    kept = untied(frame(), FEW, {"copies": {"beyond_chance": False}}).to_native().collect()

    assert kept.height == HELD_OUT.height


def test_by_time_a_test_row_of_a_trained_group_is_left_out_and_one_of_no_group_is_not() -> None:
    case = replace(FEW, group=("household",), split_by="day")

    kept = untied(frame(), case, {}).to_native().collect()

    assert kept.filter(pl.col("split") == "test")["household"].to_list() == ["h5", "h6", None]

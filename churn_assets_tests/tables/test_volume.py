"""How much of what a table holds comes again, and what is unusual of that."""

from __future__ import annotations

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.volume import FEW, Volume, VolumeSettings, compare, unusual

LIMITS = VolumeSettings()
STEADY = [7000, 7040, 7010, 7030, 7020]
BOUNDS = [
    (Volume(3500, 7000, 7000, 3500), set()),
    (Volume(3499, 7000, 7000, 3499), {"rows"}),
    (Volume(7000, 7000, 7000, 3499), {"keys"}),
    (Volume(7000, 7000, 7000, 7000, {"fee": (0.49, 1.0)}), {"values"}),
    (Volume(7000, 7000, 7000, 7000, {"fee": (0.1, 0.2)}), set()),
    (Volume(9000, 7000, 7000, 7000, {"fee": (1.0, 0.1)}), set()),
]
"""What comes, and which limits it breaks."""


def records(rows: int, *, prefix: str = "c", fee: str | None = "9.5") -> nw.LazyFrame:
    """Records of as many customers."""
    frame = pl.LazyFrame(
        {"id": [f"{prefix}{i}" for i in range(rows)], "fee": [fee] * rows},
        schema={"id": pl.String, "fee": pl.String},
    )
    return nw.from_native(frame)


def compared(now: nw.LazyFrame, before: nw.LazyFrame) -> Volume:
    return compare(now, before, PolarsEngine(), keys=["id"], blank={"fee": ("NA",)})


@pytest.mark.parametrize(("volume", "broken"), BOUNDS)
def test_below_half_of_records_customers_or_values_is_too_little(
    volume: Volume, broken: set[str]
) -> None:
    assert set(volume.losses(LIMITS)) == broken
    assert volume.losses(VolumeSettings(rows=0, keys=0, values=0)) == {}


def test_a_cut_file_is_told_by_its_records() -> None:
    volume = compared(records(300), records(7043))

    assert volume.losses(LIMITS) == {"rows": "300 records came, 4.3 % of the 7,043 before"}


@pytest.mark.parametrize("nothing", ["", " \t", "NA", None])
def test_a_column_that_lost_its_values_is_told_whatever_is_written_for_nothing(
    nothing: str | None,
) -> None:
    volume = compared(records(100, fee=nothing), records(100))

    assert volume.losses(LIMITS) == {
        "values": "there is a value of 'fee' in 0 % of the records, and in 100 % before"
    }


def test_keys_that_are_written_otherwise_are_told() -> None:
    volume = compared(records(100, prefix="C-"), records(100))

    assert volume.losses(LIMITS) == {"keys": "0 of the 100 customers before came, 0 %"}


def test_a_key_is_the_same_as_a_number_and_as_text_with_blanks() -> None:
    text = nw.from_native(pl.LazyFrame({"id": [" 1", "2 ", "3"]}))
    number = nw.from_native(pl.LazyFrame({"id": [1, 2, 4]}))

    volume = compare(number, text, PolarsEngine(), keys=["id"], blank={})

    assert (volume.keys_before, volume.keys_kept) == (3, 2)


def test_a_column_with_few_values_is_not_judged_by_chance() -> None:
    few, enough = records(FEW - 1), records(FEW)

    assert compared(records(FEW - 1, fee=""), few).losses(LIMITS) == {}
    assert set(compared(records(FEW, fee=""), enough).losses(LIMITS)) == {"values"}


def test_a_table_that_keeps_history_is_compared_by_its_customers() -> None:
    history = nw.concat([records(100, fee=fee) for fee in ("1", "2", "3")])

    volume = compared(records(100), history)

    assert (volume.rows_before, volume.losses(LIMITS)) == (100, {})


@pytest.mark.parametrize(
    ("rows", "odd"), [(7020, False), (6700, False), (6600, True), (7500, True), (4000, True)]
)
def test_a_number_of_records_that_never_changed_so_much_is_unusual(rows: int, odd: bool) -> None:
    volume = Volume(rows, STEADY[-1], STEADY[-1], min(rows, STEADY[-1]))

    assert ("rows" in unusual(volume, VolumeSettings(keys=0), STEADY)) == odd


def test_what_changes_a_lot_as_a_rule_is_not_unusual_again() -> None:
    unsteady = [5000, 8000, 4500, 9000]

    assert unusual(Volume(5000, 9000, 9000, 9000), LIMITS, unsteady) == {}
    assert set(unusual(Volume(5000, 9000, 9000, 9000), LIMITS, unsteady[-1:])) == {"rows"}


def test_what_has_no_limit_is_never_unusual() -> None:
    volume = Volume(7020, 7020, 7020, 0)

    assert unusual(volume, VolumeSettings(keys=0), STEADY) == {}
    assert set(unusual(volume, LIMITS, STEADY)) == {"keys"}

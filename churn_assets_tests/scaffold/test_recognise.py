"""What a user relies on whose values are texts that mean numbers, dates or nothing."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.scaffold.number_styles import NumberStyle
from churn_assets.scaffold.recognise import ColumnType, recognise
from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Column, Contract, Date, DType, Float64, Int64, String


def of(values: list[Any], *, always_text: bool = False) -> ColumnType:
    return recognise(pl.DataFrame({"x": values}), ["x"] if always_text else [])["x"]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", " 2 ", "+3", "4.0", ""], Int64),
        (["1", "2.5", "1e3", None], Float64),
        (["a", "b", "1"], String),
        (["007", "12"], String),
        (["12345678901234567890", "2"], String),
        (["", " ", None], String),
        ([1, 2, None], Int64),
        ([1.0, 2.0, None], Int64),
        ([1.5, 2.0], Float64),
        ([True, False], Int64),
        ([date(2024, 1, 1)], Date),
        ([datetime(2024, 1, 1, 12)], Date),
        ([[1], [2]], None),
        ([b"x"], None),
    ],
)
def test_the_type_is_what_the_contract_reads_all_values_as(
    values: list[Any], dtype: DType | None
) -> None:
    column = of(values)

    assert column.dtype is dtype
    assert column.unreadable == 0


def test_a_key_is_text_whatever_it_holds() -> None:
    assert of([1, 2], always_text=True).dtype is String


def test_what_people_write_for_a_blank_is_none_of_the_numbers() -> None:
    column = of(["1", "NA", "2", "n/a", "?", "NA"])

    assert column.dtype is Int64
    assert column.blanks == ("?", "NA", "n/a")


def test_a_word_for_a_blank_is_a_value_like_any_other_among_texts() -> None:
    assert of(["red", "None", "blue"]) == ColumnType(String)


def test_a_few_values_that_are_not_numbers_are_counted_and_many_make_a_text() -> None:
    few = of([*map(str, range(299)), "unlimited"])
    many = of([*map(str, range(90)), *["unlimited"] * 10])

    assert (few.dtype, few.unreadable, few.example) == (Int64, 1, "unlimited")
    assert (many.dtype, many.unreadable, many.example) == (String, 10, "unlimited")


def test_columns_that_cannot_be_read_here_and_there_do_not_reject_too_many_together() -> None:
    rows = 1000
    columns = {
        f"c{i}": ["none of it" if j == i else str(j) for j in range(rows)] for i in range(20)
    }

    types = recognise(pl.DataFrame(columns), [])

    assert sum(kind.unreadable for kind in types.values() if kind.dtype is Int64) <= rows / 100
    assert {kind.dtype for kind in types.values()} == {Int64, String}


def test_numbers_that_are_written_for_people_are_shown_without_a_value() -> None:
    assert of(["$1,234.50", "$9,876.50", "$7,000.25"]) == ColumnType(String, example="$9,999.99")
    assert of(["(50 %)", "75 %", "20 %"]) == ColumnType(String, example="99 %")


@pytest.mark.parametrize(
    ("texts", "dtype", "style"),
    [
        (["1.234,50", "9,5"], Float64, NumberStyle(",", ".")),
        (["1,234.50", "9.5"], Float64, NumberStyle(".", ",")),
        (["9,5", "12,25", "-3"], Float64, NumberStyle(",")),
        (["1.234.567", "9.542"], Int64, NumberStyle(",", ".")),
        (["1,234,567", "9,542"], Int64, NumberStyle(".", ",")),
        (["9.542", "12.400", "987"], Int64, NumberStyle(",", ".")),
        (["9,542", "12,400", "987"], Int64, NumberStyle(".", ",")),
        (["9.542", "0.500", "987"], Float64, NumberStyle()),
        (["9.542", "1234.567"], Float64, NumberStyle()),
        (["9 542", "12 400", "987"], Int64, NumberStyle(".", " ")),
        (["9\u202f542,5", "12\u00a0400"], Float64, NumberStyle(",", " ")),
        (["9'542.50", "12\u2019400"], Float64, NumberStyle(".", "'")),
        (["9_542", "12_400"], Int64, NumberStyle(".", "_")),
        (["123.50-", "7.25"], Float64, NumberStyle(minus=("behind",))),
        (["(1,234.50)", "7.25"], Float64, NumberStyle(".", ",", ("brackets",))),
        (["\u2212123.50", "7.25", "-1.5"], Float64, NumberStyle(minus=("dash",))),
        (["9.542,00-", "7,25"], Float64, NumberStyle(",", ".", ("behind",))),
        (["1e-05", "1E+05", "2.5e3"], Float64, NumberStyle()),
    ],
)
def test_numbers_are_read_as_they_are_written(
    texts: list[str], dtype: DType, style: NumberStyle
) -> None:
    column = of(texts)

    assert (column.dtype, column.style, column.unsettled) == (dtype, style, "")
    frame = nw.from_native(pl.DataFrame({"x": texts}).lazy())
    contract = Contract(style.column("x", dtype))
    assert validate(frame, contract, PolarsEngine()).rejected == 0


THREE_DIGITS = ["9.542", "12.411", "3.999"]


@pytest.mark.parametrize(
    ("others", "texts", "dtype", "thousands", "unsettled"),
    [
        ([], THREE_DIGITS, String, "", "."),
        ([], [*THREE_DIGITS, "987"], String, "", "."),
        ([], [*THREE_DIGITS, "1987"], String, "", "."),
        (["9,50", "1"], THREE_DIGITS, Int64, ".", ""),
        (["9,50", "1"], [*THREE_DIGITS, "987"], Int64, ".", ""),
        (["1.234.567", "1"], THREE_DIGITS, Int64, ".", ""),
        (["9.50", "1"], THREE_DIGITS, Float64, "", ""),
        (["1,234,567", "1"], THREE_DIGITS, Float64, "", ""),
        # Never 9.542: what is below 1,000 has no point.
        (["9.50", "1"], [*THREE_DIGITS, "987"], String, "", "."),
        (["9.50", "1"], [*THREE_DIGITS, "12.400", "987"], String, "", "."),
        (["9.50", "1,5"], THREE_DIGITS, String, "", "."),
        (["9.50", "1"], ["9,542", "12,411"], Int64, ",", ""),
        ([], ["9,542", "12,411"], String, "", ","),
        (["9,50", "1"], ["9,542", "12,411"], Float64, "", ""),
    ],
)
def test_a_mark_before_three_digits_is_settled_by_the_file_or_asked_about(
    others: list[str], texts: list[str], dtype: DType, thousands: str, unsettled: str
) -> None:
    rows = max(len(others), len(texts))
    columns = {"x": texts, "other": others}
    frame = pl.DataFrame({n: [*v, *[None] * (rows - len(v))] for n, v in columns.items()})

    column = recognise(frame.cast(pl.String), [])["x"]

    assert (column.dtype, column.style.thousands, column.unsettled) == (dtype, thousands, unsettled)


@pytest.mark.parametrize(
    ("texts", "example"),
    [
        (["1E1", "2E3", "5E0"], "1E1"),
        (["12", "2E3"], "2E3"),
        (["01067", "10115"], "01067"),
        (["+49151234567", "+49151234568"], "+99999999999"),
        ([f"{600 + i} 123 456" for i in range(30)], "999 999 999"),
    ],
)
def test_digits_that_are_codes_are_text(texts: list[str], example: str) -> None:
    column = of(texts)

    assert (column.dtype, column.digits, column.example) == (String, True, example)


@pytest.mark.parametrize(
    ("texts", "formats", "others"),
    [
        (["2024-01-31", "2024-2-1"], ("%Y-%m-%d",), ()),
        (["1/31/2024", "2/1/2024"], ("%m/%d/%Y",), ()),
        (["31/1/2024", "1/2/2024"], ("%d/%m/%Y",), ()),
        (["1/2/2024", "3/4/2024"], ("%m/%d/%Y",), ("%d/%m/%Y",)),
        (["31.01.2024", None], ("%d.%m.%Y",), ()),
        (["2024-01-31 10:00:00", "2024-02-01 11:00:00"], ("%Y-%m-%d %H:%M:%S",), ()),
        (["2024-01-31T10:00:00"], ("%Y-%m-%dT%H:%M:%S",), ()),
        (["1/31/2024", "2/28/2024", "2024-01-31"], ("%m/%d/%Y", "%Y-%m-%d"), ()),
        (["2024-01-31T10:00:00Z", "2024-02-01T10:00:00Z"], ("%Y-%m-%dT%H:%M:%S%z",), ()),
        (["2024-01-31T10:00:00.000+0000"], ("%Y-%m-%dT%H:%M:%S%z",), ()),
        (["2024-01-31 10:00:00+00", "2024-02-01 10:00:00-05:30"], ("%Y-%m-%d %H:%M:%S%z",), ()),
        (["31.01.2024 10:00 +0100"], ("%d.%m.%Y %H:%M %z",), ()),
        (["1/31/2024 10:00:00 PM", "2/1/2024 1:30:00 am"], ("%m/%d/%Y %I:%M:%S %p",), ()),
        (["1/31/24", "2/1/24"], ("%m/%d/%y",), ()),
        (["31.01.24", "01.02.24"], ("%d.%m.%y",), ()),
        (["1/2/24", "3/4/24"], ("%m/%d/%y",), ("%d/%m/%y",)),
        (["31-Jan-2024", "1-FEB-2024"], ("%d-%b-%Y",), ()),
        (["31 January 2024", "1 February 2024"], ("%d %b %Y",), ()),
        (["Jan 31, 2024", "Feb. 1, 2024"], ("%b %d, %Y",), ()),
        (["31-Jan-24 10:00"], ("%d-%b-%y %H:%M",), ()),
    ],
)
def test_dates_are_recognised_in_the_formats_that_the_contract_reads(
    texts: list[str | None], formats: tuple[str, ...], others: tuple[str, ...]
) -> None:
    column = of([*texts, "NA"])

    assert (column.dtype, column.formats, column.other_formats) == (Date, formats, others)
    contract = Contract(
        Column("x", Date, nullable=True, formats=column.formats, blank=column.blanks)
    )
    frame = nw.from_native(pl.DataFrame({"x": [*texts, "NA"]}).lazy())
    assert validate(frame, contract, PolarsEngine()).rejected == 0


def test_a_day_that_there_never_was_is_counted() -> None:
    column = of([*[f"{1 + i % 12}/{1 + i % 28}/2018" for i in range(300)], "2018-2-29"])

    assert (column.dtype, column.unreadable, column.example) == (Date, 1, "2018-2-29")

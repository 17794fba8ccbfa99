"""What a user relies on whose numbers and dates are written for people, or by other programs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churn_assets.tables.contract import validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Column, Contract, Date, DType, Float64, Int64

BLANKS = (" ", "\u00a0", "\u2009", "\u202f")


def read(texts: list[str], dtype: DType, **written: Any) -> list[Any]:
    """What silver has of texts; of no value that a column may hold, None."""
    column = Column("x", dtype, nullable=True, **written)
    rows = pl.DataFrame({"x": texts, "row": range(len(texts))})
    contract = Contract(column, Column("row", Int64))
    valid = validate(nw.from_native(rows.lazy()), contract, PolarsEngine()).valid
    by_row = {row: value for value, row in valid.to_native().collect().rows()}
    return [by_row.get(row) for row in range(len(texts))]


@st.composite
def written_numbers(draw: st.DrawFn) -> tuple[list[int], int, dict[str, Any], list[str]]:
    """Numbers as whole ones and how many of their digits are decimals, and as they are written."""
    decimal = draw(st.sampled_from(".,"))
    sign = draw(st.sampled_from([s for s in ("", ".", ",", " ", "'", "_") if s != decimal]))
    minus = draw(st.sampled_from(["-", "behind", "brackets", "dash"]))
    places = draw(st.sampled_from([0, 2]))
    numbers = draw(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20))
    mark = {" ": draw(st.sampled_from(BLANKS)), "'": draw(st.sampled_from("'\u2019"))}.get(
        sign, sign
    )
    texts = []
    for number in numbers:
        whole, rest = divmod(abs(number), 10**places)
        text = f"{whole:,}".replace(",", mark) + (f"{decimal}{rest:0{places}}" if places else "")
        if number < 0:
            forms = {"-": f"-{text}", "behind": f"{text}-", "brackets": f"({text})"}
            text = forms.get(minus, f"\u2212{text}")
        texts.append(text)
    style = {"decimal": decimal, "thousands": sign, "minus": () if minus == "-" else (minus,)}
    return numbers, places, style, texts


@given(written_numbers())
@settings(max_examples=40, deadline=None)
def test_a_number_is_read_back_in_whatever_style_it_was_written(
    case: tuple[list[int], int, dict[str, Any], list[str]],
) -> None:
    numbers, places, style, texts = case

    assert read(texts, Float64, **style) == [number / 10**places for number in numbers]
    if not places:
        assert read(texts, Int64, **style) == numbers


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("9.54", {"decimal": ",", "thousands": "."}),
        ("0.123", {"decimal": ",", "thousands": "."}),
        ("9.5", {"decimal": ","}),
        ("1,23", {"thousands": ","}),
        ("1,2345", {"thousands": ","}),
        ("1 23", {"thousands": " "}),
        ("--5", {"minus": ("dash",)}),
        ("-5-", {"minus": ("behind",)}),
        ("(-5)", {"minus": ("brackets",)}),
        ("5-", {}),
        ("(5)", {}),
        ("\u22125", {}),
        ("9,542", {}),
    ],
)
def test_what_is_not_written_as_the_column_says_is_a_reject_and_never_another_number(
    text: str, style: dict[str, Any]
) -> None:
    assert read([text], Float64, **style) == [None]
    assert read([text], Int64, **style) == [None]


ZONED = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S%z", "%d.%m.%Y %H:%M %z")


@pytest.mark.parametrize(
    ("text", "formats", "day"),
    [
        ("2021-03-27T23:30:00Z", ZONED, (2021, 3, 27)),
        ("2021-03-28T00:30:00+02:00", ZONED, (2021, 3, 28)),
        ("2021-03-27T23:30:00.000+0000", ZONED, (2021, 3, 27)),
        ("2021-03-27 23:30:00.123456+00", ZONED, (2021, 3, 27)),
        ("27.03.2021 23:30 -0500", ZONED, (2021, 3, 27)),
        ("03/27/2021 11:30:00 PM", ("%m/%d/%Y %I:%M:%S %p",), (2021, 3, 27)),
        ("3/27/21", ("%m/%d/%y",), (2021, 3, 27)),
        ("27.03.69", ("%d.%m.%y",), (1969, 3, 27)),
        ("27.03.68", ("%d.%m.%y",), (2068, 3, 27)),
        ("27-Mar-2021", ("%d-%b-%Y",), (2021, 3, 27)),
        ("27-MAR-21", ("%d-%b-%y",), (2021, 3, 27)),
        ("March 27, 2021", ("%b %d, %Y",), (2021, 3, 27)),
        ("30-Feb-2021", ("%d-%b-%Y",), None),
        ("27-Mai-2021", ("%d-%b-%Y",), None),
        ("2021-03-27T23:30:00CET", ZONED, None),
        ("13/27/21", ("%m/%d/%y",), None),
    ],
)
def test_a_time_is_of_the_day_that_is_written(
    text: str, formats: tuple[str, ...], day: tuple[int, int, int] | None
) -> None:
    assert read([text], Date, formats=formats) == [date(*day) if day else None]


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2067, 1, 1)),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["%Y-%m-%dT%H:%M:%S%z", "%m/%d/%y %I:%M:%S %p %z", "%d-%b-%Y %H:%M:%S.%f%z"]),
)
@settings(max_examples=40, deadline=None)
def test_a_time_with_a_zone_is_of_the_day_in_the_zone_that_is_named(
    moment: datetime, offset: int, written: str
) -> None:
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset)))
    text, format_ = there.strftime(written), written.replace(".%f", "")

    assert read([text], Date, formats=(format_,)) == [there.date()]
    # No summer time, so that the day needs no table of zones here.
    in_tokyo = there.astimezone(timezone(timedelta(hours=9))).date()
    assert read([text], Date, formats=(format_,), zone="Asia/Tokyo") == [in_tokyo]


def test_typed_times_with_a_zone_are_of_the_day_in_the_zone_that_is_named() -> None:
    times = [datetime(2021, 7, 1, 22, 30, tzinfo=UTC), datetime(2021, 12, 31, 23, 30, tzinfo=UTC)]
    frame = nw.from_native(pl.DataFrame({"x": times}).lazy())

    days = [
        validate(frame, Contract(Column("x", Date, zone=zone)), PolarsEngine())
        .valid.to_native().collect()["x"].to_list()
        for zone in ("", "Europe/Berlin")
    ]  # fmt: skip

    assert days[0] == [date(2021, 7, 1), date(2021, 12, 31)]
    assert days[1] == [date(2021, 7, 2), date(2022, 1, 1)]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"decimal": ";"}, "decimal= is one of"),
        ({"thousands": "."}, "are both '.'"),
        ({"minus": ("front",)}, "is not among"),
        ({"zone": "Berlin"}, "'Berlin' is not a time zone such as Europe/Berlin"),
        ({"formats": ("%H:%M",)}, "'%H:%M' says no year, month or day"),
    ],
)
def test_a_way_of_writing_that_there_is_not_is_refused_where_it_is_declared(
    arguments: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        Column("x", Float64, **arguments)

"""What a user relies on where records are validated by a contract."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest

from churn_assets.errors import ContractError
from churn_assets.tables.contract import (
    REASONS,
    Validated,
    require_table,
    require_types,
    validate,
)
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.usecases.spec import Column, Contract, Date, DType, Float64, Int64, String

ENGINE = PolarsEngine()
INFINITY = math.inf


def validated(contract: Contract | Column, **columns: Any) -> Validated:
    """Judge a frame of these columns."""
    contract = contract if isinstance(contract, Contract) else Contract(contract)
    return validate(nw.from_native(pl.DataFrame(columns).lazy()), contract, ENGINE)


def values(result: Validated, column: str = "n") -> list[Any]:
    """What the valid records hold, in no order."""
    return sorted(ENGINE.collect(result.valid)[column].to_pylist(), key=str)


def reason(column: Column, value: Any) -> str:
    """Why a record of one value is rejected; empty where it is valid."""
    return "".join(ENGINE.collect(validated(column, n=[value]).rejects)[REASONS].to_pylist())


# Text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("+5", 5),
        ("-5", -5),
        ("5.0", 5),
        ("5.000", 5),
        ("-0", 0),
        ("007", 7),
        (" 5\t", 5),
        ("\u00a05\u202f", 5),
        ("\ufeff5", 5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_a_whole_number_is_read_however_it_is_written(text: str, value: int) -> None:
    assert values(validated(Column("n", Int64), n=[text])) == [value]


@pytest.mark.parametrize(
    "text",
    ["many", "5.5", "1e5", "1,000", "1 000", "1_000", "5.", ".0", "+", "--5", "0x10", "٣", "NaN",
     "inf", "true", "9223372036854775808", "9" * 400],
)  # fmt: skip
def test_what_is_no_whole_number_is_rejected_and_not_rounded(text: str) -> None:
    assert reason(Column("n", Int64), text) == "n: is not a whole number"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("29.85", 29.85),
        ("+29.85", 29.85),
        (".5", 0.5),
        ("5.", 5.0),
        ("5", 5.0),
        ("1e5", 1e5),
        ("1.5E-3", 0.0015),
        ("-0", 0.0),
        (" 29.85\r", 29.85),
        ("0.1", 0.1),
        ("1e-400", 0.0),
    ],
)
def test_a_number_is_read_however_it_is_written(text: str, value: float) -> None:
    assert values(validated(Column("n", Float64), n=[text])) == [value]


@pytest.mark.parametrize(
    "text",
    ["many", "NaN", "nan", "inf", "-inf", "Infinity", "1e400", "1,5", "1.000,5", "1_000", "$5",
     "5 USD", "5%", "1e", ".", "+", "٣.1", "0x10"],
)  # fmt: skip
def test_what_is_no_finite_number_is_rejected(text: str) -> None:
    assert reason(Column("n", Float64), text) == "n: is not a finite number"


@pytest.mark.parametrize("blank", ["", " ", "\t \r\n", "\u00a0", "\u2007\u202f", "\ufeff", None])
@pytest.mark.parametrize("dtype", [String, Int64, Float64])
def test_blank_is_null_where_the_contract_lets_it_and_else_a_reject(
    dtype: DType, blank: str | None
) -> None:
    contract = Contract(Column("key", String), Column("n", dtype, nullable=True))
    texts = pl.Series([blank], dtype=pl.String)

    assert values(validated(contract, key=["a"], n=texts)) == [None]
    rejected = validated(Column("n", dtype), n=texts)
    assert ENGINE.collect(rejected.rejects)[REASONS].to_pylist() == ["n: is blank"]


@pytest.mark.parametrize(("dtype", "value"), [(String, "5"), (Int64, 5), (Float64, 5.0)])
def test_what_a_column_writes_for_a_blank_is_null_in_it(dtype: DType, value: object) -> None:
    contract = Contract(
        Column("n", dtype, nullable=True, blank=("NA", "?")), Column("other", String)
    )

    result = validated(contract, n=["NA", " ? ", "", "5"], other=["NA", "?", "a", "b"])

    assert sorted(values(result), key=str) == sorted([None, None, None, value], key=str)
    assert values(result, "other") == ["?", "NA", "a", "b"]
    assert reason(Column("n", dtype, blank=("NA",)), "NA") == "n: is blank"


def test_text_is_stripped_at_its_ends_only() -> None:
    result = validated(Column("n", String), n=["\u00a0 a  b\n"])

    assert values(result) == ["a  b"]


# Rules


@pytest.mark.parametrize(
    ("rule", "valid", "broken", "says"),
    [
        ({"ge": 0}, "0", "-1", "n: is below 0"),
        ({"le": 72}, "72", "73", "n: is above 72"),
        ({"ge": 1.5}, "2", "1", "n: is below 1.5"),
        ({"isin": (0, 1)}, "1", "2", "n: is not one of 0, 1"),
    ],
)
def test_a_rule_holds_at_its_bound_and_breaks_beyond_it(
    rule: dict[str, Any], valid: str, broken: str, says: str
) -> None:
    column = Column("n", Int64, **rule)

    assert reason(column, valid) == ""
    assert reason(column, broken) == says


def test_allowed_values_are_told_in_full_and_matched_by_case() -> None:
    column = Column("n", String, isin=("Yes", "No"))

    assert reason(column, "Yes ") == ""
    assert reason(column, "yes") == "n: is not one of Yes, No"
    assert reason(column, "Maybe") == "n: is not one of Yes, No"


def test_a_rule_says_nothing_of_a_blank_that_may_be() -> None:
    column = Column("n", Int64, nullable=True, ge=0, le=5, isin=(1, 2))

    assert reason(column, "") == ""


BILL = Contract(
    Column("key", String, source="customer ID", unique=True),
    Column("months", Int64, source="tenure", ge=0),
    Column("plan", String, isin=("basic", "plus")),
    Column("bill", Float64, nullable=True),
)
RECORDS = {
    "customer_ID": ["a", "b", "", "d"],
    "tenure": ["1", "many", "-2", "4"],
    "plan": ["basic", "gold", "plus", " plus "],
    "bill": ["1.5", "NaN", "", ""],
    "source_uri": ["f.csv"] * 4,
}


def test_a_record_that_breaks_many_rules_tells_all_of_them_under_the_names_of_the_source() -> None:
    result = validated(BILL, **RECORDS)

    assert ENGINE.collect(result.rejects)[REASONS].to_pylist() == [
        "tenure: is not a whole number; plan: is not one of basic, plus; "
        "bill: is not a finite number",
        "customer ID: is blank; tenure: is below 0",
    ]
    assert result.broken == {
        "customer ID: is blank": 1,
        "tenure: is not a whole number": 1,
        "tenure: is below 0": 1,
        "plan: is not one of basic, plus": 1,
        "bill: is not a finite number": 1,
    }


def test_a_reject_is_kept_as_it_came_with_every_column_of_its_record() -> None:
    result = validated(BILL, **RECORDS)

    rejects = ENGINE.collect(result.rejects.drop(REASONS)).to_pylist()
    assert rejects == [{name: column[i] for name, column in RECORDS.items()} for i in (1, 2)]


def test_valid_records_are_typed_and_bear_the_contract_s_names() -> None:
    result = validated(BILL, **RECORDS)

    valid = ENGINE.collect(result.valid)
    assert [str(field.type) for field in valid.schema] == [
        "large_string", "int64", "large_string", "double",
    ]  # fmt: skip
    assert valid.to_pylist() == [
        {"key": "a", "months": 1, "plan": "basic", "bill": 1.5},
        {"key": "d", "months": 4, "plan": "plus", "bill": None},
    ]
    assert (result.rows, result.rejected) == (4, 2)


# Typed sources


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (Int64, 5, 5),
        (Int64, True, 1),
        (Int64, 5.0, 5),
        (Int64, Decimal("5.00"), 5),
        (Int64, -(2.0**62), -(2**62)),
        (Float64, 5, 5.0),
        (Float64, 29.85, 29.85),
        (Float64, Decimal("29.85"), 29.85),
        (Int64, Decimal(2**53 + 1), 2**53 + 1),
        (String, 5, "5"),
        (String, 12345678.0, "12345678"),
        (String, -0.0, "0"),
        (String, -(2.0**53), "-9007199254740992"),
        (String, Decimal("5.00"), "5"),
        (String, Decimal(10**20), "1" + "0" * 20),
        (String, True, "true"),
        (String, datetime.datetime(2026, 1, 31, 1, 2, 3, 456789), "2026-01-31 01:02:03"),
        (String, datetime.date(2026, 1, 31), "2026-01-31"),
    ],
    ids=str,
)
def test_a_typed_value_is_read_as_the_contract_s_type(
    dtype: DType, value: Any, expected: Any
) -> None:
    assert values(validated(Column("n", dtype), n=[value])) == [expected]


@pytest.mark.parametrize(
    ("dtype", "value", "says"),
    [
        (Int64, 5.5, "n: is not a whole number"),
        (Int64, Decimal("5.50"), "n: is not a whole number"),
        (Int64, math.nan, "n: is not a whole number"),
        (Int64, INFINITY, "n: is not a whole number"),
        (Int64, 1e300, "n: is not a whole number"),
        (Int64, 2.0**63, "n: is not a whole number"),
        (Int64, Decimal("9007199254740991.5"), "n: is not a whole number"),
        (String, 5.5, "n: is neither text nor an exact whole number"),
        (String, math.nan, "n: is neither text nor an exact whole number"),
        (String, INFINITY, "n: is neither text nor an exact whole number"),
        (String, 2.0**53 + 2, "n: is neither text nor an exact whole number"),
        (String, Decimal("5.50"), "n: is neither text nor an exact whole number"),
        (Float64, math.nan, "n: is not a finite number"),
        (Float64, -INFINITY, "n: is not a finite number"),
    ],
    ids=str,
)
def test_a_typed_value_that_is_no_such_number_rejects_its_record_and_not_the_run(
    dtype: DType, value: Any, says: str
) -> None:
    result = validated(Column("n", dtype), n=[value, type(value)(1), None])

    assert ENGINE.collect(result.rejects)[REASONS].to_pylist() == [says, "n: is blank"]
    assert values(result) == ["1" if dtype is String else 1]


def test_flags_are_no_yes_and_no() -> None:
    assert reason(Column("n", String, isin=("Yes", "No")), True) == "n: is not one of Yes, No"


@pytest.mark.parametrize(
    ("dtype", "value", "type_name"),
    [
        (Int64, datetime.date(2026, 1, 31), "Date"),
        (Float64, datetime.datetime(2026, 1, 31), "Datetime"),
        (String, b"abc", "Binary"),
        (String, ["a"], "List"),
        (Int64, {"a": 1}, "Struct"),
    ],
    ids=str,
)
def test_a_type_that_cannot_be_read_is_refused_by_file_and_column(
    dtype: DType, value: Any, type_name: str
) -> None:
    frame = nw.from_native(pl.DataFrame({"home_town": [value]}).lazy())
    contract = Contract(Column("town", dtype, source="home town"))

    with pytest.raises(ContractError) as refusal:
        require_types(frame, contract, "f.parquet")

    assert str(refusal.value).startswith(f"f.parquet: column 'home town' is of type {type_name}")
    assert f"the contract wants {dtype.value}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


# The records as a whole


def test_records_that_repeat_a_key_are_counted_once_each_and_rejects_do_not_count() -> None:
    contract = Contract(Column("key", String, unique=True), Column("n", Int64))

    result = validated(
        contract,
        key=["a", " a", "a\u00a0", "b", "c", "c", "d", "d", "e", "f", "g", ""],
        n=["1", "1", "1", "1", "1", "1", "1", "many", "many", "many", "many", "1"],
    )

    assert result.repeated == {("key",): 3}


@pytest.mark.parametrize("keys", [["a", "b"], ["a", "b", ""], ["", None], []])
def test_records_of_distinct_keys_repeat_nothing(keys: list[str | None]) -> None:
    column = Column("n", String, unique=True)

    assert validated(column, n=pl.Series(keys, dtype=pl.String)).repeated == {}


def test_a_repeated_key_is_refused_by_file_column_and_example() -> None:
    contract = Contract(Column("n", String, source="n", unique=True))
    result = validated(contract, n=["b", "a", "b", "b", "c", "a"])

    with pytest.raises(ContractError) as refusal:
        require_table(result, contract, ENGINE, "f.csv")

    assert str(refusal.value).startswith(
        "f.csv: column 'n' must be unique, and 3 records repeat a value (such as 'b', 'a')."
    )


def test_fewer_records_than_the_contract_wants_are_refused() -> None:
    contract = Contract(Column("n", String), min_rows=3)
    result = validated(contract, n=["a", "b"])

    with pytest.raises(ContractError, match="2 records, and the contract wants at least 3"):
        require_table(result, contract, ENGINE, "f.csv")

    require_table(validated(contract, n=["a", "b", "c"]), contract, ENGINE, "f.csv")


# Dates


AMERICAN_OR_ISO = Column("n", Date, formats=("%m/%d/%Y", "%Y-%m-%d"))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("10/2/2015", (2015, 10, 2)),
        ("1/31/2018", (2018, 1, 31)),
        ("01/05/2018", (2018, 1, 5)),
        ("2018-2-9", (2018, 2, 9)),
        (" 2018-12-31\u00a0", (2018, 12, 31)),
        ("2/29/2016", (2016, 2, 29)),
    ],
)
def test_a_date_is_read_in_each_of_its_formats(text: str, day: tuple[int, int, int]) -> None:
    assert values(validated(AMERICAN_OR_ISO, n=[text])) == [datetime.date(*day)]


@pytest.mark.parametrize(
    "text",
    ["2018-2-29", "2/30/2018", "31/1/2018", "13/1/2018", "1/1/18", "2018-00-10", "x", "1/1/2018x"],
)
def test_a_day_that_there_is_not_is_rejected_with_the_formats(text: str) -> None:
    assert reason(AMERICAN_OR_ISO, text) == "n: is not a day written as %m/%d/%Y or %Y-%m-%d"


def test_the_time_of_a_day_may_follow_and_is_left_out() -> None:
    column = Column("n", Date, formats=("%Y-%m-%d %H:%M:%S",))

    result = validated(column, n=["2018-02-09 23:59:59.5", "2018-02-09", "2018-02-09 noon"])

    assert values(result) == [datetime.date(2018, 2, 9)]
    assert result.rejected == 2


def test_typed_days_and_moments_are_days() -> None:
    moment = datetime.datetime(2018, 2, 9, 23, 59)

    assert values(validated(Column("n", Date), n=[moment])) == [moment.date()]
    assert values(validated(Column("n", Date), n=[moment.date()])) == [moment.date()]


def test_a_number_is_no_day() -> None:
    frame = nw.from_native(pl.DataFrame({"n": [20180209]}).lazy())

    with pytest.raises(ContractError, match="column 'n' is of type Int64, and the contract wants"):
        require_types(frame, Contract(Column("n", Date)), "f.csv")


def test_a_day_before_the_first_allowed_one_is_rejected() -> None:
    column = Column("n", Date, ge=datetime.date(2018, 1, 1))

    assert reason(column, "2017-12-31") == "n: is below 2018-01-01"
    assert reason(column, "2018-01-01") == ""


# Keys of several parts, and history


PARTS = Contract(Column("shop", String), Column("no", Int64), key=("shop", "no"))


def test_records_that_share_all_parts_of_a_key_are_refused_with_an_example() -> None:
    result = validated(PARTS, shop=["a", "a", "b", "a|1", "b"], no=["1", "2", "1", "1", " 1"])

    assert result.repeated == {("shop", "no"): 1}
    with pytest.raises(ContractError, match=r"'shop' and 'no' must be unique together.*'b' with 1"):
        require_table(result, PARTS, ENGINE, "shops.csv")


def test_only_the_newest_valid_record_of_a_key_counts() -> None:
    contract = Contract(
        Column("key", String), Column("day", Date), Column("n", Int64), key=("key",)
    )
    frame = pl.DataFrame(
        {
            "key": ["a", "a", "a", "b", "b"],
            "day": ["2020-01-01", "2020-03-01", "2020-02-01", "2020-01-01", "2020-01-02"],
            "n": ["1", "3", "2", "4", "many"],
            "came": [1, 1, 2, 1, 1],
        }
    )

    result = validate(nw.from_native(frame.lazy()), contract, ENGINE, ["day", "came"])

    assert values(result) == [3, 4]
    assert result.repeated == {}
    assert result.rejected == 1


def test_of_records_of_one_day_the_one_that_came_last_counts() -> None:
    contract = Contract(Column("key", String), Column("n", Int64), key=("key",))
    frame = pl.DataFrame({"key": ["a", "a"], "n": ["1", "2"], "came": [2, 1]})

    assert values(validate(nw.from_native(frame.lazy()), contract, ENGINE, ["came"])) == [1]

"""A raw record is read as batch reads it, or refused as batch rejects it."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churn_assets.assets.resources import LAYERS
from churn_assets.errors import InputsError
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.records import Record, RecordReader
from churn_assets.tables.contract import REASONS, validate
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest, ingest_labels
from churn_assets.tables.lake import Lake, Table
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import (
    BusinessCase,
    Column,
    Contract,
    Date,
    Float64,
    Int64,
    Label,
    Labels,
    PerCustomer,
    String,
    UseCase,
    delta_name,
)
from churn_assets_tests.support.data import BOOKINGS, TELCO

TELCO_CASE, BOOKING_CASE = USE_CASES["telco_churn"], USE_CASES["booking_cancellation"]
ENGINE = PolarsEngine()
EVERY = 12
"""One of so many bookings is read here, and all that are rejected."""
RIGHT = {
    "customerID": "7590-VHVEG", "gender": "Female", "SeniorCitizen": "0", "Partner": "Yes",
    "Dependents": "No", "tenure": "1", "PhoneService": "No", "MultipleLines": "No phone service",
    "InternetService": "DSL", "OnlineSecurity": "No", "OnlineBackup": "Yes",
    "DeviceProtection": "No", "TechSupport": "No", "StreamingTV": "No", "StreamingMovies": "No",
    "Contract": "Month-to-month", "PaperlessBilling": "Yes", "PaymentMethod": "Electronic check",
    "MonthlyCharges": "29.85", "TotalCharges": "29.85",
}  # fmt: skip
BOOKED = {
    "Booking_ID": "INN00001", "number of adults": "1", "number of children": "1",
    "number of weekend nights": "2", "number of week nights": "5", "type of meal": "Meal Plan 1",
    "car parking space": "0", "room type": "Room_Type 1", "lead time": "224",
    "market segment type": "Offline", "repeated": "0", "P-C": "0", "P-not-C": "0",
    "average price": "88", "special requests": "0", "date of reservation": "10/2/2015",
}  # fmt: skip
HOSTILE = (
    "", " ", "NA", "-1", "1.5", "1.0", "+5", ".5", "5.", "1e5", "1E-3", "-0", "-0.0", "007", "nan",
    "inf", "-inf", "NaN", "\u0663", "Yes ", "\u00a0No", "\ufeff5", "\u20095", "Total", "Total (2)",
    "Grand total: 5", "yes", "YES", "1,000", "1_000", "9" * 19, "9" * 30, "9" * 400, "0x10",
    "9007199254740993", "2018-2-29", "2/29/2018", "12/31/2017", "2017-12-31", "12/31/17",
    "02/03/2018", "0001-01-01", "0000-01-01", "Fiber optic", "No", "\x00", "null", "\U0001f600",
    "123456789012345.678", "0.1", "1.7976931348623157e308", "1e400", "4.9e-324", "one\ntwo",
    "\u017fum", "tota\u013f",
)  # fmt: skip


def reader(case: UseCase) -> RecordReader:
    if case.name not in _READERS:
        _READERS[case.name] = RecordReader(case)
    return _READERS[case.name]


_READERS: dict[str, RecordReader] = {}


def faults(case: UseCase, record: Mapping[str, Any]) -> list[Fault]:
    (answer,) = reader(case).read([record])
    assert isinstance(answer, list), answer
    return answer


def values(case: UseCase, record: Mapping[str, Any]) -> dict[str, Any]:
    (answer,) = reader(case).read([record])
    assert isinstance(answer, Record), answer
    return dict(zip(reader(case).columns, answer.values, strict=True))


def batch(case: UseCase, records: Sequence[Mapping[str, str | None]]) -> list[str | dict[str, Any]]:
    """What batch makes of records of text: why each is rejected, or its inputs."""
    place = pl.Series("source_uri", range(len(records)))
    sources = [column.source for column in case.contract.columns]
    raw = pl.DataFrame(
        {delta_name(source): [record.get(source) for record in records] for source in sources},
        schema={delta_name(source): pl.String for source in sources},
    ).with_columns(place)
    validated = validate(nw.from_native(raw.lazy()), case.contract, ENGINE)
    rejects = ENGINE.collect(validated.rejects).to_pylist()
    found: dict[int, str | dict[str, Any]] = {row["source_uri"]: row[REASONS] for row in rejects}
    valid = [at for at in range(len(records)) if at not in found]
    wanted = list(reader(case).columns)
    made = case.features(case.clean(validated.valid)).select(
        *(nw.col(n).cast(nw.Float64) if n in case.numeric else nw.col(n) for n in wanted)
    )
    found |= dict(zip(valid, ENGINE.collect(made).to_pylist(), strict=True))
    return [found[at] for at in range(len(records))]


def online(case: UseCase, records: Sequence[Mapping[str, Any]]) -> list[str | dict[str, Any]]:
    """What the server makes of the same."""
    names = list(reader(case).columns)
    return [
        "; ".join(fault.words for fault in answer)
        if isinstance(answer, list)
        else dict(zip(names, answer.values, strict=True))
        for answer in reader(case).read(records)
    ]


def tables_of(case: UseCase, path: Path, folder: Path) -> Mapping[str, Table]:
    """A use case's tables to features, made of a file."""
    tables = Lake(str(folder), ENGINE, layers=LAYERS).of(case)
    source = Source(uri=str(path), labels=Source(uri=str(path)) if case.labels else None)
    ingest(case, source, tables)
    if case.labels:
        ingest_labels(case, source, tables)
    list(refine(case, tables))
    featurise(case, tables)
    return tables


def rows(table: Table) -> list[dict[str, Any]]:
    return table.scan().to_native().collect().to_dicts()


def raw_records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# Equal to batch


@pytest.mark.skipif(not TELCO.exists(), reason="needs the real file")
def test_every_customer_of_the_real_file_is_read_as_batch_reads_it(tmp_path: Path) -> None:
    tables = tables_of(TELCO_CASE, TELCO, tmp_path)
    features = {row["customer_id"]: row for row in rows(tables["features"])}

    answers = reader(TELCO_CASE).read(raw_records(TELCO))

    assert len(answers) == len(features) == 7043
    for answer in answers:
        assert isinstance(answer, Record)
        row = features[answer.key[0]]
        assert answer.values == tuple(row[name] for name in reader(TELCO_CASE).columns)


@pytest.mark.skipif(not BOOKINGS.exists(), reason="needs the real file")
def test_real_bookings_are_read_and_refused_as_in_batch(tmp_path: Path) -> None:
    tables = tables_of(BOOKING_CASE, BOOKINGS, tmp_path)
    rejects = {row["Booking_ID"]: row[REASONS] for row in rows(tables["rejects"])}
    features = {row["booking_id"]: row for row in rows(tables["features"])}
    records = raw_records(BOOKINGS)
    some = [r for at, r in enumerate(records) if at % EVERY == 0 or r["Booking_ID"] in rejects]

    answers = online(BOOKING_CASE, some)

    assert len(rejects) == 37
    for record, answer in zip(some, answers, strict=True):
        key = record["Booking_ID"]
        names = reader(BOOKING_CASE).columns
        wanted = rejects.get(key) or {name: features[key][name] for name in names}
        assert answer == wanted
        assert isinstance(answer, str) == (key in rejects)


def hostile(right: Mapping[str, str]) -> st.SearchStrategy[dict[str, str]]:
    """Records of which any column may hold anything."""
    anything = st.sampled_from(HOSTILE) | st.text(max_size=6) | st.sampled_from([*right.values()])
    spoiled = st.dictionaries(st.sampled_from([*right]), anything, max_size=5)
    return spoiled.map(lambda changed: {**right, **changed})


LABELLED = st.sampled_from([None, "Yes", "No", ""])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(hostile(RIGHT), LABELLED), min_size=40, max_size=80))
def test_what_batch_rejects_is_refused_in_the_same_words(
    drawn: list[tuple[dict[str, str], str | None]],
) -> None:
    records = [{**record, "Churn": label} for record, label in drawn]

    assert online(TELCO_CASE, records) == batch(TELCO_CASE, records)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(hostile(BOOKED), min_size=40, max_size=80))
def test_bookings_that_batch_rejects_are_refused_in_the_same_words(
    records: list[dict[str, str]],
) -> None:
    assert online(BOOKING_CASE, records) == batch(BOOKING_CASE, records)


def test_each_hostile_value_in_each_column_is_taken_or_refused_as_in_batch() -> None:
    for case, right in ((TELCO_CASE, RIGHT), (BOOKING_CASE, BOOKED)):
        records = [{**right, name: value} for name in right for value in HOSTILE]

        assert online(case, records) == batch(case, records)


def _same(silver: Any) -> Any:
    return silver


STYLES = UseCase(
    name="styles",
    key=("shop", "number"),
    label=Label("left", positive="1"),
    contract=Contract(
        Column("shop", Int64, source="Shop No."),
        Column("number", String),
        Column("euros", Float64, decimal=",", thousands=".", minus=("behind", "brackets"), le=1e6),
        Column("dollars", Float64, thousands=",", nullable=True, blank=("-", "0")),
        Column("visits", Int64, thousands="'", minus=("dash",), nullable=True, ge=-10),
        Column("plan", String, nullable=True, blank=("NA",), isin=("a", "b", "ü")),
        Column("free", String, nullable=True),
        Column("begun", Date, formats=("%d.%m.%Y", "%Y-%d-%m"), nullable=True, ge=date(2000, 1, 1)),
        Column("changed", Date, formats=("%d %b %y",), nullable=True),
        Column("left", Int64, isin=(0, 1)),
    ),
    clean=_same,
    features=_same,
    numeric=("visits", "euros"),
    categorical=("plan", "free", "begun"),
    description="Who comes again.",
    business=BusinessCase("EUR", customer_value=PerCustomer("dollars"), offer_cost=1),
)
STYLED = {
    "Shop No.": "7", "number": "K-1", "euros": "1.234,5", "dollars": "1,234.5", "visits": "1'000",
    "plan": "a", "free": "x", "begun": "31.12.2017", "changed": "3 May 18", "left": "0",
}  # fmt: skip
IN_STYLE = (
    "1.234", "1,5", "1.5", "1,234", "12,34", "(5)", "5-", "-5", "\u22125", "1'000", "1\u2019000",
    "1000000,5", "-", "NA", " NA ", "01.02.2018", "2018-13-01", "2018-01-13", "31.02.2018",
    "01.01.1999", "3 May 18", "3 MAY 2018", "ü", "\u00fc ", "1.000.000", "1e3", "1e-3", "0", "0,0",
)  # fmt: skip


def test_numbers_and_days_in_other_styles_are_read_as_in_batch() -> None:
    texts = (*HOSTILE, *IN_STYLE)
    changeable = [name for name in STYLED if name != "left"]
    records = [{**STYLED, name: text} for name in changeable for text in texts]

    found = online(STYLES, records)

    assert [as_text(one) for one in found] == [as_text(one) for one in batch(STYLES, records)]


def as_text(answer: str | dict[str, Any]) -> Any:
    """Inputs with days as a model is given them."""
    if isinstance(answer, str):
        return answer
    return {n: str(v) if isinstance(v, date) else v for n, v in answer.items()}


NUMBERS = (0, 1, -1, 7, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 10**30, 0.0, -0.0, 1.0, 1.5,
           -0.5, 1e15, 1e16, 2.0**53, 2.0**60, 1e22, 1e300, 5e-324, 0.1, 1e-7, math.inf, -math.inf,
           math.nan)  # fmt: skip


@pytest.mark.parametrize("column", [Column("n", dtype) for dtype in (Int64, Float64, String)])
@pytest.mark.parametrize("number", NUMBERS, ids=str)
def test_a_number_is_taken_as_batch_takes_it_from_typed_columns(
    column: Column, number: float
) -> None:
    case = UseCase(
        name=f"typed_{column.dtype.value}",
        key="id",
        label=Label("left", positive="1"),
        contract=Contract(Column("id", String), column, Column("left", String, nullable=True)),
        clean=_same,
        features=_same,
        numeric=() if column.dtype is String else ("n",),
        categorical=("n",) if column.dtype is String else (),
        description="",
    )
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        typed = pl.Series("n", [float(number)])
    else:
        typed = pl.Series("n", [number])
    raw = pl.DataFrame([pl.Series("id", ["a"]), typed, pl.Series("left", [None], dtype=pl.String)])
    validated = validate(nw.from_native(raw.lazy()), case.contract, ENGINE)
    rejected = [row[REASONS] for row in ENGINE.collect(validated.rejects).to_pylist()]
    taken = [row["n"] for row in ENGINE.collect(validated.valid).to_pylist()]

    (found,) = reader(case).read([{"id": "a", "n": number}])

    if isinstance(found, list):
        assert [fault.words for fault in found] == rejected
    elif isinstance(number, int) and column.dtype is String:
        # A table would hold it as a double; here every digit is known.
        assert found.values == (str(number),)
    else:
        assert [str(value) for value in found.values] == [
            str(value if column.dtype is String else float(value)) for value in taken
        ]


# What a caller relies on


def test_all_that_is_wrong_is_said_at_once_and_no_value_is_shown() -> None:
    record: dict[str, Any] = {
        **RIGHT, "tenure": -5, "gender": "secret", "MonthlyCharges": None, "Partner": ["secret"],
        "Contract": {"secret": 1}, "StreamingTV": "\ud800", "Dependents": True, "shoe size": 7,
    }  # fmt: skip
    del record["PhoneService"]

    found = faults(TELCO_CASE, record)

    assert {(fault.field, fault.kind, fault.rule) for fault in found} == {
        ("tenure", "number", "is below 0"),
        ("gender", "text", "is not one of Female, Male"),
        ("MonthlyCharges", "null", "is blank"),
        ("Partner", "list", "is neither text nor a number"),
        ("Contract", "object", "is neither text nor a number"),
        ("StreamingTV", "text", "is neither text nor a number"),
        ("Dependents", "true or false", "is not one of Yes, No"),
        ("shoe size", "number", "is not a column of it"),
        ("PhoneService", "nothing", "is missing"),
    }
    assert "secret" not in repr(found)


def test_numbers_may_be_numbers_or_text() -> None:
    numbers = {"tenure": 1, "SeniorCitizen": 0.0, "MonthlyCharges": 29.85, "TotalCharges": 29.85}

    assert values(TELCO_CASE, {**RIGHT, **numbers}) == values(TELCO_CASE, RIGHT)


@pytest.mark.parametrize("label", ["Yes", "No", "", None, "Maybe", 7, [1], {"a": 1}])
def test_a_label_is_ignored_whatever_it_says(label: Any) -> None:
    for case, right, source in (
        (TELCO_CASE, RIGHT, "Churn"),
        (BOOKING_CASE, BOOKED, "booking status"),
    ):
        assert values(case, {**right, source: label}) == values(case, right)


def test_a_label_that_a_source_must_have_need_not_be_known() -> None:
    without = {name: text for name, text in STYLED.items() if name != "left"}

    assert values(STYLES, without) == values(STYLES, STYLED)


def test_the_amounts_of_the_business_case_come_with_the_inputs() -> None:
    found = values(STYLES, STYLED)

    assert list(found) == ["visits", "euros", "plan", "free", "begun", "dollars"]
    assert found["dollars"] == 1234.5
    assert found["begun"] == "2017-12-31"


def test_many_records_are_read_together_each_by_itself() -> None:
    records: list[dict[str, Any]] = [{**RIGHT, "customerID": f"C-{at}"} for at in range(50)]
    records[7] = {**records[7], "tenure": "-1"}
    records[9] = {**records[9], "tenure": " 12 "}
    # Nobody says here that customers come once.
    records[11] = {**records[10], "tenure": "3"}

    answers = reader(TELCO_CASE).read(records)

    assert answers[7] == [Fault("tenure", "text", "is below 0")]
    assert [a.key[0] if isinstance(a, Record) else "" for a in answers[9:12]] == [
        "C-9",
        "C-10",
        "C-10",
    ]
    tenures = [a.values[0] for a in answers if isinstance(a, Record)]
    assert tenures == [*[1.0] * 8, 12.0, 1.0, 3.0, *[1.0] * 38]
    assert reader(TELCO_CASE).read([]) == []


def test_a_key_of_several_parts_is_text_as_predictions_have_it() -> None:
    (answer,) = reader(STYLES).read([{**STYLED, "Shop No.": " 007 "}])

    assert isinstance(answer, Record)
    assert answer.key == ("7", "K-1")


def test_records_with_a_day_and_outcomes_of_their_own_are_read() -> None:
    case = UseCase(
        name="monthly",
        key="id",
        label=Label("left", positive="1"),
        contract=Contract(Column("id", String), Column("day", Date), Column("spent", Float64)),
        labels=Labels(
            Contract(
                Column("id", String), Column("until", Date), Column("left", String, source="Left")
            ),
            time="until",
        ),
        time="day",
        clean=_same,
        features=lambda silver: silver.with_columns((nw.col("spent") * 2).alias("twice")),
        numeric=("twice",),
        categorical=(),
        description="",
    )
    record = {"id": "a", "day": "2024-02-29", "spent": "1.5"}

    assert values(case, {**record, "Left": "1"}) == {"twice": 3.0}
    assert faults(case, {**record, "day": "2023-02-29"}) == [
        Fault("day", "text", "is not a day written as %Y-%m-%d")
    ]


def test_a_row_that_features_drops_is_refused() -> None:
    case = UseCase(
        name="dropping",
        key="id",
        label=Label("left", positive="1"),
        contract=Contract(Column("id", String), Column("n", Int64), Column("left", String)),
        clean=_same,
        features=lambda silver: silver.filter(nw.col("n") > 0),
        numeric=("n",),
        categorical=(),
        description="",
    )

    answers = reader(case).read([{"id": "a", "n": 1}, {"id": "b", "n": 0}])

    assert isinstance(answers[0], Record)
    assert answers[1] == [Fault("", "object", "`features` gives no row of it")]


def test_an_input_that_features_does_not_give_is_refused_at_once() -> None:
    with pytest.raises(InputsError, match="`features` gives no mood, which the model is to be"):
        RecordReader(TELCO_CASE, {"mood": "text"})


def test_a_million_digits_cost_nothing() -> None:
    begun = time.process_time()

    found = faults(TELCO_CASE, {**RIGHT, "tenure": 10**1000, "MonthlyCharges": 10**4000})

    assert [fault.rule for fault in found] == ["is not a whole number", "is not a finite number"]
    assert time.process_time() - begun < 1


def test_a_record_of_plain_values_is_read_without_asking_the_contract_by_a_plan() -> None:
    plain, doubtful = [RIGHT], [{**RIGHT, "tenure": " 1 "}]
    read = reader(TELCO_CASE).read

    def least_seconds(records: Sequence[Mapping[str, Any]]) -> float:
        seconds = []
        for _ in range(15):
            begun = time.process_time()
            read(records)
            seconds.append(time.process_time() - begun)
        return min(seconds)

    assert read(plain) == read(doubtful)
    assert least_seconds(plain) < least_seconds(doubtful) / 2

"""Many rows in, as many out, whatever the format and whatever is wrong with them."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from churn_assets.serving.answering.batch import body as module
from churn_assets.serving.answering.batch.answer import answers
from churn_assets.serving.answering.batch.body import BodyError, Format
from churn_assets.serving.answering.batch.forms import ByInputs, ByKey, ByRecord, Columns, Form
from churn_assets.serving.answering.inputs import Input, InputsReader
from churn_assets.serving.answering.snapshot import Snapshot
from churn_assets.serving.records import RecordReader
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.project import customers
from churn_assets_tests.support.serving.snapshots import snapshot_of

FORMATS: tuple[Format, ...] = ("arrow", "parquet", "ndjson", "csv")
ROWS, CHUNK = 1000, 300
INPUTS = InputsReader({
    "months": Input(kind="number", is_whole=True, ge=0),
    "charges": Input(kind="number", nullable=True, le=1e6),
    "plan": Input(kind="text", isin=("basic", "plus", "pro")),
    "city": Input(kind="text", nullable=True),
})  # fmt: skip
ODDS = {"basic": 0.3, "plus": 0.0, "pro": -0.7}
TOLD = {"churn_probability": "number", "decision": "flag", "place": "whole", "band": "text"}


def score(columns: Columns) -> dict[str, Any]:
    """A logistic regression."""
    months, charges = columns["months"], np.nan_to_num(columns["charges"], nan=50.0)
    plan = np.array([ODDS[one] for one in columns["plan"]])
    city = np.array([0.1 if one == "Köln" else 0.0 for one in columns["city"]])
    scores = 1 / (1 + np.exp(-(0.5 - 0.03 * months + 0.01 * charges + plan + city)))
    assert len(scores) == len(columns["city"])
    return {
        "churn_probability": scores,
        "decision": scores >= 0.5,
        "place": (months * 2).astype(np.int64),
        "band": ["high" if one else "low" for one in scores >= 0.5],
    }


def made_up(rows: int = ROWS, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    cities = ("Köln", 'a "quoted", one', "two\nlines", None)
    return [
        {
            "id": f"C-{at}",
            "months": float(rng.integers(0, 72)),
            "charges": None if at % 7 == 0 else round(float(rng.gamma(2, 30)), 2),
            "plan": str(rng.choice([*ODDS])),
            "city": cities[at % 4],
        }
        for at in range(rows)
    ]


SPOILED: Mapping[int, tuple[dict[str, Any], str]] = {
    0: ({"months": -1.0}, "months: is below 0"),
    17: ({"months": 1.5, "plan": "gold"},
         "months: is not a whole number; plan: is not one of basic, plus, pro"),
    299: ({"charges": 2e6}, "charges: is above 1e+06"),
    300: ({"plan": None}, "plan: is blank"),
    601: ({"months": None}, "months: is blank"),
    700: ({"id": "C-2"}, "names a customer who is there before"),
    999: ({"months": -1.0, "charges": 2e6}, "months: is below 0; charges: is above 1e+06"),
}  # fmt: skip
"""What is wrong with some rows of a thousand."""


def spoiled() -> list[dict[str, Any]]:
    rows = made_up()
    return [{**row, **SPOILED[at][0]} if at in SPOILED else row for at, row in enumerate(rows)]


def written(rows: Sequence[Mapping[str, Any]], format: Format) -> io.BytesIO:
    """A body of rows."""
    out = io.BytesIO()
    table = pa.Table.from_pylist([dict(row) for row in rows]) if format != "ndjson" else None
    if format == "arrow":
        assert table is not None
        with pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table)
    elif format == "parquet":
        pq.write_table(table, out)
    elif format == "csv":
        text = io.StringIO()
        lines = csv.DictWriter(text, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
        out.write(text.getvalue().encode())
    else:
        out.write(b"".join(json.dumps(dict(row)).encode() + b"\n" for row in rows))
    out.seek(0)
    return out


def read(text: bytes, format: Format) -> list[dict[str, Any]]:
    """A body of answers, as rows."""
    if format == "arrow":
        return list(pa.ipc.open_stream(text).read_all().to_pylist())
    if format == "parquet":
        return list(pq.read_table(io.BytesIO(text)).to_pylist())
    if format == "ndjson":
        return [json.loads(line) for line in text.splitlines()]
    options = pa.csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False)
    return list(pa.csv.read_csv(io.BytesIO(text), convert_options=options).to_pylist())


def asked(
    body: io.BytesIO,
    reads: Format,
    writes: Format = "ndjson",
    *,
    form: Form | None = None,
    keys: tuple[str, ...] = ("id",),
    score: Any = score,
    told: Mapping[str, Any] = TOLD,
) -> list[dict[str, Any]]:
    form = ByInputs(INPUTS, keys) if form is None else form
    parts = answers(body, reads, writes, form=form, score=score, columns=told, keys=keys)
    return read(b"".join(parts), writes)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", CHUNK)


@pytest.mark.parametrize("writes", FORMATS)
@pytest.mark.parametrize("reads", FORMATS)
def test_each_row_is_answered_in_its_place_or_told_what_is_wrong(
    reads: Format, writes: Format
) -> None:
    rows = spoiled()

    found = asked(written(rows, reads), reads, writes)

    assert [row["row"] for row in found] == list(range(ROWS))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert {row["row"]: row["error"] for row in found if row["error"]} == {
        at: error for at, (_, error) in SPOILED.items()
    }
    for given, row in zip(rows, found, strict=True):
        told = {name: row[name] for name in TOLD}
        if row["error"]:
            assert not any(value is not None for value in told.values())
            continue
        alone = {
            "months": np.array([given["months"]]),
            "charges": np.array([np.nan if given["charges"] is None else given["charges"]]),
            "plan": [given["plan"]],
            "city": [given["city"]],
        }
        (wanted,) = zip(*score(alone).values(), strict=True)
        assert told == dict(zip(TOLD, wanted, strict=True))


@pytest.mark.parametrize("format", FORMATS)
def test_answers_come_while_rows_are_read(format: Format) -> None:
    form = ByInputs(INPUTS, ("id",))
    parts = answers(
        written(made_up(), format),
        format,
        "ndjson",
        form=form,
        score=score,
        columns=TOLD,  # type: ignore[arg-type]
    )

    assert len(read(next(parts), "ndjson")) == CHUNK
    assert sum(len(read(part, "ndjson")) for part in parts) == ROWS - CHUNK


@pytest.mark.parametrize("format", FORMATS)
def test_a_body_without_rows_is_answered_without_any(format: Format) -> None:
    table = pa.Table.from_pylist(made_up(1)).slice(0, 0)
    out = io.BytesIO()
    if format == "arrow":
        pa.ipc.new_stream(out, table.schema).close()
    elif format == "parquet":
        pq.write_table(table, out)
    elif format == "csv":
        out.write(b"id,months,charges,plan,city\n")
    out.seek(0)

    assert asked(out, format, "arrow") == []


@pytest.mark.parametrize("format", ["arrow", "parquet"])
def test_columns_that_are_unknown_or_missing_are_refused_before_any_answer(format: Format) -> None:
    rows = [{**row, "shoe size": 7} for row in made_up(5)]
    for row in rows:
        del row["plan"]

    with pytest.raises(BodyError) as told:
        asked(written(rows, format), format)

    assert [(f.field, f.rule) for f in told.value.faults] == [
        ("shoe size", "is not an input of the model"),
        ("plan", "is missing"),
    ]


def test_lines_that_cannot_be_read_are_told_of_and_the_others_answered() -> None:
    right = json.dumps(made_up(1)[0]).encode()
    lines = [right, b"{", b"[1]", b'{"months": 1e999}', right.replace(b"C-0", b"C-1"), b"\xff",
             b'{"id": "C-3"}', b"", b"   "]  # fmt: skip

    found = asked(io.BytesIO(b"\n".join(lines)), "ndjson")

    broken = "is not a line of JSON with an object"
    assert [row["error"] for row in found] == [
        None, broken, broken, broken, None, broken,
        "months: is missing; charges: is missing; plan: is missing; city: is missing",
    ]  # fmt: skip


def test_lines_of_csv_that_cannot_be_read_are_told_of_and_the_others_answered() -> None:
    text = (
        b"\xef\xbb\xbfid,months,charges,plan,city\r\n"
        b'a,1,2.5,basic,"K\xc3\xb6ln"\r\n'
        b"b,1,2.5,basic\r\n"
        b"c,1,2.5,basic,x,y\r\n"
        b'd,1,2.5,"ba"sic,x\r\n'
        b"\r\n"
        b"e,one,2.5,basic,x\r\n"
        b"f, 1 ,,basic,\r\n"
        b"g,1,2.5,basic,\xff\r\n"
    )

    found = asked(io.BytesIO(text), "csv")

    assert [(row["id"], row["error"]) for row in found] == [
        ("a", None),
        (None, "has 4 fields, and the header 5"),
        (None, "has 6 fields, and the header 5"),
        (None, "is not a line of CSV"),
        ("e", "months: is not a whole number"),
        ("f", None),
        ("g", "city: is not text"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "has no header"),
        (b"id,id,months,charges,plan,city\n", "names a column twice"),
        (b'id,months,charges,plan,city\n"a,1,2,basic,x\n', "a quote of the body is not closed"),
        (b"x" * (module.MOST_LINE_BYTES + 2), "a line is longer than 1,048,576 bytes"),
    ],
    ids=["empty", "twice", "quote", "long"],
)
def test_csv_that_is_none_is_refused(text: bytes, told: str) -> None:
    with pytest.raises(BodyError, match=told):
        asked(io.BytesIO(text), "csv")


@pytest.mark.parametrize("format", ["arrow", "parquet"])
def test_a_body_that_is_damaged_or_cut_short_is_refused_and_shows_no_value(format: Format) -> None:
    whole = written(made_up(), format).getvalue()

    for damaged in (b"", b"secret" * 100, whole[: len(whole) // 2], whole[:40]):
        with pytest.raises(BodyError, match=f"the body is not {format}, is damaged") as told:
            asked(io.BytesIO(damaged), format)
        assert "secret" not in str(told.value)


def test_arrow_of_any_types_that_mean_the_same_is_taken() -> None:
    rows = made_up(40)
    table = pa.table({
        "id": pa.array(range(40), pa.int32()),
        "months": pa.array([int(row["months"]) for row in rows], pa.uint8()),
        "charges": pa.array([row["charges"] for row in rows], pa.float32()),
        "plan": pa.array([row["plan"] for row in rows]).dictionary_encode(),
        "city": pa.array([row["city"] for row in rows], pa.string_view()),
    })  # fmt: skip
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    file.seek(0)

    found = asked(file, "arrow")

    assert [row["id"] for row in found] == [str(at) for at in range(40)]
    assert [row["error"] for row in found] == [None] * 40


def test_arrow_of_other_types_and_what_is_not_finite_is_told_row_by_row() -> None:
    table = pa.table({
        "months": pa.array([1.0, np.nan, np.inf, None, 2.0]),
        "charges": pa.array(["7", None, "secret", None, None]),
        "plan": pa.array([1, None, 2, 3, None]),
        "city": pa.array([None, "", "x", "y", "z"]),
    })  # fmt: skip
    body = io.BytesIO()
    with pa.ipc.new_stream(body, table.schema) as writer:
        writer.write_table(table)
    body.seek(0)

    found = asked(body, "arrow", keys=())

    assert [row["error"] for row in found] == [
        "charges: is not a finite number; plan: is not text",
        "months: is not a whole number; plan: is blank; city: is blank",
        "months: is not a whole number; charges: is not a finite number; plan: is not text",
        "months: is blank; plan: is not text",
        "plan: is blank",
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_rows_of_keys_are_answered_by_what_is_known_of_them(format: Format, tmp_path: Path) -> None:
    known = [["2", f"C-{at}"] for at in range(10)]
    snapshot = Snapshot(snapshot_of(tmp_path, known, names=("shop", "number")))
    rows: list[dict[str, Any]] = [{"shop": 2, "number": f"C-{at}"} for at in (3, 99, 7, 3)]
    rows.append({"shop": 2, "number": None})
    form = ByKey(snapshot.get, ("shop", "number"), snapshot.head.columns)

    found = asked(
        written(rows, format),
        format,
        form=form,
        keys=("shop", "number"),
        score=lambda columns: {"tenure": columns["tenure"], "plan": columns["plan"]},
        told={"tenure": "number", "plan": "text"},
    )

    assert [(row["number"], row["tenure"], row["plan"], row["error"]) for row in found] == [
        ("C-3", 3.0, "plan 0", None),
        ("C-99", None, None, "names nobody who is known here"),
        ("C-7", 7.0, "plan 1", None),
        ("C-3", None, None, "names a customer who is there before"),
        (None, None, None, "number: is blank"),
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_rows_of_records_are_answered_as_batch_reads_them(format: Format) -> None:
    reader = RecordReader(USE_CASES["telco_churn"])
    rows = customers(50).to_dicts()
    rows[7]["tenure"] = "-1"
    rows[8]["Partner"] = "Perhaps"
    form = ByRecord(reader.read, ("customer_id",), reader.columns)

    found = asked(
        written(rows, format),
        format,
        form=form,
        keys=("customer_id",),
        score=lambda columns: {"tenure": columns["tenure_months"], "plan": columns["contract"]},
        told={"tenure": "number", "plan": "text"},
    )

    errors = {row["row"]: row["error"] for row in found if row["error"]}
    assert errors == {7: "tenure: is below 0", 8: "Partner: is not one of Yes, No"}
    right = [row for row in found if not row["error"]]
    assert [row["customer_id"] for row in right] == [
        row["customerID"] for at, row in enumerate(rows) if at not in errors
    ]
    assert [row["tenure"] for row in right] == [
        float(row["tenure"]) for at, row in enumerate(rows) if at not in errors
    ]


def test_rows_of_arrow_cost_little_beside_scoring_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 16_384)
    table = pa.Table.from_pylist(made_up(2000)).drop_columns(["id"])
    body = io.BytesIO()
    with pa.ipc.new_stream(body, table.schema) as writer:
        writer.write_table(pa.concat_tables([table] * 50))
    body.seek(0)
    begun = time.process_time()

    parts = answers(
        body,
        "arrow",
        "arrow",
        form=ByInputs(INPUTS),
        score=lambda columns: {"churn_probability": np.zeros(len(columns["city"]))},
        columns={"churn_probability": "number"},
    )
    rows = pa.ipc.open_stream(b"".join(parts)).read_all().num_rows

    assert rows == 100_000
    # What the trees of a model take for a row.
    assert (time.process_time() - begun) / rows * 1e6 < 6

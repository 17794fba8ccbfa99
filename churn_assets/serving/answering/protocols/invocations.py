"""`/invocations` as MLflow's scoring server takes it: what SageMaker and Databricks send as well.

The formats are those of "MLflow Model Serving", section "Input Formats", of MLflow 3's
documentation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from churn_assets.serving.answering.calls.decoding import decoded, first
from churn_assets.serving.answering.calls.problems import ProblemError, refused
from churn_assets.serving.answering.faults import Fault

_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")

Row = dict[str, Any]


class _Split(msgspec.Struct):
    columns: list[str]
    data: list[list[Any]]


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    """One of the forms; what else MLflow's clients add is taken and says nothing."""

    dataframe_split: _Split | None = None
    dataframe_records: list[Row] | None = None
    inputs: dict[str, list[Any]] | list[Row] | None = None
    instances: list[Row] | None = None
    params: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(_Call)


def rows_of(body: bytes, media_type: str, numeric: frozenset[str]) -> list[Row]:
    """The rows of a call, by column.

    Parameters
    ----------
    body : bytes
        As it came.
    media_type : str
        `application/json` or `text/csv`.
    numeric : frozenset of str
        Inputs that are numbers, which a CSV has as text.

    Raises
    ------
    ProblemError
        400, 415 or 422, with all that is wrong with it.
    """
    if media_type == "text/csv":
        return _of_csv(body, numeric)
    if media_type != "application/json":
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "this takes `application/json` or `text/csv`, by the header Content-Type.",
        )
    call = decoded(_decoder, body)
    given = [name for name in _FORMS if getattr(call, name) is not None]
    if len(given) != 1:
        raise refused([Fault("", "", f"give one of {', '.join(_FORMS)}")])
    if call.dataframe_split is not None:
        return _of_split(call.dataframe_split)
    table = getattr(call, given[0])
    return _of_columns(table) if isinstance(table, dict) else table


def _of_split(table: _Split) -> list[Row]:
    twice = sorted({name for name in table.columns if table.columns.count(name) > 1})
    faults = [Fault(f"dataframe_split.columns.{name}", "", "is there twice") for name in twice]
    width = len(table.columns)
    faults += [
        Fault(f"dataframe_split.data[{i}]", "", f"has {len(row)} values for {width} columns")
        for i, row in enumerate(table.data)
        if len(row) != width
    ]
    if faults:
        raise refused(faults)
    return [dict(zip(table.columns, row, strict=True)) for row in table.data]


def _of_columns(columns: Mapping[str, list[Any]]) -> list[Row]:
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise refused([Fault("inputs", "", "has columns of different lengths")])
    rows = lengths.pop() if lengths else 0
    return [{name: values[i] for name, values in columns.items()} for i in range(rows)]


def _of_csv(body: bytes, numeric: frozenset[str]) -> list[Row]:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"the body is not CSV in UTF-8: {first(error)}."
        ) from None
    if not lines:
        raise refused([Fault("", "", "the first line must name the columns")])
    header, *cells = [line for line in lines if line]
    split = _Split(header, [list(line) for line in cells])
    rows = _of_split(split)
    faults = []
    for i, row in enumerate(rows):
        for name, value in row.items():
            if value == "":
                row[name] = None
            elif name in numeric:
                try:
                    row[name] = float(value)
                except ValueError:
                    faults.append(Fault(f"[{i}].{name}", "text", "is not a number"))
    if faults:
        raise refused(faults)
    return rows

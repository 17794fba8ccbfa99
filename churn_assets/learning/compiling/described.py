"""What a manifest says of a use case: its business case, and what may be asked, as JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from churn_assets.learning.compiling import format
from churn_assets.usecases.spec import DType, PerCustomer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from churn_assets.learning.compiling.customers import Columns
    from churn_assets.usecases import spec
    from churn_assets.usecases.spec import Column, UseCase

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = {
    DType.STRING: "string",
    DType.INT64: "integer",
    DType.FLOAT64: "number",
    DType.DATE: "string",
}


def business_of(case: spec.BusinessCase | None) -> format.Business | None:
    """A business case as numbers and columns."""
    if case is None:
        return None
    return format.Business(
        case.currency,
        _amount(case.customer_value),
        _amount(case.offer_cost),
        _amount(case.contact_cost),
        float(case.save_rate),
        float(case.accept_rate),
    )


def schemas_of(
    use_case: UseCase, known: Mapping[str, Sequence[str]], examples: Columns
) -> dict[str, Any]:
    """What a source's record and the model's inputs may hold, as JSON schemas.

    An input that is a column of the contract, of the same kind, keeps its rules; one that `clean`
    gives other categories keeps none of `isin`.

    Parameters
    ----------
    use_case : UseCase
        As the model was trained.
    known : mapping of str to sequence of str
        The categories of each input that the model has learnt.
    examples : mapping of str to list
        Made-up inputs; the first of each is shown.
    """
    record = {column.source: _column(column, typed=False) for column in use_case.contract.columns}
    required = [
        column.source
        for column in use_case.contract.columns
        if column.name != use_case.label.column
    ]
    inputs = {name: _input(use_case, name, known.get(name, ())) for name in use_case.inputs}
    return {
        "record": _object(f"A record of {use_case.name}, as its source has it.", record, required),
        "inputs": {
            **_object(f"The inputs of a model of {use_case.name}.", inputs, list(inputs)),
            "examples": [{name: examples[name][0] for name in inputs}],
        },
    }


def _amount(amount: spec.Amount) -> format.Amount:
    if isinstance(amount, PerCustomer):
        return format.Amount(float(amount.times), amount.column)
    return format.Amount(float(amount))


def _object(
    description: str, properties: Mapping[str, Any], required: Sequence[str]
) -> dict[str, Any]:
    return {
        "$schema": _DRAFT,
        "type": "object",
        "description": description,
        "properties": dict(properties),
        "required": list(required),
    }


def _input(use_case: UseCase, name: str, known: Sequence[str]) -> dict[str, Any]:
    """What an input may hold."""
    is_number = name in use_case.numeric
    columns = {column.name: column for column in use_case.contract.columns}
    column = columns.get(name)
    if column is not None and (column.dtype is DType.STRING) is not is_number:
        told = _column(column, typed=True)
        if "enum" in told and not is_number and not {*known} <= {*told["enum"]}:
            del told["enum"]
    else:
        told = {"type": ["number" if is_number else "string", "null"]}
    return {**told, "description": use_case.describe(name)}


def _column(column: Column, *, typed: bool) -> dict[str, Any]:
    """What a column of a contract may hold; numbers of a record may be written as text."""
    kind = _TYPES[column.dtype]
    kinds = [kind, *([] if typed or kind == "string" else ["string"])]
    kinds += ["null"] if column.nullable else []
    told: dict[str, Any] = {"type": kinds if len(kinds) > 1 else kind}
    is_number = column.dtype in (DType.INT64, DType.FLOAT64)
    for rule, limit in (("minimum", column.ge), ("maximum", column.le)):
        if limit is not None and is_number:
            told[rule] = limit
    if column.isin is not None:
        also = [] if typed or not is_number else [str(value) for value in column.isin]
        told["enum"] = [*column.isin, *also, *([None] if column.nullable else [])]
    if column.dtype is DType.DATE:
        told["x-formats"] = list(column.formats)
    if column.unique:
        told["x-unique"] = True
    facts = f"{column.description or column.name.replace('_', ' ')} ({column.facts})"
    return {**told, "description": facts}

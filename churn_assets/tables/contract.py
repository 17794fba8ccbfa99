"""Judge every record by a use case's contract, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ContractError
from churn_assets.tables.engine import Engine
from churn_assets.usecases.spec import Column, Contract, DType, delta_name

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    Frame = nw.LazyFrame[Any]
    Expr = nw.Expr

# Spelled out, because engines differ in what they take for white space.
WHITESPACE = " \t\n\r\f\v\u00a0\u2007\u202f\ufeff"
_WHOLE = r"^[+-]?[0-9]+(\.0+)?\z"
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\z"
_TEXT, _VALUE, _COUNT = "__text_", "__value_", "__count"
_SECONDS = "%Y-%m-%d %H:%M:%S"
_INT64_END = 2.0**63
_MOST_SHOWN = 60
REASONS = "reasons"


@dataclass(frozen=True)
class Judged:
    """Records with their typed values and what is wrong with them.

    Parameters
    ----------
    valid : frame
        Typed records that keep the contract, under the contract's names.
    rejects : frame
        The others as they came, with every reason in `reasons`.
    rows, rejected : int
        How many records there are, and how many of them are rejects.
    broken : mapping of str to int
        How many records break each rule, where any does.
    repeated : mapping of str to int
        How many valid records share a value of a unique column with an earlier one.
    """

    valid: Frame
    rejects: Frame
    rows: int
    rejected: int
    broken: Mapping[str, int]
    repeated: Mapping[str, int]


def judge(raw: Frame, contract: Contract, engine: Engine) -> Judged:
    """Parse every record and find every rule that it breaks.

    Parameters
    ----------
    raw : frame
        Source columns under their `delta_name`, text or typed.
    contract : Contract
        What a record must hold.
    engine : Engine
        What computes the frame.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    typed = _typed(raw, contract, engine, schema)
    rules = {
        f"{column.source}: {reason}": broken
        for column in contract.columns
        for reason, broken in _rules(column, schema[delta_name(column.source)])
    }
    flags = {f"__rule_{i}": rule for i, rule in enumerate(rules.values())}
    texts = dict(zip(flags, rules, strict=True))
    flagged = typed.with_columns(
        **{name: nw.coalesce(rule, nw.lit(False)) for name, rule in flags.items()}
    )
    judged = flagged.with_columns(
        nw.concat_str(
            [nw.when(nw.col(name)).then(nw.lit(text)) for name, text in texts.items()],
            separator="; ",
            ignore_nulls=True,
        ).alias(REASONS)
    )
    is_valid = nw.col(REASONS) == ""
    counts = engine.collect(
        judged.select(
            nw.len().cast(nw.Int64).alias("rows"),
            is_valid.cast(nw.Int64).sum().alias("valid"),
            *(nw.col(name).cast(nw.Int64).sum() for name in flags),
        )
    ).to_pylist()[0]
    rows, valid = counts["rows"], counts["valid"] or 0
    unique = [column.name for column in contract.columns if column.unique]
    # Of all records first, which takes one column, and mostly there is nothing to find.
    repeated = {name for name in unique if _repeats(judged, name, engine)}
    return Judged(
        valid=judged.filter(is_valid).select(
            **{column.name: nw.col(_VALUE + column.name) for column in contract.columns}
        ),
        rejects=judged.filter(~is_valid).select(*schema.names(), REASONS),
        rows=rows,
        rejected=rows - valid,
        broken={texts[name]: counts[name] for name in flags if counts[name]},
        repeated={
            name: count
            for name in sorted(repeated)
            if (count := _repeats(judged.filter(is_valid), name, engine))
        },
    )


def _repeats(judged: Frame, name: str, engine: Engine) -> int:
    """How many records share a value of a column with an earlier one."""
    import narwhals.stable.v2 as nw

    value = nw.col(_VALUE + name)
    given = judged.filter(~value.is_null())
    counted = given.select(
        nw.len().cast(nw.Int64).alias("given"), value.n_unique().cast(nw.Int64).alias("distinct")
    )
    counts = engine.collect(counted).to_pylist()[0]
    return int(counts["given"] - counts["distinct"])


def require_types(raw: Frame, contract: Contract, uri: str) -> None:
    """Refuse typed columns that hold no text, number or flag, such as bytes or lists.

    Raises
    ------
    ContractError
        Naming the column and its type.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    for column in contract.columns:
        found = schema[delta_name(column.source)]
        readable = found in (nw.String, nw.Boolean) or found.is_numeric()
        if not readable and not (found.is_temporal() and column.dtype is DType.STRING):
            raise ContractError(
                f"{uri}: column '{column.source}' is of type {found}, and the contract wants "
                f"{column.dtype.value}. Store it as that or as text. "
                "Nothing below raw was replaced."
            )


def require_table(judged: Judged, contract: Contract, engine: Engine, uri: str) -> None:
    """Refuse records that break the contract as a whole.

    Raises
    ------
    ContractError
        Where there are too few records, or a unique column repeats a value.
    """
    import narwhals.stable.v2 as nw

    if judged.rows < contract.min_rows:
        raise ContractError(
            f"{uri}: {judged.rows} records, and the contract wants at least {contract.min_rows}. "
            "Nothing below raw was replaced."
        )
    for name, count in judged.repeated.items():
        shared = judged.valid.group_by(name).agg(nw.len().alias(_COUNT))
        often = shared.filter(nw.col(_COUNT) > 1).sort(_COUNT, name, descending=[True, False])
        examples = engine.collect(often.head(3))
        shown = ", ".join(repr(value)[:_MOST_SHOWN] for value in examples[name].to_pylist())
        raise ContractError(
            f"{uri}: column '{contract[name].source}' must be unique, and {count:,} records repeat "
            f"a value (such as {shown}). Remove the repeated records from the source. "
            "Nothing below raw was replaced."
        )


def _typed(raw: Frame, contract: Contract, engine: Engine, schema: Any) -> Frame:
    """Add the stripped text, or else the typed value, and the parsed value of each column."""
    import narwhals.stable.v2 as nw

    stripped: dict[str, Expr] = {}
    texts: dict[str, Expr] = {}
    values: dict[str, Expr] = {}
    parsed: dict[str, DType] = {}
    for column in contract.columns:
        source, found = nw.col(delta_name(column.source)), schema[delta_name(column.source)]
        text = nw.col(_TEXT + column.name)
        if _is_read_as_text(found):
            # By itself, so that Spark strips once what is looked at twice.
            stripped[_TEXT + column.name] = source.cast(nw.String).str.strip_chars(WHITESPACE)
            texts[_TEXT + column.name] = nw.when(text != "").then(text)
            values[_VALUE + column.name] = _parseable(text, column.dtype)
            if column.dtype is DType.STRING and found.is_decimal():
                values[_VALUE + column.name] = _parseable(text, DType.INT64)
            if column.dtype is not DType.STRING:
                parsed[_VALUE + column.name] = column.dtype
        else:
            texts[_TEXT + column.name] = source
            values[_VALUE + column.name] = _typed_value(source, found, column.dtype)
    frame = raw.with_columns(**stripped) if stripped else raw
    return engine.parse(frame.with_columns(**texts).with_columns(**values), parsed)


def _is_read_as_text(found: nw.dtypes.DType) -> bool:
    """Whether values are parsed: text, and decimals, whose digits a double may not hold."""
    import narwhals.stable.v2 as nw

    return found == nw.String or found.is_decimal()


def _typed_value(source: Expr, found: nw.dtypes.DType, dtype: DType) -> Expr:
    """A typed value as the contract's type; null where that would be another number."""
    import narwhals.stable.v2 as nw

    if found.is_float() and dtype is DType.INT64:
        number = source.cast(nw.Float64)
        source = nw.when((number > -_INT64_END) & (number < _INT64_END)).then(number)
    if found.is_float() and dtype is DType.STRING:
        # Engines write doubles in different ways, and beyond this one stands for many integers.
        exact = 2.0**24 if found == nw.Float32 else 2.0**53
        source = nw.when((source >= -exact) & (source <= exact)).then(source)
        whole = source.cast(nw.Int64)
        source = nw.when(whole.cast(nw.Float64) == source.cast(nw.Float64)).then(whole)
    if isinstance(found, nw.Datetime):
        return source.dt.to_string(_SECONDS)
    return source.cast(_narwhals(dtype))


def _parseable(text: Expr, dtype: DType) -> Expr:
    """The text where it says a value of the type, in the one way that every engine reads."""
    import narwhals.stable.v2 as nw

    if dtype is DType.INT64:
        plain = text.str.replace_all(r"\.0+\z", "").str.replace_all(r"^\+", "")
        return nw.when(text.str.contains(_WHOLE)).then(plain)
    if dtype is DType.FLOAT64:
        return nw.when(text.str.contains(_DECIMAL)).then(text.str.replace_all(r"^\+", ""))
    return text


def _rules(column: Column, source: nw.dtypes.DType) -> list[tuple[str, Expr]]:
    """Each rule of a column: what it says of a record that breaks it, and which do."""
    import narwhals.stable.v2 as nw

    text, value = nw.col(_TEXT + column.name), nw.col(_VALUE + column.name)
    rules = []
    if not column.nullable:
        rules.append(("is blank", text.is_null()))
    if column.dtype is DType.STRING and (source.is_float() or source.is_decimal()):
        rules.append(
            ("is neither text nor an exact whole number", ~text.is_null() & value.is_null())
        )
    if column.dtype is DType.INT64:
        wrong = ~text.is_null() & value.is_null()
        if source.is_float():
            number = text.cast(nw.Float64)
            wrong = ~text.is_null() & (value.is_null() | (number != value.cast(nw.Float64)))
        rules.append(("is not a whole number", wrong))
    if column.dtype is DType.FLOAT64:
        wrong = ~text.is_null() & (value.is_null() | ~value.is_finite())
        rules.append(("is not a finite number", wrong))
    if column.ge is not None:
        rules.append((f"is below {column.ge:g}", value < column.ge))
    if column.le is not None:
        rules.append((f"is above {column.le:g}", value > column.le))
    if column.isin is not None:
        allowed = ", ".join(str(value) for value in column.isin)
        rules.append((f"is not one of {allowed}", ~value.is_in(column.isin) & ~value.is_null()))
    return rules


def _narwhals(dtype: DType) -> Any:
    import narwhals.stable.v2 as nw

    return {DType.STRING: nw.String, DType.INT64: nw.Int64, DType.FLOAT64: nw.Float64}[dtype]

"""Validate every record by a use case's contract, in one pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ContractError, refusal
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.lake import LINE_FAULT
from churn_assets.tables.written import WHITESPACE, readable, whole
from churn_assets.usecases.spec import Column, Contract, DType, delta_name

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    from churn_assets.types import Frame

    Expr = nw.Expr

_TEXT, _VALUE, _COUNT, _NEWEST = "__text_", "__value_", "__count", "__newest"
_SECONDS = "%Y-%m-%d %H:%M:%S"
_IN_TYPES: dict[str, Any] = {"decimal": ".", "thousands": "", "minus": ()}
"""How numbers are written where an engine writes them."""
_INT64_END = 2.0**63
_MOST_SHOWN = 60
_STANDS = "Nothing below raw was replaced"
TOTAL = (
    r"(?i)^(?:(?:grand|sub|sous|overall)[ -]?)?"
    r"(?:totals?|totale|total g[eé]n[eé]ral|totaal|sum|summe|(?:gesamt|end|zwischen)summe|gesamt"
    r"|gesamtergebnis|insgesamt|somme|suma|soma|average|mean|durchschnitt|mittelwert|moyenne)"
    r"(?: (?:of |for )?(?:all )?(?:customers|records|rows|lines|kunden|clients))?"
    r"[ :=]*(?:[(\[].*|[0-9].*)?\z"
)
"""What the key reads of a line that sums up the others."""
_FEWEST_TO_MISS = 3
"""Columns beside the key: where all of so many are blank, it is not a customer that is told of."""
NO_TEXT = "is neither text nor an exact whole number"
"""Of a number where text is wanted: engines write it in different ways."""
SHORT_LINES = "lines with fewer fields than the header"
REASONS = "reasons"


@dataclass(frozen=True)
class Validated:
    """Records that keep the contract, typed, and those that break it, with what is wrong.

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
    repeated : mapping of tuple of str to int
        How many valid records share the values of columns that are unique together with an
        earlier one.
    """

    valid: Frame
    rejects: Frame
    rows: int
    rejected: int
    broken: Mapping[str, int]
    repeated: Mapping[tuple[str, ...], int]


def validate(
    raw: Frame, contract: Contract, engine: Engine, newest_by: Sequence[str] = ()
) -> Validated:
    """Parse every record and find every rule that it breaks.

    Parameters
    ----------
    raw : frame
        Source columns under their `delta_name`, text or typed.
    contract : Contract
        What a record must hold.
    engine : Engine
        What computes the frame.
    newest_by : sequence of str
        Columns of the contract or of `raw` by which only the newest valid record of each key
        counts; of equal ones in the first the next decides. By default all count.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    judged = judge(raw, contract, engine)
    checked, flags = judged.frame, judged.flags
    is_valid = nw.col(REASONS) == ""
    counts = engine.collect(
        checked.select(
            nw.len().cast(nw.Int64).alias("rows"),
            is_valid.cast(nw.Int64).sum().alias("valid"),
            *(nw.col(name).cast(nw.Int64).sum() for name in flags),
        )
    ).to_pylist()[0]
    rows, valid = counts["rows"], counts["valid"] or 0
    valid_records = _newest(checked.filter(is_valid), contract, newest_by)
    # Of all records first, which takes the key alone, and mostly there is nothing to find.
    repeated = [names for names in contract.unique if newest_by or _repeats(checked, names, engine)]
    return Validated(
        valid=typed_records(valid_records, contract),
        rejects=checked.filter(~is_valid).select(*schema.names(), REASONS),
        rows=rows,
        rejected=rows - valid,
        broken={flags[name]: counts[name] for name in flags if counts[name]},
        repeated={
            names: count for names in repeated if (count := _repeats(valid_records, names, engine))
        },
    )


@dataclass(frozen=True)
class Judged:
    """Records beside what is wrong with them.

    Parameters
    ----------
    frame : frame
        The records as they came; beside them whether each breaks a rule, all that it breaks in
        `reasons`, which is empty where it breaks none, and its values by the contract's types.
    flags : mapping of str to str
        The rules in words, in the order of `reasons`, by the column that says who breaks them.
    """

    frame: Frame
    flags: Mapping[str, str]


def judge(
    raw: Frame, contract: Contract, engine: Engine, *, unjudged: Collection[str] = ()
) -> Judged:
    """Parse every record and find every rule that it breaks, without counting or computing any.

    Parameters
    ----------
    raw, contract, engine
        As `validate` takes them.
    unjudged : collection of str
        Columns of the contract whose values may be any.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    typed = _typed(raw, contract, engine, schema)
    rules = _not_records(contract, schema)
    rules |= {
        f"{column.source}: {reason}": broken
        for column in contract.columns
        if column.name not in unjudged
        for reason, broken in _rules(column, schema[delta_name(column.source)])
    }
    flags = {f"__rule_{i}": rule for i, rule in enumerate(rules.values())}
    texts = dict(zip(flags, rules, strict=True))
    flagged = typed.with_columns(
        **{name: nw.coalesce(rule, nw.lit(False)) for name, rule in flags.items()}
    )
    reasons = nw.concat_str(
        [
            nw.when(nw.col(name)).then(nw.col(LINE_FAULT) if text == SHORT_LINES else nw.lit(text))
            for name, text in texts.items()
        ],
        separator="; ",
        ignore_nulls=True,
    )
    return Judged(flagged.with_columns(reasons.alias(REASONS)), texts)


def typed_records(records: Frame, contract: Contract) -> Frame:
    """The values of judged records under the contract's names, and nothing else."""
    import narwhals.stable.v2 as nw

    return records.select(
        *(nw.col(_VALUE + column.name).alias(column.name) for column in contract.columns)
    )


def _newest(records: Frame, contract: Contract, by: Sequence[str]) -> Frame:
    """The newest record of each key, or all that are newest alike."""
    import narwhals.stable.v2 as nw

    key = [_VALUE + name for name in contract.key]
    for name in by:
        when = nw.col(_VALUE + name if name in contract else name)
        records = records.with_columns(when.max().over(*key).alias(_NEWEST))
        records = records.filter(when == nw.col(_NEWEST))
    return records


def _repeats(records: Frame, names: Sequence[str], engine: Engine) -> int:
    """How many records share the values of columns with an earlier one."""
    import narwhals.stable.v2 as nw

    values = [_VALUE + name for name in names]
    present = records.filter(*(~nw.col(value).is_null() for value in values)).select(*values)
    rows = nw.len().cast(nw.Int64)
    if len(values) == 1:
        distinct = nw.col(values[0]).n_unique().cast(nw.Int64)
        counts = engine.collect(present.select(rows.alias("rows"), distinct.alias("distinct")))
        return int(counts["rows"][0].as_py() - counts["distinct"][0].as_py())
    each = present.group_by(*values).agg((rows - 1).alias(_COUNT))
    more = engine.collect(each.select(nw.col(_COUNT).sum()))[_COUNT][0].as_py()
    return int(more or 0)


def up_to(raw: Frame, contract: Contract, name: str, day: date, engine: Engine) -> Frame:
    """The records whose day in a column is not after a day, and those that say none.

    Parameters
    ----------
    raw : frame
        Source columns under their `delta_name`, text or typed.
    contract : Contract
        Says how days are written in the column.
    name : str
        The column's name in the contract.
    day : date
        The last day.
    engine : Engine
        What parses.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    value = nw.col(_VALUE + name)
    typed = _typed(raw, Contract(contract[name]), engine, schema)
    return typed.filter(value.is_null() | (value <= day)).select(*schema.names())


def require_types(raw: Frame, contract: Contract, uri: str) -> None:
    """Refuse typed columns that do not hold text, numbers or flags, such as bytes or lists.

    Raises
    ------
    ContractError
        Naming the column and its type.
    """
    import narwhals.stable.v2 as nw

    schema = raw.collect_schema()
    for column in contract.columns:
        stored = schema[delta_name(column.source)]
        readable = stored in (nw.String, nw.Boolean) or stored.is_numeric()
        if column.dtype is DType.DATE:
            readable = stored == nw.String
        is_time = isinstance(stored, nw.Datetime) or stored == nw.Date
        if not readable and not (is_time and column.dtype in (DType.STRING, DType.DATE)):
            raise ContractError(
                refusal(
                    uri,
                    f"column '{column.source}' is of type {stored}, and the contract wants "
                    f"{column.dtype.value}",
                    _STANDS,
                    "Store it as that or as text",
                )
            )


def require_table(validated: Validated, contract: Contract, engine: Engine, uri: str) -> None:
    """Refuse records that break the contract as a whole.

    Raises
    ------
    ContractError
        Where there are too few records, or a unique column repeats a value.
    """
    import narwhals.stable.v2 as nw

    if validated.rows < contract.min_rows:
        raise ContractError(
            refusal(
                uri,
                f"{validated.rows} records, and the contract wants at least {contract.min_rows}",
                _STANDS,
                "Give more, or lower `min_rows` of the contract",
            )
        )
    for names, count in validated.repeated.items():
        shared = validated.valid.group_by(*names).agg(nw.len().alias(_COUNT))
        often = shared.filter(nw.col(_COUNT) > 1)
        often = often.sort(_COUNT, *names, descending=[True, *(False for _ in names)])
        often_repeated = engine.collect(often.select(*names).head(3)).to_pylist()
        examples = ", ".join(
            " with ".join(repr(value)[:_MOST_SHOWN] for value in example.values())
            for example in often_repeated
        )
        such_as = f" (such as {examples})"
        sources = " and ".join(f"'{contract[name].source}'" for name in names)
        fault = (
            f"column {sources} must be unique, and {count:,} records repeat a value"
            if len(names) == 1
            else f"columns {sources} must be unique together, and {count:,} records repeat them"
        )
        raise ContractError(
            refusal(
                uri,
                fault + such_as,
                _STANDS,
                "Remove the repeated records from the source",
            ),
            records=such_as,
        )


def _typed(raw: Frame, contract: Contract, engine: Engine, schema: Any) -> Frame:
    """Add the stripped text, or else the typed value, and the parsed value of each column."""
    import narwhals.stable.v2 as nw

    stripped: dict[str, Expr] = {}
    texts: dict[str, Expr] = {}
    values: dict[str, Expr] = {}
    parsed: dict[str, DType] = {}
    zones: dict[str, str] = {}
    for column in contract.columns:
        source, found = nw.col(delta_name(column.source)), schema[delta_name(column.source)]
        text = nw.col(_TEXT + column.name)
        if _is_read_as_text(found):
            # By itself, so that Spark strips once what is looked at twice.
            stripped[_TEXT + column.name] = source.cast(nw.String).str.strip_chars(WHITESPACE)
            says = ~text.is_in(["", *column.blank]) if column.blank else text != ""
            texts[_TEXT + column.name] = nw.when(says).then(text)
            plain = replace(column, **_IN_TYPES) if found.is_decimal() else column
            values[_VALUE + column.name] = readable(text, plain)
            if column.dtype is DType.STRING and found.is_decimal():
                values[_VALUE + column.name] = whole(text)
            if column.dtype is not DType.STRING:
                parsed[_VALUE + column.name] = column.dtype
            if column.zone:
                zones[_VALUE + column.name] = column.zone
        elif column.zone and isinstance(found, nw.Datetime) and found.time_zone:
            texts[_TEXT + column.name] = source
            in_utc = source.dt.to_string(_SECONDS)
            values[_VALUE + column.name] = nw.concat_str([in_utc, nw.lit("+00:00")])
            parsed[_VALUE + column.name] = column.dtype
            zones[_VALUE + column.name] = column.zone
        else:
            texts[_TEXT + column.name] = source
            values[_VALUE + column.name] = _typed_value(source, found, column.dtype)
    frame = raw.with_columns(**stripped) if stripped else raw
    return engine.parse(frame.with_columns(**texts).with_columns(**values), parsed, zones)


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
    if isinstance(found, nw.Datetime) and dtype is DType.STRING:
        return source.dt.to_string(_SECONDS)
    return source.cast(_narwhals(dtype))


def _not_records(contract: Contract, schema: Any) -> dict[str, Expr]:
    """Which lines of a text file are not records: cut ones, totals, and notes below a table."""
    import narwhals.stable.v2 as nw

    rules = {}
    if LINE_FAULT in schema:
        rules[SHORT_LINES] = ~nw.col(LINE_FAULT).is_null()
    texts = {c.name: schema[delta_name(c.source)] == nw.String for c in contract.columns}
    others = [nw.col(_TEXT + name).is_null() for name in texts if name not in contract.key]
    for name in contract.key:
        if texts[name] and contract[name].dtype is DType.STRING and others:
            # Few records have a blank, and only their keys are looked at.
            is_cut = nw.any_horizontal(*others, ignore_nulls=True)
            of_cut = nw.when(is_cut).then(nw.col(_TEXT + name))
            rule = f"'{contract[name].source}' reads as a total of the others"
            rules[rule] = of_cut.str.contains(TOTAL)
    if contract.key and len(others) >= _FEWEST_TO_MISS and all(texts.values()):
        rules["all but the key is blank"] = nw.all_horizontal(*others, ignore_nulls=True)
    return rules


def _rules(column: Column, source: nw.dtypes.DType) -> list[tuple[str, Expr]]:
    """Each rule of a column: what it says of a record that breaks it, and which do."""
    import narwhals.stable.v2 as nw

    text, value = nw.col(_TEXT + column.name), nw.col(_VALUE + column.name)
    rules = []
    if not column.nullable:
        rules.append(("is blank", text.is_null()))
    if column.dtype is DType.STRING and (source.is_float() or source.is_decimal()):
        rules.append((NO_TEXT, ~text.is_null() & value.is_null()))
    if column.dtype is DType.INT64:
        wrong = ~text.is_null() & value.is_null()
        if source.is_float():
            number = text.cast(nw.Float64)
            wrong = ~text.is_null() & (value.is_null() | (number != value.cast(nw.Float64)))
        rules.append(("is not a whole number", wrong))
    if column.dtype is DType.FLOAT64:
        wrong = ~text.is_null() & (value.is_null() | ~value.is_finite())
        rules.append(("is not a finite number", wrong))
    if column.dtype is DType.DATE:
        formats = " or ".join(column.formats)
        rules.append((f"is not a day written as {formats}", ~text.is_null() & value.is_null()))
    if column.ge is not None:
        rules.append((f"is below {_bound(column.ge)}", value < column.ge))
    if column.le is not None:
        rules.append((f"is above {_bound(column.le)}", value > column.le))
    if column.isin is not None:
        allowed = ", ".join(str(value) for value in column.isin)
        rules.append((f"is not one of {allowed}", ~value.is_in(column.isin) & ~value.is_null()))
    return rules


def _bound(bound: float | date) -> str:
    return str(bound) if isinstance(bound, date) else f"{bound:g}"


def _narwhals(dtype: DType) -> Any:
    import narwhals.stable.v2 as nw

    return {
        DType.STRING: nw.String,
        DType.INT64: nw.Int64,
        DType.FLOAT64: nw.Float64,
        DType.DATE: nw.Date,
    }[dtype]

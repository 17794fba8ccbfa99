"""The type that a typed source's column has in raw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from churn_assets.errors import SourceError
from churn_assets.tables.engines.engine import Engine
from churn_assets.tables.sources.columns import Columns
from churn_assets.usecases.spec import delta_name

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.types import Frame

MOST_DIGITS = 38
"""Of a decimal in a Delta table."""


def raw_types(schema: pa.Schema, columns: Columns, place: str) -> dict[str, Any]:
    """Type of each column in raw, one that a Delta table holds and every engine reads."""
    types = {name: _raw_type(of) for name, of in zip(columns.names, schema.types, strict=True)}
    for (name, raw_type), of in zip(types.items(), schema.types, strict=True):
        if raw_type is None:
            raise SourceError(
                f"{place}: column '{name}' is of type {of}, which a Delta table cannot "
                "hold. Store it as text or as a number, or leave it out."
            )
    return types


def _raw_type(of: pa.DataType) -> Any:
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    if pa.types.is_dictionary(of):
        return _raw_type(of.value_type)
    if pa.types.is_list(of) or pa.types.is_large_list(of) or pa.types.is_fixed_size_list(of):
        inner = _inner_type(of.value_type)
        return inner and nw.List(inner)
    if pa.types.is_struct(of):
        fields = {delta_name(field.name): _inner_type(field.type) for field in of}
        fits = fields and None not in fields.values() and fields.keys() == set(of.names)
        return nw.Struct(fields) if fits else None
    if pa.types.is_timestamp(of):
        return nw.Datetime("us", "UTC" if of.tz else None)
    if pa.types.is_decimal(of):
        return nw.Decimal(of.precision, of.scale) if of.precision <= MOST_DIGITS else None
    types = {
        # As text, a whole number that is too large for Delta is kept, and validated like any other.
        nw.String: (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_null,
            pa.types.is_uint64,
        ),
        nw.Int64: (pa.types.is_int64, pa.types.is_unsigned_integer),
        nw.Int32: (pa.types.is_int32,),
        nw.Int16: (pa.types.is_int16,),
        nw.Int8: (pa.types.is_int8,),
        nw.Float64: (pa.types.is_float64,),
        nw.Float32: (pa.types.is_float32,),
        nw.Boolean: (pa.types.is_boolean,),
        nw.Date: (pa.types.is_date,),
        nw.Binary: (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        ),
    }
    fitting = (raw_type for raw_type, checks in types.items() if any(fits(of) for fits in checks))
    return next(fitting, None)


def _inner_type(of: pa.DataType) -> Any:
    """Likewise, within a list or a struct, where Spark cannot make timestamps of nanoseconds."""
    import pyarrow as pa

    return None if pa.types.is_timestamp(of) and of.unit == "ns" else _raw_type(of)


def as_raw(frame: Frame, types: dict[str, Any], engine: Engine) -> Frame:
    """Typed columns under their names in raw, of their types there."""
    import narwhals.stable.v2 as nw

    names = frame.collect_schema().names()
    renamed = engine.rename(frame, [*types, *names[len(types) :]])
    schema = renamed.collect_schema()
    casts = [nw.col(name).cast(of) for name, of in types.items() if schema[name] != of]
    # Spark Connect takes no empty list of them.
    return renamed.with_columns(*casts) if casts else renamed

"""How a model takes hostile but valid rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from churn_assets.errors import first_line
from churn_assets.learning.explaining.causes import Customers, sources, with_value
from churn_assets.usecases.spec import Column, DType, UseCase

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from churn_assets.types import Floats


UNKNOWN_CATEGORY = "a category that nobody has seen"
FARTHEST = 1000
"""How many times the greatest number of real rows an extreme one is."""
HOSTILE_ROWS = 20
SWEPT_ROWS, SWEPT_VALUES = 50, 20
SLIGHTEST = 1e-9
"""A smaller step of a score counts as none."""
_EVERY_INPUT = "every input"


@dataclass(frozen=True)
class Sweep:
    """What a score does as one number grows, with all that derives from it, and all else stays.

    Parameters
    ----------
    direction : int
        1 where it must never fall, -1 where it must never rise.
    values : tuple of float
        Of the number, ascending.
    scores : tuple of float
        Mean score at each.
    rows, broken : int
        How many customers were looked at, and of how many the score went the wrong way.
    worst : float
        Greatest step the wrong way.
    along : tuple of str
        Other inputs that derive from the number, and were computed anew.
    """

    direction: int
    values: tuple[float, ...]
    scores: tuple[float, ...]
    rows: int
    broken: int
    worst: float
    along: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stress:
    """How a model takes hostile but valid rows.

    Parameters
    ----------
    rows : int
        How many there were.
    error : str or None
        What it broke at, if it did.
    improbable : tuple of str
        What it answered with a score that is not a probability.
    ranges : mapping of str to (float, float)
        By input, the least and the greatest score of rows in which it was hostile.
    sweeps : mapping of str to Sweep
        By input that the use case calls monotone.
    """

    rows: int
    error: str | None = None
    improbable: tuple[str, ...] = ()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    sweeps: Mapping[str, Sweep] = field(default_factory=dict)


def stress_test(
    model: Any, inputs: pd.DataFrame, use_case: UseCase, customers: Customers | None = None
) -> Stress:
    """Let a model score hostile but valid rows, made from real ones.

    In each, one input is amiss: a category is unknown or null, a number is null or extreme, as
    far as the contract allows; and in some, every input is null. In others a column of silver is
    amiss, as far as the contract allows, and all inputs that derive from it are computed anew.

    Parameters
    ----------
    model : classifier
        What answers `predict_proba` of a DataFrame.
    inputs : DataFrame
        Model inputs of at least one customer.
    use_case : UseCase
        Names them, their contract, and what must be monotone.
    customers : Customers, optional
        Some of these customers as silver has them.
    """
    import pandas as pd

    direct = [*_cases(use_case, inputs), (_EVERY_INPUT, None)]
    cases, frame = direct, _hostile_rows(spread(inputs, HOSTILE_ROWS), use_case, direct)
    each = len(frame) // len(direct)
    if customers is not None:
        some = customers.at(_places(len(customers.silver), each))
        in_silver = list(_silver_cases(some))
        try:
            frame = pd.concat([frame, some.each(in_silver)]) if in_silver else frame
        except Exception as error:
            return Stress(len(frame), _features_broken_at(some, in_silver) or _error(error))
        cases = [*direct, *in_silver]
    try:
        scores = probabilities(model, frame).reshape(len(cases), each)
    except Exception as error:
        return Stress(len(frame), _broken_at(model, frame, cases) or _error(error))
    amiss = np.flatnonzero(~((scores >= 0) & (scores <= 1)).all(axis=1))
    if len(amiss):
        return Stress(len(frame), improbable=tuple(_name(cases[i]) for i in amiss))
    ranges: dict[str, tuple[float, float]] = {}
    for (name, _), row in zip(cases, scores, strict=True):
        low, high = ranges.get(name, (np.inf, -np.inf))
        ranges[name] = (min(low, float(row.min())), max(high, float(row.max())))
    try:
        sweeps = dict(_sweeps(model, inputs, use_case, customers))
    except Exception as error:
        return Stress(len(frame), _error(error))
    return Stress(len(frame), ranges=ranges, sweeps=sweeps)


def _cases(use_case: UseCase, inputs: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """An input, and a hostile value of it."""
    contract = {column.name: column for column in use_case.contract.columns}
    for name in use_case.numeric:
        numbers = inputs[name].to_numpy(dtype=np.float64, na_value=np.nan)
        yield from ((name, value) for value in _extremes(numbers, contract.get(name)))
        yield name, None
    for name in use_case.categorical:
        yield name, UNKNOWN_CATEGORY
        yield name, None


def _extremes(numbers: Floats, column: Column | None) -> list[float]:
    """Numbers at and far beyond the ends of the real ones, as far as the contract allows."""
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    if column is not None and column.isin is not None:
        return [float(value) for value in column.isin]
    if column is None:
        # Of a derived number nothing says the bounds, so it keeps the sign of the real ones.
        least, greatest = (None if low < 0 else 0.0), None
    else:
        # Only numbers are looked at, whose bounds are numbers.
        least, greatest = cast("float | None", column.ge), cast("float | None", column.le)
    farthest = FARTHEST * max(abs(low), abs(high), 1.0)
    return [
        value
        for value in dict.fromkeys((low, high, 0.0, farthest, -farthest))
        if (least is None or value >= least) and (greatest is None or value <= greatest)
    ]


def _hostile_rows(
    rows: pd.DataFrame, use_case: UseCase, cases: list[tuple[str, Any]]
) -> pd.DataFrame:
    """The rows again for each case, with its value in them."""
    import pandas as pd

    each = len(rows)
    columns: dict[str, NDArray[Any]] = {}
    for name in rows.columns:
        kind = np.float64 if name in use_case.numeric else object
        columns[name] = np.tile(rows[name].to_numpy(dtype=kind), len(cases))
        for i, (hostile, value) in enumerate(cases):
            if hostile in (name, _EVERY_INPUT):
                columns[name][i * each : (i + 1) * each] = value
    return pd.DataFrame(columns)


def _broken_at(model: Any, frame: pd.DataFrame, cases: list[tuple[str, Any]]) -> str | None:
    """The first case that a model cannot score, and its error."""
    each = len(frame) // len(cases)
    for i, case in enumerate(cases):
        try:
            probabilities(model, frame.iloc[i * each : (i + 1) * each])
        except Exception as error:
            return f"{_name(case)}: {_error(error)}"
    return None


def _features_broken_at(customers: Customers, cases: list[tuple[str, Any]]) -> str | None:
    """The first case that `features` cannot compute, and its error."""
    for case in cases:
        try:
            customers.each([case])
        except Exception as error:
            return f"features of {_name(case)}: {_error(error)}"
    return None


def _silver_cases(customers: Customers) -> Iterator[tuple[str, Any]]:
    """A column of silver that an input derives from, and a hostile value that is valid in it."""
    import pyarrow as pa

    contract = {column.name: column for column in customers.use_case.contract.columns}
    derived = sources(customers.use_case)
    for name in sorted({column for columns in derived.values() for column in columns}):
        column = contract.get(name)
        if column is None or name not in customers.silver.column_names:
            continue
        values, kind = customers.values(name), customers.silver.schema.field(name).type
        if column.isin is not None:
            # What `clean` may have made of the allowed values, silver has itself.
            yield from ((name, value) for value in sorted(values.dropna().unique()))
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
            numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
            whole = pa.types.is_integer(kind)
            yield from ((name, int(n) if whole else n) for n in _extremes(numbers, column))
        elif column.dtype is DType.STRING:
            yield name, UNKNOWN_CATEGORY
        if column.nullable:
            yield name, None


def _sweeps(
    model: Any, inputs: pd.DataFrame, use_case: UseCase, customers: Customers | None
) -> Iterator[tuple[str, Sweep]]:
    """What scores do as each input grows that they must be monotone in."""
    import pandas as pd
    import pyarrow as pa

    derived = {} if customers is None or not use_case.monotone else sources(use_case)
    for name, direction in use_case.monotone.items():
        numbers = inputs[name].to_numpy(dtype=np.float64, na_value=np.nan)
        finite = numbers[np.isfinite(numbers)]
        if not len(finite):
            continue
        along: tuple[str, ...] = ()
        if customers is not None and name in derived[name]:
            whole = pa.types.is_integer(customers.silver.schema.field(name).type)
            method: Any = "nearest" if whole else "linear"
            values = np.unique(np.quantile(finite, np.linspace(0, 1, SWEPT_VALUES), method=method))
            rows = customers.at(_places(len(customers.silver), SWEPT_ROWS))
            moved = rows.each([(name, int(n) if whole else n) for n in values.tolist()])
            along = tuple(one for one in derived if name in derived[one] and one != name)
        else:
            values = np.unique(np.quantile(finite, np.linspace(0, 1, SWEPT_VALUES)))
            some = spread(inputs, SWEPT_ROWS)
            moved = pd.concat([with_value(some, name, value) for value in values])
        scores = probabilities(model, moved).reshape(len(values), -1)
        steps = direction * np.diff(scores, axis=0)
        yield (
            name,
            Sweep(
                direction=direction,
                values=tuple(values.tolist()),
                scores=tuple(scores.mean(axis=1).tolist()),
                rows=scores.shape[1],
                broken=int((steps < -SLIGHTEST).any(axis=0).sum()),
                worst=float(max(0.0, -steps.min(initial=0.0))),
                along=along,
            ),
        )


def spread(inputs: pd.DataFrame, rows: int) -> pd.DataFrame:
    """So many rows at most, from first to last."""
    return inputs.iloc[_places(len(inputs), rows)]


def _places(there: int, wanted: int) -> NDArray[np.intp]:
    places: NDArray[np.intp] = np.linspace(0, there - 1, min(wanted, there)).astype(np.intp)
    return places


def probabilities(model: Any, inputs: pd.DataFrame) -> Floats:
    """Churn probability of each row."""
    return np.asarray(model.predict_proba(inputs)[:, 1], dtype=np.float64)


def _name(case: tuple[str, Any]) -> str:
    """The input of a case, and what is hostile in it."""
    name, value = case
    if value is None:
        return f"{name} null"
    if value == UNKNOWN_CATEGORY:
        return f"{name} unknown"
    return f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}"


def _error(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"

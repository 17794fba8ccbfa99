"""Which columns of silver the model inputs derive from, and what follows when one is moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import HOLDOUT
from churn_assets.tables.refine import valid_records
from churn_assets.usecases.spec import DType, UseCase

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from churn_assets.learning.explaining.contributions import Contributions
    from churn_assets.tables.lake import Committed, Table
    from churn_assets.types import Frame


def sources(use_case: UseCase) -> dict[str, frozenset[str]]:
    """The columns of silver that each model input is computed from; none where that is not known.

    `features` is not run on records: what it would read for one input alone is what the plan of the
    query asks its source for. What any row takes, such as a filter, is no input's own.

    Parameters
    ----------
    use_case : UseCase
        Whose `clean` says which columns silver has, and whose `features` is followed.
    """
    try:
        return _followed(use_case)
    except Exception:
        # A function that computes something of its records may take no table without any.
        return dict.fromkeys(use_case.inputs, frozenset())


@dataclass(frozen=True)
class Causes:
    """Whom what an input adds to a score is told of.

    Parameters
    ----------
    shares : mapping of str to mapping of str to float
        By model input, the share of each cause; they sum to 1.
    """

    shares: Mapping[str, Mapping[str, float]]

    @property
    def names(self) -> tuple[str, ...]:
        """The causes, which are model inputs as well, in the order of these."""
        used = {cause for shares in self.shares.values() for cause in shares}
        return tuple(name for name in self.shares if name in used)

    def of(self, explained: Contributions) -> Contributions:
        """What each cause adds: `base` and a row's values still add up to the log-odds."""
        place = {name: i for i, name in enumerate(self.names)}
        values = np.zeros((len(explained.values), len(place)), order="F")
        for i, name in enumerate(explained.names):
            for cause, share in self.shares[name].items():
                values[:, place[cause]] += share * explained.values[:, i]
        return replace(explained, values=values, names=self.names)


def causes(use_case: UseCase) -> Causes:
    """The columns of silver that stand for the inputs that derive from them.

    An input that derives from several is shared equally among them. A column that is no input
    itself is told by the first input that derives from it; columns like that which one input
    derives from are one cause. Where `features` cannot be followed, each input is its own cause.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs, and computes them.

    References
    ----------
    Equal shares are the Shapley value of what only takes place where all columns are known
    together: Shapley (1953), "A value for n-person games", on unanimity games.
    """
    derived = sources(use_case)
    shown = {name for name, columns in derived.items() if name in columns}
    hidden = _together(columns - shown for columns in derived.values())
    teller: dict[str, str] = {}
    # An input of hidden columns alone tells of them rather than one that has a column of its own.
    for name in sorted(derived, key=lambda name: bool(derived[name] & shown)):
        for column in derived[name] - shown:
            teller.setdefault(hidden[column], name)
    shares: dict[str, dict[str, float]] = {}
    for name, columns in derived.items():
        told = sorted(columns & shown) + sorted({teller[hidden[c]] for c in columns - shown})
        shares[name] = {}
        for cause in told or [name]:
            shares[name][cause] = shares[name].get(cause, 0.0) + 1 / max(len(told), 1)
    return Causes(shares)


@dataclass(frozen=True)
class Customers:
    """Customers as silver has them, whose inputs can be computed anew.

    Parameters
    ----------
    use_case : UseCase
        Whose `features` computes them.
    silver : Table of pyarrow
        A row for each, in the order of their keys.
    """

    use_case: UseCase
    silver: pa.Table

    def inputs(self) -> pd.DataFrame:
        """The model inputs of each customer, in this order; null where `features` drops one."""
        import narwhals.stable.v2 as nw

        engine, keys = PolarsEngine(), list(self.use_case.row_keys)
        computed = self.use_case.features(engine.from_arrow(self.silver)).select(
            *keys,
            *(nw.col(name).cast(nw.Float64) for name in self.use_case.numeric),
            *self.use_case.categorical,
        )
        rows = engine.collect(computed).to_pandas(strings_to_categorical=False)
        ordered = self.silver.select(keys).to_pandas().merge(rows, on=keys, how="left")
        return ordered[list(self.use_case.inputs)]

    def at(self, places: Sequence[int] | NDArray[np.intp]) -> Customers:
        """Some of the customers."""
        return Customers(self.use_case, self.silver.take(np.asarray(places)))

    def values(self, name: str) -> pd.Series[Any]:
        """What a column of silver holds."""
        values: pd.Series[Any] = self.silver.column(name).to_pandas()
        return values

    def moved(self, name: str, value: Any) -> pd.DataFrame:
        """The model inputs, had each customer one value in a column of silver."""
        return self.each([(name, value)])

    def each(self, cases: Sequence[tuple[str, Any]]) -> pd.DataFrame:
        """The model inputs of all customers as they are moved in one case after the other.

        Parameters
        ----------
        cases : sequence of (str, object)
            A column of silver, and the one value that it then has.
        """
        import pyarrow as pa

        copies = [self._copy(number, *case) for number, case in enumerate(cases)]
        return Customers(self.use_case, pa.concat_tables(copies)).inputs()

    def _copy(self, number: int, name: str, value: Any) -> pa.Table:
        """Silver with a column moved, and keys that no other copy has."""
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = pa.schema([field.with_nullable(True) for field in self.silver.schema])
        columns = dict(zip(schema.names, self.silver.columns, strict=True))
        key = self.use_case.keys[0]
        codes = columns[key].combine_chunks().dictionary_encode().indices
        numbers = pc.add(codes.cast(pa.int64()), number * len(self.silver))
        columns[key] = numbers.cast(schema.field(key).type)
        kind = schema.field(name).type
        columns[name] = pa.repeat(pa.scalar(value).cast(kind), len(self.silver))
        return pa.table(columns, schema=schema)


def with_value(inputs: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    """Model inputs, had each row one value in a column; `assign` takes none that is called self."""
    changed = inputs.copy()
    changed[name] = value
    return changed


def customers(
    use_case: UseCase, tables: Mapping[str, Table], features: Committed, keys: pd.DataFrame
) -> Customers | None:
    """Some test rows as silver had them when features was made; None where that is not known.

    Parameters
    ----------
    use_case : UseCase
        Names the key.
    tables : mapping of str to Table
        The use case's; a hold-out's records are in a table of their own.
    features : Committed
        The version of features that tells the version of silver.
    keys : DataFrame
        Whom; in this order they are given.
    """
    import pyarrow as pa

    held_out, version = features.reads.get(HOLDOUT), features.reads.get("silver")
    if version is None or (held_out is not None and HOLDOUT not in tables):
        return None
    engine, names = tables["silver"].engine, list(use_case.row_keys)
    whom = pa.Table.from_pandas(keys[names], preserve_index=False)
    if held_out is None:
        rows = tables["silver"].scan(version)
    else:
        judged_by = tables[HOLDOUT].state(held_out)
        assert judged_by is not None
        rows = use_case.clean(valid_records(use_case, tables[HOLDOUT], judged_by).valid)
    found = engine.collect(rows.join(engine.from_arrow(whom), on=names, how="inner"))
    order = keys[names].reset_index(drop=True).reset_index(names=_PLACE)
    placed = found.select(names).to_pandas().merge(order, on=names, how="left")[_PLACE]
    return Customers(use_case, found.take(np.argsort(placed.to_numpy(), kind="stable")))


_PLACE = "__place"


def _followed(use_case: UseCase) -> dict[str, frozenset[str]]:
    read: set[str] = set()
    features = use_case.features(_watched(_empty_silver(use_case), read))

    def needed(*columns: str) -> set[str]:
        read.clear()
        PolarsEngine().collect(features.select(*columns))
        return set(read)

    of_any = needed(*use_case.keys) | {use_case.label.column}
    found = {}
    for name in use_case.inputs:
        reads = needed(*use_case.keys, name)
        found[name] = frozenset((reads - of_any) | ({name} & reads))
    return found


def _together(groups: Iterable[frozenset[str]]) -> dict[str, str]:
    """One name for all columns that are in one group, directly or through others."""
    found: dict[str, str] = {}
    for group in groups:
        names = {found.get(column, column) for column in group}
        if not names:
            continue
        first = min(names)
        found.update(dict.fromkeys(group, first))
        found = {column: first if name in names else name for column, name in found.items()}
    return found


def _empty_silver(use_case: UseCase) -> pl.LazyFrame:
    """Silver without a record."""
    import narwhals.stable.v2 as nw
    import pyarrow as pa

    types = {
        DType.STRING: pa.string(),
        DType.INT64: pa.int64(),
        DType.FLOAT64: pa.float64(),
        DType.DATE: pa.date32(),
    }
    columns = [(column.name, types[column.dtype]) for column in use_case.contract.columns]
    records = PolarsEngine().from_arrow(pa.schema(columns).empty_table())
    silver: pl.LazyFrame = nw.to_native(use_case.clean(records))
    return silver


def _watched(frame: pl.LazyFrame, read: set[str]) -> Frame:
    """An empty frame that notes which of its columns are read."""
    import narwhals.stable.v2 as nw
    from polars.io.plugins import register_io_source

    empty = frame.collect()

    def draw(
        columns: Sequence[str] | None,
        predicate: pl.Expr | None,
        _rows: int | None,
        _batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        read.update(empty.columns if columns is None else columns)
        if predicate is not None:
            read.update(predicate.meta.root_names())
        yield empty if columns is None else empty.select(columns)

    watched: Frame = nw.from_native(register_io_source(draw, schema=empty.schema))
    return watched

"""The types that a use case is made of."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw
    import pyarrow as pa


class DType(enum.Enum):
    """The type that a column has once it is parsed."""

    STRING = "string"
    INT64 = "int64"
    FLOAT64 = "float64"


String, Int64, Float64 = DType.STRING, DType.INT64, DType.FLOAT64

_NOT_IN_TABLES = re.compile(r"[ ,;{}()\n\t=.`]")


def delta_name(name: str) -> str:
    """Name under which a source column is kept in raw.

    Delta and Parquet refuse some characters in names, and Spark takes others for its own
    quotes and separators, so they become underscores.

    >>> delta_name("booking status")
    'booking_status'
    >>> delta_name("avg.price")
    'avg_price'
    """
    return _NOT_IN_TABLES.sub("_", name)


@dataclass(frozen=True)
class Column:
    """What one column of a source must hold.

    Parameters
    ----------
    name : str
        Name from silver on, in snake_case, with its unit where that helps.
    dtype : DType
        Type from silver on.
    source : str, optional
        Name in the source; `name` by default.
    nullable : bool
        Whether a record may leave it blank.
    unique : bool
        Whether two records may not share a value.
    ge, le : float, optional
        Least and greatest allowed value, inclusive.
    isin : tuple, optional
        The allowed values.
    """

    name: str
    dtype: DType
    source: str = ""
    nullable: bool = False
    unique: bool = False
    ge: float | None = None
    le: float | None = None
    isin: tuple[str | int | float, ...] | None = None

    def __post_init__(self) -> None:
        if not self.source:
            object.__setattr__(self, "source", self.name)
        if self.isin is not None:
            object.__setattr__(self, "isin", tuple(self.isin))


class Contract:
    """The columns that a source must have, and how many records at least.

    Parameters
    ----------
    *columns : Column
        In the order that silver has them.
    min_rows : int
        Fewer records than this break the contract.
    """

    def __init__(self, *columns: Column, min_rows: int = 1) -> None:
        self.columns = columns
        self.min_rows = min_rows

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True)
class Label:
    """The column that is predicted; null where the outcome is not known yet."""

    column: str
    positive: str


@dataclass(frozen=True)
class HashSplit:
    """Split by a salted hash of the key: a customer never changes side as the table grows.

    Parameters
    ----------
    salt : str
        Two salts give unrelated splits.
    train, validation : float
        Shares of the customers; the rest is test.
    """

    salt: str
    train: float = 0.6
    validation: float = 0.2

    def __str__(self) -> str:
        return f"hash/1 salt={self.salt} train={self.train:g} validation={self.validation:g}"


Frame = Callable[["nw.LazyFrame[Any]"], "nw.LazyFrame[Any]"]
Generate = Callable[[int, int], Iterator["pa.RecordBatch"]]


@dataclass(frozen=True)
class UseCase:
    """What is predicted, for whom, from what.

    Parameters
    ----------
    name : str
        Prefix of the asset keys, name of the folder in the lake and of the model.
    key : str
        Column that names a customer.
    label : Label
        What is predicted.
    contract : Contract
        What a record must hold.
    clean : callable
        From typed, valid records to silver; a Narwhals frame function.
    features : callable
        From silver to the key, the model inputs and the label's column; likewise.
    numeric, categorical : tuple of str
        The model inputs among the columns of `features`.
    description : str
        What the model does and for whom; shown in the registry.
    generate : callable, optional
        ``generate(rows, seed)`` gives made-up source records in Arrow batches.
    risk_bands : mapping of str to float
        Least churn probability of each band, ascending from 0.
    split : HashSplit, optional
        Who is trained on and who is only judged by; salted with the name by default.
    """

    name: str
    key: str
    label: Label
    contract: Contract
    clean: Frame
    features: Frame
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    description: str
    generate: Generate | None = None
    risk_bands: Mapping[str, float] = field(
        default_factory=lambda: {"low": 0.0, "medium": 0.3, "high": 0.6}
    )
    split: HashSplit = HashSplit("")

    def __post_init__(self) -> None:
        if not self.split.salt:
            object.__setattr__(self, "split", replace(self.split, salt=self.name))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The model inputs, numeric ones first."""
        return self.numeric + self.categorical

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


@dataclass(frozen=True)
class PerCustomer:
    """An amount that differs from customer to customer: a column of `features`, times a number.

    Parameters
    ----------
    column : str
        A numeric column that the use case's `features` gives; where it is null, so is the amount,
        and an amount that is not known counts as 0.
    times : float
        What the column is multiplied by.
    """

    column: str
    times: float = 1.0


Amount = float | PerCustomer


@dataclass(frozen=True)
class BusinessCase:
    """What it is worth to contact a customer, against doing nothing.

    Parameters
    ----------
    currency : str
        Of all amounts, as ISO 4217 has it.
    customer_value : float or PerCustomer
        What is kept with a customer who would have left and is saved.
    offer_cost : float or PerCustomer
        What the offer costs where it is accepted.
    contact_cost : float or PerCustomer
        What each contact costs.
    save_rate : float
        Share of those who would leave that the offer keeps, in [0, 1].
    accept_rate : float
        Share of those who would stay anyway that take the offer, in [0, 1].
    """

    currency: str
    customer_value: Amount
    offer_cost: Amount
    contact_cost: Amount = 0.0
    save_rate: float = 0.3
    accept_rate: float = 1.0

    def __post_init__(self) -> None:
        for name in ("save_rate", "accept_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, and no share between 0 and 1")

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of `features` that the amounts come from."""
        amounts = (self.customer_value, self.offer_cost, self.contact_cost)
        return tuple(
            dict.fromkeys(amount.column for amount in amounts if isinstance(amount, PerCustomer))
        )


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
    business : BusinessCase, optional
        What a contact is worth.
    slices : tuple of str
        Columns of `features` whose groups of customers are judged apart as well, model inputs
        or not.
    monotone : mapping of str to int
        Numeric inputs of which more must never lower (1) or never raise (-1) the score.
    words : mapping of str to str
        How people call a model input, where its name with blanks does not say it.
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
    business: BusinessCase | None = None
    slices: tuple[str, ...] = ()
    monotone: Mapping[str, int] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.split.salt:
            object.__setattr__(self, "split", replace(self.split, salt=self.name))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The model inputs, numeric ones first."""
        return self.numeric + self.categorical

    def called(self, name: str) -> str:
        """A model input as people call it."""
        return self.words.get(name, name.replace("_", " "))

    @property
    def beside(self) -> tuple[str, ...]:
        """Columns of `features` that are no model inputs: for value and slices."""
        amounts = () if self.business is None else self.business.columns
        return tuple(dict.fromkeys(c for c in (*amounts, *self.slices) if c not in self.inputs))

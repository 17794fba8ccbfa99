"""From inputs to encoded columns without a data frame: one customer's, and many's."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from operator import getitem, itemgetter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from churn_assets.learning.compiling.format import Encoder, Kind, Value

if TYPE_CHECKING:
    from churn_assets.types import Floats

Row = Mapping[str, Value]
"""One customer's inputs by name."""
LARGEST = float(np.finfo(np.float32).max)
"""As `TableEncoder` keeps numbers within."""


@dataclass(frozen=True)
class Table:
    """Many customers' inputs.

    Parameters
    ----------
    rows : int
        How many customers.
    numbers : mapping of str to array of shape (rows,)
        NaN where one is not known.
    texts : mapping of str to sequence of str or None
        None where one is not known.
    """

    rows: int
    numbers: Mapping[str, Floats]
    texts: Mapping[str, Sequence[str | None]]

    @classmethod
    def of(cls, columns: Mapping[str, Any], inputs: Mapping[str, Kind]) -> Table:
        """The inputs among some columns, each a sequence or an array of one length."""
        numbers, texts = {}, {}
        for name, kind in inputs.items():
            if kind == "number":
                numbers[name] = np.asarray(columns[name], dtype=np.float64)
            else:
                texts[name] = _texts(columns[name])
        rows = len(next(iter((*numbers.values(), *texts.values())), ()))
        return cls(rows, numbers, texts)

    @classmethod
    def of_one(cls, row: Row, inputs: Mapping[str, Kind]) -> Table:
        """One customer's inputs."""
        return cls.of({name: [row[name]] for name in inputs}, inputs)


def _texts(values: Any) -> Sequence[str | None]:
    if isinstance(values, np.ndarray):
        # A null is a float there.
        return [None if value is None or _is_nan(value) else value for value in values.tolist()]
    return list(values)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and isnan(value)


class Places(dict[Value, int]):
    """The encoded column of each category; of any other, that for all others or the sink."""

    def __init__(self, places: Mapping[str, int], others: int, sink: int) -> None:
        super().__init__()
        self |= dict[Value, int](places.items())
        self[None] = sink
        self.others = others

    def __missing__(self, _: Value) -> int:
        return self.others


class Encoded:
    """Encodes as a fitted `TableEncoder` or `LinearEncoder` does.

    Parameters
    ----------
    encoder : Encoder
        What that has learnt.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.sources = encoder.sources
        self.width = len(self.sources)
        place = len(encoder.numbers)
        first_rare = place + sum(map(len, encoder.categories.values()))
        rare = {name: first_rare + i for i, name in enumerate(encoder.rare)}
        # What has no column is written behind the last one.
        self.sink = self.width
        self.places: dict[str, Places] = {}
        for name, values in encoder.categories.items():
            columns = {value: place + i for i, value in enumerate(values)}
            others = self.sink if name in encoder.rates else rare.get(name, self.sink)
            self.places[name] = Places(columns, others, self.sink)
            place += len(values)
        self._rates: list[tuple[str, int, Mapping[Value, float], float]] = []
        for name, rates in encoder.rates.items():
            by_level: dict[Value, float] = dict(zip(rates.levels, rates.odds, strict=False))
            self._rates.append((name, rare[name], by_level, rates.odds[-1]))
        self._numbers_of, self._texts_of = getter(encoder.numbers), getter([*self.places])
        self._places = list(self.places.values())
        self._first_text = len(encoder.numbers)

    def buffer(self, code: Literal["d", "f"]) -> array[float]:
        """Room for one encoded customer, in double or single precision, and for the sink."""
        return array(code, bytes(array(code).itemsize * (self.width + 1)))

    def zeros(self, code: Literal["d", "f"]) -> array[float]:
        """As many zeros as there are columns that are no numbers and the sink, for `fill`."""
        return self.buffer(code)[self._first_text :]

    def nobody(self) -> Floats:
        """A customer of whom nothing is known, encoded, of shape (1, n_encoded)."""
        numbers = {name: np.array([nan]) for name in self.encoder.numbers}
        return self.encode(Table(1, numbers, {name: [None] for name in self.places}))

    def fill(self, buffer: array[float], zeros: array[float], row: Row) -> bool:
        """Encode one customer into a buffer, of a model without bends.

        Parameters
        ----------
        buffer : array of shape (n_encoded + 1,)
            As `buffer` gives it; all of it is overwritten.
        zeros : array
            As `zeros` gives them, of the buffer's type.
        row : mapping of str to value
            The inputs.

        Returns
        -------
        bool
            Whether each number is known.
        """
        buffer[self._first_text :] = zeros
        for place in map(getitem, self._places, self._texts_of(row)):
            buffer[place] = 1.0
        for name, place, rates, default in self._rates:
            buffer[place] = rates.get(row[name], default)
        numbers = self._numbers_of(row)
        try:
            if min(numbers) >= -LARGEST and max(numbers) <= LARGEST:
                buffer[: self._first_text] = array(zeros.typecode, numbers)
                return not isnan(sum(numbers))
        except (TypeError, ValueError):
            # One of them is not known, or there are none.
            pass
        for i, value in enumerate(numbers):
            known = nan if value is None else value
            buffer[i] = known if isnan(known) else min(max(known, -LARGEST), LARGEST)
        return not any(map(isnan, buffer[: self._first_text]))

    def encode(self, table: Table) -> Floats:
        """Encode many, in column-major order, of shape (n_rows, n_encoded)."""
        encoded = np.zeros((table.rows, self.width), order="F")
        for i, name in enumerate(self.encoder.numbers):
            np.clip(table.numbers[name], -LARGEST, LARGEST, out=encoded[:, i])
        rows = np.arange(table.rows)
        for name, of_text in self.places.items():
            texts = table.texts[name]
            places = np.fromiter(map(of_text.__getitem__, texts), np.intp, table.rows)
            known = places < self.sink
            encoded[rows[known], places[known]] = 1.0
        for name, place, rates, default in self._rates:
            encoded[:, place] = [rates.get(value, default) for value in table.texts[name]]
        if self.encoder.bends is not None:
            self._bend(encoded)
        return encoded

    def _bend(self, encoded: Floats) -> None:
        """Keep numbers in their ranges, and fill in their logarithms and what exceeds knots."""
        bends = self.encoder.bends
        assert bends is not None
        place = {name: i for i, name in enumerate(self.encoder.numbers)}
        for name, (low, high) in bends.ranges.items():
            np.clip(encoded[:, place[name]], low, high, out=encoded[:, place[name]])
        i = self.width - len(bends.logs) - sum(map(len, bends.knots.values()))
        for name in bends.logs:
            encoded[:, i] = np.log1p(encoded[:, place[name]])
            i += 1
        for name, knots in bends.knots.items():
            for knot in knots:
                np.maximum(encoded[:, place[name]] - knot, 0, out=encoded[:, i])
                i += 1


def getter(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    """What takes the values of some inputs from a row, in their order."""
    if len(names) > 1:
        return itemgetter(*names)
    # Of one name it gives no tuple.
    return lambda row: tuple(row[name] for name in names)

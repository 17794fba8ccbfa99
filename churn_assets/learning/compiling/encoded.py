"""From inputs to encoded columns without a data frame: one customer's, and many's."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import copysign, isnan, nan
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
        self._numbers = list(enumerate(encoder.numbers))
        self._first_text = len(encoder.numbers)
        # By text, where its columns are, and where one is that has none of its own.
        self._texts: list[tuple[str, Callable[..., int | None], int | None]] = []
        self._rates: list[tuple[str, int, Mapping[str | None, float], float]] = []
        place = self._first_text
        first_rare = place + sum(map(len, encoder.categories.values()))
        rare = {name: first_rare + i for i, name in enumerate(encoder.rare)}
        self.places: dict[str, dict[str | None, int | None]] = {}
        for name, values in encoder.categories.items():
            places: dict[str | None, int | None] = {
                value: place + i for i, value in enumerate(values)
            }
            places[None] = None
            place += len(values)
            self.places[name] = places
            other = rare[name] if name in rare and name not in encoder.rates else None
            self._texts.append((name, places.get, other))
        for name, rates in encoder.rates.items():
            by_level: dict[str | None, float] = dict(zip(rates.levels, rates.odds, strict=False))
            self._rates.append((name, rare[name], by_level, rates.odds[-1]))

    def zeros(self, code: Literal["d", "f"]) -> array[float]:
        """As many zeros as there are columns that are no numbers, for `fill`."""
        return array(code, bytes(array(code).itemsize * (self.width - self._first_text)))

    def nobody(self) -> Floats:
        """A customer of whom nothing is known, encoded, of shape (1, n_encoded)."""
        names = [*self.encoder.numbers, *self.encoder.categories]
        numbers = {name: np.array([nan]) for name in names}
        return self.encode(Table(1, numbers, {name: [None] for name in names}))

    def fill(self, buffer: Any, zeros: array[float], row: Row) -> None:
        """Encode one customer into a buffer, of a model without bends.

        Parameters
        ----------
        buffer : writable buffer of shape (n_encoded,)
            All of it is overwritten.
        zeros : array
            As `zeros` gives them, of the buffer's type.
        row : mapping of str to value
            The inputs.
        """
        for i, name in self._numbers:
            value: Any = row[name]
            if value is None:
                buffer[i] = nan
            elif -LARGEST <= value <= LARGEST:
                buffer[i] = value
            else:
                buffer[i] = nan if isnan(value) else copysign(LARGEST, value)
        buffer[self._first_text :] = zeros
        for name, place_of, other in self._texts:
            place = place_of(row[name], other)
            if place is not None:
                buffer[place] = 1.0
        for name, place, rates, default in self._rates:
            buffer[place] = rates.get(row[name], default)  # type: ignore[arg-type]

    def encode(self, table: Table) -> Floats:
        """Encode many, in column-major order, of shape (n_rows, n_encoded)."""
        encoded = np.zeros((table.rows, self.width), order="F")
        for i, name in self._numbers:
            np.clip(table.numbers[name], -LARGEST, LARGEST, out=encoded[:, i])
        rows = np.arange(table.rows)
        for name, place_of, other in self._texts:
            found = [place_of(value, other) for value in table.texts[name]]
            # What has no column is put at the end, and taken away.
            places = np.array([-1 if place is None else place for place in found], dtype=np.intp)
            known = places >= 0
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
        place = {name: i for i, name in self._numbers}
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

"""A compiled logistic regression: of one customer by looking up, of many by arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, log1p
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.compiling.encoded import LARGEST, Encoded, Row, Table
from churn_assets.learning.compiling.format import Linear
from churn_assets.learning.explaining.adding_up import by_input
from churn_assets.learning.odds import sigmoid, sigmoid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from churn_assets.types import Floats, Indices

_Term = tuple[float, float, float]
"""Mean, scale and coefficient of an encoded column."""


@dataclass(frozen=True)
class _Number:
    """What a number adds by its value."""

    name: str
    low: float
    high: float
    unknown: float
    term: _Term
    log: _Term | None
    # Each with what it adds where the number does not exceed it.
    knots: tuple[tuple[float, _Term, float], ...]

    def __call__(self, value: float | None) -> float:
        if value is None or isnan(value):
            return self.unknown
        known = min(max(value, self.low), self.high)
        mean, scale, coefficient = self.term
        added = (known - mean) / scale * coefficient
        if self.log is not None:
            mean, scale, coefficient = self.log
            added += (log1p(known) - mean) / scale * coefficient
        for knot, (mean, scale, coefficient), at_zero in self.knots:
            if known > knot:
                added += ((known - knot) - mean) / scale * coefficient
            else:
                added += at_zero
        return added


class LinearModel:
    """Evaluates a `Linear`.

    Terms are added up by input, then over inputs: the same for one customer as for many.

    Parameters
    ----------
    part : Linear
        What a Pipeline has learnt.
    names : sequence of str
        The inputs.
    """

    def __init__(self, part: Linear, names: Sequence[str]) -> None:
        self._encoded = Encoded(part.encoder)
        self._names = list(names)
        self._medians, self._means = np.array(part.medians), np.array(part.means)
        self._scales, self._coefficients = np.array(part.scales), np.array(part.coefficients)
        self._intercept = part.intercept
        # What each column adds where nothing is known, and where it is 0 or 1.
        self._unknown, self._off, self._on = map(
            self._terms, (self._medians, np.zeros(len(self._means)), np.ones(len(self._means)))
        )
        columns: dict[str, list[int]] = {name: [] for name in self._names}
        for place, source in enumerate(self._encoded.sources):
            columns[source].append(place)
        self._adders = [self._adder(name, columns[name]) for name in self._names]

    def probability(self, row: Row) -> float:
        """The probability of one customer."""
        odds = 0.0
        for name, adds in self._adders:
            odds += adds(row[name])
        return sigmoid_of(odds + self._intercept)

    def probabilities(self, table: Table) -> Floats:
        """The probabilities of many, of shape (n_rows,)."""
        odds = np.zeros(table.rows)
        for added in self.contributions_of(table).T:
            odds += added
        return sigmoid(odds + self._intercept)

    def contributions(self, row: Row) -> Floats:
        """What each input of one customer adds, of shape (n_inputs,)."""
        return np.array([adds(row[name]) for name, adds in self._adders])

    def contributions_of(self, table: Table) -> Floats:
        """What each input adds, of shape (n_rows, n_inputs)."""
        encoded = self._encoded.encode(table)
        encoded = np.where(np.isnan(encoded), self._medians, encoded)
        return by_input(self._terms(encoded), self._encoded.sources, self._names)

    def _terms(self, encoded: Floats) -> Floats:
        """What encoded columns add, computed as the steps of the Pipeline do it."""
        terms: Floats = (encoded - self._means) / self._scales * self._coefficients
        return terms

    def _adder(self, name: str, places: list[int]) -> tuple[str, Callable[..., float]]:
        """What one input adds, as a function of its value."""
        encoder = self._encoded.encoder
        if not places:
            return name, lambda _: 0.0
        if name in encoder.numbers:
            return name, self._number(name, places)
        return name, self._text(name, np.array(places))

    def _number(self, name: str, places: list[int]) -> _Number:
        bends = self._encoded.encoder.bends
        ranges = {} if bends is None else bends.ranges
        knots = () if bends is None else bends.knots.get(name, ())
        has_log = bends is not None and name in bends.logs
        low, high = ranges.get(name, (-LARGEST, LARGEST))
        first, *others = places
        return _Number(
            name,
            low,
            high,
            _sum(self._unknown[places]),
            self._term(first),
            self._term(others[0]) if has_log else None,
            tuple(
                (knot, self._term(place), float(self._off[place]))
                for knot, place in zip(knots, others[has_log:], strict=True)
            ),
        )

    def _term(self, place: int) -> _Term:
        arrays = (self._means, self._scales, self._coefficients)
        mean, scale, coefficient = (float(array[place]) for array in arrays)
        return mean, scale, coefficient

    def _text(self, name: str, places: Indices) -> Callable[[str | None], float]:
        """A look-up that is filled as texts come that have a number of their own."""
        encoder = self._encoded.encoder
        columns, rates = self._encoded.places[name], encoder.rates.get(name)
        off, on = self._off[places], self._on[places]
        by_level = {} if rates is None else dict(zip(rates.levels, rates.odds, strict=False))
        # The last of its columns is that for rare ones.
        rare = int(places[-1])
        first = int(places[0])

        def found(text: str | None) -> float:
            terms = off.copy()
            place = columns.get(text)
            if place is not None:
                terms[place - first] = on[place - first]
            if rates is not None:
                odds = by_level.get(text, rates.odds[-1])  # type: ignore[arg-type]
                mean, scale, coefficient = self._term(rare)
                terms[-1] = (odds - mean) / scale * coefficient
            elif name in encoder.rare and place is None and text is not None:
                terms[-1] = on[-1]
            return _sum(terms)

        known: dict[str | None, float] = {}
        unknown = found(_NOBODY)
        own = {None, *columns, *by_level}

        def adds(text: str | None) -> float:
            added = known.get(text)
            if added is not None:
                return added
            if text not in own:
                return unknown
            added = known[text] = found(text)
            return added

        return adds


_NOBODY = "\0no such category\0"


def _sum(terms: Floats) -> float:
    """The sum of terms, one after the other, as `by_input` adds them up."""
    return float(np.cumsum(terms)[-1])

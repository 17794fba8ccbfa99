"""A compiled logistic regression: of one customer by looking up, of many by arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import log1p
from operator import getitem
from typing import TYPE_CHECKING

import numpy as np

from churn_assets.learning.compiling.encoded import LARGEST, Encoded, Row, Table, getter
from churn_assets.learning.compiling.format import Linear, Value
from churn_assets.learning.explaining.adding_up import blocks_of, by_input
from churn_assets.learning.odds import sigmoid, sigmoid_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from churn_assets.types import Floats, Indices

_WHOLE = (-LARGEST, LARGEST)


class _Added(dict[Value, float]):
    """What a text adds, by its value; worked out when it comes, and kept where it has its own."""

    def __init__(self, find: Callable[[Value], float], own: Iterable[Value]) -> None:
        super().__init__()
        self._find, self._own = find, {None, *own}
        self._others = find(_NOBODY)

    def __missing__(self, text: Value) -> float:
        if text not in self._own:
            return self._others
        added = self[text] = self._find(text)
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
        blocks = blocks_of(self._encoded.sources)
        places = {name: blocks.get(name, []) for name in names}
        texts = [name for name in names if name in part.encoder.categories]
        numbers = [name for name in names if name not in part.encoder.categories]
        self._numbers_of, self._texts_of = getter(numbers), getter(texts)
        self._numbers = [self._number(name, places[name]) for name in numbers]
        self._texts = [self._text(name, np.array(places[name], dtype=np.intp)) for name in texts]

    def probability(self, row: Row) -> float:
        """The probability of one customer."""
        return self._of_added(self._added(row))

    def probabilities(self, table: Table) -> Floats:
        """The probabilities of many, of shape (n_rows,)."""
        odds = np.zeros(table.rows)
        for added in self.contributions_of(table).T:
            odds += added
        return sigmoid(odds + self._intercept)

    def explained(self, row: Row) -> tuple[float, Floats]:
        """The probability, and what each input of one customer adds, of shape (n_inputs,)."""
        added = self._added(row)
        return self._of_added(added), np.array(added)

    def _of_added(self, added: Iterable[float]) -> float:
        odds = 0.0
        for one in added:
            odds += one
        return sigmoid_of(odds + self._intercept)

    def _added(self, row: Row) -> list[float]:
        """What each input adds: numbers first, as all inputs have them."""
        return [
            *(
                adds(value)
                for adds, value in zip(self._numbers, self._numbers_of(row), strict=True)
            ),
            *map(getitem, self._texts, self._texts_of(row)),
        ]

    def contributions_of(self, table: Table) -> Floats:
        """What each input adds, of shape (n_rows, n_inputs)."""
        encoded = self._encoded.encode(table)
        encoded = np.where(np.isnan(encoded), self._medians, encoded)
        return by_input(self._terms(encoded), self._encoded.sources, self._names)

    def _terms(self, encoded: Floats) -> Floats:
        """What encoded columns add, computed as the steps of the Pipeline do it."""
        terms: Floats = (encoded - self._means) / self._scales * self._coefficients
        return terms

    def _number(self, name: str, places: list[int]) -> Callable[[float | None], float]:
        """What a number adds, as a function of its value."""
        if not places:
            return lambda _: 0.0
        bends = self._encoded.encoder.bends
        low, high = (-LARGEST, LARGEST) if bends is None else bends.ranges.get(name, _WHOLE)
        has_log = bends is not None and name in bends.logs
        first, *others = places
        unknown = _sum(self._unknown[places])
        mean, scale, coefficient = self._term(first)
        log_mean, log_scale, log_coefficient = self._term(others[0] if has_log else first)
        # Each with what it adds where the number does not exceed it.
        knots = [
            (knot, *self._term(place), float(self._off[place]))
            for knot, place in zip(
                () if bends is None else bends.knots.get(name, ()), others[has_log:], strict=True
            )
        ]

        def adds(value: float | None) -> float:
            if value is None or value != value:  # noqa: PLR0124
                return unknown
            known = low if value < low else min(value, high)
            added = (known - mean) / scale * coefficient
            if has_log:
                added += (log1p(known) - log_mean) / log_scale * log_coefficient
            for knot, its_mean, its_scale, its_coefficient, at_zero in knots:
                if known > knot:
                    added += ((known - knot) - its_mean) / its_scale * its_coefficient
                else:
                    added += at_zero
            return added

        return adds

    def _term(self, place: int) -> tuple[float, float, float]:
        """Mean, scale and coefficient of an encoded column."""
        arrays = (self._means, self._scales, self._coefficients)
        mean, scale, coefficient = (float(array[place]) for array in arrays)
        return mean, scale, coefficient

    def _text(self, name: str, places: Indices) -> _Added:
        """What a text adds: its categories' columns in their order, then that for rare ones."""
        if not len(places):
            return _Added(lambda _: 0.0, ())
        encoder, columns = self._encoded.encoder, self._encoded.places[name]
        rates, off, on = encoder.rates.get(name), self._off[places], self._on[places]
        by_level: dict[Value, float] = (
            {} if rates is None else dict(zip(rates.levels, rates.odds, strict=False))
        )
        where = {place: i for i, place in enumerate(places.tolist())}
        mean, scale, coefficient = self._term(int(places[-1]))

        def find(text: Value) -> float:
            terms = off.copy()
            place = columns[text]
            if place in where:
                terms[where[place]] = on[where[place]]
            if rates is not None:
                odds = by_level.get(text, rates.odds[-1])
                terms[-1] = (odds - mean) / scale * coefficient
            return _sum(terms)

        return _Added(find, [*columns, *by_level])


_NOBODY = "\0no such category\0"


def _sum(terms: Floats) -> float:
    """The sum of terms, one after the other, as `by_input` adds them up."""
    return float(np.cumsum(terms)[-1])

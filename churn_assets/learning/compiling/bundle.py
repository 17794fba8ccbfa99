"""A compiled model that answers: scores, decisions, reasons and values, as batch gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.encoded import Row, Table
from churn_assets.learning.compiling.format import Amount, Golden, Manifest, Value, read
from churn_assets.learning.compiling.model import Model, model_of
from churn_assets.learning.explaining.adding_up import summed
from churn_assets.learning.explaining.wording import reason, strengths, subject_text
from churn_assets.learning.odds import (
    band_of,
    net_value,
    told_score,
    told_scores,
    told_value,
)

if TYPE_CHECKING:
    from churn_assets.types import Floats

TOLERANCE = 1.001e-12
"""Scores have twelve decimals; the last bits of a sum may turn the last of them over."""
_REMEMBERED = 20_000
"""Values whose words are kept."""


def load(folder: Path, digest: str | None = None) -> Bundle:
    """A bundle that answers as it did when it was compiled.

    Parameters
    ----------
    folder : Path
        Where its files lie.
    digest : str, optional
        What they must have, as the registry or the record of promotions has it.

    Raises
    ------
    BundleError
        Where its files are not those that were registered, its format is not known, what it needs
        is not installed, or it answers its golden rows otherwise than it did.
    """
    manifest, files = read(folder, digest)
    bundle = Bundle(manifest, model_of(manifest.model, files, manifest.inputs))
    for number, golden in enumerate(manifest.golden):
        fault = bundle.fault(golden)
        if fault:
            raise BundleError(
                f"{folder}: made-up customer {number} is not answered as when the model was "
                f"compiled: {fault}. Install the versions that it was made with "
                f"({', '.join(f'{name} {one}' for name, one in manifest.made_with.items())})."
            )
    return bundle


class Bundle:
    """A compiled model.

    Parameters
    ----------
    manifest : Manifest
        What is known of it.
    model : Model
        What evaluates it.
    """

    def __init__(self, manifest: Manifest, model: Model) -> None:
        self.manifest = manifest
        self._model = model
        self._threshold = manifest.threshold
        self._bands = tuple(manifest.risk_bands)
        self._floors = tuple(manifest.risk_bands.values())
        names = list(manifest.inputs)
        told = {cause for shares in manifest.causes.values() for cause in shares}
        self._causes = [name for name in names if name in told]
        shares = [
            (names.index(name), self._causes.index(cause), share)
            for name in names
            for cause, share in manifest.causes[name].items()
        ]
        self._by_input = np.array([place for place, _, _ in shares], dtype=np.intp)
        self._by_cause = np.array([place for _, place, _ in shares], dtype=np.intp)
        self._shares = np.array([share for _, _, share in shares])
        self._subject = lru_cache(_REMEMBERED)(self._worded)

    @property
    def causes(self) -> tuple[str, ...]:
        """The inputs that reasons name, in the order of `contributions`."""
        return tuple(self._causes)

    def score(self, row: Row) -> float:
        """The score of one customer.

        Parameters
        ----------
        row : mapping of str to float, str or None
            All inputs by name.
        """
        return told_score(self._model.probability(row))

    def scores(self, columns: Mapping[str, Any]) -> Floats:
        """The scores of many customers, of shape (n_customers,).

        Parameters
        ----------
        columns : mapping of str to sequence or array of shape (n_customers,)
            All inputs by name.
        """
        return told_scores(self._model.probabilities(self._table(columns)))

    def decide(self, score: float) -> bool:
        """Whether a score counts as positive."""
        return score >= self._threshold

    def band(self, score: float) -> str:
        """The risk band of a score."""
        return self._bands[band_of(self._floors, score)]

    def value(self, score: float, amounts: Mapping[str, Any]) -> float | None:
        """What contacting a customer is worth; None without a business case, or where not known.

        Parameters
        ----------
        score : float
            As `score` gives it.
        amounts : mapping of str to float or None
            The columns of `manifest.business`, among the inputs or beside them; what is not there
            is not known.
        """
        case = self.manifest.business
        if case is None:
            return None
        return told_value(
            net_value(
                score,
                _amount(case.customer_value, amounts),
                _amount(case.offer_cost, amounts),
                _amount(case.contact_cost, amounts),
                case.save_rate,
                case.accept_rate,
            )
        )

    def contributions(self, row: Row) -> Floats:
        """What each of `causes` adds to the log-odds of one customer, of shape (n_causes,)."""
        return self._by_causes(self._model.explained(row)[1])

    def contributions_of(self, columns: Mapping[str, Any]) -> Floats:
        """The same of many customers, of shape (n_customers, n_causes)."""
        by_input = self._model.contributions_of(self._table(columns))
        added = np.zeros((len(by_input), len(self._causes)), order="F")
        for source, cause, share in zip(self._by_input, self._by_cause, self._shares, strict=True):
            added[:, cause] += share * by_input[:, source]
        return added

    def reasons(self, row: Row, most: int = 3) -> list[str | None]:
        """The strongest contributions to one customer's score, in words.

        Parameters
        ----------
        row : mapping of str to float, str or None
            All inputs by name.
        most : int
            How many.

        Returns
        -------
        list of str or None
            So many, the strongest first; None where no other input moves the odds.
        """
        return self._told(row, self.contributions(row), most) if most else []

    def answer(self, row: Row, most: int = 3) -> tuple[float, list[str | None]]:
        """The score and the reasons of one customer, sooner than one after the other.

        The parameters are those of `reasons`.
        """
        if most == 0:
            return self.score(row), []
        probability, by_input = self._model.explained(row)
        return told_score(probability), self._told(row, self._by_causes(by_input), most)

    def reasons_of(self, columns: Mapping[str, Any], most: int = 3) -> list[list[str | None]]:
        """The same of many customers: a list for each."""
        table = self._table(columns)
        if most == 0:
            return [[] for _ in range(table.rows)]
        added = self.contributions_of(columns)
        left, rows = strengths(added), np.arange(table.rows)
        values = {
            **{name: numbers.tolist() for name, numbers in table.numbers.items()},
            **table.texts,
        }
        told: list[list[str | None]] = [[] for _ in range(table.rows)]
        for _ in range(min(most, len(self._causes))):
            places = left.argmax(axis=1)
            amounts = added[rows, places].tolist()
            left[rows, places] = -1
            for i, place in enumerate(places.tolist()):
                name = self._causes[place]
                told[i].append(reason(self._subject(name, values[name][i]), amounts[i]))
        return [one + [None] * (most - len(one)) for one in told]

    def fault(self, golden: Golden) -> str:
        """What of a made-up customer is not answered as it was, in words; empty where all is."""
        inputs, asked = golden.inputs, len(golden.reasons)
        columns = {name: [value] for name, value in inputs.items()}
        alone, in_table = self.score(inputs), float(self.scores(columns)[0])
        found = {
            "score": (golden.score, *_near(golden.score, alone, in_table)),
            "decision": (golden.decision, self.decide(alone)),
            "risk band": (golden.band, self.band(alone)),
            "value": (golden.value, self.value(golden.score, {**inputs, **golden.amounts})),
            "reasons": (
                list(golden.reasons),
                self.reasons(inputs, asked),
                self.reasons_of(columns, asked)[0],
            ),
        }
        return "; ".join(
            f"its {what} is {next(one for one in now if one != before)} and was {before}"
            for what, (before, *now) in found.items()
            if any(one != before for one in now)
        )

    def _by_causes(self, by_input: Floats) -> Floats:
        shares = self._shares * by_input.take(self._by_input)
        return summed(shares, self._by_cause, len(self._causes))

    def _told(self, row: Row, added: Floats, most: int) -> list[str | None]:
        """The strongest contributions in words, as many as are asked for."""
        left = strengths(added)
        told: list[str | None] = []
        for _ in range(min(most, len(self._causes))):
            place = left.argmax()
            left[place] = -1
            name = self._causes[place]
            told.append(reason(self._subject(name, row[name]), added.item(place)))
        return told + [None] * (most - len(told))

    def _table(self, columns: Mapping[str, Any]) -> Table:
        return Table.of(columns, self.manifest.inputs)

    def _worded(self, name: str, value: Value) -> str:
        return subject_text(self.manifest.called[name], name, value)


def _near(before: float, *now: float) -> Sequence[float]:
    """Scores, of which those that are as good as an earlier one are that."""
    return [before if abs(one - before) <= TOLERANCE else one for one in now]


def _amount(amount: Amount, amounts: Mapping[str, Any]) -> float:
    """An amount of one customer; NaN where it is not a finite number."""
    if amount.column is None:
        return amount.times
    value = amounts.get(amount.column)
    if value is None or value - value != 0:
        return float("nan")
    return float(value) * amount.times

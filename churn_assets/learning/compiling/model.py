"""What a bundle's model is evaluated by: a class for each kind of part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np

from churn_assets.learning.compiling import format
from churn_assets.learning.compiling.encoded import Encoded, Row, Table
from churn_assets.learning.compiling.format import Part
from churn_assets.learning.compiling.libraries import lightgbm, xgboost
from churn_assets.learning.compiling.linear import LinearModel
from churn_assets.learning.compiling.shapley import LookUp, tables_in
from churn_assets.learning.explaining.adding_up import (
    blocks_of,
    by_input,
    completed,
    summed,
    walk,
)
from churn_assets.learning.explaining.tree_shap import look_up
from churn_assets.learning.odds import (
    averaged,
    log_odds,
    log_odds_of,
    recalibrated,
    sigmoid,
    sigmoid_of,
)

if TYPE_CHECKING:
    from churn_assets.types import Floats

_Kept = TypeVar("_Kept")


class Model(Protocol):
    """Evaluates a part of a bundle: one customer, or many."""

    def probability(self, row: Row) -> float:
        """The probability of one customer, before it is rounded."""

    def probabilities(self, table: Table) -> Floats:
        """The probabilities of many, of shape (n_rows,)."""

    def explained(self, row: Row) -> tuple[float, Floats]:
        """The probability, and what each input adds to the log-odds, of shape (n_inputs,)."""

    def contributions_of(self, table: Table) -> Floats:
        """What each input adds, of shape (n_rows, n_inputs)."""


def model_of(part: Part, files: Mapping[str, bytes], inputs: Mapping[str, format.Kind]) -> Model:
    """What evaluates a part, by the files that it names.

    Parameters
    ----------
    part : Part
        Of the manifest.
    files : mapping of str to bytes
        The bundle's, by name.
    inputs : mapping of str to kind
        The inputs, in their order.

    Raises
    ------
    BundleError
        Where a library that it needs is not installed.
    """
    if isinstance(part, format.Linear):
        return LinearModel(part, list(inputs))
    if isinstance(part, format.Trees):
        return TreesModel(part, files, inputs)
    if isinstance(part, format.XGBoost):
        return XGBoostModel(part, files, inputs)
    if isinstance(part, format.Blend):
        return BlendModel([model_of(member, files, inputs) for member in part.members])
    if isinstance(part, format.Recalibrated):
        return RecalibratedModel(model_of(part.base, files, inputs), part.slope, part.intercept)
    # Imported for such a bundle alone: it brings pandas and scikit-learn.
    from churn_assets.learning.compiling.stored import StoredPipeline

    return StoredPipeline(part, files, inputs)


class TreesModel:
    """Evaluates `Trees` by LightGBM's library."""

    def __init__(
        self, part: format.Trees, files: Mapping[str, bytes], inputs: Mapping[str, format.Kind]
    ) -> None:
        self._encoded = encoded = Encoded(part.encoder)
        self._inputs = inputs
        self._booster = lightgbm.Booster(files[part.file], encoded.width, single=part.single)
        self._gives_odds = part.gives == "log-odds"
        self._place = np.array(
            [list(inputs).index(name) for name in encoded.sources], dtype=np.intp
        )
        self._reasons = part.reasons
        tables = tables_in(files, part.file) if part.reasons == "tables" else []
        self._tables, self._look_up = tables, LookUp(tables, encoded.width)
        self._code: Literal["d", "f"] = "f" if part.single else "d"
        self._zeros = encoded.zeros(self._code)
        # A thread takes one that is free, and gives it back.
        self._free = [self._one()]
        self._free_explained: list[lightgbm.One] = []

    def probability(self, row: Row) -> float:
        """As `Model` has it."""
        one = _taken(self._free, self._one)
        self._encoded.fill(one.buffer, self._zeros, row)
        found = one.number()
        self._free.append(one)
        return sigmoid_of(found) if self._gives_odds else found

    def probabilities(self, table: Table) -> Floats:
        """As `Model` has it."""
        return self._of_encoded(self._encoded.encode(table))

    def explained(self, row: Row) -> tuple[float, Floats]:
        """As `Model` has it."""
        if self._reasons == "walk":
            return self.probability(row), self.contributions_of(Table.of_one(row, self._inputs))[0]
        if self._reasons == "tables":
            one = _taken(self._free, self._one)
            is_known = self._encoded.fill(one.buffer, self._zeros, row)
            probability = one.number()
            added = self._look_up(one.row, is_known=is_known)
            self._free.append(one)
        else:
            probability = self.probability(row)
            one = _taken(self._free_explained, lambda: self._one(lightgbm.CONTRIBUTIONS))
            self._encoded.fill(one.buffer, self._zeros, row)
            added = one.numbers()[:-1]
            self._free_explained.append(one)
        return probability, summed(added, self._place, len(self._inputs))

    def contributions_of(self, table: Table) -> Floats:
        """As `Model` has it."""
        encoded = self._encoded.encode(table)
        if self._reasons == "tables":
            added = look_up(self._tables, encoded)
        elif self._reasons == "library":
            added = self._booster.many(encoded, lightgbm.CONTRIBUTIONS)[:, :-1]
        else:
            nobody = self._encoded.nobody()
            blocks = blocks_of(self._encoded.sources)
            _, added = walk(encoded, nobody, blocks, lambda rows: log_odds(self._of_encoded(rows)))
        return by_input(added, self._encoded.sources, list(self._inputs))

    def _one(self, asked: int = lightgbm.PROBABILITY) -> lightgbm.One:
        return self._booster.one(self._encoded.buffer(self._code), asked)

    def _of_encoded(self, encoded: Floats) -> Floats:
        found = self._booster.many(encoded)
        return sigmoid(found) if self._gives_odds else found


class XGBoostModel:
    """Evaluates `XGBoost` by its library."""

    def __init__(
        self, part: format.XGBoost, files: Mapping[str, bytes], inputs: Mapping[str, format.Kind]
    ) -> None:
        self._encoded = Encoded(part.encoder)
        self._inputs = inputs
        self._booster = xgboost.Booster(files[part.file])
        self._zeros = self._encoded.zeros("d")
        self._free = [self._one()]

    def probability(self, row: Row) -> float:
        """As `Model` has it."""
        one = _taken(self._free, self._one)
        self._encoded.fill(one.buffer, self._zeros, row)
        found = one.number()
        self._free.append(one)
        return found

    def probabilities(self, table: Table) -> Floats:
        """As `Model` has it."""
        return self._booster.many(self._encoded.encode(table))

    def explained(self, row: Row) -> tuple[float, Floats]:
        """As `Model` has it."""
        return self.probability(row), self.contributions_of(Table.of_one(row, self._inputs))[0]

    def contributions_of(self, table: Table) -> Floats:
        """As `Model` has it."""
        encoded = self._encoded.encode(table)
        odds = log_odds(self._booster.many(encoded))
        _, added = completed(self._booster.shares(encoded), odds)
        return by_input(added, self._encoded.sources, list(self._inputs))

    def _one(self) -> xgboost.One:
        return self._booster.one(self._encoded.buffer("d"), self._encoded.width)


class BlendModel:
    """The mean of several models' log-odds."""

    def __init__(self, members: Sequence[Model]) -> None:
        self._members = members

    def probability(self, row: Row) -> float:
        """As `Model` has it."""
        odds = 0.0
        for member in self._members:
            odds += log_odds_of(member.probability(row))
        return sigmoid_of(odds / len(self._members))

    def probabilities(self, table: Table) -> Floats:
        """As `Model` has it."""
        return averaged([member.probabilities(table) for member in self._members])

    def explained(self, row: Row) -> tuple[float, Floats]:
        """As `Model` has it."""
        odds, added = 0.0, []
        for member in self._members:
            probability, values = member.explained(row)
            odds += log_odds_of(probability)
            added.append(values)
        return sigmoid_of(odds / len(self._members)), _mean(added)

    def contributions_of(self, table: Table) -> Floats:
        """As `Model` has it."""
        return _mean([member.contributions_of(table) for member in self._members])


class RecalibratedModel:
    """A model whose log-odds are put on a line."""

    def __init__(self, base: Model, slope: float, intercept: float) -> None:
        self._base, self._slope, self._intercept = base, slope, intercept

    def probability(self, row: Row) -> float:
        """As `Model` has it."""
        return sigmoid_of(self._slope * log_odds_of(self._base.probability(row)) + self._intercept)

    def probabilities(self, table: Table) -> Floats:
        """As `Model` has it."""
        return recalibrated(self._base.probabilities(table), self._slope, self._intercept)

    def explained(self, row: Row) -> tuple[float, Floats]:
        """As `Model` has it."""
        probability, added = self._base.explained(row)
        odds = self._slope * log_odds_of(probability) + self._intercept
        return sigmoid_of(odds), self._slope * added

    def contributions_of(self, table: Table) -> Floats:
        """As `Model` has it."""
        return self._slope * self._base.contributions_of(table)


def _taken(free: list[_Kept], make: Callable[[], _Kept]) -> _Kept:
    """One that no other thread has, made where none is free."""
    try:
        return free.pop()
    except IndexError:
        return make()


def _mean(parts: Sequence[Floats]) -> Floats:
    mean: Floats = sum(parts[1:], start=parts[0]) / len(parts)
    return mean

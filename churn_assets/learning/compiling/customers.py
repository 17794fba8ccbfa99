"""Made-up customers for a compiled model: likely ones to keep with it, and hostile ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.compiling.parts import Parts

if TYPE_CHECKING:
    import pyarrow as pa

    from churn_assets.usecases.spec import UseCase

Columns = dict[str, list[Any]]
_MOST_EDGES = 400
_EXTREME: tuple[float | None, ...] = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 1e-9, -1e-9, 5e-324, 1e6, 999_999.5, 1e12, 2.0**53),
    *(3.5e38, -3.5e38, 1e300, -1e300, 1.7e308, float("inf"), float("-inf"), float("nan"), None),
)
_ODD: tuple[str | None, ...] = (
    *("", " ", "nan", "None", "null", "0", "1", "no such thing", "'; --", "a\nb", "\t", "\u200b"),
    *("Barter, 'weekly' \U0001f40c", "\u0395\u03bb\u03bb\u03ac\u03c2", "e\u0301", "\u202eabc"),
    *("\U0001f468\u200d\U0001f469\u200d\U0001f467", "x" * 3000, "\u0130stanbul", "a\x00b", None),
)
_EXTREME_SHARE, _UNKNOWN_SHARE = 0.15, 0.05
_FIGURES = 1000.0
"""What an amount is up to of which a model tells nothing."""


@dataclass(frozen=True)
class Invention:
    """Makes up customers of a use case by what a model tells of its inputs.

    Parameters
    ----------
    use_case : UseCase
        As the model was trained.
    parts : Parts
        What the model is made of.
    """

    use_case: UseCase
    parts: Parts

    @property
    def amounts(self) -> tuple[str, ...]:
        """The numbers beside the inputs that a contact's value needs."""
        business = self.use_case.business
        columns = () if business is None else business.columns
        return tuple(name for name in columns if name not in self.use_case.inputs)

    def likely(self, rows: int, seed: int = 0) -> Columns:
        """Customers of known categories, and of numbers in the range where the model turns."""
        rng = np.random.default_rng((seed, 1))
        found: Columns = {}
        for name in self.use_case.numeric:
            edges = self._edges(name)
            low, high = (edges[0], edges[-1]) if len(edges) else (0.0, 1.0)
            if 0 < low <= high < 1:
                # A flag is decided by something between its values.
                found[name] = rng.integers(0, 2, rows).astype(float).tolist()
            else:
                found[name] = np.round(rng.uniform(low, high, rows), 2).tolist()
        for name in self.use_case.categorical:
            known: list[str | None] = [*self._known(name)] or [None]
            found[name] = [known[place] for place in rng.integers(0, len(known), rows)]
        for name in self.amounts:
            found[name] = np.round(rng.uniform(0, _FIGURES, rows), 2).tolist()
        return found

    def hostile(self, rows: int, seed: int = 0) -> Columns:
        """Customers at the turns of the model, unknown, infinite, extreme or never heard of."""
        rng = np.random.default_rng((seed, 2))
        found = self.likely(rows, seed)
        for name in (*self.use_case.numeric, *self.amounts):
            edges = self._edges(name)
            if len(edges):
                beside = np.nextafter(edges, rng.choice([-np.inf, np.inf], len(edges)))
                turns = np.concatenate([edges, beside]).tolist()
                found[name] = _mixed(rng, found[name], turns, 1 / 3)
            found[name] = _mixed(rng, found[name], _EXTREME, _EXTREME_SHARE)
        for name in self.use_case.categorical:
            known = self._known(name)
            changed = [f"{value} " for value in known] + [value.swapcase() for value in known]
            found[name] = _mixed(rng, found[name], changed or _ODD, _UNKNOWN_SHARE)
            found[name] = _mixed(rng, found[name], _ODD, _EXTREME_SHARE)
        # Nobody is who is known by nothing.
        for name in found:
            found[name][0] = None
        return found

    def batch(self, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
        """Made-up customers as a scorer takes them, with keys and a side that are made up too."""
        import pyarrow as pa

        rows = len(next(iter(columns.values())))
        keys = [f"made-up {i}" for i in range(rows)]
        numbers = {*self.use_case.numeric, *self.amounts}
        return pa.RecordBatch.from_pydict(
            {
                **{name: pa.array(keys) for name in self.use_case.keys},
                **{
                    name: pa.array(values, pa.float64() if name in numbers else pa.string())
                    for name, values in columns.items()
                },
                "split": pa.array(["test"] * rows),
            }
        )

    @property
    def known(self) -> dict[str, list[str]]:
        """The categories of each input that the model has learnt."""
        return {name: self._known(name) for name in self.use_case.categorical}

    def _edges(self, name: str) -> Any:
        edges = np.array(sorted(self.parts.edges.get(name, ())))
        if len(edges) > _MOST_EDGES:
            edges = edges[np.linspace(0, len(edges) - 1, _MOST_EDGES).astype(int)]
        return edges

    def _known(self, name: str) -> list[str]:
        known: dict[str, None] = {}
        for encoder in self.parts.encoders:
            known |= dict.fromkeys(encoder.categories.get(name, ()))
            if name in encoder.rates:
                known |= dict.fromkeys(encoder.rates[name].levels)
        return list(known)


def _mixed(
    rng: np.random.Generator, values: list[Any], others: Sequence[Any], share: float
) -> list[Any]:
    """Values, of which a share is another's."""
    chosen = rng.random(len(values)) < share
    places = rng.integers(0, len(others), len(values))
    return [
        others[place] if is_other else value
        for value, place, is_other in zip(values, places, chosen, strict=True)
    ]

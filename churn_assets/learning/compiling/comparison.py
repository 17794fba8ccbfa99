"""Whether a bundle answers as the Pipeline that it was compiled from, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.compiling.bundle import TOLERANCE, Bundle

if TYPE_CHECKING:
    import pyarrow as pa

    Scorer = Callable[[pa.RecordBatch], pa.RecordBatch]

REASONS = ("reason_1", "reason_2", "reason_3")
"""As predictions have them."""


@dataclass(frozen=True)
class Comparison:
    """How far a bundle's answers are from those of batch.

    Parameters
    ----------
    rows : int
        How many customers were compared.
    score : float
        Greatest difference of a score.
    scores, decisions, bands, values, reasons : int
        How many customers have another one: scores that are further off than the last decimal.
    """

    rows: int = 0
    score: float = 0.0
    scores: int = 0
    decisions: int = 0
    bands: int = 0
    values: int = 0
    reasons: int = 0

    @property
    def faults(self) -> str:
        """What differs, in words; empty where nothing does."""
        counts = {
            name: getattr(self, name)
            for name in ("scores", "decisions", "bands", "values", "reasons")
        }
        told = [f"{count:,} {name}" for name, count in counts.items() if count]
        return f"{', '.join(told)} of {self.rows:,} customers differ" if told else ""

    def __add__(self, other: Comparison) -> Comparison:
        """Both together."""
        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in self.__dataclass_fields__
            if name != "score"
        }
        return Comparison(score=max(self.score, other.score), **sums)


def compare(bundle: Bundle, batch: pa.RecordBatch, scorer: Scorer) -> Comparison:
    """Ask of some customers one by one, all at once, and as batch does.

    Parameters
    ----------
    bundle : Bundle
        Whose answers are judged.
    batch : RecordBatch
        Customers as features has them.
    scorer : callable
        As batch scores them, by the Pipeline.
    """
    expected = scorer(batch).to_pydict()
    names = bundle.manifest.inputs
    business = bundle.manifest.business
    amounts = () if business is None else business.columns
    columns = {name: batch[name].to_pylist() for name in dict.fromkeys((*names, *amounts))}
    customers = zip(*columns.values(), strict=True)
    rows = [dict(zip(columns, values, strict=True)) for values in customers]
    truth = np.array(expected["churn_probability"])
    answers = [bundle.answer(row, len(REASONS)) for row in rows]
    scores = [
        bundle.scores(columns),
        np.array([bundle.score(row) for row in rows]),
        np.array([score for score, _ in answers]),
    ]
    off = np.max([np.abs(found - truth) for found in scores], axis=0)
    told = [score.tolist() for score in scores]
    values = map(bundle.value, truth.tolist(), rows)
    why = [list(one) for one in zip(*(expected[name] for name in REASONS), strict=True)]
    reasons = [
        bundle.reasons_of(columns, len(REASONS)),
        [why for _, why in answers],
    ]
    return Comparison(
        rows=len(rows),
        score=float(off.max(initial=0.0)),
        # A comparison with what is no number is false.
        scores=int((~(off <= TOLERANCE)).sum()),
        decisions=_unlike(expected["decision"], *(map(bundle.decide, one) for one in told)),
        bands=_unlike(expected["risk_band"], *(map(bundle.band, one) for one in told)),
        # In all digits; what is no number is like itself.
        values=_unlike(
            map(repr, expected.get("expected_value", [None] * len(rows))), map(repr, values)
        ),
        reasons=_unlike(why, *reasons),
    )


def _unlike(expected: Iterable[Any], *found: Iterable[Any]) -> int:
    """How many customers are answered otherwise, in any of the ways to ask."""
    return sum(
        any(one != before for one in now) for before, *now in zip(expected, *found, strict=True)
    )

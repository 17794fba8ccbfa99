"""What the guard of a Challenger watches, and when it takes the Challenger back: a pure function.

Five quantities are watched at each step of a ramp, or of a canary or A/B test, beside the Champion
on the customers of the same split and the same time:

=========  ===================================================================  =================
quantity   outcome of a customer in a step                                      harm
=========  ===================================================================  =================
errors     whether any of its calls failed (5xx)                                more than margin
latency    whether any answer took longer than the limit                        more than margin
score      the first score                                                      another mean
decisions  whether the first decision was positive                              another share
brier      squared error of the first score, where the label is known by now    more than margin
=========  ===================================================================  =================

A customer counts once in a step, so one that calls a thousand times is no thousand witnesses. The
steps of the share 1 are not watched: there is nobody to compare with. `alpha` is shared evenly
among quantities and watched steps, so that over a whole ramp of equal models the chance of a return
is at most `alpha`, at however many looks (`benchmarks/guard.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from churn_assets.serving.traffic.sequences import interval, log_evidence
from churn_assets.types import Floats

BINS = 50
"""Of scores and squared errors, which are counted by their place among them."""
_BINARY = (0.0, 1.0)
_BINNED = tuple((place + 0.5) / BINS for place in range(BINS))
_ANY_RATE = (0.1, 0.3, 0.6)


@dataclass(frozen=True)
class Quantity:
    """Something that is watched.

    Parameters
    ----------
    name : str
        What it is called in settings, evidence and metrics.
    says : str
        What its mean is, in words.
    values : tuple of float
        What the outcome of a customer can be.
    centres : tuple of float
        As `log_evidence` takes them.
    both : bool
        Whether less is harm as well.
    """

    name: str
    says: str
    values: tuple[float, ...] = _BINARY
    centres: tuple[float, ...] = (0.0,)
    both: bool = False

    def counts(self, outcomes: Floats) -> Floats:
        """How many customers had each outcome, of their outcomes in [0, 1].

        >>> QUANTITIES["errors"].counts(np.array([0.0, 1, 0])).tolist()
        [2.0, 1.0]
        """
        places = np.minimum((outcomes * len(self.values)).astype(int), len(self.values) - 1)
        return np.bincount(places, minlength=len(self.values)).astype(float)


QUANTITIES = {
    one.name: one
    for one in (
        Quantity("errors", "customers with a failed call"),
        Quantity("latency", "customers with a slow answer"),
        Quantity("score", "mean score", _BINNED, _ANY_RATE, both=True),
        Quantity("decisions", "positive decisions", centres=_ANY_RATE, both=True),
        Quantity("brier", "Brier score", _BINNED, (0.05, 0.2)),
    )
}
"""All that is watched, by name."""


@dataclass(frozen=True)
class Rules:
    """What a Challenger may differ by, and how sure the guard must be.

    Parameters
    ----------
    alpha : float
        Greatest chance of a return over a whole ramp of equal models.
    latency_ms : float
        From which an answer is slow.
    margins : mapping of str to float
        Of each quantity by name, the difference of means that is no harm.
    """

    alpha: float
    latency_ms: float
    margins: Mapping[str, float]


Counts = Mapping[str, Floats]
"""Of each quantity by name, how many customers had each outcome; none where nothing is known."""


@dataclass(frozen=True)
class Step:
    """What is known of both variants at one share of the customers.

    Parameters
    ----------
    share : float
        The Challenger's, in (0, 1).
    challenger, champion : mapping of str to array of shape (n_values,)
        Of each quantity, how many of their customers had each outcome.
    """

    share: float
    challenger: Counts
    champion: Counts


@dataclass(frozen=True)
class Finding:
    """One quantity at one step.

    Parameters
    ----------
    quantity : str
        Its name.
    share : float
        Of the customers that the Challenger answered.
    challenger, champion : float
        The means.
    customers : tuple of int
        How many of each they are of.
    low, high : float
        Confidence sequence of the difference.
    margin : float
        What it may be.
    evidence, needed : float
        The fortune against the margin, and from where on that is harm.
    """

    quantity: str
    share: float
    challenger: float
    champion: float
    customers: tuple[int, int]
    low: float
    high: float
    margin: float
    evidence: float
    needed: float

    @property
    def is_harm(self) -> bool:
        """Whether the difference is beyond its margin, whatever chance may do."""
        return self.evidence >= self.needed

    @property
    def words(self) -> str:
        """What was found, in a clause."""
        ours, theirs = self.customers
        return (
            f"{QUANTITIES[self.quantity].says} {self.challenger:.3g} against the Champion's "
            f"{self.champion:.3g} (difference {self.low:.3g} to {self.high:.3g}, margin "
            f"{self.margin:g}; {ours:,} and {theirs:,} customers at share {self.share:g})"
        )


@dataclass(frozen=True)
class Verdict:
    """What the guard makes of all that is known.

    Parameters
    ----------
    findings : tuple of Finding
        Of each quantity and step of which anything is known.
    alpha : float
        Over the whole ramp.
    """

    findings: tuple[Finding, ...]
    alpha: float

    @property
    def harms(self) -> tuple[Finding, ...]:
        """What speaks for taking the Challenger back."""
        return tuple(finding for finding in self.findings if finding.is_harm)

    @property
    def why(self) -> str:
        """What harm was found, in a clause; empty where none was."""
        return "; ".join(finding.words for finding in self.harms)

    @property
    def evidence(self) -> str:
        """All findings as JSON, for the record."""
        found: dict[str, Any] = {
            "alpha": self.alpha,
            "harms": [finding.quantity for finding in self.harms],
            "findings": [_plain(asdict(finding)) for finding in self.findings],
        }
        return json.dumps(found)


def judge(steps: Sequence[Step], watched: int, rules: Rules) -> Verdict:
    """Whether a Challenger does harm, by all that is known of its steps until now.

    Parameters
    ----------
    steps : sequence of Step
        Those that began.
    watched : int
        How many there are to be at most, among which `alpha` is shared.
    rules : Rules
        The margins.
    """
    alpha = rules.alpha / (len(QUANTITIES) * max(watched, len(steps)))
    findings = (_finding(one, step, alpha, rules) for step in steps for one in QUANTITIES.values())
    return Verdict(tuple(found for found in findings if found is not None), rules.alpha)


def _finding(quantity: Quantity, step: Step, alpha: float, rules: Rules) -> Finding | None:
    ours, theirs = step.challenger.get(quantity.name), step.champion.get(quantity.name)
    if ours is None or theirs is None or not ours.sum() or not theirs.sum():
        return None
    values, margin, centres = quantity.values, rules.margins[quantity.name], quantity.centres
    known = log_evidence(
        values, ours, theirs, step.share, margin, centres=centres, both=quantity.both
    )
    each = alpha / 2 if quantity.both else alpha
    low, high = interval(values, ours, theirs, step.share, each, centres=centres)
    return Finding(
        quantity.name,
        step.share,
        float(ours @ values / ours.sum()),
        float(theirs @ values / theirs.sum()),
        (int(ours.sum()), int(theirs.sum())),
        low,
        high,
        margin,
        float(np.exp(min(float(known), _MOST_LOG))),
        1 / alpha,
    )


_MOST_LOG = 700.0
"""Of a fortune, beyond which a float has no number for it."""
_DIGITS = 6


def _plain(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for name, value in finding.items()
    }

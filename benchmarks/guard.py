"""How often the guard takes an equal model back, and how soon it takes back one that does harm.

`python -m benchmarks.guard [--ramps N] [--jobs N]`.

Made-up customers come one after another and are split as a server splits them. Errors come in
outages, which both models have alike; scores are those of a calibrated model at a rate of 27 %; the
label of every other customer is known. Each ramp is looked at again and again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from scipy.special import expit, logit
from scipy.stats import norm

from benchmarks.gate_law import interval
from churn_assets.serving.traffic.guard import QUANTITIES, Quantity, Rules
from churn_assets.serving.traffic.sequences import log_evidence
from churn_assets.settings import GuardSettings

SHARES = (0.01, 0.1, 0.5)
"""Steps at which there is somebody to compare with."""
CUSTOMERS, LOOKS = 20_000, 400
"""Of each step; and how often it is looked at."""
MOST_CUSTOMERS = 400_000
"""That are waited for until harm is caught."""
FAILED, SLOW = 0.01, 0.02
"""Customers with a failed call, and with a slow answer, of an equal model."""
OUTAGE, OUTAGES = 0.3, 0.02
"""Customers with a failed call in an outage, and how much of the time is one."""
SHAPE = (0.8, 2.16)
"""Of the scores' beta distribution: a mean of .27."""
SETTINGS = GuardSettings()
RULES = Rules(SETTINGS.alpha, SETTINGS.latency_ms, SETTINGS.margins)
ALPHA_EACH = RULES.alpha / (len(QUANTITIES) * len(SHARES))
LEAST_FOR_Z = 30
"""Customers of either variant, from which a z-test may be asked at all."""


@dataclass(frozen=True)
class Harm:
    """What a Challenger does otherwise than the Champion.

    Parameters
    ----------
    name : str
        In words.
    failed, slow : float
        Customers with a failed call, and with a slow answer.
    odds : float
        By which the odds of its scores are off.
    """

    name: str
    failed: float = FAILED
    slow: float = SLOW
    odds: float = 1.0


EQUAL = Harm("equal")
HARMS = (
    Harm("errors 1 -> 2 %", failed=0.02),
    Harm("errors 1 -> 5 %", failed=0.05),
    Harm("errors 1 -> 50 %", failed=0.5),
    Harm("slow answers 2 -> 10 %", slow=0.1),
    Harm("slow answers 2 -> 50 %", slow=0.5),
    Harm("odds of scores times 2", odds=2.0),
    Harm("odds of scores times 4", odds=4.0),
)


@dataclass(frozen=True)
class Customers:
    """Customers in the order in which they came, with what became of each."""

    challenged: np.ndarray
    outcomes: Mapping[str, np.ndarray]

    def counts(self, name: str, looks: int) -> tuple[np.ndarray, np.ndarray]:
        """How many customers of each variant had each outcome, by each look."""
        values, outcome = len(QUANTITIES[name].values), self.outcomes[name]
        known = ~np.isnan(outcome)
        place = np.minimum((np.where(known, outcome, 0) * values).astype(int), values - 1)
        look = np.arange(len(outcome)) * looks // len(outcome)
        found = []
        for ours in (self.challenged, ~self.challenged):
            cells = (look * values + place)[ours & known]
            counted = np.bincount(cells, minlength=looks * values).reshape(looks, values)
            found.append(counted.cumsum(axis=0).astype(float))
        return found[0], found[1]


def customers(share: float, number: int, harm: Harm, rng: np.random.Generator) -> Customers:
    """So many customers, of whom a share is answered by a Challenger that does harm."""
    challenged = rng.random(number) < share
    in_outage = np.repeat(rng.random(100) < OUTAGES, -(-number // 100))[:number]
    failing = np.where(challenged, harm.failed, FAILED)
    failing = np.where(in_outage, np.maximum(OUTAGE, failing), failing)
    right = rng.beta(*SHAPE, number).clip(1e-6, 1 - 1e-6)
    labels = rng.random(number) < right
    score = np.where(challenged, expit(logit(right) + np.log(harm.odds)), right)
    unknown = rng.random(number) < 0.5  # noqa: PLR2004
    return Customers(
        challenged,
        {
            "errors": (rng.random(number) < failing).astype(float),
            "latency": (rng.random(number) < np.where(challenged, harm.slow, SLOW)).astype(float),
            "score": score,
            "decisions": (score >= 0.5).astype(float),  # noqa: PLR2004
            "brier": np.where(unknown, np.nan, (score - labels) ** 2),
        },
    )


Test = Callable[[Quantity, np.ndarray, np.ndarray, float], np.ndarray]
"""Of counts of both variants at a share, whether there is harm at each look."""


def by_guard(quantity: Quantity, ours: np.ndarray, theirs: np.ndarray, share: float) -> np.ndarray:
    """As the guard decides."""
    margin = RULES.margins[quantity.name]
    return by_bets(quantity, ours, theirs, share, margin)


def by_bets(
    quantity: Quantity, ours: np.ndarray, theirs: np.ndarray, share: float, margin: float = 0.0
) -> np.ndarray:
    """The same, by default where any difference is harm."""
    known = log_evidence(
        quantity.values, ours, theirs, share, margin,
        centres=quantity.centres, both=quantity.both,
    )  # fmt: skip
    return known >= np.log(1 / ALPHA_EACH)


def by_z(quantity: Quantity, ours: np.ndarray, theirs: np.ndarray, _: float) -> np.ndarray:
    """Likewise by a z-test at each look, which holds for one look alone."""
    values = np.asarray(quantity.values)
    means, squares = [], []
    for counts in (ours, theirs):
        number = np.maximum(counts.sum(axis=1), 1)
        mean = counts @ values / number
        means.append(mean)
        squares.append((counts @ values**2 / number - mean**2) / number)
    difference = means[0] - means[1]
    z = difference / np.sqrt(np.maximum(squares[0] + squares[1], 1e-12))
    is_known = (ours.sum(axis=1) >= LEAST_FOR_Z) & (theirs.sum(axis=1) >= LEAST_FOR_Z)
    sides = 2 if quantity.both else 1
    return ((np.abs(z) if quantity.both else z) > norm.isf(ALPHA_EACH / sides)) & is_known


def first_harm(
    share: float,
    number: int,
    harm: Harm,
    rng: np.random.Generator,
    looks: int = LOOKS,
    test: Test = by_guard,
) -> tuple[int, str] | None:
    """After how many customers of a step a Challenger is taken back, and for what; or never."""
    drawn = customers(share, number, harm, rng)
    caught: list[tuple[int, str]] = []
    for name, quantity in QUANTITIES.items():
        beyond = np.flatnonzero(test(quantity, *drawn.counts(name, looks), share))
        if len(beyond):
            caught.append(((int(beyond[0]) + 1) * number // looks, name))
    return min(caught, default=None)


def is_returned(
    seed: int, test: Test = by_guard, number: int = CUSTOMERS, looks: int = LOOKS
) -> bool:
    """Whether a whole ramp of an equal model is taken back."""
    rng = np.random.default_rng((seed, 1))
    return any(first_harm(share, number, EQUAL, rng, looks, test) for share in SHARES)


def delay(harm: Harm, share: float, seed: int) -> int | None:
    """Customers until harm is caught at a share; None where that takes more than are waited for."""
    rng = np.random.default_rng((seed, 2))
    number = 2_000
    while number <= MOST_CUSTOMERS:
        caught = first_harm(share, number, harm, rng, looks=200)
        if caught:
            return caught[0]
        number *= 4
    return None


TESTS: Mapping[str, Test] = {
    "the guard": by_guard,
    "the same without margins": by_bets,
    "a z-test at each look, without margins": by_z,
}
"""By which a Challenger is taken back."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.guard", description=__doc__.splitlines()[0])
    parser.add_argument("--ramps", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    run = Parallel(n_jobs=arguments.jobs)
    print(
        f"share of {arguments.ramps:,} ramps of equal models that are taken back, {len(SHARES)} "
        f"steps of {CUSTOMERS:,} customers, {len(SHARES) * LOOKS:,} looks (at most {RULES.alpha:g})"
    )
    for name, test in TESTS.items():
        returned = sum(run(delayed(is_returned)(seed, test) for seed in range(arguments.ramps)))
        low, high = interval(returned, arguments.ramps)
        share = returned / arguments.ramps
        print(f"{name:<50}{share:>8.4f}   ({low:.4f} to {high:.4f})", flush=True)
    print(f"\ncustomers until harm is caught, median and 90 %{'':<4}"
          + "".join(f"{f'at share {share:g}':>22}" for share in SHARES))  # fmt: skip
    for harm in HARMS:
        cells = []
        for share in SHARES:
            delays = run(delayed(delay)(harm, share, seed) for seed in range(arguments.ramps // 20))
            known = np.array([MOST_CUSTOMERS if one is None else one for one in delays])
            missed = sum(one is None for one in delays)
            shown = f"{np.median(known):,.0f} {np.quantile(known, 0.9):,.0f}"
            cells.append(f"{shown + (f' ({missed} never)' if missed else ''):>22}")
        print(f"{harm.name:<50}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()

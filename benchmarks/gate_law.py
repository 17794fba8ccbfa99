"""How often the gates err where the law is known: made-up customers of any rate and number.

Log-odds are a sum of inputs, so that scores that are right, odds that are doubled and models that
are worse by so much are what they are called. F1's own rule, which refuses an equal model every
other time, is left out; the others decide as they do in a deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from joblib import Parallel, delayed
from scipy.special import expit, logit, ndtri
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from churn_assets.learning.judging.court import decide
from churn_assets.learning.judging.evidence import Contender, Evidence
from churn_assets.learning.judging.rules import GateSettings
from churn_assets.learning.judging.stress import Stress
from churn_assets.learning.metrics import f1_best_threshold, roc_auc_bounds
from churn_assets.usecases import USE_CASES

RATES = (0.01, 0.05, 0.27, 0.5, 0.8)
SLOPES = np.array([1.2, 0.8, 0.7, 0.5, 0.4, 0.0])
"""Of the inputs, on log-odds; ROC AUC is about .85."""
WORSE = 0.03
"""ROC AUC that a worse model loses."""
TRAINED, GROUPS = 4, 20
"""Rows to train on for each to judge by; and groups of the customers."""
NOT_ASKED = {"governance", "f1_gate"}
USE_CASE = replace(USE_CASES["telco_churn"], business=None, slices=("group",), monotone={})
SETTINGS = GateSettings()


@dataclass(frozen=True)
class Case:
    """What is asked of the gates, and how often they may refuse.

    Parameters
    ----------
    name : str
        Who is judged.
    rate : float
        Of churn.
    rows : int
        Test rows.
    draw : callable
        Evidence from a case and a generator of random numbers.
    least, most : float
        Share of refusals between which the aim lies.
    gate : str
        Which gate's refusals count; by default those of any but F1's.
    """

    name: str
    rate: float
    rows: int
    draw: Callable[[Case, np.random.Generator], Evidence]
    least: float = 0.0
    most: float = 1.0
    gate: str = ""


@dataclass(frozen=True)
class Rate:
    """How often the gates refused.

    Parameters
    ----------
    case : Case
        What was asked.
    refused : float
        Share of the samples.
    low, high : float
        Its binomial interval of 95 %.
    by : mapping of str to float
        Share that each gate refused.
    """

    case: Case
    refused: float
    low: float
    high: float
    by: Mapping[str, float]

    @property
    def is_met(self) -> bool:
        """Whether the aim holds in these samples."""
        return self.case.least <= self.refused <= self.case.most

    @property
    def may_be_met(self) -> bool:
        """Whether so few samples speak for the aim."""
        return self.low <= self.case.most and self.high >= self.case.least


def first(case: Case, rng: np.random.Generator) -> Evidence:
    """Right scores as the first Champion."""
    _, odds, labels = customers(case, case.rows, rng)
    return evidence_of(case, labels, expit(odds), None)


def refresh(case: Case, rng: np.random.Generator) -> Evidence:
    """Right scores beside the same of a Champion."""
    _, odds, labels = customers(case, case.rows, rng)
    return evidence_of(case, labels, expit(odds), expit(odds))


def doubled(case: Case, rng: np.random.Generator) -> Evidence:
    """Odds that are twice what they should be, as the first Champion."""
    _, odds, labels = customers(case, case.rows, rng)
    return evidence_of(case, labels, expit(odds + np.log(2)), None)


def doubled_refresh(case: Case, rng: np.random.Generator) -> Evidence:
    """The same beside a Champion whose scores are right."""
    _, odds, labels = customers(case, case.rows, rng)
    return evidence_of(case, labels, expit(odds + np.log(2)), expit(odds))


def equal(case: Case, rng: np.random.Generator) -> Evidence:
    """Two trainings on resamples of the same customers."""
    inputs, _, labels = customers(case, TRAINED * case.rows, rng)
    tested, _, outcomes = customers(case, case.rows, rng)
    ours, theirs = (scores_of(inputs, labels, tested, rng) for _ in range(2))
    return evidence_of(case, outcomes, ours, theirs)


def knows_less(case: Case, rng: np.random.Generator) -> Evidence:
    """A calibrated Challenger that sees the log-odds through a blur."""
    inputs, odds, labels = customers(case, TRAINED * case.rows, rng)
    tested, true, outcomes = customers(case, case.rows, rng)
    blur = blur_of(case.rate)
    seen, shown = ((one + rng.normal(0, blur, len(one)))[:, np.newaxis] for one in (odds, true))
    theirs = scores_of(inputs, labels, tested, rng)
    return evidence_of(case, outcomes, scores_of(seen, labels, shown, rng), theirs)


def overfitted(case: Case, rng: np.random.Generator) -> Evidence:
    """A Challenger that adds as much noise to its log-odds and does not know."""
    given = equal(case, rng)
    odds = logit(given.challenger.scores) + rng.normal(0, blur_of(case.rate), case.rows)
    return replace(given, challenger=replace(given.challenger, scores=expit(odds)))


def customers(
    case: Case, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, log-odds and what became of so many."""
    inputs = rng.normal(size=(rows, len(SLOPES)))
    odds = base_of(case.rate) + inputs @ SLOPES
    labels = rng.random(rows) < expit(odds)
    if labels.sum() < 2 or (~labels).sum() < 2:  # noqa: PLR2004
        return customers(case, rows, rng)
    return inputs, odds, labels


@cache
def base_of(rate: float) -> float:
    """The log-odds of a customer of mean inputs, so that the rate comes out."""
    spread = np.linalg.norm(SLOPES) * ndtri((np.arange(10_000) + 0.5) / 10_000)
    low, high = -20.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + spread).mean() < rate else (low, middle)
    return low


@cache
def blur_of(rate: float) -> float:
    """Deviation of the noise on log-odds that costs so much ROC AUC."""
    rng = np.random.default_rng(0)
    odds = base_of(rate) + np.linalg.norm(SLOPES) * rng.normal(size=200_000)
    labels, noise = rng.random(len(odds)) < expit(odds), rng.normal(size=len(odds))
    whole = roc_auc_bounds(labels, odds).value
    low, high = 0.0, 5.0
    for _ in range(20):
        middle = (low + high) / 2
        lost = whole - roc_auc_bounds(labels, odds + middle * noise).value
        low, high = (middle, high) if lost < WORSE else (low, middle)
    return low


@cache
def threshold_of(rate: float) -> float:
    """The F1-best threshold of right scores."""
    rng = np.random.default_rng(1)
    scores = expit(base_of(rate) + np.linalg.norm(SLOPES) * rng.normal(size=200_000))
    return f1_best_threshold(rng.random(len(scores)) < scores, scores)


def scores_of(
    inputs: np.ndarray, labels: np.ndarray, tested: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Scores by a model that is fitted on a resample."""
    rows = rng.integers(0, len(labels), len(labels))
    if not 0 < labels[rows].sum() < len(rows):
        return scores_of(inputs, labels, tested, rng)
    model = LogisticRegression(C=10).fit(inputs[rows], labels[rows])
    return model.predict_proba(tested)[:, 1]


def evidence_of(
    case: Case, labels: np.ndarray, ours: np.ndarray, theirs: np.ndarray | None
) -> Evidence:
    """What a Challenger's and a Champion's scores are judged by."""
    challenger = Contender(
        version=2,
        run_id="run 2",
        description="",
        tags={"split": "one"},
        has_signature=True,
        has_input_example=True,
        threshold=threshold_of(case.rate),
        scores=ours,
    )
    groups = np.array([f"{number:02d}" for number in range(GROUPS)], dtype=object)
    return Evidence(
        challenger,
        None if theirs is None else replace(challenger, version=1, run_id="run 1", scores=theirs),
        labels,
        "one",
        slices={"group": groups[np.arange(len(labels)) % GROUPS]},
        stress=Stress(0),
    )


def refusals(case: Case, seed: int) -> set[str]:
    """Which gates refuse one sample."""
    rng = np.random.default_rng((seed, case.rows, round(1000 * case.rate)))
    evidence = case.draw(case, rng)
    verdicts = decide(lambda: evidence, USE_CASE, SETTINGS).verdicts
    return {v.gate for v in verdicts if not v.passed and v.blocking} - NOT_ASKED


def rate_of(case: Case, samples: int, run: Parallel) -> Rate:
    """How often the gates refuse, over so many samples."""
    found = run(delayed(refusals)(case, seed) for seed in range(samples))
    refused = sum(case.gate in gates if case.gate else bool(gates) for gates in found)
    low, high = interval(refused, samples)
    gates = sorted(set().union(*found))
    by = {gate: sum(gate in one for one in found) / samples for gate in gates}
    return Rate(case, refused / samples, low, high, by)


def interval(events: int, samples: int) -> tuple[float, float]:
    """The binomial interval of 95 % by Clopper and Pearson."""
    low = beta.ppf(0.025, events, samples - events + 1) if events else 0.0
    high = beta.ppf(0.975, events + 1, samples - events) if events < samples else 1.0
    return float(low), float(high)


def cases() -> Iterator[Case]:
    """What the gates are held to."""
    for rate in RATES:
        for rows in (2000, 20_000):
            yield Case("right, first", rate, rows, first, most=0.05)
            yield Case("right, refresh", rate, rows, refresh, most=0.05)
        yield Case("odds times 2", rate, 20_000, doubled, least=0.9)
        yield Case("odds times 2, refresh", rate, 20_000, doubled_refresh, least=0.9)
    for rows in (200, 500, 1400, 5000):
        yield Case("equal, trained twice", 0.25, rows, equal, most=0.4)
        yield Case(f"worse by {WORSE}, knows less", 0.25, rows, knows_less, least=0.95)
        yield Case(f"worse by {WORSE}, overfitted", 0.25, rows, overfitted, least=0.95)
    yield Case("equal, 20 groups, by slices", 0.5, 4000, equal, most=0.05, gate="slices")


def table(samples: int, run: Parallel) -> list[Rate]:
    """Print how often each case is refused, beside the aim."""
    print(f"\nhow often the gates refuse, {samples} samples, f1_gate left out")
    print(f"{'who':<34}{'rate':>6}{'rows':>8}{'refused':>9}{'95 % interval':>16}  aim")
    rates = []
    for case in cases():
        rate = rate_of(case, samples, run)
        aim = f"at most {case.most:g}" if case.least == 0 else f"at least {case.least:g}"
        by = ", ".join(f"{gate} {share:.3f}" for gate, share in rate.by.items())
        print(
            f"{case.name:<34}{case.rate:>6g}{case.rows:>8,}{rate.refused:>9.3f}"
            f"{f'{rate.low:.3f} to {rate.high:.3f}':>16}  {aim}: "
            f"{'met' if rate.is_met else 'MISSED'}  {by}",
            flush=True,
        )
        rates.append(rate)
    return rates

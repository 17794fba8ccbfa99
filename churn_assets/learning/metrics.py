"""How good scores are, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from churn_assets.types import Bools, Floats


Z_95_ONE_SIDED = 1.6448536269514722
RESAMPLES = 2000
RESAMPLED_ROWS = 10_000
"""With more, a mean's distribution is normal to the eye, and drawing rows would take seconds."""
BINS = 10
"""Of equal counts, for calibration."""
CONSISTENT = 0.99
Z_99 = 2.5758293035489004
"""Standard deviations to either side that hold 99 % of a normal law."""
_NEGLIGIBLE = 0.02
"""Share of the rate below which scores need not be told apart."""
_FAINT = 1e-6
"""Precision of what is believed of a coefficient before: a thousand to either side."""
_NEWTON_STEPS, _NO_STEP = 50, 1e-8
_CELLS = 250_000
"""Rows drawn at a time."""


@dataclass(frozen=True)
class Estimate:
    """A number found on a sample, and its one-sided bounds, of 95 % where nothing else is said.

    Parameters
    ----------
    value : float
        What was found.
    lower, upper : float
        In 19 samples of 20 the truth is above the one, and as often below the other.
    """

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Calibration:
    """How near scores are to the rates that come true, in bins of equally many rows.

    Parameters
    ----------
    predicted, observed : array of shape (n_bins,)
        Mean score and rate of churn of each bin, by ascending score.
    low, high : array of shape (n_bins,)
        Where 99 in 100 of the observed rates would be, were every score right.
    error : float
        Expected calibration error: mean gap between predicted and observed.
    consistent_error : float
        What the error stays below 99 times in 100, were every score right.
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    error: float
    consistent_error: float


def metrics(labels: Bools, scores: Floats, threshold: float) -> dict[str, float]:
    """Accuracy, F1, precision and recall at a threshold; ROC AUC, PR AUC, log loss, Brier.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; both classes must occur.
    scores : array of shape (n_rows,)
        Probability of churn, in [0, 1].
    threshold : float
        Least score that is decided as churn.
    """
    from sklearn import metrics as sk

    decided = scores >= threshold
    return {
        "accuracy": float(sk.accuracy_score(labels, decided)),
        "f1": float(sk.f1_score(labels, decided)),
        "precision": float(sk.precision_score(labels, decided, zero_division=0.0)),
        "recall": float(sk.recall_score(labels, decided)),
        "roc_auc": float(sk.roc_auc_score(labels, scores)),
        "pr_auc": float(sk.average_precision_score(labels, scores)),
        "log_loss": float(sk.log_loss(labels, scores)),
        "brier": float(sk.brier_score_loss(labels, scores)),
    }


def f1_best_threshold(labels: Bools, scores: Floats) -> float:
    """The score from which deciding churn gives the highest F1.

    It lies halfway between two scores, so that no rounding of either changes a decision.
    """
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = int(np.argmax(f1[:-1]))
    below, least = thresholds[max(best - 1, 0)], thresholds[best]
    middle = (below + least) / 2
    # Between neighbouring floats there is no middle.
    return float(middle if middle > below else least)


def roc_auc_bounds(labels: Bools, scores: Floats, sure: float = 0.95) -> Estimate:
    """ROC AUC with one-sided bounds, by DeLong's variance on the scale of log-odds.

    Student's t has as many degrees of freedom as the rarer outcome gives. Where every churner is
    ranked above every stayer there is no variance: the bound is then the least share of which so
    many of the rarer outcome in a row are no surprise.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; both classes must occur.
    scores : array of shape (n_rows,)
        Probability of churn.
    sure : float
        How often the truth is above the lower bound, and below the upper.

    References
    ----------
    DeLong et al. (1988), "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44(3); computed from midranks as in
    Sun and Xu (2014), IEEE Signal Processing Letters 21(11). On log-odds as in Pepe (2003), "The
    Statistical Evaluation of Medical Tests for Classification and Prediction", chapter 5.
    """
    from scipy.special import expit, logit, stdtrit

    above, below = _placements(labels, scores)
    auc, rarer = float(above.mean()), min(len(above), len(below))
    surprise = float((1 - sure) ** (1 / rarer))
    if rarer == 1:
        return Estimate(auc, 0.0 if auc < 1 else surprise, 1.0 if auc > 0 else 1 - surprise)
    deviation = float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))
    if auc in (0.0, 1.0):
        return Estimate(auc, surprise * auc, 1 - surprise * (1 - auc))
    reach = stdtrit(rarer - 1, sure) * deviation / (auc * (1 - auc))
    return Estimate(auc, float(expit(logit(auc) - reach)), float(expit(logit(auc) + reach)))


def auc_difference(labels: Bools, ours: Floats, theirs: Floats) -> Estimate:
    """ROC AUC of one model less that of another on the same rows, with DeLong's bounds.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; at least two of either class.
    ours, theirs : array of shape (n_rows,)
        Probability of churn by either model.

    References
    ----------
    DeLong et al. (1988), "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44(3).
    """
    pairs = zip(_placements(labels, ours), _placements(labels, theirs), strict=True)
    return _from_placements(*(our - their for our, their in pairs))


def brier_gain(labels: Bools, ours: Floats, theirs: Floats) -> Estimate:
    """How much lower our Brier score is on the same rows, with bounds by Student's t.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; at least two.
    ours, theirs : array of shape (n_rows,)
        Probability of churn by either model.
    """
    from scipy.special import stdtrit

    gains = (theirs - labels) ** 2 - (ours - labels) ** 2
    gain = float(gains.mean())
    reach = float(stdtrit(len(gains) - 1, 0.95) * gains.std(ddof=1) / np.sqrt(len(gains)))
    return Estimate(gain, gain - reach, gain + reach)


def f1(labels: Bools, decided: Bools) -> float:
    """F1 of decisions; 0 where nobody churned and nobody is decided to."""
    cells = np.sum(labels & decided), np.sum(~labels & decided), np.sum(labels & ~decided), 0
    return float(_f1(cells))


def f1_resamples(
    labels: Bools, decided: Bools, resamples: int = RESAMPLES, seed: int = 0
) -> Floats:
    """F1 in a bootstrap of the rows.

    Resampling rows is drawing their confusion matrix from a multinomial distribution.

    Returns
    -------
    array of shape (resamples,)
    """
    cells = np.array(
        [
            np.sum(labels & decided),
            np.sum(~labels & decided),
            np.sum(labels & ~decided),
            np.sum(~labels & ~decided),
        ]
    )
    drawn = np.random.default_rng(seed).multinomial(
        cells.sum(), cells / cells.sum(), size=resamples
    )
    values: Floats = _f1(drawn.T)
    return values


def f1_differences(
    labels: Bools, ours: Bools, theirs: Bools, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, Floats]:
    """F1 of one model's decisions less that of another's on the same rows, and its bootstrap.

    Resampling rows is drawing how often label and both decisions meet, from a multinomial
    distribution.

    Returns
    -------
    float
        The difference found.
    array of shape (resamples,)
        The differences in the resamples.
    """
    cells = np.bincount(4 * labels + 2 * ours + theirs.astype(int), minlength=8)
    drawn = np.random.default_rng(seed).multinomial(
        cells.sum(), cells / cells.sum(), size=resamples
    )

    def difference(cells: NDArray[Any]) -> Any:
        none, they_alarm, we_alarm, both_alarm, missed, they_hit, we_hit, both_hit = cells
        our = (we_hit + both_hit, we_alarm + both_alarm, missed + they_hit, none)
        their = (they_hit + both_hit, they_alarm + both_alarm, missed + we_hit, none)
        return _f1(our) - _f1(their)

    return float(difference(cells)), difference(drawn.T)


def f1_difference(
    labels: Bools, ours: Bools, theirs: Bools, seed: int = 0, sure: float = 0.95
) -> Estimate:
    """F1 of one model's decisions less that of another's, with bounds from the paired bootstrap.

    Parameters
    ----------
    labels, ours, theirs : array of shape (n_rows,)
        Whether each customer churned, and was decided to by either model.
    seed : int
        Of the bootstrap.
    sure : float
        How often the truth is above the lower bound, and below the upper.
    """
    # So many that a hundred of them lie beyond a bound.
    resamples = max(RESAMPLES, round(100 / (1 - sure)))
    found, drawn = f1_differences(labels, ours, theirs, seed, resamples)
    return Estimate(found, *(float(q) for q in np.quantile(drawn, [1 - sure, sure])))


def mean_bounds(values: Floats, seed: int = 0) -> Estimate:
    """A mean, with bounds from a bootstrap of the rows; of many rows, those of the normal law.

    Parameters
    ----------
    values : array of shape (n_rows,)
        Of pairs, the differences.
    seed : int
        Of the bootstrap.
    """
    rows, mean = len(values), float(values.mean())
    if rows > RESAMPLED_ROWS:
        reach = float(Z_95_ONE_SIDED * values.std() / np.sqrt(rows))
        return Estimate(mean, mean - reach, mean + reach)
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // rows)
    parts = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    means = [values[rng.integers(0, rows, (part, rows))].mean(axis=1) for part in parts]
    low, high = np.quantile(np.concatenate(means), [0.05, 0.95])
    return Estimate(mean, float(low), float(high))


def calibration_line(labels: Bools, scores: Floats) -> tuple[float, float]:
    """Slope and intercept of the log-odds that come true over those that the scores say.

    They are 1 and 0 where the scores are right; a slope below 1 says that they are too extreme.

    References
    ----------
    Cox (1958), "Two further applications of a model for binary regression", Biometrika 45.
    """
    from sklearn.linear_model import LogisticRegression

    from churn_assets.learning.odds import log_odds

    line = LogisticRegression(C=np.inf, max_iter=1000).fit(log_odds(scores)[:, np.newaxis], labels)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def calibration_bounds(labels: Bools, scores: Floats) -> tuple[Estimate, Estimate]:
    """Cox's slope, and the intercept where the slope is 1, each with an interval of 99 %.

    The slope is below 1 where scores are too extreme; the intercept is the logarithm of what all
    odds would have to be multiplied by. The interval of the slope holds two: of the scores as they
    are, and with those below a fiftieth of the rate of the rarer outcome taken for that, and as
    far from 1. A forest's 0 that comes true once in a thousand is far off in log-odds alone.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned; both classes must occur.
    scores : array of shape (n_rows,)
        Probability of churn.

    Returns
    -------
    slope, intercept : Estimate
        1 and 0 where the scores are right.

    References
    ----------
    Cox (1958), "Two further applications of a model for binary regression", Biometrika 45; the
    intercept as in Van Calster et al. (2019), "Calibration: the Achilles heel of predictive
    analytics", BMC Medicine 17.
    """
    from churn_assets.learning.odds import log_odds

    rate = float(labels.mean())
    least = min(rate, 1 - rate) * _NEGLIGIBLE
    ones = np.ones((len(scores), 1))
    slopes = []
    for taken in (scores, np.clip(scores, least, 1 - least)):
        odds = log_odds(taken)
        away = (odds - odds.mean())[:, np.newaxis]
        slopes.append(_beside(odds, np.hstack([ones, away]), labels)[1])
    (intercept,) = _beside(log_odds(scores), ones, labels)
    slope = Estimate(
        1 + min((found.value for found in slopes), key=abs),
        1 + min(found.lower for found in slopes),
        1 + max(found.upper for found in slopes),
    )
    return slope, intercept


def calibration_error(labels: Bools, scores: Floats, seed: int = 0) -> Calibration:
    """Expected calibration error over bins of equal counts, and how large it would be by chance.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each customer churned.
    scores : array of shape (n_rows,)
        Probability of churn.
    seed : int
        Of the labels that are drawn from the scores.

    References
    ----------
    Bröcker and Smith (2007), "Increasing the reliability of reliability diagrams", Weather and
    Forecasting 22(3).
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(BINS, len(scores)))
    share = np.array([len(rows) for rows in bins]) / len(scores)
    predicted = np.array([scores[rows].mean() for rows in bins])
    observed = np.array([labels[rows].mean() for rows in bins])
    drawn = np.array([_rates(scores[rows], len(scores), rng) for rows in bins])
    low, high = np.quantile(drawn, [(1 - CONSISTENT) / 2, (1 + CONSISTENT) / 2], axis=1)
    errors = share @ np.abs(drawn - predicted[:, np.newaxis])
    return Calibration(
        predicted=predicted,
        observed=observed,
        low=low,
        high=high,
        error=float(share @ np.abs(observed - predicted)),
        consistent_error=float(np.quantile(errors, CONSISTENT)),
    )


def best_constant_f1(labels: Bools) -> float:
    """F1 of the best constant guess, which is that everyone churns."""
    rate = float(labels.mean())
    return 2 * rate / (1 + rate)


def _placements(labels: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """Share of stayers that each churner is scored above; of churners, each stayer below."""
    from scipy.stats import rankdata

    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above_negative = (ranks[:m] - rankdata(positive)) / n
    below_positive = 1 - (ranks[m:] - rankdata(negative)) / m
    return above_negative, below_positive


def _from_placements(positive: Floats, negative: Floats) -> Estimate:
    variance = positive.var(ddof=1) / len(positive) + negative.var(ddof=1) / len(negative)
    value, reach = float(positive.mean()), float(Z_95_ONE_SIDED * np.sqrt(variance))
    return Estimate(value, value - reach, value + reach)


def _beside(odds: Floats, design: Floats, labels: Bools) -> list[Estimate]:
    """What each column of a design adds to log-odds, by maximum likelihood, with 99 % intervals.

    A faint prior keeps what no row tells of, as the slope of equal scores, at 0 and not sure.
    """
    from scipy.special import expit

    prior = np.full(design.shape[1], _FAINT)

    def loss(added: Floats) -> float:
        found = odds + design @ added
        return float(np.logaddexp(0, np.where(labels, -found, found)).sum() + prior @ added**2 / 2)

    added = np.zeros(design.shape[1])
    information = np.diag(prior)
    for _ in range(_NEWTON_STEPS):
        rates = expit(odds + design @ added)
        information = (design.T * (rates * (1 - rates))) @ design + np.diag(prior)
        step = np.linalg.solve(information, design.T @ (labels - rates) - prior * added)
        now = loss(added)
        while loss(added + step) > now and np.abs(step).max() > _NO_STEP:
            step /= 2
        added = added + step
        if np.abs(step).max() <= _NO_STEP:
            break
    reach = Z_99 * np.sqrt(np.diag(np.linalg.inv(information)))
    return [
        Estimate(float(value), float(value - far), float(value + far))
        for value, far in zip(added, reach, strict=True)
    ]


def _rates(scores: Floats, all_rows: int, rng: np.random.Generator) -> Floats:
    """Rates of churn of one bin's rows, were every score right; shape (RESAMPLES,)."""
    if all_rows > RESAMPLED_ROWS:
        deviation = np.sqrt((scores * (1 - scores)).sum()) / len(scores)
        return np.clip(rng.normal(scores.mean(), deviation, RESAMPLES), 0, 1)
    drawn = rng.random((RESAMPLES, len(scores)), dtype=np.float32) < scores
    rates: Floats = drawn.mean(axis=1)
    return rates


def _f1(cells: Any) -> Any:
    hit, false_alarm, missed, _ = cells
    return 2 * hit / np.maximum(2 * hit + false_alarm + missed, 1)

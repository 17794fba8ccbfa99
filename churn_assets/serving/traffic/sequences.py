"""Tests of a difference between two variants that hold at any stop, however often one looks.

Customers are split by a hash, so each that comes falls to the Challenger with the chance `share`,
whatever becomes of it. With an outcome y and a fixed centre c, the weighted outcome of a customer

    d = (y - c) / share         if the Challenger answered,
    d = -(y - c) / (1 - share)  if the Champion did

has the mean of the difference between the two. A gambler who stakes a fixed share of the fortune on
d being above a margin m has, after each customer, the product of all 1 + bet (d - m). Where the
models are equal each factor has a mean of at most 1 whatever came before, so the fortune is a
supermartingale, and by Ville's inequality it ever reaches 1 / alpha with a chance of at most alpha.
Nothing is asked of the outcomes: they may depend on the hour, on an outage and on one another. Only
the split is random (a design-based test), and a customer counts once.

Several bets and centres at once are a mixture, whose fortune is the mean of theirs. The product
needs only how often each outcome came with each variant, so evidence of all replicas is added up.
The margins that the test does not exclude are a confidence sequence of the difference.

References
----------
Ville (1939), "Étude critique de la notion de collectif".
Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting", JRSSB
86(1): the capital process and its confidence sequence.
Howard, Ramdas, McAuliffe and Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence
sequences", Annals of Statistics 49(2): mixtures, and tests at any stop.
Ham, Bojinov, Lindon and Tingley (2022), "Design-based confidence sequences for anytime-valid causal
inference", arXiv 2210.08639: the split alone is random.
Lindon and Malek (2022), "Anytime-valid inference for multinomial count data", NeurIPS: counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from churn_assets.types import Floats

_LEAST_BET, _MOST_BET, _BETS = 0.0005, 0.95, 24
"""Shares of the greatest bet that ruins nobody."""
_HALVINGS = 40
"""Of an interval's end; enough for every digit that is shown."""


def log_evidence(
    values: Sequence[float],
    challenger: Floats,
    champion: Floats,
    share: float,
    margin: float,
    *,
    centres: Sequence[float] = (0.0,),
    both: bool = False,
) -> Floats:
    """Logarithm of the fortune against a difference of at most a margin.

    At log(1 / alpha) the Challenger's mean is more than the margin above the Champion's, with a
    chance of error of at most alpha over all looks.

    Parameters
    ----------
    values : sequence of float
        What an outcome can be, each in [0, 1].
    challenger, champion : array of shape (..., n_values)
        How many customers had each outcome; the axes before the last are looks, or samples.
    share : float
        Of the customers that the Challenger answers, in (0, 1).
    margin : float
        That the difference may have.
    centres : sequence of float
        The nearer one is to the outcomes' mean, the sooner a difference is seen.
    both : bool
        Whether a mean that is as far below counts as well.

    Returns
    -------
    array of shape (...)
        Of each look; 0 where nothing is known.

    >>> known = log_evidence((0, 1), np.array([50.0, 50]), np.array([99.0, 1]), 0.5, 0.005)
    >>> bool(known > np.log(1 / 0.001))
    True
    """
    of_sides = [
        _fortunes(np.asarray(values, float), challenger, champion, share, margin, centres, sign)
        for sign in ((1, -1) if both else (1,))
    ]
    fortunes = np.concatenate(of_sides, axis=-1)
    greatest = fortunes.max(axis=-1, keepdims=True)
    mean: Floats = np.log(np.mean(np.exp(fortunes - greatest), axis=-1)) + greatest[..., 0]
    return mean


def interval(
    values: Sequence[float],
    challenger: Floats,
    champion: Floats,
    share: float,
    alpha: float,
    *,
    centres: Sequence[float] = (0.0,),
) -> tuple[float, float]:
    """Confidence sequence of the difference, Challenger's mean less Champion's, at one look.

    Parameters
    ----------
    values, challenger, champion, share, centres
        As `log_evidence` takes them, of shape (n_values,).
    alpha : float
        Greatest chance that it ever misses, on one side, a difference that stays as it is.

    Returns
    -------
    low, high : float
        Its ends, in [-1, 1].
    """
    given = np.asarray(values, float), challenger, champion, share
    return _end(*given, alpha, centres, 1), -_end(*given, alpha, centres, -1)


def _end(
    values: Floats,
    challenger: Floats,
    champion: Floats,
    share: float,
    alpha: float,
    centres: Sequence[float],
    sign: int,
) -> float:
    """The greatest margin that the difference, or what it is below 0, exceeds."""
    low, high = -1.0, 1.0
    for _ in range(_HALVINGS):
        margin = (low + high) / 2
        fortunes = _fortunes(values, challenger, champion, share, margin, centres, sign)
        is_beyond = np.logaddexp.reduce(fortunes) - np.log(len(fortunes)) >= np.log(1 / alpha)
        low, high = (margin, high) if is_beyond else (low, margin)
    return low


def _fortunes(
    values: Floats,
    challenger: Floats,
    champion: Floats,
    share: float,
    margin: float,
    centres: Sequence[float],
    sign: int,
) -> Floats:
    """Logarithm of the fortune by each bet and centre, of shape (..., n_bets)."""
    shares = np.geomspace(_LEAST_BET, _MOST_BET, _BETS)[:, np.newaxis]
    ours, theirs = [], []
    for centre in centres:
        outcome = sign * (values - centre)
        one, other = outcome / share, -outcome / (1 - share)
        worst = -min(one.min(), other.min())
        # No outcome takes more than the share of the fortune that is staked.
        bets = shares / (worst + margin)
        ours.append(np.log1p(bets * (one - margin)))
        theirs.append(np.log1p(bets * (other - margin)))
    won: Floats = challenger @ np.concatenate(ours).T + champion @ np.concatenate(theirs).T
    return won

"""The search for each candidate's best configuration, by out-of-fold scores.

Optuna suggests the configurations; batches, medians and grid are not its own, since Optuna 5 has
pruners and a GridSampler, but no parallel search that repeats exactly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import first_line
from churn_assets.learning.complexity import complexity
from churn_assets.learning.fitting.candidates import pipeline
from churn_assets.learning.fitting.folds import Rows
from churn_assets.learning.fitting.journal import Journal
from churn_assets.learning.fitting.suggestions import next_configurations
from churn_assets.learning.fitting.trial import Configuration, Fits, Task, Trial, loss
from churn_assets.learning.recipe import CROSS_VALIDATED_ROWS, Candidate, TrainingSettings
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from churn_assets.types import Floats

Progress = Callable[[str], None]
"""Takes a line for whoever waits."""

PRUNED_AFTER = 3
"""Completed trials of a candidate before one of its own is stopped early."""
_LONGEST_ERROR = 300
_SECONDS = 5.0
"""Between two lines of progress."""


@dataclass(frozen=True)
class Best:
    """A candidate's best configuration.

    Parameters
    ----------
    parameters : mapping of str to object
        What differs from its default.
    loss : float
        Of its out-of-fold scores.
    fits : Fits
        What its fits gave.
    """

    parameters: Mapping[str, Any]
    loss: float
    fits: Fits

    @property
    def scores(self) -> Floats:
        """Out of fold, of shape (n_rows,); NaN where a row was not scored."""
        return self.fits.scores


def search(
    use_case: UseCase,
    candidates: Sequence[Candidate],
    rows: Rows,
    settings: TrainingSettings,
    *,
    journal: Path | None = None,
    study: str = "",
    progress: Progress = lambda _: None,
) -> tuple[dict[str, Best], list[Trial]]:
    """The best configuration of each candidate that can be fitted, and every trial in its order.

    The default configurations come first. Then trials are suggested and noted in batches, so that
    what comes out depends on rows, settings and seed, and not on which trial ends first. A batch
    comes from a fresh study of all trials before it: a search that was killed, or that had a
    smaller budget, goes on as if it had not.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs.
    candidates : sequence of Candidate
        Those with an estimator.
    rows : Rows
        What is fitted on and scored.
    settings : TrainingSettings
        Budget, sampler, metric and seed.
    journal : Path, optional
        File that keeps each trial of a tuning once it ended.
    study : str
        Its name in the journal; another one for whatever else would change a trial.
    progress : callable
        Is told which default configuration failed, and every few seconds how far the search is.

    Raises
    ------
    TrainingError
        Where the journal cannot be used.

    References
    ----------
    Akiba et al. (2019), "Optuna: a next-generation hyperparameter optimization framework", KDD.
    Golovin et al. (2017), "Google Vizier: a service for black-box optimization", KDD: the median
    stopping rule.
    """
    tuning, started = settings.tuning, time.monotonic()
    firsts = len(candidates)
    budget = max(tuning.trials, firsts)
    task = Task(use_case, {one.name: one for one in candidates}, rows, settings)
    store = Journal(journal, study, task) if journal and tuning.trials else None
    trials = store.trials()[:budget] if store else []
    leaders: dict[str, tuple[Trial, Fits | None]] = {}

    def note(results: Iterable[tuple[Trial, Fits | None]]) -> None:
        for trial, fits in results:
            if store:
                store.add(len(trials), trial)
            trials.append(trial)
            leader = leaders.get(trial.candidate)
            if trial.state == "complete" and (leader is None or trial.loss < leader[0].loss):
                leaders[trial.candidate] = trial, fits

    before = len(trials)

    def left(done: int) -> float:
        """Seconds for the rest, if each trial takes as long as those of this search."""
        return (time.monotonic() - started) / max(1, done - before) * (budget - done)

    with workers(settings, len(rows.labels)) as pool:
        if len(trials) < firsts:
            note(_defaults(task, pool)[len(trials) :])
            if budget > firsts:
                progress(_so_far(trials, budget, settings, left(len(trials))))
        for trial in failed_defaults(trials):
            progress(f"candidate '{trial.candidate}' failed by default: {trial.error}")
        reported = time.monotonic()
        while len(trials) < budget:
            if tuning.seconds is not None and time.monotonic() - started > tuning.seconds:
                break
            done = len(trials) - (len(trials) - firsts) % tuning.parallel
            batch = next_configurations(task, trials[:done])[len(trials) - done : budget - done]
            if not batch:
                break
            note(pool.map(partial(_tried, task, _medians(trials[:done])), batch))
            if time.monotonic() - reported > _SECONDS:
                reported = time.monotonic()
                progress(_so_far(trials, budget, settings, left(len(trials))))
        complete = {trial.candidate for trial in trials if trial.state == "complete"}
        best = {one.name: _best(trials, one.name) for one in candidates if one.name in complete}
        progress(_so_far(trials, budget, settings))
        # The scores of a trial that was read from the journal are made again.
        unscored = [one for one in best.values() if leaders.get(one.candidate, (None,))[0] != one]
        again = pool.map(
            partial(_tried, task, {}), [(one.candidate, one.parameters) for one in unscored]
        )
        leaders.update({trial.candidate: (trial, fits) for trial, fits in again})
    return {
        name: Best(trial.parameters, trial.loss, fits)
        for name, trial in best.items()
        if (fits := leaders[name][1]) is not None
    }, trials


def failed_defaults(trials: Iterable[Trial]) -> list[Trial]:
    """The trials of default configurations that failed."""
    return [trial for trial in trials if trial.state == "failed" and not trial.parameters]


@contextmanager
def workers(settings: TrainingSettings, rows: int) -> Iterator[ThreadPoolExecutor]:
    """Threads to fit in, as many as trials run in parallel; they share the cores.

    On few rows, the threads of one fit wait for each other longer than they work.
    """
    from threadpoolctl import threadpool_limits

    few = rows <= CROSS_VALIDATED_ROWS
    each = 1 if few else max(1, (os.cpu_count() or 1) // settings.tuning.parallel)

    def limit() -> None:
        # OpenMP has a limit for each thread.
        threadpool_limits(each, user_api="openmp")

    with (
        threadpool_limits(each),
        ThreadPoolExecutor(settings.tuning.parallel, initializer=limit) as pool,
    ):
        yield pool


@dataclass(frozen=True)
class _Fold:
    """What a fit gave: scores of its fold, of some rows that it was fitted on, and the rest."""

    scores: Floats
    seconds: float
    fitted_scores: Floats | None = None
    complexity: int = 0


def _defaults(task: Task, pool: ThreadPoolExecutor) -> list[tuple[Trial, Fits | None]]:
    """Each default configuration; a fold is a piece of work, so that all threads have some."""
    folds = range(len(task.rows.folds))

    def fitted(piece: tuple[str, int]) -> _Fold | str:
        name, fold = piece
        try:
            result = _fold(task, name, {}, fold)
            _fold_loss(task, fold, result.scores)
        except Exception as error:
            return first_line(error, _LONGEST_ERROR)
        return result

    def result(name: str) -> tuple[Trial, Fits | None]:
        by_fold = [results[name, fold] for fold in folds]
        errors = [one for one in by_fold if isinstance(one, str)]
        if errors:
            return Trial(name, {}, "failed", (), errors[0]), None
        return _result(task, name, {}, [one for one in by_fold if not isinstance(one, str)])

    pieces = [(name, fold) for name in task.candidates for fold in folds]
    results = dict(zip(pieces, pool.map(fitted, pieces), strict=True))
    return [result(name) for name in task.candidates]


def _tried(
    task: Task, medians: Mapping[str, Floats], configuration: Configuration
) -> tuple[Trial, Fits | None]:
    """Try a configuration, fold after fold, until it is worse than its candidate's medians."""
    name, parameters = configuration
    by_fold: list[_Fold] = []
    for fold in range(len(task.rows.folds)):
        try:
            by_fold.append(_fold(task, name, parameters, fold))
            trial, fits = _result(task, name, parameters, by_fold)
        except Exception as error:
            # Whether an estimator takes a configuration, only trying tells.
            why = first_line(error, _LONGEST_ERROR)
            return Trial(name, parameters, "failed", (), why), None
        if name in medians and trial.losses[-1] > medians[name][fold]:
            break
    return trial, fits


def _result(
    task: Task, name: str, parameters: Mapping[str, Any], by_fold: Sequence[_Fold]
) -> tuple[Trial, Fits]:
    """The trial that has scored its first folds so, and the scores in the order of the rows."""
    folds = task.rows.folds[: len(by_fold)]
    sizes = np.cumsum([len(scored) for _, scored in folds])
    sums = np.cumsum(
        [_fold_loss(task, k, one.scores) * len(one.scores) for k, one in enumerate(by_fold)]
    )
    scores = np.full(len(task.rows.labels), np.nan)
    for (_, scored), one in zip(folds, by_fold, strict=True):
        scores[scored] = one.scores
    is_whole = len(folds) == len(task.rows.folds)
    losses = tuple(float(one) for one in sums / sizes)
    first = by_fold[0]
    assert first.fitted_scores is not None
    fits = Fits(scores, first.fitted_scores, sum(f.seconds for f in by_fold), first.complexity)
    return Trial(name, parameters, "complete" if is_whole else "pruned", losses), fits


def _fold(task: Task, name: str, parameters: Mapping[str, Any], fold: int) -> _Fold:
    """Scores of a fold's rows by a fit on the others; of the first one also how it fitted."""
    fit, scored = task.rows.folds[fold]
    inputs = task.rows.inputs
    model = pipeline(task.use_case, task.candidates[name], parameters, task.settings.seed)
    started = time.perf_counter()
    model.fit(inputs.iloc[fit], task.rows.labels[fit])
    seconds = time.perf_counter() - started
    scores: Floats = model.predict_proba(inputs.iloc[scored])[:, 1]
    if fold:
        return _Fold(scores, seconds)
    fitted_scores = model.predict_proba(inputs.iloc[task.rows.some_fitted])[:, 1]
    return _Fold(scores, seconds, fitted_scores, complexity(model))


def _fold_loss(task: Task, fold: int, scores: Floats) -> float:
    return loss(task.settings.metric, task.rows.labels[task.rows.folds[fold][1]], scores)


def _medians(trials: Sequence[Trial]) -> dict[str, Floats]:
    """Median loss of each candidate's completed trials after each fold, where they are enough."""
    complete: dict[str, list[tuple[float, ...]]] = {}
    for trial in trials:
        if trial.state == "complete":
            complete.setdefault(trial.candidate, []).append(trial.losses)
    return {
        name: np.median(losses, axis=0)
        for name, losses in complete.items()
        if len(losses) >= PRUNED_AFTER
    }


def _best(trials: Sequence[Trial], name: str) -> Trial:
    return min((trial for trial in trials if trial.candidate == name), key=lambda one: one.loss)


def _so_far(
    trials: Sequence[Trial], budget: int, settings: TrainingSettings, left: float = 0
) -> str:
    """How far a search is, and about how many seconds it takes still."""
    best = min(trials, key=lambda trial: trial.loss)
    leads = best.state == "complete"
    stopped = sum(trial.state == "pruned" for trial in trials)
    failed = sum(trial.state == "failed" for trial in trials)
    return (
        f"{len(trials)} of {budget} trials, {stopped} stopped early"
        + (f", about {max(1, round(left))} s left" if left else "")
        + (f", {failed} failed" if failed else "")
        + (f"; best {settings.metric} {best.loss:.4f} by {best.candidate}" if leads else "")
    )

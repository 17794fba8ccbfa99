"""The search for each candidate's best configuration, by out-of-fold scores."""

from __future__ import annotations

import itertools
import math
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from churn_assets.errors import TrainingError, first_line
from churn_assets.learning.fitting.candidates import pipeline
from churn_assets.learning.recipe import (
    CROSS_VALIDATED_ROWS,
    Candidate,
    Range,
    TrainingSettings,
)
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import optuna
    import pandas as pd
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Indices = NDArray[np.intp]

Configuration = tuple[str, Mapping[str, Any]]
"""Name of a candidate, and what differs from its default configuration."""
Progress = Callable[[str], None]
"""Takes a line for whoever waits."""

PRUNED_AFTER = 3
"""Completed trials of a candidate before one of its own is stopped early."""
GRID_POINTS = 5
"""Of a range in a grid."""
_SECONDS = 5.0
"""Between two lines of progress."""
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Rows:
    """What a search fits on and scores.

    Parameters
    ----------
    inputs : DataFrame
        Model inputs of train and validation rows.
    labels : array of shape (n_rows,)
        Whether each churned.
    folds : sequence of (array, array)
        Positions to fit on, and to score.
    """

    inputs: pd.DataFrame
    labels: Bools
    folds: Sequence[tuple[Indices, Indices]]

    @property
    def scored(self) -> Bools:
        """The rows that are scored, each by a model that has not seen it."""
        return self.fold_of >= 0

    @property
    def fold_of(self) -> Indices:
        """The fold that scores each row, -1 where none does."""
        found = np.full(len(self.labels), -1, dtype=np.intp)
        for fold, (_, scored) in enumerate(self.folds):
            found[scored] = fold
        return found


@dataclass(frozen=True)
class Trial:
    """One configuration that was tried.

    Parameters
    ----------
    candidate : str
        Its name.
    parameters : mapping of str to object
        What differs from the candidate's default configuration.
    state : {"complete", "pruned", "failed"}
        Pruned: after some folds it was worse than the median of its candidate's completed trials.
    losses : tuple of float
        Mean loss of all rows scored so far, after each fold.
    """

    candidate: str
    parameters: Mapping[str, Any]
    state: Literal["complete", "pruned", "failed"]
    losses: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean loss of all rows; infinite where not all were scored."""
        return self.losses[-1] if self.state == "complete" else math.inf


@dataclass(frozen=True)
class Best:
    """A candidate's best configuration.

    Parameters
    ----------
    parameters : mapping of str to object
        What differs from its default.
    loss : float
        Of its out-of-fold scores.
    scores : array of shape (n_rows,)
        Out of fold; NaN where a row was not scored.
    """

    parameters: Mapping[str, Any]
    loss: float
    scores: Floats


def folded(
    inputs: pd.DataFrame,
    labels: Bools,
    is_validation: Bools,
    settings: TrainingSettings,
    *,
    by_time: bool = False,
) -> Rows:
    """Stratified folds over few rows; of many, validation is scored by a fit on train.

    So it is as well where rows are split by time: whoever is scored later comes after whoever was
    fitted on, and folds that mix them would hide what changes from one season to the next.

    Parameters
    ----------
    inputs : DataFrame
        Model inputs of train and validation rows.
    labels, is_validation : array of shape (n_rows,)
        Whether each churned, and whether it is one of validation; both classes are in either.
    settings : TrainingSettings
        Give the number of folds and the seed.
    by_time : bool
        Whether validation is newer than train.
    """
    from sklearn.model_selection import StratifiedKFold

    if by_time or len(labels) > CROSS_VALIDATED_ROWS:
        fit, scored = np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
        return Rows(inputs, labels, [(fit, scored)])
    rarer = int(min(labels.sum(), (~labels).sum()))
    folds = StratifiedKFold(min(settings.folds, rarer), shuffle=True, random_state=settings.seed)
    return Rows(inputs, labels, list(folds.split(inputs, labels)))


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
    """The best configuration of each candidate, and every trial in its order.

    The default configurations come first. Then trials are asked for and told in batches, so that
    what comes out depends on rows, settings and seed, and not on which trial ends first. A batch
    is asked of a fresh study of all trials before it: a search that was killed, or that had a
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
        Is told every few seconds how far the search is.

    Raises
    ------
    TrainingError
        Where a default configuration cannot be fitted, or the journal cannot be used.

    References
    ----------
    Akiba et al. (2019), "Optuna: a next-generation hyperparameter optimization framework", KDD.
    Golovin et al. (2017), "Google Vizier: a service for black-box optimization", KDD: the median
    stopping rule.
    """
    tuning, started = settings.tuning, time.monotonic()
    firsts = len(candidates)
    budget = max(tuning.trials, firsts)
    task = _Task(use_case, {one.name: one for one in candidates}, rows, settings)
    kept = _Journal(journal, study, task) if journal and tuning.trials else None
    trials = kept.trials()[:budget] if kept else []
    scores: dict[str, tuple[Trial, Floats]] = {}

    def note(ended: Iterable[tuple[Trial, Floats]]) -> None:
        for trial, found in ended:
            if kept:
                kept.add(len(trials), trial)
            trials.append(trial)
            best = scores.get(trial.candidate)
            if trial.state == "complete" and (best is None or trial.loss < best[0].loss):
                scores[trial.candidate] = trial, found

    with workers(settings, len(rows.labels)) as pool:
        if len(trials) < firsts:
            note(_defaults(task, pool)[len(trials) :])
        told = time.monotonic()
        while len(trials) < budget:
            if tuning.seconds is not None and time.monotonic() - started > tuning.seconds:
                break
            done = len(trials) - (len(trials) - firsts) % tuning.parallel
            batch = _asked(task, trials[:done])[len(trials) - done : budget - done]
            if not batch:
                break
            note(pool.map(partial(_tried, task, _medians(trials[:done])), batch))
            if time.monotonic() - told > _SECONDS:
                told = time.monotonic()
                progress(_so_far(trials, budget, settings))
        best = {one.name: _best(trials, one.name) for one in candidates}
        progress(_so_far(trials, budget, settings))
        # The scores of a trial that was read from the journal are made again.
        read = [one for one in best.values() if scores.get(one.candidate, (None,))[0] != one]
        made = pool.map(
            partial(_tried, task, {}), [(one.candidate, one.parameters) for one in read]
        )
        scores.update({trial.candidate: (trial, found) for trial, found in made})
    return {
        name: Best(trial.parameters, trial.loss, scores[name][1]) for name, trial in best.items()
    }, trials


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


def loss(metric: str, labels: Bools, scores: Floats) -> float:
    """Mean log loss or Brier score; the less the better."""
    from sklearn.metrics import brier_score_loss, log_loss

    judge = log_loss if metric == "log_loss" else brier_score_loss
    return float(judge(labels, scores))


@dataclass(frozen=True)
class _Task:
    """What all trials of a search share."""

    use_case: UseCase
    candidates: Mapping[str, Candidate]
    rows: Rows
    settings: TrainingSettings


def _defaults(task: _Task, pool: ThreadPoolExecutor) -> list[tuple[Trial, Floats]]:
    """Each default configuration; a fold is a piece of work, so that all threads have some."""
    folds = range(len(task.rows.folds))

    def fitted(piece: tuple[str, int]) -> Floats:
        name, fold = piece
        try:
            found = _fold_scores(task, name, {}, fold)
            _fold_loss(task, fold, found)
        except Exception as error:
            said = first_line(error, 300)
            raise TrainingError(
                f"candidate '{name}': its default configuration cannot be fitted: {said}. "
                "Correct its parameters, or leave it out."
            ) from error
        return found

    pieces = [(name, fold) for name in task.candidates for fold in folds]
    scores = dict(zip(pieces, pool.map(fitted, pieces), strict=True))
    return [_judged(task, name, {}, [scores[name, k] for k in folds]) for name in task.candidates]


def _tried(
    task: _Task, medians: Mapping[str, Floats], configuration: Configuration
) -> tuple[Trial, Floats]:
    """Try a configuration, fold after fold, until it is worse than its candidate's medians."""
    name, parameters = configuration
    scores: list[Floats] = []
    for fold in range(len(task.rows.folds)):
        try:
            scores.append(_fold_scores(task, name, parameters, fold))
            trial, found = _judged(task, name, parameters, scores)
        except Exception:
            # Whether an estimator takes a configuration, only trying tells.
            return Trial(name, parameters, "failed", ()), np.zeros(0)
        if name in medians and trial.losses[-1] > medians[name][fold]:
            break
    return trial, found


def _judged(
    task: _Task, name: str, parameters: Mapping[str, Any], scores: Sequence[Floats]
) -> tuple[Trial, Floats]:
    """The trial that has scored its first folds so, and the scores in the order of the rows."""
    folds = task.rows.folds[: len(scores)]
    sizes = np.cumsum([len(scored) for _, scored in folds])
    sums = np.cumsum([_fold_loss(task, k, one) * len(one) for k, one in enumerate(scores)])
    found = np.full(len(task.rows.labels), np.nan)
    for (_, scored), one in zip(folds, scores, strict=True):
        found[scored] = one
    is_whole = len(folds) == len(task.rows.folds)
    losses = tuple(float(one) for one in sums / sizes)
    return Trial(name, parameters, "complete" if is_whole else "pruned", losses), found


def _fold_scores(task: _Task, name: str, parameters: Mapping[str, Any], fold: int) -> Floats:
    """Scores of a fold's rows by a fit on the others."""
    fit, scored = task.rows.folds[fold]
    model = pipeline(task.use_case, task.candidates[name], parameters, task.settings.seed)
    model.fit(task.rows.inputs.iloc[fit], task.rows.labels[fit])
    scores: Floats = model.predict_proba(task.rows.inputs.iloc[scored])[:, 1]
    return scores


def _fold_loss(task: _Task, fold: int, scores: Floats) -> float:
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


def _so_far(trials: Sequence[Trial], budget: int, settings: TrainingSettings) -> str:
    best = min(trials, key=lambda trial: trial.loss)
    stopped = sum(trial.state == "pruned" for trial in trials)
    failed = sum(trial.state == "failed" for trial in trials)
    return (
        f"{len(trials)} of {budget} trials, {stopped} stopped early"
        + (f", {failed} failed" if failed else "")
        + f"; best {settings.metric} {best.loss:.4f} by {best.candidate}"
    )


# What is tried next


def _asked(task: _Task, history: Sequence[Trial]) -> list[Configuration]:
    """The batch of configurations that follows on so many trials."""
    parallel = task.settings.tuning.parallel
    if task.settings.tuning.sampler == "grid":
        after = len(history) - len(task.candidates)
        return list(itertools.islice(_grid(task), after, after + parallel))
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A seed of its own for each batch, so that it does not matter what this process did before.
    seed = int(np.random.SeedSequence([task.settings.seed, len(history)]).generate_state(1)[0])
    study = optuna.create_study(sampler=_sampler(task.settings, seed))
    study.add_trials([_frozen(task, number, trial) for number, trial in enumerate(history)])
    # In turns: left to itself, the sampler goes for the candidate that leads, and a blend is as
    # good as all of its members.
    searched = [name for name, candidate in task.candidates.items() if candidate.space]
    turns = range(len(history), len(history) + (parallel if searched else 0))
    for turn in turns:
        study.enqueue_trial({"candidate": searched[turn % len(searched)]})
    return [_suggested(task, study.ask()) for _ in turns]


def _sampler(settings: TrainingSettings, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if settings.tuning.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    with warnings.catch_warnings():
        # Each candidate's parameters are a group; Optuna calls groups experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _suggested(task: _Task, trial: optuna.Trial) -> Configuration:
    """A candidate, and a value for each parameter of its space."""
    name = trial.suggest_categorical("candidate", list(task.candidates))
    found: dict[str, Any] = {}
    for parameter, values in task.candidates[name].space.items():
        called = f"{name}.{parameter}"
        if not isinstance(values, Range):
            found[parameter] = trial.suggest_categorical(called, values)
        elif isinstance(values.low, int) and isinstance(values.high, int):
            found[parameter] = trial.suggest_int(called, values.low, values.high, log=values.log)
        else:
            found[parameter] = trial.suggest_float(called, values.low, values.high, log=values.log)
    return name, found


def _grid(task: _Task) -> Iterator[Configuration]:
    """Every point of each candidate's grid, the candidates in turns."""
    grids = [
        ((name, point) for point in _points(candidate.space))
        for name, candidate in task.candidates.items()
    ]
    for turn in itertools.zip_longest(*grids):
        yield from (point for point in turn if point is not None)


def _points(space: Mapping[str, Range | list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of values, in an order of which any beginning is spread over all."""
    axes = [_values(values) for values in space.values()]
    count = math.prod(map(len, axes)) if axes else 0
    # Steps by the golden section lie evenly; one without a common divisor meets every point.
    step = next(k for k in itertools.count(round(count * _GOLDEN) or 1) if math.gcd(k, count) <= 1)
    for i in range(count):
        place = i * step % count
        point = {}
        for name, axis in zip(space, axes, strict=True):
            place, at = divmod(place, len(axis))
            point[name] = axis[at]
        yield point


def _values(values: Range | list[Any]) -> list[Any]:
    if not isinstance(values, Range):
        return list(values)
    spaced = np.geomspace if values.log else np.linspace
    points = spaced(values.low, values.high, GRID_POINTS).tolist()
    if isinstance(values.low, int) and isinstance(values.high, int):
        return sorted({round(point) for point in points})
    return [values.low, *points[1:-1], values.high]


# What is kept of it


class _Journal:
    """A study in a file that each trial is added to as it ends."""

    def __init__(self, file: Path, study: str, task: _Task) -> None:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._task = task
        with _journal_faults(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            _cut_half_line(file)
            self._study = optuna.create_study(
                study_name=study,
                storage=JournalStorage(JournalFileBackend(str(file))),
                load_if_exists=True,
            )
        self._file = file

    def trials(self) -> list[Trial]:
        """Those that ended, from the first one on."""
        with _journal_faults(self._file):
            noted = {
                trial.user_attrs["number"]: trial.user_attrs for trial in self._study.get_trials()
            }
        found = []
        for number in itertools.takewhile(noted.__contains__, itertools.count()):
            note = noted[number]
            found.append(
                Trial(note["candidate"], note["parameters"], note["state"], tuple(note["losses"]))
            )
        return found

    def add(self, number: int, trial: Trial) -> None:
        """Keep one more."""
        with _journal_faults(self._file):
            self._study.add_trial(_frozen(self._task, number, trial))


def _frozen(task: _Task, number: int, trial: Trial) -> FrozenTrial:
    """A trial as Optuna has it; of a default configuration, only what lies in the space."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    candidate = task.candidates[trial.candidate]
    values = {**candidate.parameters, **trial.parameters}
    within = {
        parameter: space
        for parameter, space in candidate.space.items()
        if parameter in values and _is_within(values[parameter], space)
    }
    states = {
        "complete": TrialState.COMPLETE,
        "pruned": TrialState.PRUNED,
        "failed": TrialState.FAIL,
    }
    return create_trial(
        state=states[trial.state],
        value=trial.loss if trial.state == "complete" else None,
        params={
            "candidate": trial.candidate,
            **{f"{trial.candidate}.{parameter}": values[parameter] for parameter in within},
        },
        distributions={
            "candidate": CategoricalDistribution(list(task.candidates)),
            **{f"{trial.candidate}.{name}": _distribution(space) for name, space in within.items()},
        },
        intermediate_values=dict(enumerate(trial.losses)),
        user_attrs={
            "number": number,
            "candidate": trial.candidate,
            "parameters": dict(trial.parameters),
            "state": trial.state,
            "losses": list(trial.losses),
        },
    )


def _distribution(values: Range | list[Any]) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if not isinstance(values, Range):
        return CategoricalDistribution(values)
    if isinstance(values.low, int) and isinstance(values.high, int):
        return IntDistribution(values.low, values.high, log=values.log)
    return FloatDistribution(values.low, values.high, log=values.log)


def _is_within(value: Any, values: Range | list[Any]) -> bool:
    if not isinstance(values, Range):
        return value in values
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and values.low <= value <= values.high


def _cut_half_line(file: Path) -> None:
    """A process that was killed while it wrote left a line that nothing can be added to."""
    if file.exists():
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            file.write_bytes(content[: content.rfind(b"\n") + 1])


@contextmanager
def _journal_faults(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        said = first_line(error)
        raise TrainingError(
            f"{file}: the trials of the search cannot be kept in it: {said}. Remove the file, or "
            "make its folder writable; the search then begins anew."
        ) from error

"""Which configurations a search tries next."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.learning.fitting.trial import Configuration, Task, Trial
from churn_assets.learning.recipe import Range, TrainingSettings

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

GRID_POINTS = 5
"""Of a range in a grid."""
_GOLDEN = 0.6180339887498949


def next_configurations(task: Task, history: Sequence[Trial]) -> list[Configuration]:
    """The batch of configurations that follows on so many trials.

    Parameters
    ----------
    task : Task
        Gives sampler, seed, candidates with their spaces, and how many make a batch.
    history : sequence of Trial
        Every trial before the batch, in its order.

    Returns
    -------
    list of (str, mapping)
        Empty where nothing is left to try.
    """
    parallel = task.settings.tuning.parallel
    if task.settings.tuning.sampler == "grid":
        after = len(history) - len(task.candidates)
        return list(itertools.islice(_grid(task), after, after + parallel))
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # A seed of its own for each batch, so that it does not matter what this process did before.
    seed = int(np.random.SeedSequence([task.settings.seed, len(history)]).generate_state(1)[0])
    study = optuna.create_study(sampler=_sampler(task.settings, seed))
    study.add_trials([frozen(task, number, trial) for number, trial in enumerate(history)])
    # In turns: left to itself, the sampler goes for the candidate that leads, and a blend is as
    # good as all of its members.
    searched = [name for name, candidate in task.candidates.items() if candidate.space]
    turns = range(len(history), len(history) + (parallel if searched else 0))
    for turn in turns:
        study.enqueue_trial({"candidate": searched[turn % len(searched)]})
    return [_suggested(task, study.ask()) for _ in turns]


def frozen(task: Task, number: int, trial: Trial) -> FrozenTrial:
    """A trial as Optuna has it; of a default configuration, only what lies in the space.

    Parameters
    ----------
    task : Task
        Of the search.
    number : int
        The trial's place in it.
    trial : Trial
        One that ended.
    """
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
            "error": trial.error,
        },
    )


def _sampler(settings: TrainingSettings, seed: int) -> optuna.samplers.BaseSampler:
    import optuna

    if settings.tuning.sampler == "random":
        return optuna.samplers.RandomSampler(seed)
    with warnings.catch_warnings():
        # Each candidate's parameters are a group; Optuna calls groups experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)


def _suggested(task: Task, trial: optuna.Trial) -> Configuration:
    """A candidate, and a value for each parameter of its space."""
    name = trial.suggest_categorical("candidate", list(task.candidates))
    point: dict[str, Any] = {}
    for parameter, values in task.candidates[name].space.items():
        called = f"{name}.{parameter}"
        if not isinstance(values, Range):
            point[parameter] = trial.suggest_categorical(called, values)
        elif isinstance(values.low, int) and isinstance(values.high, int):
            point[parameter] = trial.suggest_int(called, values.low, values.high, log=values.log)
        else:
            point[parameter] = trial.suggest_float(called, values.low, values.high, log=values.log)
    return name, point


def _grid(task: Task) -> Iterator[Configuration]:
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


def _distribution(values: Range | list[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

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

"""The models that training chooses from, and the Pipelines that they stand for."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrainingError, first_line
from churn_assets.learning.recipe import Candidate, Range, TrainingSettings
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from churn_assets.learning.ensembles import Blend

# The linear model and LightGBM are small, for few customers; gradient boosting and XGBoost are
# large, for many with much to tell. What is measured out of fold says which a table bears.
_CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        name="logistic_regression",
        estimator="sklearn.linear_model.LogisticRegression",
        inputs="linear",
        parameters={"C": 0.1, "max_iter": 1000},
        space={"C": Range(low=0.003, high=10.0, log=True)},
    ),
    Candidate(
        name="random_forest",
        estimator="sklearn.ensemble.RandomForestClassifier",
        parameters={
            "n_estimators": 60,
            "max_depth": 8,
            "min_samples_leaf": 10,
            "max_features": 0.3,
            "max_samples": 0.3,
        },
        space={
            "max_depth": Range(low=5, high=16),
            "min_samples_leaf": Range(low=2, high=40, log=True),
            "max_features": Range(low=0.1, high=0.8),
            "max_samples": Range(low=0.2, high=0.9),
        },
    ),
    Candidate(
        name="gradient_boosting",
        estimator="sklearn.ensemble.HistGradientBoostingClassifier",
        parameters={
            "max_iter": 80,
            "learning_rate": 0.15,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 1.0,
            "max_features": 0.5,
            # By itself it would set rows apart to stop by, where there are many.
            "early_stopping": False,
        },
        space={
            "max_iter": Range(low=50, high=300, log=True),
            "learning_rate": Range(low=0.02, high=0.2, log=True),
            "max_leaf_nodes": Range(low=4, high=32, log=True),
            "min_samples_leaf": Range(low=10, high=100, log=True),
            "l2_regularization": Range(low=0.1, high=30.0, log=True),
            "max_features": Range(low=0.2, high=1.0),
        },
    ),
    Candidate(
        name="lightgbm",
        estimator="lightgbm.LGBMClassifier",
        parameters={
            "n_estimators": 300,
            "learning_rate": 0.03,
            "num_leaves": 4,
            "min_child_samples": 40,
            "subsample": 0.8,
            "subsample_freq": 1,
            "colsample_bytree": 0.5,
            "reg_lambda": 5.0,
        },
        space={
            "n_estimators": Range(low=100, high=500, log=True),
            "learning_rate": Range(low=0.01, high=0.1, log=True),
            "num_leaves": Range(low=3, high=32, log=True),
            "min_child_samples": Range(low=10, high=100, log=True),
            "subsample": Range(low=0.5, high=1.0),
            "colsample_bytree": Range(low=0.2, high=1.0),
            "reg_lambda": Range(low=0.1, high=30.0, log=True),
        },
    ),
    Candidate(
        name="xgboost",
        estimator="xgboost.XGBClassifier",
        parameters={
            "n_estimators": 150,
            "learning_rate": 0.1,
            "max_depth": 8,
            "min_child_weight": 2.0,
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "reg_lambda": 5.0,
        },
        space={
            "n_estimators": Range(low=80, high=400, log=True),
            "learning_rate": Range(low=0.01, high=0.15, log=True),
            "max_depth": Range(low=2, high=8),
            "min_child_weight": Range(low=1.0, high=30.0, log=True),
            "subsample": Range(low=0.5, high=1.0),
            "colsample_bytree": Range(low=0.2, high=1.0),
            "reg_lambda": Range(low=0.1, high=30.0, log=True),
        },
    ),
    Candidate(name="blend", members=("logistic_regression", "lightgbm")),
)
CATALOGUE: Mapping[str, Candidate] = {candidate.name: candidate for candidate in _CANDIDATES}
"""What settings may name without more: each with its default configuration and its space."""

_ALWAYS: Mapping[str, Mapping[str, Any]] = {
    # As many threads as OpenMP is allowed, which training and scoring decide.
    "lightgbm": {
        "n_jobs": 0,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
        "monotone_constraints": None,
    },
    "xgboost": {"n_jobs": 0},
}
"""What every estimator of a package is made with, unless its candidate says otherwise."""
_SEEDS = ("random_state", "random_seed")
_MONOTONE = ("monotone_constraints", "monotonic_cst")


def chosen(settings: TrainingSettings) -> tuple[Candidate, ...]:
    """The candidates that settings name, complete and checked.

    Raises
    ------
    TrainingError
        Where one is not known, cannot be imported, gives no probabilities, or has no parameter of
        a name that is given.
    """
    candidates = _named(settings)
    names = [candidate.name for candidate in candidates]
    for name in names:
        if names.count(name) > 1:
            raise TrainingError(f"candidate '{name}': it is named twice. Give one another name.")
    for candidate in singles(candidates):
        _require_fit(candidate)
    return candidates


def singles(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with an estimator: those given, and the members of the others.

    Raises
    ------
    TrainingError
        Where a member is not known, or a blend itself.
    """
    named = {candidate.name: candidate for candidate in candidates}
    known = {**CATALOGUE, **named}
    parts: dict[str, Candidate] = {}
    for candidate in named.values():
        for name in candidate.members or (candidate.name,):
            if name not in known or known[name].members:
                single = [one.name for one in known.values() if not one.members]
                raise TrainingError(
                    f"candidate '{candidate.name}': there is no member '{name}'. "
                    f"Known are {', '.join(single)}."
                )
            parts[name] = known[name]
    return tuple(parts.values())


def estimators(settings: TrainingSettings) -> tuple[str, ...]:
    """Import paths of the estimators of all candidates that settings name; none is imported.

    Where a candidate is not known, there are none: the training says what is wrong.
    """
    try:
        parts = singles(_named(settings))
    except TrainingError:
        return ()
    return tuple(dict.fromkeys(str(part.estimator) for part in parts))


def pipeline(
    use_case: UseCase, candidate: Candidate, parameters: Mapping[str, Any], seed: int
) -> Pipeline:
    """An unfitted Pipeline of a candidate with an estimator: steps encode, ..., model.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs, and those that the score must rise or fall with.
    candidate : Candidate
        One with an estimator.
    parameters : mapping of str to object
        Instead of those of its default configuration that they name.
    seed : int
        The same rows and seed give the same model.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from churn_assets.learning.encoding import LinearEncoder, MonotonePipeline, TableEncoder

    columns = list(use_case.numeric), list(use_case.categorical)
    by_outcome = candidate.rare_categories == "outcome"
    model = _estimator(candidate, parameters, seed)
    if candidate.inputs == "linear":
        return Pipeline(
            [
                ("encode", LinearEncoder(*columns, by_outcome=by_outcome)),
                # What is encoded is nobody else's, and large.
                ("impute", SimpleImputer(strategy="median", keep_empty_features=True, copy=False)),
                ("scale", StandardScaler(copy=False)),
                ("model", model),
            ]
        )
    steps = [("encode", TableEncoder(*columns, by_outcome=by_outcome)), ("model", model)]
    constraint = _constraint(candidate)
    if constraint and use_case.monotone:
        return MonotonePipeline(steps, constraint=constraint, monotone=dict(use_case.monotone))
    return Pipeline(steps)


def blend(members: Mapping[str, Pipeline]) -> Blend:
    """An unfitted blend of unfitted Pipelines by name."""
    from churn_assets.learning.ensembles import Blend

    return Blend(list(members.items()))


def is_monotone(candidate: Candidate) -> bool:
    """Whether a candidate with an estimator keeps the directions that a use case asks for."""
    return candidate.inputs == "plain" and _constraint(candidate) is not None


def _named(settings: TrainingSettings) -> tuple[Candidate, ...]:
    """The candidates that settings name, complete."""
    if settings.candidates is None:
        return _CANDIDATES
    return tuple(_complete(candidate) for candidate in settings.candidates)


def _complete(candidate: Candidate) -> Candidate:
    """A candidate with the fields of the built-in one of its name where it has none of its own."""
    built_in = CATALOGUE.get(candidate.name)
    if built_in is not None:
        own = {name: getattr(candidate, name) for name in candidate.model_fields_set}
        candidate = built_in.model_copy(update=own)
    elif candidate.estimator is None and not candidate.members:
        raise TrainingError(
            f"candidate '{candidate.name}': there is no such candidate. Known are "
            f"{', '.join(CATALOGUE)}; for another one, name its `estimator`."
        )
    if candidate.estimator is not None and candidate.members:
        raise TrainingError(
            f"candidate '{candidate.name}': it has an estimator or members, and not both."
        )
    return candidate


def _require_fit(candidate: Candidate) -> None:
    names = _parameter_names(candidate)
    for field, content in (("parameters", candidate.parameters), ("space", candidate.space)):
        for name in content:
            if name not in names:
                close = difflib.get_close_matches(name, sorted(names), n=1)
                hint = (
                    f"Did you mean {close[0]}?" if close else f"It has {', '.join(sorted(names))}."
                )
                raise TrainingError(
                    f"candidate '{candidate.name}': {field}: {candidate.estimator} has no "
                    f"parameter '{name}'. {hint}"
                )
    if not hasattr(_estimator(candidate, {}, 0), "predict_proba"):
        raise TrainingError(
            f"candidate '{candidate.name}': {candidate.estimator} gives no probabilities "
            "(`predict_proba`) with these parameters. Name another estimator, or set the "
            "parameter that lets it."
        )


def _estimator(candidate: Candidate, parameters: Mapping[str, Any], seed: int) -> Any:
    """The unfitted estimator, seeded."""
    kind = _imported(candidate)
    names = _parameter_names(candidate)
    seeds = {name: seed for name in _SEEDS if name in names}
    try:
        return kind(**{**seeds, **_always(candidate), **candidate.parameters, **parameters})
    except Exception as error:
        raise TrainingError(
            f"candidate '{candidate.name}': {candidate.estimator} cannot be made with these "
            f"parameters: {first_line(error)}"
        ) from error


def _constraint(candidate: Candidate) -> str | None:
    """Name of the parameter by which an estimator takes a direction for each column."""
    names = _parameter_names(candidate)
    return next((name for name in _MONOTONE if name in names), None)


def _imported(candidate: Candidate) -> Any:
    module, _, name = str(candidate.estimator).rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TrainingError(
            f"candidate '{candidate.name}': {candidate.estimator} cannot be imported: "
            f"{first_line(error)}. Install its package, or correct `estimator`."
        ) from None
    if not (inspect.isclass(kind) and hasattr(kind, "fit")):
        raise TrainingError(
            f"candidate '{candidate.name}': {candidate.estimator} is not an estimator. Name a "
            "scikit-learn-compatible classifier, as sklearn.svm.SVC."
        )
    return kind


def _always(candidate: Candidate) -> Mapping[str, Any]:
    return _ALWAYS.get(str(candidate.estimator).partition(".")[0], {})


def _parameter_names(candidate: Candidate) -> set[str]:
    """What an estimator can be made with; some name only what was set, or take what they get."""
    kind = _imported(candidate)
    named = {
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    } | set(_always(candidate))
    try:
        return named | set(kind().get_params())
    except (TypeError, AttributeError):
        return named

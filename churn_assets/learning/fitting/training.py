"""Choose a candidate by out-of-fold scores, fit it, and judge it on rows it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from churn_assets.errors import TrainingError
from churn_assets.learning.fitting.candidates import blend, chosen, is_monotone, pipeline, singles
from churn_assets.learning.fitting.search import Best, Progress, Rows, Trial, folded, loss, search
from churn_assets.learning.metrics import (
    Z_95_ONE_SIDED,
    calibration_line,
    f1_best_threshold,
    metrics,
)
from churn_assets.learning.recipe import (
    CROSS_VALIDATED_ROWS,
    Candidate,
    TrainingSettings,
    study_name,
)
from churn_assets.learning.value import Amounts, amounts, realised_value
from churn_assets.tables.featurise import SPLITS
from churn_assets.tables.lake import Table
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

THRESHOLD_RULES = {"f1": "F1-best out of fold", "value": "value-best out of fold"}


@dataclass(frozen=True)
class Repair:
    """How far scores are from probabilities, and whether that was repaired.

    Parameters
    ----------
    slope, intercept : float
        Of the line that log-odds would have to be put on; 1 and 0 where scores are probabilities.
    gain, gain_error : float
        Log loss that the line saves on rows that it was not fitted on, and its standard error.
    done : bool
        Whether the model was put on the line.
    """

    slope: float
    intercept: float
    gain: float
    gain_error: float
    done: bool


@dataclass(frozen=True)
class Trained:
    """The chosen candidate and how it did.

    Parameters
    ----------
    recipe : str
        Name of the candidate.
    parameters : mapping of str to object
        Its configuration; of a blend, each member's by name.
    pipeline : Pipeline, Blend or Recalibrated
        Fitted on train and validation rows.
    threshold : float
        Least score that is decided as positive.
    threshold_rule : str
        What it is best by, and on which scores.
    metrics : mapping of str to float
        `oof_<metric>` of scores out of fold, `test_<metric>` of the test rows.
    candidates : mapping of str to float
        Loss of each candidate's best configuration, out of fold.
    trials : list of Trial
        Every configuration that was tried.
    calibration : Repair
        What was found of the scores out of fold, and done about it.
    train : DataFrame
        The model inputs that it was fitted on.
    oof_labels, oof_scores : array of shape (n_scored,)
        What threshold and calibration come from.
    test : DataFrame
        Key, model inputs, what stands beside them, and label.
    test_labels, test_scores : array of shape (n_test,)
        What it was judged on.
    """

    recipe: str
    parameters: Mapping[str, Any]
    pipeline: Any
    threshold: float
    threshold_rule: str
    metrics: Mapping[str, float]
    candidates: Mapping[str, float]
    trials: list[Trial]
    calibration: Repair
    train: pd.DataFrame
    oof_labels: Bools
    oof_scores: Floats
    test: pd.DataFrame
    test_labels: Bools
    test_scores: Floats


@dataclass(frozen=True)
class Labelled:
    """Customers whose label is known.

    Parameters
    ----------
    rows : DataFrame
        Those to train on and judge by, sorted by key: key, model inputs, what stands beside them,
        label and split.
    known : int
        How many customers have a known label; more than there are rows where these are a sample.
    """

    rows: pd.DataFrame
    known: int


def labelled_rows(
    use_case: UseCase, features: Table, version: int, settings: TrainingSettings
) -> Labelled:
    """Customers whose label is known, sorted by key, so that either engine trains one model.

    Parameters
    ----------
    use_case : UseCase
        Whose features these are.
    features : Table
        The features table.
    version : int
        Its Delta version.
    settings : TrainingSettings
        Say how many customers to train on.
    """
    import narwhals.stable.v2 as nw

    columns = [*use_case.keys, *use_case.inputs, *use_case.beside, "label", "split"]
    known = features.scan(version).filter(~nw.col("label").is_null()).select(columns)
    drawn = sampled(
        known, use_case, features.engine, share=settings.sample, most_rows=settings.max_rows
    )
    rows = features.engine.collect(drawn.frame.sort(*use_case.keys))
    return Labelled(rows.to_pandas(strings_to_categorical=False), drawn.rows)


def train(
    use_case: UseCase,
    rows: pd.DataFrame,
    settings: TrainingSettings,
    *,
    study: Path | None = None,
    data_version: str = "",
    progress: Progress = lambda _: None,
) -> Trained:
    """Choose by scores out of fold, fit on train and validation, judge on test.

    Test rows have no say in what is fitted, chosen, repaired or decided by.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs, and what a contact is worth.
    rows : DataFrame
        As `Labelled` holds them.
    settings : TrainingSettings
        The same rows and settings give the same model, unless a budget in seconds ends the search.
    study : Path, optional
        File that a tuning keeps its trials in, so that one that was killed goes on.
    data_version : str
        Of the rows: what tells their trials in the file from others.
    progress : callable
        Is told how far the search is.

    Raises
    ------
    TrainingError
        Where a split lacks one of the classes, or the settings cannot be followed.
    """
    from threadpoolctl import threadpool_limits

    inputs = list(use_case.inputs)
    for split in SPLITS:
        _require_both_classes(use_case, split, rows["label"][rows["split"] == split])
    asked = _suitable(use_case, chosen(settings))
    learned, test = rows[rows["split"] != "test"], rows[rows["split"] == "test"]
    labels, test_labels = (part["label"].to_numpy(dtype=bool) for part in (learned, test))
    split_in = folded(
        # An encoder looks at each distinct text once, where it knows them.
        learned[inputs].astype(dict.fromkeys(use_case.categorical, "category")),
        labels,
        (learned["split"] == "validation").to_numpy(),
        settings,
        by_time=use_case.split_by is not None,
    )
    best, trials = search(
        use_case,
        singles(asked),
        split_in,
        settings,
        journal=study,
        study=study_name(use_case, settings, data_version),
        progress=progress,
    )
    found = {one.name: _with_blend(one, best, split_in, settings) for one in asked}
    recipe = min(found, key=lambda name: found[name].loss)
    scored = split_in.scored
    oof_labels, raw_scores = labels[scored], found[recipe].scores[scored]
    calibration = repair(oof_labels, raw_scores, split_in.fold_of[scored], settings.seed)
    if use_case.split_by is not None:
        # What one season is off by is not what the next one will be.
        calibration = replace(calibration, done=False)
    # On few rows, threads wait for each other longer than they work.
    with threadpool_limits(1 if len(rows) <= CROSS_VALIDATED_ROWS else None):
        model, parameters = _built(use_case, recipe, asked, best, settings.seed)
        model.fit(learned[inputs], labels)
        oof_scores = raw_scores
        if calibration.done:
            from churn_assets.learning.ensembles import Recalibrated, recalibrated

            line = calibration.slope, calibration.intercept
            model, oof_scores = Recalibrated(model, *line), recalibrated(raw_scores, *line)
        test_scores = model.predict_proba(test[inputs])[:, 1]
    threshold = _threshold(use_case, settings, learned[scored], oof_labels, oof_scores)
    judged = {"oof": (oof_labels, oof_scores), "test": (test_labels, test_scores)}
    return Trained(
        recipe=recipe,
        parameters=parameters,
        pipeline=model,
        threshold=threshold,
        threshold_rule=THRESHOLD_RULES[settings.threshold],
        metrics={
            f"{part}_{name}": value
            for part, given in judged.items()
            for name, value in metrics(*given, threshold).items()
        },
        candidates={name: one.loss for name, one in found.items()},
        trials=trials,
        calibration=calibration,
        train=learned[inputs],
        oof_labels=oof_labels,
        oof_scores=oof_scores,
        test=test[[*use_case.keys, *inputs, *use_case.beside, "label"]],
        test_labels=test_labels,
        test_scores=test_scores,
    )


def repair(labels: Bools, scores: Floats, fold_of: NDArray[np.intp], seed: int = 0) -> Repair:
    """How far scores are from probabilities; repaired where that is clearly for the better.

    It is, where the one-sided 95 % lower bound of the saved log loss is above 0. What a line
    saves is measured on the folds that it was not fitted on.

    Parameters
    ----------
    labels : array of shape (n_rows,)
        Whether each churned.
    scores : array of shape (n_rows,)
        Out of fold, in [0, 1].
    fold_of : array of shape (n_rows,)
        Which fold each was scored in; where there is one only, five are drawn.
    seed : int
        Of that draw.

    References
    ----------
    Cox (1958), "Two further applications of a model for binary regression", Biometrika 45(3/4).
    """
    from churn_assets.learning.ensembles import recalibrated

    if len(np.unique(fold_of)) == 1:
        fold_of = np.random.default_rng(seed).permutation(len(labels)) % 5
    gains = np.zeros(len(labels))
    for fold in np.unique(fold_of):
        here = fold_of == fold
        line = calibration_line(labels[~here], scores[~here])
        before, after = scores[here], recalibrated(scores[here], *line)
        gains[here] = _log_losses(labels[here], before) - _log_losses(labels[here], after)
    slope, intercept = calibration_line(labels, scores)
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
    # A line that falls would rank customers the other way round.
    helps = slope > 0 and gain - Z_95_ONE_SIDED * error > 0
    return Repair(slope, intercept, gain, error, helps)


def value_best_threshold(labels: Bools, scores: Floats, stake: Amounts) -> float:
    """The score from which contacting customers is worth most, as simulated.

    It lies halfway between two scores, as the F1-best one does; above all where contacting
    nobody is best.

    Parameters
    ----------
    labels : array of shape (n_customers,)
        Whether each churned.
    scores : array of shape (n_customers,)
        Probability of churn, in [0, 1].
    stake : Amounts
        What is at stake with them.
    """
    worth = realised_value(labels, np.ones(len(labels), dtype=bool), stake)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    total = np.concatenate([[0.0], np.cumsum(worth[order])])
    # Customers of one score are contacted together.
    may_end = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]])
    contacts = int(np.argmax(np.where(may_end, total, -np.inf)))
    above = ranked[contacts - 1] if contacts else np.nextafter(1.0, 2.0)
    below = ranked[contacts] if contacts < len(ranked) else 0.0
    middle = (above + below) / 2
    return float(middle if middle > below else above)


def _suitable(use_case: UseCase, asked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that keep the directions which a use case asks for."""
    if not use_case.monotone:
        return tuple(asked)
    kept = tuple(one for one in asked if all(is_monotone(part) for part in _parts(one, asked)))
    if not kept:
        raise TrainingError(
            f"{use_case.name}: the score must rise or fall with {', '.join(use_case.monotone)}, "
            f"and no candidate can be held to it: {', '.join(one.name for one in asked)}. Name "
            "one that takes monotone constraints, such as lightgbm."
        )
    return kept


def _parts(candidate: Candidate, asked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with an estimator that a candidate is made of."""
    wanted = candidate.members or (candidate.name,)
    return tuple(one for one in singles(asked) if one.name in wanted)


def _with_blend(
    candidate: Candidate, best: Mapping[str, Best], rows: Rows, settings: TrainingSettings
) -> Best:
    """A candidate's best configuration; a blend's is that of its members."""
    if not candidate.members:
        return best[candidate.name]
    from churn_assets.learning.ensembles import averaged

    scores = averaged([best[name].scores for name in candidate.members])
    judged = loss(settings.metric, rows.labels[rows.scored], scores[rows.scored])
    return Best({name: best[name].parameters for name in candidate.members}, judged, scores)


def _built(
    use_case: UseCase,
    recipe: str,
    asked: Sequence[Candidate],
    best: Mapping[str, Best],
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    """The unfitted model of a candidate in its best configuration, and all of that."""
    candidate = next(one for one in asked if one.name == recipe)
    parts = {part.name: part for part in _parts(candidate, asked)}
    models = {
        name: pipeline(use_case, part, best[name].parameters, seed) for name, part in parts.items()
    }
    whole = {name: {**part.parameters, **best[name].parameters} for name, part in parts.items()}
    if not candidate.members:
        return models[recipe], whole[recipe]
    # In the order in which their scores were averaged.
    return blend({name: models[name] for name in candidate.members}), whole


def _threshold(
    use_case: UseCase,
    settings: TrainingSettings,
    scored: pd.DataFrame,
    labels: Bools,
    scores: Floats,
) -> float:
    if settings.threshold == "f1":
        return f1_best_threshold(labels, scores)
    if use_case.business is None:
        raise TrainingError(
            f"{use_case.name}: the value-best threshold needs a business case, and the use case "
            "has none. Give it one, or set training.threshold to f1."
        )
    stake = amounts(use_case.business, scored, len(scored))
    return value_best_threshold(labels, scores, stake)


def _log_losses(labels: Bools, scores: Floats) -> Floats:
    """Of each row."""
    from churn_assets.learning.ensembles import log_odds

    losses: Floats = np.logaddexp(0, np.where(labels, -1, 1) * log_odds(scores))
    return losses


def _require_both_classes(use_case: UseCase, split: str, labels: pd.Series[bool]) -> None:
    if labels.nunique() == 2:  # noqa: PLR2004
        return
    found = f"only {'positive' if labels.all() else 'negative'} ones" if len(labels) else "none"
    raise TrainingError(
        f"{use_case.name}: training needs labels of both classes, and the {split} rows have "
        f"{found}. Label '{use_case.label.column}' counts as positive where it is "
        f"'{use_case.label.positive}': check it in the source. The Champion, if any, stands."
    )

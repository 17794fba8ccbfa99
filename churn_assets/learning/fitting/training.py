"""Choose a candidate by out-of-fold scores, fit it, and judge it on rows it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrainingError
from churn_assets.learning.complexity import complexity
from churn_assets.learning.fitting.calibration import Repair, repair
from churn_assets.learning.fitting.candidates import blend, chosen, is_monotone, pipeline, singles
from churn_assets.learning.fitting.comparison import Compared, choose, compared
from churn_assets.learning.fitting.folds import Rows, folded, together
from churn_assets.learning.fitting.origin import study_name
from churn_assets.learning.fitting.search import Best, Progress, failed_defaults, search
from churn_assets.learning.fitting.single_inputs import telling_inputs
from churn_assets.learning.fitting.threshold import THRESHOLD_RULES, best_threshold
from churn_assets.learning.fitting.trial import Fits, Trial, loss
from churn_assets.learning.metrics import metrics
from churn_assets.learning.odds import averaged, recalibrated
from churn_assets.learning.recipe import CROSS_VALIDATED_ROWS, Candidate, TrainingSettings
from churn_assets.learning.value import gains
from churn_assets.tables.copies import has_copies, ties_of, untied
from churn_assets.tables.lake import Table
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import SPLITS, UseCase

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.types import Bools, Floats


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
    candidates : mapping of str to Compared
        Each candidate's best configuration.
    configurations : mapping of str to mapping
        What that is, as `parameters`.
    complexity : int
        By how many numbers the fitted model decides.
    gains : mapping of str to float
        Lift and gain of the tenth with the highest scores, and value by the business case for each
        1,000 customers, of the same parts as `metrics`.
    telling_inputs : mapping of str to float
        Those that alone explain most of an implausibly good score, with the ROC AUC of each.
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
    candidates: Mapping[str, Compared]
    configurations: Mapping[str, Mapping[str, Any]]
    complexity: int
    gains: Mapping[str, float]
    telling_inputs: Mapping[str, float]
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
    copies : bool
        Whether more of them are alike in all inputs than chance gives.
    """

    rows: pd.DataFrame
    known: int
    copies: bool = False


def labelled_rows(
    use_case: UseCase, features: Table, version: int, settings: TrainingSettings
) -> Labelled:
    """Customers whose label is known, sorted by key, so that either engine trains one model.

    Test rows that are tied to one that is trained on are not among them.

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

    columns = dict.fromkeys([*use_case.row_keys, *use_case.inputs, *use_case.beside])
    details = features.require().details
    labelled = (
        features.scan(version).filter(~nw.col("label").is_null()).select(*columns, "label", "split")
    )
    known = untied(labelled, use_case, details)
    drawn = sampled(
        known, use_case, features.engine, share=settings.sample, most_rows=settings.max_rows
    )
    rows = features.engine.collect(drawn.frame.sort(*use_case.row_keys))
    return Labelled(rows.to_pandas(strings_to_categorical=False), drawn.rows, has_copies(details))


def train(
    use_case: UseCase,
    rows: pd.DataFrame,
    settings: TrainingSettings,
    *,
    copies: bool = False,
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
    copies : bool
        Whether rows that are alike are copies: then no choice is made by one that was fitted on.
    study : Path, optional
        File that a tuning keeps its trials in, so that one that was killed goes on.
    data_version : str
        Of the rows: what tells their trials in the file from others.
    progress : callable
        Is told how far the search is.

    Raises
    ------
    TrainingError
        Where a split lacks one of the classes, no candidate can be fitted, or the settings cannot
        be followed.
    """
    from threadpoolctl import threadpool_limits

    inputs = list(use_case.inputs)
    for split in SPLITS:
        labels_there = rows["label"][rows["split"] == split]
        _require_both_classes(use_case, split, labels_there, copies=copies)
    candidates = _suitable(use_case, chosen(settings))
    learned, test = rows[rows["split"] != "test"], rows[rows["split"] == "test"]
    labels, test_labels = (part["label"].to_numpy(dtype=bool) for part in (learned, test))
    in_folds = folded(
        # An encoder looks at each distinct text once, where it knows them.
        learned[inputs].astype(dict.fromkeys(use_case.categorical, "category")),
        labels,
        (learned["split"] == "validation").to_numpy(),
        settings,
        by_time=use_case.split_by is not None,
        belongs_to=together(learned, use_case, copies=copies),
    )
    _require_both_classes(use_case, "validation", learned["label"][in_folds.scored], copies=copies)
    best, trials = search(
        use_case,
        singles(candidates),
        in_folds,
        settings,
        journal=study,
        study=study_name(use_case, settings, data_version),
        progress=progress,
    )
    able = [one for one in candidates if set(one.members or (one.name,)) <= set(best)]
    _require_some(able, trials)
    results = {one.name: _with_blend(one, best, in_folds, settings) for one in able}
    beside = {name: compared(one, in_folds, settings.metric) for name, one in results.items()}
    recipe = choose(beside, settings.choice)
    scored = in_folds.scored
    oof_labels, raw_scores = labels[scored], results[recipe].scores[scored]
    calibration = repair(oof_labels, raw_scores, in_folds.fold_of[scored], settings.seed)
    if use_case.split_by is not None:
        # What one season is off by is not what the next one will be.
        calibration = replace(calibration, done=False)
    # On few rows, threads wait for each other longer than they work.
    with threadpool_limits(1 if len(rows) <= CROSS_VALIDATED_ROWS else None):
        model = _unfitted(use_case, recipe, candidates, best, settings.seed)
        model.fit(learned[inputs], labels)
        oof_scores = raw_scores
        if calibration.done:
            from churn_assets.learning.ensembles import Recalibrated

            line = calibration.slope, calibration.intercept
            model, oof_scores = Recalibrated(model, *line), recalibrated(raw_scores, *line)
        test_scores = model.predict_proba(test[inputs])[:, 1]
    threshold = best_threshold(use_case, settings, learned[scored], oof_labels, oof_scores)
    samples = {"oof": (oof_labels, oof_scores), "test": (test_labels, test_scores)}
    customers = {"oof": learned[scored], "test": test}
    configurations = {name: _configuration(name, candidates, best) for name in results}
    return Trained(
        recipe=recipe,
        parameters=configurations[recipe],
        pipeline=model,
        threshold=threshold,
        threshold_rule=THRESHOLD_RULES[settings.threshold],
        metrics={
            f"{part}_{name}": value
            for part, sample in samples.items()
            for name, value in metrics(*sample, threshold).items()
        },
        candidates=beside,
        configurations=configurations,
        complexity=complexity(model),
        gains={
            f"{part}_{name}": value
            for part, sample in samples.items()
            for name, value in gains(*sample, use_case.business, customers[part]).items()
        },
        telling_inputs=telling_inputs(use_case, in_folds, beside[recipe].metrics["oof_roc_auc"]),
        trials=trials,
        calibration=calibration,
        train=learned[inputs],
        oof_labels=oof_labels,
        oof_scores=oof_scores,
        test=test[[*dict.fromkeys([*use_case.row_keys, *inputs, *use_case.beside]), "label"]],
        test_labels=test_labels,
        test_scores=test_scores,
    )


def _suitable(use_case: UseCase, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates that keep the directions which a use case asks for."""
    if not use_case.monotone:
        return tuple(candidates)
    suitable = tuple(
        one for one in candidates if all(is_monotone(part) for part in _parts(one, candidates))
    )
    if not suitable:
        raise TrainingError(
            f"{use_case.name}: the score must rise or fall with {', '.join(use_case.monotone)}, "
            f"and no candidate can be held to it: {', '.join(one.name for one in candidates)}. "
            "Name one that takes monotone constraints, such as lightgbm."
        )
    return suitable


def _parts(candidate: Candidate, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The candidates with an estimator that a candidate is made of."""
    names = candidate.members or (candidate.name,)
    return tuple(one for one in singles(candidates) if one.name in names)


def _require_some(able: Sequence[Candidate], trials: Sequence[Trial]) -> None:
    if able:
        return
    failed = "; ".join(
        f"candidate '{trial.candidate}': its default configuration cannot be fitted: {trial.error}"
        for trial in failed_defaults(trials)
    )
    raise TrainingError(f"{failed}. Correct the parameters, or name other candidates.")


def _with_blend(
    candidate: Candidate, best: Mapping[str, Best], rows: Rows, settings: TrainingSettings
) -> Best:
    """A candidate's best configuration; a blend's is that of its members."""
    if not candidate.members:
        return best[candidate.name]
    members = [best[name] for name in candidate.members]
    fits = Fits(
        scores=averaged([member.scores for member in members]),
        fitted_scores=averaged([member.fits.fitted_scores for member in members]),
        seconds=sum(member.fits.seconds for member in members),
        complexity=sum(member.fits.complexity for member in members),
    )
    mean_loss = loss(settings.metric, rows.labels[rows.scored], fits.scores[rows.scored])
    return Best({name: best[name].parameters for name in candidate.members}, mean_loss, fits)


def _configuration(
    name: str, candidates: Sequence[Candidate], best: Mapping[str, Best]
) -> dict[str, Any]:
    """All of a candidate's best configuration; of a blend, each member's by name."""
    candidate = next(one for one in candidates if one.name == name)
    parts = {
        part.name: {**part.parameters, **best[part.name].parameters}
        for part in _parts(candidate, candidates)
    }
    return parts if candidate.members else parts[name]


def _unfitted(
    use_case: UseCase,
    recipe: str,
    candidates: Sequence[Candidate],
    best: Mapping[str, Best],
    seed: int,
) -> Any:
    """The unfitted model of a candidate in its best configuration."""
    candidate = next(one for one in candidates if one.name == recipe)
    models = {
        part.name: pipeline(use_case, part, best[part.name].parameters, seed)
        for part in _parts(candidate, candidates)
    }
    if not candidate.members:
        return models[recipe]
    # In the order in which their scores were averaged.
    return blend({name: models[name] for name in candidate.members})


def _require_both_classes(
    use_case: UseCase, split: str, labels: pd.Series[bool], *, copies: bool
) -> None:
    if labels.nunique() == 2:  # noqa: PLR2004
        return
    present = f"only {'positive' if labels.all() else 'negative'} ones" if len(labels) else "none"
    ties = ties_of(use_case, copies=copies)
    tied = (
        "Rows that are copies of one that is trained on, or of its group, do not count: remove "
        "copies from the source, and split by time only where groups come and go. "
    )
    raise TrainingError(
        f"{use_case.name}: training needs labels of both classes, and the {split} rows have "
        f"{present}. {tied if ties else ''}Label '{use_case.label.column}' counts as positive "
        f"where it is '{use_case.label.positive}': check it in the source. The Champion, if any, "
        "stands."
    )

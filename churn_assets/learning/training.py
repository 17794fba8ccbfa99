"""Fit the candidates, choose one, find its threshold, judge it on rows it has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from churn_assets.errors import TrainingError
from churn_assets.learning.candidates import CANDIDATES
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.tables.featurise import SPLITS
from churn_assets.tables.lake import Table
from churn_assets.tables.sampling import sampled
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

THREADED_ROWS = 100_000


@dataclass(frozen=True)
class Trained:
    """The chosen candidate and how it did.

    Parameters
    ----------
    recipe : str
        Name of the candidate.
    pipeline : Pipeline
        Fitted on the training rows.
    threshold : float
        F1-best on the validation rows.
    metrics : mapping of str to float
        `<split>_<metric>` for each split and metric.
    candidates : mapping of str to float
        Log loss of each candidate on the validation rows.
    train : DataFrame
        The model inputs that it was fitted on.
    test_labels, test_scores : array of shape (n_test,)
        What it was judged on.
    """

    recipe: str
    pipeline: Pipeline
    threshold: float
    metrics: Mapping[str, float]
    candidates: Mapping[str, float]
    train: pd.DataFrame
    test_labels: NDArray[np.bool_]
    test_scores: NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Customers whose label is known.

    Parameters
    ----------
    rows : DataFrame
        Those to train on and judge by: key, model inputs, label and split, sorted by key.
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

    columns = [use_case.key, *use_case.inputs, "label", "split"]
    known = features.scan(version).filter(~nw.col("label").is_null()).select(columns)
    drawn = sampled(
        known, use_case, features.engine, share=settings.sample, most_rows=settings.max_rows
    )
    rows = features.engine.collect(drawn.frame.sort(use_case.key))
    return Labelled(rows.to_pandas(strings_to_categorical=False), drawn.rows)


def train(use_case: UseCase, rows: pd.DataFrame, seed: int) -> Trained:
    """Fit each candidate on train, choose by log loss on validation, judge on test.

    Parameters
    ----------
    use_case : UseCase
        Names the inputs.
    rows : DataFrame
        As `Labelled` holds them.
    seed : int
        The same rows and seed give the same model.

    Raises
    ------
    TrainingError
        Where a split lacks one of the classes.
    """
    from threadpoolctl import threadpool_limits

    inputs = list(use_case.inputs)
    parts = {split: rows[rows["split"] == split] for split in SPLITS}
    for split, part in parts.items():
        _require_both_classes(use_case, split, part["label"])
    labels = {split: part["label"].to_numpy(dtype=bool) for split, part in parts.items()}

    def scores(pipeline: Pipeline, split: str) -> Any:
        return pipeline.predict_proba(parts[split][inputs])[:, 1]

    fitted, losses = {}, {}
    # On few rows, threads wait for each other longer than they work.
    with threadpool_limits(1 if len(rows) < THREADED_ROWS else None):
        for name, candidate in CANDIDATES.items():
            fitted[name] = candidate(use_case, seed).fit(parts["train"][inputs], labels["train"])
            judged = metrics(labels["validation"], scores(fitted[name], "validation"), 0.5)
            losses[name] = judged["log_loss"]
    recipe = min(losses, key=lambda name: losses[name])
    pipeline = fitted[recipe]
    threshold = f1_best_threshold(labels["validation"], scores(pipeline, "validation"))
    return Trained(
        recipe=recipe,
        pipeline=pipeline,
        threshold=threshold,
        metrics={
            f"{split}_{name}": value
            for split in SPLITS
            for name, value in metrics(labels[split], scores(pipeline, split), threshold).items()
        },
        candidates=losses,
        train=parts["train"][inputs],
        test_labels=labels["test"],
        test_scores=scores(pipeline, "test"),
    )


def _require_both_classes(use_case: UseCase, split: str, labels: pd.Series[bool]) -> None:
    if labels.nunique() == 2:  # noqa: PLR2004
        return
    found = f"only {'positive' if labels.all() else 'negative'} ones" if len(labels) else "none"
    raise TrainingError(
        f"{use_case.name}: training needs labels of both classes, and the {split} rows have "
        f"{found}. Label '{use_case.label.column}' counts as positive where it is "
        f"'{use_case.label.positive}': check it in the source. The Champion, if any, stands."
    )

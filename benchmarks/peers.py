"""Ours beside its peers, and beside the law: `python -m benchmarks.peers [--seeds 10] [--law]`.

Each seed draws a stratified 20 % of the customers to judge by. All that a contender does (search,
choice, threshold) happens on the other 80 %, and its threshold is the F1-best one of out-of-fold
scores. Ours gets the features table, the demo its own two features beside the raw columns, FLAML
and AutoGluon the raw columns, typed. Both are installed apart, in `.churn/peers`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.stats import t as student
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.__main__ import PROJECT, TELCO
from churn_assets.assets.resources import LAYERS
from churn_assets.learning.fitting.training import labelled_rows, train
from churn_assets.learning.metrics import f1_best_threshold, metrics
from churn_assets.learning.recipe import TrainingSettings, TuningSettings
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.featurise import featurise
from churn_assets.tables.ingest import ingest
from churn_assets.tables.lake import Lake
from churn_assets.tables.refine import refine
from churn_assets.tables.sources.source import Source
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.telco_generator import churn_probability, generate

USE_CASE = USE_CASES["telco_churn"]
PLACE = PROJECT / ".churn" / "peers"
HERE = Path(__file__).parent
TEST_SHARE = 0.2
FOLDS = 5
TRIALS = 30
LAW_ROWS = (7_043, 100_000, 1_000_000)
Z_95 = 1.96

RAW = [name for name in USE_CASE.inputs if name in {c.name for c in USE_CASE.contract.columns}]
MEASURES = {
    "AUC": "roc_auc",
    "PR AUC": "pr_auc",
    "log loss": "log_loss",
    "Brier": "brier",
    "F1 at .5": "f1_at_half",
    "F1 at t*": "f1",
    "wall s": "wall",
    "CPU s": "cpu",
}
SCORES = ("AUC", "PR AUC", "log loss", "Brier", "F1 at .5", "F1 at t*")

DEMO_FEATURES = ("num_optional_services", "avg_price_increase_usd")
DEMO_FLAGS = [
    *("gender", "senior_citizen", "partner"),
    *("dependents", "phone_service", "paperless_billing"),
]
DEMO_PARAMETERS = {
    "n_estimators": 250,
    "learning_rate": 0.0678497372371143,
    "num_leaves": 100,
    "max_depth": 8,
    "max_bin": 229,
    "min_child_samples": 66,
    "path_smooth": 61.06596877554017,
    "lambda_l1": 2.6616074270114995,
    "lambda_l2": 514.9224373768443,
    "colsample_bytree": 0.4120544919020157,
    # Without a frequency this does nothing, as in the demo.
    "subsample": 0.6965257092078714,
    "random_state": 42,
    "verbose": -1,
}
"""Of databricks-demos, mlops-end2end, as of July 2026."""


@dataclass(frozen=True)
class Round:
    """One seed's customers: those to learn from, those to judge by, and how long a search may take.

    Parameters
    ----------
    seed : int
        What drew them, and of every random choice.
    learn, judge : DataFrame
        Rows of the features table, sorted by key.
    seconds : float
        For the peer that searches for a set time.
    """

    seed: int
    learn: pd.DataFrame
    judge: pd.DataFrame
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """What a contender made of a round: test scores, its threshold, seconds, what it chose."""

    scores: np.ndarray
    threshold: float
    wall: float
    cpu: float
    chose: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=60, help="What FLAML may take.")
    parser.add_argument("--law", action="store_true", help="Ours beside the law of the generator.")
    parser.add_argument("--rows", type=int, nargs="+", default=LAW_ROWS, help="With --law.")
    arguments = parser.parse_args()
    for module in ("lightgbm", "optuna", "sklearn.ensemble", "xgboost"):
        import_module(module)  # what a fit imports is not a part of its time
    if arguments.law:
        law(arguments.rows)
    else:
        compare(arguments.only, arguments.seeds, arguments.seconds)


def compare(names: Sequence[str], seeds: int, seconds: float) -> None:
    """Every contender on the same seeds; means, and intervals of the difference to ours."""
    rows = _labelled(Source(uri=str(TELCO) if TELCO.exists() else ""))
    print(f"{'real file' if TELCO.exists() else 'generated'}, {len(rows):,} customers, ", end="")
    print(f"{seeds} seeds, {TEST_SHARE:.0%} to judge by", flush=True)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for seed in range(seeds):
        learn, judge = train_test_split(
            rows, test_size=TEST_SHARE, random_state=seed, stratify=rows["label"]
        )
        drawn = Round(seed, learn.sort_index(), judge.sort_index(), seconds)
        labels = drawn.judge["label"].to_numpy(dtype=bool)
        for name in names:
            fitted = CONTENDERS[name](drawn)
            judged = metrics(labels, fitted.scores, fitted.threshold)
            judged["f1_at_half"] = metrics(labels, fitted.scores, 0.5)["f1"]
            judged |= {"wall": fitted.wall, "cpu": fitted.cpu}
            found[name].append(judged)
            told = "  ".join(f"{judged[MEASURES[one]]:.4f}" for one in SCORES)
            print(
                f"seed {seed} {name:<10} {told}  {fitted.wall:6.1f} s  {fitted.chose}", flush=True
            )
    _show(found)


def law(sizes: Sequence[int]) -> None:
    """Ours on generated customers beside the law that drew their labels, on the same test rows."""
    for size in sizes:
        rows = _labelled(Source(rows=size))
        wall, cpu = _spent()
        trained = train(USE_CASE, rows, TrainingSettings())
        spent = np.array(_spent()) - (wall, cpu)
        ours, labels = trained.test_scores, trained.test_labels
        true = _true_probability(size, trained.test[USE_CASE.key])
        differences = _loss(labels, ours) - _loss(labels, true)
        sure = Z_95 * differences.std(ddof=1) / np.sqrt(len(differences))
        # What the difference is on average over the labels that the law might have drawn.
        expected = np.mean(true * _loss(1, ours) + (1 - true) * _loss(0, ours))
        expected -= np.mean(true * _loss(1, true) + (1 - true) * _loss(0, true))
        print(f"{size:>12,} rows, {len(labels):,} to judge by, {trained.recipe}, ", end="")
        print(f"{spent[0]:.1f} s wall, {spent[1]:.1f} s CPU")
        print(f"{'':>12} log loss ours {log_loss(labels, ours):.5f}, ", end="")
        print(f"the law {log_loss(labels, true):.5f}, gap {differences.mean():.5f} ", end="")
        print(f"+-{sure:.5f}, expected {expected:.5f}")
        print(f"{'':>12} AUC      ours {roc_auc_score(labels, ours):.5f}, ", end="")
        print(f"the law {roc_auc_score(labels, true):.5f}", flush=True)


def corrected_interval(differences: np.ndarray, judged_per_learned: float) -> tuple[float, float]:
    """95 % interval of the mean difference over resplits, whose training rows overlap.

    Parameters
    ----------
    differences : array of shape (n_seeds,)
        Between two contenders on the same rows.
    judged_per_learned : float
        Rows to judge by for each row to learn from.

    References
    ----------
    Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52(3).
    """
    n = len(differences)
    error = np.sqrt((1 / n + judged_per_learned) * differences.var(ddof=1))
    half = student.ppf(0.975, n - 1) * error
    return float(differences.mean() - half), float(differences.mean() + half)


def _show(found: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    columns = {
        name: {one: np.array([judged[key] for judged in rounds]) for one, key in MEASURES.items()}
        for name, rounds in found.items()
    }
    print("\n" + " | ".join(["mean      ", *(f"{one:>8}" for one in MEASURES)]))
    for name, values in columns.items():
        cells = [f"{values[one].mean():8.{4 if one in SCORES else 1}f}" for one in MEASURES]
        print(" | ".join([f"{name:<10}", *cells]))
    reference = next(iter(columns))
    seeds = len(columns[reference]["AUC"])
    if seeds == 1:
        return
    print(f"\ndifference to {reference}, corrected 95 % interval")
    for name in list(columns)[1:]:
        print(name)
        for one in SCORES:
            differences = columns[name][one] - columns[reference][one]
            low, high = corrected_interval(differences, TEST_SHARE / (1 - TEST_SHARE))
            print(f"  {one:<9} {differences.mean():+.4f}  {low:+.4f} to {high:+.4f}")


def _ours(trials: int) -> Callable[[Round], Fitted]:
    def fit(drawn: Round) -> Fitted:
        settings = TrainingSettings(seed=drawn.seed, tuning=TuningSettings(trials=trials))
        learn = drawn.learn
        seen, _ = train_test_split(
            learn.index, test_size=0.25, random_state=drawn.seed, stratify=learn["label"]
        )
        rows = pd.concat([learn.assign(split="validation"), drawn.judge.assign(split="test")])
        rows.loc[seen, "split"] = "train"
        before = _spent()
        trained = train(USE_CASE, rows.sort_index(), settings)
        return Fitted(trained.test_scores, trained.threshold, *_since(before), trained.recipe)

    return fit


def _demo(drawn: Round) -> Fitted:
    columns = [*RAW, *DEMO_FEATURES]
    numbers = [name for name in columns if name in USE_CASE.numeric]
    others = [name for name in columns if name not in (*numbers, *DEMO_FLAGS)]
    fill_and_scale = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    one_of_two = OneHotEncoder(handle_unknown="ignore", sparse_output=False, drop="first")
    encode = ColumnTransformer(
        [
            ("flags", one_of_two, DEMO_FLAGS),
            ("numbers", fill_and_scale, numbers),
            ("others", one_hot, others),
        ]
    ).set_output(transform="pandas")
    model = Pipeline([("encode", encode), ("model", LGBMClassifier(**DEMO_PARAMETERS))])
    inputs, labels = drawn.learn[columns], drawn.learn["label"].to_numpy(dtype=bool)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=drawn.seed)
    unseen = cross_val_predict(model, inputs, labels, cv=folds, method="predict_proba")[:, 1]
    # A fifth of the 80 % is held back and never trained on.
    seen, _ = train_test_split(np.arange(len(labels)), test_size=0.2, random_state=drawn.seed)
    before = _spent()
    model.fit(inputs.iloc[seen], labels[seen])
    spent = _since(before)
    scores = model.predict_proba(drawn.judge[columns])[:, 1]
    return Fitted(scores, f1_best_threshold(labels, unseen), *spent, "lightgbm")


def _apart(name: str) -> Callable[[Round], Fitted]:
    def fit(drawn: Round) -> Fitted:
        python = _environment(name)
        with tempfile.TemporaryDirectory() as folder:
            drawn.learn[[*RAW, "label"]].astype({"label": bool}).reset_index(drop=True).to_parquet(
                f"{folder}/train.parquet"
            )
            drawn.judge[RAW].reset_index(drop=True).to_parquet(f"{folder}/test.parquet")
            command = [python, "-P", "-W", "ignore", HERE / "peers_worker.py", name, folder]
            done = subprocess.run(
                [*command, str(drawn.seed), str(drawn.seconds)],
                capture_output=True,
                text=True,
                cwd=folder,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{name}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
            result = json.loads(Path(folder, "result.json").read_text(encoding="utf-8"))
        labels = drawn.learn["label"].to_numpy(dtype=bool)
        threshold = f1_best_threshold(labels, np.array(result["out_of_fold"]))
        scores = np.array(result["scores"])
        return Fitted(scores, threshold, result["wall"], result["cpu"], result["best"])

    return fit


def _environment(name: str) -> Path:
    """The Python of a peer's own environment, made where it is not there or not as pinned."""
    pinned = HERE / "peers_requirements" / f"{name}.txt"
    folder = PLACE / name
    python, made = folder / "bin" / "python", folder / "made-from.txt"
    wanted = pinned.read_text(encoding="utf-8")
    if made.exists() and made.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Setting up {folder}, once ...", flush=True)
    uv = Path(sys.executable).with_name("uv")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder],
        [uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "-r", pinned],
    ):
        subprocess.run(command, check=True)
    made.write_text(wanted, encoding="utf-8")
    return python


def _labelled(source: Source) -> pd.DataFrame:
    """Customers of a source whose label is known, as training gets them."""
    with tempfile.TemporaryDirectory() as root:
        tables = Lake(root, PolarsEngine(), layers=LAYERS).of(USE_CASE)
        ingest(USE_CASE, source, tables)
        list(refine(USE_CASE, tables, 0.05))
        version = featurise(USE_CASE, tables).version
        return labelled_rows(USE_CASE, tables["features"], version, TrainingSettings()).rows


def _true_probability(size: int, keys: pd.Series[Any]) -> np.ndarray:
    """What the label of each of these generated customers was drawn with."""
    source = USE_CASE.contract[USE_CASE.key].source
    parts = [
        pd.Series(churn_probability(batch), batch[source].to_pylist())
        for batch in generate(size, Source().seed)
    ]
    return pd.concat(parts).loc[keys].to_numpy()


def _loss(labels: Any, scores: np.ndarray) -> np.ndarray:
    """Log loss of each row."""
    return -np.where(labels, np.log(scores), np.log1p(-scores))


def _spent() -> tuple[float, float]:
    """Wall and CPU seconds so far, with processes that were started and have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in usages)


def _since(before: tuple[float, float]) -> tuple[float, float]:
    wall, cpu = _spent()
    return wall - before[0], cpu - before[1]


CONTENDERS: dict[str, Callable[[Round], Fitted]] = {
    "ours": _ours(0),
    "tuned": _ours(TRIALS),
    "demo": _demo,
    "flaml": _apart("flaml"),
    "autogluon": _apart("autogluon"),
}

if __name__ == "__main__":
    main()

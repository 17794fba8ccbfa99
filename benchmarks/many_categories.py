"""What a column of many categories costs, and what is learnt from it: memory, time, log loss.

    python -m benchmarks.many_categories [ROWS] [CATEGORIES] [together|outcome]

Made-up customers whose law is known live in one of many places; each place has an effect of its
own. The default candidates are trained on them, and the peak of memory is measured.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pandas as pd

from churn_assets.learning.fitting.training import train
from churn_assets.learning.odds import sigmoid
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.usecases.spec import Column, Contract, Label, String, UseCase

ROWS, CATEGORIES = 1_000_000, 50_000
MOST_GB = 8.0
"""What a training of these may take."""
SPREAD = 0.7
"""Standard deviation of the places' effects, in log-odds."""
NUMBERS = tuple(f"number_{i}" for i in range(10))
KINDS = tuple(f"kind_{i}" for i in range(5))
USE_CASE = UseCase(
    name="many_categories",
    key="customer",
    label=Label("left", positive="Yes"),
    contract=Contract(Column("customer", String), Column("left", String)),
    clean=lambda records: records,
    features=lambda silver: silver,
    numeric=NUMBERS,
    categorical=(*KINDS, "place"),
    description="Who leaves, of customers in many places.",
)


def made_up(rows: int, categories: int, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers as training takes them, and the probability that each leaves.

    Some places have many customers and most have few: their shares fall as one over the rank.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.normal(size=rows) for name in NUMBERS})
    for place, name in enumerate(KINDS):
        frame[name] = pd.Categorical.from_codes(
            rng.integers(0, 3 + place, rows), [f"{name} {i}" for i in range(3 + place)]
        ).astype(object)
    shares = 1 / (np.arange(categories) + 50.0)
    of_row = rng.choice(categories, rows, p=shares / shares.sum())
    names = np.array([f"place {i:05}" for i in range(categories)], dtype=object)
    frame["place"] = names[of_row]
    odds = -1.5 + SPREAD * rng.normal(size=categories)[of_row]
    odds += 0.8 * frame["number_0"] - 0.5 * (frame["number_1"] > 0) * frame["number_2"]
    odds += 0.6 * (frame["kind_1"] == "kind_1 0")
    law = sigmoid(odds.to_numpy())
    frame["label"] = rng.random(rows) < law
    frame["split"] = rng.choice(["train", "validation", "test"], rows, p=[0.6, 0.2, 0.2])
    frame["customer"] = [f"{i:07}" for i in range(rows)]
    return frame, law


def log_loss(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mean log loss."""
    return float(-np.log(np.where(labels, scores, 1 - scores)).mean())


def main(rows: int = ROWS, categories: int = CATEGORIES, rare: str = "together") -> None:
    """Train, and print what it took."""
    frame, law = made_up(rows, categories)
    names = ("logistic_regression", "random_forest", "gradient_boosting", "lightgbm", "xgboost")
    candidates = [{"name": name, "rare_categories": rare} for name in names]
    started = time.perf_counter()
    model = train(USE_CASE, frame, TrainingSettings(candidates=candidates), progress=print)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    is_test = (frame["split"] == "test").to_numpy()
    best = log_loss(model.test_labels, law[is_test])
    found = log_loss(model.test_labels, model.test_scores)
    print(
        f"{rows:,} rows, {categories:,} categories, rare ones {rare}: {model.recipe}, log loss "
        f"{found:.4f}, {found - best:.4f} above the law's; {seconds:.0f} s, peak {peak:.2f} GB"
    )
    for name, candidate in model.candidates.items():
        print(f"  {name}: {candidate.loss:.4f}")
    if peak > MOST_GB:
        sys.exit(f"It took {peak:.1f} GB, more than {MOST_GB:g}.")


if __name__ == "__main__":
    rows, categories, *rare = sys.argv[1:] or [ROWS, CATEGORIES]
    main(int(rows), int(categories), *rare)

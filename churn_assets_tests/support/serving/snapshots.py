"""Made-up snapshots of features by key."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from churn_assets.serving.answering.snapshot import FORMAT, Head
from churn_assets.serving.online_features.folder import making, name_of
from churn_assets.serving.online_features.pairs import (
    advised,
    in_order,
    of_features,
    of_predictions,
)
from churn_assets.serving.online_features.write import write_snapshot

COLUMNS = {"tenure": "number", "plan": "text"}
BATCH = 100
"""Rows; small, so that a few hundred customers are sorted in parts."""


def head_of(rows: int, *, key: tuple[str, ...] = ("id",), version: int = 1) -> Head:
    """What a snapshot of so many customers is, before it is written."""
    return Head(
        format=FORMAT,
        use_case="made_up",
        key=key,
        columns=COLUMNS,  # type: ignore[arg-type]
        features_version=version,
        features_data_version=f"features {version}",
        predictions_version=version,
        data_version=f"{version:064d}",
        made_at=time.time(),
        rows=rows,
        size_bytes=0,
        digest="",
    )


def frame_of(keys: Sequence[Sequence[str]], names: Sequence[str]) -> pl.DataFrame:
    """Customers of such keys: of each, its place among them is what is known."""
    rows = len(keys)
    return pl.DataFrame({
        **{name: [key[part] for key in keys] for part, name in enumerate(names)},
        "tenure": [float(at) for at in range(rows)],
        "plan": [f"plan {at % 3}" if at % 5 else None for at in range(rows)],
        "split": ["train" if at % 2 else "test" for at in range(rows)],
        "contact": [at % 4 == 0 for at in range(rows)],
        "rank": list(range(1, rows + 1)),
    })  # fmt: skip


def snapshot_of(
    folder: Path,
    keys: Sequence[Sequence[str]],
    *,
    names: tuple[str, ...] = ("id",),
    version: int = 1,
    advised_to: int | None = None,
) -> Path:
    """Write a snapshot of customers of such keys.

    Parameters
    ----------
    folder : Path
        Where it lies.
    keys : sequence of sequence of str
        Of each customer.
    names : tuple of str
        What the parts of a key are called.
    version : int
        Of the features.
    advised_to : int, optional
        Of how many of the customers there are predictions; of all by default.
    """
    frame, head = frame_of(keys, names), head_of(len(keys), key=names, version=version)
    predictions = frame if advised_to is None else frame.head(advised_to)
    with making(folder) as own:
        customers = (of_features(part, names, COLUMNS) for part in frame.iter_slices(BATCH))  # type: ignore[arg-type]
        advice = (of_predictions(part, names) for part in predictions.iter_slices(BATCH))
        pairs = advised(
            in_order(customers, own, "features", BATCH), in_order(advice, own, "predictions", BATCH)
        )
        write_snapshot(folder / name_of(head), pairs, head, making=own)
    return folder / name_of(head)

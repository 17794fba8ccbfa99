"""Drafts of tables that lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from churn_assets.scaffold.draft import Draft, Entry, draft
from churn_assets.scaffold.profile import profile
from churn_assets.scaffold.sample import Sample
from churn_assets.usecases.spec import delta_name

ROWS = 1000


def draft_of(
    columns: dict[str, Any],
    keys: Sequence[str] = ("id",),
    label: str = "left",
    positive: str = "yes",
) -> Draft:
    """A draft of a table of these columns, beside a key and a label if they are not given."""
    rows = len(next(iter(columns.values())))
    whole = {"id": [f"k{i}" for i in range(rows)], "left": outcomes(rows), **columns}
    return draft("case", profile(sample_of(whole), keys, label, positive))


def sample_of(columns: dict[str, Any]) -> Sample:
    """A whole table as a sample of it."""
    records = pl.DataFrame({delta_name(name): values for name, values in columns.items()})
    return Sample(records, tuple(columns), records.height, "/data/table.csv")


def outcomes(rows: int = ROWS) -> list[str]:
    """Three in ten leave, in no order."""
    left = np.random.default_rng(0).random(rows) < 0.3
    return ["yes" if leaves else "no" for leaves in left]


def signal(share_true: float = 0.7, rows: int = ROWS, seed: int = 1) -> np.ndarray:
    """Numbers that tell something of the outcome."""
    rng = np.random.default_rng(seed)
    left = np.array(outcomes(rows)) == "yes"
    return np.where(rng.random(rows) < share_true, left, rng.random(rows) < 0.5).astype(float)


def noise(rows: int = ROWS, seed: int = 2) -> np.ndarray:
    """Numbers that tell nothing."""
    return np.random.default_rng(seed).normal(size=rows)


def group_of(draft: Draft, source: str) -> str:
    """The group of a column; of what is left out, why."""
    for group in ("numbers", "categories", "dates"):
        if any(entry.profile.source == source for entry in getattr(draft, group)):
            return group
    return entry_of(draft, source).why


def entry_of(draft: Draft, source: str) -> Entry:
    """The entry of a column."""
    return next(entry for entry in draft.entries if entry.profile.source == source)

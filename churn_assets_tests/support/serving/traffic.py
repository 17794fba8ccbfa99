"""Tables of promotions, traffic and requests, as servers leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from churn_assets.assets.resources import LAYERS
from churn_assets.learning.judging.record import PROMOTIONS, Promotion
from churn_assets.learning.workplace import served_tables
from churn_assets.tables.engines.polars_engine import PolarsEngine
from churn_assets.tables.lake import Lake, Table
from churn_assets_tests.support.project import USE_CASE

KEY = USE_CASE.keys[0]


def tables_in(folder: Path) -> dict[str, Table]:
    """The tables of a use case in a folder, with those that servers write to."""
    layers = (*LAYERS, served_tables)
    return dict(Lake(str(folder), PolarsEngine(), layers=layers).of(USE_CASE))


def promote(
    tables: Mapping[str, Table], *versions: int, ago: float = 0, action: str = "promotion"
) -> None:
    """Put promotions on record, so many seconds ago."""
    champion = tables["champion"]
    for version in versions:
        state = PROMOTIONS.state_of(champion)
        records = PROMOTIONS.history(champion, state)
        record = Promotion(
            promotion=len(records) + 1,
            action=action,
            model_name="m",
            version=version,
            run_id=f"run {version}",
            threshold=0.5,
            previous_version=records[-1].version if records else None,
            decided_by="a test",
            decided_at=datetime.now(UTC) - timedelta(seconds=ago),
            gates="[]",
        )
        PROMOTIONS.commit(champion, state, record, record.data_version, {})


def answered(
    tables: Mapping[str, Table], rows: Sequence[Mapping[str, Any]], at: datetime | None = None
) -> None:
    """Let answers come to the table of requests; what a row does not say is as of a good answer."""
    moment = at or datetime.now(UTC)
    usual = {
        "requested_at": moment,
        "churn_probability": 0.2,
        "decision": False,
        "model_version": 1,
        "variant": "champion",
        "share": 0.5,
        "shadow": False,
        "features_version": None,
        "latency_ms": 1.0,
        "status": 200,
    }
    schema = {
        KEY: pl.String,
        "requested_at": pl.Datetime("us", "UTC"),
        "churn_probability": pl.Float64,
        "decision": pl.Boolean,
        "model_version": pl.Int64,
        "variant": pl.String,
        "share": pl.Float64,
        "shadow": pl.Boolean,
        "features_version": pl.Int64,
        "latency_ms": pl.Float64,
        "status": pl.Int32,
    }
    frame = pl.DataFrame([{**usual, **row} for row in rows], schema=schema)
    table: pa.Table = frame.to_arrow()
    tables["requests"].append(tables["requests"].engine.from_arrow(table), "requests")


def customers(
    number: int,
    version: int,
    share: float = 0.5,
    *,
    failing: float = 0.0,
    seed: int = 0,
    first: int = 0,
) -> list[dict[str, Any]]:
    """Answers of so many customers, of whom a share is the Challenger's, which may fail."""
    rng = np.random.default_rng(seed)
    rows = []
    for place in range(first, first + number):
        is_ours = bool(rng.random() < share)
        failed = is_ours and rng.random() < failing
        score = float(rng.beta(0.8, 2.2))
        rows.append(
            {
                KEY: f"customer {place}",
                "variant": "challenger" if is_ours else "champion",
                "model_version": version if is_ours else 1,
                "share": share,
                "status": 500 if failed else 200,
                "churn_probability": None if failed else score,
                "decision": None if failed else score > 0.5,
            }
        )
    return rows

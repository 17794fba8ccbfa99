"""What tests need that hold two lakes beside each other."""

from __future__ import annotations

import polars as pl

from churn_assets.usecases.spec import delta_name
from churn_assets_tests.support.project import Project

# What differs between two runs on one engine as well.
OF_THE_RUN = (
    *("ingested_at", "scored_at", "trained_at", "decided_at", "decided_by", "run_id"),
    *("model_digest", "bundle_digest"),
)


def rows(project: Project, table: str) -> pl.DataFrame:
    """A table as any reader of Delta sees it, sorted by its key, without what is of the run."""
    frame = pl.read_delta(project.table(table).uri).drop(OF_THE_RUN, strict=False)
    case = project.use_case
    sources = [delta_name(case.contract[name].source) for name in case.keys]
    keys = next(keys for keys in (case.keys, sources, ["version"]) if set(keys) <= {*frame.columns})
    return frame.sort(*keys)


def break_some(frame: pl.DataFrame) -> pl.DataFrame:
    """Let some records break one rule, some keep it in an odd way, and some have no label."""
    row = pl.int_range(pl.len())
    return frame.with_columns(
        TotalCharges=pl.when(row % 97 == 3).then(pl.lit("n/a")).otherwise("TotalCharges"),
        MonthlyCharges=pl.when(row % 89 == 5).then(pl.lit("-1.5")).otherwise("MonthlyCharges"),
        tenure=pl.when(row % 83 == 7).then(pl.lit(" +12.0 ")).otherwise("tenure"),
        Contract=pl.when(row % 79 == 11).then(pl.lit("Weekly")).otherwise("Contract"),
        gender=pl.when(row % 73 == 13).then(pl.lit("\u00a0Male\t")).otherwise("gender"),
        Churn=pl.when(row % 7 == 2).then(pl.lit("")).otherwise("Churn"),
    )

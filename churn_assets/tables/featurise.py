"""From silver to features: model inputs, label and split for each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from churn_assets.tables.engine import BUCKETS, Engine
from churn_assets.tables.lake import Committed, Table
from churn_assets.tables.lineage import code_version, data_version
from churn_assets.usecases.spec import UseCase

if TYPE_CHECKING:
    import narwhals.stable.v2 as nw

    Frame = nw.LazyFrame[Any]

SPLITS = ("train", "validation", "test")
_BUCKET = "__bucket"


def features_code(use_case: UseCase) -> str:
    """Version of the code that makes features."""
    return code_version(
        use_case.features, featurise, split=str(use_case.split), beside=use_case.beside
    )


def featurise(use_case: UseCase, tables: Mapping[str, Table]) -> Committed:
    """Replace features."""
    silver = tables["silver"].require()
    version = data_version(features_code(use_case), {"silver": silver.data_version})
    current = tables["features"].current(version)
    if current:
        return current
    frame = feature_rows(use_case, tables["silver"].scan(silver.version), tables["silver"].engine)
    reads = {"silver": silver.version}
    return tables["features"].replace(frame, version, reads, split=str(use_case.split))


def feature_rows(use_case: UseCase, silver: Frame, engine: Engine) -> Frame:
    """Key, model inputs, `label` (null: not known yet) and `split` of each customer.

    Columns that value and slices need stand beside the model inputs.

    Parameters
    ----------
    use_case : UseCase
        Whose `features` apply.
    silver : frame
        Valid, typed, cleaned records.
    engine : Engine
        What hashes the key.
    """
    import narwhals.stable.v2 as nw

    split = use_case.split
    to_train = round(split.train * BUCKETS)
    to_validation = round((split.train + split.validation) * BUCKETS)
    bucket = nw.col(_BUCKET)
    frame = engine.bucket(use_case.features(silver), use_case.key, split.salt, into=_BUCKET)
    return frame.select(
        use_case.key,
        # Numbers are doubles, so that a model's signature takes a missing one.
        *(nw.col(name).cast(nw.Float64) for name in use_case.numeric),
        *use_case.categorical,
        *use_case.beside,
        (nw.col(use_case.label.column) == use_case.label.positive).alias("label"),
        nw.when(bucket < to_train)
        .then(nw.lit("train"))
        .when(bucket < to_validation)
        .then(nw.lit("validation"))
        .otherwise(nw.lit("test"))
        .alias("split"),
    )

"""The Challenger: trained where something changed, and on record as it was registered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd
import polars as pl
import pytest

from churn_assets.assets.resources import resources
from churn_assets.errors import TrainingError
from churn_assets.learning.challenger import (
    Challenger,
    OpenRun,
    latest_challenger,
    train_challenger,
    typical_row,
)
from churn_assets.learning.recipe import TrainingSettings
from churn_assets.learning.registry import CHALLENGER
from churn_assets_tests.learning.registering import challenge, open_run
from churn_assets_tests.project import USE_CASE, Project

FEATURES = "raw silver rejects features"


class TrainingBegun(Exception):  # noqa: N818
    """A training was begun."""


@contextmanager
def caught() -> Iterator[str]:
    raise TrainingBegun
    yield ""


def train(project: Project, open_run: OpenRun = caught, **changes: bool) -> Challenger:
    tables = resources(project.settings())["lake"].of(USE_CASE)
    return train_challenger(
        USE_CASE, tables, project.registry, TrainingSettings(), open_run, **changes
    )


def without_labels(project: Project) -> None:
    project.run(project.write(lambda frame: frame.with_columns(Churn=pl.lit(""))), tables=FEATURES)


def test_unchanged_features_and_code_train_nothing(copied: Project) -> None:
    challenger = train(copied)

    assert challenger.row["version"] == 1
    assert not challenger.committed.changed
    assert copied.state("model").rows == 1


def test_retrain_trains_where_nothing_changed(copied: Project) -> None:
    with pytest.raises(TrainingBegun):
        train(copied, retrain=True)


def test_changed_features_train(copied: Project) -> None:
    copied.run(copied.write(lambda frame: frame.head(2500)), tables=FEATURES)

    with pytest.raises(TrainingBegun):
        train(copied)


def test_a_version_that_a_crash_kept_off_the_table_is_trained_again(copied: Project) -> None:
    """The registry's Challenger is another one than the table's, so the table does not count."""
    challenge(copied)

    with pytest.raises(TrainingBegun):
        train(copied)


def test_a_registry_that_lost_the_challenger_trains_again(copied: Project) -> None:
    copied.registry.client.delete_registered_model_alias("telco_churn", CHALLENGER)

    with pytest.raises(TrainingBegun):
        train(copied)


def test_a_challenger_of_a_sample_says_so_in_the_registry_and_in_dagster(project: Project) -> None:
    run = project.run(project.write(), training={"max_rows": 1000})

    said = project.registry.by_alias(CHALLENGER).description
    assert "of a sample, 0.33" in said
    assert "of the 3,000 with a known label" in said
    assert run.metadata("model")["description"].value == said


def test_without_any_label_the_challenger_that_is_there_stays(copied: Project) -> None:
    without_labels(copied)

    challenger = train(copied, retrain=True)

    assert challenger.row["version"] == 1


def test_without_any_label_and_any_model_there_is_nothing_to_learn_from(project: Project) -> None:
    without_labels(project)

    with pytest.raises(TrainingError, match="no customer has a known label") as refusal:
        train(project)

    assert "column 'Churn' is filled for past customers" in str(refusal.value)


def test_the_table_and_the_registry_say_the_same_of_a_new_challenger(copied: Project) -> None:
    registry, features = copied.registry, copied.state("features")

    challenger = train(copied, lambda: open_run(registry), retrain=True)

    version = registry.by_alias(CHALLENGER)
    row = copied.rows("model").sort("version").row(-1, named=True)
    assert (
        (row["version"], row["run_id"]) == (version.version, version.run_id) == (2, row["run_id"])
    )
    assert row["threshold"] == version.threshold
    assert version.tags["features_data_version"] == features.data_version
    assert version.tags["split"] == features.details["split"] == row["split"]
    assert challenger.committed.reads == {"features": features.version}
    assert f"F1 {row['test_f1']:.3f} at threshold {row['threshold']:.3f}" in version.description
    assert latest_challenger(copied.table("model"), registry).row == row


def test_the_typical_row_has_the_median_of_each_number_and_the_commonest_of_each_category() -> None:
    case = replace(USE_CASE, numeric=("months",), categorical=("contract",))
    rows = pd.DataFrame({"months": [1.0, 2.0, 60.0], "contract": ["year", "month", "month"]})

    assert typical_row(case, rows).to_dict("records") == [{"months": 2.0, "contract": "month"}]


@pytest.mark.parametrize(
    ("numeric", "categorical"), [(("months",), ()), ((), ("contract",)), (("unknown",), ("none",))]
)
def test_a_typical_row_can_be_had_of_any_columns(
    numeric: tuple[str, ...], categorical: tuple[str, ...]
) -> None:
    case = replace(USE_CASE, numeric=numeric, categorical=categorical)
    rows = pd.DataFrame(
        {
            "months": [1.0, 2.0],
            "unknown": [float("nan")] * 2,
            "contract": ["year", "month"],
            "none": pd.Series([None, None], dtype=object),
        }
    )[[*numeric, *categorical]]

    found = typical_row(case, rows)

    assert list(found.columns) == [*numeric, *categorical]
    assert len(found) == 1

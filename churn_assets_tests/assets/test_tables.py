"""From the source to features, as Dagster shows it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.assets.shared import key
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import ROWS, USE_CASE, Project, Run, write_csv

TABLES = "raw silver rejects features"


def lineage(run: Run, table: str) -> dict[str, list[tuple[str, str]]]:
    """What each column is made from: tables and columns."""
    shown = run.metadata(table)["dagster/column_lineage"].value
    return {
        column: [(dep.asset_key.path[-1], dep.column_name) for dep in deps]
        for column, deps in shown.deps_by_column.items()
    }


def evidence(run: Run, check: str) -> dict[str, object]:
    """What a check shows."""
    return {name: value.value for name, value in run.checks[check].metadata.items()}


def test_raw_shows_its_source(finished: Finished) -> None:
    shown = finished.run.metadata("raw")

    assert shown["source_uri"].value.endswith("customers.csv")
    assert shown["files"].value == 1


def test_every_column_of_silver_leads_back_to_a_column_of_raw(finished: Finished) -> None:
    found = lineage(finished.run, "silver")

    assert set(found) == set(finished.project.rows("silver").columns)
    assert found["tenure_months"] == [("raw", "tenure")]
    assert {column for deps in found.values() for _, column in deps} <= set(
        finished.project.rows("raw").columns
    )


def test_columns_of_features_lead_back_to_silver_where_that_is_known(finished: Finished) -> None:
    found = lineage(finished.run, "features")

    assert found["label"] == [("silver", "churn")]
    assert found["split"] == [("silver", "customer_id")]
    assert found["tenure_months"] == [("silver", "tenure_months")]
    assert set(found) <= set(finished.project.rows("features").columns)
    assert {column for deps in found.values() for _, column in deps} <= set(
        finished.project.rows("silver").columns
    )


def test_good_records_pass_every_check_and_each_says_what_it_saw(finished: Finished) -> None:
    run = finished.run

    assert run.failed_checks == set()
    assert {"expected_columns", "rejected_records", "outliers", "split_balance"} <= set(run.checks)
    assert evidence(run, "no_copies_across_the_split")["not_judged"] == {"validation": 0, "test": 0}
    assert all(check.description for check in run.checks.values())
    assert evidence(run, "rejected_records") == {
        "rejected": 0,
        "share": 0.0,
        "greatest_share": 0.05,
        "rules": {},
    }
    splits = evidence(run, "split_balance")["splits"]
    assert sum(split["rows"] for split in splits.values()) == ROWS


def test_an_unknown_column_is_warned_of_and_stops_nothing(project: Project) -> None:
    source = project.write(lambda frame: frame.with_columns(Loyalty=pl.lit("gold")))

    run = project.run(source, tables=TABLES)

    assert run.success, run.error
    assert run.failed_checks == {"expected_columns"}
    assert run.blocked_by == set()
    assert evidence(run, "expected_columns")["extra_columns"] == ["Loyalty"]
    assert "Loyalty" in run.checks["expected_columns"].description


def three_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Every customer under three numbers."""
    return pl.concat([frame.with_columns(pl.col("customerID") + f"-{n}") for n in range(3)])


def test_copies_are_warned_of_and_are_not_judged_on(project: Project) -> None:
    run = project.run(project.write(three_times, rows=1000), tables=TABLES)

    assert run.success, run.error
    assert run.failed_checks == {"no_copies_across_the_split"}
    assert run.blocked_by == set()
    description = run.checks["no_copies_across_the_split"].description
    assert "and 2,000 of 3,000 rows are copies. They are not judged on. Remove them" in description
    held_out = project.rows("features").filter(pl.col("split") != "train").height
    not_judged = evidence(run, "no_copies_across_the_split")["not_judged"]
    assert 0.7 * held_out < sum(not_judged.values()) < held_out


def test_copies_end_the_run_before_a_model_is_trained_where_the_setting_says_so(
    project: Project,
) -> None:
    run = project.run(project.write(three_times, rows=1000), copies="block")

    assert not run.success
    assert run.blocked_by == {"no_copies_across_the_split"}
    assert run.error.startswith("features hold copies across the split: ")
    assert "2,000 of 3,000 rows are copies. Nothing was trained. Remove them from the" in run.error
    assert "model" not in run.materialized
    assert project.state("model") is None


def test_a_missing_label_is_warned_of_and_named(project: Project) -> None:
    run = project.run(project.write(lambda frame: frame.drop("Churn")), tables=TABLES)

    assert run.success, run.error
    assert "expected_columns" in run.failed_checks
    assert "'Churn' is missing" in run.checks["expected_columns"].description


def test_a_few_rejects_are_counted_with_their_rules_and_stop_nothing(project: Project) -> None:
    first_ten = pl.int_range(pl.len()) < 10
    source = project.write(
        lambda frame: frame.with_columns(
            tenure=pl.when(first_ten).then(pl.lit("many")).otherwise("tenure")
        )
    )

    run = project.run(source, tables=TABLES)

    assert run.success, run.error
    shown = evidence(run, "rejected_records")
    assert shown["rejected"] == 10
    assert sum(shown["rules"].values()) == 10
    assert all("tenure" in rule for rule in shown["rules"])
    assert run.metadata("rejects")["dagster/row_count"].value == 10
    assert run.metadata("silver")["dagster/row_count"].value == ROWS - 10


def test_too_many_rejects_are_shown_and_silver_is_not_touched(copied: Project) -> None:
    before = copied.state("silver")
    source = copied.write(lambda frame: frame.with_columns(tenure=pl.lit("many")))

    run = copied.run(source)

    assert not run.success
    assert run.materialized == {"raw", "rejects"}
    assert run.metadata("rejects")["dagster/row_count"].value == ROWS
    assert copied.state("silver") == before
    assert "3,000 of 3,000 records" in run.error


def test_outliers_are_warned_of_and_kept(project: Project) -> None:
    source = project.write(
        lambda frame: frame.with_columns(
            MonthlyCharges=pl.when(pl.int_range(pl.len()) < 3)
            .then(pl.lit(99_999.0))
            .otherwise("MonthlyCharges")
        )
    )

    run = project.run(source, tables=TABLES)

    assert run.success, run.error
    assert "outliers" in run.failed_checks
    assert run.blocked_by == set()
    assert evidence(run, "outliers")["outliers"]["monthly_charges_usd"] == 3
    assert "monthly_charges_usd 3" in run.checks["outliers"].description
    assert project.rows("silver")["monthly_charges_usd"].max() == 99_999.0


def test_classes_that_fall_unevenly_into_the_splits_are_warned_of(project: Project) -> None:
    project.run(project.write(), tables=TABLES)
    in_test = project.rows("features").filter(pl.col("split") == "test")["customer_id"]
    source = project.write(
        lambda frame: frame.with_columns(
            Churn=pl.when(pl.col("customerID").is_in(in_test.implode()))
            .then(pl.lit("Yes"))
            .otherwise("Churn")
        )
    )

    run = project.run(source, tables=TABLES)

    assert run.success, run.error
    assert "split_balance" in run.failed_checks
    assert evidence(run, "split_balance")["p_value"] < 0.001


def test_a_wrong_source_is_told_in_one_line_and_read_only_once(
    project: Project, tmp_path: Path
) -> None:
    run = project.run(tmp_path / "gone.csv")

    assert not run.success
    assert run.materialized == set()
    assert str(tmp_path / "gone.csv") in run.error
    assert len(run.error.splitlines()) == 1
    assert not any(event.is_step_up_for_retry for event in run.events)


@pytest.mark.parametrize(
    ("table", "check"),
    [
        ("raw", "expected_columns"),
        ("rejects", "rejected_records"),
        ("silver", "outliers"),
        ("features", "split_balance"),
        ("features", "null_inputs"),
        ("features", "known_amounts"),
    ],
)
def test_a_warning_is_bound_to_its_table(finished: Finished, table: str, check: str) -> None:
    evaluation = finished.run.checks[check]

    assert evaluation.asset_key == key(USE_CASE, table)
    assert not evaluation.blocking
    assert evaluation.severity is dg.AssetCheckSeverity.WARN


def test_a_run_takes_its_input_and_gives_its_output_where_its_configuration_says(
    copied: Project, tmp_path: Path
) -> None:
    other, output = write_csv(tmp_path / "other.csv", rows=ROWS, seed=1), tmp_path / "scores"
    config = {"raw": {"input": str(other)}, "predictions": {"output": str(output)}}

    taken = copied.run(tables="raw", config={"raw": config["raw"]})
    given_out = copied.run(tables="predictions", config={"predictions": config["predictions"]})
    mistaken = {"predictions": {"output": copied.table("features").uri}}
    refused = copied.run(tables="predictions", config=mistaken)

    assert taken.metadata("raw")["source_uri"].value == str(other)
    assert given_out.metadata("predictions")["output"].value == str(output)
    assert pl.read_delta(str(output)).height == ROWS
    assert "there is a table of other rows than predictions" in refused.error
    assert copied.rows("features").height == ROWS

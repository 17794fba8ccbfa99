"""What Dagster is told of every table, and when it calls one stale."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from churn_assets.assets.automation import window
from churn_assets.assets.shared import key, preview, refusals
from churn_assets.definitions import definitions
from churn_assets.errors import SourceError
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import ASSETS, QUICK, TABLES, USE_CASE, Project, Run

READS = {
    "raw": set(),
    "silver": {"raw"},
    "rejects": {"raw"},
    "features": {"silver"},
    "model": {"features"},
    "champion": {"model"},
    "predictions": {"features", "champion"},
    "scores": {"predictions"},
    "online_features": {"features", "predictions"},
}


def data_versions(run: Run) -> dict[str, str]:
    """Each materialised table's data version, as Dagster keeps it."""
    return {
        event.asset_key.path[-1]: event.step_materialization_data.materialization.tags[
            "dagster/data_version"
        ]
        for event in run.events
        if event.is_step_materialization
    }


def stale(project: Project, **changes: object) -> set[str]:
    """The tables that Dagster marks as stale."""
    graph = definitions(project.settings(**changes)).resolve_asset_graph()
    status = CachingStaleStatusResolver(
        project.instance, graph, LoadingContextForTest(project.instance)
    )
    return {t for t in ASSETS if status.get_status(key(USE_CASE, t)) is not StaleStatus.FRESH}


@pytest.mark.parametrize("table", TABLES)
def test_what_the_ui_shows_of_a_table_is_what_the_lake_holds(
    finished: Finished, table: str
) -> None:
    project, state = finished.project, finished.project.state(table)

    shown = {name: value.value for name, value in finished.run.metadata(table).items()}

    assert shown["dagster/row_count"] == project.rows(table).height
    assert shown["dagster/uri"] == str(project.folder / ".churn" / "lake" / "telco_churn" / table)
    assert shown["dagster/table_name"] == f"telco_churn.{table}"
    assert shown["dagster/size_bytes"] == state.size_bytes
    columns = {column.name: column.type for column in shown["dagster/column_schema"].columns}
    assert columns == state.columns
    assert list(columns) == project.rows(table).columns
    assert shown["delta_version"] == state.version
    assert shown["written"]


@pytest.mark.parametrize("table", ASSETS)
def test_every_column_of_every_table_says_what_it_holds(finished: Finished, table: str) -> None:
    columns = finished.run.metadata(table)["dagster/column_schema"].value.columns

    for column in columns:
        assert column.description, column.name
        assert column.description.replace(" ", "_").lower() != column.name.lower()


@pytest.mark.parametrize("table", ASSETS)
def test_a_materialisation_records_the_versions_that_it_read(
    finished: Finished, table: str
) -> None:
    read = finished.run.metadata(table)["versions_read"].value

    assert read == {name: finished.project.state(name).version for name in READS[table]}


def test_an_unchanged_run_keeps_every_data_version_and_writes_nothing(
    finished: Finished, copied: Project
) -> None:
    run = copied.run()

    assert data_versions(run) == data_versions(finished.run)
    assert set(data_versions(run)) == set(ASSETS)
    assert not any(run.metadata(table)["written"].value for table in ASSETS)


def test_other_data_change_the_data_version_of_all_that_is_made_from_them(
    finished: Finished, copied: Project
) -> None:
    before = data_versions(finished.run)

    run = copied.run(copied.write(rows=3100), tables="raw silver rejects features")

    after = data_versions(run)
    assert set(after) == {"raw", "silver", "rejects", "features"}
    changed = {table for table in after if after[table] != before[table]}
    # Nothing is rejected of either.
    assert changed == {"raw", "silver", "features"}


def test_nothing_is_stale_after_a_run(finished: Finished) -> None:
    assert stale(finished.project) == set()


def test_what_reads_changed_data_is_stale(copied: Project) -> None:
    copied.run(copied.write(rows=3100), tables="raw")

    assert stale(copied) == {"silver", "rejects"}


def test_what_reads_unchanged_data_is_not_stale(copied: Project) -> None:
    copied.run(tables="raw")

    assert stale(copied) == set()


def test_another_training_setting_makes_the_model_stale_and_no_table(finished: Finished) -> None:
    found = stale(finished.project, training={**QUICK, "seed": 1})

    assert found == {"model"}


def test_a_preview_is_shown_where_it_is_asked_for_and_nowhere_else(
    finished: Finished, copied: Project
) -> None:
    shown = {table for table in TABLES if "preview" in finished.run.metadata(table)}

    private = copied.run(preview_rows=0)

    assert {"raw", "silver", "features", "predictions"} <= shown
    assert not any("preview" in private.metadata(table) for table in TABLES)
    someone = finished.project.rows("raw")["customerID"][0]
    assert someone in str(finished.run.metadata("raw")["preview"].value)
    assert not any(someone in str(dict(private.metadata(table))) for table in ASSETS)


def test_a_preview_keeps_an_odd_record_on_its_line(project: Project) -> None:
    odd = "a|b\\|c\nd" + "e" * 1_000
    project.run(
        project.write(lambda frame: frame.with_columns(customerID=pl.lit(odd)), rows=2),
        tables="raw",
    )

    lines = preview(project.table("raw"), rows=5).value.splitlines()

    assert len(lines) == 4
    cells = [len(line.replace("\\\\", "").replace("\\|", "").split("|")) for line in lines]
    assert len(set(cells)) == 1
    assert all(len(line) < 600 for line in lines)


def test_what_the_core_refuses_ends_the_step_with_its_one_line_and_is_not_tried_again() -> None:
    with pytest.raises(dg.Failure) as caught, refusals():
        raise SourceError("customers.csv: is empty.")

    assert caught.value.description == "customers.csv: is empty."
    assert not caught.value.allow_retries


def test_a_preview_shows_what_a_record_holds_and_no_link_picture_or_html(project: Project) -> None:
    odd = "`a` [b](http://c) <img src=d> _e_ **f** ~g~ ![h](i) customer_id"
    project.run(
        project.write(
            lambda frame: frame.with_columns(pl.lit(odd).alias("customerID")).rename(
                {"gender": "gen|`der`"}
            ),
            rows=2,
        ),
        tables="raw",
        sources={"telco_churn": {"uri": str(project.folder / "customers.csv"),
                                 "rename": {"gen|`der`": "gender"}}},
    )  # fmt: skip

    lines = preview(project.table("raw"), rows=5).value.splitlines()

    cell = r"\`a\` \[b\](http://c) \<img src=d\> \_e\_ \*\*f\*\* \~g\~ \!\[h\](i) customer_id"
    assert cell in lines[2]


def test_what_nobody_foresaw_is_not_taken_for_a_refusal() -> None:
    with pytest.raises(ZeroDivisionError), refusals():
        _ = 1 / 0


@pytest.mark.parametrize("records", [True, False])
def test_what_is_of_customers_is_kept_only_where_records_are_shown(records: bool) -> None:
    refusal = SourceError(
        "x.csv: a key comes twice (such as 'K-7'). Mend it.", records=" (such as 'K-7')"
    )
    with pytest.raises(dg.Failure) as refused, refusals(records=records):
        raise refusal
    with (
        pytest.raises(ValueError, match="K-7" if records else "not kept") as unforeseen,
        refusals(records=records),
    ):
        raise ValueError("cannot convert 'K-7' of https://me:hidden@host/x")

    assert ("K-7" in str(refused.value.description)) == records
    assert str(refused.value.description).endswith("Mend it.")
    assert ("K-7" in str(unforeseen.value)) == records
    assert "hidden" not in str(unforeseen.value)


@pytest.mark.parametrize(("minutes", "warned"), [(60, 54), (1.2, 1.08), (1.1, None), (1, None)])
def test_a_window_warns_in_its_last_tenth_where_dagster_can(
    minutes: float, warned: float | None
) -> None:
    policy = window(minutes)

    assert policy.fail_window.to_timedelta() == timedelta(minutes=minutes)
    expected = None if warned is None else timedelta(minutes=warned)
    assert (policy.warn_window and policy.warn_window.to_timedelta()) == expected

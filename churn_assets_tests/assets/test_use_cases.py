"""Several use cases in one code location."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from churn_assets.definitions import definitions
from churn_assets.settings import Settings
from churn_assets.usecases import USE_CASES
from churn_assets_tests.support.project import QUICK, Project

BOOKING = USE_CASES["booking_cancellation"]
SOURCES = {"booking_cancellation": {"rows": 4000}, "telco_churn": {"rows": 1500}}


@pytest.fixture(scope="module")
def booking(new_project: Callable[..., Project]) -> Project:
    """The booking use case after a whole run on made-up bookings."""
    project = new_project(use_case=BOOKING, sources=SOURCES)
    run = project.run()
    assert run.success, run.error
    return project


def groups(settings: Settings) -> set[str | None]:
    return {spec.group_name for spec in definitions(settings).resolve_all_asset_specs()}


def test_each_use_case_is_declared_and_one_can_be_switched_off() -> None:
    off = {"booking_cancellation": False}

    assert groups(Settings()) == set(USE_CASES)
    assert groups(Settings(use_cases=off)) == set(USE_CASES) - set(off)
    sensors = definitions(Settings(use_cases=off)).sensors or []
    assert not [sensor for sensor in sensors if sensor.name.startswith("booking")]


def test_booking_reads_records_and_labels_from_one_source_and_scores_everyone(
    booking: Project,
) -> None:
    states = booking.states()

    assert states["labels"].rows == states["raw"].rows == 4000
    assert states["predictions"].rows == states["features"].rows == states["silver"].rows
    assert states["silver"].rows + states["rejects"].rows == 4000
    reasons = set(booking.rows("rejects")["reasons"])
    assert reasons <= {"date of reservation: is not a day written as %m/%d/%Y or %Y-%m-%d"}
    assert "label" in booking.rows("features").columns
    assert "booking_status" not in booking.rows("silver").columns


def test_booking_is_judged_by_its_newest_bookings(booking: Project) -> None:
    rows = booking.rows("features")

    newest = rows.filter(pl.col("split") == "test")["date_of_reservation"]
    older = rows.filter(pl.col("split") != "test")["date_of_reservation"]
    assert newest.min() > older.max()
    assert len(newest) / len(rows) == pytest.approx(0.2, abs=0.05)


@pytest.mark.slow
def test_labels_may_come_later_from_elsewhere(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    booking = new_project(use_case=BOOKING, sources=SOURCES)
    assert booking.run(tables="raw silver rejects").success
    labels = tmp_path / "outcomes.csv"
    known = booking.rows("raw").head(100)["Booking_ID"]
    pl.DataFrame({"Booking_ID": known, "booking status": ["Canceled"] * 100}).write_csv(labels)
    sources = {"booking_cancellation": {"rows": 4000, "labels": {"uri": str(labels)}}}

    run = booking.run(tables="labels features", sources=sources)

    assert run.success, run.error
    features = booking.rows("features")
    assert features["label"].sum() == features["booking_id"].is_in(known.to_list()).sum()
    assert features["label"].null_count() == len(features) - features["label"].sum()
    deps = definitions(booking.settings()).resolve_asset_graph()
    inputs = deps.get(dg.AssetKey(["booking_cancellation", "features"])).parent_keys
    assert {key.path[-1] for key in inputs} == {"silver", "labels"}


@pytest.mark.slow
def test_one_use_case_fails_without_touching_the_other(
    new_project: Callable[..., Project], tmp_path: Path
) -> None:
    telco = new_project(sources=SOURCES)
    broken = {**SOURCES, "booking_cancellation": {"uri": str(tmp_path / "nowhere.csv")}}
    booking = Project(telco.folder, use_case=BOOKING, sources=broken, training=QUICK)

    refused = booking.run()
    passed = telco.run()

    assert not refused.success
    assert "nowhere.csv" in refused.error
    assert passed.success, passed.error
    assert set(booking.states().values()) == {None}


@pytest.mark.slow
def test_a_past_day_is_run_beside_today_and_never_over_it(booking: Project) -> None:
    before, champion = booking.states(), booking.champion()
    day = datetime.now(UTC).date()

    run = booking.run(as_of=day)

    assert run.success, run.error
    assert booking.states() == before
    assert booking.champion() == champion
    then = booking.settings(as_of=day)
    assert then.lake_uri == str(booking.settings().root_folder / "as_of" / str(day) / "lake")
    scored = pl.read_delta(f"{then.lake_uri}/booking_cancellation/predictions")
    assert len(scored) == before["predictions"].rows
    assert then.model_name("booking_cancellation") == f"booking_cancellation_as_of_{day}"

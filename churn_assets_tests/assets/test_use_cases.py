"""Several use cases in one code location."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

import churn_assets.definitions as front_door
from churn_assets.definitions import definitions
from churn_assets.settings import Settings
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import Column, Contract, Date, Labels
from churn_assets_tests.support.project import QUICK, ROWS, USE_CASE, Project, customers

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


WHO, OUTCOME, *OTHERS = (
    replace(USE_CASE.contract["customer_id"], unique=False),
    USE_CASE.contract["churn"],
    *(c for c in USE_CASE.contract.columns if c.name not in ("customer_id", "churn")),
)
DATED = replace(
    USE_CASE,
    name="dated_churn",
    contract=Contract(WHO, *OTHERS, Column("seen", Date)),
    labels=Labels(Contract(WHO, OUTCOME, Column("known", Date)), time="known"),
    time="seen",
    generate=None,
)
"""Telco with a record for each customer and day."""


def test_customers_by_the_day_are_trained_on_as_of_their_labels_and_judged_on_a_hold_out(
    new_project: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_door, "declared_use_cases", lambda _: {DATED.name: DATED})
    whole = customers(ROWS).with_columns(known=pl.lit("2026-02-28"))
    first, held = whole.head(2000), whole.tail(1100)
    again = first.tail(1500).with_columns(pl.lit("2026-03-05").alias("seen"), tenure=pl.lit("9"))
    first = first.with_columns(seen=pl.lit("2026-02-01"))
    pl.concat([first.drop("known"), again.drop("known")]).write_csv(tmp_path / "records.csv")
    first.select("customerID", "Churn", "known").write_csv(tmp_path / "labels.csv")
    held.with_columns(seen=pl.lit("2026-02-01")).write_csv(tmp_path / "held.csv")
    places = {name: {"uri": str(tmp_path / f"{name}.csv")} for name in ("labels", "held")}
    source = {"uri": str(tmp_path / "records.csv"), "labels": places["labels"]}
    project = Project(
        tmp_path / "project",
        use_case=DATED,
        sources={DATED.name: {**source, "holdout": places["held"]}},
        gates={"floors": {}},
    )

    run = project.run()

    assert run.success, run.error
    rows = project.rows("features")
    learned = rows.filter(pl.col("label").is_not_null() & (pl.col("split") != "test"))
    tested = rows.filter(pl.col("label").is_not_null() & (pl.col("split") == "test"))
    held_out = set(held["customerID"])
    assert set(tested["customer_id"]) == held_out
    assert set(learned["customer_id"]) == set(first["customerID"]) - held_out
    assert project.rows("model")["labelled_rows"].to_list() == [len(learned) + len(tested)]
    scored = project.rows("predictions")
    assert sorted(scored["customer_id"]) == sorted(again["customerID"])
    assert run.checks["every_customer_scored"].passed
    assert run.checks["f1_gate"].passed

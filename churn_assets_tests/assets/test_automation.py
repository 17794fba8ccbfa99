"""What runs by itself: rescoring after a promotion, refreshes after a missed window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange

from churn_assets.assets.automation import SCORING
from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.definitions import definitions
from churn_assets.usecases import USE_CASES
from churn_assets_tests.assets.conftest import PROMOTE
from churn_assets_tests.support.project import ROWS, USE_CASE, Project

HOUR = timedelta(hours=1)
NO_CHANCE = {"floors": {"roc_auc": 0.999}}
"""Gates that nobody passes."""


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("Churn").shuffle(seed=1))


def rescoring(project: Project) -> dg.RunRequest | dg.SkipReason:
    """What the rescoring sensor says now."""
    defs = definitions(project.settings())
    sensor = defs.resolve_sensor_def("telco_churn_rescore")
    lake = {"lake": resources(project.settings()).lake}
    with dg.build_sensor_context(
        instance=project.instance, definitions=defs, resources=lake
    ) as context:
        return sensor(context)


def planned_scoring(project: Project) -> dg.DagsterRun:
    """A run that is to score and has not started yet."""
    job = definitions(project.settings()).resolve_job_def("telco_churn_score")
    return project.instance.create_run_for_job(job)


class Daemon:
    """Evaluates the automation conditions of a project, tick by tick."""

    def __init__(self, project: Project) -> None:
        self._instance = project.instance
        self._defs = definitions(project.settings())
        self._cursor = None
        # Ten minutes past, so that no tick meets the change of an hour by chance.
        self._start = datetime.now(UTC).replace(minute=10) + HOUR

    def tick(self, later: timedelta = timedelta(0)) -> set[str]:
        """The tables that are requested at a tick."""
        result = dg.evaluate_automation_conditions(
            self._defs,
            self._instance,
            asset_selection=dg.AssetSelection.groups(USE_CASE.name),
            evaluation_time=self._start + later,
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        tables = {asset.path[-1] for asset in self._defs.resolve_all_asset_keys()}
        return {t for t in tables if result.get_num_requested(key(USE_CASE, t))}

    def finds(self, state: FreshnessState, *tables: str) -> None:
        """Note a change of freshness, as the freshness daemon does."""
        for table in tables:
            self._instance._report_runless_asset_event(
                FreshnessStateChange(
                    key=key(USE_CASE, table),
                    previous_state=FreshnessState.UNKNOWN,
                    new_state=state,
                    state_change_timestamp=datetime.now(UTC).timestamp(),
                )
            )


@pytest.fixture
def daemon(copied: Project) -> Daemon:
    """Of a project whose job has run, after its first tick."""
    daemon = Daemon(copied)
    daemon.tick()
    return daemon


def test_without_a_champion_nobody_is_scored(project: Project) -> None:
    said = rescoring(project)

    assert isinstance(said, dg.SkipReason)
    assert "no Champion" in said.skip_message


def test_the_run_that_promotes_and_scores_needs_no_second_scoring(copied: Project) -> None:
    said = rescoring(copied)

    assert isinstance(said, dg.SkipReason)
    assert said.skip_message == "Predictions are the Champion's, of the newest features."


@pytest.mark.slow
def test_while_the_run_that_promoted_has_yet_to_score_no_other_does(project: Project) -> None:
    generated = {USE_CASE.name: {"rows": ROWS}}
    job = definitions(project.settings(sources=generated)).resolve_job_def(USE_CASE.name)
    run_id, said = str(uuid4()), []

    def look(entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        if event and event.is_step_materialization and event.asset_key.path[-1] == "champion":
            said.append(rescoring(project))

    project.instance.add_event_listener(run_id, look)
    result = job.execute_in_process(run_id=run_id, instance=project.instance)

    assert result.success
    assert [type(answer) for answer in said] == [dg.SkipReason]
    assert "under way" in said[0].skip_message


def test_a_champion_promoted_alone_is_scored_with_once(promoted: Project) -> None:
    first, again = rescoring(promoted), rescoring(promoted)

    assert isinstance(first, dg.RunRequest)
    # Dagster starts one run for each run key, however often it is asked for.
    assert first.run_key
    assert again == first


def test_each_promotion_is_scored_with_and_nothing_else_asks_for_it(promoted: Project) -> None:
    first = rescoring(promoted)
    promoted.run(tables="predictions")
    scored = rescoring(promoted)
    promoted.run(tables="champion")
    unchanged = rescoring(promoted)
    promoted.run(tables=PROMOTE, retrain=True)
    second = rescoring(promoted)

    assert isinstance(scored, dg.SkipReason)
    assert isinstance(unchanged, dg.SkipReason)
    assert isinstance(first, dg.RunRequest)
    assert isinstance(second, dg.RunRequest)
    assert second.run_key != first.run_key


def test_a_run_that_is_to_score_already_is_waited_for(promoted: Project) -> None:
    planned_scoring(promoted)

    said = rescoring(promoted)

    assert isinstance(said, dg.SkipReason)
    assert "under way" in said.skip_message


def test_a_run_that_failed_to_score_is_not_waited_for(promoted: Project) -> None:
    promoted.instance.report_run_failed(planned_scoring(promoted))

    said = rescoring(promoted)

    assert isinstance(said, dg.RunRequest)


def test_a_refusal_keeps_nobody_unscored(copied: Project) -> None:
    whole = copied.run(copied.write(rows=ROWS + 100), gates=NO_CHANCE)
    asked = rescoring(copied)
    copied.run(tables="predictions")
    scored = rescoring(copied)
    copied.run(copied.write(rows=ROWS + 200), gates=NO_CHANCE)
    next_time = rescoring(copied)

    assert "floors" in whole.blocked_by
    assert isinstance(asked, dg.RunRequest)
    assert isinstance(scored, dg.SkipReason)
    assert copied.state("predictions").rows == ROWS + 100
    assert isinstance(next_time, dg.RunRequest)
    assert next_time.run_key != asked.run_key


def test_features_that_came_out_equal_are_not_scored_again(copied: Project) -> None:
    copied.run(copied.write(lambda frame: frame.reverse()), tables="raw silver rejects features")

    assert isinstance(rescoring(copied), dg.SkipReason)


@pytest.mark.parametrize("table", ["features", "model", "champion"])
def test_new_features_are_not_scored_while_a_run_may_bring_a_champion(
    copied: Project, table: str
) -> None:
    copied.run(copied.write(rows=ROWS + 100), tables="raw silver rejects features")
    job = definitions(copied.settings()).resolve_job_def(USE_CASE.name)
    planned = copied.instance.create_run_for_job(job, asset_selection={key(USE_CASE, table)})

    waiting = rescoring(copied)
    copied.instance.report_run_failed(planned)
    ended = rescoring(copied)

    assert isinstance(waiting, dg.SkipReason)
    assert "Once the run that is under way has ended: features are newer" in waiting.skip_message
    assert isinstance(ended, dg.RunRequest)


def test_a_champion_that_a_person_reported_by_hand_stops_no_sensor(copied: Project) -> None:
    copied.instance.report_runless_asset_event(
        dg.AssetMaterialization(key(USE_CASE, "champion"), metadata={"note": "by hand"})
    )

    said = rescoring(copied)

    assert isinstance(said, dg.SkipReason)


def test_a_new_deployment_begins_by_itself_once(project: Project) -> None:
    daemon = Daemon(project)

    requested = [daemon.tick(), daemon.tick(), daemon.tick(timedelta(minutes=30))]
    project.run(project.write(), tables="raw")
    follows = daemon.tick()

    assert requested == [{"raw"}, set(), set()]
    assert {"silver", "rejects", "features", "model"} <= follows


def test_a_new_deployment_that_cannot_begin_is_tried_again_each_hour_and_no_more_often(
    project: Project,
) -> None:
    daemon = Daemon(project)
    daemon.tick()

    failed = project.run(project.folder / "gone.csv", tables="raw")
    minutes = [m for m in range(5, 150, 5) if "raw" in daemon.tick(timedelta(minutes=m))]

    assert not failed.success
    # The hours are those of the clock, which stands at ten past.
    assert minutes == [50, 110]


def test_a_deployment_that_began_stays_as_it_is_when_its_daemon_starts_anew(
    copied: Project,
) -> None:
    again = Daemon(copied)

    assert [again.tick(), again.tick(HOUR)] == [set(), set()]


def test_nothing_is_requested_after_a_whole_run(copied: Project, daemon: Daemon) -> None:
    run = copied.run()

    assert run.success, run.error
    assert [daemon.tick(), daemon.tick(), daemon.tick(HOUR)] == [set(), set(), set()]


def test_a_missed_window_of_raw_refreshes_all_up_to_champion_once(daemon: Daemon) -> None:
    daemon.finds(FreshnessState.FAIL, "raw")

    requested = [daemon.tick(), daemon.tick(), daemon.tick(timedelta(minutes=1))]

    assert requested == [set(PROMOTE.split()), set(), set()]


def test_each_missed_window_of_raw_refreshes_it_again(copied: Project, daemon: Daemon) -> None:
    requested = []

    for _ in range(2):
        daemon.finds(FreshnessState.FAIL, "raw")
        requested += [daemon.tick()]
        copied.run(tables=PROMOTE)
        requested += [daemon.tick()]
        daemon.finds(FreshnessState.PASS, "raw")
        requested += [daemon.tick()]

    assert requested == [set(PROMOTE.split()), set(), set()] * 2


def test_a_missed_window_of_predictions_scores_and_touches_nothing_else(daemon: Daemon) -> None:
    daemon.finds(FreshnessState.FAIL, "predictions")

    requested = [daemon.tick(), daemon.tick()]

    assert requested == [set(SCORING), set()]


def test_predictions_wait_for_a_refresh_of_their_inputs(copied: Project, daemon: Daemon) -> None:
    daemon.finds(FreshnessState.FAIL, "raw", "predictions")

    together = daemon.tick()
    run = copied.run(tables=PROMOTE, retrain=True)
    settled = [daemon.tick(), daemon.tick(), daemon.tick()]

    assert run.success, run.error
    assert together == set(PROMOTE.split())
    # The tick between is the rescoring sensor's, which is first after a promotion.
    assert settled == [set(), set(SCORING), set()]


def test_a_refused_challenger_takes_no_refresh_of_predictions_with_it(
    copied: Project, daemon: Daemon
) -> None:
    daemon.finds(FreshnessState.FAIL, "raw", "predictions")

    daemon.tick()
    refused = copied.run(copied.write(shuffled), tables=PROMOTE)
    requested = daemon.tick() | daemon.tick()
    scored = copied.run(tables="predictions")

    assert refused.blocked_by
    assert requested == set(SCORING)
    assert scored.success, scored.error
    assert set(copied.rows("predictions")["model_version"]) == {1}
    assert copied.state("predictions").reads["features"] == copied.state("features").version


@pytest.mark.parametrize(
    ("change", "requested"), [(None, {"champion"}), (shuffled, set())], ids=["passed", "failed"]
)
def test_champion_waits_for_the_gates_of_a_model_materialised_alone(
    copied: Project, daemon: Daemon, change: object, requested: set[str]
) -> None:
    copied.run(copied.write(change), tables="raw silver rejects features model", retrain=True)

    asked = daemon.tick() | daemon.tick()

    assert asked == requested


def test_a_refresh_that_failed_is_tried_again_each_hour_and_no_more_often(
    copied: Project, daemon: Daemon
) -> None:
    daemon.finds(FreshnessState.FAIL, "raw")
    daemon.tick()

    failed = copied.run(copied.folder / "gone.csv", tables="raw")
    minutes = [m for m in range(15, 150, 15) if "raw" in daemon.tick(timedelta(minutes=m))]

    assert not failed.success
    assert minutes == [60, 120]


def test_a_refresh_that_a_person_did_is_not_done_again(copied: Project, daemon: Daemon) -> None:
    daemon.finds(FreshnessState.FAIL, "raw")

    copied.run(tables=PROMOTE)

    assert daemon.tick() == set()
    assert daemon.tick(HOUR) == set()


def test_windows_are_settings(project: Project) -> None:
    defs = definitions(project.settings(freshness={"raw_minutes": 90, "predictions_minutes": 1}))

    policies = {
        spec.key.path[-1]: spec.freshness_policy
        for spec in defs.resolve_all_asset_specs()
        if spec.freshness_policy
    }
    # An outcome that comes from elsewhere is as fresh as the records are.
    assert policies.pop("labels") == policies["raw"]

    assert {table: policy.fail_window.to_timedelta() for table, policy in policies.items()} == {
        "raw": timedelta(minutes=90),
        "predictions": timedelta(minutes=1),
    }
    # Dagster refuses a warning within less than a minute.
    assert policies["raw"].warn_window.to_timedelta() == timedelta(minutes=81)
    assert policies["predictions"].warn_window is None


def test_what_runs_by_itself_runs_by_default(project: Project) -> None:
    defs = definitions(project.settings())

    sensors = {sensor.name: sensor for sensor in defs.sensors}

    assert set(sensors) == {
        f"{name}_{what}"
        for name in USE_CASES
        for what in ("automation", "rescore", "requests", "traffic_changes")
    }
    assert {s.default_status for s in sensors.values()} == {dg.DefaultSensorStatus.RUNNING}
    assert all(sensor.description for sensor in sensors.values())

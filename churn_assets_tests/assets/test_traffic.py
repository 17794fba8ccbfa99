"""Who answers, as Dagster shows and changes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.definitions import definitions
from churn_assets.serving.traffic.changes import change, who_answers
from churn_assets.serving.traffic.standing import Rollout
from churn_assets.serving.traffic.wishes import Wish
from churn_assets_tests.assets.conftest import Copy
from churn_assets_tests.conftest import Finished
from churn_assets_tests.support.project import USE_CASE, Project, Run
from churn_assets_tests.support.registering import LENIENT, challenge

BY_RAMP = {"rollout": "ramp", "step_seconds": 3600}


@pytest.fixture(scope="module")
def challenged(finished: Finished, copy: Copy) -> Project:
    """A project with a Challenger beside its Champion; each test changes who answers."""
    project = copy(finished.project)
    challenge(project)
    return project


def ask(project: Project, **config: Any) -> Run:
    """Run the asset, as the UI would."""
    job = definitions(project.settings()).resolve_job_def("telco_churn_change_traffic")
    result = job.execute_in_process(
        instance=project.instance,
        raise_on_error=False,
        run_config={
            "ops": {"telco_churn_traffic": {"config": config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        },
    )
    return Run(result)


@dataclass(frozen=True)
class Reports:
    """What the sensor reports of a project."""

    project: Project

    def __call__(self) -> list[dg.AssetMaterialization]:
        defs = definitions(self.project.settings())
        sensor = defs.resolve_sensor_def("telco_churn_traffic_changes")
        lake = {"lake": resources(self.project.settings()).lake}
        with dg.build_sensor_context(
            instance=self.project.instance, definitions=defs, resources=lake
        ) as context:
            said = sensor(context)
        if isinstance(said, dg.SkipReason):
            return []
        for event in said.asset_events:
            self.project.instance.report_runless_asset_event(event)
        return list(said.asset_events)


def test_a_change_is_made_in_the_ui_and_shown_with_who_and_why(challenged: Project) -> None:
    run = ask(challenged, kind="canary", share=0.1, decided_by="ann", why="to see")

    assert run.success, run.error
    shown = {name: one.value for name, one in run.metadata("traffic").items()}
    assert (shown["kind"], shown["version"], shown["share"]) == ("canary", 2, 0.1)
    assert shown["why"] == "to see"
    assert shown["decided_by"] == f"ann, Dagster run {run.run_id}"
    assert Reports(challenged)() == []


def test_nonsense_ends_the_run_with_one_line(challenged: Project) -> None:
    run = ask(challenged, kind="canary", share=1.5, why="to see")

    assert not run.success
    assert run.error.startswith("Canary refused: a share lies between 0 and 1, and 1.5 is not.")


def test_what_a_server_or_the_guard_changed_is_reported_once(challenged: Project) -> None:
    for kind, share in (("ab", 0.2), ("ab", 0.3)):
        wish = Wish(kind, share=share)
        change(challenged.workplace, wish, Rollout(), by="a server", why="asked for")

    first, again = Reports(challenged)(), Reports(challenged)()

    assert [one.metadata["share"].value for one in first] == [0.2, 0.3]
    assert {one.asset_key for one in first} == {key(USE_CASE, "traffic")}
    assert {one.metadata["decided_by"].value for one in first} == {"a server"}
    assert again == []


def test_a_run_that_promotes_begins_the_ramp_and_one_that_rolls_back_ends_it(
    copied: Project,
) -> None:
    challenge(copied)
    gates = LENIENT.model_dump(mode="json")
    run = copied.run(tables="champion", serving=BY_RAMP, gates=gates)
    assert run.success, run.error
    rollout = Rollout(True, step_seconds=3600)
    ramping = who_answers(copied.workplace.tables, rollout)
    run = copied.run(tables="champion", serving=BY_RAMP, config={"champion": {"rollback": True}})
    assert run.success, run.error
    after = who_answers(copied.workplace.tables, rollout)

    assert ramping is not None
    assert (ramping.traffic.champion, ramping.traffic.challenger) == (1, 2)
    assert after is not None
    assert (after.traffic.champion, after.traffic.challenger) == (1, None)
    assert copied.rows("traffic").sort("change")["kind"].to_list() == ["ramp", "champion"]


def test_a_run_that_promotes_at_once_leaves_no_record(copied: Project) -> None:
    run = copied.run(tables="champion")

    assert run.success, run.error
    assert copied.state("traffic") is None

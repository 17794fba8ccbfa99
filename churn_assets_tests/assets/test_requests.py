"""What Dagster shows of the answers that servers log."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from churn_assets.assets.resources import resources
from churn_assets.assets.shared import key
from churn_assets.definitions import definitions
from churn_assets.serving.inference_log.flusher import flush
from churn_assets.serving.inference_log.pending import Pending
from churn_assets.serving.inference_log.requests_table import RequestsTable
from churn_assets_tests.support.project import USE_CASE, Project
from churn_assets_tests.support.serving.answering import logged


def answered(project: Project, *names: str) -> None:
    """Let a server answer, and its log be committed."""
    folder = Path(project.folder / "log")
    folder.mkdir(exist_ok=True)
    logged(folder, *names)
    table = Path(project.table("requests").uri)
    table.parent.mkdir(parents=True, exist_ok=True)
    flush(Pending(folder), RequestsTable(str(table), USE_CASE.keys))


def look(project: Project, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    """What the sensor says now."""
    defs = definitions(project.settings())
    sensor = defs.resolve_sensor_def("telco_churn_requests")
    lake = {"lake": resources(project.settings()).lake}
    with dg.build_sensor_context(
        instance=project.instance, definitions=defs, resources=lake, cursor=cursor
    ) as context:
        return sensor(context)


def test_each_version_that_is_found_is_reported_once(project: Project) -> None:
    nothing = look(project)
    answered(project, "a", "b")
    first = look(project)
    answered(project, "c")
    answered(project, "d")
    second = look(project, first.cursor)
    again = look(project, second.cursor)

    assert isinstance(nothing, dg.SkipReason)
    assert isinstance(again, dg.SkipReason)
    ((one,), (two,)) = (first.asset_events, second.asset_events)
    assert (one.metadata["dagster/row_count"].value, two.metadata["dagster/row_count"].value) == (
        2,
        4,
    )
    state = project.table("requests").require()
    shown = {name: value.value for name, value in two.metadata.items()}
    assert two.asset_key == key(USE_CASE, "requests")
    assert two.tags["dagster/data_version"] == state.data_version
    assert shown["delta_version"] == state.version
    assert shown["dagster/size_bytes"] == state.size_bytes
    columns = shown["dagster/column_schema"].columns
    assert [column.name for column in columns] == list(state.columns)
    assert all(column.description for column in columns)


def test_a_table_that_was_started_over_is_reported_as_well(
    project: Project, tmp_path: Path
) -> None:
    answered(project, "a")
    first = look(project)
    Path(project.table("requests").uri).rename(tmp_path / "aside")
    (project.folder / "log" / "id").unlink()

    answered(project, "b")

    assert isinstance(look(project, first.cursor), dg.SensorResult)


def test_what_is_reported_is_a_materialisation_and_no_run_makes_it(project: Project) -> None:
    answered(project, "a")
    found = look(project)
    project.instance.report_runless_asset_event(found.asset_events[0])
    defs = definitions(project.settings())

    event = project.instance.get_latest_materialization_event(key(USE_CASE, "requests"))
    job = defs.resolve_job_def(USE_CASE.name)

    assert event is not None
    assert key(USE_CASE, "requests") not in job.asset_layer.selected_asset_keys
    assert not defs.resolve_asset_graph().get(key(USE_CASE, "requests")).is_materializable

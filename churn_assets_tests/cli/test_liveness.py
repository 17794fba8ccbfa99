"""A run whose process was killed is told from one at work, and holds nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.cli.liveness import at_work, end_killed_runs

POOL = "registry"


@dg.job
def job() -> None:
    pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(
        "{telemetry: {enabled: false}, concurrency: {pools: {default_limit: 1}}}"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as opened:
        yield opened


def started(instance: dg.DagsterInstance) -> str:
    """A run under way that holds the only place in a pool."""
    run_id = str(uuid.uuid4())
    instance.create_run_for_job(job, run_id=run_id, status=dg.DagsterRunStatus.STARTED)
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    assert instance.event_log_storage.claim_concurrency_slot(POOL, run_id, "step").is_claimed
    return run_id


def holders(instance: dg.DagsterInstance) -> list[str]:
    info = instance.event_log_storage.get_concurrency_info(POOL)
    return [slot.run_id for slot in info.claimed_slots]


def test_a_run_at_work_is_left_alone(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started(instance)

    with at_work(home, run_id):
        end_killed_runs(home, instance)

        assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.STARTED
        assert holders(instance) == [run_id]


def test_a_run_that_was_killed_has_failed_and_holds_nothing(
    home: Path, instance: dg.DagsterInstance
) -> None:
    run_id = started(instance)
    with pytest.raises(SystemExit), at_work(home, run_id):
        raise SystemExit

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.FAILURE
    assert holders(instance) == []


def test_a_run_that_ended_by_itself_keeps_its_end(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started(instance)
    instance.report_run_canceled(instance.get_run_by_id(run_id))
    with pytest.raises(SystemExit), at_work(home, run_id):
        raise SystemExit

    end_killed_runs(home, instance)

    assert instance.get_run_by_id(run_id).status == dg.DagsterRunStatus.CANCELED


def test_a_home_without_runs_has_none_to_end(home: Path, instance: dg.DagsterInstance) -> None:
    end_killed_runs(home, instance)

    assert instance.get_runs_count() == 0

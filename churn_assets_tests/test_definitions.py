"""What Dagster loads: names that people script against, and how fast it loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from churn_assets.assets.resources import LAYERS
from churn_assets.definitions import definitions
from churn_assets.learning.workplace import SERVED_TABLES
from churn_assets.serving.online_features.make import TABLE
from churn_assets.settings import Settings
from churn_assets.usecases import USE_CASES
from churn_assets.usecases.spec import UseCase

HEAVY = (
    "pyarrow",
    "mlflow",
    "dagster_mlflow",
    "lightgbm",
    "sklearn",
    "pandas",
    "pyspark",
    "matplotlib",
)
MOST_OF_DAGSTER = 2.0
"""CPU time of loading the definitions, as a multiple of importing Dagster alone."""


def tables_of(case: UseCase) -> list[str]:
    return [*(name for layer in LAYERS for name in layer(case)), TABLE]


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    return definitions(Settings())


def test_each_use_case_is_a_group_of_its_tables(defs: dg.Definitions) -> None:
    specs = defs.resolve_all_asset_specs()

    assert {tuple(spec.key.path) for spec in specs} == {
        (name, table)
        for name, case in USE_CASES.items()
        for table in (*tables_of(case), *SERVED_TABLES)
    }
    assert {spec.group_name for spec in specs} == set(USE_CASES)
    assert all(spec.group_name == spec.key.path[0] for spec in specs)


def test_every_asset_says_what_it_is_and_knows_its_code(defs: dg.Definitions) -> None:
    for spec in defs.resolve_all_asset_specs():
        is_made = spec.key.path[-1] not in SERVED_TABLES
        assert spec.description
        assert bool(spec.code_version) == is_made
        assert ("lmdb" if spec.key.path[-1] == TABLE else "deltalake") in spec.kinds
        assert bool(spec.automation_condition) == is_made


@pytest.mark.parametrize("engine", ["polars", "spark"])
def test_the_assets_name_the_engine_that_computes_them(engine: str) -> None:
    specs = definitions(Settings(engine=engine)).resolve_all_asset_specs()

    computed = {"raw", "labels", "silver", "rejects", "features", "predictions", "scores"}
    assert {spec.key.path[-1] for spec in specs if engine in spec.kinds} == computed


def test_every_check_says_what_it_looks_for(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    checks = [graph.get_check_spec(check) for check in graph.asset_check_keys]

    # What a table is checked for, and the gates that need neither a business case nor slices.
    assert all(sum(c.asset_key.path[0] == case for c in checks) >= 12 for case in USE_CASES)
    assert all(check.description for check in checks)


def test_gates_that_are_asked_for_are_checks_of_their_own() -> None:
    gates = {"rule": "improve", "value": "block", "floors": {"f1": 0.5}, "approval": "required"}
    graph = definitions(Settings(gates=gates)).resolve_asset_graph()

    blocking = {key.name for key in graph.asset_check_keys if graph.get_check_spec(key).blocking}

    assert {"f1_gate", "superiority", "value", "floors", "approval"} <= blocking


def test_an_approval_is_followed_by_a_sensor_only_where_one_is_required() -> None:
    required = definitions(Settings(gates={"approval": "required"}))

    def sensors(found: dg.Definitions) -> set[str]:
        return {sensor.name for sensor in found.sensors or []}

    assert "telco_churn_approval" in sensors(required)
    assert "telco_churn_approval" not in sensors(definitions(Settings()))


def test_each_use_case_has_a_job_for_all_and_one_for_scoring(defs: dg.Definitions) -> None:
    for name, case in USE_CASES.items():
        everything = defs.resolve_job_def(name)
        scoring = defs.resolve_job_def(f"{name}_score")

        tables = {key.path[-1] for key in everything.asset_layer.selected_asset_keys}
        assert tables == set(tables_of(case))
        scored = {key.path[-1] for key in scoring.asset_layer.selected_asset_keys}
        assert scored == {"predictions", "scores", TABLE}
        assert everything.description
        assert scoring.description


def test_a_run_stays_in_one_process(defs: dg.Definitions) -> None:
    job = defs.resolve_job_def("telco_churn")

    assert job.executor_def is dg.in_process_executor


def test_no_credential_is_part_of_what_dagster_shows() -> None:
    secret = "geheim-4711"
    uri = f"https://user:{secret}@example.com/customers.csv?sig={secret}"
    settings = Settings(
        storage_options={"aws_secret_access_key": secret},
        sources={"telco_churn": {"uri": uri, "storage_options": {"token": secret}}},
        mlflow={"tracking_uri": f"http://user:{secret}@127.0.0.1:5000"},
    )

    defs = definitions(settings)

    assert secret not in repr(settings.sources)
    assert secret not in repr(defs.resources["lake"])
    for job in ("telco_churn", "telco_churn_score"):
        snapshot = defs.resolve_job_def(job).get_job_snapshot()
        assert secret not in repr(snapshot)
    for spec in defs.resolve_all_asset_specs():
        assert secret not in repr(spec)


def test_loading_is_quick_and_starts_nothing(tmp_path: Path) -> None:
    cpu_seconds = """
import json, resource, sys
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_utime + used.ru_stime, sorted(sys.modules)]))
"""
    environ = {**os.environ, "CHURN_ROOT": str(tmp_path / "root")}

    def of(code: str) -> tuple[float, list[str]]:
        command = [sys.executable, "-c", code + cpu_seconds]
        done = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True, timeout=120
        )
        seconds, modules = json.loads(done.stdout)
        return seconds, modules

    # What else this machine does must not decide.
    alone, _ = min(of("import dagster") for _ in range(3))
    loading = "from churn_assets.definitions import defs; defs()"
    loaded, modules = min(of(loading) for _ in range(3))

    assert set(HEAVY) & set(modules) == set()
    assert loaded <= MOST_OF_DAGSTER * alone
    assert not (tmp_path / "root").exists()

"""The front door: settings in, Dagster's definitions out."""

import os
import sys
from pathlib import Path

import dagster as dg

from churn_assets.assets.automation import jobs, sensors
from churn_assets.assets.gates import learning_checks
from churn_assets.assets.learning import learning_assets
from churn_assets.assets.requests import requests_asset, requests_sensor
from churn_assets.assets.resources import resources
from churn_assets.assets.serving import serving_assets
from churn_assets.assets.table_checks import table_checks
from churn_assets.assets.tables import table_assets
from churn_assets.assets.traffic import traffic_assets, traffic_sensor
from churn_assets.machine import keep_private
from churn_assets.settings import Settings, declared_use_cases, load_settings, project_folder
from churn_assets.usecases.spec import UseCase

_ADDITIONS = Path(__file__).parent / "defs"


def definitions(settings: Settings) -> dg.Definitions:
    """Every declared use case, and what they share.

    Parameters
    ----------
    settings : Settings
        Of this deployment.
    """
    shared = dg.Definitions(
        resources=resources(settings).bound,
        # The assets are a chain and share heavy imports: more processes make it slower.
        executor=dg.in_process_executor,
    )
    cases = declared_use_cases(settings).values()
    return dg.Definitions.merge(shared, *(of_use_case(case, settings) for case in cases))


def of_use_case(case: UseCase, settings: Settings) -> dg.Definitions:
    """A use case's assets, checks, jobs and sensors."""
    return dg.Definitions(
        assets=[
            *table_assets(case, settings),
            *learning_assets(case, settings),
            requests_asset(case),
            *traffic_assets(case, settings),
            *serving_assets(case, settings),
        ],
        asset_checks=[*table_checks(case, settings), *learning_checks(case, settings)],
        jobs=jobs(case),
        sensors=[*sensors(case, settings), requests_sensor(case), traffic_sensor(case)],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: ours, and what a deployment adds under `churn_assets/defs`."""
    settings, project = load_settings(), project_folder()
    # The process that Dagster loads this in, and each that runs a step, is ours.
    keep_private(settings.present.root_folder)
    _warn_of_no_home()
    ours = definitions(settings)
    additions = [file for file in _ADDITIONS.iterdir() if not file.name.startswith("__")]
    # Looking for them takes a while; and an installed package has no project that could add any.
    if not additions or not (project / "pyproject.toml").exists():
        return ours
    return dg.Definitions.merge(ours, dg.load_from_defs_folder(path_within_project=project))


def _warn_of_no_home() -> None:
    """Say in one line what Dagster lacks where it was started by itself."""
    home = os.environ.get("DAGSTER_HOME")
    if not home or not Path(home, "dagster.yaml").exists():
        lacks = f"{home} holds no dagster.yaml" if home else "DAGSTER_HOME is not set"
        print(
            f"churn: {lacks}, so no history is kept and runs do not wait for one another. Start "
            "`churn dev`, or first `export DAGSTER_HOME=$(churn home)`.",
            file=sys.stderr,
        )

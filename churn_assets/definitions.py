"""The front door: settings in, Dagster's definitions out."""

from pathlib import Path

import dagster as dg

from churn_assets.assets.automation import jobs, sensors
from churn_assets.assets.gates import learning_checks
from churn_assets.assets.learning import learning_assets
from churn_assets.assets.resources import resources
from churn_assets.assets.table_checks import table_checks
from churn_assets.assets.tables import table_assets
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
        assets=[*table_assets(case, settings), *learning_assets(case, settings)],
        asset_checks=[*table_checks(case, settings), *learning_checks(case, settings)],
        jobs=jobs(case),
        sensors=sensors(case, settings),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads: ours, and what a deployment adds under `churn_assets/defs`."""
    ours, project = definitions(load_settings()), project_folder()
    additions = [file for file in _ADDITIONS.iterdir() if not file.name.startswith("__")]
    # Looking for them takes a while; and an installed package has no project that could add any.
    if not additions or not (project / "pyproject.toml").exists():
        return ours
    return dg.Definitions.merge(ours, dg.load_from_defs_folder(path_within_project=project))

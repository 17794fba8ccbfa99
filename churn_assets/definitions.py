"""The front door: settings in, Dagster's definitions out."""

import dagster as dg

from churn_assets.assets.automation import jobs, sensors
from churn_assets.assets.gates import learning_checks
from churn_assets.assets.learning import learning_assets
from churn_assets.assets.resources import resources
from churn_assets.assets.table_checks import table_checks
from churn_assets.assets.tables import table_assets
from churn_assets.settings import Settings, declared_use_cases, load_settings


def definitions(settings: Settings) -> dg.Definitions:
    """Declare every use case's assets, checks, jobs and sensors.

    Parameters
    ----------
    settings : Settings
        Of this deployment.
    """
    cases = list(declared_use_cases(settings).values())
    return dg.Definitions(
        assets=[
            asset
            for case in cases
            for asset in (*table_assets(case, settings), *learning_assets(case, settings))
        ],
        asset_checks=[
            check
            for case in cases
            for check in (*table_checks(case, settings), *learning_checks(case, settings))
        ],
        jobs=[job for case in cases for job in jobs(case)],
        sensors=[sensor for case in cases for sensor in sensors(case, settings)],
        resources=resources(settings),
        # The assets are a chain and share heavy imports: more processes make it slower.
        executor=dg.in_process_executor,
    )


defs = definitions(load_settings())

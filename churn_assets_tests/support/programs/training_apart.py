"""Trains a project's model under the multiprocess executor, as a deployment may choose to.

`python -m ...training_apart ROOT` prints whether the run succeeded.
"""

from __future__ import annotations

import sys
from typing import Any

import dagster as dg

from churn_assets.assets.learning import learning_assets
from churn_assets.assets.resources import resources
from churn_assets.settings import Settings
from churn_assets_tests.support.project import QUICK, USE_CASE


def training(root: str) -> Any:
    """A job of the model alone, each of whose steps has a process of its own."""
    settings = Settings(root=root, training=QUICK)
    model = learning_assets(USE_CASE, settings)[0]
    defs = dg.Definitions(
        assets=[model],
        jobs=[dg.define_asset_job("training", selection=[model])],
        resources=resources(settings).bound,
        executor=dg.multiprocess_executor,
    )
    return defs.resolve_job_def("training")


def main(root: str) -> None:
    job = dg.build_reconstructable_job(
        "churn_assets_tests.support.programs.training_apart", "training", (root,)
    )
    with dg.DagsterInstance.get() as instance, dg.execute_job(job, instance) as result:
        print(f"{result.run_id} {result.success}")


if __name__ == "__main__":
    main(sys.argv[1])

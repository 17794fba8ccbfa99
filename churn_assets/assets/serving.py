"""The asset that servers take features by key from."""

import dagster as dg

from churn_assets.assets.resources import Mlflow
from churn_assets.assets.table import table
from churn_assets.serving.online_features.make import (
    Places,
    make_online_features,
    online_features_code,
)
from churn_assets.settings import Settings
from churn_assets.tables.lake import Committed, Lake
from churn_assets.usecases.spec import UseCase


def serving_assets(case: UseCase, settings: Settings) -> list[dg.AssetsDefinition]:
    """online_features of a use case."""
    places = Places(
        settings.serving_folder(case.name) / "features",
        settings.features_address(case.name),
        settings.lake_options,
    )

    @table(
        case,
        settings,
        code=online_features_code(case),
        # Whom to contact comes from the predictions of these features, which are made first.
        deps=["features", "predictions"],
        follows=["predictions"],
        kinds=("lmdb",),
        stored="file",
    )
    def online_features(lake: dg.ResourceParam[Lake], mlflow: Mlflow) -> Committed:
        """What a server answers by key from: a customer's model inputs, split, contact and rank."""
        return make_online_features(mlflow.workplace(case, lake), places)

    return [online_features]

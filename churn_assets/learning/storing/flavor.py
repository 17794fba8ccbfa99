"""What MLflow writes and loads models by. Stored models name this module: it keeps its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import Model

    from churn_assets.types import Floats


def save_model(
    path: str, mlflow_model: Model, *, validate_serving_input: bool, **model: Any
) -> None:
    """Write a model as scikit-learn's flavor does, whose python function is its probability.

    Parameters
    ----------
    path : str
        The folder to make.
    mlflow_model : Model
        What describes it.
    validate_serving_input : bool
        What `Model.log` alone heeds.
    **model
        As `mlflow.sklearn.save_model` takes it.
    """
    import mlflow.sklearn

    mlflow.sklearn.save_model(
        path=path,
        mlflow_model=mlflow_model,
        pyfunc_predict_fn="predict_proba",
        serialization_format="skops",
        **model,
    )
    function = mlflow_model.flavors["python_function"]
    del function["predict_fn"]
    function["loader_module"] = __name__
    mlflow_model.save(str(Path(path, "MLmodel")))


class ChurnProbability:
    """A model as MLflow's python function, whose every answer is one number.

    Parameters
    ----------
    pipeline : Pipeline
        With `predict_proba`.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def predict(self, model_input: pd.DataFrame, params: object = None) -> Floats:
        """Probability of churn, of shape (n_rows,)."""
        scores: Floats = self.pipeline.predict_proba(model_input)[:, 1]
        return scores


def _load_pyfunc(path: str) -> ChurnProbability:
    """What MLflow calls, in a process of its user, with the model's folder."""
    import mlflow.sklearn

    return ChurnProbability(mlflow.sklearn.load_model(path))

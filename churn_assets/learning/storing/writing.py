"""How a model is written into an MLflow run, with this package's code beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.learning.storing import flavor
from churn_assets.learning.storing.trusted import requirements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.models.model import ModelInfo
    from sklearn.pipeline import Pipeline

PROBABILITY = "churn_probability"
"""What a stored model gives, by the name that its signature has for it."""


def log_model(pipeline: Pipeline, types: Sequence[str], inputs: Any, example: Any) -> ModelInfo:
    """Write a pipeline into the active run, without pickle.

    Parameters
    ----------
    pipeline : Pipeline
        What is written.
    types : sequence of str
        Those of its types that skops takes only by name.
    inputs : DataFrame
        Some rows of the model inputs, for the signature.
    example : DataFrame
        A made-up row, kept with the model.
    """
    from mlflow.models import Model, ModelSignature, infer_signature
    from mlflow.types.schema import ColSpec, Schema

    gives = Schema([ColSpec("double", PROBABILITY)])
    written: ModelInfo = Model.log(
        artifact_path=None,
        name="model",
        flavor=flavor,
        flavor_name="mlflow.sklearn",
        sk_model=pipeline,
        signature=ModelSignature(infer_signature(inputs).inputs, gives),
        input_example=example,
        # It would load the model with the code beside it, in this process.
        validate_serving_input=False,
        skops_trusted_types=list(types),
        pip_requirements=requirements(types),
        code_paths=[str(Path(__file__).parents[2])],
    )
    return written

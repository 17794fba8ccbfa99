"""What a training depends on beside its rows; light, so that definitions can ask for it."""

from pydantic import BaseModel, ConfigDict, Field

from churn_assets.tables.lineage import code_version
from churn_assets.usecases.spec import UseCase

_MODEL = (
    *(
        f"churn_assets.learning.{module}"
        for module in ("candidates", "encoding", "metrics", "training")
    ),
    "churn_assets.tables.sampling",
)
_PREDICTIONS = ("churn_assets.learning.scoring", "churn_assets.learning.encoding")

MAX_ROWS = 1_000_000
"""What a laptop trains on in minutes; measured in docs/scaling.md."""


class TrainingSettings(BaseModel):
    """How a model is trained.

    Parameters
    ----------
    sample : float
        Share of the customers to train on, in (0, 1].
    max_rows : int
        Of more customers with a known label so many are trained on, and as many at most judged
        by; a hash of the key draws them.
    seed : int
        Of every random choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: float = Field(default=1.0, gt=0, le=1)
    max_rows: int = Field(default=MAX_ROWS, ge=1000)
    seed: int = 0


def model_code(use_case: UseCase, settings: TrainingSettings) -> str:
    """Version of the code and settings that make a model."""
    return code_version(use_case.features, *_MODEL, **settings.model_dump())


def predictions_code(use_case: UseCase) -> str:
    """Version of the code that scores."""
    return code_version(use_case.features, *_PREDICTIONS)

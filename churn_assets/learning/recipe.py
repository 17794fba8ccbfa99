"""The settings of a training: what it chooses from, how, and of how many customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_ROWS = 1_000_000
"""What a laptop trains on in minutes; measured in docs/scaling.md."""
CROSS_VALIDATED_ROWS = 100_000
"""With more, one validation split is as sure as five folds of few."""


class Part(BaseModel):
    """A part of the settings: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(Part):
    """Numbers that a search draws from: whole ones where both ends are.

    Parameters
    ----------
    low, high : int or float
        The ends, both included.
    log : bool
        Whether to draw from the logarithm.
    """

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high or (self.log and self.low <= 0):
            raise ValueError("low must not be above high, and above 0 where log is true")
        return self


Space = Mapping[str, Range | list[Any]]
"""Parameters that a search may set: a range, or the values to choose from."""


class Candidate(Part):
    """A model that training may choose.

    Parameters
    ----------
    name : str
        Of a built-in candidate, whose other fields then hold by default, or a new one.
    estimator : str, optional
        Import path of a scikit-learn-compatible classifier, as `sklearn.svm.SVC`.
    inputs : {"linear", "plain"}
        Filled, standardised and with engineered columns; or numbers as they are, a missing one
        as NaN.
    rare_categories : {"together", "outcome"}
        What stands for the rare ones of a column with many categories: a 0/1 column for them
        together, or how often the outcome came with each, found in folds.
    parameters : mapping
        Of the estimator; the default configuration.
    space : mapping of str to Range or list
        What tuning may change.
    members : tuple of str
        Names of candidates whose log-odds are averaged; instead of `estimator`.
    """

    name: str = Field(min_length=1, pattern=r"^\w+$")
    estimator: str | None = None
    inputs: Literal["linear", "plain"] = "plain"
    rare_categories: Literal["together", "outcome"] = "together"
    parameters: Mapping[str, Any] = {}
    space: Space = {}
    members: tuple[str, ...] = ()


class TuningSettings(Part):
    """How far a search goes.

    Parameters
    ----------
    trials : int
        How many configurations to try; 0 fits each candidate's default alone.
    seconds : float, optional
        Stop after so long as well; the model then depends on the machine.
    sampler : {"tpe", "random", "grid"}
        How the next configuration is chosen.
    parallel : int
        Trials at the same time; part of the recipe, since a trial learns from those before it.
    """

    trials: int = Field(default=0, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    parallel: int = Field(default=2, ge=1)


class TrainingSettings(Part):
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
    candidates : tuple of Candidate, optional
        What is chosen from; every built-in candidate by default. A name alone stands for the
        built-in one.
    tuning : TuningSettings
        How far their configurations are searched.
    metric : {"log_loss", "brier"}
        The proper score that chooses.
    choice : {"best", "simplest"}
        Which candidate is chosen: the one of least loss, or the simplest of those that are within
        one standard error of it.
    threshold : {"f1", "value"}
        What the threshold of `decision` is best by.
    folds : int
        Of the cross-validation.
    follow_libraries : bool
        Whether to train again when a library that the candidates are fitted with has another
        minor version, as scikit-learn 1.9 instead of 1.8.
    """

    sample: float = Field(default=1.0, gt=0, le=1)
    max_rows: int = Field(default=MAX_ROWS, ge=1000)
    seed: int = 0
    candidates: tuple[Candidate, ...] | None = Field(default=None, min_length=1)
    tuning: TuningSettings = TuningSettings()
    metric: Literal["log_loss", "brier"] = "log_loss"
    choice: Literal["best", "simplest"] = "best"
    threshold: Literal["f1", "value"] = "f1"
    folds: int = Field(default=5, ge=2, le=20)
    follow_libraries: bool = True

    @field_validator("candidates", mode="before")
    @classmethod
    def _names(cls, given: Any) -> Any:
        if not isinstance(given, (list, tuple)):
            return given
        return [{"name": one} if isinstance(one, str) else one for one in given]


def trusted_packages(settings: TrainingSettings) -> tuple[str, ...]:
    """Packages of the estimators that settings name, whose types a stored model may hold."""
    named = (candidate.estimator for candidate in settings.candidates or ())
    return tuple(dict.fromkeys(name.partition(".")[0] for name in named if name))

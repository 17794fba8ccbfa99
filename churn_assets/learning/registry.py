"""The model registry: versions, aliases and runs in MLflow."""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ChurnError, RegistryError, first_line, public_text, public_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models.model import ModelInfo
    from sklearn.pipeline import Pipeline

CHALLENGER, CHAMPION = "challenger", "champion"
PICTURES = "pictures"
"""Folder of a run's artifacts."""
CARD = "card/model_card.html"
"""The model card among them."""

TRUSTED_TYPES = [
    "churn_assets.learning.encoding.LinearEncoder",
    "churn_assets.learning.encoding.MonotonePipeline",
    "churn_assets.learning.encoding.TableEncoder",
    "churn_assets.learning.ensembles.Blend",
    "churn_assets.learning.ensembles.Recalibrated",
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
]
"""What a stored model may hold beside what skops takes by itself."""

REQUIREMENTS = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
"""What every stored model needs; and the packages of its own types."""
_DISTRIBUTIONS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu"}
_NEEDS_NO_MORE = {"builtins", "churn_assets", "collections", "numpy", "sklearn"}
"""Packages that come with Python, the model or `REQUIREMENTS`."""

_UNREACHABLE = r"connection|max retries|timed out|unable to open database|name or service"
_START = "Start it, or set CHURN_MLFLOW__TRACKING_URI to one that runs."
_ENVIRONMENT = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass(frozen=True)
class Version:
    """One registered model.

    Parameters
    ----------
    version : int
        Its number in the registry.
    run_id : str
        The MLflow run that made it.
    description : str
        What it is, for a reader of the registry.
    tags : mapping of str to str
        Its threshold, split, recipe and lineage.
    """

    version: int
    run_id: str
    description: str
    tags: Mapping[str, str]

    @property
    def threshold(self) -> float:
        """Least score that this model decides as positive.

        Raises
        ------
        RegistryError
            Where its tag is missing or no number.
        """
        try:
            return float(self.tags["threshold"])
        except (KeyError, ValueError):
            raise RegistryError(
                f"version {self.version} has no tag 'threshold' that is a number. Put it back in "
                "MLflow, or train again with `churn run --retrain`."
            ) from None


@dataclass(frozen=True)
class Registry:
    """One registered model's versions, and the experiment of its runs.

    Parameters
    ----------
    tracking_uri : str
        MLflow's tracking store and registry.
    model_name : str
        Name of the registered model and of the experiment.
    artifacts : str, optional
        Where a new experiment keeps its files; a tracking server knows by itself.
    registry_uri : str, optional
        Where versions are registered, if not in the tracking store.
    experiment : str, optional
        Name of the experiment, if not the model's.
    trusted : tuple of str
        Packages whose types a stored model may hold as well: of estimators that a user named.
    """

    tracking_uri: str = field(repr=False)
    model_name: str
    artifacts: str | None = None
    registry_uri: str | None = field(default=None, repr=False)
    experiment: str | None = None
    trusted: tuple[str, ...] = ()

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, with MLflow itself turned to this registry as `connect` does.

        Raises
        ------
        RegistryError
            Where MLflow cannot be reached.
        """
        self.connect()
        return self._connected

    def connect(self) -> None:
        """Turn MLflow itself to this registry, with the experiment in place.

        What MLflow loads and logs by is global, and another registry may have set it.

        Raises
        ------
        RegistryError
            Where MLflow cannot be reached.
        """
        _ = self._connected
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.registry_uri or self.tracking_uri)

    @cached_property
    def _connected(self) -> MlflowClient:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _make_folder(self.tracking_uri)
        import mlflow

        with self.refusals(), _quiet():
            client = mlflow.MlflowClient(self.tracking_uri, self.registry_uri or self.tracking_uri)
            experiment = self.experiment or self.model_name
            if client.get_experiment_by_name(experiment) is None:
                with _unless_it_exists():
                    client.create_experiment(experiment, self.artifacts)
        return client

    def by_alias(self, alias: str) -> Version | None:
        """The version that an alias points to; None only where there is no such alias."""
        from mlflow.exceptions import MlflowException

        client = self.client
        with self.refusals():
            try:
                return _version(client.get_model_version_by_alias(self.model_name, alias))
            except MlflowException as error:
                # MLflow says INVALID_PARAMETER_VALUE of an unknown alias of a known model.
                if error.error_code == "RESOURCE_DOES_NOT_EXIST" or (
                    error.error_code == "INVALID_PARAMETER_VALUE" and "alias" in str(error).lower()
                ):
                    return None
                raise

    def by_number(self, version: int, run_id: str) -> Version:
        """The version with this number, of this run.

        Raises
        ------
        RegistryError
            Where the registry does not hold it, as after the loss of its database.
        """
        from mlflow.exceptions import MlflowException

        client = self.client
        with self.refusals():
            try:
                found = _version(client.get_model_version(self.model_name, str(version)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                found = None
        if found is None or found.run_id != run_id:
            place = public_uri(self.registry_uri or self.tracking_uri)
            raise RegistryError(
                f"{self.model_name}: version {version} of run {run_id} is on record, and the "
                f"registry at {place} does not hold it. Restore the registry's database, or "
                "remove the use case's model and champion tables to start over."
            )
        return found

    def point(self, alias: str, version: int) -> None:
        """Let an alias point to a version."""
        client = self.client
        with self.refusals():
            client.set_registered_model_alias(self.model_name, alias, str(version))

    def tag(self, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        client = self.client
        with self.refusals():
            for name, value in tags.items():
                client.set_model_version_tag(self.model_name, str(version), name, value)

    def load(self, version: int) -> Pipeline:
        """The pipeline of a version, read without pickle.

        Raises
        ------
        RegistryError
            Where it cannot be read, or only by running whatever code is in it.
        """
        import mlflow.sklearn

        stored = self.info(version).flavors.get("sklearn", {})
        odd = self._untrusted(stored.get("skops_trusted_types") or [])
        if stored.get("serialization_format") != "skops" or odd:
            also = f" (it holds {odd[0]}, which no candidate of the settings names)" if odd else ""
            raise RegistryError(
                f"{self.model_name}: version {version} is not stored by skops with the types that "
                f"this package names{also}, so reading it could run any code. Register it through "
                "`churn run`."
            )
        with self.refusals(_restore(version)), _unchanged_path():
            return mlflow.sklearn.load_model(f"models:/{self.model_name}/{version}")

    def info(self, version: int) -> ModelInfo:
        """What MLflow knows of a version's model: signature, input example."""
        from mlflow.models import get_model_info

        self.connect()
        with self.refusals(_restore(version)):
            return get_model_info(f"models:/{self.model_name}/{version}")

    def pictures(self, run_id: str) -> dict[str, bytes]:
        """The PNG files of a run by name; none where the run has none."""
        client = self.client
        with self.refusals(), _quiet(), tempfile.TemporaryDirectory() as folder:
            if not client.list_artifacts(run_id, PICTURES):
                return {}
            files = Path(client.download_artifacts(run_id, PICTURES, folder)).glob("*.png")
            return {file.stem: file.read_bytes() for file in sorted(files)}

    def register(
        self,
        pipeline: Pipeline,
        run_id: str,
        inputs: Any,
        example: Any,
        description: str,
        tags: Mapping[str, str],
    ) -> Version:
        """Store a pipeline in the active run, register it and make it the Challenger.

        Parameters
        ----------
        pipeline : Pipeline
            What is stored, without pickle, with this package's code beside it.
        run_id : str
            The active MLflow run.
        inputs : DataFrame
            Some rows of the model inputs, for the signature.
        example : DataFrame
            A made-up row, kept with the model.
        description : str
            For a reader of the registry.
        tags : mapping of str to str
            Kept with the version.

        Raises
        ------
        RegistryError
            Where it cannot be stored without pickle, or MLflow cannot be reached.
        """
        import mlflow.sklearn
        from mlflow.models import infer_signature

        client = self.client
        types = self._storable(pipeline)
        with self.refusals(), _quiet():
            stored = mlflow.sklearn.log_model(
                pipeline,
                name="model",
                signature=infer_signature(inputs, pipeline.predict_proba(inputs)),
                input_example=example,
                pyfunc_predict_fn="predict_proba",
                serialization_format="skops",
                skops_trusted_types=types,
                pip_requirements=_requirements(types),
                code_paths=[str(Path(__file__).parents[1])],
            )
            with _unless_it_exists():
                client.create_registered_model(self.model_name, description=description)
            version = _version(
                client.create_model_version(
                    self.model_name,
                    stored.model_uri,
                    run_id,
                    tags=dict(tags),
                    description=description,
                    model_id=stored.model_id,
                )
            )
            client.set_registered_model_alias(self.model_name, CHALLENGER, str(version.version))
        return version

    def _storable(self, pipeline: Any) -> list[str]:
        """The types of a pipeline that skops takes only by name."""
        from skops.io import dumps, get_untrusted_types, loads

        try:
            stored = dumps(pipeline)
            types: list[str] = get_untrusted_types(data=stored)
            odd = self._untrusted(types)
            if not odd:
                # Some things can be written and not be read.
                loads(stored, trusted=types)
        except Exception as error:
            raise RegistryError(
                f"{self.model_name}: the model cannot be stored without pickle: "
                f"{first_line(error)}. Choose another estimator in `training.candidates`."
            ) from error
        if odd:
            raise RegistryError(
                f"{self.model_name}: the model holds {odd[0]}, and only types of packages that "
                "`training.candidates` names are stored beside this package's own."
            )
        return types

    def _untrusted(self, types: Iterable[str]) -> list[str]:
        return [
            name
            for name in types
            if name not in TRUSTED_TYPES and name.partition(".")[0] not in self.trusted
        ]

    @contextmanager
    def refusals(self, advice: str = "") -> Iterator[None]:
        """Say in one line that the registry cannot be used, and what to do.

        Parameters
        ----------
        advice : str
            What to do where MLflow can be reached.
        """
        try:
            yield
        except ChurnError:
            raise
        except Exception as error:
            unreachable = re.search(_UNREACHABLE, str(error), re.IGNORECASE)
            if unreachable and self.tracking_uri.startswith("http"):
                reason = "cannot be reached"
            else:
                # Whole, since a URI that is cut in two may show its credentials.
                reason = public_text(first_line(error, most=sys.maxsize))[:400].rstrip(".")
            todo = _START if unreachable else advice
            raise RegistryError(
                f"MLflow at {public_uri(self.tracking_uri)}: {reason}. {todo}".rstrip()
            ) from error


def _requirements(types: Iterable[str]) -> list[str]:
    """The distributions that a model of such types needs, pinned to those that made it."""
    packages = {name.partition(".")[0] for name in types} - _NEEDS_NO_MORE
    unknown = packages - set(_DISTRIBUTIONS)
    # Asking what each installed file belongs to takes its time.
    known = importlib.metadata.packages_distributions() if unknown else {}
    names = {_DISTRIBUTIONS.get(name) or known.get(name, [""])[0] for name in packages}
    return [
        f"{name}=={importlib.metadata.version(name)}"
        for name in sorted({*REQUIREMENTS, *filter(None, names)})
    ]


def _restore(version: int) -> str:
    return (
        f"Restore the files of version {version}, or remove the use case's model and champion "
        "tables to start over."
    )


def _version(found: ModelVersion) -> Version:
    return Version(
        version=int(found.version),
        run_id=found.run_id or "",
        description=found.description or "",
        tags=dict(found.tags),
    )


@contextmanager
def _unless_it_exists() -> Iterator[None]:
    """Create what may be there already, made before or by another process just now."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _make_folder(tracking_uri: str) -> None:
    if tracking_uri.startswith("sqlite:///"):
        Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _unchanged_path() -> Iterator[None]:
    """Keep a model's own copy of this package off the path: here the package itself runs."""
    path = set(sys.path)
    try:
        yield
    finally:
        # What was added is taken off, so that two loads at once leave nothing of either.
        sys.path[:] = [folder for folder in sys.path if folder in path]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out MLflow's hints on what was chosen here on purpose."""
    import logging

    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

"""The model registry: versions, aliases and runs in MLflow."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import ChurnError, RegistryError, first_line, public_text, public_uri
from churn_assets.learning.storing import local
from churn_assets.learning.storing.files import StoredModel, UntrustedTypeError, digest_of
from churn_assets.learning.storing.place import database_of, follow
from churn_assets.learning.storing.trusted import storable_types
from churn_assets.learning.storing.writing import log_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models.model import ModelInfo
    from sklearn.pipeline import Pipeline

CHALLENGER, CHAMPION = "challenger", "champion"
PICTURES = "pictures"
"""Folder of a run's artifacts."""
CARD, CARD_TEXT = "card/model_card.html", "card/model_card.md"
"""The model card among them."""
BUNDLE, BUNDLE_DIGEST = "bundle", "bundle_digest"
"""Folder of a run's artifacts with its compiled model; tag of a version: the sha256 of these."""
DIGEST = "model_digest"
"""Tag of a version: the sha256 of its files."""
EXPERIMENT_GATES = "experiment_gates"
"""Tag of a version: the gates of the experiment that trained it, as JSON."""
MANIFEST = "model_files.json"
"""Artifact of a run: the sha256 of each file of its model."""

_UNREACHABLE = r"connection|max retries|timed out|unable to open database|name or service"
_DAMAGED = r"file is not a database|disk image is malformed|malformed database"
_DOCTOR = "`churn doctor` says what is damaged."
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

    @property
    def digest(self) -> str | None:
        """That of its files when it was registered; None of one that was registered before."""
        return self.tags.get(DIGEST)

    @property
    def bundle_digest(self) -> str | None:
        """That of its compiled model; None of one that was registered before there were any."""
        return self.tags.get(BUNDLE_DIGEST)


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
        mlflow.set_registry_uri(self._versions_uri)

    @property
    def _versions_uri(self) -> str:
        """Where versions are registered."""
        return self.registry_uri or self.tracking_uri

    @cached_property
    def _connected(self) -> MlflowClient:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        database = database_of(self.tracking_uri)
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        import mlflow

        experiment = self.experiment or self.model_name
        with self.refusals(), _quiet():
            follow(self.tracking_uri, self.artifacts, experiment)
            client = mlflow.MlflowClient(self.tracking_uri, self._versions_uri)
            if client.get_experiment_by_name(experiment) is None:
                with _unless_it_exists():
                    client.create_experiment(experiment, self.artifacts)
        return client

    def by_alias(self, alias: str) -> Version | None:
        """The version that an alias points to; None only where there is no such alias."""
        with suppress(local.UnreadableError):
            found = local.version_by_alias(self._versions_uri, self.model_name, alias)
            return None if found is None else Version(**vars(found))
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
        with suppress(local.UnreadableError):
            known = local.version_by_number(self._versions_uri, self.model_name, version)
            if known.run_id == run_id:
                return Version(**vars(known))
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
            place = public_uri(self._versions_uri)
            raise RegistryError(
                f"{self.model_name}: version {version} of run {run_id} is on record, and the "
                f"registry at {place} does not hold it. Restore the registry's database, or "
                "remove the use case's model and champion tables to start over."
            )
        return found

    def versions(self) -> list[Version]:
        """Every version that is registered."""
        client, found, page = self.client, [], None
        with self.refusals():
            while True:
                some = client.search_model_versions(f"name='{self.model_name}'", page_token=page)
                found += [_version(one) for one in some]
                page = some.token
                if not page:
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

    def load(self, version: int, digest: str | None = None) -> Pipeline:
        """The pipeline of a version, read without pickle, as `stored` and `restore` give it.

        Raises
        ------
        RegistryError
            Where it is not as it was registered, or could be read only by running whatever code
            is in it.
        """
        return self.restore(version, self.stored(version, digest))

    def stored(self, version: int, digest: str | None = None) -> StoredModel:
        """The files of a version, if they are what they were.

        Parameters
        ----------
        version : int
            Its number.
        digest : str, optional
            What they must have, as the record of promotions has it; by default the one that the
            version was registered with. Where there is neither, as of a version that was
            registered before there were any, they are as they are.

        Raises
        ------
        RegistryError
            Where a file was changed, added or taken away, or they cannot be had.
        """
        found = self._files(f"models:/{self.model_name}/{version}", _restore(version))
        with self.refusals():
            registered = _version(self.client.get_model_version(self.model_name, str(version)))
        expected = digest or registered.digest
        if expected in (None, found.digest):
            return found
        manifest = self._manifest(registered.run_id)
        which = ""
        if manifest is not None and digest_of(manifest) == expected:
            which = f" ({found.changes(manifest)})"
        raise RegistryError(
            f"{self.model_name}: the files of version {version} are not those that were "
            f"registered{which}, so nothing of them was loaded. Predictions stand. Restore the "
            "files, or go on without this version: `churn rollback` if it is the Champion, "
            "`churn run --retrain` if not. `churn doctor` shows what else is damaged."
        )

    def restore(self, version: int, stored: StoredModel) -> Pipeline:
        """The pipeline that the files of a version hold, of this package's own classes.

        Nothing of the files is imported: neither they nor their folder are on the path.

        Raises
        ------
        RegistryError
            Where they hold something else.
        """
        also = ""
        with self.refusals(_restore(version)):
            if stored.is_skops:
                try:
                    return stored.pipeline(self.trusted)
                except UntrustedTypeError as odd:
                    also = f" (it holds {odd}, which no candidate of the settings names)"
        raise RegistryError(
            f"{self.model_name}: version {version} is not stored by skops with the types that "
            f"this package names{also}, so reading it could run any code. Register it through "
            "`churn run`."
        )

    def seal(self, version: int) -> str:
        """Keep the digest of a version's files as they are now, where it has none; gives it.

        Raises
        ------
        RegistryError
            Where it has one and they are not what they were, or they cannot be had.
        """
        files, client = self.stored(version), self.client
        with self.refusals():
            registered = _version(client.get_model_version(self.model_name, str(version)))
        if registered.digest is None:
            # Its run may be gone; what the list is for is only to name a file.
            with suppress(RegistryError), self.refusals():
                client.log_text(registered.run_id, files.manifest, MANIFEST)
            self.tag(version, {DIGEST: files.digest})
        return files.digest

    def _files(self, uri: str, advice: str) -> StoredModel:
        """A copy of a model's files as they lie there now; what is theirs stays as it is."""
        from mlflow.artifacts import download_artifacts

        self.connect()
        with self.refusals(advice), _quiet(), tempfile.TemporaryDirectory() as folder:
            return StoredModel.of(Path(download_artifacts(uri, dst_path=folder)))

    def _manifest(self, run_id: str) -> str | None:
        """The sha256 of each file that a run registered; None where it is lost."""
        client = self.client
        with suppress(Exception), _quiet(), tempfile.TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run_id, MANIFEST, folder)).read_text()
        return None

    def info(self, version: int) -> ModelInfo:
        """What MLflow knows of a version's model: signature, input example."""
        from mlflow.models import get_model_info

        self.connect()
        with self.refusals(_restore(version)):
            return get_model_info(f"models:/{self.model_name}/{version}")

    def pictures(self, run_id: str) -> dict[str, bytes]:
        """The pictures of a run by name, SVG, or PNG of before; none where the run has none."""
        with suppress(local.UnreadableError):
            kept = self._artifacts(run_id) / PICTURES
            return {file.stem: file.read_bytes() for file in sorted(kept.glob("*"))}
        client = self.client
        with self.refusals(), _quiet(), tempfile.TemporaryDirectory() as folder:
            if not client.list_artifacts(run_id, PICTURES):
                return {}
            files = Path(client.download_artifacts(run_id, PICTURES, folder)).iterdir()
            return {file.stem: file.read_bytes() for file in sorted(files)}

    def experiment_of(self, run_id: str) -> str:
        """The number of the experiment of a run."""
        with suppress(local.UnreadableError):
            return local.experiment_of(self.tracking_uri, run_id)
        client = self.client
        with self.refusals():
            return str(client.get_run(run_id).info.experiment_id)

    def card_file(self, run_id: str, name: str = CARD) -> Path | None:
        """Where the model card of a run lies, or will; None where its files are not on disk."""
        with suppress(local.UnreadableError):
            return self._artifacts(run_id) / name
        return None

    def card(self, run_id: str, folder: Path | None = None) -> Path | None:
        """The model card of a run, as a file; None where it has none here.

        Parameters
        ----------
        run_id : str
            Of the version.
        folder : Path, optional
            Takes a copy, where the run's files are not on disk.
        """
        return self._card(run_id, CARD, folder)

    def keep_card(self, run_id: str, page: str, text: str) -> None:
        """Keep a model card with its run, as a page and as Markdown."""
        with self.refusals():
            self.client.log_text(run_id, page, CARD)
            self.client.log_text(run_id, text, CARD_TEXT)

    def card_text(self, run_id: str) -> str | None:
        """The model card of a run as Markdown; None where there is none yet."""
        with tempfile.TemporaryDirectory() as folder:
            file = self._card(run_id, CARD_TEXT, Path(folder))
            return None if file is None else file.read_text("utf-8")

    def keep_bundle(self, version: Version, folder: Path, digest: str) -> Version:
        """Keep a version's compiled model with its run, and its digest as a tag of the version.

        Parameters
        ----------
        version : Version
            Whose it is.
        folder : Path
            With its files.
        digest : str
            The sha256 of these.
        """
        client = self.client
        with self.refusals(), _quiet():
            client.log_artifacts(version.run_id, str(folder), BUNDLE)
        self.tag(version.version, {BUNDLE_DIGEST: digest})
        return replace(version, tags={**version.tags, BUNDLE_DIGEST: digest})

    def fetch_bundle(self, version: Version, folder: Path) -> None:
        """Copy the files of a version's compiled model into a folder.

        Raises
        ------
        RegistryError
            Where they cannot be had.
        """
        advice = (
            f"Restore the artifacts below '{BUNDLE}' of run {version.run_id}, or train again with "
            "`churn run --retrain`."
        )
        with suppress(local.UnreadableError):
            kept = self._artifacts(version.run_id) / BUNDLE
            with self.refusals(advice):
                shutil.copytree(kept, folder, dirs_exist_ok=True)
            return
        client = self.client
        with self.refusals(advice), _quiet(), tempfile.TemporaryDirectory() as fetched:
            kept = Path(client.download_artifacts(version.run_id, BUNDLE, fetched))
            shutil.copytree(kept, folder, dirs_exist_ok=True)

    def _card(self, run_id: str, name: str, folder: Path | None) -> Path | None:
        """A file of the model card, as `card` gives it."""
        here = self.card_file(run_id, name)
        if here is not None:
            return here if here.exists() else None
        if folder is None:
            return None
        client, beside = self.client, name.rpartition("/")[0]
        with self.refusals(), _quiet():
            if name not in {found.path for found in client.list_artifacts(run_id, beside)}:
                return None
            folder.mkdir(parents=True, exist_ok=True)
            return Path(client.download_artifacts(run_id, name, str(folder)))

    def _artifacts(self, run_id: str) -> Path:
        """The folder of a run's files, where it is on disk."""
        with self.refusals():
            follow(self.tracking_uri, self.artifacts, self.experiment or self.model_name)
        return local.artifacts_of(self.tracking_uri, run_id)

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
        client = self.client
        types = storable_types(pipeline, self.trusted, self.model_name)
        with self.refusals(), _quiet():
            stored = log_model(pipeline, types, inputs, example)
            files = self._files(stored.model_uri, "")
            client.log_text(run_id, files.manifest, MANIFEST)
            with _unless_it_exists():
                client.create_registered_model(self.model_name, description=description)
            version = _version(
                client.create_model_version(
                    self.model_name,
                    stored.model_uri,
                    run_id,
                    tags={**tags, DIGEST: files.digest},
                    description=description,
                    model_id=stored.model_id,
                )
            )
            client.set_registered_model_alias(self.model_name, CHALLENGER, str(version.version))
        return version

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
            if re.search(_DAMAGED, str(error)):
                advice = _DOCTOR
            todo = _START if unreachable else advice
            raise RegistryError(
                f"MLflow at {public_uri(self.tracking_uri)}: {reason}. {todo}".rstrip()
            ) from error


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

"""Where bundles are kept: with the run of a registered version, and in a folder of a server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn_assets.errors import BundleError
from churn_assets.learning.compiling.compile import CHECKED, Compiled, compile_model
from churn_assets.learning.compiling.format import read, write
from churn_assets.learning.inputs import as_trained
from churn_assets.learning.storing.files import StoredFiles

if TYPE_CHECKING:
    import pandas as pd

    from churn_assets.learning.fitting.training import Trained
    from churn_assets.learning.registry import Registry, Version
    from churn_assets.usecases.spec import UseCase

_SHOWN = 16
"""Digits of a digest in the name of a folder."""


def keep_bundle(
    registry: Registry, version: Version, use_case: UseCase, trained: Trained
) -> dict[str, Any]:
    """Compile a version's bundle, keep its files with its run and its digest as a tag.

    Parameters
    ----------
    registry : Registry
        Where the version is.
    version : Version
        Which one.
    use_case : UseCase
        As the model was trained.
    trained : Trained
        The fitted model and the rows that it was fitted on.

    Returns
    -------
    dict of str to object
        Which path serves it and why, and how far it is from the Pipeline, for the check on it.
    """
    compiled = compile_version(registry, version, use_case, trained.pipeline, trained.train)
    with tempfile.TemporaryDirectory() as folder:
        digest = write(Path(folder), compiled.files)
        registry.keep_bundle(version, Path(folder), digest)
    return compiled.figures


def bundle_of(registry: Registry, version: Version, use_case: UseCase, cache: Path) -> Path:
    """The folder of a version's bundle: fetched, or compiled where it has none yet.

    Parameters
    ----------
    registry : Registry
        Where the version is.
    version : Version
        Which one.
    use_case : UseCase
        As it is today.
    cache : Path
        Folder of bundles, each in one of its own: `<version>-<first 16 digits of its digest>`.

    Raises
    ------
    BundleError
        Where the fetched files are not those that were registered.
    RegistryError
        Where the registry cannot be reached, or the model's files are not as they were.
    InputsError
        Where a model that is to be compiled was trained on what is predicted today.
    """
    digest = version.bundle_digest
    if digest is None:
        return _compiled(registry, version, use_case, cache)
    folder = cache / _name(version, digest)
    if folder.is_dir() and _is_whole(folder, digest):
        return folder
    with _new(cache, folder) as new:
        registry.fetch_bundle(version, new)
        read(new, digest)
    return folder


def compile_version(
    registry: Registry,
    version: Version,
    use_case: UseCase,
    model: object,
    rows: pd.DataFrame | None = None,
    checked: int = CHECKED,
) -> Compiled:
    """A version's bundle, not kept anywhere; the parameters are those of `compile_model`."""
    return compile_model(
        use_case,
        model,
        version,
        registry.model_name,
        stored=lambda: registry.stored(version.version),
        packages=registry.trusted,
        rows=rows,
        checked=checked,
    )


def _compiled(registry: Registry, version: Version, use_case: UseCase, cache: Path) -> Path:
    """The bundle of a version that was registered without, compiled here once."""
    for folder in sorted(cache.glob(_name(version, "?" * _SHOWN))):
        if _is_of(folder, version):
            return folder
    model = registry.load(version.version)
    trained = as_trained(use_case, model)
    compiled = compile_version(registry, version, trained, model)
    with _new(cache, None) as new:
        digest = write(new, compiled.files)
        folder = cache / _name(version, digest)
        _put(new, folder)
    return folder


def _name(version: Version, digest: str) -> str:
    return f"{version.version}-{digest[:_SHOWN]}"


def _is_whole(folder: Path, digest: str) -> bool:
    try:
        read(folder, digest)
    except BundleError:
        return False
    return True


def _is_of(folder: Path, version: Version) -> bool:
    """Whether a bundle that was compiled here is this version's, and as it was."""
    try:
        manifest, files = read(folder, None)
    except BundleError:
        return False
    whole = StoredFiles(files).digest
    return manifest.run_id == version.run_id and folder.name == _name(version, whole)


@contextmanager
def _new(cache: Path, folder: Path | None) -> Iterator[Path]:
    """A new folder to be filled, which then takes its place as a whole."""
    cache.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
    try:
        yield new
        if folder is not None:
            _put(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _put(new: Path, folder: Path) -> None:
    """Move a folder into its place; what lies there is not as it should be, or the same."""
    if folder.exists():
        aside = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        folder.rename(aside / folder.name)
        shutil.rmtree(aside, ignore_errors=True)
    new.rename(folder)

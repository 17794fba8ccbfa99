"""The files of a registered model, and the digest that tells whether they are as they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from churn_assets.learning.storing.trusted import untrusted

_MARK = "registered_model_meta"
"""What MLflow writes beside a model that somebody loads by its name."""
_COMPILED = "__pycache__"
"""What Python writes beside code that somebody imports. Nothing here imports a model's code."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class StoredFiles:
    """The files of a folder, read once: what is checked is what is loaded.

    Parameters
    ----------
    files : mapping of str to bytes
        What each holds, by its path in the folder.
    """

    files: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """All files of a folder, but for what loading a model from it leaves there."""
        paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
        return cls(
            {
                name.as_posix(): path.read_bytes()
                for name, path in paths.items()
                if name.as_posix() != _MARK and _COMPILED not in name.parts
            }
        )

    @cached_property
    def manifest(self) -> str:
        """The sha256 of each file by its path, as JSON, in one order."""
        hashes = {path: hashlib.sha256(content).hexdigest() for path, content in self.files.items()}
        return json.dumps(hashes, sort_keys=True, indent=1)

    @property
    def digest(self) -> str:
        """The sha256 of all paths and all that the files hold."""
        return digest_of(self.manifest)

    def changes(self, manifest: str) -> str:
        """Which files are not those of a manifest, and how; the first few of them."""
        before, now = json.loads(manifest), json.loads(self.manifest)
        changes = [
            f"{path} {_change(path in before, path in now)}"
            for path in sorted({*before, *now})
            if before.get(path) != now.get(path)
        ]
        more = len(changes) - _MOST_NAMED
        return ", ".join(changes[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class StoredModel(StoredFiles):
    """The files of a registered model."""

    @property
    def flavor(self) -> Mapping[str, Any]:
        """What the model's description says of scikit-learn's flavor; empty where nothing."""
        import yaml

        described = yaml.safe_load(self.files["MLmodel"])
        flavor: Mapping[str, Any] = described["flavors"].get("sklearn", {})
        return flavor

    @property
    def is_skops(self) -> bool:
        """Whether skops wrote it."""
        return self.flavor.get("serialization_format") == "skops"

    def pipeline(self, packages: tuple[str, ...]) -> Any:
        """The model, without pickle, of this package's own classes and of none that came along.

        Parameters
        ----------
        packages : tuple of str
            Whose types it may hold as well.

        Raises
        ------
        UntrustedTypeError
            Where it holds a type of another.
        """
        from skops.io import get_untrusted_types, loads

        content = self.files[self.flavor["pickled_model"]]
        types = get_untrusted_types(data=content)
        odd = untrusted(types, packages)
        if odd:
            raise UntrustedTypeError(odd[0])
        return loads(content, trusted=types)


class UntrustedTypeError(Exception):
    """A stored model holds a type that nobody named."""


def digest_of(manifest: str) -> str:
    """The digest that a manifest gives."""
    return hashlib.sha256(manifest.encode()).hexdigest()


def _change(was: bool, is_: bool) -> str:
    if was and is_:
        return "was changed"
    return "was added" if is_ else "is missing"

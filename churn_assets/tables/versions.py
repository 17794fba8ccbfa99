"""What a table was made from: code versions and data versions."""

import hashlib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def code_version(*code: str | Callable[..., Any], **settings: Any) -> str:
    """Version of the code, and of the settings that it depends on.

    Parameters
    ----------
    *code : str or function
        Name of a module, which is not imported for it, or a function; its whole file counts.
    **settings
        Values that change what comes out.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in sorted({_file(part) for part in code}):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()[:16]


def data_version(code: str, inputs: Mapping[str, str]) -> str:
    """Version of a table: its code's version and those of the data that it reads.

    The rule is Dagster's own (docs.dagster.io, "Asset versioning and caching").

    >>> data_version("a", {"raw": "1"}) == data_version("a", {"raw": "2"})
    False
    """
    text = json.dumps([code, sorted(inputs.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def _file(part: str | Callable[..., Any]) -> str:
    if isinstance(part, str):
        spec = importlib.util.find_spec(part)
        file = None if spec is None else spec.origin
    else:
        file = inspect.getsourcefile(part)
    if file is None:
        raise ValueError(f"{part!r} has no source file")
    return file

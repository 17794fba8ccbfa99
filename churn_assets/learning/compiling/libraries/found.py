"""Where a package keeps its C library, found without importing the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from churn_assets.errors import BundleError

_ENDINGS = (".so", ".dylib", ".dll")


def library_of(package: str, name: str) -> str:
    """The path of a library among an installed package's files.

    Raises
    ------
    BundleError
        Where the package is not installed, or has no such library.
    """
    found = importlib.util.find_spec(package)
    for folder in () if found is None else found.submodule_search_locations or ():
        for file in sorted(Path(folder).glob(f"*/{name}.*")):
            if file.suffix in _ENDINGS:
                return str(file)
    raise BundleError(
        f"the bundle needs {package}, and its library {name} is not installed here. Install "
        f"{package}, and load the bundle again."
    )

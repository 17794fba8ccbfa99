"""What a table was made from: code versions and data versions.

A code version is the digest of the code that makes a table: the modules that are named, and all
that they import inside the package, in functions too. It is taken from the syntax, so comments,
docstrings and formatting change nothing, and nor do imports that only type checkers follow. A
module that is named in a text, as stored models name theirs, counts as imported. Modules that only
tell people something (`ONLY_TELLS`) are left out, with what they import.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from churn_assets.errors import public_values

ONLY_TELLS = re.compile(r"churn_assets\.(errors|pages(\..+)?|(.+\.)?(\w+_)?plots)")
"""Modules that word, draw or lay out what was found, and so change no table."""
LAYOUT = 2
"""How tables and their notes are laid out; a lake of a later one is not touched."""
Code = str | ModuleType | Callable[..., Any]
_OWN = re.compile(r"churn_assets(\.\w+)+")
_PACKAGE = Path(__file__).parents[1]


def code_version(*code: Code, **settings: Any) -> str:
    """Version of the code, of all that it imports in this package, and of settings.

    Parameters
    ----------
    *code : str, module or function
        A module or a folder of modules, by name too, and then it is not imported for it; or a
        function, whose whole file counts.
    **settings
        Values that change what comes out.

    Returns
    -------
    str
        Sixteen hexadecimal digits.

    Raises
    ------
    ValueError
        Where code has no source file.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for module in sorted(module.digest for module in _followed(code).values()):
        digest.update(module.encode())
    return digest.hexdigest()[:16]


def data_version(code: str, inputs: Mapping[str, str]) -> str:
    """Version of a table: its code's version and those of the data that it reads.

    The rule is Dagster's own (docs.dagster.io, "Asset versioning and caching").

    >>> data_version("a", {"raw": "1"}) == data_version("a", {"raw": "2"})
    False
    """
    text = json.dumps([code, sorted(inputs.items())])
    return hashlib.sha256(text.encode()).hexdigest()


def commit_note(
    data_version: str,
    made_from: str,
    reads: Mapping[str, int] | None,
    details: Mapping[str, Any],
) -> dict[str, Any]:
    """What is kept with a commit of whichever table, and of whichever writer."""
    return {
        # Tells this commit from another of the same content.
        "commit": uuid.uuid4().hex,
        "layout": LAYOUT,
        "data_version": data_version,
        "made_from": made_from,
        "reads": dict(reads or {}),
        "details": public_values(dict(details)),
    }


class _Module(NamedTuple):
    """What the syntax of a module says: its digest, and the names that it imports."""

    digest: str
    imports: Sequence[str]


def _followed(code: Sequence[Code]) -> Mapping[Path, _Module]:
    """The modules that code lies in and all that they import in this package, by file."""
    waiting = [file for part in code for file in _files(part)]
    found: dict[Path, _Module] = {}
    kept = _Kept.of_this_process()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = module = kept.module(file)
            waiting += filter(None, map(_file_of, module.imports))
    kept.save()
    return found


def _files(part: Code) -> Iterator[Path]:
    """The file of a module or function, or every file of a folder of modules."""
    origin: str | None
    if isinstance(part, str):
        spec = importlib.util.find_spec(part)
        origin = None if spec is None else spec.origin
    else:
        origin = inspect.getsourcefile(part)
    if origin is None:
        raise ValueError(f"{part!r} has no source file")
    file = Path(origin)
    if file.name != "__init__.py":
        yield file
        return
    for below in sorted(file.parent.rglob("*.py")):
        names = below.relative_to(file.parent).with_suffix("").parts
        if not ONLY_TELLS.fullmatch(".".join((_name(part), *names))):
            yield below


def _name(folder: Code) -> str:
    return folder if isinstance(folder, str) else str(folder.__name__)


@cache
def _file_of(name: str) -> Path | None:
    """The file of a module of this package, or of the one that a name is imported from."""
    if ONLY_TELLS.fullmatch(name):
        return None
    place = _PACKAGE.joinpath(*name.split(".")[1:])
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return _file_of(name.rpartition(".")[0]) if "." in name else None


class _Kept:
    """What was read of each file of this package, beside Python's own compiled files."""

    _process: _Kept | None = None

    def __init__(self) -> None:
        # Named after the interpreter too, whose syntax trees differ.
        compiled = importlib.util.cache_from_source(__file__)
        self._file = Path(compiled).with_suffix(".json")
        # What is kept was read by this module as it was then.
        self._reader = _state(Path(__file__))
        self._changed = False
        self._modules: dict[str, list[Any]] = {}
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(self._file.read_text())
            self._modules = kept["modules"] if kept["reader"] == self._reader else {}

    @classmethod
    def of_this_process(cls) -> _Kept:
        if cls._process is None:
            cls._process = cls()
        return cls._process

    def module(self, file: Path) -> _Module:
        """What the syntax of a file says, read again only where the file has changed."""
        name, state = str(file), _state(file)
        kept = self._modules.get(name)
        if kept is None or kept[:2] != state:
            kept = self._modules[name] = [*state, *_read(file)]
            self._changed = True
        return _Module(*kept[2:])

    def save(self) -> None:
        if not self._changed:
            return
        self._changed = False
        # Whole or not at all; where it cannot be kept, it is read again.
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            whole = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            whole.write_text(json.dumps({"reader": self._reader, "modules": self._modules}))
            whole.replace(self._file)


def _state(file: Path) -> list[int]:
    """By which a file is taken for the same, as Python does with what it compiles."""
    status = file.stat()
    return [status.st_mtime_ns, status.st_size]


def _read(file: Path) -> _Module:
    tree = ast.parse(file.read_bytes())
    imports: list[str] = []
    text = "".join(_syntax(tree, imports))
    return _Module(hashlib.sha256(text.encode()).hexdigest(), sorted(set(imports)))


def _syntax(node: ast.AST, imports: list[str]) -> Iterator[str]:
    """A tree without positions and docstrings, in a form that leaves out what is empty."""
    if isinstance(node, ast.Import):
        imports += [alias.name for alias in node.names if _is_own(alias.name)]
    elif isinstance(node, ast.ImportFrom) and _is_own(node.module or ""):
        imports += [f"{node.module}.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_own(node.value):
        imports.append(node.value)
    yield f"({type(node).__name__}"
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, ast.AST):
            yield f" {name}="
            yield from _syntax(value, imports)
        elif isinstance(value, list):
            # A field that another release of Python has, and that is empty, is left out too.
            if value:
                yield f" {name}="
            for inner in value:
                if not isinstance(inner, ast.AST):
                    yield f" {inner!r}"
                elif not _says_nothing(inner):
                    yield from _syntax(inner, imports)
        elif value is not None:
            yield f" {name}={value!r}"
    yield ")"


def _is_own(name: str) -> bool:
    return _OWN.fullmatch(name) is not None


def _says_nothing(node: ast.AST) -> bool:
    """Whether a statement changes nothing when it is run: a docstring, or what types alone need."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return False

"""Where a source's files lie, and how their bytes are read: disk, web or object store."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, url2pathname, urlopen

from churn_assets.errors import SourceError, public_uri
from churn_assets.tables.sources.stores import READ_SECONDS, connect

Format = Literal["csv", "parquet", "delta"]

BLOCK_BYTES = 1 << 20
_WEB = ("http", "https")
_STORES = ("s3", "s3a", "gs", "az", "abfs", "abfss")
DATABASE = "postgresql"
PASSWORD_ADVICE = "In a user or password write @ as %40, / as %2F, ? as %3F and # as %23."
_FORMATS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
# Of a file, in any system: no end of a path, nothing that cannot be seen, and not too long.
_PLAIN = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z))[^\x00-\x1f\x7f/\\:*?\"<>|]{1,80}"
)
# What an address may hold as it is; people paste spaces and accents too.
_IN_ADDRESSES = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True, eq=False)
class File:
    """One file of a source.

    Parameters
    ----------
    name : str
        Path below the source's folder.
    uri : str
        What an engine opens; may hold credentials.
    public : str
        The same without credentials, as kept with its records.
    place : str
        Likewise as the user wrote it, for refusals.
    etag : str
        Changes with the content, where a server promises that; empty elsewhere.
    """

    name: str
    uri: str = field(repr=False)
    public: str
    place: str
    etag: str = ""

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks."""
        raise NotImplementedError

    def tail(self, size: int) -> bytes:
        """The last bytes, or all of them if there are fewer."""
        return b"".join(self.blocks())[-size:]


class DiskFile(File):
    """A file that this machine opens by its path."""

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks."""
        with reading(self.place), Path(self.uri).open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def tail(self, size: int) -> bytes:
        """The last bytes, or all of them if there are fewer."""
        with reading(self.place), Path(self.uri).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)


class WebFile(File):
    """A file behind an http(s) address."""

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks."""
        with reading(self.place), _response(self.uri) as response:
            left = int(response.headers.get("Content-Length") or -1)
            while block := response.read(BLOCK_BYTES):
                left -= len(block)
                yield block
            if left > 0:
                raise SourceError(f"{self.place}: the answer was cut short. Run again.")


@dataclass(frozen=True, eq=False)
class ObjectFile(File):
    """An object of a store."""

    store: Any = field(default=None, repr=False)
    key: str = ""

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks."""
        with reading(self.place):
            for block in self.store.get(self.key).stream(min_chunk_size=BLOCK_BYTES):
                yield bytes(block)

    def tail(self, size: int) -> bytes:
        """The last bytes, or all of them if there are fewer."""
        with reading(self.place):
            whole = self.store.head(self.key)["size"]
            start = max(0, whole - size)
            return bytes(self.store.get_range(self.key, start=start, end=whole))


@dataclass(frozen=True)
class Location:
    """What lies at a source's URI.

    Parameters
    ----------
    uri : str
        For an engine; `public` and `place` as in `File`.
    format : {"csv", "parquet", "delta"}
        What the files hold.
    files : tuple of File
        In the order of their names; none for a Delta table.
    """

    uri: str = field(repr=False)
    public: str
    place: str
    format: Format
    files: tuple[File, ...] = ()


def locate(uri: str, format: Format | None, options: Mapping[str, str], where: str) -> Location:
    """Find what lies at a source's URI.

    Parameters
    ----------
    uri : str
        A file, folder or glob on disk or in an object store, or an http(s) address.
    format : {"csv", "parquet", "delta"}, optional
        By default what the files' endings say.
    options : mapping of str to str
        Keys of the object store.
    where : str
        Prefix of the settings, for refusals.

    Raises
    ------
    SourceError
        Where nothing readable lies there.
    """
    scheme = _scheme(uri)
    place = public_uri(uri)
    with reading(place, where):
        if scheme in _WEB:
            return _location(uri, place, format, [_on_web(uri, where)], where)
        if scheme in _STORES:
            return _in_store(uri, format, options, where)
        if scheme in ("", "file"):
            return _on_disk(uri, format, where)
    starts = ", ".join(f"{start}://" for start in (*_WEB, *_STORES, DATABASE))
    raise SourceError(
        f"{place}: addresses of '{scheme}' cannot be read. Set {where}.uri to a path, or to an "
        f"address that starts with {starts}."
    )


def on_disk(files: Sequence[File], contents: Sequence[Iterator[bytes]]) -> list[File]:
    """Write contents of files to disk, to be read from there until this process ends."""
    root = new_folder()
    return [_copied(file, root, blocks) for file, blocks in zip(files, contents, strict=True)]


def new_folder() -> Path:
    """Make a folder that lasts until this process ends."""
    return Path(tempfile.mkdtemp(dir=_workspace().name))


@contextmanager
def reading(place: str, where: str = "") -> Iterator[None]:
    """Say in one line, without a server's words, why something cannot be read."""
    settings = f" Check {where}.uri and {where}.storage_options." if where else ""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise SourceError(f"{place}: {_reason(error)}{settings}") from None
    except Exception as error:
        if not type(error).__module__.startswith(("obstore", "deltalake", "_internal")):
            raise
        raise SourceError(f"{place}: {_reason(error)}{settings}") from None


def _scheme(uri: str) -> str:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", uri)
    return scheme[1].lower() if scheme else ""


def _on_disk(uri: str, format: Format | None, where: str) -> Location:
    name = url2pathname(urlsplit(uri).path) if uri.startswith("file://") else uri
    path = Path(name).expanduser()
    # An address with a slash too few is taken for a path.
    place = public_uri(str(path))
    if path.is_dir():
        if (path / "_delta_log").is_dir():
            return Location(str(path.absolute()), str(path.absolute()), place, "delta")
        below = sorted(file for file in path.rglob("*") if file.is_file())
        files = [_disk_file(file, path) for file in below if _visible(file.relative_to(path))]
    elif path.exists():
        _require_regular(path)
        files = [_disk_file(path, path.parent)]
    elif glob.has_magic(str(path)):
        base = Path(_base(path.as_posix()))
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
        files = [_disk_file(match, base) for match in matches if match.is_file()]
    else:
        raise FileNotFoundError
    return _location(str(path.absolute()), place, format, files, where)


def _disk_file(path: Path, base: Path) -> DiskFile:
    whole = str(path.absolute())
    return DiskFile(path.relative_to(base).as_posix(), whole, whole, str(path))


def _require_regular(path: Path) -> None:
    if not stat.S_ISREG(path.stat().st_mode):
        raise SourceError(f"{path}: is a device, pipe or socket. Give a file or a folder.")


def _on_web(uri: str, where: str) -> WebFile:
    place = public_uri(uri)
    try:
        name = unquote(PurePosixPath(urlsplit(uri).path).name)
        with _response(uri) as response:
            etag = _strong(response.headers.get("ETag"), response.headers.get("Content-Length"))
    except ValueError:
        raise SourceError(
            f"{place}: is not a valid address. {PASSWORD_ADVICE} Correct {where}.uri."
        ) from None
    return WebFile(name or "download", uri, place, place, etag)


def _response(uri: str) -> HTTPResponse:
    """Open an address; a password goes to the host that it is for, not on to where that points."""
    parts = urlsplit(uri)
    # Raises where it is not a number: then it is part of a password.
    _ = parts.port
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    request = Request(
        quote(bare.geturl(), safe=_IN_ADDRESSES), headers={"Accept-Encoding": "identity"}
    )
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    response: HTTPResponse = urlopen(request, timeout=READ_SECONDS)
    return response


def _in_store(uri: str, format: Format | None, options: Mapping[str, str], where: str) -> Location:
    place = public_uri(uri)
    if place != uri and re.search(r"[?#@;]", uri):
        raise SourceError(
            f"{place}: an object's address takes no password and no '?' or '#'. Put keys under "
            f"{where}.storage_options, and write * for a glob."
        )
    root, key = re.fullmatch(r"([^:]+://[^/]*)/?(.*)", uri, re.DOTALL).groups()  # type: ignore[union-attr]
    store = connect(root, options, place, f"{where}.storage_options")

    def files(entries: Sequence[Any], base: str) -> list[File]:
        ordered = sorted(entries, key=lambda entry: str(entry["path"]))
        return [_object_file(store, root, entry, base) for entry in ordered]

    if glob.has_magic(key):
        base = _base(key)
        matches = [entry for entry in _below(store, base) if _matches(entry["path"], key)]
        return _location(uri, place, format, files(matches, base), where)
    folder = key.rstrip("/")
    if folder == key and key:
        try:
            entry = store.head(key)
            return _location(uri, place, format, files([entry], _base(key)), where)
        except FileNotFoundError:
            pass
    if folder and _below(store, f"{folder}/_delta_log"):
        return Location(uri, place, place, "delta")
    base = f"{folder}/" if folder else ""
    below = [
        entry
        for entry in _below(store, base)
        if _visible(PurePosixPath(entry["path"].removeprefix(base)))
    ]
    if not below:
        raise FileNotFoundError
    return _location(uri, place, format, files(below, base), where)


def _object_file(store: Any, root: str, entry: Any, base: str) -> ObjectFile:
    key = entry["path"]
    uri = f"{root}/{key}"
    etag = _strong(entry["e_tag"], entry["size"])
    return ObjectFile(key.removeprefix(base), uri, uri, uri, etag, store, key)


def _below(store: Any, prefix: str) -> Sequence[Any]:
    """Objects under a prefix, without the empty ones that stand for folders."""
    entries: Sequence[Any] = store.list(prefix.rstrip("/") or None).collect()
    return [entry for entry in entries if entry["path"].rstrip("/") != prefix.rstrip("/")]


def _location(
    uri: str, place: str, format: Format | None, files: Sequence[File], where: str
) -> Location:
    """Settle on one format of all files."""
    if format == "delta":
        raise SourceError(f"{place}: is not a Delta table. Check {where}.uri and {where}.format.")
    if not files:
        raise SourceError(f"{place}: no file lies there. Check {where}.uri.")
    by_file = {file.place: _FORMATS.get(PurePosixPath(file.name).suffix.lower()) for file in files}
    formats = sorted({kind for kind in by_file.values() if kind})
    if len(formats) > 1:
        one, other = (next(f for f, kind in by_file.items() if kind == k) for k in formats[:2])
        raise SourceError(
            f"{place}: holds files of different formats, such as {one} and {other}. "
            f"Choose some with a glob such as *.{formats[0]} in {where}.uri."
        )
    unknown = next((file for file, kind in by_file.items() if kind is None), None)
    if format is None and unknown:
        raise SourceError(
            f"{unknown}: its ending does not say what it holds. Set {where}.format to csv or "
            f"parquet, or choose files with a glob such as *.csv in {where}.uri."
        )
    absolute = files[0].public if len(files) == 1 else public_uri(uri)
    return Location(uri, absolute, place, format or formats[0], tuple(files))


def _visible(path: PurePosixPath | Path) -> bool:
    """Whether a file below a folder is data: writers hide their notes behind _ and dots."""
    return not any(part.startswith(("_", ".")) for part in path.parts)


def _base(pattern: str) -> str:
    """The folder that a glob starts from, or that a file lies in."""
    fixed = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return fixed[: fixed.rfind("/") + 1]


def _matches(key: str, pattern: str) -> bool:
    """Whether an object matches as a file on disk would: * stays within a folder."""
    if "**" in pattern:
        return fnmatchcase(key, pattern.replace("**/", "*")) or fnmatchcase(key, pattern)
    parts, patterns = key.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _strong(etag: str | None, size: int | str | None) -> str:
    """Identity of a content whose server promises a new ETag for every change."""
    return f"{etag} {size}" if etag and not etag.startswith("W/") else ""


def _copied(file: File, root: Path, blocks: Iterator[bytes]) -> File:
    name = _name_on_disk(file.name)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as copy:
        for block in blocks:
            copy.write(block)
    return DiskFile(name, str(path), file.public, file.place, file.etag)


def _name_on_disk(name: str) -> str:
    """The name of a file's copy: its own, or another where that may lead elsewhere or nowhere.

    >>> _name_on_disk("2024/customers.csv")
    '2024/customers.csv'
    >>> _name_on_disk("../../customers.csv")
    'ca0c5e7489ad6184.csv'
    """
    if all(_PLAIN.fullmatch(part) and part not in (".", "..") for part in name.split("/")):
        return name
    ending = re.search(r"\.[A-Za-z]{1,8}\Z", name)
    return hashlib.sha256(name.encode(errors="replace")).hexdigest()[:16] + (
        ending[0] if ending else ""
    )


@cache
def _workspace() -> tempfile.TemporaryDirectory[str]:
    """Folder of what was copied; removed when this process ends."""
    return tempfile.TemporaryDirectory(prefix="churn-")


_KINDS = {
    "FileNotFoundError": "there is no such file or folder.",
    "PermissionError": "this user may not read it. Give read permission.",
    "PermissionDeniedError": "access is denied.",
    "UnauthenticatedError": "access is denied.",
    "TableNotFoundError": "is not a Delta table.",
    "URLError": "cannot be reached.",
    "IncompleteRead": "the answer was cut short. Run again.",
}
_REASONS = (
    (r"NoSuchBucket|404", "there is no such bucket."),
    (r"40[13]|credential|[Tt]oken|AccessDenied", "access is denied."),
    (r"not a Delta table|no log files", "is not a Delta table."),
    (r"error sending request|connect|dns|timed? ?out", "cannot be reached."),
)


def _reason(error: Exception) -> str:
    """Why something cannot be read, in words of our own: a server's may hold secrets."""
    kind = type(error).__name__
    if isinstance(error, HTTPError):
        return _status(error.code)
    if kind in _KINDS:
        return _KINDS[kind]
    if isinstance(error, (TimeoutError, ConnectionError)):
        return "cannot be reached."
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or kind}."
    reasons = (reason for pattern, reason in _REASONS if re.search(pattern, str(error)))
    return next(reasons, "cannot be read.")


def _status(code: int) -> str:
    reasons = {401: "access is denied.", 403: "access is denied.", 404: "there is no such file."}
    return reasons.get(code, f"the server answered with status {code}.")

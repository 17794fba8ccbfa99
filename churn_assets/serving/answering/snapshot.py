"""Features by key: the file that they lie in, and how a server looks a customer up.

A snapshot is one LMDB file that never changes, and behind its pages what it is: a `Head` in
MessagePack, its checksum and length, and a mark. LMDB does not look behind its pages, so a file
that was cut short has no mark, and what it should hold is known before a page of it is mapped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal
from weakref import WeakValueDictionary

import lmdb
import msgspec

from churn_assets.errors import SnapshotError

FORMAT = 1
"""Of the file; a server that does not know it refuses the file, and the one before serves on."""
MARK = b"churnlmdb"
Kind = Literal["number", "text"]
Value = float | str | None
_LENGTH_BYTES = _CHECK_BYTES = 8
_MOST_HEAD_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20
MOST_KEY_BYTES = 511
"""What LMDB takes for a key as it is built by default."""
_WHOLE, _HASHED = b"k", b"h"
_AGAIN = "Fetch or make it again: `churn run` does"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is.

    Parameters
    ----------
    format : int
        Of the file.
    use_case : str
        Whose customers it holds.
    key : tuple of str
        Names of the columns of the key.
    columns : dict of str to {"number", "text"}
        The columns of each customer's values, in their order: what models are given, and the
        amounts of the business case.
    features_version : int
        Delta version of the features that the values are of.
    features_data_version : str
        Data version of those features.
    predictions_version : int or None
        Delta version of the predictions that contact and rank are of; None where there are none.
    data_version : str
        Of the snapshot: equal where code, features and predictions are.
    made_at : float
        When, in seconds since 1970, UTC.
    rows : int
        How many customers it holds.
    size_bytes : int
        Of LMDB's pages.
    digest : str
        The sha256 of these bytes, in hexadecimal digits.
    """

    format: int
    use_case: str
    key: tuple[str, ...]
    columns: dict[str, Kind]
    features_version: int
    features_data_version: str
    predictions_version: int | None
    data_version: str
    made_at: float
    rows: int
    size_bytes: int
    digest: str


class Customer(msgspec.Struct, frozen=True, array_like=True):
    """What a snapshot holds of a customer.

    Parameters
    ----------
    values : list of float, str or None
        Of each of the snapshot's columns, in their order.
    split : str
        train, validation or test, as predictions have it.
    contact : bool or None
        Whether the last batch advised to contact the customer; None where it did not say.
    rank : int or None
        The customer's place in that advice, from 1.
    """

    values: list[Value]
    split: str
    contact: bool | None
    rank: int | None


class _Format(msgspec.Struct):
    format: int


def key_bytes(parts: Sequence[str]) -> bytes:
    r"""What a customer's key is in a snapshot: different bytes for any two keys of a use case.

    Between two parts stands what is in none of them, once a zero in one is written otherwise. A key
    that is longer than LMDB takes is known by its sha256.

    Parameters
    ----------
    parts : sequence of str
        The values of the key's columns, as text.

    >>> key_bytes(["7590-VHVEG"])
    b'k7590-VHVEG'
    >>> key_bytes(["a", "bc"]), key_bytes(["a\x00\x01b", "c"])
    (b'ka\x00\x01bc', b'ka\x00\xff\x01b\x00\x01c')
    """
    if len(parts) == 1:
        encoded = parts[0].encode()
    else:
        encoded = b"\x00\x01".join([part.encode().replace(b"\0", b"\0\xff") for part in parts])
    if len(encoded) < MOST_KEY_BYTES:
        return _WHOLE + encoded
    return _HASHED + hashlib.sha256(encoded).digest()


def seal(path: Path, head: Head) -> Head:
    """Write behind LMDB's pages what they are, and see to it that all of it is on the disk.

    Parameters
    ----------
    path : Path
        A file of LMDB's that nobody has open.
    head : Head
        What it is; its size and digest are taken from the file.

    Returns
    -------
    Head
        As it was written.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        sealed = msgspec.structs.replace(head, size_bytes=size, digest=_sha256(file, size))
        text = msgspec.msgpack.encode(sealed)
        file.seek(size)
        file.write(text + _check(text) + len(text).to_bytes(_LENGTH_BYTES) + MARK)
        file.flush()
        os.fsync(file.fileno())
    return sealed


def read_head(path: Path) -> Head:
    """What a snapshot is, from its last bytes.

    Raises
    ------
    SnapshotError
        Where the file cannot be read, is cut short, or is of another format.
    """
    try:
        with path.open("rb") as file:
            return _head(file, path)
    except OSError as error:
        raise _unreadable(path, error) from error


def verify(path: Path) -> Head:
    """What a snapshot is, once every byte of it is what was written: about a second a gigabyte.

    Raises
    ------
    SnapshotError
        Where it is not.
    """
    try:
        with path.open("rb") as file:
            head = _head(file, path)
            _require_digest(file, head, path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return head


class Snapshot:
    """Features by key, mapped from a file; it is closed when nobody holds it any more.

    So a server swaps one reference, and whoever still reads by the one before reads on. While it is
    held the file is locked for readers, which keeps `online_features` from removing it. It is for
    one thread at a time.

    Parameters
    ----------
    path : Path
        The file.
    is_verified : bool
        Whether `verify` was asked before, so that it need not read all of the file once more.

    Raises
    ------
    SnapshotError
        Where the file is damaged or cannot be read.
    """

    def __init__(self, path: Path, *, is_verified: bool = False) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
            fcntl.flock(self._file, fcntl.LOCK_SH)
            self.head = _head(self._file, path)
            if not is_verified:
                _require_digest(self._file, self.head, path)
            # Nothing is ever written, so one transaction sees all there is for good.
            self._find = _environment(self._file, path).begin().get
        except (OSError, lmdb.Error) as error:
            raise _unreadable(path, error) from error
        self._decode = msgspec.msgpack.Decoder(Customer).decode
        self.columns = tuple(self.head.columns)
        self.current_at = self.head.made_at
        """When it was last known to be of the newest features, in seconds since 1970, UTC."""

    @property
    def features_version(self) -> int:
        """Delta version of the features that it holds."""
        return self.head.features_version

    @property
    def digest(self) -> str:
        """The sha256 of LMDB's pages, in hexadecimal digits."""
        return self.head.digest

    @property
    def age_seconds(self) -> float:
        """How long ago it was last known to be of the newest features."""
        return max(0.0, time.time() - self.current_at)

    def __len__(self) -> int:
        return self.head.rows

    def get(self, key: Sequence[str]) -> Customer | None:
        """What it holds of a customer; None where it has no such key.

        Parameters
        ----------
        key : sequence of str
            The values of the key's columns as text, in the order of `head.key`.
        """
        try:
            found = self._find(key_bytes(key))
        except UnicodeEncodeError:
            # Half of a character names nobody.
            return None
        return None if found is None else self._decode(found)

    def places(self, names: Sequence[str]) -> list[int]:
        """Where a model's inputs stand among a customer's values.

        Raises
        ------
        SnapshotError
            Where it has no such column: it was made before that model.
        """
        place = {name: at for at, name in enumerate(self.columns)}
        absent = [name for name in names if name not in place]
        if absent:
            raise SnapshotError(
                f"{self.path}: the features by key have no {', '.join(absent)}, which the model "
                f"is to be given. {_AGAIN}."
            )
        return [place[name] for name in names]


_OPEN: WeakValueDictionary[tuple[int, int], lmdb.Environment] = WeakValueDictionary()


def _environment(file: BinaryIO, path: Path) -> lmdb.Environment:
    """LMDB's own view of a file; a process can have only one of each."""
    status = os.fstat(file.fileno())
    place = (status.st_dev, status.st_ino)
    environment = _OPEN.get(place)
    if environment is None:
        # Pages are read as they are asked for: customers come in no order.
        environment = _OPEN[place] = lmdb.open(
            str(path), subdir=False, readonly=True, create=False, lock=False, readahead=False
        )
    return environment


def _head(file: BinaryIO, path: Path) -> Head:
    """What stands behind the pages of an open file."""
    size = file.seek(0, os.SEEK_END)
    footer = _CHECK_BYTES + _LENGTH_BYTES + len(MARK)
    file.seek(max(0, size - footer))
    end = file.read(footer)
    length = int.from_bytes(end[_CHECK_BYTES : _CHECK_BYTES + _LENGTH_BYTES])
    if not end.endswith(MARK) or length > min(_MOST_HEAD_BYTES, size - footer):
        raise _cut(path)
    file.seek(size - footer - length)
    text = file.read(length)
    if end[:_CHECK_BYTES] != _check(text):
        raise _damaged(path)
    try:
        found = msgspec.msgpack.decode(text, type=_Format).format
        if found != FORMAT:
            raise SnapshotError(
                f"{path}: the features by key are of format {found}, and this version knows "
                f"{FORMAT}. Bring server and writer to one version."
            )
        head = msgspec.msgpack.decode(text, type=Head)
    except msgspec.MsgspecError:
        raise _damaged(path) from None
    if head.size_bytes + length + footer != size:
        raise _damaged(path)
    return head


def _check(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:_CHECK_BYTES]


def _require_digest(file: BinaryIO, head: Head, path: Path) -> None:
    file.seek(0)
    if _sha256(file, head.size_bytes) != head.digest:
        raise _damaged(path)


def _sha256(file: BinaryIO, size: int) -> str:
    digest = hashlib.sha256()
    while size and (chunk := file.read(min(_CHUNK_BYTES, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest()


def _cut(path: Path) -> SnapshotError:
    return SnapshotError(f"{path}: the file of features by key is cut short, or is none. {_AGAIN}.")


def _damaged(path: Path) -> SnapshotError:
    return SnapshotError(
        f"{path}: the file of features by key is damaged: its bytes are not those that were "
        f"written. {_AGAIN}."
    )


def _unreadable(path: Path, error: Exception) -> SnapshotError:
    why = getattr(error, "strerror", None) or str(error)
    return SnapshotError(f"{path}: the features by key cannot be read: {why}. {_AGAIN}.")

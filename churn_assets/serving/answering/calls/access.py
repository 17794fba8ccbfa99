"""Who may ask for what: API keys with roles, of which only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from churn_assets.serving.answering.calls.problems import ProblemError

PREDICT, EXPLAIN, ADMIN = "predict", "explain", "admin"
ROLES = (PREDICT, EXPLAIN, ADMIN)
_SECONDS = 1.0
"""Between two looks at the file of keys."""
_ADDRESSES = 64
"""Of this machine, of which it is remembered what they are."""
_FIELDS = 3
_PREFIX = "churn_"


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Parameters
    ----------
    name : str
        Of the API key; empty where none is asked for.
    roles : frozenset of str
        What the key is for.
    """

    name: str
    roles: frozenset[str]

    def require(self, role: str) -> None:
        """Refuse what the key is not for.

        Raises
        ------
        ProblemError
            403, naming the role.
        """
        if role not in self.roles:
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                f"the API key '{self.name}' has not the role '{role}', which this takes. Ask for "
                "a key that has it.",
            )


ANYBODY = Caller("", frozenset(ROLES))
"""Who asks where no key is asked for: this machine alone."""


def hashed(key: str) -> str:
    """What is kept of a key; a key is random and long, so a plain hash cannot be guessed."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A random key of 256 bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def line_of(name: str, roles: list[str], key: str) -> str:
    """The line that a file of keys has for a key.

    >>> line_of("crm", ["predict"], "k")[:20]
    'crm predict 8254c329'
    """
    return f"{name} {','.join(roles)} {hashed(key)}"


def read_keys(text: str) -> dict[str, Caller]:
    """Who has which key, by its hash.

    Parameters
    ----------
    text : str
        A line for each key, as `line_of` has it; blank lines and those with # say nothing.

    Raises
    ------
    ValueError
        Naming the first line that cannot be read, and showing no hash.
    """
    callers = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.split()
        roles = frozenset(parts[1].split(",")) if len(parts) == _FIELDS else frozenset()
        if not roles or not roles <= set(ROLES):
            raise ValueError(
                f"line {number} is not `name roles hash`, with roles of {', '.join(ROLES)}"
            )
        callers[parts[2].lower()] = Caller(parts[0], roles)
    return callers


@dataclass
class Access:
    """The keys of a file, reread when it changes.

    Parameters
    ----------
    file : Path
        The keys, each in a line.
    asked : {"auto", "always", "never"}
        Where a key is asked for: of calls from elsewhere, of all, or of none.
    """

    file: Path
    asked: str = "auto"
    trouble: str | None = None
    _callers: Mapping[str, Caller] = field(default_factory=dict)
    _stamp: tuple[int, int] | None = None
    _looked: float = -_SECONDS

    def caller(self, scope: Mapping[str, object], headers: Mapping[bytes, bytes]) -> Caller:
        """Who asks.

        Raises
        ------
        ProblemError
            401, where a key is asked for and none is given that is known.
        """
        key = _key(headers)
        if key is None:
            if not self._is_asked(scope, headers):
                return ANYBODY
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "this takes an API key, as `Authorization: Bearer <key>` or `X-API-Key: <key>`.",
            )
        return self.of_key(key)

    def of_key(self, key: str) -> Caller:
        """Who has a key.

        Raises
        ------
        ProblemError
            401, where nobody has.
        """
        self._reread()
        wanted = hashed(key)
        for known, caller in self._callers.items():
            if hmac.compare_digest(known, wanted):
                return caller
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "this API key is not known here.")

    def _is_asked(self, scope: Mapping[str, object], headers: Mapping[bytes, bytes]) -> bool:
        if self.asked != "auto":
            return self.asked == "always"
        # Behind a proxy on this machine, calls from elsewhere look like its own.
        return b"x-forwarded-for" in headers or not _is_loopback(scope)

    def _reread(self) -> None:
        now = time.monotonic()
        if now - self._looked < _SECONDS:
            return
        self._looked = now
        try:
            found = self.file.stat()
            stamp = found.st_mtime_ns, found.st_size
            if stamp != self._stamp:
                self._callers = read_keys(self.file.read_text(encoding="utf-8"))
                self._stamp, self.trouble = stamp, None
        except FileNotFoundError:
            self._callers, self._stamp, self.trouble = {}, None, None
        except (OSError, ValueError) as error:
            # The keys that were known stay, and a metric says that the file is not read.
            self.trouble = f"{self.file}: {error}"


@lru_cache(_ADDRESSES)
def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_loopback(scope: Mapping[str, object]) -> bool:
    server = scope.get("server")
    # A Unix socket has no address.
    return not isinstance(server, tuple | list) or is_loopback(str(server[0]))


def _key(headers: Mapping[bytes, bytes]) -> str | None:
    given = headers.get(b"authorization", b"")
    if given[:7].lower() == b"bearer ":
        return given[7:].strip().decode("latin-1")
    key = headers.get(b"x-api-key")
    return None if key is None else key.decode("latin-1")

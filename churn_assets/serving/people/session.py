"""A browser's session: a cookie that says which API key it was opened with, and until when."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field

from churn_assets.serving.answering.calls.access import Access, Caller, hashed
from churn_assets.serving.answering.calls.problems import ProblemError

COOKIE = "churn_session"
_SECONDS = 12 * 3600
_PARTS = 3


@dataclass
class Sessions:
    """Opens sessions, and knows them again; they end with the process, with the key, or in time.

    Parameters
    ----------
    access : Access
        The keys.
    secure : bool
        Whether browsers may send the cookie over TLS only.
    """

    access: Access
    secure: bool = False
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _keys: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, key: str) -> bytes:
        """The header that gives a browser a session.

        Raises
        ------
        ProblemError
            401, where nobody has the key.
        """
        self.access.of_key(key)
        name, until = hashed(key)[:16], str(int(time.time()) + _SECONDS)
        self._keys[name] = key
        value = f"{name}.{until}.{self._signed(name, until)}"
        return self._cookie(value, _SECONDS)

    def close(self) -> bytes:
        """The header that takes the session from a browser."""
        return self._cookie("", 0)

    def caller(self, cookies: bytes) -> Caller | None:
        """Whose session a browser's cookies are of; None where it has none that holds."""
        for cookie in cookies.decode("latin-1").split(";"):
            name, _, value = cookie.strip().partition("=")
            parts = value.split(".")
            if name != COOKIE or len(parts) != _PARTS or not parts[1].isdigit():
                continue
            of, until, signed = parts
            if not hmac.compare_digest(signed, self._signed(of, until)):
                continue
            if int(until) < time.time() or of not in self._keys:
                continue
            try:
                return self.access.of_key(self._keys[of])
            except ProblemError:
                # The key was taken away meanwhile.
                return None
        return None

    def _signed(self, name: str, until: str) -> str:
        return hmac.new(self._secret, f"{name}.{until}".encode(), hashlib.sha256).hexdigest()

    def _cookie(self, value: str, seconds: int) -> bytes:
        secure = "; Secure" if self.secure else ""
        return (
            f"{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        ).encode()

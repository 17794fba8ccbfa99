"""Who answers a customer: the Champion, or a Challenger that has a share of the customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from hashlib import _Hash

Variant = Literal["champion", "challenger"]
Kind = Literal["champion", "shadow", "canary", "ab", "ramp", "returned"]
SHADOW = "shadow"
_FIRST = Struct(">Q").unpack_from
_LEFT_OUT, _PLACE = 16, 2.0**-48
"""Bits of the first 64 of a hash, so that a float holds the others to the last and none is 1."""
_SALTS = 64
"""Kept ready; a server has few at a time."""


class Traffic(msgspec.Struct, frozen=True):
    """Who answers whom, as the records of promotions and of traffic together have it.

    Parameters
    ----------
    kind : {"champion", "shadow", "canary", "ab", "ramp", "returned"}
        What is under way.
    champion : int
        Version of the variant `champion`, which answers all that the Challenger does not: the
        Champion on record, or the one before it while a new one takes over or was taken back.
    challenger : int or None
        Version of the variant `challenger`; None where nobody takes part.
    steps : tuple of float
        Shares of the customers that the Challenger answers, one after another, in (0, 1]; empty
        where it answers nobody.
    step_seconds : float
        How long each step lasts but the last, which stays.
    started_at : float
        When the first began, in seconds since 1970.
    salt : str
        Of the hash that splits the customers.
    change : int
        Number of the record; 0 where none was ever made.
    """

    kind: Kind
    champion: int
    challenger: int | None = None
    steps: tuple[float, ...] = ()
    step_seconds: float = 0.0
    started_at: float = 0.0
    salt: str = ""
    change: int = 0

    @property
    def is_shadow(self) -> bool:
        """Whether the Challenger scores along and answers nobody."""
        return self.kind == SHADOW and self.challenger is not None

    def share(self, now: float) -> float:
        """The share of the customers that the Challenger answers at a time.

        Parameters
        ----------
        now : float
            Seconds since 1970.

        >>> ramp = Traffic("ramp", 4, 5, (0.01, 0.1, 1.0), 60, started_at=1000)
        >>> [ramp.share(now) for now in (990, 1000, 1059, 1060, 9999)]
        [0.01, 0.01, 0.01, 0.1, 1.0]
        """
        seconds, passed, found = self.step_seconds, now - self.started_at, 0.0
        # Few steps: quicker than to find out which one it is.
        for share in self.steps:
            found = share
            if passed < seconds:
                break
            passed -= seconds
        return found


def traffic_of(told: Mapping[str, Any] | None) -> Traffic | None:
    """Who answers whom, of what `msgspec.to_builtins` made of it; None where nobody said so."""
    return None if told is None else msgspec.convert(dict(told), Traffic)


def answers(traffic: Traffic, key: Sequence[str] | None, now: float) -> tuple[Variant, float]:
    """Who answers a customer, and the Challenger's share at that time.

    A customer's place among all is a hash of the salt and the key: the Challenger answers those
    below its share. So one customer always sees one model, and a greater share takes customers
    from the Champion and gives none back. Without a key the Champion answers.

    Parameters
    ----------
    traffic : Traffic
        What is in force.
    key : sequence of str, optional
        The key's columns as text.
    now : float
        Seconds since 1970.

    Returns
    -------
    variant : {"champion", "challenger"}
        Who answers.
    share : float
        Of the customers, in [0, 1].

    >>> answers(Traffic("ab", 4, 5, (0.5,), salt="x"), ("0003-MKNFE",), now=0)
    ('challenger', 0.5)
    >>> answers(Traffic("ab", 4, 5, (0.5,), salt="x"), None, now=0)
    ('champion', 0.5)
    """
    share = traffic.share(now)
    if not share or key is None or traffic.challenger is None:
        return "champion", share
    return ("challenger" if place(traffic.salt, key) < share else "champion"), share


def place(salt: str, key: Sequence[str]) -> float:
    """A customer's place among all, evenly in [0, 1).

    The first twelve hexadecimal digits of the SHA-256 of the salt and each column of the key, in
    UTF-8 with `|` between them, by 16 to the twelfth: other programs can tell it too.

    Parameters
    ----------
    salt : str
        Another salt gives other places.
    key : sequence of str
        The key's columns as text.

    >>> place("x", ("0003-MKNFE",)) == int(sha256(b"x|0003-MKNFE").hexdigest()[:12], 16) / 16**12
    True
    """
    hashed = _salted(salt).copy()
    hashed.update((key[0] if len(key) == 1 else "|".join(key)).encode())
    return float((_FIRST(hashed.digest())[0] >> _LEFT_OUT) * _PLACE)


@lru_cache(_SALTS)
def _salted(salt: str) -> _Hash:
    return sha256(f"{salt}|".encode())

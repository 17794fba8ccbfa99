"""What the package refuses, in one line that says what, where, and what to do.

::

    ChurnError
    |-- SettingsError    a setting is wrong
    |-- UseCaseError     a use case cannot be begun or loaded
    |-- SourceError      a source cannot be read
    |-- ContractError    the records as a whole break the contract
    |-- TableError       a table cannot be read or written
    |-- EngineError      the engine cannot start or broke off
    |-- HistoryError     Dagster cannot keep its history
    |-- TrainingError    a model cannot be trained
    |-- RegistryError    the model registry cannot be used
    `-- GateError        a gate refused the Challenger

None of them shows a credential: `public_uri` takes it out of an address, `public_text` out of the
addresses in a message.
"""

from __future__ import annotations

import re


class ChurnError(Exception):
    """A refusal that its reader can act on; shown as one line, never as a traceback."""


class SettingsError(ChurnError):
    """A setting is unknown, of the wrong type, or in a file that cannot be read."""


class UseCaseError(ChurnError):
    """A new use case cannot be written as requested, or the file of one cannot be loaded."""


class SourceError(ChurnError):
    """A source cannot be read, or is not what the use case expects."""


class ContractError(ChurnError):
    """The records as a whole break the contract; nothing below raw was replaced."""


class TableError(ChurnError):
    """A table of the lake cannot be read or written; its last version stands."""


class EngineError(ChurnError):
    """The engine cannot be started, or broke off; nothing was written."""


class HistoryError(ChurnError):
    """Dagster cannot keep its history; no table is touched by that."""


class TrainingError(ChurnError):
    """A model cannot be trained from these features."""


class RegistryError(ChurnError):
    """The model registry cannot be reached, or does not hold the model that is needed."""


class GateError(ChurnError):
    """A gate refused the Challenger; the Champion stands."""


def first_line(error: Exception, most: int = 200) -> str:
    """What an error says, or its name, in one short line without a full stop.

    >>> first_line(ValueError("there is no such column."))
    'there is no such column'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most].rstrip(".")


_ADDRESS = re.compile(r"(?P<scheme>\s*[A-Za-z][\w+.:-]+:/+)(?P<rest>.*)", re.DOTALL)
# Without the marks that end a clause.
_ADDRESS_IN_TEXT = re.compile(r"[A-Za-z][\w+.:-]+://\S*?(?=[]).,:;>}'\"]*(?:\s|$))")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?(,[^:,]*(:\d*)?)*")
_HIDDEN = "..."


def public_uri(uri: str) -> str:
    """A path as it is, or an address without user, password, query and fragment.

    A password should have its special characters percent-encoded. Where it has not, so that it
    cannot be told from what follows, nothing but the scheme is shown.

    >>> public_uri("https://user:secret@host/x.csv?sig=abc")
    'https://host/x.csv'
    >>> public_uri("abfss://container@account.dfs.core.windows.net/x.csv")
    'abfss://container@account.dfs.core.windows.net/x.csv'
    >>> public_uri("https://user:8080/secret@host/x.csv")
    'https://...'
    """
    address = _ADDRESS.fullmatch(uri)
    if address is None or address["scheme"].lower().startswith("file:"):
        return uri
    # Not by urlsplit, which raises on some addresses and drops characters of others.
    scheme, rest = address.groups()
    authority, place = _split(rest)
    if "@" in place and (":" in authority or "@" in authority):
        if "@" not in authority and not _HOST.fullmatch(authority) and rest.count("@") == 1:
            # A password with a '/', '?' or '#' in it, since this is neither a host nor a port.
            authority, place = _split(rest.partition("@")[2])
        elif not _names_container(scheme, authority):
            return f"{scheme}{_HIDDEN}"
    if not _names_container(scheme, authority):
        authority = authority.rpartition("@")[2]
        if not _HOST.fullmatch(authority):
            return f"{scheme}{_HIDDEN}"
    return scheme + authority + re.split(r"[?#]", place, maxsplit=1)[0]


def _split(rest: str) -> tuple[str, str]:
    """Who and where, and what follows there."""
    end = re.search(r"[/?#]|$", rest)
    assert end is not None
    return rest[: end.start()], rest[end.start() :]


def _names_container(scheme: str, authority: str) -> bool:
    """Whether what stands before an @ is a container of a storage account, and not a user."""
    return scheme.lower().strip().startswith("abfs") and ":" not in authority


def public_text(text: str) -> str:
    """A message in which each address is as `public_uri` gives it; it ends at the next blank.

    >>> public_text("cannot read https://user:secret@host/x.csv?sig=abc today")
    'cannot read https://host/x.csv today'
    """
    return _ADDRESS_IN_TEXT.sub(lambda address: public_uri(address[0]), text)

"""What the package refuses, in one line that says what, where, and what to do.

::

    ChurnError
    |-- SettingsError    a setting is wrong
    |-- UseCaseError     a use case cannot be begun or loaded
    |-- SourceError      a source cannot be read
    |-- ContractError    the records as a whole break the contract
    |-- TableError       a table cannot be read or written
    |   `-- DamageError  a file of it is damaged or missing
    |-- EngineError      the engine cannot start or broke off
    |-- HistoryError     Dagster cannot keep its history
    |-- TrainingError    a model cannot be trained
    |-- RegistryError    the model registry cannot be used
    |-- BundleError      a compiled model cannot be served
    |-- InputsError      a model needs inputs that the tables do not give any more
    |-- SnapshotError    features by key cannot be read, written or fetched
    |-- GateError        a gate refused the Challenger
    `-- TrafficError     a change of who answers was refused

None of them shows a credential: `public_uri` takes it out of an address, `public_text` out of a
message, which each refusal is given, and `public_error` out of an error that is not ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class ChurnError(Exception):
    """A refusal that its reader can act on; shown as one line, never as a traceback."""

    def __init__(self, message: str = "", *, records: str = "") -> None:
        """Refuse something.

        Parameters
        ----------
        message : str
            What, where, and what to do.
        records : str
            The part of the message that shows keys or values of customers; the message must be
            as good without it.
        """
        super().__init__(public_text(message))
        self._records = public_text(records)

    def line(self, *, records: bool) -> str:
        """The message, with or without what it shows of customers."""
        message = str(self)
        return message if records or not self._records else message.replace(self._records, "")


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


class DamageError(TableError):
    """A file of a table is damaged or missing; `churn doctor` says what can be done."""


class EngineError(ChurnError):
    """The engine cannot be started, or broke off; nothing was written."""


class HistoryError(ChurnError):
    """Dagster cannot keep its history; no table is touched by that."""


class TrainingError(ChurnError):
    """A model cannot be trained from these features."""


class RegistryError(ChurnError):
    """The model registry cannot be reached, or does not hold the model that is needed."""


class BundleError(ChurnError):
    """A compiled model is not what was registered, or not to be served; the one before stands."""


class InputsError(ChurnError):
    """A model was trained on inputs that the tables do not give any more."""


class SnapshotError(ChurnError):
    """Features by key cannot be read, written or fetched; what served before serves on."""


class GateError(ChurnError):
    """A gate refused the Challenger; the Champion stands."""


class TrafficError(ChurnError):
    """A change of who answers was refused; who answered goes on."""


def refusal(what: str, figures: str, stands: str, todo: str) -> str:
    """A refusal in one style: what, the figures, what still stands, and what to do.

    Parameters
    ----------
    what : str
        What is refused, and where it comes from.
    figures : str
        By what it was decided.
    stands : str
        What was not replaced.
    todo : str
        What its reader can do.

    >>> refusal("x.csv seems to be cut", "3 of 90 records came", "raw stands", "Give all of it")
    'x.csv seems to be cut: 3 of 90 records came. raw stands. Give all of it.'
    """
    return " ".join([f"{what}: {figures}.", f"{stands}.", f"{todo}."])


def first_line(error: Exception, most: int = 200) -> str:
    """What an error says, or its name, in one short line without a full stop.

    >>> first_line(ValueError("there is no such column."))
    'there is no such column'
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0][:most].rstrip(".")


_NAME = r"(?P<name>[A-Za-z][\w+.:-]{0,40}[\w+.-])"
# Schemes that are read or written here; of any other, the host is shown alone.
_KNOWN = (
    *("http", "https", "s3", "s3a", "gs", "az", "abfs", "abfss", "wasb", "wasbs", "hdfs", "dbfs"),
    *("postgresql", "postgres", "mysql", "mssql", "sqlite", "mlflow-artifacts", "file"),
)
_PATHS = ("file", "sqlite")
_MODELS = ("models", "runs")
"""What MLflow names by them is no address, and has an alias behind an @."""
_START = re.compile(rf"\s*{_NAME}:[/\\]+")
_WITHIN = re.compile(rf"(?<![\w+.-]){_NAME}:[/\\]{{2,}}")
_SLIP = "|".join(sorted({*_KNOWN} - {*_PATHS}, key=len, reverse=True))
_WITHIN_TEXT = re.compile(rf"(?<![\w+.-])(?:{_NAME}:[/\\]{{2,}}|(?P<slip>{_SLIP}):[/\\])")
_ONE_HOST = r"(?:\[[\w:.%]*\]|[\w.%~*-]*)(?::\d*)?"
_HOST = re.compile(f"{_ONE_HOST}(?:,{_ONE_HOST})*")
_AT = re.compile("@|%40")
_AFTER_PATH = re.compile("[?#;]|%3[FfBb]|%23")
# Of an address without its scheme, or with a slip in it. A letter alone is a drive of Windows.
_LOGIN = rf"(?:(?:{_SLIP})?[:/\\]+)?[^\s/\\:@'\"(<]{{2,}}:(?![/\\])"
_LOGIN_AT_START = re.compile(rf"\A\s*{_LOGIN}.*@", re.DOTALL)
_LOGIN_IN_TEXT = re.compile(rf"(?<![^\s'\"(<=,;]){_LOGIN}\S*@(?=\S)")
_ENCODED = re.compile(r"(?i)([a-z][\w+.-]*%3A%2F%2F)[^\s'\"]+")
_SECRET = re.compile(
    r"(?i)((?:passw(?:or)?d|pwd|secret|token|sig|signature|credentials?|(?:access|account|api)_?key"
    r"|authorization)(?:\s*=\s*|['\"]\s*[:=]\s*|:\s*(?=basic|bearer)))"
    r"(?:(?:basic|bearer)\s+)?(?:'[^']*'|\"[^\"]*\"|[^\s'\"]+)"
)
# They end a clause, or what is quoted.
_MARKS = "]).,:;>}'\""
EXAMPLE_LOGIN = "<user>:<password>@"
"""What an address in a piece of advice has, which hides nothing."""
_HIDDEN = "..."
_NOT_KEPT = "its message may hold records of customers, and is not kept"


def public_uri(uri: str) -> str:
    """A path as it is, or an address without user, password, query and fragment.

    A password should have its special characters percent-encoded. Where it has not, so that it
    cannot be told from what follows, nothing but the scheme is shown; and of a scheme that is
    neither read nor written here, nothing but the host.

    >>> public_uri("https://user:secret@host/x.csv?sig=abc")
    'https://host/x.csv'
    >>> public_uri("abfss://container@account.dfs.core.windows.net/x.csv")
    'abfss://container@account.dfs.core.windows.net/x.csv'
    >>> public_uri("https://user:8080/secret@host/x.csv")
    'https://...'
    >>> public_uri("redis://:secret@host/secret")
    'redis://host'
    """
    address = _START.match(uri) or _WITHIN.search(uri)
    if address is None:
        return _SECRET.sub(rf"\1{_HIDDEN}", _LOGIN_AT_START.sub(f"{_HIDDEN}@", uri))
    before = _LOGIN_AT_START.sub(f"{_HIDDEN}@", uri[: address.start()])
    return before + _shown(address[0], address["name"], uri[address.end() :])


def public_text(text: str) -> str:
    """A message in which each address is as `public_uri` gives it, and each password is hidden.

    An address ends at the next blank that is not in a password.

    >>> public_text("cannot read https://user:secret@host/x.csv?sig=abc today")
    'cannot read https://host/x.csv today'
    >>> public_text("cannot connect by host=db password=secret")
    'cannot connect by host=db password=...'
    """
    shown, place = [], 0
    while address := _WITHIN_TEXT.search(text, place):
        example = EXAMPLE_LOGIN if text.startswith(EXAMPLE_LOGIN, address.end()) else ""
        start = address.end() + len(example)
        end, name = _end(text, start), address["name"] or address["slip"]
        shown += [_between(text[place : address.start()])]
        shown += [_shown(address[0] + example, name, text[start:end])]
        place = end
    return "".join([*shown, _between(text[place:])])


def public_values(value: Any) -> Any:
    """Values, nested as they are, of which each text is as `public_text` gives it."""
    if isinstance(value, str):
        return public_text(value)
    if isinstance(value, dict):
        return {name: public_values(held) for name, held in value.items()}
    # What is made of named parts, as Dagster's own values are, is left alone.
    if type(value) in (list, tuple):
        return [public_values(held) for held in value]
    return value


def public_error(error: Exception, *, records: bool = True) -> Exception:
    """An error that is not ours, without a credential in its message or in those of its causes.

    It is changed in place. Where its class makes up its message otherwise, a plain error is what
    is given.

    Parameters
    ----------
    error : Exception
        As it was caught.
    records : bool
        Whether messages may show keys and values of customers; those of a library may hold any.
        Where not, its kind is left, and its traceback says where.
    """
    errors: list[BaseException] = [error]
    while (cause := errors[-1].__cause__ or errors[-1].__context__) and cause not in errors:
        errors.append(cause)
    are_public = True
    for each in errors:
        if records or isinstance(each, OSError):
            each.args = tuple(public_text(a) if isinstance(a, str) else a for a in each.args)
            message = public_text(str(each))
        else:
            each.args, message = (_NOT_KEPT,), _NOT_KEPT
        are_public &= str(each) in (message, repr(message))
    if are_public:
        return error
    message = public_text(str(error)) if records or isinstance(error, OSError) else _NOT_KEPT
    plain = RuntimeError(f"{type(error).__name__}: {message}")
    plain.__suppress_context__ = True
    return plain.with_traceback(error.__traceback__)


def _shown(start: str, name: str, rest: str) -> str:
    """What is shown of an address.

    Parameters
    ----------
    start : str
        The scheme with its slashes.
    name : str
        The scheme.
    rest : str
        What follows.
    """
    kind = name.lower().rpartition(":")[2].partition("+")[0]
    authority, place = _split(rest)
    is_login = ":" in authority[2:] and _AT.search(rest)
    if kind in _MODELS or (kind in _PATHS and not is_login):
        # A path may hold any character; the one of a database has options behind it.
        return start + (_AFTER_PATH.split(rest, maxsplit=1)[0] if kind == "sqlite" else rest)
    if name.lower().startswith("jdbc:"):
        # Its user and password may follow there.
        authority = authority.partition(";")[0]
    if _AT.search(place) and (":" in authority or _AT.search(authority)):
        if not _AT.search(authority) and not _HOST.fullmatch(authority) and rest.count("@") == 1:
            # A password with a '/', '?' or '#' in it, since this is neither a host nor a port.
            authority, place = _split(rest.partition("@")[2])
        elif not _names_container(kind, authority):
            return start + _HIDDEN
    if not _names_container(kind, authority):
        authority = _AT.split(authority)[-1].partition(";")[0]
        if not _HOST.fullmatch(authority):
            return start + _HIDDEN
    if kind not in _KNOWN:
        return start + (authority or _HIDDEN if rest else "")
    path = _AFTER_PATH.split(place, maxsplit=1)[0]
    inner = _WITHIN.search(path)
    # Some servers take the address of another as a path.
    return start + authority + (path if inner is None else public_uri(path))


def _split(rest: str) -> tuple[str, str]:
    """Who and where, and what follows there."""
    end = re.search(r"[/\\?#]|$", rest)
    assert end is not None
    return rest[: end.start()], rest[end.start() :]


def _names_container(kind: str, authority: str) -> bool:
    """Whether what stands before an @ is a container of a storage account, and not a user."""
    return kind.startswith(("abfs", "wasb")) and ":" not in authority and "%" not in authority


def _end(text: str, start: int) -> int:
    """Where an address ends in a text, of which the scheme ends at a place."""
    word = re.compile(r"\S*").match(text, start)
    assert word is not None
    end = word.end()
    host = _split(word[0].rstrip(_MARKS))[0]
    if not _AT.search(word[0]):
        # A password with a blank in it, since this is not a host, or may be none.
        coming = _WITHIN_TEXT.search(text, end)
        blanks = r"\s\S*@\S*" if _HOST.fullmatch(host.strip("[]")) else r"[^@]*@\S*"
        if ":" in host and not host.startswith("["):
            further = re.compile(blanks).match(text, end, coming.start() if coming else len(text))
            end = further.end() if further else end
    marks = _MARKS if "[" not in text[start:end] else _MARKS.replace("]", "")
    return start + len(text[start:end].rstrip(marks))


def _between(text: str) -> str:
    """What stands beside the addresses of a text."""
    text = _LOGIN_IN_TEXT.sub(f"{_HIDDEN}@", _ENCODED.sub(rf"\1{_HIDDEN}", text))
    return _SECRET.sub(rf"\1{_HIDDEN}", text)

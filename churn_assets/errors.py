"""What the package refuses, in one line that says what, where, and what to do."""

import re


class ChurnError(Exception):
    """A refusal that its reader can act on; shown as one line, never as a traceback."""


class SettingsError(ChurnError):
    """A setting is unknown, of the wrong type, or in a file that cannot be read."""


class UseCaseError(ChurnError):
    """A use case cannot be begun like that, with nothing written; or its file not be loaded."""


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
    """The model registry cannot be reached, or does not hold what is asked for."""


class GateError(ChurnError):
    """A gate refused the Challenger; the Champion stands."""


def first_line(error: Exception, most: int = 200) -> str:
    """What an error says, or its name, in one short line without a full stop.

    >>> first_line(ValueError("there is no such column."))
    'there is no such column'
    """
    return (str(error) or type(error).__name__).splitlines()[0][:most].rstrip(".")


def public_uri(text: str) -> str:
    """Text without the credentials that a URI in it may carry.

    >>> public_uri("https://user:secret@host/x.csv?sig=abc")
    'https://host/x.csv'
    """
    return re.sub(r"(://)(?:[^/?#\s]*@)?([^?#\s]*)([?#]\S*)?", r"\1\2", text)

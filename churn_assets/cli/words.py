"""How the command line says things: commands that work as typed, figures at a glance."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextvars import ContextVar
from pathlib import Path

DEFAULT_USE_CASE = "telco_churn"
USE_CASE: ContextVar[str] = ContextVar("use_case", default=DEFAULT_USE_CASE)
"""The one that the command at work was typed for."""
_COMMAND = re.compile(r"`churn (?P<name>[a-z]+)(?P<rest>[^`]*)`")
_OF_NO_USE_CASE = ("new", "mlflow", "home", "dev")
_LONG_FIGURE = re.compile(r"(?<![\w.])[+-]?\d+\.\d{4,}(?![\w.]*\w)|(?<![\w.])[+-]0\.0+(?![\w.]*\w)")
_DIGITS = 3


def command(arguments: str, use_case: str | None = None) -> str:
    """A command as it can be typed here, in this environment and for this use case.

    Parameters
    ----------
    arguments : str
        What follows `churn`.
    use_case : str, optional
        By default the one that the command at work is for.
    """
    name, _, rest = arguments.partition(" ")
    named = use_case or USE_CASE.get()
    is_named = (
        named != DEFAULT_USE_CASE and name not in _OF_NO_USE_CASE and "--use-case" not in rest
    )
    words = [
        _program(),
        name,
        *([f"--use-case {named}"] if is_named else []),
        *([rest] * bool(rest)),
    ]
    return " ".join(words)


def typeable(text: str) -> str:
    """A text whose commands in backquotes can be typed as they stand.

    >>> token = USE_CASE.set("hotel_stays")
    >>> typeable("run `churn run` first").replace(_program(), "churn")
    'run `churn run --use-case hotel_stays` first'
    >>> USE_CASE.reset(token)
    """
    return _COMMAND.sub(lambda found: f"`{command(found['name'] + found['rest'])}`", text)


def rounded(text: str) -> str:
    """A text whose figures have three digits that mean something, and no sign of nothing.

    >>> rounded("Brier score 0.1335, difference -0.0000, margin -0.0015, version 1.24.0")
    'Brier score 0.134, difference 0, margin -0.0015, version 1.24.0'
    """
    return _LONG_FIGURE.sub(lambda found: _figure(found[0]), text)


def _figure(written: str) -> str:
    value = float(written)
    if abs(value) < 0.5 * 10 ** -len(written.partition(".")[2]):
        return "0"
    digits = max(_DIGITS, len(written.lstrip("+-").partition(".")[0]))
    return f"{value:{'+' if written[0] == '+' else ''}.{digits}g}"


def _program() -> str:
    """What starts this program from where its user is."""
    installed = Path(sys.executable).with_name("churn")
    found = shutil.which("churn")
    if not installed.exists() or (found and Path(found).absolute() == installed.absolute()):
        return "churn"
    beside = os.path.relpath(installed)
    return str(installed) if beside.startswith("..") else beside

"""The questions that the file of a use case leaves open, as `churn new` writes them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase

_QUESTION = re.compile(r"^\s*# QUESTION: (.*)", re.MULTILINE)


def file_of(use_case: UseCase) -> Path:
    """The file that a use case's features are written in."""
    return Path(inspect.getfile(use_case.features))


def open_questions(use_case: UseCase) -> list[str]:
    """The first line of each comment in a use case's file that begins with `QUESTION:`.

    Who answers one removes it, so what is there is open.
    """
    try:
        text = file_of(use_case).read_text(encoding="utf-8")
    except (OSError, TypeError):
        # Typed at a prompt, or of a callable that no file has.
        return []
    return _QUESTION.findall(text)

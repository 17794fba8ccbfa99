"""What the processes share that open the lake for a worker: one question in, one answer out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from churn_assets.errors import ChurnError
from churn_assets.settings import Settings, declared_use_cases, load_settings

if TYPE_CHECKING:
    from churn_assets.usecases.spec import UseCase


class Asked(msgspec.Struct):
    """What a worker hands on.

    Parameters
    ----------
    use_case : str
        Whose customers.
    """

    use_case: str


Question = TypeVar("Question", bound=Asked)


def answer(
    kind: type[Question], found: Callable[[Question, Settings, UseCase], dict[str, Any]]
) -> int:
    """Read what is asked, and print the answer, or as its `detail` why there is none.

    Parameters
    ----------
    kind : type
        Of what is asked.
    found : callable
        Gives the answer, of what JSON holds; what it refuses is told without a customer's key.
    """
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    said: dict[str, Any]
    try:
        settings = load_settings()
        said = found(asked, settings, declared_use_cases(settings)[asked.use_case])
    except ChurnError as error:
        said = {"detail": error.line(records=False)}
    sys.stdout.buffer.write(msgspec.json.encode(said))
    return 0

"""What a JSON body says, or why it cannot be read."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from churn_assets.serving.answering.calls.problems import ProblemError, refused
from churn_assets.serving.answering.faults import Fault


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """What a JSON body says.

    Raises
    ------
    ProblemError
        400 where it is not JSON, 422 where it is other JSON than is asked for.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        rule, _, place = str(error).partition(" - at `$")
        raise refused([Fault(place.rstrip("`").lstrip("."), "", _in_words(rule))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"the body is not JSON that can be read: {first(error)}."
        ) from None


def first(error: BaseException) -> str:
    """The first line of an error's text; of one that says nothing, its kind."""
    if isinstance(error, RecursionError):
        return "it is too deep"
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _in_words(rule: str) -> str:
    """What msgspec says, without what it says of values."""
    return rule[:1].lower() + rule[1:]

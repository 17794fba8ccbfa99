"""What a server refuses, as RFC 9457 (problem details for HTTP APIs) has it."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

import msgspec

from churn_assets.serving.answering.faults import Fault

MEDIA_TYPE = b"application/problem+json"


class ProblemError(Exception):
    """A call that is refused, with all that is wrong with it.

    Parameters
    ----------
    status : int
        Of HTTP.
    detail : str
        What is wrong and what to do, without any value of a customer.
    faults : iterable of Fault
        Where, one for each.
    retry_after : int, optional
        Seconds after which another try may help.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Iterable[Fault] = (),
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)
        self.retry_after = retry_after

    def body(self, request_id: str) -> bytes:
        """The answer, as JSON."""
        problem = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.faults:
            problem["faults"] = self.faults
        return msgspec.json.encode(problem)

    @property
    def reason(self) -> str:
        """What the inference log keeps: the rules that were broken, and where."""
        return "; ".join(one.words for one in self.faults) or self.detail


def refused(faults: list[Fault]) -> ProblemError:
    """The problem of a body that can be read and breaks rules."""
    count = f"{len(faults)} things are" if len(faults) > 1 else "one thing is"
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{count} wrong with this call, and nobody was scored. Mend what `faults` names and send "
        "it again.",
        faults,
    )

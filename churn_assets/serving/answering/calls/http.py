"""Reading a call and sending an answer, on ASGI itself: half of a call's time is spent here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from churn_assets.serving.answering.calls.problems import MEDIA_TYPE, ProblemError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
_SAFE: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
PAGE_POLICY = (
    b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load: nothing but what it brings itself."""


class HungUpError(Exception):
    """The client hung up before its call was read."""


async def read_body(scope: Scope, receive: Receive, most: int, seconds: float) -> bytes:
    """A call's body.

    Parameters
    ----------
    scope, receive
        Of ASGI.
    most : int
        Bytes that it may have.
    seconds : float
        That it may take to come.

    Raises
    ------
    ProblemError
        408 or 413.
    HungUpError
        Where the client hung up.
    """
    require_length(scope, most)
    message = await _in_time(receive(), seconds)
    if message["type"] == "http.disconnect":
        raise HungUpError
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts = [body]
        size = len(body)
        async for part in body_parts(receive, seconds):
            size += len(part)
            if size > most:
                raise _too_large(most)
            parts.append(part)
        return b"".join(parts)
    if len(body) > most:
        raise _too_large(most)
    return body


async def _in_time(waiting: Awaitable[Message], seconds: float) -> Message:
    try:
        async with asyncio.timeout(seconds):
            return await waiting
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"the body did not come within {seconds:g} s. Send it again.",
        ) from None


async def drop_body(receive: Receive, most: int, seconds: float) -> None:
    """Read what is refused, up to a size, so that the client comes to hear why."""
    dropped = 0
    with suppress(ProblemError, HungUpError):
        async for part in body_parts(receive, seconds):
            dropped += len(part)
            if dropped > most:
                return


async def body_parts(receive: Receive, seconds: float) -> AsyncIterator[bytes]:
    """What is left of a body, as it comes.

    Raises
    ------
    ProblemError
        408, where a part takes too long.
    HungUpError
        Where the client hung up.
    """
    while True:
        message = await _in_time(receive(), seconds)
        if message["type"] == "http.disconnect":
            raise HungUpError
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def require_length(scope: Scope, most: int) -> None:
    """Refuse a body by the length that it is said to have.

    Raises
    ------
    ProblemError
        413.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise _too_large(most)


def _too_large(most: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"a body may have {most:,} bytes. Send several calls, or use the route `batch`.",
    )


async def send_bytes(
    send: Send,
    body: bytes,
    *,
    status: int = HTTPStatus.OK,
    media_type: bytes = JSON,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send an answer whole; a header of its own takes the place of the usual one."""
    own = {name for name, _ in headers}
    start = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        *headers,
        *(_SAFE if not own else [one for one in _SAFE if one[0] not in own]),
    ]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


async def send_start(send: Send, media_type: bytes) -> None:
    """Begin an answer that is sent in parts."""
    headers = [(b"content-type", media_type), *_SAFE]
    await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})


async def send_problem(send: Send, problem: ProblemError, request_id: str) -> None:
    """Send why a call is refused."""
    headers: Headers = [(b"x-request-id", request_id.encode())]
    if problem.retry_after is not None:
        headers.append((b"retry-after", str(problem.retry_after).encode()))
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send_bytes(
        send,
        problem.body(request_id),
        status=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )

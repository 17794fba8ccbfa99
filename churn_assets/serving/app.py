"""The server: `uvicorn churn_assets.serving.app:app`, configured by the environment alone."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from churn_assets.serving.answering.batch.stream import add_batch
from churn_assets.serving.answering.calls.access import PREDICT
from churn_assets.serving.answering.calls.http import Receive, Scope, Send, send_problem
from churn_assets.serving.answering.calls.problems import ProblemError
from churn_assets.serving.answering.faults import Fault
from churn_assets.serving.answering.predicting import (
    RECORD,
    Asked,
    Records,
    new_request_id,
)
from churn_assets.serving.answering.routes import Routes
from churn_assets.serving.answering.segments import SegmentLog
from churn_assets.serving.answering.server import Server
from churn_assets.serving.answering.watching import Watching
from churn_assets.serving.people.guide import add_guide
from churn_assets.serving.people.page import Page
from churn_assets.serving.people.session import Sessions
from churn_assets.serving.plan import ServerSettings

if TYPE_CHECKING:
    from churn_assets.serving.records import RecordReader

_LOADER = "churn_assets.serving.loader"
_GRACE = 60.0
"""Seconds that the processes beside the worker get to end, and to commit what was logged."""


class Application(FastAPI):
    """FastAPI, whose own routes are asked only where none of the server's fits."""

    server: Server | None = None
    cross_origin: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] != "http" or self.server is None:
            await super().__call__(scope, receive, send)
        elif self.cross_origin is not None:
            await self.cross_origin(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.server is not None
        if await self.server.answer(scope, receive, send):
            return
        allowed = self.server.allowed(scope["path"])
        problem = (
            ProblemError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"this address takes {', '.join(allowed)} only."
            )
            if allowed
            else ProblemError(
                HTTPStatus.NOT_FOUND, "there is nothing at this address; `/docs` lists all."
            )
        )
        await send_problem(send, problem, new_request_id())


class StartError(SystemExit):
    """The server cannot start; its message has been printed."""


async def _start_loader() -> tuple[subprocess.Popen[bytes], ServerSettings]:
    """The process that finds what is served, and the settings that it read."""
    process = subprocess.Popen([sys.executable, "-m", _LOADER], stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    if not line:
        # It has said why.
        raise StartError(process.wait() or 1)
    return process, msgspec.json.decode(line, type=ServerSettings)


def _reader(use_case: str) -> Callable[[], RecordReader]:
    """What reads raw records; use cases are imported when the first one comes."""

    @cache
    def reader() -> RecordReader:
        from churn_assets.serving.records import reader_of

        return reader_of(use_case)

    return reader


def _records(reader: Callable[[], RecordReader]) -> Records:
    """What raw records ask."""

    def asked(records: Sequence[Mapping[str, Any]]) -> list[Asked | list[Fault]]:
        columns = reader().columns
        return [
            one
            if isinstance(one, list)
            else Asked(RECORD, dict(zip(columns, one.values, strict=True)), one.key)
            for one in reader().read(records)
        ]

    return asked


@asynccontextmanager
async def _lifespan(application: Application) -> AsyncIterator[None]:
    loader, settings = await _start_loader()
    server = Server(settings)
    readers = {name: _reader(name) for name in settings.use_cases}
    routes = Routes(server, {name: _records(reader) for name, reader in readers.items()})
    add_batch(server, readers, PREDICT)
    Page(routes, Sessions(server.access, secure=settings.tls_certificate is not None))
    add_guide(server)
    server.logs = {
        name: SegmentLog(
            settings.log_folder(name),
            age_seconds=settings.log_seconds,
            sync_milliseconds=settings.log_sync_ms,
            when_full=settings.log_full,
        )
        for name in settings.use_cases
    }
    watching = Watching(server, [loader])
    await watching.begin()
    if settings.origins:
        application.cross_origin = CORSMiddleware(
            application._answer,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key"],
            expose_headers=["X-Request-Id"],
        )
    application.server = server
    try:
        yield
    finally:
        server.is_ending = True
        for log in server.logs.values():
            log.close()
        await watching.end(_GRACE)


app = Application(
    title="Churn Assets", lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None
)

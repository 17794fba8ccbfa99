"""`batch`: a body of rows is taken in, scored in a thread, and answered as it is scored."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import IO, Any
from urllib.parse import parse_qsl

from churn_assets.learning.explaining.wording import REASONS
from churn_assets.serving.answering.batch.answer import Told, answers
from churn_assets.serving.answering.batch.body import MEDIA_TYPES, BodyError, Chunk, Format
from churn_assets.serving.answering.batch.forms import (
    ByInputs,
    ByKey,
    ByRecord,
    Columns,
    Form,
    Given,
)
from churn_assets.serving.answering.calls.http import body_parts, require_length, send_start
from churn_assets.serving.answering.calls.problems import ProblemError
from churn_assets.serving.answering.live import Live
from churn_assets.serving.answering.predicting import INPUTS, KEY, RECORD, Asked, Scored
from churn_assets.serving.answering.server import Answer, Call, Route, Server
from churn_assets.serving.answering.snapshot import Snapshot

MOST_BYTES = 2 << 30
"""Of a body; it is kept on the disk, not in memory."""
_IN_MEMORY = 16 << 20
_KEPT = 1_000
"""Rows that are logged at once."""
Reader = Callable[[], Any]
"""Gives what reads raw records."""


def columns_of(live: Live, reasons: int) -> dict[str, Told]:
    """The columns of an answer beside the key."""
    manifest = live.champion.bundle.manifest
    return {
        "churn_probability": "number",
        "decision": "flag",
        "risk_band": "text",
        **({} if manifest.business is None else {"expected_value": "number"}),
        **dict.fromkeys(REASONS[:reasons], "text"),
        "model_version": "whole",
    }


@dataclass
class _Noting:
    """A form of rows that keeps what was last given, so that answers are logged with their keys."""

    form: Form
    name: str
    last: Given = field(default_factory=lambda: Given(0))

    @property
    def numbers(self) -> Sequence[str]:
        """As the form has it."""
        return self.form.numbers

    def faults(self, names: Sequence[str]) -> Any:
        """As the form has it."""
        return self.form.faults(names)

    def given(self, chunk: Chunk) -> Given:
        """As the form has it, kept."""
        self.last = self.form.given(chunk)
        return self.last


@dataclass
class Batch:
    """Answers the route `batch` of each use case; the Champion scores all.

    Parameters
    ----------
    server : Server
        Whose models answer.
    readers : mapping of str to callable
        By use case, what gives its reader of raw records.
    """

    server: Server
    readers: Mapping[str, Reader]

    async def answer(self, call: Call) -> Answer | None:
        """Answer row by row, errors beside the scores."""
        live = self.server.live(call.use_case)
        query = dict(parse_qsl(call.scope["query_string"].decode("latin-1")))
        reads = _format(call.media_type, "Content-Type")
        accepts = call.headers.get(b"accept", b"*/*").decode("latin-1").partition(",")[0].strip()
        written = call.media_type if accepts in {"", "*/*"} else accepts
        writes = _format(written, "Accept")
        name = query.get("form", INPUTS)
        form = _Noting(self._form(live, call.use_case, name), name)
        reasons = len(REASONS) if query.get("reasons") == "3" else 0
        require_length(call.scope, MOST_BYTES)
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            await self._take(call, body)
            parts = await asyncio.to_thread(
                self._begun, call, live, body, (reads, writes), form, reasons
            )
            await send_start(call.send, written.encode())
            while (part := await asyncio.to_thread(next, parts, None)) is not None:
                await call.send({"type": "http.response.body", "body": part, "more_body": True})
            await call.send({"type": "http.response.body", "body": b""})
        return None

    async def _take(self, call: Call, body: IO[bytes]) -> None:
        size = 0
        async for part in body_parts(call.receive, self.server.limits.seconds):
            size += len(part)
            if size > MOST_BYTES:
                raise ProblemError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a batch may have {MOST_BYTES:,} bytes."
                )
            body.write(part)
        body.seek(0)

    def _begun(
        self,
        call: Call,
        live: Live,
        body: Any,
        formats: tuple[Format, Format],
        form: _Noting,
        reasons: int,
    ) -> Iterator[bytes]:
        keys = live.champion.bundle.manifest.keys

        def score(columns: Columns) -> Mapping[str, Any]:
            return self._scored(call, live, columns, form, reasons)

        try:
            return answers(
                body,
                *formats,
                form=form,
                score=score,
                columns=columns_of(live, reasons),
                keys=keys,
            )
        except BodyError as error:
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error), error.faults) from None

    def _scored(
        self, call: Call, live: Live, columns: Columns, form: _Noting, reasons: int
    ) -> dict[str, Any]:
        served = live.champion
        bundle, manifest = served.bundle, served.bundle.manifest
        scores = bundle.scores(columns).tolist()
        plain = [one if isinstance(one, list) else one.tolist() for one in columns.values()]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*plain, strict=True)]
        found: dict[str, Any] = {
            "churn_probability": scores,
            "decision": [score >= manifest.threshold for score in scores],
            "risk_band": [bundle.band(score) for score in scores],
            "model_version": [manifest.version] * len(scores),
        }
        if manifest.business is not None:
            found["expected_value"] = [
                bundle.value(score, row) for score, row in zip(scores, rows, strict=True)
            ]
        if reasons:
            told = bundle.reasons_of(columns, reasons)
            found |= {name: [one[i] for one in told] for i, name in enumerate(REASONS[:reasons])}
        self._log(call, live, scores, rows, form)
        return found

    def _log(
        self,
        call: Call,
        live: Live,
        scores: Sequence[float],
        rows: Sequence[Mapping[str, Any]],
        form: _Noting,
    ) -> None:
        given = form.last
        places = given.right.tolist()
        keys = list(zip(*given.keys.values(), strict=True)) if given.keys else None
        scored = [
            Scored(
                Asked(form.name, _plain(row), None if keys is None else _whole(keys[place])),
                live.champion,
                score,
                1.0,
            )
            for score, row, place in zip(scores, rows, places, strict=True)
        ]
        for begin in range(0, len(scored), _KEPT):
            self.server.keep("batch", call, scored[begin : begin + _KEPT])

    def _form(self, live: Live, use_case: str, name: str) -> Form:
        manifest = live.champion.bundle.manifest
        if name == INPUTS:
            return ByInputs(live.champion.reader, manifest.keys)
        if name == RECORD:
            reader = self.readers[use_case]()
            return ByRecord(reader.read, manifest.keys, reader.columns)
        if name != KEY:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "`form` is one of inputs, record and key."
            )
        if live.snapshot is None:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{use_case}: there are no features by key yet."
            )
        # One of its own: a snapshot is for one thread.
        snapshot = Snapshot(live.snapshot.path, is_verified=True)
        return ByKey(snapshot.get, manifest.keys, snapshot.head.columns)


def add_batch(server: Server, readers: Mapping[str, Reader], role: str) -> None:
    """Let a server answer `batch`."""
    batch = Batch(server, readers)
    for name in readers:
        server.add("POST", f"/v1/{name}/batch", Route("batch", batch.answer, role, True), name)


def _format(media_type: str, header: str) -> Format:
    found = MEDIA_TYPES.get(media_type)
    if found is None:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            if header == "Content-Type"
            else HTTPStatus.NOT_ACCEPTABLE,
            f"{header} is one of {', '.join(MEDIA_TYPES)}.",
        )
    return found


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are not there as null, not as a number that is none."""
    return {
        name: None if isinstance(value, float) and value != value else value  # noqa: PLR0124
        for name, value in row.items()
    }


def _whole(key: tuple[str | None, ...]) -> tuple[str, ...] | None:
    parts = tuple(part for part in key if part is not None)
    return parts if len(parts) == len(key) else None

"""One worker: its routes, what each call passes, and what is kept of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from churn_assets.serving.answering.calls.access import ANYBODY, Access, Caller
from churn_assets.serving.answering.calls.http import (
    JSON,
    PAGE_POLICY,
    HungUpError,
    Receive,
    Scope,
    Send,
    drop_body,
    read_body,
    send_bytes,
    send_problem,
)
from churn_assets.serving.answering.calls.limits import Limits
from churn_assets.serving.answering.calls.problems import ProblemError
from churn_assets.serving.answering.live import Live, Place
from churn_assets.serving.answering.metrics import Metrics, status_class
from churn_assets.serving.answering.predicting import KEY, Scored, ScoringError, new_request_id
from churn_assets.serving.answering.segments import Entry, LogFullError, SegmentLog, encoded
from churn_assets.serving.plan import ServerSettings

_log = logging.getLogger("churn_assets.serving")
_DROPPED, _DROP_SECONDS = 10, 2.0
"""How much of a body that is too large is read all the same, and how long is waited for more."""
_encode = msgspec.json.Encoder().encode
_NO_ANSWER: Mapping[str, Any] = dict.fromkeys(
    [
        *("key", "inputs", "churn_probability", "decision", "threshold", "risk_band"),
        *("model_version", "semantic_version", "variant", "share", "features_version"),
    ]
)
"""What the log keeps of answers only."""


@dataclass(frozen=True)
class Answer:
    """What a call is answered with.

    Parameters
    ----------
    body : bytes
        Whole.
    scored : sequence of Scored
        Whom the inference log keeps.
    status, media_type, headers
        Of HTTP.
    """

    body: bytes
    scored: Sequence[Scored] = ()
    status: int = HTTPStatus.OK
    media_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


@dataclass
class Call:
    """A call, while it is answered."""

    scope: Scope
    receive: Receive
    send: Send
    use_case: str
    started: float
    request_id: str = field(default_factory=new_request_id)
    caller: Caller = ANYBODY
    path: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[bytes, bytes]:
        """By name, in lower case."""
        return dict(self.scope["headers"])

    @property
    def media_type(self) -> str:
        """That of the body, without what follows it."""
        given = self.headers.get(b"content-type", JSON)
        return given.partition(b";")[0].strip().lower().decode("latin-1")


@dataclass(frozen=True)
class Route:
    """What can be asked.

    Parameters
    ----------
    name : str
        In metrics and in the log.
    function : callable
        Answers a call; None where it answered by itself.
    role : str or None
        That the API key must have; None asks for no key.
    is_logged : bool
        Whether the inference log keeps its calls.
    """

    name: str
    function: Callable[[Call], Awaitable[Answer | None]]
    role: str | None = None
    is_logged: bool = False


@dataclass
class Server:
    """Answers calls by route.

    Parameters
    ----------
    settings : ServerSettings
        As the loader told them.
    """

    settings: ServerSettings
    metrics: Metrics = field(default_factory=Metrics)
    logs: dict[str, SegmentLog] = field(default_factory=dict)
    exact: dict[tuple[str, str], tuple[Route, str]] = field(default_factory=dict)
    below: dict[tuple[str, str], tuple[Route, str]] = field(default_factory=dict)
    is_ending: bool = False
    _counters: dict[tuple[str, str, int, str], tuple[Any, Any, Any]] = field(default_factory=dict)
    _timers: dict[tuple[str, str, int], tuple[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = self.settings
        self.limits = Limits(
            told.body_bytes, told.rows, told.seconds, told.concurrent, told.per_second
        )
        self.access = Access(Path(told.keys_file), told.authentication)
        self.places = {name: Place(name, told.plan_file(name)) for name in told.use_cases}

    def add(self, method: str, path: str, route: Route, use_case: str = "") -> None:
        """Let a path be answered; one that ends with / stands for all below it."""
        table = self.below if path.endswith("/") and path != "/" else self.exact
        table[method, path] = route, use_case

    def live(self, use_case: str) -> Live:
        """What is served of a use case.

        Raises
        ------
        ProblemError
            503, where nothing is yet.
        """
        live = self.places[use_case].live
        if live is None:
            trouble = self.places[use_case].trouble
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                trouble
                or f"{use_case}: there is no Champion to answer with; run `churn run` first.",
                retry_after=10,
            )
        return live

    @property
    def default_use_case(self) -> str:
        """What routes speak for that name no use case."""
        if self.settings.default_use_case:
            return self.settings.default_use_case
        with_champion = [name for name, place in self.places.items() if place.live is not None]
        if len(with_champion) == 1:
            return with_champion[0]
        return "telco_churn" if "telco_churn" in self.places else next(iter(self.places), "")

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a call, if there is a route for it; whether there is one."""
        method, path = scope["method"], scope["path"]
        found = self.exact.get((method, path))
        rest: tuple[str, ...] = ()
        if found is None:
            found, rest = self._found_below(method, path)
        if found is None:
            return False
        route, use_case = found
        call = Call(scope, receive, send, use_case or "", time.perf_counter(), path=rest)
        await self._run(route, call)
        return True

    def allowed(self, path: str) -> list[str]:
        """The methods that a path can be asked with."""
        exact = {method for method, known in self.exact if known == path}
        below = {method for method, known in self.below if path.startswith(known)}
        return sorted(exact | below)

    def _found_below(
        self, method: str, path: str
    ) -> tuple[tuple[Route, str] | None, tuple[str, ...]]:
        for (known_method, start), found in self.below.items():
            if method == known_method and path.startswith(start) and path != start:
                raw = path[len(start) :].split("/")
                return found, tuple(unquote(part) for part in raw)
        return None, ()

    async def _run(self, route: Route, call: Call) -> None:
        limits, status = self.limits, 500
        entered = False
        try:
            if route.role is not None:
                limits.enter()
                entered = True
                call.caller = self.access.caller(call.scope, call.headers)
                call.caller.require(route.role)
                if call.caller.name:
                    limits.spend(call.caller.name)
            answer = await route.function(call)
            if answer is None:
                status = HTTPStatus.OK
                return
            status = answer.status
            if answer.scored:
                self.keep(route.name, call, answer.scored)
            await send_bytes(
                call.send,
                answer.body,
                status=status,
                media_type=answer.media_type,
                headers=answer.headers,
            )
        except HungUpError:
            status = 499
        except ProblemError as problem:
            status = problem.status
            await self._refuse(route, call, problem)
        except ScoringError as error:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            _log.error("%s: %s", route.name, _place(error.__cause__ or error))
            # The guard counts them against the model that was to answer.
            self._keep_unanswered(route, call, status, "the model failed", error.scored)
            unscored = ProblemError(status, "the model failed on this call.")
            await send_problem(call.send, unscored, call.request_id)
        except Exception as error:
            # A fault of ours: its text may hold what a customer is like, its place does not.
            _log.error("%s: %s", route.name, _place(error))
            failed = ProblemError(500, "the server failed; its log says where.")
            await self._refuse(route, call, failed)
        finally:
            if entered:
                limits.leave()
            self._time(call, route, status)

    def _time(self, call: Call, route: Route, status: int) -> None:
        of = call.use_case, route.name, status
        timers = self._timers.get(of)
        if timers is None:
            timers = self._timers[of] = (
                self.metrics.requests.labels(call.use_case, route.name, status_class(status)),
                self.metrics.seconds.labels(call.use_case, route.name),
            )
        requests, seconds = timers
        requests.inc()
        seconds.observe(time.perf_counter() - call.started)

    async def _refuse(self, route: Route, call: Call, problem: ProblemError) -> None:
        if route.is_logged:
            self._keep_unanswered(route, call, problem.status, problem.reason)
        if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            most = self.limits.body_bytes * _DROPPED
            await drop_body(call.receive, most, _DROP_SECONDS)
        await send_problem(call.send, problem, call.request_id)

    def keep(self, route: str, call: Call, scored: Sequence[Scored]) -> None:
        """Count answers, and log them before they are given."""
        latency = (time.perf_counter() - call.started) * 1000
        log, at = self.logs.get(call.use_case), _microseconds()
        live = self.places[call.use_case].live
        features_version = None if live is None else live.features_version
        if live is not None and live.is_stale(self.settings.features_hours):
            by_key = sum(one.asked.form == KEY for one in scored)
            self.metrics.stale.labels(call.use_case).inc(by_key)
        lines = []
        for row, one in enumerate(scored):
            asked, served, score = one.asked, one.served, one.score
            manifest = served.bundle.manifest
            decision = score >= manifest.threshold
            if log is not None:
                lines.append(
                    Entry(
                        call.request_id,
                        row,
                        at,
                        asked.key,
                        asked.form,
                        route,
                        asked.row,
                        score,
                        decision,
                        manifest.threshold,
                        served.bundle.band(score),
                        manifest.version,
                        manifest.semantic_version,
                        served.variant,
                        one.share,
                        one.shadow,
                        features_version if asked.form == KEY else None,
                        latency,
                        HTTPStatus.OK,
                        None,
                    )
                )
            self._count(call.use_case, one, decision=decision)
        if log is not None:
            self._write(log, lines)

    def _count(self, use_case: str, scored: Scored, *, decision: bool) -> None:
        served, form = scored.served, scored.asked.form
        manifest = served.bundle.manifest
        # Not by the model itself, which would be kept for ever.
        of = use_case, served.variant, manifest.version, form
        counters = self._counters.get(of)
        if counters is None:
            metrics, version = self.metrics, str(manifest.version)
            semantic = manifest.semantic_version
            counters = self._counters[of] = (
                metrics.predictions.labels(use_case, served.variant, version, semantic, form),
                metrics.positives.labels(use_case, served.variant, version),
                metrics.scores.labels(use_case, served.variant),
            )
        predictions, positives, scores = counters
        predictions.inc()
        scores.observe(scored.score)
        if decision:
            positives.inc()

    def _keep_unanswered(
        self,
        route: Route,
        call: Call,
        status: int,
        reason: str,
        failed: Sequence[Scored | None] = (None,),
    ) -> None:
        """Log why nobody was answered, and who was to answer whom where that is known.

        Where the log is full, the client is told of its fault, and a metric of the log.
        """
        log, at = self.logs.get(call.use_case), _microseconds()
        if log is None:
            return
        latency = (time.perf_counter() - call.started) * 1000
        lines = [
            Entry(
                request_id=call.request_id,
                row=row,
                requested_at=at,
                form="" if one is None else one.asked.form,
                route=route.name,
                shadow=one is not None and one.shadow,
                latency_ms=latency,
                status=status,
                refusal=reason,
                **{**_NO_ANSWER, **({} if one is None else _who_was_to_answer(one))},
            )
            for row, one in enumerate(failed)
        ]
        with suppress(ProblemError):
            self._write(log, lines)

    @staticmethod
    def _write(log: SegmentLog, entries: Sequence[Entry]) -> None:
        try:
            log.write(encoded(entries))
        except LogFullError as error:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{error}, and without it nobody is answered. Free some space, or set "
                "serving.log_full to answer.",
                retry_after=10,
            ) from None

    async def body(self, call: Call) -> bytes:
        """The body of a call, within the limits."""
        return await read_body(
            call.scope, call.receive, self.limits.body_bytes, self.limits.seconds
        )


def _who_was_to_answer(failed: Scored) -> dict[str, Any]:
    """What the log keeps of a customer on whom a model failed."""
    manifest = failed.served.bundle.manifest
    return {
        "key": failed.asked.key,
        "inputs": failed.asked.row,
        "model_version": manifest.version,
        "semantic_version": manifest.semantic_version,
        "variant": failed.served.variant,
        "share": failed.share,
    }


def _microseconds() -> int:
    return time.time_ns() // 1000


def page(
    html: str,
    *,
    status: int = HTTPStatus.OK,
    scored: Sequence[Scored] = (),
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> Answer:
    """A page for people, which loads nothing from elsewhere."""
    return Answer(
        html.encode(),
        scored,
        status=status,
        media_type=b"text/html; charset=utf-8",
        headers=[(b"content-security-policy", PAGE_POLICY), *headers],
    )


def as_json(value: Any) -> bytes:
    """A value as JSON."""
    return _encode(value)


def _place(error: BaseException) -> str:
    """The kind of an error and where it arose, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__} at {where}"

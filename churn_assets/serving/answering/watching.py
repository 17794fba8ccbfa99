"""What a worker does beside answering: takes what is new, and keeps its other processes alive."""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field

from churn_assets.serving.answering.live import CHALLENGER, CHAMPION, Live, Place
from churn_assets.serving.answering.server import Server

_SECONDS = 0.2
"""Between two looks at the plans."""
_FIRST_SECONDS = 20.0
"""That the start waits for the first plan, so that a server is ready when it listens."""


@dataclass
class Watching:
    """Looks after a server.

    Parameters
    ----------
    server : Server
        Whose plans are watched.
    processes : list of Popen
        What was started beside the worker, and ends with it.
    """

    server: Server
    processes: list[subprocess.Popen[bytes]]
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def begin(self) -> None:
        """Take what there is, then go on looking."""
        begun = time.time()
        deadline = time.monotonic() + _FIRST_SECONDS
        while time.monotonic() < deadline:
            await self._look()
            if all(_is_told(place, begun) for place in self.server.places.values()):
                break
            await asyncio.sleep(0.02)
        self._task = asyncio.create_task(self._go_on())

    async def end(self, grace: float) -> None:
        """Stop looking, and let the other processes end."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                await asyncio.to_thread(process.wait, grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await self._look()

    async def _look(self) -> None:
        for place in self.server.places.values():
            if not place.is_changed:
                continue
            before = place.live
            if await asyncio.to_thread(place.look) and place.live is not None:
                self._tell(place, before, place.live)
            self._measure(place)

    def _tell(self, place: Place, before: Live | None, now: Live) -> None:
        """Let the metrics say what is loaded."""
        metrics, name = self.server.metrics, place.use_case
        for live, loaded in ((before, 0), (now, 1)):
            for one in live.served if live else ():
                manifest = one.bundle.manifest
                metrics.model.labels(
                    name, one.variant, manifest.version, manifest.semantic_version, manifest.path
                ).set(loaded)
        metrics.loaded_at.labels(name).set(now.loaded_at)

    def _measure(self, place: Place) -> None:
        metrics, plan = self.server.metrics, place.plan
        log = self.server.logs.get(place.use_case)
        if log is not None:
            metrics.log_lost.labels(place.use_case).set(log.lost)
            waiting = sum(1 for _ in log.folder.glob("*.*ed"))
            metrics.log_waiting.labels(place.use_case).set(waiting)
        live = place.live
        if live is not None and live.traffic is not None:
            share = live.traffic.share(time.time())
            metrics.share.labels(place.use_case, CHALLENGER).set(share)
            metrics.share.labels(place.use_case, CHAMPION).set(1 - share)
            metrics.returned.labels(place.use_case).set(live.traffic.kind == "returned")
        metrics.refused_bundles.labels(place.use_case).set(place.trouble is not None)
        since = None if plan is None else plan.trouble_since
        metrics.unreachable.labels(place.use_case).set(0 if since is None else time.time() - since)


def _is_told(place: Place, begun: float) -> bool:
    """Whether a plan was looked up since the start, or what an earlier one says is served."""
    if place.live is not None:
        return True
    return place.plan is not None and place.plan.champion is None and place.plan.checked_at >= begun

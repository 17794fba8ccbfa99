"""Many clients that ask a server again and again, and keep what became of each call."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

PATH = "/v1/telco_churn/predict"
_ID = b'"request_id":"'


@dataclass
class Load:
    """What became of the calls.

    Parameters
    ----------
    address : str
        Of the server.
    bodies : sequence of object
        What is asked, in turn.
    clients : int
        How many ask at once, each over a connection of its own.
    """

    address: str
    bodies: Sequence[Any]
    clients: int
    acknowledged: list[str] = field(default_factory=list)
    """The id of each call that was answered with a score."""
    refused: Counter[int] = field(default_factory=Counter)
    """How many calls were answered with each other status."""
    cut: int = 0
    """How many answers began and did not end."""
    _ended: threading.Event = field(default_factory=threading.Event)

    async def _all(self) -> None:
        numbers = count()
        await asyncio.gather(*(self._client(numbers) for _ in range(self.clients)))

    async def _client(self, numbers: Iterator[int]) -> None:
        where = urlsplit(self.address)
        calls = []
        for body in self.bodies:
            content = json.dumps(body).encode()
            head = (
                f"POST {PATH} HTTP/1.1\r\nHost: {where.netloc}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            calls.append(head.encode() + content)
        while not self._ended.is_set():
            try:
                reader, writer = await asyncio.open_connection(where.hostname, where.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            try:
                while not self._ended.is_set():
                    writer.write(calls[next(numbers) % len(calls)])
                    await self._take(reader)
            except (OSError, EOFError):
                pass
            finally:
                writer.close()

    async def _take(self, reader: asyncio.StreamReader) -> None:
        """Keep one answer; one that never began may be asked again, as every client does."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            self.cut += bool(error.partial)
            raise
        status = int(head.split(None, 2)[1])
        at = head.lower().index(b"content-length:") + len(b"content-length:")
        try:
            body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
        except (OSError, EOFError):
            self.cut += 1
            raise
        if status == 200:
            begins = body.index(_ID) + len(_ID)
            self.acknowledged.append(body[begins : body.index(b'"', begins)].decode())
        else:
            self.refused[status] += 1


@contextmanager
def asking(address: str, bodies: Sequence[Any], clients: int) -> Iterator[Load]:
    """Clients that ask during the block."""
    load = Load(address, bodies, clients)
    thread = threading.Thread(target=lambda: asyncio.run(load._all()))
    thread.start()
    try:
        yield load
    finally:
        load._ended.set()
        thread.join()

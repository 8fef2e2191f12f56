"""Upstreams of a benchmark, in its own process, so that what they say carries its own clock."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic, monotonic_ns
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from infra.local.child import HOST

PRINTER = """
import sys, time
count, rate = int(sys.argv[1]), float(sys.argv[2])
began = time.monotonic()
for number in range(count):
    time.sleep(max(0.0, began + 1.0 + number / rate - time.monotonic()))
    print(f"~{number}:{time.monotonic_ns()}~", flush=True)
"""
"""A process that says marks, from a second after its start."""


STATE = "/state/"


@dataclass
class JobService:
    """A service of jobs over a WebSocket, and of one job's state to whoever asks. ``joined`` and
    ``left`` are the times of that, on the machine's monotonic clock."""

    port: int = 0
    joined: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    _state: dict[str, Any] = field(default_factory=dict)
    _open: set[ServerConnection] = field(default_factory=set)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Where a job is joined, by connecting."""
        return f"ws://{HOST}:{self.port}/{{job}}"

    @property
    def state_url(self) -> str:
        """Where a job's state is asked for."""
        return f"http://{HOST}:{self.port}{STATE}{{job}}"

    def begin(self) -> None:
        """Be in a state that holds no mark."""
        self._state = {"status": "running", "progress": 0}

    def become(self, number: int) -> None:
        """Be in a state that holds a mark, from now on."""
        told = {"progress": number % 100, "message": f"~{number}:{monotonic_ns()}~"}
        self._state = {"status": "running", **told}

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer who asks for a state, and does not join."""
        if request.path.startswith(STATE):
            return connection.respond(HTTPStatus.OK, json.dumps(self._state))
        return None

    async def say(self, number: int) -> None:
        """Say a mark, in the form of a progress."""
        told: dict[str, Any] = {"type": "progress", "progress": number % 100}
        for connection in list(self._open):
            told["message"] = f"~{number}:{monotonic_ns()}~"
            await connection.send(json.dumps(told))

    async def has(self, connections: int) -> None:
        """Wait until that many have joined since the beginning."""
        while len(self.joined) < connections:
            self._more.clear()
            await self._more.wait()

    async def take(self, connection: ServerConnection) -> None:
        """Serve one who joins."""
        self.joined.append(monotonic())
        self._open.add(connection)
        self._more.set()
        try:
            await connection.wait_closed()
        finally:
            self._open.discard(connection)
            self.left.append(monotonic())


@asynccontextmanager
async def job_service() -> AsyncIterator[JobService]:
    """Run a service of jobs."""
    service = JobService()
    async with serve(
        service.take, HOST, 0, compression=None, process_request=service.answer
    ) as server:
        [socket] = server.sockets
        service.port = socket.getsockname()[1]
        yield service


async def paced(count: int, rate: float) -> AsyncIterator[int]:
    """Yield numbers at a rate a second; one that is late does not delay the next."""
    began = monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
        yield number

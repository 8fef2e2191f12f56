"""The local job service in the test's own process, and readers of sources that follow it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import uvicorn

from infra.local.job_service.service import JobService, ReachableProtocol
from lastevent.core.event import NewEvent
from lastevent.serve.settings import Settings
from lastevent.sources.base import Batch, Source
from lastevent.sources.job_upstream import JobUpstream

WAIT_SECONDS = 10.0
KEY = "the key of the job service"


class _InProcess(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(service: JobService) -> AsyncIterator[str]:
    """Serve on a loopback port; yield ``http://…`` of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        service.app,
        ws=ReachableProtocol,
        ws_ping_interval=None,
        lifespan="off",
        log_level="critical",
        timeout_graceful_shutdown=1,
    )
    server = _InProcess(config)
    task = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(WAIT_SECONDS):
        while not server.started:
            await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for job in list(service.jobs.values()):
            for connection in list(job.open):
                connection.cut()
        server.should_exit = True
        async with asyncio.timeout(WAIT_SECONDS):
            await task


def upstream(url: str, **environ: str) -> JobUpstream:
    """Return the service at ``url``, with settings by their names; a key of None is not set."""
    environ = {"JOBS_UPSTREAM_URL": url, "LASTEVENT_AUTH_SECRET": "s" * 32} | environ
    found = Settings.from_env(environ).jobs
    assert found is not None
    return found


class Reading:
    """Reads a source, batch by batch, as a pump does."""

    def __init__(self, batches: AsyncGenerator[Batch]) -> None:
        self._batches = batches
        self.position: str | None = None
        self.over = False

    async def batch(self) -> Batch:
        """Return the next batch."""
        async with asyncio.timeout(WAIT_SECONDS):
            batch = await anext(self._batches)
        self.position = batch.position or self.position
        self.over = batch.over
        return batch

    async def events(self, count: int) -> list[NewEvent]:
        """Return the next events, so many at least."""
        found: list[NewEvent] = []
        while len(found) < count:
            found += (await self.batch()).events
        return found

    async def rest(self) -> list[NewEvent]:
        """Return the events that are left, up to the source's end."""
        found: list[NewEvent] = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                found += (await self.batch()).events
        return found


@contextlib.asynccontextmanager
async def reading(source: Source, position: str | None = None) -> AsyncIterator[Reading]:
    """Read ``source`` once it has connected."""
    async with aclosing(source.read(position)) as batches:
        reader = Reading(batches)
        assert (await reader.batch()).events == ()
        yield reader


def said(event: NewEvent) -> dict[str, Any]:
    """Return the data of an event."""
    found: dict[str, Any] = json.loads(event.data)
    return found

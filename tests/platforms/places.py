"""What is built, deployed to the two platforms on which a process may live for one request only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from infra.local.platforms import LambdaStream
from infra.local.vercel import VercelServer
from infra.local.vercel.pool import Options

SWEEP_SECONDS = 0.5
WAIT_SECONDS = 60.0
"""A safety limit: what takes longer than this has hung."""


@dataclass(frozen=True, slots=True)
class Place:
    """A platform: where it is and by which variables its store is found; how its processes are
    killed, how many were started so far, and why sweeps failed."""

    url: str
    store: Mapping[str, str]
    kill: Callable[[], Awaitable[None]]
    started: Callable[[], Awaitable[int]]
    failed_sweeps: Callable[[], list[str]]

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Return a client of it, with a token."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=WAIT_SECONDS, trust_env=False
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """How something is deployed: with these variables beside those of its ``store``. ``sweeps``:
    on a short schedule; ``limit_seconds``: what an invocation has, None for the platform's own."""

    environment: Mapping[str, str]
    store: Mapping[str, str]
    directory: Path
    sweeps: bool
    limit_seconds: float | None

    @property
    def variables(self) -> dict[str, str]:
        """All of the function's variables."""
        return {**self.environment, **self.store}


Deploy = Callable[..., AbstractAsyncContextManager[Place]]
Stores = Callable[[str], Awaitable[dict[str, str]]]


@asynccontextmanager
async def on_lambda(wanted: Wanted, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Deploy what ``sam build`` made, with the schedule of the template."""
    async with LambdaStream(
        wanted.variables,
        wanted.directory,
        request.getfixturevalue("on_lambda") / "StreamFunction",
        sweep_seconds=SWEEP_SECONDS if wanted.sweeps else None,
        timeout=wanted.limit_seconds,
    ) as platform:

        def failed() -> list[str]:
            return [it.failure for it in platform.events.outcomes if it.failure is not None]

        async def kill() -> None:
            await asyncio.to_thread(platform.kill)

        async def started() -> int:
            return len(platform.function.environments)

        yield Place(platform.url, wanted.store, kill, started, failed)


@asynccontextmanager
async def on_vercel(wanted: Wanted, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Deploy with one request at a time for each instance, and call what is on a schedule."""
    built = request.getfixturevalue("on_vercel")
    options = Options(max_duration=wanted.limit_seconds, concurrency=1, freeze=True)
    failures: list[str] = []
    async with VercelServer(built, wanted.directory, wanted.variables, options) as server:

        async def call_crons() -> None:
            while True:
                await asyncio.sleep(SWEEP_SECONDS)
                answers = await server.call_crons()
                failures.extend(it["body"] for it in answers if it["status"] != 200)

        async with asyncio.TaskGroup() as schedule:
            calling = schedule.create_task(call_crons()) if wanted.sweeps else None
            yield Place(server.url, wanted.store, server.kill, server.started, lambda: failures)
            if calling is not None:
                calling.cancel()


PLATFORMS = {"lambda-stream": on_lambda, "vercel": on_vercel}
everywhere = pytest.mark.parametrize("platform", PLATFORMS)

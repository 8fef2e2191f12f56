"""What is measured of live sources: from the upstream to a viewer, hand-overs, and their costs."""

import asyncio
import json
import os
import random
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import monotonic, monotonic_ns, time

import httpx

from benchmarks.grounds import Ground
from benchmarks.marks import Verdict, judge
from benchmarks.processes import Server, serving
from benchmarks.subjects import TOKEN_SECONDS
from benchmarks.upstreams import PRINTER, JobService, paced
from benchmarks.visits import Follower
from infra.local.child import HOST
from infra.local.vercel_api import Line, Phase, Script, VercelApi
from lastevent.client import Stream
from lastevent.core.wire import CONTENT_TYPE
from lastevent.serve.auth import mint

SECRET = "a secret of thirty-two characters"
APP = "benchmarks.generating:app"
CASE_SECONDS = 120.0
SETTLE_SECONDS = 1.5
"""Until each process knows its part: who pumps, and who stands by."""

LEASE_SECONDS = 1.0
"""Of a pump that is set no other; it is renewed each third of that."""

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: events at a rate a second, hand-overs, seconds of counting, and how
    many viewers there are then."""

    events: int = 300
    rate: float = 25.0
    lines: int = 60
    hand_overs: int = 7
    counting: float = 20.0
    viewers: tuple[int, ...] = (1, 10, 50)


QUICK = Scale(events=10, lines=5, hand_overs=1, counting=3.0, viewers=(1, 3))


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays in milliseconds, and what was wrong."""

    values: Sequence[float]
    verdict: Verdict = Verdict()


@dataclass(frozen=True, slots=True)
class Site:
    """A server of ours on a store, and all that is known to it."""

    server: Server
    headers: Mapping[str, str]

    def follower(self, path: str) -> Follower:
        return Follower(self.server.port, path, self.headers)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://{HOST}:{self.server.port}", headers=self.headers, trust_env=False
        )


@asynccontextmanager
async def site(ground: Ground, upstreams: Mapping[str, str], scale: Scale) -> AsyncIterator[Site]:
    """Run a server on ``ground`` that knows ``upstreams``, by their variables."""
    printer = shlex.join([sys.executable, "-c", PRINTER, str(scale.events), str(scale.rate)])
    environ = {
        **ground.environ,
        **upstreams,
        "LASTEVENT_STORE_URL": ground.url,
        "LASTEVENT_AUTH_SECRET": SECRET,
        "LASTEVENT_SWEEP_SECONDS": "0",
        "LASTEVENT_PREVIEW_COMMANDS": f"printer={printer}",
    }
    claims = {"sub": "bench", "read": ["*"], "append": ["*"]}
    token = mint(SECRET, claims, TOKEN_SECONDS)
    async with serving(APP, environ) as server:
        yield Site(server, {"Accept": CONTENT_TYPE, "Authorization": f"Bearer {token}"})


@asynccontextmanager
async def following(where: Site, path: str) -> AsyncIterator[Follower]:
    """Follow ``path`` until the context is left, or something fails."""
    follower = where.follower(path)
    async with asyncio.timeout(CASE_SECONDS), asyncio.TaskGroup() as group:
        task = group.create_task(follower.run())
        yield follower
        task.cancel()


async def published(where: Site, scale: Scale) -> Delays:
    """The control: events that are published over HTTP to a stream that has no source."""
    async with where.client() as client, following(where, "/api/streams/plain") as follower:
        await client.post("/api/streams/plain", json={"data": "first"})
        async for number in paced(scale.events, scale.rate):
            mark = f"~{number}:{monotonic_ns()}~"
            (await client.post("/api/streams/plain", json={"data": mark})).raise_for_status()
        await follower.until(scale.events)
    return _judged(follower, scale)


async def bridged(where: Site, scale: Scale, jobs: JobService) -> Delays:
    """A job's progress, from its WebSocket."""
    joined = len(jobs.joined)
    async with following(where, "/api/jobs/1/progress") as follower:
        await jobs.has(joined + 1)
        await asyncio.sleep(0.5)
        async for number in paced(scale.events, scale.rate):
            await jobs.say(number)
        await follower.until(scale.events)
    return _judged(follower, scale)


def polling(jobs: JobService) -> Mapping[str, str]:
    """Return the settings by which a server asks for a job's state."""
    return {
        "JOBS_UPSTREAM_URL": jobs.state_url,
        "JOBS_UPSTREAM_MODE": "poll",
        "JOBS_POLL_SECONDS": str(POLL_SECONDS),
    }


async def polled(where: Site, scale: Scale, jobs: JobService) -> Delays:
    """A job's states, each of them some time after the poll that found the last."""
    chance = random.Random(scale.lines)
    jobs.begin()
    async with following(where, "/api/jobs/2/progress") as follower:
        await asyncio.sleep(SETTLE_SECONDS)
        for number in range(scale.lines):
            await asyncio.sleep(chance.uniform(0.0, POLL_SECONDS))
            jobs.become(number)
            await follower.until(number + 1)
    return Delays(follower.delays, judge(range(scale.lines), follower.numbers))


async def printed(where: Site, scale: Scale) -> Delays:
    """A process's lines."""
    async with where.client() as client:
        answer = await client.post("/api/previews", json={"name": "printer"})
        id = answer.raise_for_status().json()["id"]
    async with following(where, f"/api/previews/{id}/logs/stream") as follower:
        await follower.until(scale.events)
    return _judged(follower, scale)


async def generated(where: Site, scale: Scale) -> Delays:
    """What an async iterator of the server gives."""
    async with where.client() as client, following(where, "/api/streams/generated") as follower:
        query = {"count": str(scale.events), "rate": str(scale.rate)}
        (await client.post("/api/generate", params=query)).raise_for_status()
        await follower.until(scale.events)
    return _judged(follower, scale)


async def logged(where: Site, scale: Scale, vercel: VercelApi) -> Delays:
    """A deployment's lines: from when its API shows them."""
    end = 2.0 + scale.lines / 4
    lines = tuple(Line(2.0 + number / 4, f"line {number}") for number in range(scale.lines))
    phases = (Phase(0, "BUILDING"), Phase(end, "READY"))
    made = await vercel.deploy(Script(phases=phases, lines=lines))
    visible = {line.id: line.visible for line in (await vercel.truth(made.id)).lines}
    order = {id: number for number, id in enumerate(visible)}
    delays, numbers = [], []
    token = where.headers["Authorization"].removeprefix("Bearer ")
    url = f"http://{HOST}:{where.server.port}/api/deploy/vercel/{made.id}/stream"
    async with asyncio.timeout(CASE_SECONDS), Stream(url, token=token) as events:
        async for event in events:
            if event.type == "log" and (id := json.loads(event.data)["id"]) in visible:
                delays.append(time() * 1e3 - visible[id])
                numbers.append(order[id])
    return Delays(delays, judge(list(order.values()), numbers))


def _judged(follower: Follower, scale: Scale) -> Delays:
    return Delays(follower.delays, judge(range(scale.events), follower.numbers))


async def handed_over(
    ground: Ground, jobs: JobService, how: signal.Signals, job: str, scale: Scale
) -> float:
    """Return how long it takes until another process pumps and its viewer hears, in milliseconds.

    After a kill counted from it; after a planned end from when the one has let go of the upstream.
    Where between two renewals of its lease the one is struck is drawn, by the name of the job.
    """
    settle = SETTLE_SECONDS + random.Random(job).uniform(0.0, LEASE_SECONDS)
    path = f"/api/jobs/{job}/progress"
    upstreams = {"JOBS_UPSTREAM_URL": jobs.url}
    async with (
        site(ground, upstreams, scale) as first,
        site(ground, upstreams, scale) as second,
        asyncio.timeout(CASE_SECONDS),
    ):
        joined, left = len(jobs.joined), len(jobs.left)
        away = asyncio.create_task(first.follower(path).run())
        await jobs.has(joined + 1)
        async with following(second, path) as follower:
            await asyncio.sleep(settle)
            began = monotonic()
            os.kill(first.server.pid, how)
            await jobs.has(joined + 2)
            if how != signal.SIGKILL:
                began = jobs.left[left]
            await jobs.say(0)
            await follower.until(1)
            took = monotonic() - began
        away.cancel()
        await asyncio.gather(away, return_exceptions=True)
    return took * 1e3


async def asked(
    everywhere: Sequence[Site], vercel: VercelApi, viewers: int, seconds: float
) -> float:
    """Return how often a minute the API is asked about a deployment that so many follow."""
    made = await vercel.deploy(Script(phases=(Phase(0, "BUILDING"),)))
    path = f"/api/deploy/vercel/{made.id}/stream"
    async with AsyncExitStack() as stack:
        for number in range(viewers):
            where = everywhere[number % len(everywhere)]
            await stack.enter_async_context(following(where, path))
        await asyncio.sleep(SETTLE_SECONDS)
        before = sum((await vercel.calls(made.id)).counts.values())
        await asyncio.sleep(seconds)
        return (sum((await vercel.calls(made.id)).counts.values()) - before) * 60 / seconds


async def billed(ground: Ground, everywhere: Sequence[Site], job: str, seconds: float) -> float:
    """Return the store's commands a minute while each of these has a viewer of one quiet job."""
    assert ground.upstash is not None
    async with AsyncExitStack() as stack:
        for where in everywhere:
            path = f"/api/jobs/{job}/progress"
            await stack.enter_async_context(following(where, path))
        await asyncio.sleep(SETTLE_SECONDS)
        before = sum((await ground.upstash.commands()).values())
        await asyncio.sleep(seconds)
        return (sum((await ground.upstash.commands()).values()) - before) * 60 / seconds

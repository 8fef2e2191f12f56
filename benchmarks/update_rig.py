"""Two servers on one store, what is said to the one, and who sees it at the other.

A store that lives in a process has one server, which is both.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from time import monotonic_ns

import httpx

from benchmarks import metered, reporting
from benchmarks.connection import Caller
from benchmarks.marks import Verdict, judge
from benchmarks.processes import Server, serving
from benchmarks.rig import grounded
from benchmarks.source_cases import Delays
from benchmarks.subjects import MEMORY, STORES, Subject, token
from benchmarks.usage import Usage
from benchmarks.visits import Follower
from infra.local.child import HOST
from lastevent.core.wire import CONTENT_TYPE

CASE_SECONDS = 60.0
ARRIVAL_SECONDS = 10.0
"""How long nothing may come before the rest counts as lost."""

LINGER_SECONDS = 0.2
"""How long to wait for more than there should be, once everything is there."""

SETTLE_SECONDS = 1.0
"""After viewers are live: until the store is subscribed to, and presence has been told."""

SETTINGS = {"LASTEVENT_MESSAGE_RATE": "600000/60", "LASTEVENT_SWEEP_SECONDS": "0"}
PUSHING = ("sqlite", "upstash", "redis", "dynamodb + upstash")


def _reporting(subject: Subject) -> Subject:
    return replace(subject, app=f"{reporting.__name__}:app", settings=SETTINGS)


SUBJECTS = (
    _reporting(MEMORY),
    *(_reporting(subject) for subject in STORES if subject.name in PUSHING),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers on one store, or one twice: ``near`` is told, and at ``far`` it is seen."""

    near: Server
    far: Server

    async def usage(self) -> Usage:
        """Return what both have asked of their store so far."""
        total = Usage()
        for server in {self.near, self.far}:
            async with client(server) as asking:
                answer = await asking.get(metered.PATH)
            total += Usage.parse(answer.raise_for_status().json())
        return total


@asynccontextmanager
async def pair(subject: Subject) -> AsyncIterator[Pair]:
    """Serve ``subject`` on a fresh store."""
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(grounded(subject))
        environ = subject.environ(ground)
        near = await stack.enter_async_context(serving(subject.app, environ))
        if subject.name == MEMORY.name:
            yield Pair(near, near)
        else:
            yield Pair(near, await stack.enter_async_context(serving(subject.app, environ)))


@asynccontextmanager
async def viewing(
    server: Server, path: str, headers: Mapping[str, str], viewers: int
) -> AsyncIterator[list[Follower]]:
    """Have ``viewers`` follow ``path``, all live, until the context is left or something fails."""
    headers = {**headers, "Accept": CONTENT_TYPE}
    followers = [Follower(server.port, path, headers) for _ in range(viewers)]
    async with asyncio.timeout(CASE_SECONDS), asyncio.TaskGroup() as group:
        tasks = [group.create_task(follower.run()) for follower in followers]
        for follower in followers:
            await follower.live.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        yield followers
        for task in tasks:
            task.cancel()


class Lane:
    """A connection to a server, on which one thing is said after the other.

    ``body`` makes the request's JSON of what is to be said.
    """

    def __init__(
        self, path: str, headers: Mapping[str, str], body: Callable[[str], Mapping[str, object]]
    ) -> None:
        self._caller = Caller()
        self._path = path
        self._headers = {**headers, "Content-Type": "application/json"}
        self._body = body

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        server: Server,
        path: str,
        headers: Mapping[str, str],
        body: Callable[[str], Mapping[str, object]],
    ) -> AsyncIterator["Lane"]:
        """Return a lane to ``server``."""
        lane = cls(path, headers, body)
        await lane._caller.connect(server.port)
        try:
            yield lane
        finally:
            lane._caller.close()

    async def say(self, text: str) -> bytes:
        """Say something; return the answer."""
        body = json.dumps(self._body(text)).encode()
        return await self._caller.ask("POST", self._path, self._headers, body)

    async def timed(self, number: int) -> float:
        """Say a mark; return how long its answer took, in milliseconds."""
        began = monotonic_ns()
        await self.say(f"~{number}:{began}~")
        return (monotonic_ns() - began) / 1e6


async def judged(
    where: Pair, followers: Sequence[Follower], stream: str, events: int, lanes: int
) -> Delays:
    """Wait for all of ``events`` to come to all, and judge what came.

    What was said in one lane has to be in the log in its order, and what is in the log has to come
    to each viewer in the log's. Of numbers, those of the same remainder by ``lanes`` are a lane's.
    """
    with suppress(TimeoutError):
        for follower in followers:
            while len(follower.numbers) < events:
                async with asyncio.timeout(ARRIVAL_SECONDS):
                    await follower.until(len(follower.numbers) + 1)
    await asyncio.sleep(LINGER_SECONDS)
    log = await logged(where.near, stream)
    verdict = Verdict()
    for lane in range(lanes):
        said = range(lane, events, lanes)
        verdict += judge(said, [number for number in log if number % lanes == lane])
    for follower in followers:
        verdict += judge(log, follower.numbers)
    return Delays([delay for follower in followers for delay in follower.delays], verdict)


async def logged(server: Server, stream: str) -> list[int]:
    """Return the numbers of the marks in a stream; of a merchant's, those that were progress."""
    numbers: list[int] = []
    query = {"limit": "1000"} | ({"types": "progress"} if stream.startswith("merchant:") else {})
    headers = {"Accept": "application/json", **bearer(read=["*"])}
    async with client(server, headers) as asking:
        while True:
            answer = await asking.get(f"/api/streams/{stream}", params=query)
            page = answer.raise_for_status().json()
            for event in page["events"]:
                parts = event["data"].split("~", 2)
                if len(parts) == 3:
                    numbers.append(int(parts[1].partition(":")[0]))
            if query.get("after") == page["cursor"]:
                return numbers
            query["after"] = page["cursor"]


def bearer(**claims: object) -> dict[str, str]:
    """Return the headers of an identity with these claims."""
    return {"Authorization": f"Bearer {token(**claims)}"}


def client(server: Server, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """Return a client of ``server``, for what is not timed."""
    return httpx.AsyncClient(
        base_url=f"http://{HOST}:{server.port}", headers=headers, verify=False, trust_env=False
    )

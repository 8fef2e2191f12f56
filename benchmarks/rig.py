"""What a case stands on: a subject's server on a fresh store, and the processes that load it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks import metered
from benchmarks.grounds import Ground, Opener
from benchmarks.marks import Verdict
from benchmarks.processes import Server, Worker, serving
from benchmarks.subjects import Subject
from benchmarks.usage import Usage
from infra.local.child import ServerFailed
from lastevent.core.wire import CONTENT_TYPE

STREAM = "bench"
WARM_UP = 50
"""Events published elsewhere first: the first publish imports what publishing needs."""

READY_SECONDS = 90.0
RESULT_SECONDS = 90.0
ANSWER_SECONDS = 10.0
STARTS = 3
APART = 10_000_000
"""Between the first numbers of publishers that publish at once."""

Publish = Callable[[], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of a publication to subscribers, and what the server used meanwhile."""

    got: dict[str, Any]
    published: dict[str, Any]
    cpu_seconds: float
    usage: Usage = field(default_factory=Usage)

    @property
    def verdict(self) -> Verdict:
        """Whether every event came once and in order."""
        return Verdict(**self.got["verdict"])

    @property
    def events(self) -> int:
        """How many events were published."""
        return len(self.published["order"])


class Rig:
    """A subject's server that is running, and the processes that load it."""

    def __init__(self, subject: Subject, ground: Ground | None, server: Server) -> None:
        self.server = server
        self.ground = ground
        self._subject = subject

    @classmethod
    @asynccontextmanager
    async def of(cls, subject: Subject, ground: Ground | None) -> AsyncIterator["Rig"]:
        """Serve ``subject`` on ``ground``."""
        async with _served(subject, ground) as server:
            rig = cls(subject, ground, server)
            await rig.publish(f"{STREAM}-warm-up", events=WARM_UP, workers=1)
            if subject.wire.created:
                await rig.publish(events=0)
            yield rig

    @asynccontextmanager
    async def subscribers(
        self,
        count: int = 1,
        *,
        stream: str = STREAM,
        streams: int = 1,
        after: str = "",
        **task: Any,
    ) -> AsyncIterator[Worker]:
        """Hold ``count`` subscribers, all live; ``after`` is the cursor that they come with.

        Several ``streams`` have a number behind the name.
        """
        headers = dict(self._subject.read_headers)
        if after:
            headers["Last-Event-ID"] = after
        names = [stream] if streams == 1 else [f"{stream}-{number}" for number in range(streams)]
        wire = self._subject.wire
        task |= {"headers": headers, "subscribers": count, "marker": wire.live}
        task |= {"port": self.server.port, "paths": [wire.follow.format(name) for name in names]}
        async with Worker.started("benchmarks.subscribers", task) as worker:
            await worker.ready(READY_SECONDS)
            yield worker

    async def followed(
        self, count: int, publish: Publish, *, timed: int, settle: float = 0.0
    ) -> Followed:
        """Return what ``count`` subscribers got of a publication, ``settle`` seconds after them.

        The latency is that of each ``timed``-th of them; 0 takes none.
        """
        async with self.subscribers(count, timed=timed) as audience:
            await asyncio.sleep(settle)
            before, cpu = await self.usage(), self.server.cpu_seconds()
            published = await publish()
            got = await heard(audience, published["order"])
            used = self.server.cpu_seconds() - cpu
            return Followed(got, published, used, await self.usage() - before)

    async def churned(self, publish: Publish, *, seconds: float) -> dict[str, Any]:
        """Return what clients got of a publication that were cut all the time; see churn."""
        wire, headers = self._subject.wire, dict(self._subject.read_headers)
        task = {"port": self.server.port, "path": wire.follow.format(STREAM), "headers": headers}
        async with Worker.started("benchmarks.churn", task) as worker:
            await worker.ready(READY_SECONDS)
            published = await publish()
            worker.release({"order": published["order"]})
            return await worker.result(RESULT_SECONDS + seconds)

    async def read_back(self, order: list[int], stream: str = STREAM) -> Verdict:
        """Return whether a reader finds in the store what is said to be there."""
        async with self.subscribers(stream=stream) as audience:
            return Verdict(**(await heard(audience, order))["verdict"])

    async def publish(self, stream: str = STREAM, **task: Any) -> dict[str, Any]:
        """Publish over HTTP."""
        headers, wire = dict(self._subject.publish_headers), self._subject.wire
        task |= {"path": wire.publish.format(stream), "port": self.server.port, "headers": headers}
        task |= {"plain": wire.plain, "created": wire.created}
        task.setdefault("pipelined", wire.plain)
        async with Worker.started("benchmarks.publisher", task) as worker:
            return await worker.result(RESULT_SECONDS)

    async def publish_straight(self, **task: Any) -> dict[str, Any]:
        """Publish to the store itself, past the server; see publish_straight below."""
        assert self.ground is not None
        return await publish_straight(self.ground, **task)

    async def poll(self, after: str, times: int) -> None:
        """Ask for the events after a cursor, one request after the other."""
        await self._ask({"Accept": "application/json"}, {"after": after}, times)

    async def look(self, after: str, times: int) -> None:
        """Come back with a cursor, one leg after the other; each must end by plan, and soon."""
        headers = {"Accept": CONTENT_TYPE, "Last-Event-ID": after}
        for answer in await self._ask(headers, {}, times):
            if '"rotate"' not in answer.text:
                raise RuntimeError(f"a leg ended otherwise than by plan: {answer.text[-300:]!r}")

    async def _ask(
        self, headers: Mapping[str, str], params: Mapping[str, str], times: int
    ) -> list[httpx.Response]:
        """Return what that many requests are answered, one after the other."""
        asking = {**headers, **self._subject.read_headers}
        path = self._subject.wire.follow.format(STREAM)
        async with self._client() as client:
            answers = [await client.get(path, params=params, headers=asking) for _ in range(times)]
        return [answer.raise_for_status() for answer in answers]

    async def usage(self) -> Usage:
        """Return what the server has asked of its store; nothing where that is not counted."""
        if not self._subject.app.startswith(f"{metered.__name__}:"):
            return Usage()
        async with self._client() as client:
            answer = await client.get(metered.PATH)
        return Usage.parse(answer.raise_for_status().json())

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.server.port}",
            timeout=ANSWER_SECONDS,
            verify=False,
            trust_env=False,
        )


async def publish_straight(ground: Ground, *, processes: int = 1, **task: Any) -> dict[str, Any]:
    """Publish to the store itself, from other processes than the server, which begin at once.

    Returns the result of one; of several, what they make together.
    """
    task = {"path": "", "stream": STREAM, "workers": 1, "gated": True, "first": 0, **task}
    task |= {"store_url": ground.url, "wakeup_url": ground.wakeup_url}
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                Worker.started(
                    "benchmarks.publisher",
                    {**task, "first": task["first"] + number * APART},
                    ground.environ,
                )
            )
            for number in range(processes)
        ]
        for worker in workers:
            await worker.ready(READY_SECONDS)
        for worker in workers:
            worker.release({})
        patience = RESULT_SECONDS + (task.get("seconds") or 0.0)
        results = [await worker.result(patience) for worker in workers]
    return results[0] if processes == 1 else _together(results)


async def heard(audience: Worker, order: list[int], after: str = "") -> dict[str, Any]:
    """Tell subscribers what was published, after which cursor; return what they got.

    Raises RuntimeError if the server ended a response of theirs.
    """
    audience.release({"order": order, "after": after})
    got = await audience.result(RESULT_SECONDS)
    if got["broken"]:
        raise RuntimeError(f"the server ended {got['broken']} responses")
    return got


def _together(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what publishers at the same time make together: the log's order, and how fast."""
    events = sorted(
        event for result in results for event in zip(result["ids"], result["order"], strict=True)
    )
    seconds = max(r["ended"] for r in results) - min(r["began"] for r in results)
    names = {name for result in results for name in result["usage"]}
    return {
        "ids": [identifier for identifier, _ in events],
        "order": [number for _, number in events],
        "events_per_second": len(events) / seconds,
        "seconds": seconds,
        "late_ms": max(result["late_ms"] for result in results),
        "cpu_seconds": sum(result["cpu_seconds"] for result in results),
        "usage": {name: sum(r["usage"].get(name, 0) for r in results) for name in names},
    }


@asynccontextmanager
async def _served(subject: Subject, ground: Ground | None) -> AsyncIterator[Server]:
    opened = subject.peer() if subject.peer else serving(subject.app, subject.environ(ground))
    async with opened as server:
        yield server


@asynccontextmanager
async def grounded(subject: Subject) -> AsyncIterator[Ground | None]:
    """Start what the subject's store needs, on a fresh directory."""
    with TemporaryDirectory(prefix="lastevent-bench-") as directory:
        async with AsyncExitStack() as stack:
            if subject.ground is None:
                yield None
            else:
                yield await _entered(stack, subject.ground, Path(directory))


async def _entered(stack: AsyncExitStack, ground: Opener, directory: Path) -> Ground:
    # A port that was free when a server chose it may be taken by the time that it listens.
    for attempt in range(STARTS):
        own = directory / str(attempt)
        own.mkdir()
        try:
            return await stack.enter_async_context(ground(own))
        except ServerFailed:
            if attempt == STARTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


@asynccontextmanager
async def fresh(subject: Subject) -> AsyncIterator[Rig]:
    """Serve ``subject`` on a fresh store."""
    async with grounded(subject) as ground, Rig.of(subject, ground) as rig:
        yield rig

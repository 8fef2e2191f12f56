"""The load generator's publisher: one process that appends marked events, paced or saturating.

It gets its task as JSON on the command line and answers with its result, in which ``order`` is the
log's: the publisher's numbers, sorted by the ids that the log gave.

Over HTTP it holds one request on each of several connections, or many on one (pipelined), as a
publisher does that does not wait for answers. Straight to the store, it opens the same store as
the server, whose wake-up then has to cross processes. The result has what it asked of the store.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from time import monotonic, monotonic_ns, process_time

import uvloop

from benchmarks.connection import Caller
from benchmarks.lines import answer, say
from benchmarks.marks import data
from lastevent.core.event import NewEvent
from lastevent.stores.base import Store
from lastevent.stores.url import open_store

TYPE = "note"
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to publish: ``events`` in all, or as many as fit in ``seconds``.

    ``rate`` is in events a second, 0 for as fast as ``workers`` get answers; ``pipelined`` puts all
    of them on one connection. ``plain``: the body of a request is an event's data, and its answer
    tells no id, so that the order is taken to be that of the numbers: there must be one connection.
    ``created``: the stream is made first. With ``store_url`` it publishes to ``stream`` there,
    without the server. ``gated``: it says READY, and begins when it is told to.
    """

    path: str
    port: int = 0
    headers: Mapping[str, str] | None = None
    stream: str = ""
    store_url: str = ""
    wakeup_url: str = ""
    gated: bool = False
    events: int | None = None
    seconds: float | None = None
    rate: float = 0.0
    batch: int = 1
    workers: int = 8
    pipelined: bool = False
    plain: bool = False
    created: bool = False
    first: int = 0


Publish = Callable[[list[int]], Awaitable[list[str]]]
"""Publishes the events of these numbers; returns their ids."""


class Poster:
    """Publishes over one connection; what is asked while an answer is due waits behind it."""

    def __init__(self, task: Task) -> None:
        self._path = task.path
        self._plain = task.plain
        kind = "text/plain" if task.plain else "application/json"
        self._headers = {"Content-Type": kind, **(task.headers or {})}
        self._caller = Caller()

    async def connect(self, port: int) -> None:
        """Open the connection."""
        await self._caller.connect(port)

    async def publish(self, sequences: list[int]) -> list[str]:
        """Post one event, or a list of them; raise RuntimeError unless they are taken."""
        now_ns = monotonic_ns()
        if self._plain:
            posts = [data(sequence, now_ns).encode() for sequence in sequences]
            await asyncio.gather(*(self._post(text) for text in posts))
            return [f"{sequence:020d}" for sequence in sequences]
        events = [{"type": TYPE, "data": data(sequence, now_ns)} for sequence in sequences]
        text = json.dumps(events if len(events) > 1 else events[0]).encode()
        ids: list[str] = json.loads(await self._post(text))["ids"]
        return ids

    async def create(self) -> None:
        """Make the stream, which may be there."""
        await self._caller.ask("PUT", self._path, self._headers, b"")

    async def _post(self, text: bytes) -> bytes:
        return await self._caller.ask("POST", self._path, self._headers, text)


async def over_http(task: Task) -> Sequence[Publish]:
    """Connect; return what each worker publishes with."""
    posters = [Poster(task) for _ in range(1 if task.pipelined else task.workers)]
    for poster in posters:
        await poster.connect(task.port)
    if task.created:
        await posters[0].create()
    return [poster.publish for poster in posters] * (task.workers // len(posters))


def _to(store: Store, stream: str) -> Publish:
    """Return what publishes one batch to ``stream`` in the store itself."""

    async def publish(sequences: list[int]) -> list[str]:
        now_ns = monotonic_ns()
        events = [NewEvent(TYPE, data(sequence, now_ns)) for sequence in sequences]
        return list((await store.log.append(stream, events)).ids)

    return publish


async def straight(task: Task, store: Store) -> Sequence[Publish]:
    """Return what each worker publishes with, once all has been done elsewhere that is done once.

    That is making tables and connections; and a database is told each script that it is to run.
    """
    stream = f"{task.stream}-warm-up"
    elsewhere = _to(store, stream)
    await store.prepare()
    before = (await store.log.describe(stream)).head
    await asyncio.gather(*(elsewhere([0]) for _ in range(task.workers)))
    await store.log.read(stream, (await store.log.read(stream, before, 1)).start)
    await store.wakeup.wait({stream: before}, WARM_UP_SECONDS)
    return [_to(store, task.stream)] * task.workers


async def run(task: Task) -> dict[str, object]:
    """Publish, and return what was published and how fast."""
    if not task.store_url:
        return await _publish(task, await over_http(task), dict)
    store = open_store(task.store_url, wakeup_url=task.wakeup_url or None)
    try:
        return await _publish(task, await straight(task, store), store.usage or dict)
    finally:
        await store.close()


async def _publish(
    task: Task, publishers: Sequence[Publish], usage: Callable[[], Mapping[str, float]]
) -> dict[str, object]:
    if task.gated:
        say("READY")
        if not await asyncio.to_thread(sys.stdin.readline):
            raise RuntimeError("the run was given up")
    ids: dict[str, int] = {}
    before = Counter(usage())
    began = monotonic()
    cpu = process_time()
    late = 0.0
    batches = _batches(task, began)

    async def work(publish: Publish) -> None:
        nonlocal late
        for due, sequences in batches:
            wait = due - monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if task.rate:
                late = max(late, monotonic() - due)
            for identifier, sequence in zip(await publish(sequences), sequences, strict=True):
                ids[identifier] = sequence

    async with asyncio.TaskGroup() as group:
        for publish in publishers:
            group.create_task(work(publish))
    ended = monotonic()
    used = Counter(usage())
    used.subtract(before)
    return {
        "ids": sorted(ids),
        "order": [ids[identifier] for identifier in sorted(ids)],
        "last_id": max(ids, default=""),
        "events_per_second": len(ids) / (ended - began),
        "late_ms": late * 1e3,
        "cpu_seconds": process_time() - cpu,
        "seconds": ended - began,
        "began": began,
        "ended": ended,
        "usage": used,
    }


def _batches(task: Task, began: float) -> Iterator[tuple[float, list[int]]]:
    """Yield when each batch is due, on the monotonic clock, and its numbers."""
    numbers = islice(count(task.first), task.events)
    for place in count():
        due = began + place * task.batch / task.rate if task.rate else monotonic()
        if task.seconds is not None and due >= began + task.seconds:
            return
        sequences = list(islice(numbers, task.batch))
        if not sequences:
            return
        yield due, sequences


def main() -> None:
    answer(uvloop.run(run(Task(**json.loads(sys.argv[1])))))


if __name__ == "__main__":
    main()

"""The load generator's subscribers: one process, an event loop, raw sockets.

It gets its task as JSON on the command line, says READY once every subscriber is live, gets the
log's order as a line on standard input when publishing is over, and answers with its result.

    follow   hold connections and receive what is published
    replay   hold one, which keeps the stream's tail awake; then read a history again and again
"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import starmap
from time import monotonic, monotonic_ns, process_time

import uvloop

from benchmarks.audience import Audience, Subscriber
from benchmarks.connection import Connection, request
from benchmarks.lines import answer, say
from benchmarks.marks import Verdict

CONNECTING = 64
"""Connections being opened at a time."""

CONNECT_SECONDS = 60.0
LINGER_SECONDS = 0.2
"""How long to wait for more than there should be, once everything is there."""

REPLAY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """What to do. ``replays`` counts the histories to read; none means to follow.

    ``paths``: the streams over which the subscribers are spread. ``marker`` comes to one when it is
    live.
    The latency of deliveries is kept of each ``timed``-th subscriber, of nobody when it is 0.
    ``quiet_seconds``: once publishing is over, how long nothing may come before the rest counts as
    lost.
    """

    port: int
    paths: Sequence[str]
    headers: Mapping[str, str]
    marker: str
    subscribers: int = 1
    timed: int = 0
    replays: int = 0
    quiet_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Release:
    """Publishing is over: the publisher's numbers in the log's order, those after ``after``."""

    order: list[int]
    after: str = ""


async def follow(task: Task) -> dict[str, object]:
    """Hold the connections of ``task`` and return what they received."""
    audience = Audience(task.subscribers, task.marker, timed=task.timed)
    broken: list[int | None] = []
    began = monotonic()
    connections = await _connect(task, audience, broken)
    connecting, began = monotonic() - began, process_time()
    order = (await released()).order
    expected = len(order) * task.subscribers
    seen, quiet_since = -1, monotonic_ns()
    while audience.delivered < expected:
        if audience.delivered != seen:
            seen, quiet_since = audience.delivered, monotonic_ns()
        elif monotonic_ns() - quiet_since > task.quiet_seconds * 1e9:
            break
        await asyncio.sleep(0.02)
    cpu = process_time() - began
    if order:
        await asyncio.sleep(LINGER_SECONDS)
    result = {
        "delivered": audience.delivered,
        "seconds": (audience.last_ns - audience.first_published_ns) / 1e9,
        "cpu_seconds": cpu,
        "connecting": connecting,
        "latency": asdict(audience.latency),
        "broken": len(broken),
        "verdict": asdict(audience.verdict(order)),
    }
    for connection in connections:
        connection.close()
    return result


async def _connect(task: Task, audience: Audience, broken: list[int | None]) -> list[Connection]:
    """Open all connections, say READY when each is live, and return them."""
    loop = asyncio.get_running_loop()
    headers = {"Accept": "text/event-stream", **task.headers}
    gate = asyncio.Semaphore(CONNECTING)

    async def connect(number: int, subscriber: Subscriber) -> Connection:
        def end(status: int | None) -> None:
            broken.append(status)
            subscriber.live.set()  # it waits no more

        connection = Connection(
            lambda piece: audience.receive(subscriber, piece, monotonic_ns()), end
        )
        async with gate:
            await loop.create_connection(lambda: connection, "127.0.0.1", task.port)
            path = task.paths[number % len(task.paths)]
            connection.send(request("GET", path, headers))
            await subscriber.live.wait()
        return connection

    async with asyncio.timeout(CONNECT_SECONDS):
        connections = await asyncio.gather(*starmap(connect, enumerate(audience.subscribers)))
    if broken:
        raise RuntimeError(f"the server ended a subscription: status {broken[0]}")
    say("READY")
    return connections


async def replay(task: Task) -> dict[str, object]:
    """Read the history after a cursor ``task.replays`` times.

    Returns the seconds that each took, and those until its first event.
    """
    broken: list[int | None] = []
    keeper = await _connect(task, Audience(1, task.marker, timed=0), broken)
    release = await released()
    verdict = Verdict()
    seconds: list[float] = []
    first: list[float] = []
    for _ in range(task.replays):
        begun, took, audience = await _read_history(task, release.after, len(release.order))
        first.append(begun)
        seconds.append(took)
        verdict += audience.verdict(release.order)
    for connection in keeper:
        connection.close()
    return {"seconds": seconds, "first": first, "verdict": asdict(verdict), "broken": len(broken)}


async def _read_history(task: Task, after: str, events: int) -> tuple[float, float, Audience]:
    """Return the seconds from the request to the first event and to the last, and what came."""
    audience = Audience(1, task.marker, timed=0)
    pieces: list[tuple[bytes, int]] = []
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    tildes = 0

    def keep(piece: bytes) -> None:
        # Looked at later: what is timed here is the server, and not the marks.
        nonlocal tildes
        pieces.append((piece, monotonic_ns()))
        tildes += piece.count(b"~")
        if tildes >= 2 * events and not done.done():
            done.set_result(None)

    def ended(status: int | None) -> None:
        if not done.done():
            done.set_result(None)

    connection = Connection(keep, ended)
    await loop.create_connection(lambda: connection, "127.0.0.1", task.port)
    headers = {"Accept": "text/event-stream", **task.headers}
    if after:
        headers["Last-Event-ID"] = after
    began = monotonic_ns()
    connection.send(request("GET", task.paths[0], headers))
    async with asyncio.timeout(REPLAY_SECONDS):
        await done
    connection.close()
    for piece, now_ns in pieces:
        audience.receive(audience.subscribers[0], piece, now_ns)
    first_ns = next((at for piece, at in pieces if b"~" in piece), began)
    return (first_ns - began) / 1e9, (audience.last_ns - began) / 1e9, audience


async def released() -> Release:
    """Wait for the line that says that publishing is over."""
    line = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise RuntimeError("the run was given up")
    return Release(**json.loads(line))


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    answer(uvloop.run(replay(task) if task.replays else follow(task)))


if __name__ == "__main__":
    main()

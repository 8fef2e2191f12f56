"""Bad days: a store that is away, a client that does not read, a process that goes."""

import asyncio
import socket
import tracemalloc
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, cast

import pytest

from lastevent.core.bounds import Reason
from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import Event, NewEvent
from lastevent.core.extent import Extent
from lastevent.core.leg import Leg, LegPlan
from lastevent.serve import response, tail
from lastevent.serve.reader import Feed, Reader
from lastevent.serve.response import LegResponse
from lastevent.serve.window import Window
from lastevent.stores.base import Appended, Page, Store
from tests.serve.running import Running, Serve, gone, state


class Breakable:
    """A store's log and wake-up with a switch."""

    def __init__(self) -> None:
        self.away = False
        self.reads = 0

    def __call__(self, store: Store) -> Store:
        self._store = store
        return store._replace(log=self, wakeup=self)

    def _look(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is away")

    async def append(self, stream: str, events: Sequence[NewEvent], **how: Any) -> Appended:
        self._look()
        return await self._store.log.append(stream, events, **how)

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        self._look()
        self.reads += 1
        return await self._store.log.read(stream, after, limit)

    async def describe(self, stream: str) -> Extent:
        self._look()
        return await self._store.log.describe(stream)

    async def delete(self, stream: str) -> bool:
        self._look()
        return await self._store.log.delete(stream)

    async def rest(self) -> None:
        await self._store.wakeup.rest()

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        self._look()
        return await self._store.wakeup.wait(cursors, timeout)


async def test_an_event_stream_survives_a_store_that_is_away(serve: Serve) -> None:
    """RULES 18: never a 5xx, which would end a native client for good."""
    switch = Breakable()
    server = await serve(switch)
    ids = await server.publish("s", 1, 2)
    switch.away = True
    async with server.leg("s", Last_Event_ID=ids[0]) as leg:
        assert leg.answer.status_code == 200
        (message,) = await leg.until("error")
        assert state(message)["retry_ms"] == leg.decoder.retry
        assert leg.decoder.retry is not None
        assert leg.decoder.retry >= 1000
        assert message.id == "", "the client keeps the cursor it has"
        assert await leg.next() is None
    switch.away = False
    async with server.leg("s", Last_Event_ID=ids[0]) as leg:
        assert [m.id for m in (await leg.until("live"))[1:-1]] == ids[1:]


async def test_publishers_and_json_get_503(serve: Serve) -> None:
    switch = Breakable()
    server = await serve(switch)
    switch.away = True
    for answer in [
        await server.client.post("/api/streams/s", json={"data": 1}),
        await server.client.get("/api/streams/s", headers={"Accept": "application/json"}),
        await server.client.delete("/api/streams/s"),
    ]:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["title"] == "Store unavailable"
    health = await server.client.get("/api/health")
    assert health.status_code == 503
    assert health.json()["status"] != "ok"


async def test_live_readers_ride_out_a_short_absence(serve: Serve) -> None:
    switch = Breakable()
    server = await serve(switch)
    await server.publish("s", 1)
    async with server.leg("s") as leg:
        await leg.until("live")
        switch.away = True
        await asyncio.sleep(0.5)
        switch.away = False
        ids = await server.publish("s", 2)
        assert [m.id for m in await leg.notes(1)] == ids


async def test_live_readers_are_told_of_a_long_absence(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(tail, "SAFETY_SECONDS", 0.1)
    switch = Breakable()
    server = await serve(switch)
    await server.publish("s", 1)
    async with server.leg("s") as leg:
        await leg.until("live")
        switch.away = True
        await leg.until("error")
        assert await leg.next() is None


async def test_readers_of_a_process_share_one_tail(serve: Serve) -> None:
    """Promise 6: reads do not grow with readers."""
    switch = Breakable()
    server = await serve(switch)
    ids = await server.publish("s", 1)

    async def follow(ready: asyncio.Barrier) -> None:
        async with server.leg("s", Last_Event_ID=ids[0]) as leg:
            await leg.until("live")
            await ready.wait()
            await leg.notes(10)

    barrier = asyncio.Barrier(21)
    readers = [asyncio.create_task(follow(barrier)) for _ in range(20)]
    await barrier.wait()
    before = switch.reads
    for n in range(10):
        await server.publish("s", n)
    await asyncio.gather(*readers)
    assert switch.reads - before <= 25, "each event is read once for all, and hints may be doubled"


async def test_a_page_is_sent_before_the_next_is_read(serve: Serve) -> None:
    class Gated(Breakable):
        async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
            page = await super().read(stream, after, limit)
            if self.reads > 1:
                await gate.wait()
            return page

    gate, switch = asyncio.Event(), Gated()
    server = await serve(switch)
    for _ in range(3):
        await server.publish("s", *range(500))
    async with server.leg("s") as leg:
        await leg.notes(1)
        assert switch.reads <= 2
        gate.set()
        await leg.notes(1499)


async def stalled(
    server: Running, query: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a leg, and do not read it."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(f"GET /api/streams/s{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_a_slow_reader_costs_nobody_else_anything_and_loses_nothing(serve: Serve) -> None:
    server = await serve()
    reader, writer = await stalled(server)
    large, ids = "x" * 100_000, list[str]()
    async with server.leg("s") as leg:
        await leg.until("live")
        for _ in range(120):  # 12 MB: more than sockets, buffers and the window hold
            ids += await server.publish("s", large)
            assert (await leg.notes(1))[0].id == ids[-1]
        waiting = [c for c in server.service.connections if c._owner is not None]
        assert len(waiting) == 1, "its send is suspended, and a task waits for it"
    raw = bytearray()
    async with asyncio.timeout(20):
        while raw.count(b"event: note") < len(ids):
            raw += await reader.read(1 << 20)
    writer.close()
    got = [line[4:].decode() for line in raw.split(b"\n") if line.startswith(b"id: ")]
    # Each note's id once and in order; the leg's own events repeat some.
    assert list(dict.fromkeys(i for i in got if i in set(ids))) == ids
    assert raw.count(b"event: note") == len(ids)
    await gone(server)


async def test_readers_that_stop_within_history_cost_a_piece_each(serve: Serve) -> None:
    """What was read for them of the log is let go of after a while, and read again later."""
    readers = 12
    server = await serve()
    for listening in server.server.servers:
        for own in listening.sockets:  # those that it accepts have it: else the kernel takes 4 MB
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    ids = [id for _ in range(6) for id in await server.publish("s", *["x" * 2000] * 500)]
    async with server.leg("s?from=start") as leg:  # what the first one takes, stays
        await leg.notes(len(ids))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        stopped = [await stalled(server, "?from=start") for _ in range(readers)]
        await asyncio.sleep(0.5)
        async with asyncio.timeout(20):
            used = inf
            while used > readers * 500_000 or len(server.service.connections) < readers:
                await asyncio.sleep(0.1)
                used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    for reader, writer in stopped:
        raw = bytearray()
        async with asyncio.timeout(20):
            while f"id: {ids[-1]}\n".encode() not in raw[-10_000:]:
                raw += await reader.read(1 << 20)
        got = [line[4:].decode() for line in raw.split(b"\n") if line.startswith(b"id: ")]
        assert [id for id in dict.fromkeys(got) if id in set(ids)] == ids
        assert raw.count(b"event: note") == len(ids)
        writer.close()
    await gone(server)


async def test_a_reader_that_never_reads_is_cut_after_its_bound(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(response, "GRACE_SECONDS", 0.2)
    server = await serve(max_leg_seconds=1.0)
    for _ in range(120):
        await server.publish("s", "x" * 100_000)
    _, writer = await stalled(server)
    await asyncio.sleep(0.3)
    assert len(server.service.connections) == 1
    await gone(server)
    writer.transport.abort()
    caplog.clear()  # the server notes that a response was not completed, which is so


async def test_a_reader_that_never_reads_does_not_hold_up_a_shutdown(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response, "GRACE_SECONDS", 0.2)
    server = await serve()
    for _ in range(120):
        await server.publish("s", "x" * 100_000)
    _, writer = await stalled(server)
    await asyncio.sleep(0.3)
    server.service.begin_shutdown()
    async with asyncio.timeout(5):
        await gone(server)
    writer.transport.abort()


async def test_a_shutdown_gives_planned_ends_first(serve: Serve) -> None:
    server = await serve()
    ids = await server.publish("s", 1)
    async with server.leg("s") as live, server.leg("other") as idle:
        await live.until("live")
        await idle.until("live")
        server.service.begin_shutdown()
        for leg in (live, idle):
            message = await leg.next()
            assert state(message)["state"] == "rotate"
            assert leg.decoder.retry is not None
            assert leg.decoder.retry >= 1000, "nothing answers for a while: no short retry"
            assert await leg.next() is None
        assert live.decoder.last_event_id == ids[0]


class SlowTail:
    """A tail whose window holds nothing, of a log that takes its time and has nothing more."""

    stream = "s"
    closed = is_over = False
    epoch = 0
    head = Cursor(1, 9, 9)

    def __init__(self) -> None:
        self.reading = asyncio.Event()
        self.gate = asyncio.Event()

    def run(self, position: Cursor, types: object) -> None:
        return None

    async def read(self, position: Cursor) -> Page:
        self.reading.set()
        await self.gate.wait()
        return Page((), position, position, position, False)

    def join(self, subscriber: object) -> None: ...

    def leave(self, subscriber: object) -> None: ...


class Client:
    """The other side of one response: what was sent, until it is complete."""

    def __init__(self, tail: object, position: Cursor) -> None:
        self.sent: list[Any] = []
        self.released: list[object] = []
        self._over = asyncio.Event()
        self.leg = Leg(LegPlan(("s",), str(position)), asyncio.get_running_loop().time())
        reader = Reader(self.leg, [Feed(cast(Any, tail), position)], None)
        self.response = LegResponse(self.leg, reader, self.released.append)

    async def run(self) -> bytes:
        async with asyncio.timeout(5):
            await self.response.run(self._receive, self._send)
        assert self.sent[0]["type"] == "http.response.start"
        assert self.released == [self.response]
        return b"".join(message["body"] for message in self.sent[1:])

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        if not message.get("more_body", True):
            self._over.set()

    async def _receive(self) -> Any:
        await self._over.wait()
        return {"type": "http.disconnect"}


async def test_a_shutdown_while_the_log_is_read() -> None:
    tail = SlowTail()
    client = Client(tail, Cursor(1, 5, 5))
    client.leg.caught_up(0.0)  # it was live before, and has nothing to say on its own
    running = asyncio.create_task(client.run())
    await tail.reading.wait()
    client.response.end(Reason.SHUTDOWN)
    tail.gate.set()
    assert b'"rotate"' in await running


async def test_a_shutdown_before_the_leg_has_begun() -> None:
    client = Client(SlowTail(), Cursor(1, 5, 5))
    client.response.end(Reason.SHUTDOWN)
    body = await client.run()
    assert body.index(b'"open"') < body.index(b'"rotate"')


class WindowTail:
    """A tail that is awake, and holds what follows sequence 3."""

    stream = "s"
    closed = is_over = False
    epoch = 0

    def __init__(self) -> None:
        self.window = Window(Cursor(1, 3, 3))
        self.joined: list[object] = []

    @property
    def head(self) -> Cursor:
        return self.window.head

    def run(self, position: Cursor, types: Any) -> Any:
        return self.window.run(position, types)

    def extend(self, sequence: int) -> None:
        cursor = Cursor(1, sequence, sequence)
        self.window.extend([Event(str(cursor), "note", f"text {sequence}", 1)], cursor)

    def join(self, subscriber: object) -> None:
        self.joined.append(subscriber)

    def leave(self, subscriber: object) -> None: ...


class Gated(Client):
    """A client that does not read its first piece before it is let."""

    def __init__(self, tail: object, position: Cursor) -> None:
        super().__init__(tail, position)
        self.reached, self.gate = asyncio.Event(), asyncio.Event()

    async def _send(self, message: Any) -> None:
        await super()._send(message)
        if len(self.sent) == 2:
            self.reached.set()
            await self.gate.wait()


async def test_who_has_all_is_told_so_in_one_piece_and_needs_no_task() -> None:
    tail = WindowTail()
    client = Client(tail, tail.head)
    tasks = len(asyncio.all_tasks())
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        while not tail.joined:
            await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks + 1
    _, piece = client.sent
    assert piece["body"].index(b'"open"') < piece["body"].index(b'"live"')
    client.response.end(Reason.SHUTDOWN)
    assert b'"rotate"' in await running


async def test_what_the_window_holds_comes_with_the_first_piece() -> None:
    tail = WindowTail()
    position = tail.head
    tail.extend(4)
    client = Client(tail, position)
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        while not tail.joined:
            await asyncio.sleep(0)
    assert b"text 4" in client.sent[1]["body"]
    client.response.end(Reason.SHUTDOWN)
    body = await running
    assert body.index(b'"open"') < body.index(b"text 4") < body.index(b'"live"')
    assert body.count(b"text 4") == 1


async def test_what_comes_during_the_first_send_follows_it() -> None:
    tail = WindowTail()
    client = Gated(tail, tail.head)
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        await client.reached.wait()
        tail.extend(4)
        assert not tail.joined
        client.gate.set()
        while not tail.joined:
            await asyncio.sleep(0)
    client.response.end(Reason.SHUTDOWN)
    body = await running
    assert body.index(b'"live"') < body.index(b"text 4") < body.index(b'"rotate"')


async def test_a_shutdown_during_the_first_send() -> None:
    tail = WindowTail()
    client = Gated(tail, tail.head)
    running = asyncio.create_task(client.run())
    async with asyncio.timeout(5):
        await client.reached.wait()
    client.response.end(Reason.SHUTDOWN)
    client.gate.set()
    assert b'"rotate"' in await running


async def test_a_defect_is_a_500_that_tells_nothing(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    class Defective(Breakable):
        def _look(self) -> None:
            raise RuntimeError("a secret of the inside")

    server = await serve(Defective())
    answer = await server.client.post("/api/streams/s", json={"data": 1})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "a secret of the inside" in caplog.text

"""Reads that a replica serves, which lags: nothing wrong, and nothing final, comes of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from time import monotonic, time

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.stores.base import Store
from lastevent.stores.hints import Hints
from lastevent.stores.upstash import log as module
from lastevent.stores.upstash.commands import Reply, Word
from lastevent.stores.upstash.log import RedisLog
from lastevent.stores.upstash.rest import Rest
from lastevent.stores.url import open_store
from tests.stores.harness import RETENTION, WAIT_SECONDS, append, notes, texts_after, upstash_url

LAG = 1.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstashServer]:
    """A database with a replica, which serves what only reads."""
    directory = tmp_path_factory.mktemp("replica")
    with UpstashServer(directory, faults=True, durable=False, replica=True) as server:
        yield server


@pytest.fixture
async def two(server: UpstashServer, prefix: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two processes' stores on the same data: one reads, one writes."""
    stores = tuple(open_store(upstash_url(server, prefix), RETENTION) for _ in range(2))
    reader, writer = stores
    yield reader, writer
    await server.lag(0)
    await reader.close()
    await writer.close()


async def told(reader: Store, cursor: Cursor) -> None:
    """Wait until the reader's process has heard that something follows."""
    assert await reader.wakeup.wait({"s": cursor}, WAIT_SECONDS) == {"s"}


async def reads(server: UpstashServer) -> tuple[int, int]:
    """Return how many reads were sent to the primary and to the replica."""
    counts = await server.commands()
    return counts.get("EVALSHA", 0), counts.get("EVALSHA_RO", 0)


async def test_a_replay_is_served_by_replicas(
    server: UpstashServer, two: tuple[Store, Store]
) -> None:
    reader, writer = two
    await append(writer, "s", *range(50))
    await asyncio.sleep(0.1)
    _, before = await reads(server)
    page = await reader.log.read("s", None, 10)
    texts = [event.data for event in page.events]
    while not page.at_end:
        page = await reader.log.read("s", page.cursor, 10)
        texts += [event.data for event in page.events]
    assert texts == [str(n) for n in range(50)]
    assert (await reads(server))[1] - before >= 3, "all pages but the first"


async def test_a_reader_does_not_wait_for_a_replica_that_lags(
    server: UpstashServer, two: tuple[Store, Store]
) -> None:
    reader, writer = two
    cursor = (await append(writer, "s", 1)).cursor
    assert (await reader.log.read("s", None)).cursor == cursor
    waiting = asyncio.create_task(told(reader, cursor))
    await asyncio.sleep(0.3)
    await server.lag(LAG)
    began = monotonic()
    await append(writer, "s", 2)
    await waiting
    assert await texts_after(reader, "s", cursor) == ["2"]
    assert monotonic() - began < LAG

    cursor = (await reader.log.describe("s")).head
    before = await reads(server)
    await append(writer, "s", 3)
    await told(reader, cursor)
    assert await texts_after(reader, "s", cursor) == ["3"]
    assert (await reads(server))[1] == before[1], "the replicas are spared for a while"


async def test_a_page_that_is_behind_what_was_told_is_not_the_end(
    server: UpstashServer, two: tuple[Store, Store]
) -> None:
    """The replica has the next event, yet not the last: a reader would take it for the end."""
    reader, writer = two
    first = (await append(writer, "s", 1)).cursor
    await append(writer, "s", 2)
    assert (await reader.log.read("s", first)).at_end
    await asyncio.sleep(0.1)
    await server.lag(LAG)
    waiting = asyncio.create_task(told(reader, (await reader.log.describe("s")).head))
    await asyncio.sleep(0.3)
    last = (await append(writer, "s", 3, close=True)).cursor
    await waiting
    page = await reader.log.read("s", first)
    assert [event.data for event in page.events] == ["2", "3"]
    assert (page.head, page.closed) == (last, True)


async def test_nothing_final_comes_from_a_replica(
    server: UpstashServer, two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is absent there, or trimmed less, or open still; each read says how it is."""
    monkeypatch.setattr(module, "LAGGING_SECONDS", 0.0)
    reader, writer = two
    await server.lag(LAG)
    extent = await reader.log.describe("s")
    await append(writer, "s", 1)
    await told(reader, extent.head)
    assert await texts_after(reader, "s", extent.head) == ["1"], "not: no such stream"
    cursor = (await reader.log.describe("s")).head

    await writer.log.delete("s")
    await told(reader, cursor)
    page = await reader.log.read("s", cursor)
    assert (page.truncated, page.head.is_after_generation) == (True, True)
    await append(writer, "s", "new", close=True)
    page = await reader.log.read("s", cursor)
    assert page.truncated
    assert [event.data for event in page.events] == ["new"]
    assert page.closed


async def test_a_bookmark_is_never_a_replica_s(
    server: UpstashServer, two: tuple[Store, Store]
) -> None:
    """A pump that goes on from an old one writes again what another has written (RULES 15)."""
    reader, writer = two
    await writer.log.append("s", notes(0), bookmark="0")
    await asyncio.sleep(0.1)
    await server.lag(LAG)
    for n in ("1", "2", "3"):
        await writer.log.append("s", notes(n), bookmark=n)
        assert (await reader.log.describe("s")).bookmark == n


class Wrong:
    """Commands whose replicas read a stream that was deleted and made again, of which nobody else
    knows.
    """

    key_locking = True
    usage: Mapping[str, int] = {}

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.generation = 0

    async def call(self, *words: Word) -> Reply:
        if not str(words[0]).endswith("_RO"):
            return await self._rest.call(*words)
        now = int(time() * 1000)
        outline = f"1 {self.generation} 0 1 9 7 {now} 1 0 0"
        return [outline, 1, 0, 1, [f"{now} 7 note\n\nwrong"]]

    async def close(self) -> None:
        await self._rest.close()


async def test_a_replica_does_not_say_that_history_is_lost(
    server: UpstashServer, prefix: str
) -> None:
    commands = Wrong(Rest(server.url, server.token))
    log = RedisLog(commands, RETENTION, time, prefix)
    log.hints = Hints(log.ends)
    first = (await log.append("s", notes(1))).cursor
    await log.append("s", notes(2))
    commands.generation = first.generation + 1
    page = await log.read("s", first)
    assert ([event.data for event in page.events], page.truncated) == (["2"], False)
    await commands.close()


async def test_a_process_reads_what_it_wrote(
    server: UpstashServer, two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LAGGING_SECONDS", 0.0)
    reader, _ = two
    await server.lag(0.2)
    cursor: Cursor | None = None
    for n in range(5):
        answer = await append(reader, "s", n)
        page = await reader.log.read("s", cursor)
        assert [event.data for event in page.events] == [str(n)]
        assert page.cursor == page.head == answer.cursor
        cursor = page.cursor


async def test_plain_reads_wait_for_what_was_written(server: UpstashServer, prefix: str) -> None:
    rest = Rest(server.url, server.token)
    await server.lag(0.3)
    for n in range(3):
        await rest.call("SET", f"{prefix}n", n)
        assert await rest.call("GET", f"{prefix}n") == str(n)
    await server.lag(0)
    await rest.close()

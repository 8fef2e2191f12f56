"""A log in one store, woken through another: at once when all is well, later when it is not."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path

import pytest
import redis.asyncio

from infra.local.proxy import Proxy
from lastevent.core.errors import ConfigError
from lastevent.stores import combined
from lastevent.stores.base import Store
from lastevent.stores.channel import End
from lastevent.stores.combined import combine
from lastevent.stores.hints import Hints, Timing
from lastevent.stores.url import open_store
from tests.stores.harness import (
    HARNESSES,
    RETENTION,
    WAIT_SECONDS,
    append,
    texts_after,
    upstash_server,
)

QUICK = Timing(safety=0.5, pong=0.3, tick=0.05, retry=0.05)
"""Finds in half a second what by default takes a minute."""

Move = Callable[[Store], Awaitable[object]]
MOVES: dict[str, Move] = {
    "append": lambda store: append(store, "s", 2),
    "close": lambda store: append(store, "s", close=True),
    "delete": lambda store: store.log.delete("s"),
}


class Counted:
    """channel.Ends that counts its looks."""

    def __init__(self, store: Store) -> None:
        assert isinstance(store.wakeup, Hints)
        self.looks = 0
        self._ends = store.wakeup.ends
        store.wakeup.ends = self

    async def __call__(
        self, streams: Collection[str], ping: Collection[str] = ()
    ) -> Mapping[str, End]:
        self.looks += 1
        return await self._ends(streams, ping)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """In front of the store that wakes."""
    proxy = Proxy(upstash_server().store_port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
async def opened() -> AsyncIterator[list[Store]]:
    """Stores to be closed at the end."""
    stores: list[Store] = []
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
def make(tmp_path: Path, opened: list[Store]) -> Callable[[str], Store]:
    """Open a file's store, woken through the one at a URL."""

    def make(wakeup_url: str) -> Store:
        log = open_store(f"sqlite:///{tmp_path}/test.db", RETENTION)
        store = combine(log, open_store(wakeup_url), timing=QUICK)
        opened.append(store)
        return store

    return make


def redis_url(tmp_path: Path, port: int | None = None) -> str:
    port = port or upstash_server().store_port
    return f"redis://127.0.0.1:{port}?prefix={tmp_path.name}:"


async def subscribed(stream: str, prefix: str) -> None:
    """Wait until somebody is subscribed to a stream."""
    channel = f"{prefix}lastevent:{{{stream}}}".encode()
    async with (
        redis.asyncio.Redis(port=upstash_server().store_port, protocol=2) as client,
        asyncio.timeout(WAIT_SECONDS),
    ):
        while (await client.pubsub_numsub(channel))[0][1] == 0:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("log", ["sqlite", "dynamodb"])
@pytest.mark.parametrize("wakeup", ["redis", "upstash"])
async def test_what_moves_elsewhere_is_told_at_once(
    log: str, wakeup: str, move: Move, tmp_path: Path, opened: list[Store]
) -> None:
    data, channel = HARNESSES[log](tmp_path), HARNESSES[wakeup](tmp_path)
    here, there = (open_store(data.url, RETENTION, wakeup_url=channel.url) for _ in range(2))
    opened += [here, there]
    await here.prepare()
    looks = Counted(here)
    end = (await append(here, "s", 1)).cursor
    waiting = asyncio.create_task(here.wakeup.wait({"s": end}, WAIT_SECONDS))
    await subscribed("s", channel.url.partition("?prefix=")[2])
    await asyncio.sleep(0.2)
    assert looks.looks == 1
    await move(there)
    assert await waiting == {"s"}
    assert looks.looks == 1, "a message told it"


async def test_a_safety_look_pings_through_the_other_store(
    tmp_path: Path, make: Callable[[str], Store]
) -> None:
    store = make(redis_url(tmp_path))
    looks = Counted(store)
    end = (await append(store, "s", 1)).cursor
    waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
    await subscribed("s", f"{tmp_path.name}:")
    await asyncio.sleep(2)
    assert 3 <= looks.looks <= 6, "a subscription that were found dead would be made anew"
    waiting.cancel()


async def test_a_lost_announcement_is_found(
    tmp_path: Path, make: Callable[[str], Store], proxy: Proxy
) -> None:
    here = make(redis_url(tmp_path))
    there = make(redis_url(tmp_path, proxy.port))
    end = (await append(here, "s", 1)).cursor
    waiting = asyncio.create_task(here.wakeup.wait({"s": end}, WAIT_SECONDS))
    await subscribed("s", f"{tmp_path.name}:")
    proxy.cut()
    await append(there, "s", 2)
    assert await waiting == {"s"}
    assert await texts_after(here, "s") == ["1", "2"]


@pytest.mark.parametrize("trouble", ["cut", "silence"])
async def test_appends_wait_for_no_trouble_of_the_other_store(
    tmp_path: Path, make: Callable[[str], Store], proxy: Proxy, trouble: str
) -> None:
    store = make(redis_url(tmp_path, proxy.port))
    await append(store, "s", "before")
    getattr(proxy, trouble)()
    began = time.monotonic()
    await asyncio.gather(*(append(store, f"s:{n % 10}", n) for n in range(100)))
    for n in range(20):
        await append(store, "in-order", n)
    assert time.monotonic() - began < combined.ANNOUNCE_SECONDS + 3, "only the first has waited"
    waiting = asyncio.create_task(
        store.wakeup.wait({"s": (await append(store, "s", 1)).cursor}, WAIT_SECONDS)
    )
    await asyncio.sleep(0.1)
    await append(store, "s", 2)
    assert await waiting == {"s"}
    proxy.restore()
    assert await texts_after(store, "s") == ["before", "1", "2"]


async def test_own_appends_need_no_message(
    tmp_path: Path, proxy: Proxy, opened: list[Store]
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/test.db", wakeup_url=redis_url(tmp_path, proxy.port))
    opened.append(store)
    end = (await append(store, "s", 1)).cursor
    waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
    await subscribed("s", f"{tmp_path.name}:")
    await asyncio.sleep(0.2)
    proxy.silence()
    await append(store, "s", 2)
    assert await waiting == {"s"}


async def test_announcements_of_one_stream_are_put_together(
    tmp_path: Path, make: Callable[[str], Store]
) -> None:
    store = make(redis_url(tmp_path))
    await append(store, "s", "first")
    await asyncio.gather(*(append(store, "s", n) for n in range(200)))
    head = (await store.log.describe("s")).head
    assert store.usage is not None
    assert store.usage()["PUBLISH"] < 50
    # The last that was told is the end: a wait there is a wait.
    assert await store.wakeup.wait({"s": head}, 0.3) == frozenset()


async def test_who_is_cancelled_takes_no_announcement_along(
    tmp_path: Path, make: Callable[[str], Store], proxy: Proxy
) -> None:
    here, there = make(redis_url(tmp_path)), make(redis_url(tmp_path, proxy.port))
    await append(there, "s", 1)
    end = (await here.log.describe("s")).head
    waiting = asyncio.create_task(here.wakeup.wait({"s": end}, WAIT_SECONDS))
    await subscribed("s", f"{tmp_path.name}:")
    proxy.delay = 0.2
    first = asyncio.create_task(append(there, "s", 2))
    while (await here.log.describe("s")).head == end:
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await waiting == {"s"}


# The connections of a loop that has ended are closed when they are collected, which is said then.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_another_event_loop(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/test.db", wakeup_url=redis_url(tmp_path))

    async def use(text: str) -> None:
        end = (await store.log.describe("s")).head
        waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
        await asyncio.sleep(0.1)
        await append(store, "s", text)
        assert await waiting == {"s"}
        if text == "last":
            await store.close()

    for text in ("first", "second", "last"):
        asyncio.run(use(text))
    gc.collect()


@pytest.mark.parametrize("url", ["memory://", "sqlite:///other.db", "dynamodb://table"])
def test_a_store_that_tells_nobody_cannot_wake(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot tell"):
        open_store("memory://", wakeup_url=url)


async def test_it_is_the_log_with_another_name(
    tmp_path: Path, make: Callable[[str], Store]
) -> None:
    store = make(redis_url(tmp_path))
    assert store.name == "sqlite+redis"
    assert store.durable and store.shared
    assert store.channel is None, "who waits for this log is told through the other"

"""Wake-ups over the REST API from end to end: what they cost, and what happens when they fail."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.stores.base import Store
from lastevent.stores.hints import Hints, Timing
from lastevent.stores.url import open_store
from tests.stores.harness import RETENTION, WAIT_SECONDS, append

QUICK = Timing(safety=0.6, pong=0.3, tick=0.05, retry=0.05)
"""Finds in half a second what by default takes a minute."""


@pytest.fixture
async def upstash(upstash: UpstashServer) -> AsyncIterator[UpstashServer]:
    yield upstash
    await upstash.mute_subscriptions(False)


@pytest.fixture
async def hints(store: Store) -> AsyncIterator[Hints]:
    """Another process's wake-up on the data of ``store``."""
    assert isinstance(store.wakeup, Hints) and store.channel is not None
    hints = Hints(store.wakeup.ends, store.channel.push, timing=QUICK)
    yield hints
    await hints.close()


def waiting(hints: Hints, stream: str, cursor: Cursor) -> "asyncio.Task[frozenset[str]]":
    return asyncio.create_task(hints.wait({stream: cursor}, WAIT_SECONDS))


async def test_at_rest_and_in_motion_it_costs_no_command_but_the_writers(
    upstash: UpstashServer, url: str
) -> None:
    here, there = open_store(url, RETENTION), open_store(url, RETENTION)
    ends = {f"s:{n}": (await append(there, f"s:{n}", 0)).cursor for n in range(50)}
    tasks = {
        name: asyncio.create_task(here.wakeup.wait({name: end}, WAIT_SECONDS))
        for name, end in ends.items()
    }
    await asyncio.sleep(1)
    before = await upstash.commands()
    for name in ends:
        await append(there, name, 1)
        assert await tasks[name] == {name}
    await asyncio.sleep(1)
    spent = {
        name: count - before.get(name, 0)
        for name, count in (await upstash.commands()).items()
        if count > before.get(name, 0)
    }
    assert spent == {"EVALSHA": len(ends)}, "the appends alone"
    await here.close()
    await there.close()


async def test_an_append_during_each_cut(
    upstash: UpstashServer, store: Store, hints: Hints
) -> None:
    cursor = (await append(store, "s", 0)).cursor
    for n in range(10):
        task = waiting(hints, "s", cursor)
        await asyncio.sleep(0.05 * n / 2)
        await upstash.cut_subscriptions()
        cursor = (await append(store, "s", n)).cursor
        assert await task == {"s"}


async def test_a_half_open_subscription(upstash: UpstashServer, store: Store, hints: Hints) -> None:
    cursor = (await append(store, "s", 0)).cursor
    task = waiting(hints, "s", cursor)
    await asyncio.sleep(0.3)
    await upstash.mute_subscriptions()
    cursor = (await append(store, "s", 1)).cursor
    assert await task == {"s"}, "a look finds what the message did not tell"
    task = waiting(hints, "s", cursor)
    before = (await upstash.commands())["SUBSCRIBE"]
    async with asyncio.timeout(WAIT_SECONDS):
        while (await upstash.commands())["SUBSCRIBE"] == before:
            await asyncio.sleep(0.05)
    await append(store, "s", 2)
    assert await task == {"s"}


async def test_subscriptions_refused_for_ever(
    upstash: UpstashServer, store: Store, hints: Hints
) -> None:
    await upstash.fault("status", status=429, commands=["SUBSCRIBE"])
    cursor = (await append(store, "s", 0)).cursor
    for n in range(5):
        task = waiting(hints, "s", cursor)
        await asyncio.sleep(0.2)
        cursor = (await append(store, "s", n)).cursor
        assert await task == {"s"}


async def test_a_store_at_rest_gives_no_hint_whatever_fails(
    upstash: UpstashServer, store: Store, hints: Hints
) -> None:
    cursor = (await append(store, "s", 0)).cursor
    await upstash.fault("status", status=503, commands=["SUBSCRIBE"], probability=0.5, seed=3)
    task = waiting(hints, "s", cursor)
    for _ in range(10):
        await asyncio.sleep(0.1)
        await upstash.cut_subscriptions()
    assert not task.done()
    task.cancel()

"""A tail's passes: when they come, and what they share."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from lastevent.core.event import NewEvent
from lastevent.serve.tail import GATHERING_SECONDS, SLICE, Tail
from lastevent.serve.tally import Tally
from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.url import open_store

STREAM = "s"


class Counter:
    """A subscriber that counts how often it was driven, and knows how far the tail was then."""

    def __init__(self, tail: Tail) -> None:
        self.tail = tail
        self.seen = [0]

    def advance(self) -> None:
        self.seen.append(self.tail.head.sequence)

    def trouble(self) -> None:
        raise AssertionError("there is no trouble")


class Defective(Counter):
    def advance(self) -> None:
        raise RuntimeError("a defect")


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = open_store("memory://", RetentionRules())
    await append(store)
    yield store
    await store.close()


@pytest.fixture
async def tail(store: Store) -> AsyncIterator[Tail]:
    tail = Tail(STREAM, store, None, Tally())
    await tail.ready()
    yield tail
    tail.stop()


async def append(store: Store) -> None:
    await store.log.append(STREAM, [NewEvent("message", "x")])


async def seen(reader: Counter, sequence: int) -> None:
    async with asyncio.timeout(5):
        while reader.seen[-1] < sequence:
            await asyncio.sleep(0)


async def test_an_event_that_comes_alone_comes_at_once(store: Store, tail: Tail) -> None:
    reader = Counter(tail)
    tail.join(reader)
    for n in range(3):
        await asyncio.sleep(2 * GATHERING_SECONDS)
        await append(store)
        for _ in range(4):  # turns of the loop, without any time
            await asyncio.sleep(0)
        assert reader.seen[-1] == n + 2


async def test_events_that_crowd_share_a_pass(store: Store, tail: Tail) -> None:
    reader = Counter(tail)
    tail.join(reader)
    for _ in range(200):
        await append(store)
        await asyncio.sleep(0)
    await seen(reader, 201)
    assert len(reader.seen) < 50


async def test_who_comes_while_a_read_is_put_off_waits_for_it(store: Store, tail: Tail) -> None:
    tail.join(Counter(tail))
    await asyncio.sleep(2 * GATHERING_SECONDS)
    for sequence in (2, 3):  # the first is read at once
        await append(store)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await tail.ready()
        assert tail.head.sequence == sequence


async def test_nobody_shares_so_nothing_is_put_off(store: Store, tail: Tail) -> None:
    reader = Counter(tail)
    tail.join(reader)
    await append(store)
    await seen(reader, 2)
    tail.leave(reader)
    for sequence in range(3, 6):
        await append(store)
        for _ in range(4):
            await asyncio.sleep(0)
        assert tail.head.sequence == sequence


async def test_others_have_their_turn_during_a_long_pass(store: Store, tail: Tail) -> None:
    crowd = [Counter(tail) for _ in range(3 * SLICE)]
    for reader in crowd:
        tail.join(reader)
    served: list[int] = []
    await append(store)
    async with asyncio.timeout(5):
        while not served or served[-1] < len(crowd):
            await asyncio.sleep(0)
            served.append(sum(reader.seen[-1] == 2 for reader in crowd))
    assert {SLICE, 2 * SLICE} <= set(served)


async def test_who_joins_or_leaves_during_a_pass(store: Store, tail: Tail) -> None:
    first, last, left, joined = (Counter(tail) for _ in range(4))
    crowd = [first, *(Counter(tail) for _ in range(SLICE)), left, last]
    for reader in crowd:
        tail.join(reader)
    await append(store)
    await seen(first, 2)
    assert left.seen == [0]
    tail.leave(left)
    tail.join(joined)
    await seen(last, 2)
    assert left.seen == [0]
    await append(store)
    await seen(joined, 3)


async def test_a_defect_of_one_leg_stops_no_other(
    store: Store, tail: Tail, caplog: pytest.LogCaptureFixture
) -> None:
    reader = Counter(tail)
    for it in (Defective(tail), reader):
        tail.join(it)
    with caplog.at_level(logging.ERROR, "lastevent"):
        await append(store)
        await seen(reader, 2)
        await append(store)
        await seen(reader, 3)
    assert [it.getMessage() for it in caplog.records] == ["a leg of s failed"]

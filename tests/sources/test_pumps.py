"""Of all the processes that watch a stream one pumps it, and another goes on when that one ends."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lastevent.core.errors import UpstreamLost, UpstreamRefused
from lastevent.core.event import NewEvent
from lastevent.sources import keeper as module
from lastevent.sources.base import Batch, Source
from lastevent.sources.keeper import Live
from lastevent.sources.pumps import Pumps
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.sources.processes import WAIT_SECONDS, until
from tests.sources.scripted import Numbers, Scripted, notes
from tests.sources.trouble import Trouble

STREAM = "source:1"
LEASE_SECONDS = 0.6


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDBY_SECONDS", 1.0)


@contextlib.asynccontextmanager
async def process(store: Store, **options: float) -> AsyncIterator[Pumps]:
    """One of the processes that share a store."""
    pumps = Pumps(store, lease_seconds=LEASE_SECONDS, **options)
    try:
        yield pumps
    finally:
        await pumps.aclose()
        assert pumps._keepers == {}


def live(source: Source | Callable[[], Source], **options: float) -> Live:
    make = source if callable(source) else lambda: source
    return Live(STREAM, "numbers", make, **options)


def slow(count: int = 1000) -> Numbers:
    return Numbers(count, size=1, pause=0.01)


async def texts(store: Store) -> list[str]:
    page = await store.log.read(STREAM, None, 1000)
    return [event.data for event in page.events if event.type == "note"]


async def is_closed(store: Store) -> bool:
    return (await store.log.describe(STREAM)).closed


async def closes(store: Store) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await is_closed(store):
            await asyncio.sleep(0.01)


async def has(store: Store, count: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await texts(store)) < count:
            await asyncio.sleep(0.01)


def numbers(count: int) -> list[str]:
    return [str(n) for n in range(count)]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_who_watches_has_it_pumped(store: Store) -> None:
    source = slow(20)
    async with process(store) as pumps, pumps.watch(live(source)):
        await closes(store)
    assert await texts(store) == numbers(20)
    assert source.open == 0


async def test_ten_viewers_in_three_processes_are_one_connection(store: Store) -> None:
    source = slow(60)
    async with contextlib.AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(process(store)) for _ in range(3)]
        for n in range(10):
            await stack.enter_async_context(processes[n % 3].watch(live(source)))
        await closes(store)
    assert source.most == 1
    assert await texts(store) == numbers(60)


async def test_it_is_over_for_all_who_wait(store: Store) -> None:
    """Nobody asks on for the lease of a stream that is closed."""
    async with (
        process(store) as one,
        process(store) as two,
        one.watch(live(slow(10))),
        two.watch(live(slow(10))),
    ):
        await closes(store)
        await until(lambda: not one._keepers and not two._keepers)


async def test_a_viewer_between_two_legs_keeps_it(store: Store) -> None:
    source = slow()
    async with process(store, linger_seconds=0.3) as pumps:
        for _ in range(5):
            async with pumps.watch(live(source)):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
        assert source.open == 1
        assert source.most == 1
        await until(lambda: source.open == 0, "the end of its lingering")
    assert await store.leases.acquire(STREAM, "another", 1)


async def test_what_cannot_be_told_again_is_not_left_alone(store: Store) -> None:
    source = slow(60)
    source.replays = "none"
    async with process(store, linger_seconds=0.1) as pumps:
        async with pumps.watch(live(source)):
            await has(store, 1)
        await closes(store)
    assert await texts(store) == numbers(60)


async def test_where_a_process_may_freeze_it_ends_with_the_last_viewer(store: Store) -> None:
    source = slow()
    async with process(store) as pumps:
        async with pumps.watch(live(source), now() + 60):
            async with pumps.watch(live(source), now() + 60):
                await has(store, 1)
            assert source.open == 1
            assert not await store.leases.acquire(STREAM, "another", 1)
        assert source.open == 0
        assert await store.leases.acquire(STREAM, "another", 1)


async def test_and_a_little_before_its_planned_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response ends with a byte, and after that byte the process may be frozen (RULES 17)."""
    monkeypatch.setattr(module, "LEAD_SECONDS", 1.0)
    source = slow()
    async with process(store) as pumps:
        ends = now() + 2.0
        async with pumps.watch(live(source), ends - 0.5), pumps.watch(live(source), ends):
            await has(store, 1)
            while not await store.leases.acquire(STREAM, "another", 1):
                await asyncio.sleep(0.01)
            assert source.open == 0
            assert ends - 1.1 <= now() < ends


async def test_who_comes_while_it_lets_go_begins_anew(store: Store) -> None:
    source = slow(40)
    async with process(store) as pumps, pumps.watch(live(source), now() + 60):
        await has(store, 3)
        leaving = pumps._keepers[STREAM]
        leaving.leave()
        async with pumps.watch(live(source), now() + 60):
            assert leaving._task
            await asyncio.wait([leaving._task])
            assert STREAM in pumps._keepers, "its successor went with it"
            await closes(store)
    assert await texts(store) == numbers(40)
    assert source.most == 1


async def test_a_planned_end_hands_over_soon(store: Store) -> None:
    source = slow(100)
    async with process(store) as two:
        async with process(store) as one, one.watch(live(source), now() + 60):
            await has(store, 3)
            waiting = two.watch(live(source), now() + 60)
            await waiting.__aenter__()
            await asyncio.sleep(0.2)
            assert source.most == 1
        handed = now()
        await until(lambda: source.open == 1)
        assert now() - handed < LEASE_SECONDS, "the lease was not let go"
        await closes(store)
        await waiting.__aexit__(None, None, None)
    assert await texts(store) == numbers(100)


async def test_a_dead_process_is_replaced(store: Store) -> None:
    source = slow(60)
    async with process(store) as two:
        dead = Pumps(store, lease_seconds=LEASE_SECONDS)
        await dead.watch(live(source)).__aenter__()
        await has(store, 3)
        keeper = dead._keepers[STREAM]
        pump = keeper._pump
        assert keeper._task and pump
        async with two.watch(live(source)):
            await asyncio.sleep(0.2)
            pump._host.release = nothing  # type: ignore[method-assign]
            keeper._task.cancel()
            await asyncio.wait([keeper._task])
            assert source.open == 0
            await closes(store)
    assert await texts(store) == numbers(60)


async def nothing() -> None:
    """A process that is killed lets go of nothing."""


@pytest.fixture
def asks(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    names: list[str] = []
    acquire = store.leases.acquire

    async def counting(name: str, *arguments: Any) -> Any:
        names.append(name)
        return await acquire(name, *arguments)

    monkeypatch.setattr(store.leases, "acquire", counting)
    yield names


async def test_one_of_those_who_wait_asks_often(
    store: Store, asks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STANDBY_SECONDS", 3.0)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            pumps = await stack.enter_async_context(process(store))
            await stack.enter_async_context(pumps.watch(live(slow())))
        await asyncio.sleep(0.5)
        asks.clear()
        await asyncio.sleep(1.5)
        # One at 0.15 s, nine at 1.5 to 3 s; all of them at 0.15 s would be 90.
        assert asks.count(STREAM) <= 10 + 9
        assert asks.count(STREAM) >= 5


async def test_standing_by_costs_little_more(store: Store, asks: list[str]) -> None:
    async with (
        process(store) as one,
        process(store) as two,
        one.watch(live(slow())),
        two.watch(live(slow())),
    ):
        await asyncio.sleep(1.5)
        # The one for each third of its length, the other at each pause.
        assert asks.count(f"{STREAM}/standby") <= asks.count(STREAM) / 2 + 1


async def test_no_more_than_one_stands_by(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STANDBY_SECONDS", 0.4)
    async with contextlib.AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(process(store)) for _ in range(5)]
        for pumps in processes:
            await stack.enter_async_context(pumps.watch(live(slow())))
        await asyncio.sleep(1.5)
        assert sum(pumps._keepers[STREAM]._standby is not None for pumps in processes) == 1


async def test_who_pumps_stands_by_no_longer(store: Store) -> None:
    async with process(store) as one, process(store) as two:
        async with one.watch(live(slow()), now() + 60):
            await has(store, 1)
            waiting = two.watch(live(slow()))
            await waiting.__aenter__()
            await until(lambda: two._keepers[STREAM]._standby)
        await until(lambda: two._keepers[STREAM]._pump)
        assert await store.leases.acquire(f"{STREAM}/standby", "another", 1)
        await waiting.__aexit__(None, None, None)


async def test_who_comes_has_it_asked_at_once(store: Store) -> None:
    """The viewer may be the one whose process has just let go, and come back to this one."""
    source = slow()
    lease = await store.leases.acquire(STREAM, "another", 60)
    assert lease
    assert await store.leases.acquire(f"{STREAM}/standby", "another", 60)
    async with process(store) as pumps, pumps.watch(live(source)):
        await asyncio.sleep(0.2)
        await store.leases.release(lease)
        began = now()
        async with pumps.watch(live(source)):
            await until(lambda: source.open)
        assert now() - began < module.STANDBY_SECONDS / 2


async def test_who_leaves_while_the_source_is_made_reads_nothing(store: Store) -> None:
    source = Scripted([[notes(1)]])

    def make() -> Source:
        pumps._keepers[STREAM].leave()
        return source

    async with process(store) as pumps, pumps.watch(live(make)):
        await until(lambda: not pumps._keepers)
    assert source.positions == []


async def test_who_stands_by_is_replaced_too(store: Store) -> None:
    source = slow(200)
    async with contextlib.AsyncExitStack() as stack:
        first, middle, last = [await stack.enter_async_context(process(store)) for _ in range(3)]
        for pumps in (first, middle, last):
            await stack.enter_async_context(pumps.watch(live(source)))
            await asyncio.sleep(0.1)
        await first.rest()
        await has(store, len(await texts(store)) + 3)
        await middle.rest()
        await has(store, len(await texts(store)) + 3)
        await last.rest()
    assert source.open == 0
    found = await texts(store)
    assert found == numbers(len(found))


@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_come_and_go(store: Store, seed: int) -> None:
    """Promise 1: every one once, in order, however often the lease moves."""
    chance = random.Random(seed)
    source = Numbers(300, size=3, pause=0.005)

    def cut() -> None:
        if chance.random() < 0.05:
            raise UpstreamLost("cut")

    source.trouble = cut

    async def come_and_go() -> None:
        while not await is_closed(store):
            async with process(store) as pumps:
                ends = chance.choice((None, now() + 0.3))
                async with pumps.watch(live(source), ends):
                    await asyncio.sleep(chance.uniform(0.05, 0.4))

    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(come_and_go() for _ in range(3)))
    assert await texts(store) == numbers(300)


async def test_trouble_with_the_store_is_waited_out(store: Store) -> None:
    trouble = Trouble()
    source = slow(10)
    async with process(trouble.over(store)) as pumps:
        trouble.before = 3
        async with pumps.watch(live(source)):
            await closes(store)
    assert trouble.met == 3
    assert await texts(store) == numbers(10)


async def test_a_source_that_cannot_be_made_is_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> Source:
        raise ZeroDivisionError

    async with process(store) as pumps, pumps.watch(live(make)):
        await until(lambda: not pumps._keepers)
    assert "is not pumped here any more" in caplog.text
    assert await store.leases.acquire(STREAM, "another", 1), "the lease was let go"


# What others left undone.


async def test_what_was_begun_is_known_until_it_is_over(store: Store) -> None:
    async with process(store) as pumps:
        async with pumps.watch(live(slow(20)), now() + 60):
            await has(store, 1)
            assert await pumps.unfinished() == [(STREAM, "numbers")]
        assert await pumps.unfinished() == [(STREAM, "numbers")]
        assert await pumps.finish(live(slow(20)), 60) == "over"
        assert await pumps.unfinished() == []
    assert await texts(store) == numbers(20)


async def test_finishing_takes_no_longer_than_it_may(store: Store) -> None:
    source = slow()
    async with process(store) as pumps:
        await pumps.register(live(source))
        assert await pumps.finish(live(source), 0.3) == "unfinished"
        assert source.open == 0
        assert await pumps.unfinished() == [(STREAM, "numbers")]
        assert await texts(store)


async def test_what_is_pumped_is_left_alone(store: Store) -> None:
    source = slow()
    async with process(store) as one, process(store) as two, one.watch(live(source)):
        await has(store, 1)
        assert await one.finish(live(source), 60) == "elsewhere"
        assert await two.finish(live(source), 60) == "elsewhere"
    assert source.most == 1


async def test_what_was_closed_meanwhile_is_over(store: Store) -> None:
    async with process(store) as pumps:
        await pumps.register(live(slow()))
        await store.log.append(STREAM, [], close=True)
        source = Scripted([[notes(1)]])
        assert await pumps.finish(live(source), 60) == "over"
        assert source.positions == []
        assert await pumps.unfinished() == []


async def test_what_nobody_can_make_again_is_given_up(store: Store) -> None:
    async with process(store) as pumps:
        await pumps.register(live(slow()))
        await pumps.give_up(STREAM)
        assert await pumps.unfinished() == []


# Logs that are fetched again.


async def test_a_log_that_has_expired_is_forgotten_and_fetched_again(store: Store) -> None:
    async with process(store) as pumps:
        assert not await pumps.forget(STREAM, 0.0), "there is none"
        assert await pumps.finish(live(Scripted([[notes(1)]])), 60) == "over"
        assert not await pumps.forget(STREAM, 60.0), "it is too young"
        assert await pumps.forget(STREAM, 0.0)
        assert await texts(store) == []
        source = Scripted([[notes(1, 2)]])
        assert await pumps.finish(live(source), 60) == "over"
        assert source.positions == [None]
        assert await texts(store) == ["1", "2"]


async def test_what_is_being_fetched_again_is_not_forgotten(store: Store) -> None:
    async with process(store) as pumps:
        await store.log.append(STREAM, [NewEvent("note", "1")])
        assert not await pumps.forget(STREAM, 0.0), "it is not closed"
        await store.log.append(STREAM, [], close=True)
        assert await store.leases.acquire(STREAM, "another", 60)
        assert not await pumps.forget(STREAM, 0.0), "another is at it"
    assert await texts(store) == ["1"]


async def test_a_source_that_failed_is_tried_again(store: Store) -> None:
    refused = Scripted([[notes(1), UpstreamRefused("no such job")]])
    async with process(store) as pumps:
        assert not await pumps.retry(STREAM, 0.0), "there is none"
        assert await pumps.finish(live(refused), 60) == "over"
        assert not await pumps.retry(STREAM, 60.0), "it is too young"
        assert await pumps.retry(STREAM, 0.0)
        assert await pumps.finish(live(Scripted([[notes(2)]])), 60) == "over"
        assert not await pumps.retry(STREAM, 0.0), "it did not fail"
    assert await texts(store) == ["2"]


async def test_who_was_slow_to_forget_looks_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look and its lease another had forgotten, and begun to fetch again."""
    acquire = store.leases.acquire

    async def late(*arguments: Any) -> Any:
        await store.log.delete(STREAM)
        await store.log.append(STREAM, [NewEvent("note", "anew")])
        return await acquire(*arguments)

    await store.log.append(STREAM, [NewEvent("note", "old")], close=True)
    monkeypatch.setattr(store.leases, "acquire", late)
    async with process(store) as pumps:
        assert not await pumps.forget(STREAM, 0.0)
    assert await texts(store) == ["anew"]


async def test_a_process_that_ends_takes_nobody_in(store: Store) -> None:
    source = Scripted([[Batch(), 60.0]])
    pumps = Pumps(store, lease_seconds=LEASE_SECONDS)
    await pumps.aclose()
    async with pumps.watch(live(source)):
        await asyncio.sleep(0.1)
        assert source.open == 0
    await pumps.aclose()

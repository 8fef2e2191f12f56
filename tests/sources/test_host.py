"""A host is the only one who writes its stream, and has patience with the store."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lastevent.core.errors import Fenced, StoreUnavailable, StreamClosed, Transient
from lastevent.core.event import NewEvent
from lastevent.sources import lease as module
from lastevent.sources.host import Host
from lastevent.sources.lease import patiently
from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.memory import open_url
from tests.sources.processes import WAIT_SECONDS, until
from tests.sources.trouble import Trouble

STREAM = "source:1"
LEASE_SECONDS = 0.15
"""Renewed each third of this, so that tests need not wait for long."""


class Clock:
    """The store's time, which a test moves."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return open_url("memory://", RetentionRules(), clock)


def host(store: Store, **options: float) -> Host:
    return Host(store, STREAM, **{"lease_seconds": LEASE_SECONDS, **options})


@contextlib.asynccontextmanager
async def held(one: Host) -> AsyncIterator[asyncio.Event]:
    """Hold the lease; the event is set when it is lost."""
    lost = asyncio.Event()
    async with one.holding(lost.set):
        yield lost


async def texts(store: Store) -> list[str]:
    return [event.data for event in (await store.log.read(STREAM, None)).events]


def note(text: object) -> list[NewEvent]:
    return [NewEvent("note", str(text))]


async def wait(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), WAIT_SECONDS)


async def test_it_writes_its_token_before_anything_else(store: Store) -> None:
    """Or a paused host's late append would still fit before the new one's first (RULES 14)."""
    late, new = host(store), host(store)
    assert await late.acquire()
    await late.append(note(1))
    assert late._lease
    await store.leases.release(late._lease)
    assert await new.acquire()
    with pytest.raises(Fenced):
        await late.append(note(2))
    assert await texts(store) == ["1"]


async def test_one_host_at_a_time(store: Store, clock: Clock) -> None:
    first, second = host(store), host(store)
    assert await first.acquire()
    assert not await second.acquire()
    clock.now += LEASE_SECONDS + 1
    assert await second.acquire()
    assert not await host(store).acquire()
    with pytest.raises(Fenced):
        await first.append(note(1))
    await second.append(note(2))
    assert await texts(store) == ["2"]


async def test_it_tells_where_the_stream_stands(store: Store) -> None:
    one, two = host(store), host(store)
    found = await one.acquire()
    assert found and found.bookmark is None
    await one.append(note(1), bookmark="after 1")
    await one.append(note(2))
    await one.release()
    found = await two.acquire()
    assert found and found.bookmark == "after 1"
    assert found.head.sequence == 2


async def test_a_stream_that_is_closed_needs_no_host(store: Store) -> None:
    await store.log.append(STREAM, note(1), close=True)
    extent = await host(store).acquire()
    assert extent and extent.closed
    assert await store.leases.acquire(STREAM, "another", 1), "the lease was let go"


async def test_it_renews_its_lease_and_lets_go(store: Store, clock: Clock) -> None:
    one = host(store)
    assert await one.acquire()
    async with held(one) as lost:
        for _ in range(10):
            await asyncio.sleep(LEASE_SECONDS / 2)
            clock.now += LEASE_SECONDS / 2
            assert await store.leases.acquire(STREAM, "another", 1) is None
        assert not lost.is_set()
    assert await store.leases.acquire(STREAM, "another", 1)
    with pytest.raises(Fenced):
        await one.append(note(1))


async def test_who_loses_the_lease_is_told(store: Store, clock: Clock) -> None:
    one = host(store)
    assert await one.acquire()
    async with held(one) as lost:
        clock.now += LEASE_SECONDS + 1
        other = host(store, lease_seconds=60)
        assert await other.acquire()
        await wait(lost)
        with pytest.raises(Fenced):
            await one.append(note(1))
    assert await texts(store) == []
    assert not await host(store).acquire(), "the other's lease was not let go"


async def test_a_lease_that_ran_out_is_taken_again_if_it_is_free(
    store: Store, clock: Clock
) -> None:
    """As after the store was away: nobody took over, so nothing is lost."""
    one = host(store)
    assert await one.acquire()
    async with held(one) as lost:
        await one.append(note(1), bookmark="1")
        before = one._lease
        clock.now += LEASE_SECONDS + 1
        await until(lambda: one._lease is not before, "another lease")
        assert await store.leases.acquire(STREAM, "another", 1) is None
        await one.append(note(2), bookmark="2")
        assert not lost.is_set()
    assert await texts(store) == ["1", "2"]


@pytest.mark.parametrize("close", [False, True])
async def test_who_took_over_and_let_go_again_is_noticed(
    store: Store, clock: Clock, close: bool
) -> None:
    """The lease is free by then, but the stream has gone further than the late host knows."""
    one = host(store)
    assert await one.acquire()
    await one.append(note("mine"), bookmark="mine")
    async with held(one) as lost:
        clock.now += LEASE_SECONDS + 1
        other = host(store)
        assert await other.acquire()
        await other.append(note("other's"), bookmark=None if close else "other's", close=close)
        await other.release()
        await wait(lost)
        with pytest.raises(Fenced):
            await one.append(note("late"), bookmark="late")
    assert await texts(store) == ["mine", "other's"]
    assert await store.leases.acquire(STREAM, "another", 1), "the lease was let go"


async def test_an_append_goes_on_under_a_token_that_is_new_meanwhile(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own, after its lease had run out: its append must not take that for another's."""
    one = host(store)
    assert await one.acquire()
    append, describe = store.log.append, store.log.describe
    retaking = asyncio.Event()

    async def late(*args: Any, **options: Any) -> Any:
        """The append is on its way while the lease runs out and is taken again."""
        monkeypatch.setattr(store.log, "append", append)
        clock.now += LEASE_SECONDS + 1
        await wait(retaking)
        return await append(*args, **options)

    async def slow(stream: str) -> Any:
        """Between the new token and its confirmation."""
        retaking.set()
        await asyncio.sleep(0.05)
        return await describe(stream)

    async with held(one) as lost:
        monkeypatch.setattr(store.log, "append", late)
        monkeypatch.setattr(store.log, "describe", slow)
        await asyncio.wait_for(one.append(note(1), bookmark="1"), WAIT_SECONDS)
        assert not lost.is_set()
    assert await texts(store) == ["1"]


async def test_an_append_whose_answer_was_lost_is_its_own(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there is what it wrote, though it does not know yet that it did."""
    monkeypatch.setattr(module, "_FIRST_PAUSE", 1.0)  # the lease is taken again before it asks
    trouble = Trouble(only="append")
    one = host(trouble.over(store))
    assert await one.acquire()
    async with held(one) as lost:
        trouble.after = 1
        appending = asyncio.create_task(one.append(note(1), bookmark="1"))
        await until(lambda: trouble.met)
        before = one._lease
        clock.now += LEASE_SECONDS + 1
        await until(lambda: one._lease is not before or lost.is_set())
        await asyncio.wait_for(appending, WAIT_SECONDS)
        assert not lost.is_set()
    assert await texts(store) == ["1"]


@pytest.mark.parametrize("trouble", [Trouble(before=3), Trouble(after=3), Trouble(1, 2)])
async def test_trouble_is_waited_for_and_nothing_doubled(store: Store, trouble: Trouble) -> None:
    """An append whose answer was lost is told by its key that it has been made."""
    trouble.only = "append"
    one = host(trouble.over(store))
    troubles, trouble.before, trouble.after = (trouble.before, trouble.after), 0, 0
    assert await one.acquire()
    trouble.before, trouble.after = troubles
    await asyncio.wait_for(one.append([*note(1), *note(2)]), WAIT_SECONDS)
    await one.append(note(3))
    assert trouble.met == 3
    assert await texts(store) == ["1", "2", "3"]


async def test_patience_ends(store: Store) -> None:
    trouble = Trouble(only="append")
    one = host(trouble.over(store), patience_seconds=0.3)
    assert await one.acquire()
    trouble.before = math.inf
    with pytest.raises(StoreUnavailable):
        await asyncio.wait_for(one.append(note(1)), WAIT_SECONDS)
    assert trouble.met > 1


async def test_a_lease_that_nobody_can_renew_is_given_up(store: Store) -> None:
    trouble = Trouble(only="renew")
    one = host(trouble.over(store), patience_seconds=0.2)
    assert await one.acquire()
    trouble.before = math.inf
    async with held(one) as lost:
        await wait(lost)
        with pytest.raises(Fenced):  # though nobody has taken over yet: it may be about to
            await one.append(note(1))
    assert trouble.met > 1


async def test_a_defect_in_holding_the_lease_is_not_silent(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = host(store)
    assert await one.acquire()

    async def broken(*args: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(store.leases, "renew", broken)
    async with held(one) as lost:
        await wait(lost)
    assert "cannot be held" in caplog.text


async def test_a_stream_that_somebody_closed_takes_no_more(store: Store) -> None:
    one = host(store)
    assert await one.acquire()
    await store.log.append(STREAM, [], close=True)
    with pytest.raises(StreamClosed):
        await asyncio.wait_for(one.append(note(1)), WAIT_SECONDS)


async def test_an_acquire_whose_answer_was_lost_is_repeated(store: Store) -> None:
    trouble = Trouble(after=1, only="append")
    one = host(trouble.over(store))
    with pytest.raises(StoreUnavailable):
        await one.acquire()
    assert await one.acquire(), "it has had the lease all along"


async def test_patiently_passes_on_what_is_no_trouble() -> None:
    calls = 0

    async def call() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Transient("not yet")
        if calls == 3:
            return 3
        raise Fenced("never")

    assert await patiently(call, WAIT_SECONDS) == 3
    with pytest.raises(Fenced):
        await patiently(call, WAIT_SECONDS)
    assert calls == 4


async def test_who_is_cancelled_lets_go(store: Store) -> None:
    one = host(store)
    assert await one.acquire()

    async def hold() -> None:
        async with held(one):
            await asyncio.sleep(WAIT_SECONDS)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0.01)
    holding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await holding
    assert await store.leases.acquire(STREAM, "another", 1)
    assert len(asyncio.all_tasks()) == 1

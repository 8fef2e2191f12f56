"""A host is the only one who writes its stream, and has patience with the store."""

import asyncio
import contextlib
import math
from typing import Any

import pytest

from lastevent.core.errors import Fenced, StoreUnavailable, StreamClosed, Transient
from lastevent.core.event import NewEvent
from lastevent.sources.base import Host, Sink, patiently
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


class Counting:
    """A source of numbers: each when a test asks for it."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[int | None] = asyncio.Queue()
        self.stopped = 0

    async def pump(self, sink: Sink) -> None:
        while (number := await self.asked.get()) is not None:
            await sink([NewEvent("number", str(number))], False)
        await sink([NewEvent("end", "")], True)

    async def stop(self) -> None:
        self.stopped += 1
        self.asked.put_nowait(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return open_url("memory://", RetentionRules(), clock)


def host(store: Store, **options: float) -> Host:
    return Host(store, STREAM, **{"lease_seconds": LEASE_SECONDS, **options})


async def texts(store: Store) -> list[str]:
    return [event.data for event in (await store.log.read(STREAM, None)).events]


def note(text: object) -> list[NewEvent]:
    return [NewEvent("note", str(text))]


async def test_it_writes_its_token_before_anything_else(store: Store) -> None:
    """Or a paused host's late append would still fit before the new one's first (RULES 14)."""
    late, new = host(store), host(store)
    assert await late.acquire()
    await late.append(note(1))
    await late.release()
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
    assert not await first.acquire()
    with pytest.raises(Fenced):
        await first.append(note(1))
    await second.append(note(2))
    assert await texts(store) == ["2"]


async def test_a_stream_that_is_closed_has_no_host(store: Store) -> None:
    await store.log.append(STREAM, note(1), close=True)
    assert not await host(store).acquire()
    assert await store.leases.acquire(STREAM, "another", 1), "the lease was let go"


async def test_it_pumps_to_the_end_and_lets_go(store: Store) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()
    for number in (1, 2, None):
        source.asked.put_nowait(number)
    await asyncio.wait_for(one.run(source), WAIT_SECONDS)
    assert await texts(store) == ["1", "2", ""]
    assert (await store.log.describe(STREAM)).closed
    assert await store.leases.acquire(STREAM, "another", 1)
    assert source.stopped == 0


async def test_it_renews_its_lease(store: Store, clock: Clock) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()
    running = asyncio.create_task(one.run(source))
    for _ in range(10):
        await asyncio.sleep(LEASE_SECONDS / 2)
        clock.now += LEASE_SECONDS / 2
        assert await store.leases.acquire(STREAM, "another", 1) is None
    source.asked.put_nowait(None)
    await asyncio.wait_for(running, WAIT_SECONDS)


async def test_who_loses_the_lease_stops_the_source(store: Store, clock: Clock) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()
    running = asyncio.create_task(one.run(source))
    await asyncio.sleep(0)
    clock.now += LEASE_SECONDS + 1
    other = host(store, lease_seconds=60)
    assert await other.acquire()
    with pytest.raises(Fenced):
        await asyncio.wait_for(running, WAIT_SECONDS)
    assert source.stopped == 1
    assert await texts(store) == []
    assert not await host(store).acquire(), "the other's lease was not let go"


async def test_a_lease_that_ran_out_is_taken_again_if_it_is_free(
    store: Store, clock: Clock
) -> None:
    """As after the store was away: nobody took over, so nothing is lost."""
    one, source = host(store), Counting()
    assert await one.acquire()
    running = asyncio.create_task(one.run(source))
    source.asked.put_nowait(1)
    await asyncio.sleep(0)
    clock.now += LEASE_SECONDS + 1
    await until(lambda: store.leases._held, "renewal")  # type: ignore[attr-defined]
    await asyncio.sleep(LEASE_SECONDS)
    assert await store.leases.acquire(STREAM, "another", 1) is None
    for number in (2, None):
        source.asked.put_nowait(number)
    await asyncio.wait_for(running, WAIT_SECONDS)
    assert await texts(store) == ["1", "2", ""]
    assert source.stopped == 0


async def test_who_took_over_and_ended_it_is_noticed(store: Store, clock: Clock) -> None:
    """The lease is free again by then, but the stream is closed."""
    one, source = host(store), Counting()
    assert await one.acquire()
    running = asyncio.create_task(one.run(source))
    await asyncio.sleep(0)
    clock.now += LEASE_SECONDS + 1
    other = host(store)
    assert await other.acquire()
    await other.append(note("over"), close=True)
    await other.release()
    with pytest.raises(Fenced):
        await asyncio.wait_for(running, WAIT_SECONDS)
    assert source.stopped == 1
    assert await texts(store) == ["over"]


async def test_an_append_goes_on_under_a_token_that_is_new_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's own, after its lease had run out: its append must not take that for another's."""
    one = host(store)
    assert await one.acquire()
    append = store.log.append

    async def late(*args: Any, **options: Any) -> Any:
        monkeypatch.undo()
        await one.release()
        assert await one.acquire()
        return await append(*args, **options)

    monkeypatch.setattr(store.log, "append", late)
    await asyncio.wait_for(one.append(note(1)), WAIT_SECONDS)
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
    one, source = host(trouble.over(store), patience_seconds=0.2), Counting()
    assert await one.acquire()
    trouble.before = math.inf
    with pytest.raises(Fenced):
        await asyncio.wait_for(one.run(source), WAIT_SECONDS)
    assert trouble.met > 1
    assert source.stopped == 1


async def test_a_defect_in_holding_the_lease_is_not_silent(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()

    async def broken(*args: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(store.leases, "renew", broken)
    with pytest.raises(Fenced):
        await asyncio.wait_for(one.run(source), WAIT_SECONDS)
    assert source.stopped == 1
    assert "cannot be held" in caplog.text


async def test_a_stream_that_somebody_closed_ends_the_pump(store: Store) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()
    await store.log.append(STREAM, [], close=True)
    source.asked.put_nowait(1)
    with pytest.raises(StreamClosed):
        await asyncio.wait_for(one.run(source), WAIT_SECONDS)


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


async def test_a_cancelled_run_lets_go(store: Store) -> None:
    one, source = host(store), Counting()
    assert await one.acquire()
    running = asyncio.create_task(one.run(source))
    await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert await store.leases.acquire(STREAM, "another", 1)
    assert len(asyncio.all_tasks()) == 1

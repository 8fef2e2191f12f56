"""Leases: one holder at a time, by the store's clock, under tokens that only grow."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from lastevent.core.errors import Fenced
from lastevent.stores.base import Lease, Store
from tests.stores.harness import Harness, notes


async def test_one_of_many_gets_it(store: Store) -> None:
    leases = await asyncio.gather(*(store.leases.acquire("l", f"h{n}", 10) for n in range(20)))
    (granted,) = [lease for lease in leases if lease is not None]
    assert granted == Lease("l", granted.holder, granted.token)
    assert granted.token > 0


async def test_names_are_apart(store: Store) -> None:
    assert await store.leases.acquire("a", "h", 10)
    assert await store.leases.acquire("b", "i", 10)
    assert await store.leases.acquire("a", "i", 10) is None


async def test_it_runs_out_on_the_stores_clock(store: Store, harness: Harness) -> None:
    first = await store.leases.acquire("l", "h", 10)
    assert first
    harness.advance(9)
    assert await store.leases.acquire("l", "i", 10) is None
    harness.advance(2)
    second = await store.leases.acquire("l", "i", 10)
    assert second
    assert second.token > first.token
    assert not await store.leases.renew(first, 10)
    await store.leases.release(first)
    assert await store.leases.acquire("l", "h", 10) is None, "a lost lease releases nothing"


async def test_renewing(store: Store, harness: Harness) -> None:
    lease = await store.leases.acquire("l", "h", 10)
    assert lease
    for _ in range(5):
        harness.advance(9)
        assert await store.leases.renew(lease, 10)
    harness.advance(9)
    assert await store.leases.acquire("l", "i", 10) is None
    harness.advance(2)
    assert not await store.leases.renew(lease, 10), "it ran out, though nobody took it"


async def test_renewing_may_shorten(store: Store, harness: Harness) -> None:
    lease = await store.leases.acquire("l", "h", 100)
    assert lease
    assert await store.leases.renew(lease, 1)
    harness.advance(2)
    assert await store.leases.acquire("l", "i", 10)


async def test_releasing(store: Store) -> None:
    first = await store.leases.acquire("l", "h", 10)
    assert first
    await store.leases.release(first)
    await store.leases.release(first)
    assert not await store.leases.renew(first, 10)
    second = await store.leases.acquire("l", "i", 10)
    assert second
    assert second.token > first.token, "a token survives its release"


async def test_the_same_holder_asks_again(store: Store, harness: Harness) -> None:
    first = await store.leases.acquire("l", "h", 10)
    harness.advance(9)
    assert await store.leases.acquire("l", "h", 10) == first
    harness.advance(9)
    assert await store.leases.acquire("l", "i", 10) is None, "it was lengthened"
    harness.advance(2)
    third = await store.leases.acquire("l", "h", 10)
    assert third and first
    assert third.token > first.token, "once lost, it is another lease"


async def test_tokens_grow_for_ever(store: Store, harness: Harness) -> None:
    tokens = []
    for n in range(8):
        lease = await store.leases.acquire("l", f"h{n}", 10)
        assert lease
        tokens.append(lease.token)
        if n % 2:
            await store.leases.release(lease)
        harness.advance(10 ** (n + 1))
    assert tokens == sorted(set(tokens))


async def test_a_late_holder_cannot_write(store: Store, harness: Harness) -> None:
    """RULES 14: the new holder writes its token first, and the old one is out."""
    old = await store.leases.acquire("l", "old", 10)
    assert old
    await store.log.append("s", notes(1), fence=old.token)
    harness.advance(11)
    new = await store.leases.acquire("l", "new", 10)
    assert new
    await store.log.append("s", [], fence=new.token)
    with pytest.raises(Fenced):
        await store.log.append("s", notes(2), fence=old.token)
    await store.log.append("s", notes(2), fence=new.token)


@pytest.fixture
async def held(two: tuple[Store, Store]) -> AsyncIterator[Lease]:
    lease = await two[0].leases.acquire("l", "here", 10)
    assert lease
    yield lease


async def test_processes_share_them(two: tuple[Store, Store], held: Lease) -> None:
    here, there = two
    assert await there.leases.acquire("l", "there", 10) is None
    await here.leases.release(held)
    other = await there.leases.acquire("l", "there", 10)
    assert other
    assert other.token > held.token
    assert await here.leases.acquire("l", "here", 10) is None

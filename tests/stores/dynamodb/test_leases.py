"""Leases without a clock of the store's: a version that stays unchanged (RULES 17)."""

import pytest

from lastevent.stores.base import Store
from lastevent.stores.dynamodb import leases
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import Clock


@pytest.fixture
def two(open_one: Open) -> tuple[Store, Store]:
    return open_one()[0], open_one()[0]


async def test_who_meets_a_held_lease_waits_for_its_length(
    two: tuple[Store, Store], clock: Clock
) -> None:
    here, there = two
    first = await here.leases.acquire("l", "here", 10)
    assert first
    clock.now += 1000
    assert await there.leases.acquire("l", "there", 10) is None, "it sees this version now"
    clock.now += 9
    assert await there.leases.acquire("l", "there", 10) is None
    clock.now += 1
    second = await there.leases.acquire("l", "there", 10)
    assert second
    assert second.token > first.token
    assert not await here.leases.renew(first, 10)


async def test_a_renewal_begins_the_wait_anew(two: tuple[Store, Store], clock: Clock) -> None:
    here, there = two
    lease = await here.leases.acquire("l", "here", 10)
    assert lease
    for _ in range(4):
        assert await there.leases.acquire("l", "there", 10) is None
        clock.now += 9
        assert await here.leases.renew(lease, 10)
    assert await there.leases.acquire("l", "there", 10) is None
    clock.now += 10
    assert await there.leases.acquire("l", "there", 10)


async def test_the_length_is_the_holder_s(two: tuple[Store, Store], clock: Clock) -> None:
    here, there = two
    await here.leases.acquire("l", "here", 100)
    assert await there.leases.acquire("l", "there", 10) is None
    clock.now += 99
    assert await there.leases.acquire("l", "there", 10) is None
    clock.now += 1
    assert await there.leases.acquire("l", "there", 10)


async def test_a_wall_clock_that_jumps_takes_nothing(
    two: tuple[Store, Store], clock: Clock
) -> None:
    """What others wrote as times is not looked at: there are none."""
    here, there = two
    first = await here.leases.acquire("l", "here", 10)
    assert first
    clock.now -= 1_000_000
    assert await there.leases.acquire("l", "there", 10) is None
    await here.leases.release(first)
    second = await there.leases.acquire("l", "there", 10)
    assert second
    assert second.token == first.token + 1, "tokens grow though the clock went back"


async def test_a_lease_may_be_renewed_elsewhere(two: tuple[Store, Store], clock: Clock) -> None:
    """A lease is a value: another process that was handed it may hold it too."""
    here, there = two
    lease = await here.leases.acquire("l", "h", 10)
    assert lease
    clock.now += 9
    assert await there.leases.renew(lease, 10)
    clock.now += 9
    assert await here.leases.renew(lease, 10), "its own memory is old, what is there counts"


async def test_a_taking_over_that_is_overtaken_by_a_renewal(open_one: Open, clock: Clock) -> None:
    (here, _), (there, meddled) = open_one(), open_one()
    lease = await here.leases.acquire("l", "here", 10)
    assert lease
    assert await there.leases.acquire("l", "there", 10) is None

    async def renewed() -> None:
        """By the holder, whose clock goes a little slower."""
        clock.now -= 1
        assert await here.leases.renew(lease, 10)
        clock.now += 1

    clock.now += 10
    meddled.before("PutItem", renewed)
    assert await there.leases.acquire("l", "there", 10) is None
    assert await here.leases.renew(lease, 10)


async def test_of_two_who_take_over_one_succeeds(open_one: Open, clock: Clock) -> None:
    (here, _), (there, meddled), (third, _) = open_one(), open_one(), open_one()
    assert await here.leases.acquire("l", "here", 10)
    for store in (there, third):
        assert await store.leases.acquire("l", "other", 10) is None
    clock.now += 10
    meddled.before("PutItem", lambda: third.leases.acquire("l", "third", 10))
    assert await there.leases.acquire("l", "there", 10) is None


async def test_what_is_remembered_has_a_bound(
    one: tuple[Store, Meddled], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MAX_REMEMBERED", 3)
    store, _ = one
    held = [await store.leases.acquire(f"l{n}", "h", 10) for n in range(6)]
    assert len(store.leases._seen) == 3  # type: ignore[attr-defined]
    for lease in held:
        assert lease and await store.leases.renew(lease, 5)

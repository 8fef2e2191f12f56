"""Rates: counted in the store, for all servers together."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from lastevent.core.errors import Conflict, InvalidRequest, TooManyRequests
from lastevent.services import rates as module
from lastevent.services.rates import KIND, Rate, Rates
from lastevent.stores.base import Records, Store


class Clock:
    """The time that the counters see."""

    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


class Slow:
    """Records that answer after some time."""

    def __init__(self, records: Records, seconds: float) -> None:
        self._records = records
        self._seconds = seconds

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._records, name)

        async def call(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(self._seconds)
            return await method(*args, **options)

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock.time)
    return clock


async def taken(rates: Rates, rate: Rate, who: str = "u") -> float:
    """Take once; return how long it says to wait, 0 if it was taken."""
    try:
        await rates.take("x", who, rate)
    except TooManyRequests as error:
        return error.retry_after
    return 0


async def test_a_burst_then_one_at_a_time(store: Store, clock: Clock) -> None:
    rates, rate = Rates(store.records), Rate(4, 60.0)
    assert [await taken(rates, rate) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(15)]
    assert await taken(rates, rate, "other") == 0
    clock.now += 14
    assert await taken(rates, rate) == pytest.approx(1)
    clock.now += 1.001
    assert await taken(rates, rate) == 0
    assert await taken(rates, rate) == pytest.approx(15, abs=0.01)
    clock.now += 600
    assert [await taken(rates, rate) for _ in range(5)] == [0, 0, 0, 0, pytest.approx(15)]


async def test_two_servers_count_together(store: Store) -> None:
    servers, rate = (Rates(store.records), Rates(store.records)), Rate(5, 1000.0)
    waits = await asyncio.gather(*(taken(servers[n % 2], rate) for n in range(12)))
    assert waits.count(0) == 5


async def test_all_that_a_rate_allows_may_come_at_once(store: Store) -> None:
    """From two servers, on a store that takes its time."""
    slow, rate = Slow(store.records, 0.01), Rate(25, 1000.0)
    servers = Rates(cast(Records, slow)), Rates(cast(Records, slow))
    waits = await asyncio.gather(*(taken(servers[n % 2], rate) for n in range(25)))
    assert waits == [0] * 25


async def test_a_counter_that_is_full_again_vanishes(store: Store) -> None:
    await Rates(store.records).take("x", "u", Rate(1, 0.1))
    assert len(await store.records.query(KIND)) == 1
    await asyncio.sleep(1.3)
    assert await store.records.query(KIND) == []


async def test_who_is_written_over_again_and_again_is_too_quick(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def conflict(*args: object, **options: object) -> None:
        raise Conflict("others were quicker")

    monkeypatch.setattr(type(store.records), "put", conflict)
    with pytest.raises(TooManyRequests) as caught:
        await Rates(store.records).take("x", "u", Rate(5, 10.0))
    assert caught.value.retry_after == 1


@pytest.mark.parametrize(("count", "seconds"), [(0, 1.0), (1, 0.0), (-1, 1.0)])
def test_no_rate(count: int, seconds: float) -> None:
    with pytest.raises(InvalidRequest):
        Rate(count, seconds)


def test_what_is_left_of_fractions_costs_nobody_a_use() -> None:
    for count in range(1, 300):
        rate, full_at = Rate(count, 60.0), 0.0
        for _ in range(count):
            full_at = rate.next(full_at, 1_800_000_000.123)
        with pytest.raises(TooManyRequests):
            rate.next(full_at, 1_800_000_000.123)

"""A call whose answer was lost is made again, and has happened once: the same answer comes."""

import asyncio

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.errors import Conflict
from lastevent.stores.base import Lease, Store
from lastevent.stores.url import open_store
from tests.stores.harness import RETENTION, append, notes, texts_after

SCRIPTS = ("EVALSHA", "EVAL")


@pytest.fixture(params=[1, 3])
async def times(request: pytest.FixtureRequest) -> int:
    """How many answers in a row are lost."""
    times: int = request.param
    return times


async def lose(server: UpstashServer, times: int) -> None:
    await server.fault("drop", when="after", times=times, commands=SCRIPTS)


@pytest.mark.parametrize("key", [None, "k"])
async def test_of_an_append(
    store: Store, upstash: UpstashServer, times: int, key: str | None
) -> None:
    await append(store, "s", 0)
    await lose(upstash, times)
    answer = await store.log.append("s", notes(1, 2), key=key)
    page = await store.log.read("s", None)
    assert [event.data for event in page.events] == ["0", "1", "2"]
    assert tuple(event.id for event in page.events[1:]) == answer.ids
    assert not answer.repeated, "the caller has asked once"
    if key is not None:
        again = await store.log.append("s", notes(1, 2), key=key)
        assert again == answer._replace(repeated=True)


async def test_of_an_append_that_others_followed(
    store: Store, url: str, upstash: UpstashServer
) -> None:
    """Between the lost answer and the repeated call another closed the stream, even deleted it."""
    other = open_store(url, RETENTION)
    await append(store, "s", 0)
    await upstash.fault("delay", when="after", seconds=0.5, times=1, commands=SCRIPTS)
    await upstash.fault("drop", when="after", times=1, commands=SCRIPTS)
    answer = asyncio.create_task(append(store, "s", 1))
    await asyncio.sleep(0.1)
    while (await store.log.describe("s")).head.sequence < 2:
        await asyncio.sleep(0.01)
    await append(other, "s", 2, close=True)
    await other.log.delete("s")
    await other.close()
    assert not answer.done()
    assert (await answer).cursor.sequence == 2
    assert not (await store.log.describe("s")).exists


async def test_of_an_append_with_an_expected_position(
    store: Store, upstash: UpstashServer, times: int
) -> None:
    end = (await append(store, "s", 0)).cursor
    await lose(upstash, times)
    answer = await store.log.append("s", notes(1), expect=end, close=True)
    assert answer.closed
    assert await texts_after(store, "s") == ["0", "1"]


async def test_of_a_deletion(store: Store, upstash: UpstashServer, times: int) -> None:
    await append(store, "s", 1)
    await lose(upstash, times)
    assert await store.log.delete("s")
    assert not await store.log.delete("s")


async def test_of_a_lease(store: Store, upstash: UpstashServer, times: int) -> None:
    await lose(upstash, times)
    first = await store.leases.acquire("l", "h", 10)
    assert isinstance(first, Lease)
    await lose(upstash, times)
    assert await store.leases.renew(first, 10)
    await lose(upstash, times)
    await store.leases.release(first)
    await lose(upstash, times)
    second = await store.leases.acquire("l", "i", 10)
    assert second
    assert second.token > first.token
    assert await store.leases.acquire("l", "h", 10) is None


async def test_of_a_document(store: Store, upstash: UpstashServer, times: int) -> None:
    await lose(upstash, times)
    first = await store.records.put("k", "a", "1", expect=0)
    assert first.version == 1
    await lose(upstash, times)
    assert (await store.records.put("k", "a", "2", expect=1)).version == 2
    await lose(upstash, times)
    assert (await store.records.put("k", "a", "3")).version == 3
    with pytest.raises(Conflict):
        await store.records.put("k", "a", "4", expect=1)
    await lose(upstash, times)
    assert await store.records.delete("k", "a", expect=3)
    assert not await store.records.delete("k", "a")

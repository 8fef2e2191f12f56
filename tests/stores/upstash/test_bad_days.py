"""Trouble all along, and a database that dies and comes back: nothing lost, nothing doubled."""

import asyncio
from collections.abc import Iterator

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.stores.base import Appended, Store
from lastevent.stores.url import open_store
from tests.stores.harness import append, follow, notes, texts_after, upstash_url

WRITERS = 4
APPENDS = 25


async def insist(store: Store, text: str) -> Appended:
    """Append under a key until it is acknowledged, as a publisher does."""
    for _ in range(20):
        try:
            return await store.log.append("s", notes(text, text), key=text)
        except Transient:
            await asyncio.sleep(0.05)
    raise AssertionError("the database stays away")


async def write(store: Store, name: int) -> list[str]:
    """Return the ids of some appends, in order."""
    answers = [await insist(store, f"{name} {n}") for n in range(APPENDS)]
    return [id for answer in answers for id in answer.ids]


@pytest.mark.parametrize("seed", range(3))
async def test_faults_all_along(store: Store, url: str, upstash: UpstashServer, seed: int) -> None:
    other = open_store(url)
    await upstash.fault("drop", when="after", probability=0.2, seed=seed)
    await upstash.fault("drop", when="before", probability=0.1, seed=seed + 10)
    await upstash.fault("status", status=500, when="after", probability=0.1, seed=seed + 20)
    await upstash.fault("status", status=429, probability=0.1, seed=seed + 30, retry_after=0.05)
    await upstash.fault("delay", seconds=0.02, probability=0.1, seed=seed + 40)
    stores = [store, other] * (WRITERS // 2)
    acknowledged = await asyncio.gather(*(write(it, n) for n, it in enumerate(stores)))
    await upstash.clear_faults()

    events, _ = await follow(store, "s")
    assert [Cursor.parse(event.id).sequence for event in events] == list(
        range(1, 2 * WRITERS * APPENDS + 1)
    )
    for name, ids in enumerate(acknowledged):
        own = [event for event in events if event.data.startswith(f"{name} ")]
        assert [event.data for event in own] == [f"{name} {n // 2}" for n in range(2 * APPENDS)]
        assert [event.id for event in own] == ids
    await other.close()


@pytest.fixture(scope="module")
def durable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpstashServer]:
    """A database that writes to its disk before it answers."""
    with UpstashServer(tmp_path_factory.mktemp("durable"), faults=True) as server:
        yield server


async def test_a_database_that_is_killed_and_comes_back(durable: UpstashServer) -> None:
    store = open_store(upstash_url(durable))
    first = await append(store, "s", 1)
    lease = await store.leases.acquire("l", "h", 100)
    await durable.kill_store()
    with pytest.raises(StoreUnavailable):
        await append(store, "s", "away")
    with pytest.raises(StoreUnavailable):
        await store.log.read("s", None)
    await durable.start_store()
    assert await texts_after(store, "s") == ["1"]
    await append(store, "s", 2)
    assert await texts_after(store, "s", first.cursor) == ["2"]
    assert lease and await store.leases.renew(lease, 100)
    await store.close()


async def test_a_short_absence_is_not_noticed(durable: UpstashServer) -> None:
    store = open_store(upstash_url(durable, "short:"))
    await append(store, "s", 1)
    await durable.kill_store()
    appending = asyncio.create_task(append(store, "s", 2))
    await asyncio.sleep(0.2)
    assert not appending.done()
    await durable.start_store()
    await appending
    assert await texts_after(store, "s") == ["1", "2"]
    await store.close()

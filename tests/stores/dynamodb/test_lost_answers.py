"""A write whose answer was lost is sent again, and has happened once."""

import asyncio

import pytest

from infra.local.proxy import Proxy
from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict
from lastevent.stores.base import Store
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import WAIT_SECONDS, append, notes, texts_after


@pytest.fixture
def store(one: tuple[Store, Meddled]) -> Store:
    return one[0]


@pytest.mark.parametrize("lost", [1, 3])
async def test_of_an_append(store: Store, proxy: Proxy, lost: int) -> None:
    await append(store, "s", 1)
    proxy.lose_answers(lost, b"PutItem")
    answer = await append(store, "s", 2, 3)
    await append(store, "s", 4)
    assert await texts_after(store, "s") == ["1", "2", "3", "4"]
    page = await store.log.read("s", None)
    assert [event.id for event in page.events[1:3]] == list(answer.ids)


async def test_of_the_append_that_makes_a_stream(store: Store, proxy: Proxy) -> None:
    proxy.lose_answers(2, b"PutItem")
    answer = await append(store, "s", 1)
    page = await store.log.read("s", None)
    assert [event.id for event in page.events] == list(answer.ids)


@pytest.mark.parametrize("lost", [1, 2])
async def test_of_an_append_with_a_key(store: Store, proxy: Proxy, lost: int) -> None:
    await append(store, "s", 1)
    proxy.lose_answers(lost, b"TransactWriteItems")
    answer = await store.log.append("s", notes(2), key="k")
    assert not answer.repeated, "it is the first answer, however often it was asked for"
    again = await store.log.append("s", notes(2), key="k")
    assert (again.ids, again.repeated) == (answer.ids, True)
    assert await texts_after(store, "s") == ["1", "2"]


async def test_others_have_appended_meanwhile(open_one: Open, proxy: Proxy) -> None:
    """What is at the end by then is not one's own; what is in the slot is."""
    (here, _), (there, _) = open_one(), open_one()
    end = (await append(there, "s", 1)).cursor
    proxy.lose_answers(4, b"PutItem")
    call = asyncio.create_task(append(here, "s", 2))
    async with asyncio.timeout(WAIT_SECONDS):
        while not (await there.log.read("s", end)).events:
            await asyncio.sleep(0.005)
    assert not call.done(), "it is there, and its writer does not know yet"
    await there.log.append("s", notes(3), key="k")
    answer = await call
    assert await texts_after(there, "s") == ["1", "2", "3"]
    assert await texts_after(there, "s", answer.cursor) == ["3"]


async def test_of_closing_and_deleting(store: Store, proxy: Proxy) -> None:
    await append(store, "s", 1)
    proxy.lose_answers(1, b"PutItem")
    assert (await append(store, "s", 2, close=True)).closed
    proxy.lose_answers(1, b"PutItem")
    assert await store.log.delete("s")
    assert not (await store.log.describe("s")).exists


async def test_of_an_append_that_expects(store: Store, proxy: Proxy) -> None:
    proxy.lose_answers(1, b"PutItem")
    first = await store.log.append("s", notes(1), expect=Cursor.after(0))
    proxy.lose_answers(1, b"PutItem")
    await store.log.append("s", notes(2), expect=first.cursor)
    with pytest.raises(Conflict):
        await store.log.append("s", notes(3), expect=first.cursor)
    assert await texts_after(store, "s") == ["1", "2"]


async def test_of_a_document(store: Store, proxy: Proxy) -> None:
    proxy.lose_answers(1, b"PutItem")
    first = await store.records.put("k", "a", "1", expect=0)
    proxy.lose_answers(2, b"PutItem")
    second = await store.records.put("k", "a", "2", expect=first.version)
    assert await store.records.get("k", "a") == second
    proxy.lose_answers(1, b"DeleteItem")
    assert await store.records.delete("k", "a", expect=second.version)
    assert await store.records.get("k", "a") is None


async def test_of_a_lease(store: Store, proxy: Proxy) -> None:
    proxy.lose_answers(1, b"PutItem")
    lease = await store.leases.acquire("l", "h", 10)
    assert lease
    proxy.lose_answers(1, b"PutItem")
    assert await store.leases.renew(lease, 10)
    proxy.lose_answers(1, b"PutItem")
    await store.leases.release(lease)
    assert await store.leases.acquire("l", "i", 10)


async def test_of_reads(store: Store, proxy: Proxy) -> None:
    cursor = (await append(store, "s", 1, 2)).cursor
    proxy.lose_answers(3)
    assert await texts_after(store, "s") == ["1", "2"]
    proxy.lose_answers(1)
    assert (await store.log.describe("s")).head == cursor


async def test_others_have_written_the_document_meanwhile(open_one: Open, proxy: Proxy) -> None:
    (here, _), (there, _) = open_one(), open_one()
    proxy.lose_answers(4, b"PutItem")
    call = asyncio.create_task(here.records.put("k", "a", "here", expect=0))
    async with asyncio.timeout(WAIT_SECONDS):
        while await there.records.get("k", "a") is None:
            await asyncio.sleep(0.005)
    assert (await there.records.put("k", "a", "there", expect=1)).version == 2
    assert (await call).version == 1, "it was written, though it is not there any more"
    found = await there.records.get("k", "a")
    assert found and (found.value, found.version) == ("there", 2)

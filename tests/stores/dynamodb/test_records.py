"""Documents in DynamoDB: its limits, and writes that meet each other."""

import pytest

from lastevent.core.errors import Conflict, InvalidRequest, TooLarge
from lastevent.stores.base import Store
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import Clock


@pytest.fixture
def store(one: tuple[Store, Meddled]) -> Store:
    return one[0]


async def test_limits(store: Store) -> None:
    largest = '"' + "é" * (380 * 512 - 1) + '"'
    assert (await store.records.put("k", "i" * 1000, largest)).value == largest
    found = await store.records.get("k", "i" * 1000)
    assert found and found.value == largest
    with pytest.raises(TooLarge):
        await store.records.put("k", "a", largest + "x")
    with pytest.raises(InvalidRequest):
        await store.records.put("k", "é" * 501, "1")


async def test_a_write_without_a_condition_comes_through(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    for _ in range(3):
        own.before("PutItem", lambda: there.records.put("k", "a", "there"))
    record = await here.records.put("k", "a", "here")
    assert record.version == 4
    assert await there.records.get("k", "a") == record


async def test_a_write_with_a_condition_does_not(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    own.before("PutItem", lambda: there.records.put("k", "a", "there"))
    with pytest.raises(Conflict):
        await here.records.put("k", "a", "here", expect=0)


async def test_a_deletion_that_meets_a_write(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    await here.records.put("k", "a", "1")
    own.before("DeleteItem", lambda: there.records.put("k", "a", "2"))
    with pytest.raises(Conflict):
        await here.records.delete("k", "a", expect=1)
    assert await there.records.get("k", "a")
    own.before("DeleteItem", lambda: there.records.put("k", "a", "3"))
    assert await here.records.delete("k", "a")
    assert await there.records.get("k", "a") is None
    await here.records.put("k", "a", "1")
    own.before("DeleteItem", lambda: there.records.delete("k", "a"))
    assert not await here.records.delete("k", "a")


async def test_what_was_seen_here_counts_for_nothing_once_others_have_written(
    open_one: Open, clock: Clock
) -> None:
    here, there = open_one()[0].records, open_one()[0].records
    await here.put("k", "a", "1")
    await there.put("k", "a", "2")
    with pytest.raises(Conflict):
        await here.put("k", "a", "here", expect=1)
    await there.put("k", "a", "3")
    assert (await here.put("k", "a", "4")).version == 4, "over what is there"
    await there.delete("k", "a")
    with pytest.raises(Conflict):
        await here.put("k", "a", "here", expect=4)
    await there.put("k", "a", "1")
    with pytest.raises(Conflict):
        await here.put("k", "a", "here", expect=0)
    await there.put("k", "a", "2")
    assert await here.delete("k", "a"), "what is there is deleted, whatever was"
    assert await there.get("k", "a") is None


async def test_who_knows_more_than_was_seen_here_is_believed(open_one: Open) -> None:
    here, there = open_one()[0].records, open_one()[0].records
    await here.put("k", "a", "1")
    await there.put("k", "a", "2")
    [listed] = await here.query("k")
    assert (await here.put("k", "a", "3", expect=listed.version)).version == 3
    await there.delete("k", "a")
    assert (await here.put("k", "a", "1", expect=0)).version == 1


async def test_what_was_seen_here_expires_too(open_one: Open, clock: Clock) -> None:
    here, there = open_one()[0].records, open_one()[0].records
    await here.put("k", "a", "1", seconds=10)
    clock.now += 11
    with pytest.raises(Conflict):
        await here.put("k", "a", "2", expect=1)
    await there.put("k", "a", "there", seconds=10)
    assert await here.delete("k", "a"), "it has expired, and came back"
    await here.put("k", "b", "1", seconds=10)
    clock.now += 11
    assert (await here.put("k", "b", "2", expect=0)).version == 1


async def test_queries_page_by_page_and_past_what_has_expired(store: Store, clock: Clock) -> None:
    for n in range(30):
        await store.records.put("k", f"{n:03}", str(n), seconds=10 if n % 3 else None)
    clock.now += 11
    for limit in (1, 4, 100):
        found: list[str] = []
        last = ""
        while records := await store.records.query("k", after=last, limit=limit):
            assert len(records) <= limit
            found += [record.id for record in records]
            last = found[-1]
        assert found == [f"{n:03}" for n in range(0, 30, 3)]

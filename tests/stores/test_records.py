"""Records: documents with versions, compare-and-set, expiry, and queries by id."""

import asyncio
import random

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict
from lastevent.stores.base import Record, Store
from tests.stores.harness import Harness, append, texts_after


async def test_writing_and_reading(store: Store, harness: Harness) -> None:
    now = int(harness.clock() * 1000)
    assert await store.records.get("k", "a") is None
    first = await store.records.put("k", "a", '{"x":"ü\0"}')
    assert first == Record("k", "a", 1, '{"x":"ü\0"}', now)
    assert await store.records.get("k", "a") == first
    harness.advance(1)
    second = await store.records.put("k", "a", "2")
    assert second == Record("k", "a", 2, "2", now + 1000)
    assert await store.records.get("k", "a") == second


async def test_kinds_are_apart(store: Store) -> None:
    await store.records.put("k", "a", "1")
    assert await store.records.get("l", "a") is None
    assert await store.records.query("l") == []
    assert not await store.records.delete("l", "a")


async def test_compare_and_set(store: Store) -> None:
    with pytest.raises(Conflict):
        await store.records.put("k", "a", "1", expect=1)
    first = await store.records.put("k", "a", "1", expect=0)
    with pytest.raises(Conflict):
        await store.records.put("k", "a", "2", expect=0)
    second = await store.records.put("k", "a", "2", expect=first.version)
    with pytest.raises(Conflict):
        await store.records.put("k", "a", "3", expect=first.version)
    assert await store.records.get("k", "a") == second


async def test_one_of_many_wins(store: Store) -> None:
    await store.records.put("k", "a", "0")
    answers = await asyncio.gather(
        *(store.records.put("k", "a", str(n), expect=1) for n in range(20)),
        return_exceptions=True,
    )
    (winner,) = [answer for answer in answers if isinstance(answer, Record)]
    assert all(isinstance(answer, Conflict) for answer in answers if answer != winner)
    assert await store.records.get("k", "a") == winner


async def test_a_counter_loses_no_count(store: Store) -> None:
    async def count() -> None:
        for _ in range(5):
            while True:
                found = await store.records.get("k", "n")
                value, version = (int(found.value), found.version) if found else (0, 0)
                try:
                    await store.records.put("k", "n", str(value + 1), expect=version)
                    break
                except Conflict:
                    pass

    await asyncio.gather(*(count() for _ in range(5)))
    found = await store.records.get("k", "n")
    assert found is not None
    assert (found.value, found.version) == ("25", 25)


async def test_deleting(store: Store) -> None:
    assert not await store.records.delete("k", "a")
    assert not await store.records.delete("k", "a", expect=0)
    with pytest.raises(Conflict):
        await store.records.delete("k", "a", expect=1)
    record = await store.records.put("k", "a", "1")
    with pytest.raises(Conflict):
        await store.records.delete("k", "a", expect=2)
    assert await store.records.delete("k", "a", expect=record.version)
    assert await store.records.get("k", "a") is None
    assert (await store.records.put("k", "a", "2")).version == 1


async def test_a_document_may_vanish_by_itself(store: Store, harness: Harness) -> None:
    await store.records.put("k", "a", "1", seconds=10)
    await store.records.put("k", "b", "1", seconds=20)
    harness.advance(9)
    assert await store.records.get("k", "a")
    harness.advance(2)
    assert await store.records.get("k", "a") is None
    assert [record.id for record in await store.records.query("k")] == ["b"]
    assert not await store.records.delete("k", "a")
    with pytest.raises(Conflict):
        await store.records.put("k", "a", "2", expect=1)
    assert (await store.records.put("k", "a", "2", expect=0)).version == 1


async def test_each_write_says_anew_how_long_it_stays(store: Store, harness: Harness) -> None:
    await store.records.put("k", "a", "1", seconds=10)
    await store.records.put("k", "b", "1")
    harness.advance(5)
    await store.records.put("k", "a", "2")
    await store.records.put("k", "b", "2", seconds=10)
    harness.advance(11)
    found = await store.records.get("k", "a")
    assert found and found.version == 2
    assert await store.records.get("k", "b") is None


IDS = ["", "a", "a/1", "a/10", "a/2", "aa", "b", "ä", "日", "\ud7ff", "\ue000", "\U0010ffff"]


async def test_queries(store: Store) -> None:
    for id in reversed(IDS):
        await store.records.put("k", id, id)
        await store.records.put("other", id, "other")
    for prefix in ("", "a", "a/", "a/1", "ab", "\ud7ff", "\U0010ffff"):
        for after in ("", "a", "a/1", "b", "\U0010ffff"):
            for limit in (1, 3, 100):
                found = await store.records.query("k", prefix=prefix, after=after, limit=limit)
                wanted = sorted(id for id in IDS if id.startswith(prefix) and id > after)[:limit]
                assert [record.id for record in found] == wanted, (prefix, after, limit)
                assert [record.value for record in found] == wanted


async def test_processes_share_them(two: tuple[Store, Store]) -> None:
    here, there = two
    record = await here.records.put("k", "a", "1")
    assert await there.records.get("k", "a") == record
    await there.records.put("k", "a", "2", expect=1)
    with pytest.raises(Conflict):
        await here.records.put("k", "a", "3", expect=1)


async def test_a_snapshot_and_the_cursor_taken_before_it_miss_nothing(
    two: tuple[Store, Store],
) -> None:
    """RULES 7: a cursor that is taken after the snapshot may be behind an event that neither has.

    The writer counts up in a document, and tells of each step in a stream, as workflows do.
    """
    writer, reader = two
    chance = random.Random(7)
    steps = 30

    async def work() -> None:
        for step in range(1, steps + 1):
            await writer.records.put("count", "c", str(step))
            await append(writer, "s", step)
            await asyncio.sleep(chance.choice((0, 0, 0.002)))

    await append(writer, "s")
    working = asyncio.create_task(work())
    seen: list[tuple[int, Cursor]] = []
    while not working.done():
        cursor = (await reader.log.describe("s")).head
        record = await reader.records.get("count", "c")
        seen.append((int(record.value) if record else 0, cursor))
    await working
    assert len(seen) > 3
    for counted, cursor in seen:
        following = [int(text) for text in await texts_after(reader, "s", cursor)]
        assert set(range(counted + 1, steps + 1)) <= set(following)

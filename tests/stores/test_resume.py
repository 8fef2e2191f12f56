"""Resuming: a cursor gets exactly the rest, or hears that something is lost (promises 1 and 2)."""

import pytest

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.stores.base import Page, Store
from tests.stores.harness import KEPT_EVENTS, KEPT_SECONDS, Harness, append, texts_after


def texts(page: Page) -> list[str]:
    return [event.data for event in page.events]


async def lost(store: Store, stream: str, cursor: Cursor) -> list[str]:
    """Return what a reader gets whose cursor says nothing about the log."""
    page = await store.log.read(stream, cursor)
    assert page.truncated, "loss is said"
    extent = await store.log.describe(stream)
    assert page.start == extent.start
    assert page.cursor == page.head == extent.head
    return texts(page)


async def test_every_cursor_gets_exactly_the_rest(store: Store) -> None:
    ids = [id for n in range(4) for id in (await append(store, "s", n, n)).ids]
    for position, id in enumerate(ids, 1):
        rest = await texts_after(store, "s", Cursor.parse(id))
        assert rest == [str(n) for n in (0, 0, 1, 1, 2, 2, 3, 3)][position:]


async def test_the_positions_of_a_page_and_of_the_outline_are_good_to_resume(store: Store) -> None:
    await append(store, "few:s", *range(15))
    extent = await store.log.describe("few:s")
    assert await texts_after(store, "few:s", extent.start) == [str(n) for n in range(5, 15)]
    assert await texts_after(store, "few:s", extent.newest(3)) == ["12", "13", "14"]
    assert await texts_after(store, "few:s", extent.newest(50)) == [str(n) for n in range(5, 15)]
    assert await texts_after(store, "few:s", extent.head) == []


async def test_of_another_generation(store: Store) -> None:
    cursor = (await append(store, "s", 1)).cursor
    other = cursor._replace(generation=cursor.generation + 1)
    assert await lost(store, "s", other) == ["1"]


async def test_beyond_the_end(store: Store) -> None:
    cursor = (await append(store, "s", 1)).cursor
    assert await lost(store, "s", cursor._replace(sequence=2)) == ["1"]


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_of_another_event_at_the_same_place(store: Store, which: int) -> None:
    """As a store that was restored from a backup hands them out (RULES 5)."""
    answers = [await append(store, "s", n) for n in range(3)]
    cursor = answers[which].cursor
    other = cursor._replace(proof=cursor.proof % MAX_PROOF + 1)
    assert await lost(store, "s", other) == ["0", "1", "2"]
    assert not (await store.log.read("s", cursor)).truncated


async def test_a_position_without_a_proof_is_taken_as_it_is(store: Store) -> None:
    cursor = (await append(store, "s", 1, 2)).cursor
    before = Cursor(cursor.generation, 1)
    assert await texts_after(store, "s", before) == ["2"]
    page = await store.log.read("s", Cursor(cursor.generation, 2))
    assert (page.cursor, page.truncated) == (cursor, False), "and becomes the head itself"


async def test_trimmed(store: Store) -> None:
    ids = [Cursor.parse(id) for n in range(15) for id in (await append(store, "few:s", n)).ids]
    kept = [str(n) for n in range(15 - KEPT_EVENTS, 15)]
    for cursor in ids[:4]:
        assert await lost(store, "few:s", cursor) == kept
    assert await texts_after(store, "few:s", ids[4]) == kept, "nothing after it is missing"
    assert await texts_after(store, "few:s", ids[5]) == kept[1:]


async def test_a_reader_without_a_cursor_hears_that_the_beginning_is_gone(store: Store) -> None:
    await append(store, "few:s", *range(10))
    assert not (await store.log.read("few:s", None)).truncated
    await append(store, "few:s", 10)
    page = await store.log.read("few:s", None)
    assert page.truncated
    assert texts(page)[0] == "1"


async def test_expired(store: Store, harness: Harness) -> None:
    first = (await append(store, "short:s", 1)).cursor
    second = (await append(store, "short:s", 2)).cursor
    harness.advance(KEPT_SECONDS - 1)
    third = (await append(store, "short:s", 3)).cursor
    assert await texts_after(store, "short:s", first) == ["2", "3"]
    harness.advance(2)
    assert await lost(store, "short:s", first) == ["3"]
    assert await texts_after(store, "short:s", second) == ["3"]
    assert await texts_after(store, "short:s", third) == []


async def test_all_expired(store: Store, harness: Harness) -> None:
    first = (await append(store, "short:s", 1)).cursor
    last = (await append(store, "short:s", 2)).cursor
    harness.advance(KEPT_SECONDS + 1)
    assert await lost(store, "short:s", first) == []
    assert await texts_after(store, "short:s", last) == [], "it has missed nothing (RULES 6)"
    fourth = (await append(store, "short:s", 3)).cursor
    assert fourth.sequence == 3, "the outline outlives the events (RULES 6)"
    assert await texts_after(store, "short:s", last) == ["3"]
    assert await lost(store, "short:s", first) == ["3"]


async def test_deleted(store: Store) -> None:
    cursor = (await append(store, "s", 1)).cursor
    await store.log.delete("s")
    page = await store.log.read("s", cursor)
    assert page.truncated
    assert page.events == ()
    assert page.cursor == page.head == Cursor.after(cursor.generation)


async def test_recreated(store: Store) -> None:
    old = [Cursor.parse(id) for id in (await append(store, "s", 1, 2, 3)).ids]
    await store.log.delete("s")
    await append(store, "s", "new 1", "new 2")
    for cursor in old:
        assert await lost(store, "s", cursor) == ["new 1", "new 2"]


async def test_generations_grow_though_the_clock_stands_or_goes_back(
    store: Store, harness: Harness
) -> None:
    generations = []
    for _ in range(4):
        generations.append((await append(store, "s", 1)).cursor.generation)
        await store.log.delete("s")
        harness.advance(-10)
    assert generations == sorted(set(generations))


# Streams that do not exist (RULES 3)


async def test_who_waited_for_a_stream_gets_it_from_its_beginning(store: Store) -> None:
    origin = (await store.log.describe("s")).head
    assert (await store.log.read("s", origin)).cursor == origin
    await append(store, "s", 1, 2)
    assert await texts_after(store, "s", origin) == ["1", "2"]


async def test_who_waited_is_told_what_is_trimmed_since(store: Store) -> None:
    origin = (await store.log.describe("few:s")).head
    await append(store, "few:s", *range(11))
    page = await store.log.read("few:s", origin)
    assert page.truncated
    assert len(page.events) == KEPT_EVENTS


async def test_an_origin_is_good_until_the_generation_changes(store: Store) -> None:
    never = (await store.log.describe("s")).head
    await append(store, "s", "first")
    await store.log.delete("s")
    after_first = (await store.log.describe("s")).head
    assert after_first != never
    assert await lost(store, "s", never) == []
    assert await texts_after(store, "s", after_first) == []
    await append(store, "s", "second")
    assert await texts_after(store, "s", after_first) == ["second"]
    assert await lost(store, "s", never) == ["second"]
    await store.log.delete("s")
    await append(store, "s", "third")
    assert await lost(store, "s", after_first) == ["third"]
    assert await lost(store, "s", never) == ["third"]


async def test_the_position_of_an_empty_stream(store: Store) -> None:
    empty = (await append(store, "s")).cursor
    assert await texts_after(store, "s", empty) == []
    await append(store, "s", 1)
    assert await texts_after(store, "s", empty) == ["1"]
    await store.log.delete("s")
    await append(store, "s", 2)
    assert await lost(store, "s", empty) == ["2"]

"""Reading along the chain: inside chunks, at holes, where a query was no snapshot (RULES 8, 10)."""

from typing import Any

import pytest

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.stores.base import Store
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import KEPT_SECONDS, Clock, append, follow, texts_after


@pytest.fixture
def store(one: tuple[Store, Meddled]) -> Store:
    return one[0]


@pytest.fixture
def client(one: tuple[Store, Meddled]) -> Meddled:
    return one[1]


async def test_a_resume_inside_a_chunk(store: Store) -> None:
    ids = [id for n in range(3) for id in (await append(store, "s", *[n] * 5)).ids]
    for position, id in enumerate(ids, 1):
        rest = await texts_after(store, "s", Cursor.parse(id))
        assert rest == ["0", "0", "0", "0", "0", *"1" * 5, *"2" * 5][position:]


async def test_a_cursor_inside_a_chunk_is_proven(store: Store) -> None:
    ids = (await append(store, "s", *range(5))).ids
    await append(store, "s", "next")
    inside = Cursor.parse(ids[2])
    other = Cursor(inside.generation, inside.sequence, inside.proof % MAX_PROOF + 1)
    page = await store.log.read("s", other)
    assert page.truncated
    assert [event.data for event in page.events] == ["0", "1", "2", "3", "4", "next"]


async def test_a_page_ends_inside_a_chunk(store: Store) -> None:
    for n in range(4):
        await append(store, "s", *[n] * 7)
    for limit in (1, 3, 10):
        events, _ = await follow(store, "s", limit=limit)
        assert [event.data for event in events] == [str(n) for n in range(4) for _ in range(7)]


async def test_chunks_without_events_are_no_holes(store: Store) -> None:
    cursor = (await append(store, "s", 1)).cursor
    for fence in range(5):
        await store.log.append("s", [], fence=fence)
    await append(store, "s", 2)
    await store.log.append("s", [], fence=9)
    end = (await append(store, "s", 3, close=True)).cursor
    assert await texts_after(store, "s", cursor) == ["2", "3"]
    assert (await store.log.read("s", end)).closed


def without(answer: dict[str, Any], slot: int) -> dict[str, Any]:
    items = list(answer["Items"])
    del items[slot]
    return {**answer, "Items": items}


async def test_a_hole_that_is_fresh_is_read_again(store: Store, client: Meddled) -> None:
    """A query that met one chunk's slot before it was written, and the next one's after."""
    cursor = (await append(store, "s", 1)).cursor
    await append(store, "s", 2)
    await append(store, "s", 3)

    async def misses(answer: dict[str, Any]) -> dict[str, Any]:
        return without(answer, 0)

    client.after("Query", misses)
    assert await texts_after(store, "s", cursor) == ["2", "3"]


async def test_a_hole_that_the_closer_look_meets_is_looked_at_again(
    store: Store, client: Meddled
) -> None:
    for n in range(3):
        await append(store, "s", n)

    async def as_it_is(answer: dict[str, Any]) -> dict[str, Any]:
        return answer

    async def misses(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "Items": []}

    client.after("Query", as_it_is)  # the end of the chain
    client.after("Query", misses)  # the first chunk
    client.after("Query", lambda answer: misses(answer))  # what follows
    page = await store.log.read("s", None)
    assert [event.data for event in page.events] == ["0", "1", "2"]
    assert not page.truncated


async def test_a_hole_in_the_middle_ends_the_page(store: Store, client: Meddled) -> None:
    cursor = (await append(store, "s", 1)).cursor
    for n in (2, 3, 4):
        await append(store, "s", n)

    async def misses(answer: dict[str, Any]) -> dict[str, Any]:
        return without(answer, 1)

    client.after("Query", misses)
    page = await store.log.read("s", cursor)
    assert [event.data for event in page.events] == ["2"]
    assert not page.at_end
    assert await texts_after(store, "s", page.cursor) == ["3", "4"]


async def test_an_outline_newer_than_the_chunks_before_it(store: Store, client: Meddled) -> None:
    cursor = (await append(store, "s", 1)).cursor
    await append(store, "s", 2)

    async def missed_the_last(answer: dict[str, Any]) -> dict[str, Any]:
        return {**answer, "Items": answer["Items"][-1:]}

    client.after("Query", missed_the_last)
    assert await texts_after(store, "s", cursor) == ["2"], "not the end, and nothing lost"


async def test_a_hole_that_stays_is_a_loss_that_is_said(store: Store, client: Meddled) -> None:
    """As after a restored table, or somebody's hand in it."""
    ids = [(await append(store, "s", n)).cursor for n in range(5)]
    await client.expire("s", 2)
    page = await store.log.read("s", ids[0])
    assert [event.data for event in page.events] == ["1"]
    page = await store.log.read("s", page.cursor)
    assert page.truncated
    assert [event.data for event in page.events] == ["3", "4"]
    assert page.start == ids[2]
    assert not (await store.log.read("s", ids[3])).truncated


async def test_an_end_that_is_missing_is_a_loss_that_is_said(store: Store, client: Meddled) -> None:
    ids = [(await append(store, "s", n)).cursor for n in range(4)]
    await client.expire("s", 2, 3)
    page = await store.log.read("s", ids[1])
    assert (page.truncated, page.events, page.cursor) == (True, (), ids[3])
    assert page.at_end


async def test_chunks_are_removed_in_any_order(store: Store, client: Meddled, clock: Clock) -> None:
    """What has expired and is there yet is not seen, nor is the hole between."""
    cursors = []
    for n in range(6):
        cursors.append((await append(store, "short:s", n)).cursor)
        clock.now += 1
    clock.now += KEPT_SECONDS - 3
    await client.expire("short:s", 1)
    extent = await store.log.describe("short:s")
    assert extent.floor == 4
    for cursor in cursors[:2]:
        page = await store.log.read("short:s", cursor)
        assert page.truncated
        assert [event.data for event in page.events] == ["3", "4", "5"]
    page = await store.log.read("short:s", cursors[2])
    assert (page.truncated, [event.data for event in page.events]) == (False, ["3", "4", "5"])


async def test_the_first_event_kept_is_found_among_many(
    open_one: Open, clock: Clock, client: Meddled
) -> None:
    here, _ = open_one()
    for n in range(80):
        await append(here, "short:s", *[n] * (n % 3))
        clock.now += 1
    for number in (0, 3, 4, 9):
        await client.expire("short:s", number)
    for passed in range(0, int(KEPT_SECONDS), 7):
        there, looking = open_one()
        looking.sent.clear()
        page = await there.log.read("short:s", None)
        assert page.events[0].time >= (clock.now - KEPT_SECONDS) * 1000
        n = int(page.events[0].data)
        assert n - 20 - passed in (0, 1), "no kept one was left out"
        assert len(looking.sent) <= 11
        clock.now += 7


async def test_a_page_of_large_chunks_ends_with_bytes(store: Store) -> None:
    events = [f"{n}" * 300_000 for n in range(10)] * 4
    cursor = (await append(store, "s", "first")).cursor
    for text in events:
        await append(store, "s", text)
    page = await store.log.read("s", cursor, 1000)
    assert 10 < len(page.events) < 20
    assert not page.at_end
    assert page.head.sequence == 41, "the end is told nevertheless"
    assert await texts_after(store, "s", cursor) == events


async def test_reading_a_stream_that_is_deleted_and_made_meanwhile(
    open_one: Open, store: Store
) -> None:
    cursor = (await append(store, "s", 1)).cursor
    await append(store, "s", 2)
    reader, meddled = open_one()

    async def made_again() -> None:
        await store.log.delete("s")
        await append(store, "s", "new")

    meddled.before("Query", made_again)
    page = await reader.log.read("s", cursor)
    assert page.truncated
    assert [event.data for event in page.events] == ["new"]

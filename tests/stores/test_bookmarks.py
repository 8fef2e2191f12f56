"""Bookmarks: how far a source has been read, remembered in one step with what was read."""

import asyncio

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, Fenced, InvalidRequest, StreamClosed, TooLarge
from lastevent.core.extent import Extent
from lastevent.stores.base import EXTENT_SECONDS, MAX_BOOKMARK_BYTES, Store
from tests.stores.harness import KEPT_SECONDS, WAIT_SECONDS, Harness, append, follow, notes


async def bookmark(store: Store, stream: str = "s") -> str | None:
    """What is remembered."""
    return (await store.log.describe(stream)).bookmark


async def test_the_last_one_is_remembered(store: Store) -> None:
    assert await bookmark(store) is None, "of a stream that does not exist"
    await append(store, "s", 1)
    assert await bookmark(store) is None
    await store.log.append("s", notes(2), bookmark="two")
    assert await bookmark(store) == "two"
    await append(store, "s", 3)
    assert await bookmark(store) == "two", "an append without one leaves it"
    await store.log.append("s", [], bookmark="four")
    assert await bookmark(store) == "four", "without events, too"
    assert [event.data for event in (await store.log.read("s", None)).events] == ["1", "2", "3"]


async def test_a_stream_may_be_made_with_one(store: Store) -> None:
    await store.log.append("s", [], fence=1, bookmark="begun")
    extent = await store.log.describe("s")
    assert (extent.exists, extent.head.sequence, extent.bookmark) == (True, 0, "begun")


@pytest.mark.parametrize(
    "text",
    ["", "=", "0", "1 2 3", "\n", "a\n\nb\r\n", "nul \0 inside", "日本語 \U0001f600 \u2028", '"\\'],
)
async def test_it_comes_back_as_it_was(store: Store, text: str) -> None:
    await store.log.append("s", notes(1), bookmark="before")
    await store.log.append("s", notes(2), bookmark=text)
    await append(store, "s", 3)
    assert await bookmark(store) == text


async def test_streams_have_their_own(store: Store) -> None:
    for stream in ("a", "b"):
        await store.log.append(stream, notes(1), bookmark=f"of {stream}")
    assert (await bookmark(store, "a"), await bookmark(store, "b")) == ("of a", "of b")


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600"])
async def test_it_has_a_size(store: Store, character: str) -> None:
    largest = character * (MAX_BOOKMARK_BYTES // len(character.encode()))
    await store.log.append("s", notes(1), bookmark=largest)
    before = await store.log.describe("s")
    assert before.bookmark == largest
    with pytest.raises(TooLarge):
        await store.log.append("s", notes(2), bookmark=f"{largest}x")
    assert await store.log.describe("s") == before


async def test_it_is_text(store: Store) -> None:
    with pytest.raises(InvalidRequest):
        await store.log.append("s", notes(1), bookmark="half a pair: \ud800")
    assert not (await store.log.describe("s")).exists


# What it outlives, and what it does not


async def test_it_outlives_events_that_are_trimmed(store: Store) -> None:
    await store.log.append("few:s", notes(*range(50)), bookmark="fifty")
    await append(store, "few:s", *range(50))
    extent = await store.log.describe("few:s")
    assert (extent.floor, extent.bookmark) == (91, "fifty")


async def test_it_outlives_events_that_expire(store: Store, harness: Harness) -> None:
    await store.log.append("short:s", notes(1, 2), bookmark="two")
    harness.advance(KEPT_SECONDS + 1)
    extent = await store.log.describe("short:s")
    assert (extent.floor, extent.bookmark) == (3, "two")
    harness.advance(EXTENT_SECONDS - 2)
    assert await bookmark(store, "short:s") == "two"
    await append(store, "short:s", 3)
    assert await bookmark(store, "short:s") == "two"


async def test_a_closed_stream_keeps_it(store: Store) -> None:
    await store.log.append("s", notes(1), fence=1, close=True, bookmark="the end")
    assert await bookmark(store) == "the end"
    with pytest.raises(StreamClosed):
        await store.log.append("s", notes(2), fence=1, bookmark="beyond")
    assert await bookmark(store) == "the end"
    answer = await store.log.append("s", [], fence=2, bookmark="after the end")
    assert (answer.ids, answer.closed) == ((), True)
    extent = await store.log.describe("s")
    assert (extent.closed, extent.bookmark) == (True, "after the end")


async def test_deleting_the_stream_forgets_it(store: Store) -> None:
    await store.log.append("s", notes(1), bookmark="old")
    await store.log.delete("s")
    assert await bookmark(store) is None
    await append(store, "s", 2)
    assert await bookmark(store) is None, "a stream made again is new"


# What leaves it


async def test_a_refused_append_leaves_it(store: Store) -> None:
    await store.log.append("s", notes(1), fence=5, bookmark="good")
    before = await store.log.describe("s")
    for events in (notes("late"), []):
        with pytest.raises(Fenced):
            await store.log.append("s", events, fence=4, bookmark="late")
        with pytest.raises(Conflict):
            await store.log.append("s", events, expect=Cursor.after(0), bookmark="elsewhere")
    assert await store.log.describe("s") == before


async def test_a_repeated_append_leaves_it(store: Store) -> None:
    """Whatever bookmark it comes with: the key is bound to what was published."""
    first = await store.log.append("s", notes(1), key="k", bookmark="one")
    await store.log.append("s", notes(2), bookmark="two")
    for again in ("one", "other", None):
        answer = await store.log.append("s", notes(1), key="k", bookmark=again)
        assert (answer.ids, answer.repeated) == (first.ids, True)
        assert await bookmark(store) == "two"


async def test_a_late_holder_does_not_bring_an_old_one_back(two: tuple[Store, Store]) -> None:
    """Not by itself, and not by what its process still takes for the stream's state."""
    old, new = two
    await old.log.append("s", notes(1), fence=1, bookmark="one")
    await new.log.append("s", [], fence=2)
    assert await bookmark(new) == "one", "where the new holder goes on"
    await new.log.append("s", notes(2), fence=2, bookmark="two")
    await append(old, "s", "published")
    assert await bookmark(new) == await bookmark(old) == "two"
    await new.log.append("s", notes(3), fence=2, bookmark="three")
    with pytest.raises(Fenced):
        await old.log.append("s", notes("late"), fence=1, bookmark="late")
    assert await bookmark(new) == await bookmark(old) == "three"
    texts = [event.data for event in (await new.log.read("s", None)).events]
    assert texts == ["1", "2", "published", "3"]


async def test_bookmark_and_events_are_one_step(two: tuple[Store, Store]) -> None:
    """A pump, publishers beside it in its own process and another, and who looks all the time."""
    here, there = two
    last = 40
    await here.log.append("s", [], fence=3)

    async def pump() -> None:
        for n in range(1, last + 1):
            await here.log.append("s", notes(f"pumped {n}"), fence=3, bookmark=str(n))

    async def publish(store: Store, name: str) -> None:
        for n in range(15):
            await append(store, "s", f"{name} {n}")

    async with asyncio.timeout(WAIT_SECONDS * 2), asyncio.TaskGroup() as group:
        tasks = [group.create_task(pump())]
        tasks += [group.create_task(publish(store, f"{n}")) for n, store in enumerate(two)]
        seen: list[Extent] = []
        while not all(task.done() for task in tasks):
            seen.append(await there.log.describe("s"))
            await asyncio.sleep(0)

    assert await bookmark(here) == await bookmark(there) == str(last)
    events, _ = await follow(there, "s")
    pumped = {
        Cursor.parse(event.id).sequence: int(event.data.split()[1])
        for event in events
        if event.data.startswith("pumped")
    }
    assert list(pumped.values()) == list(range(1, last + 1))
    assert len(events) == last + 30
    for extent in seen:
        known = [n for sequence, n in pumped.items() if sequence <= extent.head.sequence]
        assert extent.bookmark == (str(known[-1]) if known else None)

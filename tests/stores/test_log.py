"""A log: what is appended comes back whole, in order, under ids that grow; closing; fences."""

import asyncio

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, Fenced, InvalidRequest, StreamClosed, TooLarge
from lastevent.core.event import Event, NewEvent
from lastevent.stores.base import MAX_BATCH_EVENTS, Store
from tests.stores.harness import Harness, append, follow, notes, texts_after


async def test_events_come_back_in_order_under_their_ids(store: Store) -> None:
    ids: list[str] = []
    for batch in ([1], [2, 3, 4], [5]):
        answer = await append(store, "s", *batch)
        assert len(answer.ids) == len(batch)
        assert str(answer.cursor) == answer.ids[-1]
        assert not answer.closed
        assert not answer.repeated
        ids += answer.ids
    page = await store.log.read("s", None)
    assert [(event.id, event.data) for event in page.events] == list(zip(ids, "12345", strict=True))
    assert ids == sorted(ids)
    assert len({Cursor.parse(id).generation for id in ids}) == 1
    assert [Cursor.parse(id).sequence for id in ids] == [1, 2, 3, 4, 5], "dense (RULES 8)"


async def test_events_of_one_append_share_a_proof(store: Store) -> None:
    answers = [await append(store, "s", *range(3)) for _ in range(20)]
    proofs = [{Cursor.parse(id).proof for id in answer.ids} for answer in answers]
    assert all(len(own) == 1 and 0 not in own for own in proofs)
    assert len(set.union(*proofs)) > 1, "drawn for each append (RULES 5)"


@pytest.mark.parametrize(
    "event",
    [
        NewEvent("note", ""),
        NewEvent("note", "a\nb\r\nc\n\n"),
        NewEvent("note", "nul \0 inside"),
        NewEvent("ünïcode", "日本語 \U0001f600 \u2028"),
        NewEvent("note", "x" * 300_000),
        NewEvent("note", "1", {"content-type": "text/plain", "ключ": "\n\0"}),
    ],
    ids=["empty", "lines", "nul", "unicode", "large", "headers"],
)
async def test_an_event_comes_back_as_it_was(store: Store, event: NewEvent) -> None:
    await store.log.append("s", [event])
    (back,) = (await store.log.read("s", None)).events
    assert (back.type, back.data, dict(back.headers)) == (
        event.type,
        event.data,
        dict(event.headers),
    )


async def test_time_is_the_stores_and_never_goes_back(store: Store, harness: Harness) -> None:
    began = int(harness.clock() * 1000)
    await append(store, "s", 1)
    harness.advance(5)
    await append(store, "s", 2, 3)
    harness.advance(-60)
    await append(store, "s", 4)
    times = [event.time - began for event in (await store.log.read("s", None)).events]
    assert times == [0, 5000, 5000, 5000]
    assert (await store.log.describe("s")).time == (await follow(store, "s"))[0][-1].time


@pytest.mark.parametrize("limit", [1, 2, 7, 23, 100])
async def test_pages_follow_each_other_without_a_hole(store: Store, limit: int) -> None:
    await append(store, "s", *range(23))
    events, end = await follow(store, "s", limit=limit)
    assert [event.data for event in events] == [str(n) for n in range(23)]
    assert end == (await store.log.describe("s")).head


async def test_a_page_says_where_it_stands(store: Store) -> None:
    answer = await append(store, "s", *range(5))
    first, second, *_, last = map(Cursor.parse, answer.ids)
    page = await store.log.read("s", first, 1)
    assert [event.data for event in page.events] == ["1"]
    assert (page.start, page.cursor, page.head) == (first, second, last)
    assert not page.at_end
    page = await store.log.read("s", last)
    assert page.events == ()
    assert page.start == page.cursor == page.head == last
    assert page.at_end


async def test_a_large_page_may_be_short_yet_nothing_is_left_out(store: Store) -> None:
    large = [NewEvent(event.type, event.data * 200_000) for event in notes(*range(10))]
    for _ in range(4):
        await store.log.append("s", large)
    events, _ = await follow(store, "s")
    assert [event.data[0] for event in events] == list("0123456789" * 4)


async def test_a_stream_that_does_not_exist_is_empty(store: Store) -> None:
    page = await store.log.read("s", None)
    assert (page.events, page.closed, page.truncated, page.at_end) == ((), False, False, True)
    assert page.cursor == Cursor.after(0)
    extent = await store.log.describe("s")
    assert (extent.exists, extent.head) == (False, Cursor.after(0))


async def test_the_first_append_makes_the_stream_even_without_events(
    store: Store, harness: Harness
) -> None:
    answer = await store.log.append("s", [])
    assert answer.ids == ()
    assert answer.cursor == Cursor(int(harness.clock() * 1000), 0)
    extent = await store.log.describe("s")
    assert (extent.exists, extent.head, extent.floor) == (True, answer.cursor, 1)
    again = await store.log.append("s", [])
    assert again.cursor == answer.cursor


async def test_streams_do_not_mix(store: Store) -> None:
    names = ["a", "a:1", "A", "a~", "b"]
    for round in range(3):
        for name in names:
            await append(store, name, f"{name} {round}")
    for name in names:
        assert await texts_after(store, name) == [f"{name} {round}" for round in range(3)]


async def test_concurrent_appends_are_dense_and_whole(store: Store) -> None:
    answers = await asyncio.gather(*(append(store, "s", n, n, n) for n in range(100)))
    events, _ = await follow(store, "s")
    assert [Cursor.parse(event.id).sequence for event in events] == list(range(1, 301))
    by_id = {event.id: event.data for event in events}
    for n, answer in enumerate(answers):
        assert [by_id[id] for id in answer.ids] == [str(n)] * 3
        first, _, last = (Cursor.parse(id).sequence for id in answer.ids)
        assert last - first == 2, "a batch lies together"


async def test_a_batch_has_a_limit(store: Store) -> None:
    answer = await append(store, "s", *range(MAX_BATCH_EVENTS))
    assert len(answer.ids) == MAX_BATCH_EVENTS
    with pytest.raises(TooLarge):
        await append(store, "s", *range(MAX_BATCH_EVENTS + 1))
    assert (await store.log.describe("s")).head == answer.cursor


@pytest.mark.parametrize("key", ["", "k" * 256])
async def test_a_key_has_a_length(store: Store, key: str) -> None:
    with pytest.raises(InvalidRequest):
        await store.log.append("s", notes(1), key=key)


# expect


async def test_expect_lets_one_of_two_writers_through(store: Store) -> None:
    end = (await append(store, "s", 1)).cursor
    answers = await asyncio.gather(
        *(store.log.append("s", notes(n), expect=end) for n in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 9
    assert len(await texts_after(store, "s")) == 2


async def test_expect_of_a_stream_that_never_existed(store: Store) -> None:
    await store.log.append("s", notes(1), expect=Cursor.after(0))
    with pytest.raises(Conflict):
        await store.log.append("s", notes(2), expect=Cursor.after(0))
    assert await texts_after(store, "s") == ["1"]


async def test_expect_of_another_proof_conflicts(store: Store) -> None:
    end = (await append(store, "s", 1)).cursor
    other = end._replace(proof=end.proof % 65535 + 1)
    with pytest.raises(Conflict):
        await store.log.append("s", notes(2), expect=other)


async def test_expect_of_a_deleted_stream(store: Store) -> None:
    await append(store, "s", 1)
    await store.log.delete("s")
    end = (await store.log.describe("s")).head
    with pytest.raises(Conflict):
        await store.log.append("s", notes(2), expect=Cursor.after(0))
    await store.log.append("s", notes(2), expect=end)
    assert await texts_after(store, "s") == ["2"]


# close


async def test_the_last_events_and_the_end_come_together(store: Store) -> None:
    await append(store, "s", 1)
    answer = await append(store, "s", 2, close=True)
    assert answer.closed
    page = await store.log.read("s", None)
    assert [event.data for event in page.events] == ["1", "2"]
    assert page.closed
    assert (await store.log.describe("s")).closed


async def test_a_closed_stream_takes_no_events_but_may_be_closed_again(store: Store) -> None:
    end = (await append(store, "s", 1, close=True)).cursor
    with pytest.raises(StreamClosed):
        await append(store, "s", 2)
    with pytest.raises(StreamClosed):
        await append(store, "s", 2, close=True)
    again = await append(store, "s", close=True)
    assert (again.closed, again.cursor) == (True, end)
    assert (await append(store, "s")).closed
    assert await texts_after(store, "s") == ["1"]


async def test_a_stream_may_be_made_closed(store: Store) -> None:
    answer = await append(store, "s", close=True)
    assert answer.closed
    page = await store.log.read("s", answer.cursor)
    assert (page.closed, page.at_end, page.truncated) == (True, True, False)


# fence (RULES 14)


async def test_a_fence_shuts_out_earlier_holders(store: Store) -> None:
    await store.log.append("s", notes(1), fence=3)
    await store.log.append("s", notes(2), fence=3)
    await store.log.append("s", [], fence=7)
    for token in (3, 6):
        with pytest.raises(Fenced):
            await store.log.append("s", notes("late"), fence=token)
        with pytest.raises(Fenced):
            await store.log.append("s", [], fence=token)
    await append(store, "s", "without a fence")
    await store.log.append("s", notes(3), fence=7)
    assert await texts_after(store, "s") == ["1", "2", "without a fence", "3"]


async def test_a_fence_outlives_the_stream(store: Store) -> None:
    await store.log.append("s", notes(1), fence=5)
    await store.log.delete("s")
    with pytest.raises(Fenced):
        await store.log.append("s", notes("late"), fence=4)
    assert not (await store.log.describe("s")).exists
    await append(store, "s", 2)
    with pytest.raises(Fenced):
        await store.log.append("s", notes("late"), fence=4)
    assert await texts_after(store, "s") == ["2"]


async def test_a_refused_append_changes_nothing(store: Store) -> None:
    await store.log.append("s", notes(1), fence=2)
    before = await store.log.describe("s")
    with pytest.raises(Conflict):
        await store.log.append("s", notes(2), fence=9, expect=Cursor.after(0), close=True)
    assert await store.log.describe("s") == before
    await store.log.append("s", notes(3), fence=2)


# delete


async def test_deleting(store: Store) -> None:
    assert not await store.log.delete("s")
    await append(store, "s", 1, close=True)
    assert await store.log.delete("s")
    assert not await store.log.delete("s")
    page = await store.log.read("s", None)
    assert (page.events, page.closed) == ((), False)


async def test_a_stream_made_again_is_new(store: Store) -> None:
    for n in range(3):
        answer = await append(store, "s", n)
        assert answer.cursor.sequence == 1
        assert await texts_after(store, "s") == [str(n)]
        await store.log.delete("s")
    events: list[Event] = [*(await store.log.read("s", None)).events]
    assert events == []

"""Idempotency keys: a publish that is retried has happened once (RULES 9)."""

import asyncio

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, Fenced, KeyReused, StreamClosed
from lastevent.core.event import NewEvent
from lastevent.stores.base import KEY_SECONDS, Store
from tests.stores.harness import Harness, append, notes, texts_after


async def test_a_retry_gets_the_first_answer(store: Store) -> None:
    await append(store, "s", 0)
    first = await store.log.append("s", notes(1, 2), key="k")
    await append(store, "s", 3)
    again = await store.log.append("s", notes(1, 2), key="k")
    assert again == first._replace(repeated=True)
    assert await texts_after(store, "s") == ["0", "1", "2", "3"]


async def test_retries_at_the_same_time_write_once(store: Store) -> None:
    answers = await asyncio.gather(*(store.log.append("s", notes(1), key="k") for _ in range(20)))
    assert len({answer.ids for answer in answers}) == 1
    assert sum(not answer.repeated for answer in answers) == 1
    assert await texts_after(store, "s") == ["1"]


async def test_a_retry_of_the_closing_publish_gets_its_answer(store: Store) -> None:
    first = await store.log.append("s", notes(1), key="k", close=True)
    again = await store.log.append("s", notes(1), key="k", close=True)
    assert again == first._replace(repeated=True)
    assert again.closed


async def test_the_answer_is_of_its_own_time(store: Store) -> None:
    first = await store.log.append("s", notes(1), key="k")
    await append(store, "s", 2, close=True)
    again = await store.log.append("s", notes(1), key="k")
    assert (again.cursor, again.closed) == (first.cursor, False)


async def test_the_answer_to_an_append_of_nothing(store: Store) -> None:
    await append(store, "s", 1)
    first = await store.log.append("s", [], key="k", close=True)
    again = await store.log.append("s", [], key="k", close=True)
    assert again == first._replace(repeated=True)
    assert again.ids == ()


@pytest.mark.parametrize(
    ("events", "close"),
    [
        (notes(2), False),
        (notes(1, 1), False),
        ([], False),
        (notes(1), True),
        ([NewEvent("other", "1")], False),
        ([NewEvent("note", "1", {"a": "b"})], False),
    ],
    ids=["data", "count", "none", "close", "type", "headers"],
)
async def test_a_key_is_bound_to_what_was_said(
    store: Store, events: list[NewEvent], close: bool
) -> None:
    await store.log.append("s", notes(1), key="k")
    with pytest.raises(KeyReused):
        await store.log.append("s", events, key="k", close=close)
    assert await texts_after(store, "s") == ["1"]
    assert not (await store.log.describe("s")).closed


async def test_a_key_is_bound_to_its_stream(store: Store) -> None:
    await store.log.append("a", notes(1), key="k")
    answer = await store.log.append("b", notes(2), key="k")
    assert not answer.repeated
    assert await texts_after(store, "b") == ["2"]


async def test_a_refused_publish_leaves_its_key_free(store: Store) -> None:
    await append(store, "s", 1)
    with pytest.raises(Conflict):
        await store.log.append("s", notes(2), key="k", expect=Cursor.after(0))
    answer = await store.log.append("s", notes("other"), key="k")
    assert not answer.repeated


async def test_a_key_lives_a_day(store: Store, harness: Harness) -> None:
    first = await store.log.append("s", notes(1), key="k")
    harness.advance(KEY_SECONDS - 1)
    assert (await store.log.append("s", notes(1), key="k")).ids == first.ids
    harness.advance(2)
    second = await store.log.append("s", notes(2), key="k")
    assert not second.repeated
    assert await texts_after(store, "s") == ["1", "2"]
    harness.advance(KEY_SECONDS - 1)
    assert (await store.log.append("s", notes(2), key="k")).ids == second.ids


async def test_a_key_outlives_its_events(store: Store, harness: Harness) -> None:
    first = await store.log.append("few:s", notes(1), key="k")
    await append(store, "few:s", *range(20))
    assert (await store.log.append("few:s", notes(1), key="k")).ids == first.ids
    first = await store.log.append("short:s", notes(1), key="k")
    harness.advance(3600)
    assert (await store.log.append("short:s", notes(1), key="k")).ids == first.ids


async def test_deleting_the_stream_forgets_its_keys(store: Store) -> None:
    await store.log.append("s", notes(1), key="k")
    await store.log.delete("s")
    answer = await store.log.append("s", notes(1), key="k")
    assert not answer.repeated
    assert await texts_after(store, "s") == ["1"]


async def test_a_key_is_looked_up_before_fence_end_and_position(store: Store) -> None:
    before = (await append(store, "s", 0)).cursor
    first = await store.log.append("s", notes(1), key="k", fence=1, expect=before)
    await store.log.append("s", [], fence=5, close=True)
    again = await store.log.append("s", notes(1), key="k", fence=1, expect=before)
    assert again == first._replace(repeated=True)
    with pytest.raises(KeyReused):
        await store.log.append("s", notes(2), key="k", fence=1, expect=before)


async def test_a_fence_counts_before_the_end_and_the_end_before_the_position(store: Store) -> None:
    await store.log.append("s", notes(1), fence=5, close=True)
    elsewhere = Cursor.after(0)
    with pytest.raises(Fenced):
        await store.log.append("s", notes(2), fence=4, expect=elsewhere)
    with pytest.raises(StreamClosed):
        await store.log.append("s", notes(2), fence=5, expect=elsewhere)
    with pytest.raises(Conflict) as refusal:
        await store.log.append("s", [], fence=5, expect=elsewhere)
    assert type(refusal.value) is Conflict

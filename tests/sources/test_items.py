"""Async iterators as sources: every item once and in order, bounded, closed whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from lastevent.core.errors import InvalidEvent, NotFound
from lastevent.core.event import NewEvent
from lastevent.sources.base import Batch
from lastevent.sources.items import AHEAD_EVENTS, DEFECT, MAX_ITEM_BYTES, Item, Items
from tests.sources.processes import WAIT_SECONDS, until

CLOSE_SECONDS = 0.2


class Given:
    """An iterator over ``items``, and whether it was closed. Then it raises ``error``, or waits for
    ever if that is asked for."""

    def __init__(self, *items: Any, error: Exception | None = None, waits: bool = False) -> None:
        self.items = items
        self.error = error
        self.waits = waits
        self.asked = 0
        self.closed = False

    async def __call__(self) -> AsyncIterator[Item]:
        try:
            for item in self.items:
                self.asked += 1
                yield item
            if self.waits:
                await asyncio.Event().wait()
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


async def batches(source: Items) -> list[Batch]:
    """Read a source to its end."""
    await source.start()
    async with asyncio.timeout(WAIT_SECONDS), aclosing(source.read()) as read:
        return [batch async for batch in read]


async def events(source: Items) -> list[NewEvent]:
    return [event for batch in await batches(source) for event in batch.events]


def error_of(event: NewEvent) -> str:
    assert event.type == "failure"
    return str(json.loads(event.data)["error"])


async def test_items_become_events() -> None:
    given = Given("text", {"ä": 1}, [1, None], NewEvent("chapter", "two"))
    *said, done = await events(Items(given(), type="token"))
    assert [(event.type, event.data) for event in said] == [
        ("token", "text"),
        ("token", '{"ä":1}'),
        ("token", "[1,null]"),
        ("chapter", "two"),
    ]
    assert done.type == "done"
    assert json.loads(done.data)["time"] > 1_700_000_000_000
    assert given.closed


async def test_only_the_last_batch_is_over() -> None:
    given = Given(*("x" for _ in range(3 * AHEAD_EVENTS)))
    read = await batches(Items(given()))
    assert [batch.over for batch in read] == [False] * (len(read) - 1) + [True]
    assert sum(len(batch.events) for batch in read) == 3 * AHEAD_EVENTS + 1
    assert len(read) <= 5, "what is at hand goes into one batch"


@pytest.mark.parametrize(
    ("item", "most"), [("x", AHEAD_EVENTS), ("x" * (MAX_ITEM_BYTES // 2), 2)], ids=["many", "large"]
)
async def test_it_is_not_asked_for_more_than_so_many_ahead(item: str, most: int) -> None:
    given = Given(*(item for _ in range(10 * AHEAD_EVENTS)))
    source = Items(given())
    await source.start()
    async with aclosing(source.read()) as read:
        await anext(read)
        for _ in range(20):  # the batch is being stored
            await asyncio.sleep(0)
        ahead = given.asked
        await anext(read)
        for _ in range(20):
            await asyncio.sleep(0)
        assert given.asked - ahead <= most
        assert ahead <= 2 * most
    assert given.closed


async def test_an_item_is_there_at_once() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def items() -> AsyncIterator[str]:
        while True:
            yield await queue.get()

    source = Items(items())
    await source.start()
    async with asyncio.timeout(WAIT_SECONDS), aclosing(source.read()) as read:
        for word in ("one", "two", "three"):
            queue.put_nowait(word)
            batch = await anext(read)
            assert [event.data for event in batch.events] == [word]


@pytest.mark.parametrize(
    ("error", "told"),
    [(RuntimeError("password=hush"), DEFECT), (NotFound("there is no chapter 3"), "there is no")],
    ids=["any", "ours"],
)
async def test_an_error_ends_it(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    said, failure = await events(Items(Given("before", error=error)()))
    assert said.data == "before"
    assert told in error_of(failure)
    assert "hush" not in failure.data
    assert ("an iterator failed" in caplog.text) == (told == DEFECT), "logged, since it is not told"


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (object(), "as JSON"),
        ({"n": float("nan")}, "as JSON"),
        ("\ud800", "surrogate"),
        ("x" * (MAX_ITEM_BYTES + 1), "bytes"),
    ],
    ids=["object", "nan", "surrogate", "large"],
)
async def test_an_item_that_cannot_be_an_event_ends_it(item: Any, told: str) -> None:
    given = Given("before", item, "after")
    said, failure = await events(Items(given()))
    assert said.data == "before"
    assert told in error_of(failure)
    assert given.closed


async def test_a_type_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="reserved"):
        Items(Given()(), type="error")


@pytest.mark.parametrize(("reason", "end"), [(None, "cancelled"), ("Enough.", "failure")])
async def test_stop(reason: str | None, end: str) -> None:
    given = Given("one", "two", waits=True)
    source = Items(given())
    reading = asyncio.create_task(events(source))
    await until(lambda: given.asked == 2, "the items")
    await asyncio.gather(source.stop(reason), source.stop("Too late."))
    assert given.closed
    *said, last = await asyncio.wait_for(reading, WAIT_SECONDS)
    assert [event.data for event in said] == ["one", "two"]
    assert last.type == end
    if reason is not None:
        assert error_of(last) == reason


async def test_stop_before_the_start() -> None:
    given = Given("never")
    source = Items(given())
    await source.stop()
    assert given.asked == 0
    assert [event.type for event in await events(source)] == ["cancelled"]


async def test_who_stops_reading_stops_the_iterator() -> None:
    given = Given("one", waits=True)
    source = Items(given())
    await source.start()
    async with aclosing(source.read()) as read:
        await anext(read)
    assert given.closed


async def test_an_end_stays_the_end() -> None:
    source = Items(Given("one")())
    await source.start()
    await asyncio.sleep(0.01)
    await source.stop("Too late.")
    assert [event.type for event in await events(source)] == ["message", "done"]


async def test_one_that_takes_no_notice_of_being_stopped() -> None:
    """It swallows its cancellation and gives another item, which nobody takes."""
    closed = False

    async def items() -> AsyncIterator[str]:
        nonlocal closed
        try:
            yield "one"
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield "two"
        finally:
            closed = True

    source = Items(items())
    reading = asyncio.create_task(events(source))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(source.stop(), WAIT_SECONDS)
    assert [event.data for event in (await reading)[:-1]] == ["one"]
    assert closed


async def test_one_that_does_not_let_go_is_left_after_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def items() -> AsyncIterator[str]:
        try:
            yield "one"
            await asyncio.Event().wait()
        finally:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    source = Items(items(), close_seconds=CLOSE_SECONDS)
    reading = asyncio.create_task(events(source))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(source.stop(), WAIT_SECONDS)
    assert [event.type for event in await reading] == ["message", "cancelled"]
    assert "does not let go" in caplog.text
    release.set()
    await until(lambda: len(asyncio.all_tasks()) == 1, "its end")


async def test_an_iterator_that_cannot_be_closed() -> None:
    class Bare:
        def __aiter__(self) -> "Bare":
            return self

        async def __anext__(self) -> str:
            await asyncio.Event().wait()
            return ""

    source = Items(Bare())
    await source.start()
    await asyncio.sleep(0.01)
    await source.stop()
    assert [event.type for event in await events(source)] == ["cancelled"]

"""Making, deleting and dying at the wrong moment: the chain decides, and all agree on it."""

import asyncio

import pytest

from lastevent.core.errors import Fenced, StreamClosed, Transient
from lastevent.stores.base import EXTENT_SECONDS, Store
from lastevent.stores.dynamodb import ends
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import (
    KEPT_SECONDS,
    WAIT_SECONDS,
    Clock,
    append,
    follow,
    notes,
    texts_after,
)


async def test_two_who_make_a_stream_agree_on_its_generation(open_one: Open, clock: Clock) -> None:
    (here, own), (there, _) = open_one(), open_one()

    async def faster() -> None:
        await append(there, "s", "faster")
        clock.now += 1

    own.before("PutItem", faster)
    answer = await append(here, "s", "slower")
    assert answer.cursor.sequence == 2
    assert await texts_after(here, "s") == ["faster", "slower"]


async def test_many_who_make_a_stream_at_once(open_one: Open) -> None:
    stores = [open_one()[0] for _ in range(6)]
    for round in range(3):
        answers = await asyncio.gather(
            *(append(store, "s", n) for n, store in enumerate(stores * 3))
        )
        assert len({answer.cursor.generation for answer in answers}) == 1
        events, _ = await follow(stores[0], "s")
        assert {event.id for event in events} == {id for answer in answers for id in answer.ids}
        await stores[round].log.delete("s")


async def test_an_append_that_meets_a_deletion_makes_the_stream_again(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    first = await append(here, "s", "old")
    own.before("PutItem", lambda: there.log.delete("s"))
    answer = await append(here, "s", "new")
    assert answer.cursor.generation > first.cursor.generation
    assert await texts_after(there, "s") == ["new"]


async def test_a_deletion_that_meets_an_append_deletes_it_too(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    await append(here, "s", 1)
    own.before("PutItem", lambda: append(there, "s", 2))
    assert await here.log.delete("s")
    assert not (await there.log.describe("s")).exists


async def test_one_of_two_deletions_finds_something(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    await append(here, "s", 1)
    own.before("PutItem", lambda: there.log.delete("s"))
    assert not await here.log.delete("s")


async def test_what_is_remembered_of_a_stream_may_be_old(open_one: Open) -> None:
    """Refusals are only given in a state that was seen since the call came."""
    (here, _), (there, _) = open_one(), open_one()
    await append(here, "s", 1, close=True)
    with pytest.raises(StreamClosed):
        await append(here, "s", 2)
    await there.log.delete("s")
    await append(here, "s", "open again")
    end = (await append(there, "s", 2)).cursor
    answer = await here.log.append("s", [], expect=end)
    assert answer.cursor == end
    assert (await here.log.append("s", [])).cursor == end
    await append(there, "s", 3)
    assert (await here.log.append("s", [])).cursor.sequence == 3


async def test_a_copy_that_is_late_replaces_no_newer_one(open_one: Open) -> None:
    (here, own), (there, _) = open_one(), open_one()
    await append(here, "s", 1)

    async def nothing() -> None:
        pass

    own.before("PutItem", nothing)
    own.before("PutItem", lambda: append(there, "s", 3))
    await append(here, "s", 2)
    third, client = open_one()
    await client.expire("s")
    assert (await third.log.describe("s")).head.sequence == 3


# A writer that dies after its chunk, and before the outline's copy


class Died(Transient):
    """What stands for the end of a process."""


async def dies() -> None:
    raise Died("the process has ended")


@pytest.fixture
async def orphaned(open_one: Open) -> tuple[Store, Meddled]:
    """A stream whose last writer has died; its last event is 2, its fence 5, its bookmark "two",
    and it is closed.
    """
    writer, client = open_one()
    await append(writer, "short:s", 1)

    async def dies_at_the_next() -> None:
        client.before("PutItem", dies)

    client.before("PutItem", dies_at_the_next)
    with pytest.raises(Died):
        await writer.log.append("short:s", notes(2), fence=5, close=True, bookmark="two")
    return open_one()


async def test_readers_and_writers_find_it_in_the_chain(orphaned: tuple[Store, Meddled]) -> None:
    store, _ = orphaned
    assert (await store.log.describe("short:s")).closed
    assert await texts_after(store, "short:s") == ["1", "2"]
    with pytest.raises(StreamClosed):
        await append(store, "short:s", 3)
    with pytest.raises(Fenced):
        await store.log.append("short:s", [], fence=4)


async def test_a_poller_that_has_just_begun_finds_it(orphaned: tuple[Store, Meddled]) -> None:
    store, _ = orphaned
    first = (await store.log.read("short:s", None, 1)).cursor
    assert await store.wakeup.wait({"short:s": first}, WAIT_SECONDS) == {"short:s"}


async def test_a_poller_that_goes_on_finds_it_within_a_minute(open_one: Open, clock: Clock) -> None:
    (writer, client), (store, looking) = open_one(), open_one()
    cursor = (await append(writer, "s", 1)).cursor
    look = store.wakeup.ends  # type: ignore[attr-defined]
    assert (await look(["s"]))["s"].cursor == cursor

    async def dies_at_the_next() -> None:
        client.before("PutItem", dies)

    client.before("PutItem", dies_at_the_next)
    with pytest.raises(Died):
        await append(writer, "s", 2)
    assert (await look(["s"]))["s"].cursor == cursor, "the copy is a hint, and has been left behind"
    clock.now += ends.CLOSER_SECONDS
    assert (await look(["s"]))["s"].cursor.sequence == 2
    looking.sent.clear()
    assert (await look(["s"]))["s"].cursor.sequence == 2
    assert looking.sent == ["BatchGetItem"], "the copy has been made good"


async def test_who_notices_makes_it_good_before_the_chunk_expires(
    orphaned: tuple[Store, Meddled], clock: Clock
) -> None:
    store, client = orphaned
    before = await store.log.describe("short:s")
    clock.now += KEPT_SECONDS + 1
    await client.expire("short:s")
    extent = await store.log.describe("short:s")
    assert (extent.head, extent.closed, extent.bookmark) == (before.head, True, "two")
    with pytest.raises(Fenced):
        await store.log.append("short:s", [], fence=4)


# What outlives the events (RULES 6)


async def test_everything_that_is_remembered_survives_all_chunks(
    open_one: Open, clock: Clock
) -> None:
    store, client = open_one()
    await store.log.append("short:s", [], fence=3, bookmark="begun")
    cursor = (await append(store, "short:s", 1, 2)).cursor
    clock.now += KEPT_SECONDS + EXTENT_SECONDS - 1
    await client.expire("short:s")
    there, _ = open_one()
    assert (await there.log.read("short:s", cursor)).cursor == cursor
    assert (await there.log.describe("short:s")).bookmark == "begun"
    with pytest.raises(Fenced):
        await there.log.append("short:s", [], fence=2)
    assert (await append(there, "short:s", 3)).cursor.sequence == 3
    assert await texts_after(there, "short:s", cursor) == ["3"]


async def test_a_deleted_stream_is_remembered_without_its_chunks(
    open_one: Open, clock: Clock
) -> None:
    store, client = open_one()
    old = (await append(store, "s", 1)).cursor
    await store.log.delete("s")
    await client.expire("s")
    clock.now -= 100
    new = (await append(store, "s", 2)).cursor
    assert new.generation > old.generation
    assert (await store.log.read("s", old)).truncated

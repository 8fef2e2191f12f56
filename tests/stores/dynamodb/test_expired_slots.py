"""RULES 10: slots become free when their chunks expire, and nobody reads what is written there."""

import asyncio

import pytest

from lastevent.core.errors import Fenced, Transient
from lastevent.stores.base import Store
from tests.stores.dynamodb.conftest import Open
from tests.stores.dynamodb.meddled import Meddled
from tests.stores.harness import Clock, append, notes, texts_after

LONG = 2 * 24 * 3600.0
"""Until the chunks of a stream that is kept for a minute are surely removed."""


async def others_append_and_all_expires(
    there: Store, client: Meddled, clock: Clock, stream: str = "short:s"
) -> None:
    """Let the stream go on for days, of which only the last event is left."""
    for n in range(3):
        await append(there, stream, f"between {n}")
    clock.now += LONG
    await client.expire(stream)
    await append(there, stream, "newest")


async def test_a_writer_that_has_slept_looks_where_the_chain_ends(
    open_one: Open, clock: Clock
) -> None:
    (here, _), (there, client) = open_one(), open_one()
    cursor = (await append(here, "short:s", "first")).cursor
    await others_append_and_all_expires(there, client, clock)
    answer = await append(here, "short:s", "after the sleep")
    assert answer.cursor.sequence == cursor.sequence + 5
    assert await texts_of(there, "short:s") == ["newest", "after the sleep"]


async def texts_of(store: Store, stream: str) -> list[str]:
    """The texts of all events that are kept."""
    return [event.data for event in (await store.log.read(stream, None)).events]


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_writer_that_sleeps_before_it_writes_sees_that_it_was_forgotten(
    open_one: Open, clock: Clock, key: str | None
) -> None:
    """Frozen between its look and its write, which succeeds, in a slot that nobody reads."""
    (here, own), (there, client) = open_one(), open_one()
    await append(there, "short:s", "first")

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        await others_append_and_all_expires(there, client, clock)
        return answer

    own.after("Query", sleep)
    answer = await here.log.append("short:s", notes("after the sleep"), key=key)
    assert answer.cursor.sequence == 6
    assert not answer.repeated
    assert await texts_of(there, "short:s") == ["newest", "after the sleep"]
    assert len(await client.chunks("short:s")) == 2, "the one in the slot was taken back"
    if key:
        again = await there.log.append("short:s", notes("after the sleep"), key=key)
        assert (again.ids, again.repeated) == (answer.ids, True), "and so was its answer"


async def test_a_writer_is_forgotten_by_a_stream_of_which_only_the_outline_is_left(
    open_one: Open, clock: Clock
) -> None:
    (here, own), (there, client) = open_one(), open_one()
    await append(there, "short:s", "first")

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        await append(there, "short:s", 2, 3, 4)
        clock.now += LONG
        await client.expire("short:s")
        return answer

    own.after("Query", sleep)
    assert (await append(here, "short:s", "after the sleep")).cursor.sequence == 5
    assert await texts_of(there, "short:s") == ["after the sleep"]


async def test_a_writer_that_sleeps_while_it_writes_is_not_told_that_it_succeeded(
    open_one: Open, clock: Clock
) -> None:
    (here, own), (there, client) = open_one(), open_one()
    await append(here, "short:s", "first")
    own.before("PutItem", lambda: others_append_and_all_expires(there, client, clock))
    with pytest.raises(Transient):
        await append(here, "short:s", "asleep")
    assert await texts_of(there, "short:s") == ["newest"]
    assert len(await client.chunks("short:s")) == 1, "the one in the slot was taken back"


async def test_a_late_answer_of_a_write_that_counts(open_one: Open, clock: Clock) -> None:
    """It slept between the write and its answer: the chain goes through its chunk."""
    (here, own), (there, _) = open_one(), open_one()
    await append(here, "s", 1)

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        await append(there, "s", 3)
        clock.now += LONG
        return answer

    own.after("PutItem", sleep)
    await append(here, "s", 2)
    assert await texts_after(there, "s") == ["1", "2", "3"]


async def test_a_late_answer_of_the_last_write(open_one: Open, clock: Clock) -> None:
    here, own = open_one()
    await append(here, "s", 1)

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        clock.now += LONG
        return answer

    own.after("PutItem", sleep)
    await append(here, "s", 2)
    assert await texts_after(here, "s") == ["1", "2"]


async def test_what_cannot_be_told_any_more_is_not_acknowledged(
    open_one: Open, clock: Clock
) -> None:
    """It slept between the write and its answer, until all that followed had expired too."""
    (here, own), (there, client) = open_one(), open_one()
    await append(here, "short:s", "first")

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        await others_append_and_all_expires(there, client, clock)
        return answer

    own.after("PutItem", sleep)
    with pytest.raises(Transient):
        await append(here, "short:s", "asleep")
    await append(here, "short:s", "awake")
    assert await texts_of(there, "short:s") == ["newest", "awake"]


async def test_a_fence_is_not_forgotten_in_an_expired_slot(open_one: Open, clock: Clock) -> None:
    """Chunks without events look alike but for their nonces: here the real one was removed."""
    (here, own), (there, client) = open_one(), open_one()
    await append(there, "short:s", "first")

    async def sleep(answer: dict[str, object]) -> dict[str, object]:
        await there.log.append("short:s", [], fence=3)
        await there.log.append("short:s", [], fence=4)
        clock.now += LONG
        await client.expire("short:s", 1)
        return answer

    own.after("Query", sleep)
    await here.log.append("short:s", [], fence=7)
    with pytest.raises(Fenced):
        await there.log.append("short:s", [], fence=6)


async def test_nobody_waits_for_a_sleep_that_is_short(open_one: Open, clock: Clock) -> None:
    here, own = open_one()
    await append(here, "s", 1)
    clock.now += 30
    own.sent.clear()
    await asyncio.gather(append(here, "s", 2))
    assert own.sent == ["PutItem", "PutItem"], "no look"

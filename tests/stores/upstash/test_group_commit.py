"""Group commit: what waits goes into one script, in which each call stands or fails alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.core.errors import (
    Conflict,
    Fenced,
    KeyReused,
    LastEventError,
    StoreUnavailable,
    StreamClosed,
    Transient,
)
from lastevent.core.event import NewEvent
from lastevent.stores import group
from lastevent.stores.base import Appended, Store
from lastevent.stores.upstash import appends
from tests.stores.harness import WAIT_SECONDS, append, follow, notes, texts_after

SCRIPTS = ("EVALSHA", "EVAL")

Outcomes = list[Appended | BaseException]
Together = Callable[..., Awaitable[Outcomes]]


@pytest.fixture
async def together(store: Store, upstash: UpstashServer) -> Together:
    """Return a function that makes calls while an append is on its way, and gives what came of
    them and how many commands they took."""
    await append(store, "s", "warm")

    async def run(*calls: Awaitable[Appended]) -> Outcomes:
        await upstash.fault("delay", when="after", seconds=0.3, times=1, commands=SCRIPTS)
        first = asyncio.create_task(append(store, "s", "first"))
        await asyncio.sleep(0)
        tasks = [asyncio.ensure_future(call) for call in calls]
        async with asyncio.timeout(WAIT_SECONDS):
            await first
            return await asyncio.gather(*tasks, return_exceptions=True)

    return run


def sent(store: Store) -> float:
    """Return how many commands the store has sent."""
    assert store.usage is not None
    return sum(store.usage().values())


async def test_what_waits_is_one_command(store: Store, together: Together) -> None:
    before = sent(store)
    answers = await together(*(append(store, "s", n, n) for n in range(50)))
    assert sent(store) - before == 2
    events, _ = await follow(store, "s")
    assert [event.data for event in events] == [
        "warm", "first", *(str(n) for n in range(50) for _ in range(2)),
    ]  # fmt: skip
    ids = [event.id for event in events]
    assert [id for answer in answers if isinstance(answer, Appended) for id in answer.ids] == ids[
        2:
    ]


async def test_each_call_is_judged_alone(store: Store, together: Together) -> None:
    log = store.log
    nowhere = Cursor.after(0)
    outcomes = await together(
        log.append("s", notes("a"), fence=5),
        log.append("s", notes("b"), fence=4),
        log.append("s", notes("c"), expect=nowhere),
        log.append("s", notes("d"), bookmark="here"),
        log.append("s", notes("e"), close=True),
        log.append("s", notes("f")),
        log.append("s", []),
    )
    assert [type(outcome) for outcome in outcomes] == [
        Appended, Fenced, Conflict, Appended, Appended, StreamClosed, Appended,
    ]  # fmt: skip
    assert await texts_after(store, "s") == ["warm", "first", "a", "d", "e"]
    extent = await log.describe("s")
    assert (extent.closed, extent.bookmark) == (True, "here")
    ends = [it.cursor.sequence for it in outcomes if isinstance(it, Appended)]
    assert ends == [3, 4, 5, 5]
    assert [it.closed for it in outcomes if isinstance(it, Appended)] == [False, False, True, True]


async def test_a_position_is_expected_after_those_before(store: Store, together: Together) -> None:
    """Of many that expect the same end one gets it, as when they come one after the other."""
    end = (await append(store, "s", "end")).cursor
    outcomes = await together(
        *(store.log.append("s", notes(n), expect=end) for n in range(3)), append(store, "s", "x")
    )
    assert [type(outcome) for outcome in outcomes] == [Conflict, Conflict, Conflict, Appended]
    assert await texts_after(store, "s") == ["warm", "end", "first", "x"]


async def test_the_same_key_twice_in_a_group(store: Store, together: Together) -> None:
    outcomes = await together(
        *(store.log.append("s", notes(text), key="k") for text in "aab"),
        store.log.append("s", notes("c"), key="l"),
    )
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended, KeyReused, Appended]
    first, again = outcomes[:2]
    assert isinstance(first, Appended)
    assert isinstance(again, Appended)
    assert (first.repeated, again.repeated, first.ids) == (False, True, again.ids)
    assert await texts_after(store, "s") == ["warm", "first", "a", "c"]
    assert (await store.log.append("s", notes("c"), key="l")).repeated


async def test_a_lost_answer_doubles_none_of_a_group(
    store: Store, upstash: UpstashServer, together: Together
) -> None:
    await upstash.fault("drop", when="after", times=2, commands=SCRIPTS)
    outcomes = await together(*(append(store, "s", n) for n in range(20)))
    assert all(isinstance(it, Appended) and not it.repeated for it in outcomes)
    assert await texts_after(store, "s") == ["warm", "first", *map(str, range(20))]


async def test_a_refused_group_leaves_nothing(
    store: Store, database: redis.asyncio.Redis, prefix: str, together: Together
) -> None:
    """What cannot be written in the middle of a script is not half written: no answer tells of it.

    The third call's answer cannot be looked up, since something else lies under its key.
    """
    key = "k"
    held = appends.Append.of(notes(1), key, None, None, False, None).name
    where = f"{prefix}lastevent:{{s}}:key:{held}"
    await database.hset(where, "not", "a string")
    outcomes = await together(
        store.log.append("s", notes(0), key="a"),
        append(store, "s", 1),
        store.log.append("s", notes(2), key=key),
    )
    assert all(isinstance(outcome, LastEventError) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 3, "each has an error of its own"
    await database.delete(where)
    assert await texts_after(store, "s") == ["warm", "first"]
    assert not (await store.log.append("s", notes(0), key="a")).repeated
    assert await texts_after(store, "s") == ["warm", "first", "0"]


async def test_who_has_gone_is_not_written(store: Store, upstash: UpstashServer) -> None:
    await upstash.fault("delay", when="after", seconds=0.3, times=1, commands=SCRIPTS)
    first = asyncio.create_task(append(store, "s", "first"))
    await asyncio.sleep(0.01)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(4)]
    await asyncio.sleep(0.01)
    calls[1].cancel()
    await asyncio.gather(first, *calls, return_exceptions=True)
    assert await texts_after(store, "s") == ["first", "0", "2", "3"]


async def test_large_ones_go_apart(store: Store, together: Together) -> None:
    large = NewEvent("note", "x" * (appends.MAX_GROUP_BYTES * 2 // 3))
    before = sent(store)
    outcomes = await together(*(store.log.append("s", [large]) for _ in range(3)))
    assert all(isinstance(outcome, Appended) for outcome in outcomes)
    assert sent(store) - before == 1 + 3


async def test_large_ones_do_not_wait_for_each_other(store: Store, upstash: UpstashServer) -> None:
    await append(store, "s", "warm")
    large = [NewEvent("note", "x" * (appends.MAX_GROUP_BYTES * 2 // 3))]
    await upstash.fault("delay", when="before", seconds=0.5, times=1, commands=SCRIPTS)
    slow = asyncio.create_task(store.log.append("s", large))
    await asyncio.sleep(0.05)
    small = asyncio.create_task(append(store, "s", "small"))
    await asyncio.sleep(0)
    await asyncio.gather(*(store.log.append("s", large) for _ in range(3)))
    assert not slow.done() and small.done(), "the small one goes with the next large one"
    await slow


async def test_many_go_in_several(
    store: Store, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appends, "MAX_GROUP_CALLS", 10)
    before = sent(store)
    await together(*(append(store, "s", n) for n in range(25)))
    assert sent(store) - before == 1 + 3
    assert await texts_after(store, "s") == ["warm", "first", *map(str, range(25))]


async def test_a_queue_has_an_end(
    store: Store, together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "MAX_WAITING", 5)
    outcomes = await together(*(append(store, "s", n) for n in range(8)))
    # The first one's own place is free as soon as it is on its way.
    assert sorted(type(outcome).__name__ for outcome in outcomes).count("Transient") >= 3
    told = [str(n) for n, it in enumerate(outcomes) if isinstance(it, Appended)]
    assert await texts_after(store, "s") == ["warm", "first", *told]
    assert Transient in map(type, outcomes)


async def test_streams_do_not_wait_for_each_other(store: Store, upstash: UpstashServer) -> None:
    await append(store, "other", 0)
    await upstash.fault("delay", when="after", seconds=0.5, times=1, commands=SCRIPTS)
    slow = asyncio.create_task(append(store, "s", 1))
    await asyncio.sleep(0.05)
    await append(store, "other", 1)
    assert not slow.done()
    await slow


async def test_who_waits_is_told_when_the_store_closes(
    store: Store, upstash: UpstashServer
) -> None:
    await upstash.fault("delay", when="after", seconds=2.0, times=1, commands=SCRIPTS)
    calls = [asyncio.create_task(append(store, "s", n)) for n in range(3)]
    await asyncio.sleep(0.05)
    await store.close()
    assert "lastevent writes a stream" not in {it.get_name() for it in asyncio.all_tasks()}
    async with asyncio.timeout(1.0):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 3
    with pytest.raises(StoreUnavailable):
        await append(store, "s", 3)

"""A wake-up is a hint: it may come for nothing, but what moved is not slept through (RULES 13)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import batched

import pytest

from lastevent.core.cursor import Cursor
from lastevent.stores.base import Store
from tests.stores.harness import WAIT_SECONDS, append, follow

NOBODY: frozenset[str] = frozenset()
SHORT = 0.1

Move = Callable[[Store], Awaitable[object]]
MOVES: dict[str, Move] = {
    "append": lambda store: append(store, "s", 2),
    "close": lambda store: append(store, "s", close=True),
    "delete": lambda store: store.log.delete("s"),
}


async def settled(store: Store, *streams: str) -> dict[str, Cursor]:
    """Make streams of one event; return their ends."""
    return {stream: (await append(store, stream, 1)).cursor for stream in streams}


async def waiting(
    store: Store, cursors: dict[str, Cursor], timeout: float = WAIT_SECONDS
) -> "asyncio.Task[frozenset[str]]":
    """Return a task that waits, after a while in which a false hint would have ended it."""
    task = asyncio.create_task(store.wakeup.wait(cursors, timeout))
    await asyncio.sleep(SHORT)
    assert not task.done()
    return task


async def test_nothing_moves(store: Store) -> None:
    ends = await settled(store, "a", "b")
    await append(store, "elsewhere", 1)
    assert await store.wakeup.wait(ends, SHORT) == NOBODY
    assert await store.wakeup.wait({}, 0.01) == NOBODY
    assert await store.wakeup.wait({"absent": Cursor.after(0)}, SHORT) == NOBODY


async def test_who_rested_is_woken_as_before(store: Store) -> None:
    ends = await settled(store, "s")
    assert await store.wakeup.wait(ends, SHORT) == NOBODY
    await store.wakeup.rest()
    await append(store, "s", 1)
    assert await store.wakeup.wait(ends, WAIT_SECONDS) == {"s"}
    await store.wakeup.rest()
    task = await waiting(store, await settled(store, "s"))
    await append(store, "s", 1)
    assert await task == {"s"}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_move_wakes(store: Store, move: Move) -> None:
    task = await waiting(store, await settled(store, "s"))
    await move(store)
    assert await task == {"s"}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_move_between_reading_and_waiting_is_not_missed(store: Store, move: Move) -> None:
    ends = await settled(store, "s", "still")
    # Somebody waits all along, so that whatever watches for them has seen the move already.
    still = await waiting(store, {"still": ends["still"]})
    await move(store)
    await asyncio.sleep(SHORT)
    assert await store.wakeup.wait({"s": ends["s"]}, WAIT_SECONDS) == {"s"}
    still.cancel()


async def test_the_first_append_wakes_who_waits_for_the_stream(store: Store) -> None:
    task = await waiting(store, {"s": Cursor.after(0)})
    await append(store, "s")
    assert await task == {"s"}


async def test_who_waits_for_several_hears_which(store: Store) -> None:
    ends = await settled(store, "a", "b", "c")
    task = await waiting(store, ends)
    await append(store, "b", 2)
    assert await task == {"b"}
    await append(store, "c", 2)
    assert await store.wakeup.wait(ends, WAIT_SECONDS) == {"b", "c"}


async def test_everybody_is_woken(store: Store) -> None:
    ends = await settled(store, "s", "other")
    tasks = [await waiting(store, ends)]
    tasks += [asyncio.create_task(store.wakeup.wait(ends, WAIT_SECONDS)) for _ in range(200)]
    await asyncio.sleep(SHORT)
    await append(store, "s", 2)
    assert set(await asyncio.gather(*tasks)) == {frozenset({"s"})}


async def test_who_is_cancelled_disturbs_nobody(store: Store) -> None:
    ends = await settled(store, "s")
    tasks = [asyncio.create_task(store.wakeup.wait(ends, WAIT_SECONDS)) for _ in range(20)]
    await asyncio.sleep(SHORT)
    for task in tasks[::2]:
        task.cancel()
    await append(store, "s", 2)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert set(outcomes[1::2]) == {frozenset({"s"})}


async def follow_with_hints(reader: Store, writer: Store, count: int) -> None:
    """Append now and then, read when woken; a hint that is missed shows as a time-out."""
    chance = random.Random(7)

    async def write() -> None:
        for n in range(count):
            await append(writer, "s", n)
            await asyncio.sleep(chance.choice((0, 0, 0.001, 0.004, 0.015)))

    writing = asyncio.create_task(write())
    cursor, seen = Cursor.after(0), 0
    while seen < count:
        assert await reader.wakeup.wait({"s": cursor}, WAIT_SECONDS) == {"s"}
        events, cursor = await follow(reader, "s", cursor)
        seen += len(events)
    await writing


async def test_reading_when_woken_sees_everything(store: Store) -> None:
    await follow_with_hints(store, store, 150)


# Two stores on the same data


async def test_reading_when_woken_sees_everything_of_another_process(
    two: tuple[Store, Store],
) -> None:
    await follow_with_hints(*two, 150)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_move_elsewhere_wakes(two: tuple[Store, Store], move: Move) -> None:
    here, there = two
    task = await waiting(here, await settled(here, "s"))
    await move(there)
    assert await task == {"s"}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_move_elsewhere_between_reading_and_waiting(
    two: tuple[Store, Store], move: Move
) -> None:
    here, there = two
    ends = await settled(here, "s", "still")
    still = await waiting(here, {"still": ends["still"]})
    await move(there)
    await asyncio.sleep(SHORT)
    assert await here.wakeup.wait({"s": ends["s"]}, WAIT_SECONDS) == {"s"}
    still.cancel()


async def test_many_wait_for_many_streams(two: tuple[Store, Store]) -> None:
    here, there = two
    names = [f"s:{n}" for n in range(600)]
    for some in batched(names, 50):  # a far store gives a call its time, waiting in line included
        await asyncio.gather(*(append(here, name, 1) for name in some))
    ends = {name: (await here.log.describe(name)).head for name in names}
    tasks = {
        name: asyncio.create_task(here.wakeup.wait({name: end}, WAIT_SECONDS))
        for name, end in ends.items()
    }
    await asyncio.sleep(SHORT)
    for some in batched(names[::2], 50):
        await asyncio.gather(*(append(there, name, 2) for name in some))
    for name in names[::2]:
        assert await tasks[name] == {name}
    assert not any(tasks[name].done() for name in names[1::2])
    for name in names[1::2]:
        tasks[name].cancel()

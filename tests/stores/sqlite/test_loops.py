"""Callers: several event loops, cancellation, threads."""

import asyncio
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.sqlite import open_file
from lastevent.stores.sqlite.engine import SWITCH_SECONDS
from tests.stores.harness import (
    WAIT_SECONDS,
    append,
    texts_after,
)


def test_a_second_loop_after_the_first_is_closed(path: Path) -> None:
    store = open_file(path, RetentionRules(), time.time)

    async def use(text: str) -> list[str]:
        end = (await store.log.describe("s")).head
        waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
        await asyncio.sleep(0)
        await append(store, "s", text)
        assert await waiting == {"s"}
        return await texts_after(store, "s")

    async def leave_in_a_hurry() -> None:
        """End the loop while calls of it are on their way."""
        asyncio.create_task(append(store, "hurry", 1))  # noqa: RUF006
        asyncio.create_task(store.wakeup.wait({"s": Cursor.after(0)}, WAIT_SECONDS))  # noqa: RUF006
        await asyncio.sleep(0)

    assert asyncio.run(use("first")) == ["first"]
    asyncio.run(leave_in_a_hurry())
    assert asyncio.run(use("second")) == ["first", "second"]

    async def close() -> None:
        await store.close()

    asyncio.run(close())


def test_two_loops_at_once(path: Path) -> None:
    store = open_file(path, RetentionRules(), time.time)

    async def use(name: str) -> None:
        for n in range(50):
            await append(store, "s", f"{name} {n}")

    users = [threading.Thread(target=asyncio.run, args=(use(name),)) for name in "ab"]
    for user in users:
        user.start()
    for user in users:
        user.join(WAIT_SECONDS)

    async def finish() -> list[str]:
        texts = await texts_after(store, "s")
        await store.close()
        return texts

    texts = asyncio.run(finish())
    for name in "ab":
        assert [text for text in texts if text[0] == name] == [f"{name} {n}" for n in range(50)]


async def test_a_caller_that_is_cancelled_in_the_queue_has_written_nothing(
    store: Store, other: sqlite3.Connection
) -> None:
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(append(store, "s", 1))
    await asyncio.sleep(0.1)  # it is the writer's turn, and the writer waits for the lock
    second = asyncio.create_task(append(store, "s", 2))
    third = asyncio.create_task(append(store, "s", 3))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    other.execute("COMMIT")
    await asyncio.gather(first, third)
    assert second.cancelled()
    assert await texts_after(store, "s") == ["1", "3"]


def threads() -> int:
    return sum(thread.name.startswith("lastevent-sqlite") for thread in threading.enumerate())


async def test_threads_begin_with_the_first_call_and_end_in_close(path: Path) -> None:
    store = open_file(path, RetentionRules(), time.time)
    assert threads() == 0
    await append(store, "s", 1)
    assert threads() == 1
    await store.log.read("s", None)
    waiters = [
        asyncio.create_task(store.wakeup.wait({f"s:{n}": Cursor.after(0)}, WAIT_SECONDS))
        for n in range(100)
    ]
    await asyncio.sleep(0.05)
    assert threads() == 4, "one writes, two read, one watches, however many wait"
    for waiter in waiters:
        waiter.cancel()
    async with asyncio.timeout(WAIT_SECONDS):
        while threads() == 4:
            await asyncio.sleep(0.05)
    assert threads() == 3, "nobody waits, nobody watches"
    await store.close()
    assert threads() == 0
    await store.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    store = open_file(path, RetentionRules(), time.time)
    await append(store, "s", 1)
    await store.close()
    for call in (
        append(store, "s", 2),
        store.log.read("s", None),
        store.leases.acquire("l", "h", 1),
    ):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call
    assert await store.wakeup.wait({"s": Cursor.after(0)}, 0.01) == frozenset()


@pytest.mark.parametrize(("before", "after"), [(0.005, SWITCH_SECONDS), (0.0001, 0.0001)])
async def test_a_busy_loop_gives_its_threads_the_interpreter_soon(
    path: Path, before: float, after: float
) -> None:
    found = sys.getswitchinterval()
    sys.setswitchinterval(before)
    store = open_file(path, RetentionRules(), time.time)
    try:
        await append(store, "s", 1)
        assert sys.getswitchinterval() == pytest.approx(after, abs=5e-6)  # it is kept in whole µs
    finally:
        sys.setswitchinterval(found)
        await store.close()

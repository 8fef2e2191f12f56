"""What nobody sees any more leaves the file."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lastevent.stores.base import EXTENT_SECONDS, KEY_SECONDS
from lastevent.stores.sqlite import open_file
from lastevent.stores.sqlite.schema import connect
from lastevent.stores.sqlite.sweep import Sweep
from tests.stores.harness import (
    KEPT_SECONDS,
    RETENTION,
    WAIT_SECONDS,
    Clock,
    append,
    notes,
    texts_after,
)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


def rows_of(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT * FROM {table}").fetchall()


async def test_what_has_expired_leaves_the_file(path: Path) -> None:
    clock = Clock()
    store = open_file(path, RETENTION, clock, sweep_seconds=0.05)
    for n in range(3):
        await append(store, f"short:{n}", *range(900))
    for _ in range(4):
        await append(store, "short:long", *range(1000))
    await append(store, "kept", 1)
    await store.log.append("kept", notes(2), key="k")
    await store.leases.acquire("l", "h", 10)
    await store.records.put("k", "a", "1", seconds=10)
    await store.records.put("k", "b", "1")

    def count(table: str) -> int:
        return len(rows_of(path, table))

    assert count("events") == 6702
    clock.now += KEPT_SECONDS + 1
    await until(lambda: count("events") == 2)
    await until(lambda: count("leases") == 0 and count("records") == 1)
    assert (count("streams"), count("keys"), count("leftovers")) == (5, 1, 0)
    extent = await store.log.describe("short:long")
    assert (extent.floor, extent.head.sequence) == (4001, 4000)

    clock.now += KEY_SECONDS
    await until(lambda: count("keys") == 0)
    clock.now += EXTENT_SECONDS
    await until(lambda: count("streams") == 1)
    assert (await store.log.read("kept", None)).events == ()
    await store.close()


async def test_deleting_much_takes_no_longer_and_is_seen_at_once(path: Path) -> None:
    store = open_file(path, RETENTION, Clock(), sweep_seconds=0.05)
    for _ in range(5):
        await append(store, "s", *range(1000))
    await store.log.delete("s")
    await append(store, "s", "new")
    assert await texts_after(store, "s") == ["new"]

    await until(lambda: len(rows_of(path, "events")) == 1)
    assert await texts_after(store, "s") == ["new"]
    await store.close()


async def test_the_outline_of_the_last_change_stays(path: Path) -> None:
    """Changes are counted on from it: a count that began again would be slept through."""
    clock = Clock()
    store = open_file(path, RETENTION, clock, sweep_seconds=0.01)

    def streams() -> list[object]:
        return [row[1] for row in rows_of(path, "streams")]

    for name in "abc":
        await append(store, name, 1)
    clock.now += 10 * EXTENT_SECONDS
    await until(lambda: streams() == ["c"])
    clock.now += 10 * EXTENT_SECONDS
    await append(store, "d", 1)
    await until(lambda: streams() == ["d"])
    await store.records.put("k", "a", "1", seconds=10)
    clock.now += 10 * EXTENT_SECONDS
    await until(lambda: rows_of(path, "records") == [])  # a round has gone by
    assert streams() == ["d"]
    await store.close()


async def test_a_forgotten_streams_rows_are_nobody_elses(path: Path) -> None:
    """After a long rest a sweep forgets a stream before the last of its rows are removed."""
    clock = Clock()
    store = open_file(path, RETENTION, clock)
    await append(store, "last to change", 1)
    for _ in range(2):
        await append(store, "short:long", *range(1000))
    await append(store, "last to change", 2)
    await store.close()

    clock.now += 10 * EXTENT_SECONDS
    await asyncio.to_thread(sweep_a_piece, path, clock)
    assert len(rows_of(path, "streams")) == 1
    assert len(rows_of(path, "events")) > 1000
    store = open_file(path, RETENTION, clock)
    await append(store, "new", "a")
    assert await texts_after(store, "new") == ["a"]
    await store.close()


def sweep_a_piece(path: Path, clock: Clock) -> None:
    with closing(connect(path, 1.0)) as db:
        assert Sweep(RETENTION, clock)(db)

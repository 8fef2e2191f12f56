"""Nothing waits for ever, and nothing grows without an end."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.core.event import NewEvent
from lastevent.stores.base import Store
from tests.stores.harness import (
    WAIT_SECONDS,
    append,
    texts_after,
)
from tests.stores.sqlite.held import held, insert, plain_engine


async def test_a_busy_database_is_trouble_that_passes(
    store: Store, other: sqlite3.Connection
) -> None:
    await append(store, "s", 1)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(Transient) as refusal:
        await append(store, "s", 2)
    assert not isinstance(refusal.value, StoreUnavailable)
    assert 0.4 < time.monotonic() - began < 5.0
    assert await texts_after(store, "s") == ["1"], "reading goes on"
    other.execute("COMMIT")
    await append(store, "s", 3)
    assert await texts_after(store, "s") == ["1", "3"]


async def test_a_queue_has_an_end(path: Path) -> None:
    engine = plain_engine(path, max_waiting=5)
    async with held(engine):
        calls = [asyncio.create_task(engine.write(insert(str(n)))) for n in range(8)]
        await asyncio.sleep(0.05)
        assert [call.done() for call in calls] == [False] * 5 + [True] * 3
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str] * 5 + [Transient] * 3
    await engine.close()


async def test_a_call_has_a_time_limit(path: Path) -> None:
    engine = plain_engine(path, call_seconds=0.2)
    is_over = threading.Event()
    for call in (engine.write, engine.read):
        with pytest.raises(Transient):
            await call(lambda db: is_over.wait(WAIT_SECONDS))
    is_over.set()
    assert await engine.read(lambda db: "goes on") == "goes on"
    await engine.close()


async def test_a_page_has_a_size(store: Store) -> None:
    for _ in range(10):
        await store.log.append("s", [NewEvent("note", "x" * 250_000)] * 4)
    page = await store.log.read("s", None, 1000)
    assert 16 <= len(page.events) < 20
    assert not page.at_end
    assert len(await texts_after(store, "s")) == 40

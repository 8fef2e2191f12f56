"""A warm function has a second event loop in the same process: the store works there too."""

import asyncio

from lastevent.core.cursor import Cursor
from lastevent.stores.url import open_store
from tests.stores.harness import WAIT_SECONDS, Harness, append, texts_after


def test_one_store_in_two_loops(harness: Harness) -> None:
    store = open_store(harness.url)

    async def first() -> Cursor:
        await store.prepare()
        cursor = (await append(store, "s", 1)).cursor
        waiting = asyncio.create_task(store.wakeup.wait({"s": cursor}, WAIT_SECONDS))
        await asyncio.sleep(0.05)
        # The loop ends in the middle of things, as a function's does.
        waiting.cancel()
        return cursor

    async def second(cursor: Cursor) -> None:
        waiting = asyncio.create_task(store.wakeup.wait({"s": cursor}, WAIT_SECONDS))
        await asyncio.sleep(0)
        await asyncio.gather(*(append(store, "s", n) for n in (2, 3)))
        assert await waiting == {"s"}
        assert await texts_after(store, "s", cursor) == ["2", "3"]
        await store.close()

    cursor = asyncio.run(first())
    asyncio.run(second(cursor))

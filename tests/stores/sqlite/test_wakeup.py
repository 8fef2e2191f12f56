"""Wake-ups of the own process's commits, which do not wait for the watching thread to look."""

import asyncio

import pytest

from lastevent.stores.base import Store
from tests.stores.harness import WAIT_SECONDS, append


async def test_a_commit_of_the_own_process_wakes_directly(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastevent.stores.sqlite.wakeup.POLL_SECONDS", 10 * WAIT_SECONDS)
    end = (await append(store, "s", 1)).cursor
    waiting = asyncio.create_task(store.wakeup.wait({"s": end}, WAIT_SECONDS))
    await asyncio.sleep(0.1)
    await append(store, "s", 2)
    assert await waiting == {"s"}


async def test_who_has_been_answered_is_not_told_of_the_same_again(store: Store) -> None:
    for n in range(50):
        end = (await append(store, "s", n)).cursor
        assert await store.wakeup.wait({"s": end}, 0.01) == frozenset()

"""What a chaos run has left in its store: read once its servers are gone.

The store may have a last bad day ahead of it, such as answers that are still to be lost; so each
request is repeated until it is answered.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from lastevent.core.errors import Transient
from lastevent.services.workflow.records import UNFINISHED
from lastevent.services.workflow.workflows import Workflows
from lastevent.stores.base import Record, Store

PAGE = 100
PAUSE_SECONDS = 0.2
LEASE_SECONDS = 2.0


async def kept(store: Store, kind: str) -> dict[str, Any]:
    """Return all documents of a kind, by their ids."""
    return {record.id: json.loads(record.value) for record in await _all(store, kind)}


async def unfinished(store: Store) -> list[str]:
    """Return the keys of the runs that are not over, once a sweep has seen to those that are.

    A server that is killed between the end of a run and the removal of its mark leaves the mark to
    a sweep that comes STALE_SECONDS later: the caller says that it is so late.
    """
    await _answered(Workflows(store, {}, lease_seconds=LEASE_SECONDS).abandoned)
    return [record.id for record in await _all(store, UNFINISHED)]


async def _all(store: Store, kind: str) -> list[Record]:
    found: list[Record] = []
    page: list[Record] | None = None
    while page is None or len(page) == PAGE:
        after = found[-1].id if found else ""
        page = await _answered(partial(store.records.query, kind, after=after, limit=PAGE))
        found += page
    return found


async def _answered[T](ask: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await ask()
        except Transient:
            await asyncio.sleep(PAUSE_SECONDS)

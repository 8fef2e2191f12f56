"""What previews leave in a store, as tests look at it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lastevent.core.event import Event
from lastevent.services.preview import Preview
from lastevent.services.previews import Previews
from lastevent.sources.command import CommandSpec
from lastevent.stores.base import Store
from tests.sources.processes import WAIT_SECONDS, sh

LEASE_SECONDS = 0.6

COMMANDS = {
    "done": sh("echo hello; exit 3"),
    "lasts": sh("echo $$; sleep 600"),
    "missing": CommandSpec(("no-such-program",)),
    "nowhere": CommandSpec(("true",), cwd=Path("/no/such/directory")),
    "environment": sh("env"),
}

Serve = Callable[..., Previews]


async def log_of(store: Store, id: str) -> list[Event]:
    return list((await store.log.read(f"preview:{id}", None)).events)


async def closed(store: Store, id: str) -> bool:
    return (await store.log.describe(f"preview:{id}")).closed


async def said(store: Store, id: str, type: str) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in await log_of(store, id) if event.type == type]


async def eventually[T](look: Callable[[], Awaitable[T]], wanted: Callable[[T], object]) -> T:
    """Look until what is seen is as wanted; return it."""
    until = asyncio.get_running_loop().time() + WAIT_SECONDS
    while not wanted(seen := await look()):
        assert asyncio.get_running_loop().time() < until, f"last seen: {seen}"
        await asyncio.sleep(0.02)
    return seen


async def ended(previews: Previews, id: str) -> Preview:
    return await eventually(lambda: previews.get(id), lambda it: not it.is_active)


async def pid_of(store: Store, id: str) -> int:
    """Return the process that a preview's log names first."""
    lines = await eventually(lambda: said(store, id, "stdout"), len)
    return int(lines[0]["text"])

"""A keeper: sees, for one process, that one stream is pumped as long as somebody watches it here.

    the lease is free ──► pumps, until nobody watches, the lease is lost, or the source is over
    another has it ─────► waits, and asks again

Of all the processes that wait, one stands by at a short distance, for which there is a lease too;
the others ask seldom. So a pump that died is replaced soon after its lease has run out, and what
the waiting costs hardly grows with the number of those who wait.
"""

import asyncio
import contextlib
import json
import logging
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lastevent.core.errors import Transient
from lastevent.core.extent import Extent
from lastevent.sources.base import Source
from lastevent.sources.host import Host
from lastevent.sources.pump import LONGEST_SECONDS, Pump
from lastevent.stores.base import Lease, Store

log = logging.getLogger("lastevent")

KIND = "sources"
"""The records of sources that have begun and are not at their end: the sweep goes by them."""

STANDBY_SECONDS = 5.0
STANDBY_PAUSE = 0.15
"""How often the one that stands by asks for the lease: a planned hand-over takes about as long."""

SHORTEST_PAUSE = 0.05
LEAD_SECONDS = 0.25
"""How long before the last viewer's planned end a pump begins to let go."""

STOP_SECONDS = 3.0

Outcome = Literal["over", "unfinished", "elsewhere"]
"""Of an attempt to pump: the source is at its end; it is not; another process pumps it."""


@dataclass(frozen=True, slots=True)
class Live:
    """A stream that is pumped from a source; ``make`` makes the source when this process is to
    pump.

    ``kind`` tells the sweep who can make it again. ``longest_seconds``: when it is given up.
    """

    stream: str
    kind: str
    make: Callable[[], Source]
    longest_seconds: float = LONGEST_SECONDS


async def register(store: Store, live: Live) -> None:
    """Have the sweep finish this source, should nobody watch it."""
    value = json.dumps({"kind": live.kind})
    await store.records.put(KIND, live.stream, value, seconds=2 * live.longest_seconds)


class Keeper:
    """Keeps ``live`` pumped from its first viewer on. ``on_end`` is called when that is over."""

    def __init__(
        self,
        store: Store,
        live: Live,
        lease_seconds: float,
        on_end: Callable[["Keeper"], object] = lambda _: None,
    ) -> None:
        self.live = live
        self.leaving = False
        """Whether it lets go: who comes now needs another."""
        self._store = store
        self._lease_seconds = lease_seconds
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._viewers: dict[object, float | None] = {}
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stirred = asyncio.Event()
        self._host: Host | None = None
        self._pump: Pump | None = None
        self._holder = secrets.token_hex(8)
        self._standby: Lease | None = None
        self._standby_asked = -STANDBY_SECONDS

    def add(self, viewer: object, ends_at: float | None) -> None:
        """Count a viewer who stays until ``ends_at`` at most, in the event loop's time; None if
        nothing depends on that."""
        self._viewers[viewer] = ends_at
        self._stirred.set()  # its process may be the one that has just let go
        self._plan()
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.live.stream}")

    async def remove(self, viewer: object, linger_seconds: float) -> None:
        """Count a viewer no more. After the last one, let go: at once, or when nobody came back."""
        del self._viewers[viewer]
        if self._viewers:
            self._plan()
        elif linger_seconds:
            # What cannot be told again is not left alone: who comes next would be told of a gap.
            if self._pump is None or self._pump.replays == "full":
                self._leave_at(self._loop.time() + linger_seconds)
        else:
            await self.stop()

    def leave(self) -> None:
        """Begin to let go."""
        self.leaving = True
        self._stirred.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._pump is not None:
            self._pump.halt()

    async def stop(self) -> None:
        """Let go; return when that is done, in bounded time."""
        self.leave()
        if self._task is not None:
            _, late = await asyncio.wait([self._task], timeout=STOP_SECONDS)
            for task in late:
                task.cancel()

    async def attempt(self) -> Outcome:
        """Pump if nobody does, until the source is at its end or this keeper leaves.

        Raises Transient when the store is away.
        """
        if self._host is None:  # kept until it has the lease, should an answer be lost
            self._host = Host(self._store, self.live.stream, lease_seconds=self._lease_seconds)
        extent = await self._host.acquire()
        if extent is None:
            return "elsewhere"
        host, self._host = self._host, None
        try:
            over = extent.closed or await self._run(host, extent)
        finally:
            await host.release()
        if over:
            with contextlib.suppress(Transient):  # else the sweep finds it closed
                await self._store.records.delete(KIND, self.live.stream)
        return "over" if over else "unfinished"

    async def _run(self, host: Host, extent: Extent) -> bool:
        await self._stand_down()
        if extent.bookmark is None:
            await register(self._store, self.live)
        live = self.live
        self._pump = Pump(host, live.make(), extent.bookmark, longest_seconds=live.longest_seconds)
        try:
            if self.leaving:
                self._pump.halt()
            return await self._pump.run()
        finally:
            self._pump = None

    async def _keep(self) -> None:
        try:
            while not self.leaving:
                try:
                    outcome = await self.attempt()
                    if outcome == "over":
                        break
                    if not self.leaving:
                        await self._wait_to_ask()
                except Transient as error:
                    log.warning("%s is not pumped here: %s", self.live.stream, error)
                    await self._sleep(self._lease_seconds)
            await self._stand_down()
        except Exception:
            log.exception("%s is not pumped here any more", self.live.stream)
        finally:
            self.leave()
            self._on_end(self)

    async def _wait_to_ask(self) -> None:
        """Wait until the lease may be free: shortly as the one who stands by, else long."""
        now = self._loop.time()
        if self._standby is None or now - self._standby_asked > STANDBY_SECONDS / 3:
            self._standby_asked = now
            name = f"{self.live.stream}/standby"
            leases = self._store.leases
            self._standby = await leases.acquire(name, self._holder, STANDBY_SECONDS)
        if self._standby is not None:
            await self._sleep(STANDBY_PAUSE)
        else:
            await self._sleep(STANDBY_SECONDS * random.uniform(0.5, 1.0))

    async def _stand_down(self) -> None:
        standby, self._standby = self._standby, None
        if standby is not None:
            with contextlib.suppress(Transient):  # else it runs out
                await self._store.leases.release(standby)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until somebody comes or all have left; for ``seconds`` at most."""
        await asyncio.sleep(SHORTEST_PAUSE)
        self._stirred.clear()
        if not self.leaving:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds - SHORTEST_PAUSE):
                    await self._stirred.wait()

    def _plan(self) -> None:
        ends = self._viewers.values()
        if None in ends:
            self._leave_at(None)
        else:
            self._leave_at(max(end for end in ends if end is not None) - LEAD_SECONDS)

    def _leave_at(self, moment: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if moment is None else self._loop.call_at(moment, self.leave)

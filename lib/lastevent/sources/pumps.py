"""The pumps of one process, and of all the work that others left undone.

Where the process may be frozen as soon as nobody asks for anything (RULES 17), a stream is kept
pumped until a little before its last viewer's planned end. On a server of one's own it is for some
time longer: its viewers are only between two legs.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from time import time

from lastevent.core.errors import Transient
from lastevent.core.event import Event
from lastevent.core.extent import Extent
from lastevent.sources.keeper import KIND, Keeper, Live, Outcome, register
from lastevent.sources.pump import FAILURE
from lastevent.stores.base import Store

LINGER_SECONDS = 15.0
MAX_UNFINISHED = 1000


class Pumps:
    """Belongs to one event loop.

    ``lease_seconds``: how long after its death a pump is replaced. ``linger_seconds``: how long a
    stream is pumped beyond its last viewer, where the process lives on.
    """

    def __init__(
        self, store: Store, *, lease_seconds: float = 1.0, linger_seconds: float = LINGER_SECONDS
    ) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._linger_seconds = linger_seconds
        self._keepers: dict[str, Keeper] = {}
        self._closing = False

    @contextlib.asynccontextmanager
    async def watch(self, live: Live, ends_at: float | None = None) -> AsyncIterator[None]:
        """See, as long as this is held, that the stream is pumped: here, or by another process.

        ``ends_at``: where the process may be frozen afterwards, until when this is held at most, in
        the event loop's time; None where the process lives on.
        """
        keeper = self._keeper(live)
        keeper.add(viewer := object(), ends_at)
        if self._closing:
            keeper.leave()
        try:
            yield
        finally:
            await keeper.remove(viewer, self._linger_seconds if ends_at is None else 0.0)

    async def finish(self, live: Live, seconds: float) -> Outcome:
        """Pump for at most ``seconds``, unless somebody does; return what became of it.

        Raises Transient when the store is away.
        """
        keeper = Keeper(self._store, live, self._lease_seconds)
        timer = asyncio.get_running_loop().call_later(seconds, keeper.leave)
        try:
            return await keeper.attempt()
        finally:
            timer.cancel()

    async def register(self, live: Live) -> None:
        """Have the sweep finish this source, even if nobody ever watches it."""
        await register(self._store, live)

    async def unfinished(self) -> list[tuple[str, str]]:
        """Return the sources that have begun and are not at their end: stream and kind of each."""
        records = await self._store.records.query(KIND, limit=MAX_UNFINISHED)
        return [(record.id, str(json.loads(record.value)["kind"])) for record in records]

    async def give_up(self, stream: str) -> None:
        """Take a source off that list: nobody can make it again."""
        await self._store.records.delete(KIND, stream)

    async def forget(
        self, stream: str, seconds: float, which: Callable[[Event], bool] | None = None
    ) -> bool:
        """Delete the stream if it was closed more than ``seconds`` ago; return whether it was.

        ``which``: and only if it says so of the stream's last event. Then its source can be pumped
        anew. It happens under the stream's lease, so that nobody deletes what another has begun to
        fetch again.
        """
        log = self._store.log
        extent = await log.describe(stream)
        if not _is_old(extent, seconds):
            return False
        if which is not None:
            newest = (await log.read(stream, extent.newest(1))).events
            if not newest or not which(newest[-1]):
                return False
        return await self._delete(stream, extent)

    async def retry(self, stream: str, seconds: float) -> bool:
        """The same, for a stream that ended with a failure of its source."""
        return await self.forget(stream, seconds, lambda last: last.type == FAILURE)

    async def _delete(self, stream: str, extent: Extent) -> bool:
        leases = self._store.leases
        lease = await leases.acquire(stream, secrets.token_hex(8), self._lease_seconds)
        if lease is None:
            return False
        try:
            if await self._store.log.describe(stream) != extent:
                return False
            return await self._store.log.delete(stream)
        finally:
            with contextlib.suppress(Transient):
                await leases.release(lease)

    async def rest(self) -> None:
        """Let go of everything, since the process may be frozen now."""
        await asyncio.gather(*(keeper.stop() for keeper in list(self._keepers.values())))

    async def aclose(self) -> None:
        """Let go of everything for good."""
        self._closing = True
        await self.rest()

    def _keeper(self, live: Live) -> Keeper:
        keeper = self._keepers.get(live.stream)
        if keeper is None or keeper.leaving:
            keeper = Keeper(self._store, live, self._lease_seconds, self._drop)
            self._keepers[live.stream] = keeper
        return keeper

    def _drop(self, keeper: Keeper) -> None:
        if self._keepers.get(keeper.live.stream) is keeper:
            del self._keepers[keeper.live.stream]


def _is_old(extent: Extent, seconds: float) -> bool:
    return extent.closed and extent.time / 1000 + seconds <= time()

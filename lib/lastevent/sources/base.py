"""Sources, and what all of them need: a lease, a fence, and patience with the store.

A Source produces events from outside. A Host moves them into one stream, and makes sure that it is
the only one who does (RULES 14): it holds the stream's lease, writes its token into the stream
before anything else, and appends with that token as the fence. Whoever takes the lease after it
writes a higher token, and from then on the store refuses what the late host still sends.
"""

import asyncio
import contextlib
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lastevent.core.errors import Fenced, Transient
from lastevent.core.event import NewEvent
from lastevent.stores.base import Lease, Store

log = logging.getLogger("lastevent")

Sink = Callable[[Sequence[NewEvent], bool], Awaitable[None]]
"""``sink(events, close)`` returns once they are stored. It may take its time, and be called with no
events only to close; what it raises is final."""

PATIENCE_SECONDS = 60.0
"""How long a host waits for a store that is away, its source held back, before it gives up."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Source(Protocol):
    """Something outside that produces events."""

    async def pump(self, sink: Sink) -> None:
        """Hand all events to ``sink`` in order, until the source is at its end; then close.

        Raises what the sink raises, after the source has been ended. Leaves nothing behind.
        """
        ...

    async def stop(self) -> None:
        """Bring the source to its end, in bounded time; ``pump`` hands on what is left."""
        ...


class Host:
    """Writes a source to ``stream``, as the only one. Begin with ``acquire``.

    ``lease_seconds``: how long after this process's death another may take the stream over.
    """

    def __init__(
        self,
        store: Store,
        stream: str,
        *,
        lease_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._stream = stream
        self._seconds = lease_seconds
        self._patience = patience_seconds
        self._holder = secrets.token_hex(8)
        self._lease: Lease | None = None
        self._lost = False

    async def acquire(self) -> bool:
        """Take the lease and write its token; return False if another has it, or all is over."""
        lease = await self._store.leases.acquire(self._stream, self._holder, self._seconds)
        if lease is None:
            return False
        self._lease = lease
        try:
            appended = await self._store.log.append(self._stream, [], fence=lease.token)
        except Fenced:
            return False
        if appended.closed:
            await self.release()
        return not appended.closed

    async def append(self, events: Sequence[NewEvent], close: bool = False) -> None:
        """Append in one step, and once only: the sink of the source.

        Transient trouble is waited for. Raises Fenced when the lease is another's, StreamClosed
        when somebody closed the stream, and Transient when the store stays away.
        """
        key = secrets.token_hex(16)
        await patiently(lambda: self._append(events, close, key), self._patience)

    async def run(self, source: Source) -> None:
        """Pump ``source`` to its end under the lease, and release it.

        When the lease is lost the source is stopped. Raises as ``append`` does.
        """
        holding = asyncio.create_task(self._hold(source))
        try:
            await source.pump(self.append)
        finally:
            holding.cancel()
            await asyncio.wait([holding])
            await self.release()

    async def release(self) -> None:
        """Let the lease go; one that cannot be released runs out."""
        if self._lease is not None:
            with contextlib.suppress(Transient):
                await self._store.leases.release(self._lease)

    async def _append(self, events: Sequence[NewEvent], close: bool, key: str) -> None:
        while True:
            lease = self._lease
            if self._lost or lease is None:
                raise Fenced("the lease of this stream was lost")
            try:
                await self._store.log.append(
                    self._stream, events, key=key, fence=lease.token, close=close
                )
                return
            except Fenced:
                # Our own higher token, if the lease ran out and was taken anew meanwhile.
                if lease is self._lease:
                    raise

    async def _hold(self, source: Source) -> None:
        """Renew the lease until it is lost; then stop the source."""
        loop = asyncio.get_running_loop()
        held_at = loop.time()
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                if not await self._still_ours():
                    break
                held_at = loop.time()
            except Transient:
                # Even if it runs out meanwhile: the fence keeps two hosts from writing.
                if loop.time() - held_at > self._patience:
                    break
            except Exception:
                log.exception("the lease of %s cannot be held", self._stream)
                break
        self._lost = True
        await source.stop()

    async def _still_ours(self) -> bool:
        assert self._lease is not None
        if await self._store.leases.renew(self._lease, self._seconds):
            return True
        # It ran out, as it does when the store was away. If nobody took it, nothing is lost.
        return await self.acquire()


async def patiently[T](call: Callable[[], Awaitable[T]], seconds: float) -> T:
    """Await ``call()`` and return what it does; on Transient trouble again, for ``seconds``.

    Pauses grow from a tenth of a second to five, with jitter. ``call`` must be safe to repeat.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await call()
        except Transient:
            wait = pause * random.uniform(0.5, 1.0)
            if loop.time() + wait > until:
                raise
        await asyncio.sleep(wait)
        pause = min(2 * pause, _LONGEST_PAUSE)

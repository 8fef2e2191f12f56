"""A host: the only one who writes a source's stream.

It holds the stream's lease, writes its token into the stream before anything else (RULES 14), and
appends with that token as the fence. Whoever takes the lease after it writes a higher token, and
from then on the store refuses what the late host still sends.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence

from lastevent.core.errors import Fenced, Transient
from lastevent.core.event import NewEvent
from lastevent.core.extent import Extent
from lastevent.sources.lease import PATIENCE_SECONDS, kept, patiently
from lastevent.stores.base import Lease, Store


class Host:
    """Writes to ``stream``, as the only one. Begin with ``acquire``; one object is good for one
    lease.

    ``lease_seconds``: how long after this process's death another may take the stream over.
    ``patience_seconds``: how long a store that is away is waited for.
    """

    def __init__(
        self,
        store: Store,
        stream: str,
        *,
        lease_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.stream = stream
        self._store = store
        self._seconds = lease_seconds
        self._patience = patience_seconds
        self._holder = secrets.token_hex(8)
        self._lease: Lease | None = None
        self._retaking = asyncio.Lock()
        self._bookmarks: set[str | None] = set()  # what the stream has, unless another wrote
        self._lost = False

    async def acquire(self) -> Extent | None:
        """Take the lease and write the token; return the stream as it is since then.

        Returns None if another has the lease. A stream that is closed needs no host: its lease is
        let go of again.
        """
        taken = await self._take()
        if taken is None:
            return None
        self._lease, extent = taken
        self._bookmarks = {extent.bookmark}
        if extent.closed:
            await self.release()
        return extent

    async def append(
        self, events: Sequence[NewEvent], *, close: bool = False, bookmark: str | None = None
    ) -> None:
        """Append in one step, and once only.

        Transient trouble is waited for. Raises Fenced when the lease is another's, StreamClosed
        when somebody closed the stream, and Transient when the store stays away.
        """
        key = secrets.token_hex(16)
        if bookmark is not None:
            self._bookmarks.add(bookmark)
        await patiently(lambda: self._append(events, close, bookmark, key), self._patience)
        if bookmark is not None:
            self._bookmarks = {bookmark}

    @contextlib.asynccontextmanager
    async def holding(self, on_loss: Callable[[], object]) -> AsyncIterator[None]:
        """Renew the lease while this is held, and release it at the end.

        ``on_loss`` is called when the lease is another's, or the store stays away.
        """

        def lose() -> None:
            self._lost = True
            on_loss()

        try:
            async with kept(
                self.stream,
                self._still_ours,
                lose,
                lease_seconds=self._seconds,
                patience_seconds=self._patience,
            ):
                yield
        finally:
            await self.release()

    async def release(self) -> None:
        """Let the lease go; one that cannot be released runs out."""
        lease, self._lease, self._lost = self._lease, None, True
        if lease is not None:
            with contextlib.suppress(Transient):
                await self._store.leases.release(lease)

    async def _take(self) -> tuple[Lease, Extent] | None:
        lease = await self._store.leases.acquire(self.stream, self._holder, self._seconds)
        if lease is None:
            return None
        try:
            await self._store.log.append(self.stream, [], fence=lease.token)
        except Fenced:
            return None
        return lease, await self._store.log.describe(self.stream)

    async def _append(
        self, events: Sequence[NewEvent], close: bool, bookmark: str | None, key: str
    ) -> None:
        while True:
            lease = self._lease
            if self._lost or lease is None:
                raise Fenced("the lease of this stream was lost")
            try:
                await self._store.log.append(
                    self.stream,
                    events,
                    key=key,
                    fence=lease.token,
                    close=close,
                    bookmark=bookmark,
                )
                return
            except Fenced:
                # By our own higher token, if the lease ran out and is taken anew meanwhile.
                async with self._retaking:
                    if lease is self._lease:
                        raise

    async def _still_ours(self) -> bool:
        assert self._lease is not None
        if await self._store.leases.renew(self._lease, self._seconds):
            return True
        # It ran out, as it does when the store was away. Nothing is lost if nobody has written
        # since: who did may have let go again, and gone further than this host knows.
        async with self._retaking:
            taken = await self._take()
            if taken is None:
                return False
            lease, extent = taken
            if extent.closed or extent.bookmark not in self._bookmarks:
                await self._store.leases.release(lease)
                return False
            self._lease = lease
        return True

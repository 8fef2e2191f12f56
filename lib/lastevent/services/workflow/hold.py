"""A hold: the lease of a run, by which one runner at a time has it.

It keeps two runners apart, and lets the next one in when a process dies. It does not keep a late
runner from writing: each write is a compare-and-set that names its runner (journal).
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable

from lastevent.core.errors import Transient
from lastevent.stores.base import Lease, Leases

log = logging.getLogger("lastevent")


class Hold:
    """Holds ``name``; one object is good for one hold.

    ``seconds``: how long after this process's death another may have it. ``patience_seconds``: how
    long a store that is away is waited for.
    """

    def __init__(
        self, leases: Leases, name: str, *, seconds: float, patience_seconds: float
    ) -> None:
        self.holder = secrets.token_hex(8)
        self._leases = leases
        self._name = name
        self._seconds = seconds
        self._patience = patience_seconds
        self._lease: Lease | None = None

    async def acquire(self) -> bool:
        """Take it; return whether it was free."""
        self._lease = await self._leases.acquire(self._name, self.holder, self._seconds)
        return self._lease is not None

    @contextlib.asynccontextmanager
    async def keeping(self, on_loss: Callable[[], object]) -> AsyncIterator[None]:
        """Renew it as long as this is held. ``on_loss`` is called when it is another's, or the
        store stays away."""
        renewing = asyncio.create_task(self._renew(on_loss))
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def release(self) -> None:
        """Let go; a lease that cannot be released runs out."""
        lease, self._lease = self._lease, None
        if lease is not None:
            with contextlib.suppress(Transient):
                await self._leases.release(lease)

    async def _renew(self, on_loss: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        held_at = loop.time()
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                if not await self._still_ours():
                    break
                held_at = loop.time()
            except Transient:
                if loop.time() - held_at > self._patience:
                    break
            except Exception:
                log.exception("the lease of %s cannot be held", self._name)
                break
        on_loss()

    async def _still_ours(self) -> bool:
        assert self._lease is not None
        if await self._leases.renew(self._lease, self._seconds):
            return True
        # It ran out, as it does when the store was away. If somebody had the run meanwhile, its
        # record says so at the next write.
        self._lease = await self._leases.acquire(self._name, self.holder, self._seconds)
        return self._lease is not None

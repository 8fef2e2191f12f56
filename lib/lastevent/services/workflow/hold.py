"""A hold: the lease of a run, by which one runner at a time has it.

It keeps two runners apart, and lets the next one in when a process dies. It does not keep a late
runner from writing: each write is a compare-and-set that names its runner (journal).
"""

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress

from lastevent.core.errors import Transient
from lastevent.sources.lease import kept
from lastevent.stores.base import Lease, Leases


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

    def keeping(self, on_loss: Callable[[], object]) -> AbstractAsyncContextManager[None]:
        """Renew it as long as this is held. ``on_loss`` is called when it is another's, or the
        store stays away."""
        return kept(
            self._name,
            self._still_ours,
            on_loss,
            lease_seconds=self._seconds,
            patience_seconds=self._patience,
        )

    async def release(self) -> None:
        """Let go; a lease that cannot be released runs out."""
        lease, self._lease = self._lease, None
        if lease is not None:
            with suppress(Transient):
                await self._leases.release(lease)

    async def _still_ours(self) -> bool:
        assert self._lease is not None
        if await self._leases.renew(self._lease, self._seconds):
            return True
        # It ran out, as it does when the store was away. If somebody had the run meanwhile, its
        # record says so at the next write.
        self._lease = await self._leases.acquire(self._name, self.holder, self._seconds)
        return self._lease is not None

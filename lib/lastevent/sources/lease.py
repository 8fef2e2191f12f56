"""A lease that is kept while work goes on, and patience with a store that is away.

A lease says who may begin. It keeps no late holder from writing: each write is checked against a
fence, or against a record's version (RULES 14).
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from lastevent.core.errors import Transient

log = logging.getLogger("lastevent")

PATIENCE_SECONDS = 60.0
"""How long a holder waits for a store that is away, its work held back, before it gives up."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


@contextlib.asynccontextmanager
async def kept(
    name: str,
    still_ours: Callable[[], Awaitable[bool]],
    on_loss: Callable[[], object],
    *,
    lease_seconds: float,
    patience_seconds: float,
) -> AsyncIterator[None]:
    """Ask ``still_ours`` each third of ``lease_seconds`` for as long as this is held.

    It renews the lease ``name``, or takes it anew, and returns False if it is another's. Then, or
    when the store stays away for ``patience_seconds``, ``on_loss`` is called, and nothing is asked
    any more. The lease may run out meanwhile: what a late holder writes is refused.
    """

    async def renew() -> None:
        loop = asyncio.get_running_loop()
        held_at = loop.time()
        while True:
            await asyncio.sleep(lease_seconds / 3)
            try:
                if not await still_ours():
                    break
                held_at = loop.time()
            except Transient:
                if loop.time() - held_at > patience_seconds:
                    break
            except Exception:
                log.exception("the lease of %s cannot be held", name)
                break
        on_loss()

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.wait([renewing])


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

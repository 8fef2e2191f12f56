"""Generations: async iterators whose items become streams, and what becomes of them.

Each is a run (runs.py). Its iterator dies with its process.
"""

import asyncio
from collections.abc import AsyncIterable
from contextlib import AbstractAsyncContextManager
from time import time

from lastevent.core.errors import NotFound
from lastevent.core.event import MESSAGE
from lastevent.services.generation import Generation
from lastevent.services.life import Limits, Term
from lastevent.services.runs import Runs
from lastevent.sources.items import CLOSE_SECONDS, Item, Items
from lastevent.sources.pump import LONGEST_SECONDS
from lastevent.stores.base import Store

KIND = "generations"
MAX_RUNNING = 256


class Generations:
    """The generations of a store, and those that this process has.

    ``lease_seconds``: how long after a server's death its generations are declared ended.
    """

    def __init__(
        self, store: Store, *, lease_seconds: float = 10.0, max_running: int = MAX_RUNNING
    ) -> None:
        limits = Limits(lease_seconds, 2 * CLOSE_SECONDS, max_running, LONGEST_SECONDS)
        self._grace_seconds = limits.grace_seconds
        self._runs = Runs(store, KIND, Generation.parse, limits)

    async def announce(self, stream: str) -> Generation:
        """Write down that ``begin`` will be called for this stream, in whatever process.

        Raises Conflict if there is one.
        """
        return await self._runs.ledger.add(Generation.new(stream, _now()))

    async def begin(
        self,
        stream: str,
        items: AsyncIterable[Item],
        *,
        type: str = MESSAGE,
        deadline: float | None = None,
    ) -> Generation:
        """Begin to append ``items``, in this process; return at once.

        It is ended in good time before ``deadline``, in the event loop's time. Raises Conflict if
        the stream is there already, or enough go on here; then the iterator is closed.
        """
        term = Term.before(deadline, self._grace_seconds)
        source = Items(items, type=type, close_seconds=term.grace_seconds / 2)
        try:
            try:
                begun = await self._runs.claim(stream, lambda _: source, term.ends_at)
            except NotFound:
                new = Generation.new(stream, _now())
                begun = await self._runs.start(new, lambda _: source, term.ends_at)
        except Exception:
            await source.stop()
            raise
        if not begun.is_active:
            await source.stop()
        return begun

    async def attend(self, stream: str, leaving: asyncio.Event) -> None:
        """Stay with a generation of this process until it is over; have it end once ``leaving`` is
        set."""
        await self._runs.attend(stream, leaving)

    async def get(self, stream: str) -> Generation:
        """Return a generation as it truly is; raise NotFound."""
        return await self._runs.ledger.get(stream)

    async def cancel(self, stream: str) -> Generation:
        """Have one end, wherever it is; return it, as a rule ``stopping``. Raises NotFound.

        Another process hears of it when it next looks, three times in the lease's length.
        """
        return await self._runs.stop(stream)

    async def sweep(self) -> tuple[Generation, ...]:
        """End what nobody has ended whose process is gone; return those."""
        return await self._runs.ledger.sweep()

    def watch(self, stream: str) -> AbstractAsyncContextManager[None]:
        """See, as long as this is held, that the stream ends when its process is gone."""
        return self._runs.watch(stream)

    async def aclose(self) -> None:
        """End all that goes on here, say so in the streams, and return in bounded time."""
        await self._runs.aclose()


def _now() -> int:
    return int(time() * 1000)

"""Runs: a command, a generator. What only the process in which it began can produce, as a stream.

    ledger   what is known of all runs, and the end of those whose process is gone
    life     one run, in the process that has it
    Runs     the two together, for one kind of runs

A run may also be announced, for an invocation of its own to claim: once, however often that is
tried. One that nobody has claimed after a minute is ended as if its process were gone.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from lastevent.core.errors import Conflict, NotFound, Transient
from lastevent.services import life
from lastevent.services.ledger import Ledger
from lastevent.services.life import Life, Limits, Producer
from lastevent.services.run import Run
from lastevent.sources.host import Host
from lastevent.stores.base import Store

SHUT_DOWN = "The server was shut down, and its work with it. Start it again."


@dataclass(slots=True)
class _Watch:
    """The one check of a run for all its viewers in this process."""

    task: asyncio.Task[None]
    viewers: int = 0


class Runs[R: Run]:
    """The runs of one kind in a store, and those that this process has.

    ``kind`` names their records, ``parse`` reads one. Belongs to one event loop.
    """

    def __init__(self, store: Store, kind: str, parse: Callable[[str], R], limits: Limits) -> None:
        self.host = secrets.token_hex(4)
        """This process, in the records."""
        self._store = store
        self._kind = kind
        self._limits = limits
        self._lives: dict[str, Life[R]] = {}
        self._watches: dict[str, _Watch] = {}
        self._closing = False
        self.ledger = Ledger(store, kind, parse, self._lives, limits.lease_seconds)

    async def start(self, run: R, make: Callable[[R], Producer], ends_at: int | None = None) -> R:
        """Begin a new run here; return it, running or failed. ``ends_at``: a Term's.

        Raises Conflict when enough run here, and when the stream or the run is there already.
        """
        self._must_have_room()
        run = run.claimed(self.host, ends_at)

        async def take(host: Host) -> R:
            # The lease before the record: who finds the record with a free lease finds a dead host.
            extent = await host.acquire()
            if extent is None or extent.closed or extent.head.sequence:
                raise Conflict(f"the stream {run.stream} is there already")
            return await self.ledger.add(run)

        return await self._begin(run, take, make, ends_at)

    async def claim(self, id: str, make: Callable[[R], Producer], ends_at: int | None = None) -> R:
        """Begin an announced run here; return it, running or failed.

        Raises NotFound, and Conflict if it is not to be begun any more: it was begun, by whoever,
        or stopped before, or has waited for too long.
        """
        run = await self.ledger.read(id)

        def claimed(run: R) -> R:
            if not run.is_waiting:
                raise Conflict(f"{run.stream} is not to be begun any more: it is {run.state}")
            return run.claimed(self.host, ends_at)

        async def take(host: Host) -> R:
            extent = await host.acquire()
            if extent is None:
                raise Conflict(f"{run.stream} is another's")
            try:
                if extent.closed:
                    raise Conflict(f"{run.stream} is closed")
                return await self.ledger.change(id, claimed)
            except Conflict:
                await self.ledger.settle(host, id, extent.closed)
                raise

        def made(run: R) -> Producer:
            self._must_have_room(but=1)
            return make(run)

        return await self._begin(run, take, made, ends_at)

    async def attend(self, id: str, leaving: asyncio.Event) -> None:
        """Stay with a run of this process until it is over; have it end once ``leaving`` is set."""
        life = self._lives.get(id)
        if life is None:
            return
        told = asyncio.create_task(leaving.wait())
        try:
            await asyncio.wait([life.task, told], return_when=asyncio.FIRST_COMPLETED)
            if told.done():
                life.stop(SHUT_DOWN)
            await asyncio.wait([life.task])
        finally:
            told.cancel()

    async def stop(self, id: str) -> R:
        """Have a run end, wherever it is; return it, as a rule ``stopping``. Raises NotFound.

        Another process hears of it when it next looks, three times in the lease's length.
        """
        run = await self.ledger.get(id)
        if not run.is_active:
            return run
        run = await self.ledger.change(id, lambda it: it.stopping())
        if id in self._lives:
            self._lives[id].stop()
        return run if run.host else await self.ledger.truth(run)

    @contextlib.asynccontextmanager
    async def watch(self, id: str) -> AsyncIterator[None]:
        """See, as long as this is held, that the log ends when the run's process is gone."""
        watch = self._watches.get(id)
        if watch is None:
            watch = self._watches[id] = _Watch(asyncio.create_task(self._check(id)))
        watch.viewers += 1
        try:
            yield
        finally:
            watch.viewers -= 1
            if not watch.viewers:
                del self._watches[id]
                watch.task.cancel()
                await asyncio.wait([watch.task])

    async def aclose(self) -> None:
        """End all that runs here, say so in the logs, and return in bounded time."""
        self._closing = True
        for watch in self._watches.values():
            watch.task.cancel()
        tasks: set[asyncio.Task[None]] = set()
        for it in self._lives.values():
            it.stop(SHUT_DOWN)
            tasks |= it.tasks
        if tasks:
            seconds = self._limits.grace_seconds + life.SHUTDOWN_SECONDS
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=life.SHUTDOWN_SECONDS)

    def _must_have_room(self, but: int = 0) -> None:
        """Raise Transient or Conflict if nothing more may begin here; ``but`` so many have."""
        if self._closing:
            raise Transient("this server is shutting down")
        if sum(not it.is_over for it in self._lives.values()) - but >= self._limits.max_running:
            raise Conflict(
                f"{self._limits.max_running} {self._kind} run here already: stop one of them first"
            )

    async def _begin(
        self,
        run: R,
        take: Callable[[Host], Awaitable[R]],
        make: Callable[[R], Producer],
        ends_at: int | None,
    ) -> R:
        id = run.id
        if id in self._lives:
            raise Conflict(f"{run.stream} runs here already")

        def forget() -> None:
            del self._lives[id]

        it = Life(self._store, self.ledger, run, self._limits, take, make, ends_at, forget)
        self._lives[id] = it
        # It is a task's, so that a caller who leaves does not leave half a run behind.
        return await asyncio.shield(it.begun)

    async def _check(self, id: str) -> None:
        with contextlib.suppress(NotFound):
            while True:
                with contextlib.suppress(Transient):
                    if id not in self._lives and not (await self.ledger.get(id)).is_active:
                        return
                await asyncio.sleep(self._limits.lease_seconds / 2)

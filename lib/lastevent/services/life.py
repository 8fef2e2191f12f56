"""The life of one run in the process that has it: lease, record, start, pump, record, lease."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from time import time
from typing import Any, NamedTuple, Protocol

from lastevent.core.errors import Fenced, LastEventError, NotFound, StreamClosed, Transient
from lastevent.services.ledger import Ledger
from lastevent.services.run import Run
from lastevent.sources.base import Source
from lastevent.sources.host import Host
from lastevent.sources.lease import PATIENCE_SECONDS, patiently
from lastevent.sources.pump import Pump, failure
from lastevent.stores.base import Store

log = logging.getLogger("lastevent")

SHUTDOWN_SECONDS = 5.0
"""How long, beyond the grace, the last words of a run may take: when the process goes, and before
an invocation's deadline, of which a task is cancelled some moments earlier (serve/tasks)."""

TIME_UP = "Its time is up: the platform would end it now. Start it again."


class Producer(Source, Protocol):
    """A source that is started once and read once, and can be stopped at any time."""

    async def start(self) -> None:
        """Begin; raise OSError or LastEventError if that is impossible."""
        ...

    async def stop(self, reason: str | None = None) -> None:
        """Have it end, in bounded time: ``read`` gives what there is, then the end. ``reason``: a
        sentence that is told as a failure."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What runs of one kind may take.

    ``lease_seconds``: how long after a process's death its runs are declared ended.
    ``grace_seconds``: how long a producer may take to stop. At most ``max_running`` go on in a
    process, each for ``longest_seconds`` (None: it has an end of its own). ``patience_seconds``:
    how long a store that is away is waited for.
    """

    lease_seconds: float
    grace_seconds: float
    max_running: int
    longest_seconds: float | None = None
    patience_seconds: float = PATIENCE_SECONDS


class Term(NamedTuple):
    """``ends_at``: when a run is told to end, in Unix ms, or None. Then it has its grace."""

    ends_at: int | None
    grace_seconds: float

    @classmethod
    def before(cls, deadline: float | None, grace_seconds: float) -> "Term":
        """Return one after which all is over at ``deadline``, in the event loop's time.

        Of a short time a third is left to the end, and an eighth is the grace within it.
        """
        if deadline is None:
            return cls(None, grace_seconds)
        left = max(deadline - asyncio.get_running_loop().time(), 0.0)
        margin = min(grace_seconds + SHUTDOWN_SECONDS, left / 3)
        return cls(_now() + int((left - margin) * 1000), min(grace_seconds, left / 8))


class Life[R: Run]:
    """Runs ``id`` until its end, in a task of its own.

    ``take`` has the host acquire its lease, and writes the record; what it raises is raised by
    ``begun``. ``make`` makes what the record asks for; what it raises is written down. ``ends_at``:
    a Term's. ``on_end`` is called when nothing of it is left.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger[R],
        run: R,
        limits: Limits,
        take: Callable[[Host], Awaitable[R]],
        make: Callable[[R], Producer],
        ends_at: int | None,
        on_end: Callable[[], object],
    ) -> None:
        self.begun: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.is_over = False
        """Whether its work has ended; then only its record and its lease are left to see to."""
        self._ledger = ledger
        self._id = run.id
        self._stream = run.stream
        self._limits = limits
        self._take = take
        self._make = make
        self._ends_at = ends_at
        self._on_end = on_end
        self._host = Host(
            store,
            run.stream,
            lease_seconds=limits.lease_seconds,
            patience_seconds=limits.patience_seconds,
        )
        self._producer: Producer | None = None
        self._reason: str | None = None
        self._is_stopped = False
        self.task = asyncio.create_task(self._live())
        self._stops: set[asyncio.Task[None]] = set()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Its task, and those that are about to stop it."""
        return {self.task, *self._stops}

    def stop(self, reason: str | None = None) -> None:
        """Have it end; ``reason`` as in Producer."""
        self._is_stopped, self._reason = True, self._reason or reason
        if self._producer is not None:
            self._meanwhile(self._producer.stop(reason))

    async def _live(self) -> None:
        try:
            run = await self._take(self._host)
            producer = await self._start(run)
            if producer is None:
                return
            self._meanwhile(self._obey(producer))
            if self._ends_at is not None:
                self._meanwhile(_end(producer, self._ends_at))
            pump = Pump(self._host, producer, None, longest_seconds=self._limits.longest_seconds)
            is_ours = await pump.run()
            self.is_over = True
            if not is_ours:
                raise Fenced("the lease of this stream was lost")
            await patiently(lambda: self._ledger.catch_up(self._id), self._limits.patience_seconds)
        except Exception as error:
            self._report(error)
        finally:
            if not self.begun.done():
                self.begun.set_exception(Transient("this server is shutting down"))
            for task in self._stops:
                task.cancel()
            if self._producer is not None:
                await self._producer.stop()
            await self._host.release()
            self._on_end()

    async def _start(self, run: R) -> Producer | None:
        """Make the producer and start it, and say so; return None if it cannot be."""
        try:
            producer = self._producer = self._make(run)
            if self._is_stopped:
                await producer.stop(self._reason)
            await producer.start()
        except (OSError, LastEventError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            reason = f"It could not be started: {why or error}."
            await self._host.append([failure(reason, _now())], close=True)
            self.begun.set_result(await self._ledger.change(self._id, lambda it: it.failed(_now())))
            return None
        self.begun.set_result(await self._ledger.change(self._id, lambda it: it.running()))
        return producer

    async def _obey(self, producer: Producer) -> None:
        """Stop the work once the record says so: another process was asked to."""
        while True:
            with contextlib.suppress(Transient, NotFound):
                if (await self._ledger.read(self._id)).state == "stopping":
                    await producer.stop()
                    return
            await asyncio.sleep(self._limits.lease_seconds / 3)

    def _meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    def _report(self, error: Exception) -> None:
        if not self.begun.done():
            self.begun.set_exception(error)
        elif isinstance(error, Fenced | StreamClosed):
            log.warning("%s was ended, since its log is another's: %s", self._stream, error)
        elif isinstance(error, Transient):
            log.warning("%s was ended, since the store stays away: %s", self._stream, error)
        else:
            log.exception("%s failed", self._stream)


async def _end(producer: Producer, ends_at: int) -> None:
    await asyncio.sleep(max(ends_at / 1000 - time(), 0.0))
    await producer.stop(TIME_UP)


def _now() -> int:
    return int(time() * 1000)

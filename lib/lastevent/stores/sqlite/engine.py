"""The threads around one database: one writes, two read, and callers wait on their event loops.

The writer takes everything that waits and commits it together: one transaction, one flush to the
disk, and a savepoint for each call in it, so that a call that fails takes back its own changes
only. Nobody hears of success before the commit; a commit that fails fails for all (RULES 9).

Threads begin with the first call and end in ``close``. Nothing belongs to an event loop but the
calls that it is waiting for, so one engine serves several loops, also one after the other.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from queue import Empty, SimpleQueue

from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.stores.sqlite.failure import said_of
from lastevent.stores.sqlite.schema import connect

BUSY_SECONDS = 5.0
"""How long a call waits for other processes that write."""

CALL_SECONDS = 10.0
"""How long a call takes at most, with its turn in the queue."""

MAX_WAITING = 1024
"""Calls in a queue; their arguments are in memory."""

MAX_GROUP = 256
"""Calls in one transaction."""

READERS = 2
SWEEP_SECONDS = 60.0
SWEEP_PAUSE = 0.05

Work[T] = Callable[[sqlite3.Connection], T]


class _Call[T]:
    """A piece of work on its way to a thread, and its outcome on the way back."""

    __slots__ = ("error", "future", "loop", "result", "stream", "work")

    def __init__(self, work: Work[T], stream: str | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.work = work
        self.stream = stream
        self.result: T | None = None
        self.error: Exception | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether the caller waits no more: it was cancelled, or its time is up."""
        return self.future.done()

    def finish(self) -> None:
        """Answer the caller, in its loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)  # type: ignore[arg-type]


type _Queue = SimpleQueue[_Call[object] | None]

"""The threads around one database: one writes, two read, and callers wait on their event loops.

The writer takes everything that waits and commits it together: one transaction, one flush to the
disk, and a savepoint for each call in it, so that a call that fails takes back its own changes
only. Nobody hears of success before the commit; a commit that fails fails for all (RULES 9).

Threads begin with the first call and end in ``close``. Nothing belongs to an event loop but the
calls that wait on it, so an engine serves several loops, at once or one after the other.
"""

import asyncio
import contextlib
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lastevent.core.errors import LastEventError, StoreUnavailable, Transient
from lastevent.stores.sqlite.failure import translated
from lastevent.stores.sqlite.schema import connect

READERS = 2
MAX_GROUP = 256
"""Calls in one transaction at most."""

SWITCH_SECONDS = 0.0005
"""How long an event loop may keep these threads waiting for the interpreter. They need it for
moments only, but often: with Python's 5 ms a busy loop made each commit take a hundred of them."""

SWEEP_PAUSE = 0.05
"""Seconds between two pieces of one sweep, in which calls go on."""

type Work[T] = Callable[[sqlite3.Connection], T]


class Engine:
    """Runs work in the threads.

    ``moved`` is told, in the writer's thread, the streams that a commit has changed. ``sweep``
    removes a little of what has expired and says whether there is more: it runs in a transaction
    of its own, every ``sweep_seconds``.

    ``busy_seconds`` is how long a call waits for other processes that write, ``call_seconds`` how
    long it takes at most with its turn in the queue, ``max_waiting`` how many calls may wait there
    (their arguments are in memory). Beyond either, a call raises Transient.
    """

    def __init__(
        self,
        path: Path,
        *,
        moved: Callable[[set[str]], None],
        sweep: Work[bool],
        busy_seconds: float = 5.0,
        call_seconds: float = 10.0,
        max_waiting: int = 1024,
        sweep_seconds: float = 60.0,
    ) -> None:
        self._path = path
        self._moved = moved
        self._sweep = sweep
        self._busy_seconds = busy_seconds
        self._call_seconds = call_seconds
        self._max_waiting = max_waiting
        self._sweep_seconds = sweep_seconds
        self._writes: _Queue = SimpleQueue()
        self._reads: _Queue = SimpleQueue()
        self._starting = threading.Lock()
        self._writers: list[threading.Thread] = []
        self._readers: list[threading.Thread] = []
        self._closed = False

    async def write[T](self, work: Work[T], stream: str | None = None) -> T:
        """Run ``work`` in a transaction; return its result once that is committed.

        Work that raises is taken back. ``stream``: what to tell ``moved`` when it did not.
        """
        if not self._writers:
            self._start(self._writers, 1, self._write)
        return await self._run(self._writes, _Call(work, stream))

    async def read[T](self, work: Work[T]) -> T:
        """Run ``work`` on a snapshot of the database; return its result."""
        if not self._readers:
            self._start(self._readers, READERS, self._read)
        return await self._run(self._reads, _Call(work, None))

    async def close(self) -> None:
        """Finish what waits, and end the threads; later calls raise StoreUnavailable."""
        self._closed = True
        for queue, threads in (self._writes, self._writers), (self._reads, self._readers):
            for _ in threads:
                queue.put(None)
        await asyncio.to_thread(self._join)

    def connection(self, *, readonly: bool) -> "Connection":
        """Return a connection for the thread that calls."""
        return Connection(lambda: connect(self._path, self._busy_seconds, readonly=readonly))

    def _join(self) -> None:
        give_up = time.monotonic() + self._call_seconds
        for thread in (*self._writers, *self._readers):
            thread.join(max(0.0, give_up - time.monotonic()))

    def _start(self, threads: list[threading.Thread], count: int, run: Callable[[], None]) -> None:
        with self._starting:
            sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_SECONDS))
            while len(threads) < count and not self._closed:
                # Daemons: a process that does not close ends nevertheless, and loses nothing that
                # was acknowledged.
                thread = threading.Thread(target=run, name="lastevent-sqlite", daemon=True)
                thread.start()
                threads.append(thread)

    async def _run[T](self, queue: "_Queue", call: "_Call[T]") -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if queue.qsize() >= self._max_waiting:
            raise Transient("the store has too much to do")
        queue.put(call)
        try:
            async with asyncio.timeout(self._call_seconds):
                return await call.future
        except TimeoutError:
            raise Transient("the store takes too long to answer") from None

    # In the reading threads.

    def _read(self) -> None:
        db = self.connection(readonly=True)
        while (call := self._reads.get()) is not None:
            if not call.is_abandoned:
                try:
                    call.result = db.run("BEGIN", call.work)
                except Exception as error:
                    call.error = translated(error)
                _answer([call])
            del call  # with its result, which may be megabytes
        db.close()

    # In the writing thread.

    def _write(self) -> None:
        db = self.connection(readonly=False)
        sweep_at = time.monotonic() + SWEEP_PAUSE
        is_last = False
        while not is_last:
            calls, is_last = self._take(sweep_at - time.monotonic())
            if calls:
                self._commit(db, calls)
            elif not is_last and time.monotonic() >= sweep_at:
                more = self._sweep_once(db)
                sweep_at = time.monotonic() + (SWEEP_PAUSE if more else self._sweep_seconds)
        db.close()

    def _take(self, timeout: float) -> tuple[list["_Call[Any]"], bool]:
        """Return the calls that wait, after waiting for the first; and whether they are the last.

        None come after ``timeout`` seconds, or at once if that is in the past: a sweep that is due
        has its turn between two groups, however many calls there are.
        """
        calls: list[_Call[Any]] = []
        if timeout <= 0:
            return calls, False
        with contextlib.suppress(Empty):
            call = self._writes.get(timeout=timeout)
            while call is not None:
                if not call.is_abandoned:
                    calls.append(call)
                if len(calls) == MAX_GROUP:
                    return calls, False
                call = self._writes.get_nowait()
            return calls, True
        return calls, False

    def _commit(self, db: "Connection", calls: Sequence["_Call[Any]"]) -> None:
        try:
            db.run("BEGIN IMMEDIATE", lambda connection: _run_group(connection, calls))
        except Exception as error:
            # Also of those that were refused before: what they were told may be of changes that
            # were taken back.
            for call in calls:
                call.error = translated(error)
        # Before the answers: who has one, and then waits for the next, is not to be told this one.
        if moved := {call.stream for call in calls if call.stream and call.error is None}:
            self._moved(moved)
        _answer(calls)

    def _sweep_once(self, db: "Connection") -> bool:
        try:
            return db.run("BEGIN IMMEDIATE", self._sweep)
        except (sqlite3.Error, OSError, LastEventError):
            return False  # nobody waits for it, and the next one does the same


class Connection:
    """A connection to the database, opened when it is used. Belongs to one thread."""

    def __init__(self, open: Callable[[], sqlite3.Connection]) -> None:
        self._open = open
        self._db: sqlite3.Connection | None = None

    def run[T](self, begin: str, work: Work[T]) -> T:
        """Return what ``work`` returns, in a transaction; after an error nothing of it remains.

        An error of the database closes the connection, since it may be of no use any more.
        """
        if self._db is None:
            self._db = self._open()
        try:
            self._db.execute(begin)
            result = work(self._db)
            self._db.execute("COMMIT")
            return result
        except sqlite3.Error:
            self.close()
            raise
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close it; a transaction that is open is taken back."""
        if self._db is not None:
            self._db.close()
            self._db = None


class _Call[T]:
    """A piece of work on its way to a thread, and its outcome on the way back."""

    __slots__ = ("error", "future", "loop", "result", "stream", "work")

    def __init__(self, work: Work[T], stream: str | None) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[T] = self.loop.create_future()
        self.work = work
        self.stream = stream
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def is_abandoned(self) -> bool:
        """Whether nobody waits any more: the caller was cancelled, or its time is up."""
        return self.future.done()

    def finish(self) -> None:
        """Answer the caller. Called in its loop."""
        if self.is_abandoned:
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


type _Queue = SimpleQueue[_Call[Any] | None]  # None: the thread ends


def _run_group(db: sqlite3.Connection, calls: Iterable[_Call[Any]]) -> None:
    for call in calls:
        db.execute("SAVEPOINT call")
        try:
            call.result = call.work(db)
        except Exception as error:
            if not db.in_transaction:
                raise  # SQLite has taken back the whole transaction (sqlite.org/lang_transaction)
            call.error = translated(error)
            db.execute("ROLLBACK TO call")
        db.execute("RELEASE call")


def _answer(calls: Iterable[_Call[Any]]) -> None:
    """Finish the calls, with one wake-up for each of their loops."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Call[Any]]] = defaultdict(list)
    for call in calls:
        by_loop[call.loop].append(call)
    for loop, own in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits there
            loop.call_soon_threadsafe(_finish, own)


def _finish(calls: Iterable[_Call[Any]]) -> None:
    for call in calls:
        call.finish()

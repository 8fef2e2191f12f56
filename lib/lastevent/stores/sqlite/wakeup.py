"""Wake-ups in SQLite: at once for this process's commits, by a look every 10 ms for the others'.

A commit of this process tells those who wait for its streams directly. Other processes' commits
are seen by one thread, which runs while somebody waits: it asks ``PRAGMA data_version``, which
changes with every commit that is not its connection's own (sqlite.org/pragma.html), and only when
it did, for the streams that have changed since. For each waiter that has just come it looks at the
ends of his streams, so that nothing falls between a caller's read and its wait (RULES 13).
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import batched

from lastevent.core.cursor import Cursor
from lastevent.stores.sqlite.engine import Connection

POLL_SECONDS = 0.01
LINGER_SECONDS = 1.0
"""How long the thread stays when nobody waits: as a rule they have only gone to read."""

TROUBLE_SECONDS = 1.0
"""How long it leaves a database alone that failed."""

MAX_NAMES = 500
"""Names in one query."""


class _Waiter:
    """One call of wait, in its loop."""

    __slots__ = ("cursors", "future", "loop")

    def __init__(self, cursors: Mapping[str, Cursor]) -> None:
        self.cursors = dict(cursors)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[frozenset[str]] = self.loop.create_future()


class SqliteWakeup:
    """base.Wakeup. ``connect`` gives a connection for the thread that calls it."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        # Guards the rest. It is held for moments only, so that event loops may take it.
        self._changed = threading.Condition(threading.Lock())
        self._waiting: dict[str, set[_Waiter]] = defaultdict(set)
        self._fresh: list[_Waiter] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    async def wait(self, cursors: Mapping[str, Cursor], timeout: float) -> frozenset[str]:
        waiter = _Waiter(cursors)
        try:
            self._enter(waiter)
            async with asyncio.timeout(timeout):
                return await waiter.future
        except TimeoutError:
            return frozenset()
        finally:
            self._leave(waiter)

    def moved(self, streams: Iterable[str]) -> None:
        """Wake those who wait for these streams. May be called in any thread."""
        found: dict[_Waiter, set[str]] = defaultdict(set)
        with self._changed:
            for stream in streams:
                for waiter in self._waiting.get(stream, ()):
                    found[waiter].add(stream)
        _wake(found)

    async def rest(self) -> None:
        """The thread sleeps by itself while nobody waits."""

    async def close(self) -> None:
        """End the thread; who waits then waits for the end of its time."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            await asyncio.to_thread(thread.join, TROUBLE_SECONDS)

    def _enter(self, waiter: _Waiter) -> None:
        with self._changed:
            for stream in waiter.cursors:
                self._waiting[stream].add(waiter)
            self._fresh.append(waiter)
            if self._thread is None and not self._closed:
                thread = threading.Thread(
                    target=self._watch, name="lastevent-sqlite-watch", daemon=True
                )
                thread.start()
                self._thread = thread
            self._changed.notify()

    def _leave(self, waiter: _Waiter) -> None:
        with self._changed:
            for stream in waiter.cursors:
                waiters = self._waiting[stream]
                waiters.discard(waiter)
                if not waiters:
                    del self._waiting[stream]

    # In the watching thread.

    def _watch(self) -> None:
        db = self._connect()
        look = _Look()
        while (fresh := self._next()) is not None:
            names = {name for waiter in fresh for name in waiter.cursors}
            try:
                ends = db.run("BEGIN", partial(look, names=names))
            except Exception:
                look.forget_connection()
                self._wake_everybody()
                self._rest()
            else:
                self._compare(ends)
        db.close()

    def _next(self) -> list[_Waiter] | None:
        """Return who has come since the last turn, at the latest when it is time to poll.

        None: nobody waits any more, and the thread ends.
        """
        with self._changed:
            if not self._waiting:
                self._changed.wait_for(lambda: self._waiting or self._closed, LINGER_SECONDS)
            if not self._waiting or self._closed:
                self._thread = None
                return None
            if not self._fresh:
                self._changed.wait(POLL_SECONDS)
            fresh, self._fresh = self._fresh, []
            return fresh

    def _compare(self, ends: Mapping[str, Cursor | None]) -> None:
        """Wake those who wait at another position than these."""
        found: dict[_Waiter, set[str]] = defaultdict(set)
        with self._changed:
            for name, end in ends.items():
                for waiter in self._waiting.get(name, ()):
                    if waiter.cursors[name] != end:
                        found[waiter].add(name)
        _wake(found)

    def _wake_everybody(self) -> None:
        """Have them read, and hear there of the trouble that keeps the thread from looking."""
        with self._changed:
            waiters = {waiter for waiters in self._waiting.values() for waiter in waiters}
        _wake({waiter: set(waiter.cursors) for waiter in waiters})

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closed, TROUBLE_SECONDS)


class _Look:
    """What the watching thread has seen, and how it sees more; called in a transaction."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._change: int | None = None

    def forget_connection(self) -> None:
        """Look again, since a version is of one connection."""
        self._version = None

    def __call__(self, db: sqlite3.Connection, names: Collection[str]) -> dict[str, Cursor | None]:
        """Return the ends of the streams ``names``, and of all that changed since the last call.

        A closed stream has no end: it differs from every cursor.
        """
        (version,) = db.execute("PRAGMA data_version").fetchone()
        ends: dict[str, Cursor | None] = {}
        if version != self._version:
            (change,) = db.execute("SELECT max(change) FROM streams").fetchone()
            if self._change is not None:
                ends |= _ends(db, "change > ?", (self._change,))
            self._version, self._change = version, change or 0
        for some in batched(names, MAX_NAMES):
            ends |= dict.fromkeys(some, Cursor.after(0))
            ends |= _ends(db, f"name IN ({', '.join('?' * len(some))})", some)
        return ends


def _ends(
    db: sqlite3.Connection, condition: str, values: Sequence[object]
) -> dict[str, Cursor | None]:
    rows = db.execute(
        f"SELECT name, present, generation, head, proof, closed FROM streams WHERE {condition}",
        values,
    )
    ends: dict[str, Cursor | None] = {}
    for name, present, generation, head, proof, closed in rows:
        if closed:
            ends[name] = None
        else:
            ends[name] = Cursor(generation, head, proof) if present else Cursor.after(generation)
    return ends


def _wake(found: Mapping[_Waiter, set[str]]) -> None:
    """Give the waiters what moved, with one wake-up for each of their loops."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Waiter]] = defaultdict(list)
    for waiter in found:
        by_loop[waiter.loop].append(waiter)
    for loop, own in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed, and nobody waits there
            loop.call_soon_threadsafe(_finish, own, found)


def _finish(waiters: Iterable[_Waiter], found: Mapping[_Waiter, set[str]]) -> None:
    for waiter in waiters:
        if not waiter.future.done():
            waiter.future.set_result(frozenset(found[waiter]))

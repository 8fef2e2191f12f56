"""Group commit: one task a stream writes; what waits meanwhile is written together.

The first call goes at once. Those that come while it is on its way make the next group, so that a
store that is far away, or slow, is asked once for many of them, and no caller waits longer than two
writes take. Where a store takes several writes of a stream at once, what is too large to be worth
sharing does not wait for its turn.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from typing import Any, Protocol

from lastevent.core.errors import LastEventError, StoreUnavailable, Transient

MAX_WAITING = 1024
MAX_WAITING_BYTES = 16 << 20
"""What waits of one stream: beyond it a caller is refused, and comes again (Transient)."""

MAX_GROUP_EVENTS = 1000
"""Events that go together; an append by itself has no more (base.MAX_BATCH_EVENTS)."""


class Call(Protocol):
    """What somebody wants written. ``future`` is what its caller waits for."""

    @property
    def future(self) -> asyncio.Future[Any]:
        """Holds the answer, or the error that the caller is to raise, as a result."""
        ...

    @property
    def size(self) -> int:
        """Its bytes, about."""
        ...


class Room[C](Protocol):
    """What fits into one write."""

    def fits(self, call: C) -> bool:
        """Take in one more call, and return whether it fits beside those before."""
        ...


class Group[C: Call]:
    """The calls of one stream, in one event loop.

    ``commit`` writes some together and sees that each is finished (``finish``), perhaps later; what
    it raises is told to all of them. ``room`` makes the room of a new group; its first call always
    goes. ``pause_seconds`` passes before a group while groups have more than one call. Up to
    ``width`` groups are on their way at once, one more whenever ``crowd_bytes`` wait.
    """

    def __init__(
        self,
        commit: Callable[[list[C]], Awaitable[None]],
        room: Callable[[], Room[C]],
        *,
        pause_seconds: float = 0.0,
        width: int = 1,
        crowd_bytes: int = 0,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self._commit = commit
        self._room = room
        self._pause_seconds = pause_seconds
        self._width = width
        self._crowd_bytes = crowd_bytes
        self._waiting: deque[C] = deque()
        self._bytes = 0
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def is_needed(self) -> bool:
        """Whether somebody waits for it."""
        return bool(self._writing) and not self.loop.is_closed()

    async def submit(self, call: C) -> Any:
        """Return what becomes of ``call``, or raise it; Transient if too much waits already."""
        if len(self._waiting) >= MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            raise Transient("the stream has too much to do")
        self._waiting.append(call)
        self._bytes += call.size
        if not self._writing or (
            self._bytes >= self._crowd_bytes and len(self._writing) < self._width
        ):
            writing = asyncio.create_task(self._write(), name="lastevent writes a stream")
            self._writing.add(writing)
        verdict = await call.future
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    async def close(self) -> None:
        """End the tasks; who waits is told so."""
        for writing in self._writing:
            writing.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        fail(self._waiting, StoreUnavailable("the store is closed"))

    async def _write(self) -> None:
        is_crowded = False
        try:
            while self._waiting:
                if is_crowded and self._pause_seconds:
                    await asyncio.sleep(self._pause_seconds)
                calls = self._take()
                is_crowded = len(calls) > 1
                if not calls:  # all have gone
                    break
                try:
                    await self._commit(calls)
                except Exception as error:
                    fail(calls, error)
                except asyncio.CancelledError:
                    fail(calls, StoreUnavailable("the store is closed"))
                    raise
        finally:
            # At once: whoever comes next must not count on a task that is over.
            self._writing = {it for it in self._writing if it is not asyncio.current_task()}

    def _take(self) -> list[C]:
        """Return the calls that wait, as many as go together; not those whose callers have gone."""
        calls: list[C] = []
        room = self._room()
        while self._waiting:
            call = self._waiting[0]
            if not call.future.done():
                if not room.fits(call) and calls:
                    break
                calls.append(call)
            self._waiting.popleft()
            self._bytes -= call.size
        return calls


def finish(call: Call, verdict: object) -> None:
    """Tell the caller, if it still waits: its answer, or the error that it is to raise."""
    if not call.future.done():
        call.future.set_result(verdict)


def fail(calls: Iterable[Call], error: Exception) -> None:
    """Tell all of them what went wrong.

    Each has an error of its own, since one that several tasks raise collects their tracebacks.
    """
    for call in calls:
        own: Exception = error
        if isinstance(error, LastEventError):
            own = copy(error)
            own.__cause__ = error
        finish(call, own)

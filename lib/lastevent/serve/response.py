"""One leg over one connection, as plain ASGI.

A connection has one owner at a time (RULES 19). While there is history to send it is a catch-up
task; once everything is sent it is the tails, which call ``advance`` from their passes and need no
task for it. A send that suspends, because the client does not keep up, makes a catch-up task the
owner again: it awaits that very send to its end and goes on from the leg's position, out of the
log if the window has moved on. A reader that stops costs a cursor and a piece that is being sent;
what was read for it of the log is let go of, and read again when it goes on.

The request's own task only waits for the client to leave. Heartbeats and bounds come from one timer
a connection.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import time
from typing import Any, cast

from starlette.types import Receive, Send

from lastevent.core.bounds import Reason
from lastevent.core.errors import Transient
from lastevent.core.leg import Leg
from lastevent.core.wire import CONTENT_TYPE
from lastevent.serve.reader import Reader
from lastevent.serve.window import RUN_BYTES

log = logging.getLogger("lastevent")

GRACE_SECONDS = 2.0
"""How long beyond its end a leg may hang in a send to a client that does not read."""

LOOK_SECONDS = 1.0
"""How often the timer looks at a connection that a catch-up task owns."""

HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", f"{CONTENT_TYPE}; charset=utf-8".encode()),
    (b"cache-control", b"no-cache, no-store, must-revalidate, no-transform"),
    (b"x-accel-buffering", b"no"),
]
"""What keeps proxies and browsers from holding back, storing or compressing the stream."""


class LegResponse:
    """Carries the bytes of ``leg`` and its ``reader`` to one client.

    ``release`` is called once, when the connection is done with its tails.
    """

    __slots__ = (
        "_abort_at",
        "_aborted",
        "_leg",
        "_looked",
        "_loop",
        "_over",
        "_owner",
        "_planned",
        "_reader",
        "_release",
        "_request",
        "_send",
        "_timer",
    )

    def __init__(self, leg: Leg, reader: Reader, release: Callable[["LegResponse"], None]) -> None:
        self._leg = leg
        self._reader = reader
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._send: Send
        self._request: asyncio.Task[object] | None = None
        self._owner: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._planned: Reason | None = None
        self._abort_at = leg.ends_at + GRACE_SECONDS
        self._aborted = False
        self._over = False
        self._looked = ""
        """The leg's position when the timer last looked at the catch-up task."""

    async def run(self, receive: Receive, send: Send) -> None:
        """Serve the connection until the leg is over or the client has left."""
        self._send = send
        self._request = asyncio.current_task()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            await self._begin()
            # A completed response, too, is followed by http.disconnect (ASGI, "disconnect").
            while (await receive())["type"] != "http.disconnect":
                pass
        except OSError:
            pass  # the client left during a send
        except asyncio.CancelledError:
            if not self._aborted or (self._request and self._request.uncancel()):
                raise
        finally:
            self.close()

    async def _begin(self) -> None:
        """Send what the windows hold, in one piece with ``open``; who has all needs no task."""
        now = self._loop.time()
        data = self._leg.open(now)
        first = self._reader.gather(now)
        settled = first == b"" and not self._reader.has_ended and not self._reader.is_stale
        data += self._leg.caught_up(now) if settled else first or b""
        if settled and now >= self._leg.wake_at:
            data += self._leg.tick(now, _wall_ms())  # a look: it ends before a tail follows for it
        await self._send_all(data)
        if self._leg.stopped is not None:
            self.close()
        elif settled and self._planned is None:
            self._settle()
            self.advance()  # what came during the send
        else:
            self._catch_up(None)
            self._arm()

    # What tails, the timer and the process call: nothing here blocks or raises.

    def advance(self) -> None:
        """Send what is new, unless a catch-up task owns the connection and does so itself."""
        now = self._loop.time()
        while self._owner is None and not self._over:
            data = self._reader.gather(now)
            if data:
                self._emit(data)
            elif data is None:
                self._catch_up(None)
            else:
                if self._reader.has_ended:
                    self._emit(self._leg.stop(Reason.ENDED, now))
                return

    def trouble(self) -> None:
        """End the leg, since the store is away."""
        self.end(Reason.TROUBLE)

    def end(self, reason: Reason) -> None:
        """End the leg for ``reason``, as soon as its owner can."""
        if self._owner is not None or self._timer is None:
            # The owner sees to it; or, before there is one, the first thing that it does.
            self._planned = reason
            self._abort_at = min(self._abort_at, self._loop.time() + GRACE_SECONDS)
            if self._timer is not None:
                self._arm()
        elif not self._over:
            self._emit(self._leg.stop(reason, self._loop.time()))

    def cut(self) -> None:
        """End it as a network does, without a word: for trials of what clients make of that."""
        self._aborted = True
        if self._request is not None:
            self._request.cancel()

    def _on_timer(self) -> None:
        now = self._loop.time()
        if self._owner is not None:
            # The owner looks at the clock itself, between sends. One that hangs in a send beyond
            # the end is given up: a client that does not read cannot be told anything.
            if now >= self._abort_at and self._request is not None:
                self._aborted = True
                self._request.cancel()
                return
            if self._looked == self._leg.position:
                self._reader.forget()  # its client does not read
            self._looked = self._leg.position
        elif now >= self._leg.wake_at:
            self._emit(self._leg.tick(now, _wall_ms()))
        if not self._over:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        now = self._loop.time()
        owned = self._owner is not None
        wake = min(now + LOOK_SECONDS, self._abort_at) if owned else self._leg.wake_at
        self._timer = self._loop.call_at(max(wake, now), self._on_timer)

    # Sending.

    async def _send_all(self, data: bytes) -> None:
        """Send ``data`` in pieces of at most RUN_BYTES; the leg's last bytes end the response."""
        last = max(len(data) - 1, 0) // RUN_BYTES * RUN_BYTES
        for begin in range(0, last, RUN_BYTES):
            piece = data[begin : begin + RUN_BYTES]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send_last(data[last:])

    def _send_last(self, data: bytes) -> Coroutine[Any, Any, None]:
        more = self._leg.stopped is None
        send = self._send({"type": "http.response.body", "body": data, "more_body": more})
        return cast(Coroutine[Any, Any, None], send)

    def _emit(self, data: bytes) -> None:
        """Send from outside any task; a send that suspends gets a catch-up task as its owner."""
        if not data:
            return
        # Begun at once and, as long as the client keeps up, also done at once: no task is woken.
        send = self._send_all(data) if len(data) > RUN_BYTES else self._send_last(data)
        sending = asyncio.Task(send, loop=self._loop, eager_start=True)
        if not sending.done():
            self._catch_up(sending)
        elif sending.exception() is not None or self._leg.stopped is not None:
            self.close()

    # Catching up.

    def _catch_up(self, sending: asyncio.Task[None] | None) -> None:
        for tail in self._reader.tails:
            tail.leave(self)
        self._owner = self._loop.create_task(self._own(sending))

    def _settle(self) -> None:
        """Hand it to the tails."""
        self._owner = None
        for tail in self._reader.tails:
            tail.join(self)
        self._arm()

    async def _own(self, sending: asyncio.Task[None] | None) -> None:
        """Own the connection until everything is sent; then hand it to the tails."""
        try:
            if sending is not None:
                await sending
            while self._leg.stopped is None:
                data, settled = await self._next()
                if data:
                    await self._send_all(data)
                elif settled and self._planned is None:
                    # No await between having sent everything and joining: nothing is missed.
                    self._settle()
                    return
        except OSError:
            pass  # the client left during a send
        except Exception:
            log.exception("a leg failed")
            self._aborted = True
            if self._request is not None:
                self._request.cancel()
        self.close()

    async def _next(self) -> tuple[bytes, bool]:
        """Return the next bytes to send, and whether everything is sent when there are none."""
        now = self._loop.time()
        if self._planned is not None:
            return self._leg.stop(self._planned, now), False
        if now >= self._leg.wake_at:
            return self._leg.tick(now, _wall_ms()), False
        data = self._reader.gather(now)
        settled = data is not None
        if data is None:
            try:
                data, settled = await self._reader.fetch()
            except Transient:
                return self._leg.stop(Reason.TROUBLE, self._loop.time()), False
        if data or not settled:
            return data, False
        if self._reader.has_ended:
            return self._leg.stop(Reason.ENDED, now), False
        if self._reader.is_stale:
            # The stream was deleted and created anew behind a tail that has seen its end: the
            # client comes back at once to a fresh one.
            return self._leg.stop(Reason.DURATION, now), False
        return self._leg.caught_up(now), True

    def close(self) -> None:
        """Be done with the tails; may be called again."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._owner is not None and self._owner is not asyncio.current_task():
            self._owner.cancel()
        for tail in self._reader.tails:
            tail.leave(self)
        self._release(self)


def _wall_ms() -> int:
    return int(time() * 1000)

"""A stream as an async iterator that ends when the stream does, and not before.

The follower decides; this module carries it out: requests, time limits, pauses. Every wait can be
ended from outside by aclose, and the connection belongs to the iteration: leaving the loop in any
way closes it.
"""

import asyncio
import enum
import random
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Self, cast

from lastevent.client.backoff import Backoff
from lastevent.client.connection import Connection
from lastevent.client.follower import End, Follower, GaveUp, Reset, StreamEvent
from lastevent.client.transport import (
    Credentials,
    Token,
    TryLater,
    check_url,
    host_of,
    open_client,
)
from lastevent.core.errors import (
    CursorExpired,
    InvalidRequest,
    LastEventError,
    Transient,
    Unauthenticated,
)
from lastevent.core.wire import CONTENT_TYPE

if TYPE_CHECKING:
    import httpx

WATCH_BEATS = 2
"""Heartbeats' worth of silence after which a connection counts as dead."""

HOLD_MARGIN = 15.0
"""Seconds that a whole answer may take beyond its hold: functions start cold."""

DRAIN_SECONDS = 0.25
"""How long after a planned end the response's last bytes may take, so that the connection lives."""


class State(enum.StrEnum):
    """What an iteration is doing. A planned pause between two legs is still ``connected``."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"
    ENDED = "ended"


class Stream:
    """The events of one stream, or of several in one URL, in order, each once.

    Iterate over it with ``async for``; leaving the loop closes the connection, and iterating again
    goes on where it stopped. ``async with`` does the same at a definite time.

    ``url``: of the stream, or of anything else that serves legs. ``token``: see transport.Token.
    ``start``: where to begin without a cursor: ``start``, ``now``, ``last:N``, or None for what the
    server thinks best. ``cursor``: an id to go on after, from ``cursor`` of an earlier Stream.
    ``types``: the event types wanted; all if None. ``heartbeat``: the server's, in seconds, as long
    as it has not named it. ``attempts``: failures in a row before giving up, None for never; see
    follower for what counts as one. ``on_state(state, reason)`` hears of each change.
    ``on_reset(lost_after, position)`` hears of lost events, perhaps as a coroutine.

    Iterating raises CursorExpired when events are lost and there is no ``on_reset``; TooLarge for
    an event over ``max_event_bytes``; Transient when it gave up; and the error that a refusal tells
    (Unauthenticated, Forbidden, NotFound, InvalidRequest). After any of them one may iterate again;
    after CursorExpired it goes on behind the gap.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token = None,
        start: str | None = "start",
        cursor: str | None = None,
        types: Iterable[str] | None = None,
        heartbeat: float = 15.0,
        attempts: int | None = 10,
        backoff: Backoff = Backoff(),
        max_event_bytes: int = 4 * 1024 * 1024,
        on_state: Callable[[State, str], None] | None = None,
        on_reset: Callable[[str, str], Awaitable[None] | None] | None = None,
    ) -> None:
        if cursor is not None and (not cursor or not cursor.isprintable()):
            raise InvalidRequest("a cursor is the text of an id that the server gave")
        self.state = State.DISCONNECTED
        self._url = check_url(url)
        self._host = host_of(url)
        self._credentials = Credentials(token)
        self._query: dict[str, str] = {}
        if start is not None:
            self._query["from"] = start
        if types is not None:
            self._query["types"] = ",".join(types)
        self._follower = Follower(cursor, heartbeat, attempts, backoff)
        self._first_byte_seconds = WATCH_BEATS * heartbeat
        self._max_event_bytes = max_event_bytes
        self._on_state = on_state
        self._on_reset = on_reset
        self._over_at = 0.0
        self._renewed = False
        self._closing = False
        self._wait: asyncio.Timeout | None = None
        self._iteration: weakref.ref[AsyncGeneratorType[StreamEvent]] | None = None

    @property
    def cursor(self) -> str | None:
        """The last id reached, of control events too; None before the first."""
        return self._follower.position.text

    @property
    def trimmed(self) -> bool:
        """Whether the stream's beginning was gone already when this reader began without cursor."""
        return self._follower.trimmed

    def __aiter__(self) -> AsyncIterator[StreamEvent]:
        running = self._running()
        if running is not None:
            raise RuntimeError("this Stream is being iterated over already: make another one")
        iteration = cast(AsyncGeneratorType[StreamEvent], self._events())
        # Weakly: when the loop that uses it is left, nothing else keeps it, and it closes itself.
        self._iteration = weakref.ref(iteration)
        return iteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the iteration, also one that waits in another task, and close its connection."""
        iteration = self._running()
        if iteration is None:
            return
        if iteration.ag_running:
            self._closing = True
            if self._wait is not None:
                self._wait.reschedule(asyncio.get_running_loop().time())
        else:
            await iteration.aclose()

    def _running(self) -> AsyncGeneratorType[StreamEvent] | None:
        iteration = self._iteration() if self._iteration is not None else None
        return None if iteration is None or iteration.ag_frame is None else iteration

    # The iteration.

    async def _events(self) -> AsyncGenerator[StreamEvent]:
        self._closing = self._renewed = False
        last = State.DISCONNECTED, "closed"
        try:
            self._tell(State.CONNECTING, "")
            async with await open_client(self._url) as client:
                while True:
                    trouble: LastEventError | None = None
                    try:
                        async with aclosing(self._leg(client)) as leg:
                            async for event in leg:
                                yield event
                    except (TryLater, Unauthenticated) as error:
                        trouble = error
                    if self._follower.over is End.END:
                        last = State.ENDED, "the stream has ended"
                        return
                    await self._stay_away(trouble)
        except _Closed:
            pass
        except Exception as error:
            last = State.DISCONNECTED, str(error)
            raise
        finally:
            self._tell(*last)

    async def _leg(self, client: "httpx.AsyncClient") -> AsyncGenerator[StreamEvent]:
        """Yield what one response brings, until it says that it is over."""
        follower = self._follower
        follower.begin(_now())
        # A whole answer is silent for as long as it is held (RULES 21).
        hold = follower.hold and follower.hold + HOLD_MARGIN
        patience = max(self._first_byte_seconds, hold)
        connection = await self._within(patience, self._connect(client))
        async with connection:
            self._tell(State.CONNECTED, "")
            if connection.is_finished:
                follower.over = End.END
            while follower.over is None:
                silence = WATCH_BEATS * follower.heartbeat
                for message in await self._within(silence, connection.read()):
                    found = follower.take(message)
                    if isinstance(found, StreamEvent):
                        yield found
                    elif found is not None:
                        await self._report(found)
                    if follower.over is not None:
                        break
            self._over_at = _now()
            if follower.over is End.ROTATE:
                with suppress(TryLater):
                    await self._within(DRAIN_SECONDS, connection.drain())

    async def _connect(self, client: "httpx.AsyncClient") -> Connection:
        headers = {"Accept": CONTENT_TYPE, "Cache-Control": "no-store"}
        headers |= await self._credentials.headers()
        if self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        return await Connection.open(client, self._url, self._query, headers, self._max_event_bytes)

    async def _report(self, reset: Reset) -> None:
        if self._on_reset is None:
            raise CursorExpired(
                f"events after {reset.lost_after[:80]} are lost; the stream goes on behind them"
            )
        heard = self._on_reset(*reset)
        if heard is not None:
            await heard

    async def _stay_away(self, trouble: LastEventError | None) -> None:
        """Wait until the next leg is due; raise if there shall be none."""
        follower = self._follower
        if follower.has_proven:
            self._renewed = False
        if follower.over is End.DENIED:
            trouble = Unauthenticated("the token has expired")
        elif follower.over is End.ERROR:
            trouble = Transient(f"{self._host} has trouble of its own")
        if isinstance(trouble, Unauthenticated):
            # A new token is worth one try, until a leg has shown that tokens work.
            if self._renewed or not self._credentials.renew():
                raise trouble
            self._renewed = True
            return
        asked = trouble.after if isinstance(trouble, TryLater) else 0.0
        try:
            pause = follower.pause(self._over_at, random.random(), asked)
        except GaveUp:
            raise Transient(f"gave up after too many failures: {trouble}") from trouble
        began = _now()
        if follower.over is End.ROTATE:
            began = self._over_at
        else:
            self._tell(State.RECONNECTING, str(trouble))
        await self._within(None, asyncio.sleep(began + pause - _now()))

    async def _within[T](self, seconds: float | None, action: Awaitable[T]) -> T:
        """Await ``action``; raise TryLater after ``seconds``, and _Closed when aclose is called."""
        wait = asyncio.timeout(0 if self._closing else seconds)
        try:
            async with wait:
                self._wait = wait
                return await action
        except TimeoutError:
            if self._closing:
                raise _Closed from None
            if not wait.expired():
                raise
            raise TryLater(f"no sign of life from {self._host} for {seconds:g} s") from None
        finally:
            self._wait = None

    def _tell(self, state: State, reason: str) -> None:
        if state is not self.state:
            self.state = state
            if self._on_state is not None:
                self._on_state(state, reason)


class _Closed(Exception):
    """The iteration was closed while it waited."""


def _now() -> float:
    return asyncio.get_running_loop().time()

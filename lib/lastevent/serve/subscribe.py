"""From a request to a leg: who may read, where the reader stands, what bounds the leg."""

import asyncio
import random
import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cache, partial
from time import time
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.cursor import Cursor, check_streams, parse_vector
from lastevent.core.errors import InvalidCursor, InvalidRequest, Transient
from lastevent.core.extent import Extent
from lastevent.core.leg import Leg, LegPlan
from lastevent.core.policy import METERED, POLICIES, RetryPolicy
from lastevent.core.topic import stream_name
from lastevent.serve.auth import Identity
from lastevent.serve.invocation import Invocation, invocation_of
from lastevent.serve.reader import Feed, Reader, position_text
from lastevent.serve.response import HEADERS, LegResponse
from lastevent.serve.service import Service
from lastevent.serve.window import Types

if TYPE_CHECKING:
    from lastevent.serve.metrics import Metrics
    from lastevent.serve.reconnects import Reconnects

LEG = "lastevent.leg"
"""Where a request's scope has what serves its leg, once its route has settled what that is."""

MAX_HOLD_SECONDS = 25.0
"""A buffered leg, and a long poll, ends before any platform's gateway would cut it."""

MAX_BUFFERED_BYTES = 4 * 2**20
"""Lambda takes answers of 6 MB, to which base64 adds a third."""

MAX_LAST = 10_000
MAX_TYPES = 50
_LAST = re.compile(r"last:([0-9]{1,6})")
_LONGEST_CURSOR = 1024


class Start(NamedTuple):
    """Where a reader without a cursor begins: before everything, after it, or ``last`` from it."""

    last: int | None = None
    now: bool = False

    @classmethod
    def parse(cls, text: str) -> "Start":
        """Read ``start``, ``now`` or ``last:N``; raise InvalidRequest for anything else."""
        if text == "start":
            return cls()
        if text == "now":
            return cls(now=True)
        found = _LAST.fullmatch(text)
        if found is None or int(found[1]) > MAX_LAST:
            raise InvalidRequest(f"from is start, now, or last:N with N up to {MAX_LAST}")
        return cls(last=int(found[1]))

    def position(self, extent: Extent) -> tuple[Cursor, bool]:
        """Return where this is in a stream, and whether the stream's beginning is lost to it."""
        if self.now:
            return extent.head, False
        if self.last is not None:
            return extent.newest(self.last), False
        return extent.start, extent.exists and extent.floor > 1


class Subscription(NamedTuple):
    """What a request asks to read.

    ``start`` is the default of the function that asks. ``during`` gives a context that is held open
    for as long as the leg lasts, unless the logs are closed already; it is told when that is at the
    latest, in the event loop's time, where the process may be frozen then, else None. ``held``: the
    leg is held however quiet it is, whatever the policy says. ``granted``: the function has made
    sure that the caller may read the streams, whatever the token names. ``passing`` streams tell of
    what is over in seconds: who left one for longer goes on at its end, and has lost nothing.
    ``through`` gives what a response is sent through, where that is not the connection itself.
    """

    streams: tuple[str, ...]
    start: str = "start"
    types: Types = None
    during: Callable[[float | None], AbstractAsyncContextManager[object]] = nullcontext
    held: bool = False
    granted: bool = False
    passing: frozenset[str] = frozenset()
    through: Callable[[LegResponse, Send], Send] | None = None


def requested_streams(names: list[str]) -> tuple[str, ...]:
    """Return the stream names of a request, checked."""
    return check_streams(stream_name(name) for name in names)


def requested_types(request: Request) -> Types:
    """Return the event types that the query names, None if it names none."""
    if "types" not in request.query_params:
        return None
    names = [part for text in request.query_params.getlist("types") for part in text.split(",")]
    types = frozenset(name for name in names if name)
    if len(types) > MAX_TYPES:
        raise InvalidRequest(f"name at most {MAX_TYPES} types")
    return types or None


def requested_cursor(request: Request, *parameters: str) -> str | None:
    """Return the cursor text that the client carries, None if it has none.

    The header beats the query: a native client that was opened with a query sends it, stale, for
    ever, and the header beside it is fresh.
    """
    text = request.headers.get("last-event-id")
    for parameter in parameters:
        text = text or request.query_params.get(parameter)
    if text and len(text) > _LONGEST_CURSOR:
        raise InvalidCursor(f"a cursor has at most {_LONGEST_CURSOR} characters")
    return text or None


def parse_cursor(text: str | None, streams: tuple[str, ...]) -> dict[str, Cursor]:
    """Return the cursor of each stream that ``text`` has one for; raise InvalidCursor."""
    if text is None:
        return {}
    if len(streams) == 1:
        return {streams[0]: Cursor.parse(text)}
    return parse_vector(text, streams)


async def serve_leg(
    service: Service, subscription: Subscription, request: Request, receive: Receive, send: Send
) -> None:
    """Answer a request for an event stream with one leg.

    A reader that has everything of closed logs gets 204, after which native clients stay away
    (WHATWG HTML §9.2.3). A store that is away gets 200 and an ``error`` event (RULES 18). Raises
    the errors of permanent refusals, before the first byte.

    A leg is not served here, but left in the scope's ``LEG``, for the application to call when all
    that led here has returned: it may last for minutes, and would keep the frames of the routing.
    """
    scope, streams = request.scope, subscription.streams
    invocation = invocation_of(scope)
    policy = _policy(service, invocation, subscription.held)
    held = policy.hold_seconds is None  # and needs the tail; else only if something has flowed
    identity = await service.auth.identify(request)
    for stream in () if subscription.granted else streams:
        identity.must_read(stream)
    sent = requested_cursor(request, "lastEventId")
    cursors = parse_cursor(sent, streams)
    start = Start.parse(request.query_params.get("from", subscription.start))

    if scope["method"] == "HEAD":
        await _send_whole(send, 200, b"")
        return

    feeds: list[Feed] = []
    trimmed = False
    try:
        for stream in streams:
            cursor, passing = cursors.get(stream), stream in subscription.passing
            feed, lost = await _feed(service, stream, cursor, start, held, passing)
            feeds.append(feed)
            trimmed = trimmed or lost
    except BaseException as error:
        _release(service, feeds)
        if not isinstance(error, Transient):
            raise
        await _send_whole(send, 200, _trouble(streams, policy))
        return
    if len(cursors) == len(streams) and all(feed.has_ended for feed in feeds):
        _release(service, feeds)
        await _send_whole(send, 204, b"")
        return

    plan = LegPlan(
        streams=streams,
        position=position_text(feeds),
        sent=sent,
        trimmed=trimmed,
        heartbeat_seconds=service.settings.heartbeat_seconds,
        bounds=_bounds(service, identity, invocation, policy, feeds),
        policy=policy,
        chances=(random.random(), random.random()),
    )
    leg = Leg(plan, asyncio.get_running_loop().time())

    def release(response: LegResponse) -> None:
        service.connections.discard(response)
        _release(service, feeds)

    response = LegResponse(leg, Reader(leg, feeds, subscription.types, service.tally), release)
    service.connections.add(response)
    counting = _counting(service)
    for counts in counting:
        counts.begun(resumed=sent is not None)
    is_over = all(feed.tail.closed for feed in feeds)
    ends_at = leg.ends_at if invocation.may_freeze else None
    if subscription.through is not None:
        send = subscription.through(response, send)
    during = nullcontext() if is_over else subscription.during(ends_at)
    scope[LEG] = partial(_run, response, leg, during, counting, receive, send)


async def _run(
    response: LegResponse,
    leg: Leg,
    during: AbstractAsyncContextManager[object],
    counting: "list[Metrics | Reconnects]",
    receive: Receive,
    send: Send,
) -> None:
    try:
        async with during:
            await response.run(receive, send)
    finally:
        response.close()
        for counts in counting:
            counts.ended(leg.stopped)


async def serve_trouble(service: Service, scope: Scope, send: Send) -> None:
    """Answer a request for an event stream that passing trouble keeps from being understood."""
    policy = _policy(service, invocation_of(scope), held=True)
    await _send_whole(send, 200, _trouble((), policy))


async def _feed(
    service: Service,
    stream: str,
    cursor: Cursor | None,
    start: Start,
    held: bool,
    passing: bool,
) -> tuple[Feed, bool]:
    lost, extent = False, None
    if passing and cursor is not None:
        extent = await service.store.log.describe(stream)
        if extent.place(cursor).truncated:
            cursor = extent.head
    elif cursor is None and not start.now and not passing:
        # Asked of the store anew: the beginning of a log moves, and its tail does not watch that.
        extent = await service.store.log.describe(stream)
        cursor, lost = start.position(extent)
    tail = service.tails.use(stream, extent)
    if held:
        tail.follow()
    try:
        await tail.ready()
    except BaseException:
        service.tails.release(tail)
        raise
    return Feed(tail, tail.head if cursor is None else cursor), lost


def _counting(service: Service) -> "list[Metrics | Reconnects]":
    """Return what counts legs: the metrics, and where somebody is told of too many, who does."""
    found: list[Metrics | Reconnects | None] = []
    if service.settings.metrics:
        from lastevent.serve.metrics import metrics_of

        found.append(service.part(metrics_of))
    if service.settings.alert_url is not None:
        from lastevent.serve.reconnects import reconnects

        found.append(service.part(reconnects))
    return [counts for counts in found if counts is not None]


def _release(service: Service, feeds: list[Feed]) -> None:
    for feed in feeds:
        service.tails.release(feed.tail)


def _bounds(
    service: Service,
    identity: Identity,
    invocation: Invocation,
    policy: RetryPolicy,
    feeds: list[Feed],
) -> Bounds:
    settings = service.settings
    expires = None
    if identity.expires is not None:
        expires = asyncio.get_running_loop().time() + identity.expires - time()
    seconds, size = settings.max_leg_seconds, settings.max_leg_bytes
    if invocation.buffered:
        seconds, size = min(seconds, MAX_HOLD_SECONDS), min(size, MAX_BUFFERED_BYTES)
    # A leg cannot know what its client saw before; when the last event came, the store knows.
    newest = max(feed.tail.time for feed in feeds)
    return Bounds(
        max_seconds=seconds,
        max_bytes=size,
        deadline=invocation.deadline,
        idle_seconds=settings.idle_leg_seconds,
        hold_seconds=policy.hold_seconds,
        quiet_before=max(0.0, time() - newest / 1000),
        buffered=invocation.buffered,
        token_expires=expires,
    )


def _policy(service: Service, invocation: Invocation, held: bool) -> RetryPolicy:
    is_metered = invocation.held_is_billed and not held
    return _shared_policy(is_metered, service.settings.policy, service.settings.retry_ms)


@cache
def _shared_policy(is_metered: bool, name: str, retry_ms: int) -> RetryPolicy:
    return (METERED if is_metered else POLICIES)[name]._replace(ordinary=retry_ms)


def _trouble(streams: tuple[str, ...], policy: RetryPolicy) -> bytes:
    """Return a leg of nothing but ``error``: a 5xx would end a native client for good."""
    now = asyncio.get_running_loop().time()
    plan = LegPlan(streams, "", policy=policy, chances=(0.0, random.random()))
    return Leg(plan, now).stop(Reason.TROUBLE, now)


async def _send_whole(send: Send, status: int, body: bytes) -> None:
    headers = HEADERS if status == 200 else HEADERS[1:]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

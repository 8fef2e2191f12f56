"""The JSON face of what legs serve: pages of history, and long polls, at the same URL."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lastevent.core.cursor import Cursor, render_vector
from lastevent.core.errors import InvalidRequest
from lastevent.serve.invocation import invocation_of
from lastevent.serve.service import Service
from lastevent.serve.subscribe import (
    MAX_HOLD_SECONDS,
    Start,
    Subscription,
    parse_cursor,
    requested_cursor,
)
from lastevent.serve.window import Types
from lastevent.stores.base import Page

DEFAULT_EVENTS = 500
MAX_EVENTS = 1000
MAX_ANSWER_BYTES = 4 * 2**20
"""The data in one answer, but for one event that is larger by itself: platforms limit answers."""

MARGIN_SECONDS = 2.0
"""How long before the platform's deadline a long poll ends."""


async def history(service: Service, request: Request, subscription: Subscription) -> Response:
    """Answer with the events after a cursor, after waiting for the first if the request asks so."""
    streams = subscription.streams
    identity = await service.auth.identify(request)
    for stream in () if subscription.granted else streams:
        identity.must_read(stream)
    wanted = _Wanted(
        limit=int(_number(request, "limit", DEFAULT_EVENTS, 1, MAX_EVENTS)),
        types=subscription.types,
        until=_until(request, _number(request, "wait", 0.0, 0.0, MAX_HOLD_SECONDS)),
    )
    cursors = parse_cursor(requested_cursor(request, "after", "lastEventId"), streams)
    start = Start.parse(request.query_params.get("from", subscription.start))
    for stream in streams:
        cursor, passing = cursors.get(stream), stream in subscription.passing
        if passing or (cursor is None and (start.now or start.last is not None)):
            cursors[stream] = await _position(service, stream, cursor, start, passing)

    pages = await _read(service, streams, cursors, wanted.limit)
    truncated = any(page.truncated for page in pages.values())
    if not _is_over(pages):
        invocation = invocation_of(request.scope)
        async with subscription.during(wanted.until if invocation.may_freeze else None):
            while not truncated and not _has_events(pages, wanted.types) and not _is_over(pages):
                left = wanted.until - asyncio.get_running_loop().time()
                if left <= 0 or service.stopping.is_set():
                    break
                if all(page.at_end for page in pages.values()):
                    # Nothing comes in a closed stream: waiting for it would end at once.
                    still_open = {name: cursors[name] for name in streams if not pages[name].closed}
                    await _wait(service, still_open, left)
                pages = await _read(service, streams, cursors, wanted.limit)
                truncated = any(page.truncated for page in pages.values())
    pieces, rest = _answer(pages, wanted.types, truncated)
    service.tally.answer(len(pieces))
    body = b'{"events":[' + b",".join(pieces) + b"]," + rest[1:]
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Events at most, their types, and how long the first is waited for, in the loop's time."""

    limit: int
    types: Types
    until: float


def _until(request: Request, wait: float) -> float:
    until = asyncio.get_running_loop().time() + wait
    deadline = invocation_of(request.scope).deadline
    return until if deadline is None else min(until, deadline - MARGIN_SECONDS)


async def _position(
    service: Service, stream: str, cursor: Cursor | None, start: Start, passing: bool
) -> Cursor:
    extent = await service.store.log.describe(stream)
    if not passing:
        return start.position(extent)[0]
    return extent.head if cursor is None or extent.place(cursor).truncated else cursor


async def _read(
    service: Service, streams: Sequence[str], cursors: dict[str, Cursor], limit: int
) -> dict[str, Page]:
    """Return the next page of each stream, and have ``cursors`` go on after it."""
    pages = {}
    for stream in streams:
        pages[stream] = page = await service.store.log.read(stream, cursors.get(stream), limit)
        cursors[stream] = page.cursor
    return pages


def _is_over(pages: Mapping[str, Page]) -> bool:
    return all(page.closed and page.at_end for page in pages.values())


def _has_events(pages: Mapping[str, Page], types: Types) -> bool:
    return any(
        types is None or event.type in types for page in pages.values() for event in page.events
    )


async def _wait(service: Service, cursors: Mapping[str, Cursor], seconds: float) -> None:
    """Wait for movement, for ``seconds`` at most, or until the process goes."""
    tasks = [
        asyncio.create_task(service.store.wakeup.wait(cursors, seconds)),
        asyncio.create_task(service.stopping.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()


def _answer(pages: Mapping[str, Page], types: Types, truncated: bool) -> tuple[list[bytes], bytes]:
    """Return the events as JSON, and an object of what else there is to say."""
    positions = {stream: str(page.start) for stream, page in pages.items()}
    start = _position_text(positions)
    pieces: list[bytes] = []
    room, whole = MAX_ANSWER_BYTES, True
    for stream, page in pages.items():
        for event in page.events:
            before = positions[stream]
            positions[stream] = event.id
            if types is None or event.type in types:
                piece = _json(
                    {
                        "id": _position_text(positions, stream),
                        "type": event.type,
                        "data": event.data,
                        "time": event.time,
                        **({"stream": stream} if len(pages) > 1 else {}),
                    }
                )
                room -= len(piece)
                if pieces and room < 0:
                    positions[stream] = before
                    whole = False
                    break
                pieces.append(piece)
        else:
            positions[stream] = str(page.cursor)
    rest = _json(
        {
            "start": start,
            "cursor": _position_text(positions),
            "closed": whole and _is_over(pages),
            "truncated": truncated,
        }
    )
    return pieces, rest


def _position_text(positions: Mapping[str, str], moved: str | None = None) -> str:
    """Return the cursor of these positions, as an event stream names it."""
    return render_vector(positions, moved) if len(positions) > 1 else next(iter(positions.values()))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _number(request: Request, name: str, default: float, low: float, high: float) -> float:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise InvalidRequest(f"{name} is a number from {low:g} to {high:g}")
    return number

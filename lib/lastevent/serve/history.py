"""The JSON face of a log: pages of history, and long polls, at the stream's own URL."""

import asyncio
import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from lastevent.core.cursor import Cursor, render_vector
from lastevent.core.errors import InvalidRequest
from lastevent.serve.invocation import invocation_of
from lastevent.serve.service import Service
from lastevent.serve.subscribe import (
    MAX_HOLD_SECONDS,
    Start,
    parse_cursor,
    requested_cursor,
    requested_types,
)
from lastevent.serve.window import Types
from lastevent.stores.base import Page

DEFAULT_EVENTS = 500
MAX_EVENTS = 1000
MAX_ANSWER_BYTES = 4 * 2**20
"""The data in one answer, but for one event that is larger by itself: platforms limit answers."""

MARGIN_SECONDS = 2.0
"""How long before the platform's deadline a long poll ends."""


async def history(service: Service, request: Request, streams: tuple[str, ...]) -> Response:
    """Answer with the events after a cursor, after waiting for the first if the request asks so."""
    identity = await service.auth.identify(request)
    for stream in streams:
        identity.must_read(stream)
    limit = _number(request, "limit", DEFAULT_EVENTS, 1, MAX_EVENTS)
    wait = _number(request, "wait", 0.0, 0.0, MAX_HOLD_SECONDS)
    types = requested_types(request)
    cursors = parse_cursor(requested_cursor(request, "after", "lastEventId"), streams)
    start = Start.parse(request.query_params.get("from", "start"))
    for stream in streams:
        if stream not in cursors and (start.now or start.last is not None):
            cursors[stream] = start.position(await service.store.log.describe(stream))[0]

    loop = asyncio.get_running_loop()
    until = loop.time() + wait
    if (deadline := invocation_of(request.scope).deadline) is not None:
        until = min(until, deadline - MARGIN_SECONDS)
    pages: dict[str, Page] = {}
    truncated = False
    while True:
        for stream in streams:
            pages[stream] = page = await service.store.log.read(
                stream, cursors.get(stream), int(limit)
            )
            cursors[stream] = page.cursor
            truncated = truncated or page.truncated
        left = until - loop.time()
        over = all(page.closed and page.at_end for page in pages.values())
        if _has_events(pages, types) or truncated or over or left <= 0 or service.stopping.is_set():
            return _answer(pages, types, truncated)
        if all(page.at_end for page in pages.values()):
            # Nothing comes in a stream that is closed, and waiting for it would end at once.
            still_open = {name: cursors[name] for name in streams if not pages[name].closed}
            await _wait(service, still_open, left)


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


def _answer(pages: Mapping[str, Page], types: Types, truncated: bool) -> Response:
    several = len(pages) > 1
    pieces: list[bytes] = []
    positions: dict[str, str] = {}
    room, whole = MAX_ANSWER_BYTES, True
    for stream, page in pages.items():
        position = str(page.start)
        for event in page.events:
            if types is None or event.type in types:
                piece = _json(
                    {
                        "id": event.id,
                        "type": event.type,
                        "data": event.data,
                        "time": event.time,
                        **({"stream": stream} if several else {}),
                    }
                )
                room -= len(piece)
                if pieces and room < 0:
                    whole = False
                    break
                pieces.append(piece)
            position = event.id
        else:
            position = str(page.cursor)
        positions[stream] = position
    rest = _json(
        {
            "cursor": render_vector(positions) if several else next(iter(positions.values())),
            "closed": whole and all(page.closed and page.at_end for page in pages.values()),
            "truncated": truncated,
        }
    )
    body = b'{"events":[' + b",".join(pieces) + b"]," + rest[1:]
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


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

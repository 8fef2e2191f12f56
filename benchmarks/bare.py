"""The control of functions: a Starlette application that streams, and does nothing else.

GET of anything answers with one chunk, and as many marked events after it as the query asks for,
``rate`` a second: what a platform itself takes to carry them. It has no store and no subscribers.
"""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic_ns

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

DATA_BYTES = 200
"""As marks.py has it, which is not where this runs."""


async def _stream(events: int, rate: float) -> AsyncIterator[bytes]:
    yield b"retry: 1\n\n"
    for number in range(events):
        await asyncio.sleep(1 / rate)
        mark = f"~{number}:{monotonic_ns()}~".ljust(DATA_BYTES, "x")
        yield f"data: {mark}\n\n".encode()


async def subscribe(request: Request) -> StreamingResponse:
    """Answer with a stream that ends by itself."""
    query = request.query_params
    stream = _stream(int(query.get("events", 0)), float(query.get("rate", 1)))
    return StreamingResponse(stream, media_type="text/event-stream")


app = Starlette(routes=[Route("/{path:path}", subscribe)])

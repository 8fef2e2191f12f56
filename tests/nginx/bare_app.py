"""The control: an event stream that asks no proxy for anything.

It sends one event for each request to ``/next``, and ends after ``/last``.
"""

import asyncio

from starlette.types import Receive, Scope, Send

_steps: "asyncio.Queue[str]" = asyncio.Queue()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the stream at ``/stream``, and its two controls."""
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] != "/stream":
        _steps.put_nowait(scope["path"])
        await send({"type": "http.response.body"})
        return
    while await _steps.get() == "/next":
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await send({"type": "http.response.body"})

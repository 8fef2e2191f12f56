"""The control: the least that serves these streams, so that ours has something to stand beside.

A bare ASGI application under the same server. It keeps frames in a list, one task a subscriber
sends whatever is new, and a replay comes from memory in pieces of 64 KiB. The bytes are the same
as ours; it has no store, no tokens, no checks, no bounds and no cursors worth the name.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PIECE_BYTES = 64 * 1024
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-store, must-revalidate, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Stream:
    """Encoded frames, and an event that is replaced whenever there are more."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.moved = asyncio.Event()

    def append(self, type: str, data: str) -> str:
        """Keep one more event; return its id, as wide as ours."""
        identifier = f"{len(self.frames) + 1:026x}"
        self.frames.append(f"id: {identifier}\nevent: {type}\ndata: {data}\n\n".encode())
        return identifier

    def tell(self) -> None:
        """Wake all subscribers."""
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()


streams: dict[str, Stream] = {}


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """POST appends one event or a list of them, GET follows from Last-Event-ID or the start."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    stream = streams.setdefault(scope["path"], Stream())
    if scope["method"] == "POST":
        await _publish(stream, receive, send)
    else:
        headers = dict(scope["headers"])
        await _subscribe(stream, int(headers.get(b"last-event-id", b"0"), 16), receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    for answer in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
        await receive()
        await send({"type": answer})


async def _publish(stream: Stream, receive: Receive, send: Send) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    parsed = json.loads(body)
    events = parsed if isinstance(parsed, list) else [parsed]
    ids = [stream.append(event["type"], event["data"]) for event in events]
    stream.tell()
    answer = json.dumps({"ids": ids, "cursor": ids[-1], "closed": False}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 201, "headers": head})
    await send({"type": "http.response.body", "body": answer})


async def _subscribe(stream: Stream, position: int, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    following = asyncio.ensure_future(_follow(stream, position, send))
    while (await receive())["type"] != "http.disconnect":
        pass
    following.cancel()


async def _follow(stream: Stream, position: int, send: Send) -> None:
    live = False
    while True:
        moved = stream.moved
        while position < len(stream.frames):
            end = position
            size = 0
            while end < len(stream.frames) and size + len(stream.frames[end]) <= PIECE_BYTES:
                size += len(stream.frames[end])
                end += 1
            piece = b"".join(stream.frames[position:end])
            position = end
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not live:
            live = True
            frame = b'id: %026x\nevent: stream\ndata: {"state":"live"}\n\n' % position
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await moved.wait()

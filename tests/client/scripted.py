"""An HTTP server that answers each request by the next step of a script, to the byte and the cut.

A request beyond the script is answered with 204 and counted like the others, so that a test which
looks at ``requests`` sees it.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, urlsplit

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.core.wire import encode, encode_control

GENERATION = 0x19A000000000
LIMIT_SECONDS = 120.0
"""Longer than pytest lets a test last: what only ends by this has failed."""


def at(sequence: int, generation: int = GENERATION) -> str:
    """Return the cursor after event ``sequence``."""
    return str(Cursor(generation, sequence, 7 if sequence else 0))


def event(sequence: int, data: str | None = None, type: str = "note") -> bytes:
    """Return the frame of event ``sequence``."""
    return encode(Event(at(sequence), type, data or f"event {sequence}", 0))


def events(first: int, last: int) -> bytes:
    """Return the frames of a run of events."""
    return b"".join(event(sequence) for sequence in range(first, last + 1))


def control(state: str, position: str | None = None, **fields: object) -> bytes:
    """Return a control event."""
    return encode_control("stream", {"state": state, **fields}, position)


def opening(sequence: int, **fields: object) -> bytes:
    """Return what a leg begins with; its heartbeat is long unless ``fields`` name one."""
    return control("open", at(sequence), **({"heartbeat": 15.0} | fields))


def rotate(sequence: int, retry_ms: int = 5) -> bytes:
    """Return a planned end."""
    return control("rotate", at(sequence), retry_ms=retry_ms)


BEAT = encode_control("heartbeat", {"timestamp": 0})


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; header names in lower case. ``time``: when, on the loop's clock."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def cursor(self) -> str | None:
        """The ``Last-Event-ID`` sent, None if none was."""
        return self.headers.get("last-event-id")


Step = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]
"""Answers a request; returns whether the connection is good for another one."""


def leg(*frames: bytes, end: str = "whole", pause: float = 0.0, delay: float = 0.0) -> Step:
    """Return a step that streams ``frames``, one write each, ``pause`` seconds apart.

    It begins to answer after ``delay`` seconds.

    ``end``: ``whole`` completes the response, ``cut`` drops the connection without a word, ``hang``
    says nothing more until the client leaves.
    """

    async def step(request: Request, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(delay)
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for frame in frames:
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await writer.drain()
            await asyncio.sleep(pause)
        if end == "hang":
            await _until_left(writer)
            return False
        if end == "cut":
            return False
        writer.write(b"0\r\n\r\n")
        return True

    return step


def answer(
    status: int, body: bytes = b"", content_type: str = "application/json", **headers: str
) -> Step:
    """Return a step that answers at once; underscores in header names stand for hyphens."""

    async def step(request: Request, writer: asyncio.StreamWriter) -> bool:
        lines = [f"HTTP/1.1 {status} Scripted"]
        if status != 204:
            lines += [f"Content-Length: {len(body)}", f"Content-Type: {content_type}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        return True

    return step


def refuse(status: int, detail: str, type: str = "about:blank", **headers: str) -> Step:
    """Return a step that answers with a problem document."""
    problem = {"type": type, "title": "Refused", "status": status, "detail": detail}
    return answer(status, json.dumps(problem).encode(), "application/problem+json", **headers)


def published(*ids: str, closed: bool = False) -> Step:
    """Return a step that answers a publish."""
    body = {"ids": ids, "cursor": ids[-1] if ids else at(0), "closed": closed}
    return answer(201, json.dumps(body).encode())


def silent() -> Step:
    """Return a step that never answers."""

    async def step(request: Request, writer: asyncio.StreamWriter) -> bool:
        await _until_left(writer)
        return False

    return step


def dropped() -> Step:
    """Return a step that takes the request and drops the connection."""

    async def step(request: Request, writer: asyncio.StreamWriter) -> bool:
        return False

    return step


async def _until_left(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while not writer.is_closing():
            await asyncio.sleep(0.005)


class Scripted:
    """The server: ``async with Scripted(step, step, …) as server``, and ``server.url``."""

    def __init__(self, *steps: Step) -> None:
        self.requests: list[Request] = []
        self._steps = list(steps)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """The address of a stream here."""
        return f"http://127.0.0.1:{self.port}/api/streams/build:42"

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._writers)

    @property
    def cursors(self) -> list[str | None]:
        """The cursor that each request carried."""
        return [request.cursor for request in self.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until no connection is open; fails after a while."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while self._writers:
                await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                request = await _read_request(reader)
                self.requests.append(request)
                step = self._steps.pop(0) if self._steps else answer(204)
                watch = asyncio.create_task(_close_when_left(reader, writer))
                alive = await step(request, writer)
                watch.cancel()
                if not alive:
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)


async def _close_when_left(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        await asyncio.sleep(0.005)
    writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.splitlines()
    method, target, _ = first.split(" ")
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    now = asyncio.get_running_loop().time()
    return Request(method, parts.path, parse_qs(parts.query), headers, body, now)

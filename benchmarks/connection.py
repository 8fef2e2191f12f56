"""One HTTP/1.1 connection of the load generator: raw bytes out, status and body pieces in."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from httptools import HttpResponseParser

ANSWER_SECONDS = 30.0


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    """Calls ``on_piece(piece)`` with what comes of a body, and ``on_end(status)`` after it.

    ``on_end(None)`` says that the connection was lost.
    """

    def __init__(
        self, on_piece: Callable[[bytes], None], on_end: Callable[[int | None], None]
    ) -> None:
        self.on_body = on_piece  # called by the parser
        self._on_end = on_end
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def send(self, data: bytes) -> None:
        """Write a request."""
        assert self._transport is not None
        self._transport.write(data)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    @property
    def status(self) -> int:
        """The status of the answer that has begun."""
        return self._parser.get_status_code()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._on_end(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end(None)


class Caller:
    """Asks over one connection; what is asked while an answer is due waits behind it."""

    def __init__(self) -> None:
        self._connection = Connection(self._piece, self._end)
        self._due: deque[asyncio.Future[tuple[int | None, bytes]]] = deque()
        self._body = b""

    async def connect(self, port: int) -> None:
        """Open the connection."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, "127.0.0.1", port)

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the answer's body; raise RuntimeError unless it is a success."""
        waiting: asyncio.Future[tuple[int | None, bytes]]
        waiting = asyncio.get_running_loop().create_future()
        self._due.append(waiting)
        self._connection.send(request(method, path, headers, body))
        async with asyncio.timeout(ANSWER_SECONDS):
            status, answer = await waiting
        if status is None or not 200 <= status < 300:
            raise RuntimeError(f"{path} was answered {status}: {answer[:300]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _piece(self, piece: bytes) -> None:
        self._body += piece

    def _end(self, status: int | None) -> None:
        body, self._body = self._body, b""
        if status is None:  # nothing is answered any more
            ended, self._due = list(self._due), deque()
        else:
            ended = [self._due.popleft()]
        for waiting in ended:
            if not waiting.done():
                waiting.set_result((status, body))

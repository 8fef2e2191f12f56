"""One HTTP/1.1 connection of the load generator: raw bytes out, status and body pieces in."""

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from httptools import HttpResponseParser


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return a whole request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
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

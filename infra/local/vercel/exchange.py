"""One HTTP/1.1 request to an instance and its answer, passed on piece by piece as it comes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Self

import h11

from infra.local.child import HOST

CHUNK_BYTES = 65_536
CONNECT_SECONDS = 5.0
Headers = Sequence[tuple[bytes, bytes]]


class Broken(Exception):
    """The instance did not answer, or not to the end."""


class Exchange:
    """A connection for one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._protocol = h11.Connection(h11.CLIENT)

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        """Connect to the loopback port ``port``, for as long as this lasts. Raises Broken."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                exchange = cls(*await asyncio.open_connection(HOST, port))
        except OSError as error:
            raise Broken("the instance takes no connection") from error
        try:
            yield exchange
        finally:
            exchange._writer.transport.abort()

    async def send(
        self, method: bytes, target: bytes, headers: Headers, body: bytes
    ) -> h11.Response:
        """Send a request; return the answer's head. Raises Broken."""
        request = h11.Request(method=method, target=target, headers=list(headers))
        try:
            self._writer.write(self._protocol.send(request) or b"")
            if body:
                self._writer.write(self._protocol.send(h11.Data(body)) or b"")
            self._writer.write(self._protocol.send(h11.EndOfMessage()) or b"")
            await self._writer.drain()
        except OSError as error:
            raise Broken("the instance went away") from error
        event = await self._next()
        while isinstance(event, h11.InformationalResponse):
            event = await self._next()
        if not isinstance(event, h11.Response):
            raise Broken("the instance did not answer")
        return event

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the answer's body as it comes. Raises Broken."""
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise Broken("the instance ended in the middle of an answer")

    async def _next(self) -> h11.Event | type[h11.PAUSED]:
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                self._protocol.receive_data(await self._reader.read(CHUNK_BYTES))
        except (OSError, h11.RemoteProtocolError) as error:
            raise Broken("the instance broke off") from error
        return event  # type: ignore[return-value]

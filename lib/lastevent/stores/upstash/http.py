"""HTTP/1.1 to the database: h11 on asyncio's streams, and connections that are kept.

The libraries do more than is wanted here, and it shows: httpx takes 0.5 ms of each call, and the
imports of httpcore, its engine, with anyio's sockets 20 ms of each cold start.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import h11

from lastevent import __version__
from lastevent.core.errors import StoreUnavailable

MAX_CONNECTIONS = 64
IDLE_SECONDS = 60.0
"""How long a connection is kept for the next call."""

READ_BYTES = 65_536
CONNECT_DELAY = 0.25
"""When another of the host's addresses is tried beside one that does not answer (RFC 8305)."""

PORTS = {"http": 80, "https": 443}

type Headers = list[tuple[bytes, bytes]]


class HttpFailure(Exception):
    """A request, or its answer, did not arrive."""


class HttpTimeout(HttpFailure):
    """It took too long."""


class Http:
    """Makes connections to the database at ``url``; knows no event loop itself."""

    def __init__(self, url: str, token: str) -> None:
        self._target = _Target(url)
        self._headers = [
            (b"Host", self._target.name.encode()),
            (b"Authorization", f"Bearer {token}".encode()),
            (b"User-Agent", f"lastevent/{__version__}".encode()),
            (b"Accept-Encoding", b"identity"),
        ]
        self._context: ssl.SSLContext | None = None

    async def open(self) -> "Connections":
        """Return connections for the running loop; none is made yet. Raises StoreUnavailable."""
        if self._context is None and self._target.secure:
            try:  # in a thread, since it reads certificates
                self._context = await asyncio.to_thread(_default_context)
            except OSError as error:
                raise StoreUnavailable("the certificates of authorities cannot be read") from error
        return Connections(self._target, self._headers, self._context)


class _Target:
    """Where requests go."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = parts.port or PORTS[parts.scheme]
        self.name = parts.netloc


def _default_context() -> ssl.SSLContext:
    import certifi

    # Not the system's: a function's image may have none.
    return ssl.create_default_context(cafile=certifi.where())


class Connections:
    """Connections of one event loop, made and kept as they are needed."""

    def __init__(self, target: _Target, headers: Headers, context: ssl.SSLContext | None) -> None:
        self._target = target
        self._headers = headers
        self._context = context
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._all: set[_Connection] = set()
        self._idle: list[_Connection] = []

    @asynccontextmanager
    async def post(
        self,
        path: str,
        headers: Headers,
        body: bytes = b"",
        *,
        connect: float,
        answer: float | None,
    ) -> AsyncIterator["Response"]:
        """Return the response to a POST, to be entered; raises HttpFailure.

        Waits ``connect`` seconds for a connection, ``answer`` for each piece of what comes, or for
        ever. Redirects are not followed: the token would go to whatever address they name.
        """
        await _within(connect, self._room.acquire())
        try:
            connection = await self._connection(connect)
            try:
                head = [*self._headers, *headers, (b"Content-Length", b"%d" % len(body))]
                await _within(connect, connection.send(path, head, body))
                yield await connection.response(answer)
            except BaseException:
                self._end(connection)
                raise
            if connection.recycle():
                self._idle.append(connection)
            else:
                self._end(connection)
        finally:
            self._room.release()

    async def _connection(self, seconds: float) -> "_Connection":
        # The one used last first: the others may grow old and go.
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            self._end(connection)
        host, port, context = self._target.host, self._target.port, self._context
        eyes: dict[str, float] = {}
        if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            eyes["happy_eyeballs_delay"] = CONNECT_DELAY  # uvloop's has no such thing
        opening = asyncio.open_connection(host, port, ssl=context, limit=READ_BYTES, **eyes)
        reader, writer = await _within(seconds, opening)
        connection = _Connection(reader, writer)
        self._all.add(connection)
        return connection

    def _end(self, connection: "_Connection") -> None:
        self._all.discard(connection)
        connection.abort()

    async def aclose(self) -> None:
        """End the connections, those in use too."""
        for connection in list(self._all):
            self._end(connection)
        self._idle.clear()
        await asyncio.sleep(0)  # in which the loop closes the sockets

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Connection:
    """One connection: a request, then its answer, then perhaps the next request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._loop = asyncio.get_running_loop()
        self._idle_since = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether it may be used again: not kept for too long, and not ended by the server."""
        kept = self._loop.time() - self._idle_since
        return kept < IDLE_SECONDS and not (self._reader.at_eof() or self._writer.is_closing())

    async def send(self, target: str, headers: Headers, body: bytes) -> None:
        """Send a request."""
        http = self._http
        request = h11.Request(method="POST", target=target, headers=headers)
        pieces = [http.send(request), http.send(h11.Data(body)), http.send(h11.EndOfMessage())]
        self._writer.write(b"".join(piece for piece in pieces if piece))
        await self._writer.drain()

    async def response(self, seconds: float | None) -> "Response":
        """Return the answer's head; ``seconds`` are for each piece of what comes."""
        while True:
            event = await self.next(seconds)
            if isinstance(event, h11.Response):
                return Response(event.status_code, list(event.headers), self, seconds)
            if not isinstance(event, h11.InformationalResponse):
                raise HttpFailure("the connection was ended")

    async def next(self, seconds: float | None) -> object:
        """Return the next part of an answer, an event of h11's."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise HttpFailure(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await _within(seconds, self._reader.read(READ_BYTES)))

    def recycle(self) -> bool:
        """Be ready for another request; return False where that cannot be."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._idle_since = self._loop.time()
        return True

    def abort(self) -> None:
        """End it at once."""
        self._writer.transport.abort()


class Response:
    """An answer: its status, its headers with names in small letters, and its pieces."""

    def __init__(
        self, status: int, headers: Headers, connection: _Connection, seconds: float | None
    ) -> None:
        self.status = status
        self._headers = headers
        self._connection = connection
        self._seconds = seconds

    def header(self, name: str) -> str | None:
        """Return a header; ``name`` in small letters."""
        wanted = name.encode()
        for key, value in self._headers:
            if key == wanted:
                return value.decode("latin-1")
        return None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes; raises HttpFailure."""
        while True:
            event = await self._connection.next(self._seconds)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise HttpFailure("the connection was ended within an answer")


async def _within[T](seconds: float | None, action: Awaitable[T]) -> T:
    """Await ``action`` for so long; raise HttpFailure for what the network does."""
    try:
        async with asyncio.timeout(seconds):
            return await action
    except TimeoutError as error:
        raise HttpTimeout("no answer in time") from error
    except OSError as error:  # ssl.SSLError is one too
        raise HttpFailure(str(error)) from error

"""HTTP/1.1 for servers that need all of it: chunks as they come, trailers, answers broken off.

h11 keeps the protocol's state; asyncio moves the bytes. A `Listener` hands every request to a
handler as an `Exchange`, in which the request is read and answered.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import h11

from infra.local.child import HOST

CHUNK_BYTES = 65_536
MAX_HEAD_BYTES = 65_536
# So much of a request that nobody wants is read all the same.
MAX_UNREAD_BYTES = 16 * 1024 * 1024

Headers = Iterable[tuple[str, str]]
Handler = Callable[["Exchange"], Awaitable[None]]

_log = logging.getLogger(__name__)


class TooLarge(Exception):
    """A request's body is longer than its reader allows."""


class Exchange:
    """One request and its answer.

    What reads and writes raises ConnectionError when the other side has gone.
    """

    def __init__(self, connection: "_Connection", request: h11.Request) -> None:
        self.method = request.method.decode()
        self.target = request.target.decode()
        """Path and query as they were sent."""
        self.headers = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
        """Names in lower case, in their order."""
        self.trailers: dict[str, str] = {}
        """What followed the body, by names in lower case; filled when it was read to its end."""
        self._connection = connection
        self._answer_has_body = True

    @property
    def peer(self) -> str:
        """The address of the other side."""
        return self._connection.peer

    def header(self, name: str) -> str | None:
        """Return the first header of this name (in lower case)."""
        return next((value for found, value in self.headers if found == name), None)

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it comes; ConnectionError if it breaks off."""
        while True:
            event = await self._connection.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self.trailers = {
                    name.decode(): value.decode("latin-1") for name, value in event.headers
                }
                return
            else:
                raise ConnectionResetError("the request's body broke off")

    async def read(self, limit: int) -> bytes:
        """Return the whole body; TooLarge when it has more than ``limit`` bytes."""
        parts, size = [], 0
        async for part in self.body():
            size += len(part)
            if size <= limit:
                parts.append(part)
            elif size > limit + MAX_UNREAD_BYTES:
                break
        if size > limit:
            # Not before the end: who is still sending could miss the answer.
            raise TooLarge
        return b"".join(parts)

    async def answer(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        """Send a whole answer."""
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        if status != 204:
            kept.append(("content-length", str(len(body))))
        await self.begin(status, kept)
        if body:
            await self.send(body)
        await self.end()

    async def begin(self, status: int, headers: Headers) -> None:
        """Send status and headers; without a content length the body goes in chunks."""
        self._answer_has_body = self.method != "HEAD" and status not in (204, 304)
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await self._connection.write(h11.Response(status_code=status, headers=encoded))

    async def send(self, data: bytes) -> None:
        """Send a part of the body; return when the other side takes more."""
        if data and self._answer_has_body:
            await self._connection.write(h11.Data(data=data))

    async def end(self) -> None:
        """End the answer."""
        await self._connection.write(h11.EndOfMessage())

    def cut(self) -> None:
        """Break the answer off: what was sent arrives, and then the connection's end."""
        self._connection.close()

    async def gone(self) -> None:
        """Return when the other side has closed the connection."""
        await self._connection.gone()


class Listener:
    """Serves a handler on a loopback port, each connection in a task of its own."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> int:
        """Listen; return the port, a free one for 0."""
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=CHUNK_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listen no more and break all connections."""
        if self._server:
            self._server.close()
            self._server = None
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def drained(self, seconds: float) -> None:
        """Wait until all connections have ended, but no longer than this."""
        if self._connections:
            await asyncio.wait(self._connections, timeout=seconds)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            await _Connection(reader, writer).serve(self._handler)
        except asyncio.CancelledError:
            # The server of asyncio logs a task that was cancelled; that it was is known here.
            writer.transport.abort()
        finally:
            self._connections.discard(task)


class _Connection:
    """The requests that come over one connection, one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer: str = writer.get_extra_info("peername", ("",))[0]
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def serve(self, handler: Handler) -> None:
        """Answer requests until either side ends the connection."""
        try:
            while isinstance(request := await self.next_event(), h11.Request):
                await handler(Exchange(self, request))
                await self._read_rest()
                if self._http.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    return
                self._http.start_next_cycle()
        except ConnectionError:
            pass
        except Exception:
            _log.exception("a request could not be served")
        finally:
            self.close()

    async def _read_rest(self) -> None:
        """Read what the handler left of the request, its mere end most of the time."""
        size = 0
        while self._http.their_state is h11.SEND_BODY and size <= MAX_UNREAD_BYTES:
            event = await self.next_event()
            size += len(event.data) if isinstance(event, h11.Data) else 0

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        """Return what the other side sent next; ConnectionError for what is not HTTP."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionResetError(str(error)) from error
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED
                return event
            if self._http.they_are_waiting_for_100_continue:
                await self.write(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(CHUNK_BYTES))

    async def write(self, event: h11.Event) -> None:
        """Send an event; return when there is room for the next."""
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def gone(self) -> None:
        """Return when the other side has closed."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(CHUNK_BYTES):
                self._http.receive_data(data)

    def close(self) -> None:
        """End the connection after what was written."""
        self._writer.close()

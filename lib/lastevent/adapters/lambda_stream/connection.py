"""HTTP/1.1 to the Runtime API: one request at a time, on a connection that is kept.

h11 makes and reads the bytes. Whatever goes wrong on the way is an OSError; a connection on which
something went wrong is closed, and the next request opens another.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from lastevent import __version__

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0
"""How long the Runtime API, which is on the same machine, may take to answer what it was sent."""

MAX_ANSWER_BYTES = 8 * 2**20
"""More than an event may have: Lambda takes 6 MB in a request (Lambda quotas)."""

READ_BYTES = 65_536

type Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Runtime API answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to ``address``, HOST:PORT. It is opened, and opened anew, when it is needed."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(f"//{address}")
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._common = (("Host", address), ("User-Agent", f"lastevent/{__version__}"))
        self._http = h11.Connection(h11.CLIENT)
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def exchange(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        body: bytes = b"",
        *,
        patient: bool = False,
    ) -> Answer:
        """Send a request and return its answer; if ``patient``, wait for that for ever."""
        length = [("Content-Length", str(len(body)))] if method == "POST" else []
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._begin(method, path, [*headers, *length])
            async with asyncio.timeout(ANSWER_SECONDS):
                if body:
                    await self.write(h11.Data(body))
                await self.write(h11.EndOfMessage())
            async with asyncio.timeout(None if patient else ANSWER_SECONDS):
                answer = await self.read()
        except BaseException:
            self.close()
            raise
        self.recycle()
        return answer

    async def upload(self, path: str, headers: Headers) -> "Upload":
        """Begin a POST whose body is sent in chunks."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._begin("POST", path, [*headers, ("Transfer-Encoding", "chunked")])
        except BaseException:
            self.close()
            raise
        return Upload(self)

    def close(self) -> None:
        """End the connection at once; may be called again."""
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def write(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        """Send a piece of a request, and wait while the other side does not keep up."""
        if self._writer is None:
            raise ConnectionAbortedError("the connection to the Runtime API is closed")
        try:
            self._writer.write(self._http.send(event))
        except h11.LocalProtocolError as error:
            raise ConnectionAbortedError(str(error)) from error
        await self._writer.drain()

    async def read(self) -> Answer:
        """Return the answer to the request."""
        http, reader = self._http, self._reader  # a later request may have others
        status, headers, size = 0, {}, 0
        body: list[bytes] = []
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as error:
                raise ConnectionAbortedError(str(error)) from error
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(READ_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {key.decode(): value.decode("latin-1") for key, value in event.headers}
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > MAX_ANSWER_BYTES:
                    raise ConnectionAbortedError(f"an answer of over {MAX_ANSWER_BYTES} bytes")
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, headers, b"".join(body))
            elif not isinstance(event, h11.InformationalResponse):
                raise ConnectionAbortedError("the Runtime API closed the connection")

    def recycle(self) -> None:
        """Keep the connection for the next request if both sides are done with this one."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.close()

    async def _begin(self, method: str, path: str, headers: Headers) -> None:
        if self._writer is not None and (self._reader.at_eof() or self._writer.is_closing()):
            self.close()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._http = h11.Connection(h11.CLIENT)
        await self.write(h11.Request(method=method, target=path, headers=[*self._common, *headers]))


class Upload:
    """A POST of which the body is under way. Its answer is watched for from the start.

    An answer before the body's end is a refusal: the connection is closed, and sending fails.
    """

    def __init__(self, connection: Connection) -> None:
        self.ended = False
        """Whether the end of the body has been sent."""
        self.broken = False
        """Whether the other side ended it before that."""
        self.answer = asyncio.create_task(connection.read())
        """Ends with the answer, or an OSError. Whoever waits for the answer shields it."""
        self._connection = connection
        self.answer.add_done_callback(self._on_answer)

    async def send(self, data: bytes) -> None:
        """Send a chunk; raise OSError once the Runtime API has answered or gone."""
        await self._send(h11.Data(data))

    async def end(self, trailers: Headers = ()) -> None:
        """Send the end of the body, with what could not be told before it."""
        self.ended = True
        await self._send(h11.EndOfMessage(headers=list(trailers)))

    async def answered(self) -> Answer:
        """Return the answer; raise OSError when none came, or none in time."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await asyncio.shield(self.answer)
        except BaseException:
            self._connection.close()
            raise
        self._connection.recycle()
        return answer

    async def _send(self, event: h11.Data | h11.EndOfMessage) -> None:
        try:
            await self._connection.write(event)
        except OSError:
            self.broken = True
            self._connection.close()
            raise

    def _on_answer(self, answer: asyncio.Task[Answer]) -> None:
        if not answer.cancelled():
            answer.exception()  # looked at, so that asyncio does not report it as forgotten
        if not self.ended:
            self.broken = True
            self._connection.close()

"""A client of a platform: one response's first byte, and the events of as many as it takes."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic, monotonic_ns

from benchmarks.connection import Connection, request
from benchmarks.marks import published_ns, sequence_of
from infra.local.child import HOST
from lastevent.core.wire import Decoder

VISIT_SECONDS = 30.0


class Visit:
    """One GET of ``path``. ``on_piece`` is called with what comes of its body."""

    def __init__(self, on_piece: Callable[[bytes], None] = lambda _: None) -> None:
        self.first = asyncio.Event()
        self.ended = asyncio.Event()
        self.status: int | None = None
        self._on_piece = on_piece
        self._connection = Connection(self._piece, self._end)

    async def begin(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        """Send the request."""
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self._connection, HOST, port)
        self._connection.send(request("GET", path, headers))

    def close(self) -> None:
        """Close the connection, if it is open."""
        self._connection.close()

    def _piece(self, piece: bytes) -> None:
        self.status = self._connection.status
        self.first.set()
        self._on_piece(piece)

    def _end(self, status: int | None) -> None:
        self.status = self.status or status
        self.ended.set()


async def first_byte(port: int, path: str, headers: Mapping[str, str], *, whole: bool) -> float:
    """Return the seconds until a response's first byte; read all of it if ``whole``.

    Raises RuntimeError if it ends without one, and for a refusal.
    """
    visit = Visit()
    began = monotonic()
    try:
        async with asyncio.timeout(VISIT_SECONDS):
            await visit.begin(port, path, headers)
            ended = asyncio.create_task(visit.ended.wait())
            first = asyncio.create_task(visit.first.wait())
            await asyncio.wait([first, ended], return_when=asyncio.FIRST_COMPLETED)
            took = monotonic() - began
            first.cancel()
            if whole:
                await ended
            ended.cancel()
    finally:
        visit.close()
    if visit.status != 200:
        raise RuntimeError(f"{path} was answered {visit.status}")
    if not visit.first.is_set():
        raise RuntimeError(f"{path} was answered with nothing")
    return took


class Follower:
    """Follows ``path``, coming back as it is told to; keeps each mark's number and its delay.

    ``headers`` go with each request. ``live`` is set once it has caught up.
    """

    def __init__(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        self.numbers: list[int] = []
        self.delays: list[float] = []
        """Milliseconds."""
        self.live = asyncio.Event()
        self._port = port
        self._path = path
        self._headers = dict(headers)
        self._decoder = Decoder()
        self._more = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled; raise RuntimeError for an answer that is none."""
        while True:
            self._decoder = Decoder(last_event_id=self._decoder.last_event_id)
            headers = dict(self._headers)
            if self._decoder.last_event_id:
                headers["Last-Event-ID"] = self._decoder.last_event_id
            visit = Visit(self._take)
            try:
                await visit.begin(self._port, self._path, headers)
                await visit.ended.wait()
            finally:
                visit.close()
            if visit.status != 200:
                raise RuntimeError(f"{self._path} was answered {visit.status}")
            await asyncio.sleep((self._decoder.retry or 0) / 1e3)

    async def until(self, count: int) -> None:
        """Wait until that many marks have come."""
        while len(self.numbers) < count:
            self._more.clear()
            await self._more.wait()

    def _take(self, piece: bytes) -> None:
        now = monotonic_ns()
        for message in self._decoder.feed(piece):
            if message.type == "stream" and '"state":"live"' in message.data:
                self.live.set()
            # A source may have put the mark into words of its own.
            parts = message.data.split("~", 2)
            if len(parts) == 3:
                mark = parts[1].encode()
                self.numbers.append(sequence_of(mark))
                self.delays.append((now - published_ns(mark)) / 1e6)
                self._more.set()

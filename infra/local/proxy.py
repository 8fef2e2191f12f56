"""A TCP proxy on loopback, through which a server can be made to fail in the ways that real ones
do: away, silent, slow, or with an answer lost after the request went through."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from random import Random

from infra.local.child import HOST, Startable, free_port

CHUNK_BYTES = 65_536
STOP_SECONDS = 5.0
MAX_HELD_CHUNKS = 10_000
# How soon a delay that was changed holds for what is already on its way, in seconds.
TICK_SECONDS = 0.01


class Proxy(Startable):
    """Passes connections on to the loopback port ``target``, from a thread of its own.

    Its methods may be called from any thread, and return when what they say is so.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        """Seconds that what the target sends is on its way; a change holds at once."""
        self._target = target
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._is_cut = True
        self._silent = False
        self._lost: tuple[bytes, int] = (b"", 0)
        self._unsure = 0.0
        self._chance = Random()

    def start(self) -> None:
        """Listen."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """Break all connections and listen no more."""
        if self._loop and self._thread:
            self._run(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_SECONDS)
            self._loop.close()
            self._loop = None

    def cut(self) -> None:
        """Break all connections and refuse new ones, as when the server is away."""
        self._run(self._end())

    def silence(self) -> None:
        """Accept connections but pass nothing on, as when the peer died without a word.

        Those that stand now stay so until they are closed.
        """

        async def silence() -> None:
            self._silent = True
            for connection in self._connections:
                connection.silent = True

        self._run(silence())

    def restore(self) -> None:
        """Pass new connections on again, and lose no more answers."""

        async def restore() -> None:
            self._silent = False
            self._lost = (b"", 0)
            self._unsure = 0.0
            if self._server is None:
                await self._listen()

        self._run(restore())

    def lose_answers(self, times: int = 1, to: bytes = b"") -> None:
        """Break the connection in place of the next answers.

        Only answers to requests with the bytes ``to`` in them count: for DynamoDB the name of an
        operation, which stands in a header.
        """

        async def lose() -> None:
            self._lost = (to, times)

        self._run(lose())

    def be_unsure(self, probability: float, seed: int) -> None:
        """Break the connection in place of some answers, drawn under ``seed``, until restored."""

        async def be() -> None:
            self._unsure, self._chance = probability, Random(seed)

        self._run(be())

    def loses(self, asked: bytes) -> bool:
        """Return whether the answer to these bytes is to be lost, and count it."""
        if asked and self._unsure and self._chance.random() < self._unsure:
            return True
        marker, times = self._lost
        if times <= 0 or marker not in asked:
            return False
        self._lost = (marker, times - 1)
        return True

    async def _listen(self) -> None:
        self._is_cut = False
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:  # it came in before, and gets here some turns of the loop later
            writer.transport.abort()
            return
        connection = _Connection(self, reader, writer, silent=self._silent)
        self._connections.add(connection)
        try:
            await connection.serve(self._target)
        finally:
            self._connections.discard(connection)

    async def _end(self) -> None:
        self._is_cut = True
        if self._server:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.abort()
        for _ in range(int(STOP_SECONDS / TICK_SECONDS)):
            if not self._connections:
                break
            await asyncio.sleep(TICK_SECONDS)

    def _run(self, what: Coroutine[object, object, None]) -> None:
        assert self._loop, "the proxy has not been started"
        asyncio.run_coroutine_threadsafe(what, self._loop).result(STOP_SECONDS)


class _Connection:
    """A client's connection and the one to the target that belongs to it."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        silent: bool,
    ) -> None:
        self.silent = silent
        self._proxy = proxy
        self._client = (reader, writer)
        self._writers = [writer]
        self._asked = b""

    def abort(self) -> None:
        """Break both connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, target: int) -> None:
        """Pass bytes on until either side ends."""
        try:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, target)
                self._writers.append(writer)
                await self._pass(reader, writer)
        finally:
            self.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(MAX_HELD_CHUNKS)
        ways = [
            asyncio.create_task(self._to_target(writer)),
            asyncio.create_task(self._from_target(reader, held)),
            asyncio.create_task(self._to_client(held)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _to_target(self, writer: asyncio.StreamWriter) -> None:
        while data := await self._client[0].read(CHUNK_BYTES):
            self._asked = (self._asked + data)[-2 * CHUNK_BYTES :]
            if not self.silent:
                writer.write(data)
                await writer.drain()

    async def _from_target(
        self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        now = asyncio.get_running_loop().time
        while data := await reader.read(CHUNK_BYTES):
            if self._proxy.loses(self._asked):
                return
            self._asked = b""
            await held.put((now(), data))
        await held.put((now(), b""))
        await asyncio.Event().wait()

    async def _to_client(self, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        now = asyncio.get_running_loop().time
        while True:
            came, data = await held.get()
            while (left := came + self._proxy.delay - now()) > 0:  # noqa: ASYNC110  it may change
                await asyncio.sleep(min(left, TICK_SECONDS))
            if not data:
                return
            if not self.silent:
                self._client[1].write(data)
                await self._client[1].drain()

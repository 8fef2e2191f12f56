"""A TCP proxy that records what a browser asks for, and makes the network fail as told.

A browser's own offline switches do not touch a stream that is open; a proxy does.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

_HEAD = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.DOTALL)
_CHUNK = 65536
CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a browser asked for; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def cursor(self) -> str | None:
        """The ``Last-Event-ID``."""
        return self.headers.get("last-event-id")


@dataclass
class Proxy:
    """Stands before a server's port; ``received`` holds the bytes that went to the browser."""

    server_port: int
    requests: list[Request] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    _listener: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _cut_in_frame: bool = False

    async def __aenter__(self) -> Self:
        self._flowing.set()
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._listener is not None
        self._listener.close()
        self.flow()
        self.cut()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=CLOSE_SECONDS)

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def legs(self, part: str = "/stream") -> list[Request]:
        """Return the requests for event streams whose path has ``part`` in it."""
        wanted = "text/event-stream"
        return [r for r in self.requests if part in r.path and wanted in r.headers["accept"]]

    def cut(self) -> None:
        """Reset all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_in_frame(self) -> None:
        """Reset the connection of the next event, after its first few bytes."""
        self._cut_in_frame = True

    def stall(self) -> None:
        """Let nothing pass any more, and close nothing."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything pass again."""
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            other, server = await asyncio.open_connection("127.0.0.1", self.server_port)
        except OSError:
            writer.transport.abort()
            self._forget(task, writer)
            return
        self._writers.add(server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._upwards(reader, server))
                both.create_task(self._downwards(other, writer))
        except* OSError:
            pass
        finally:
            server.transport.abort()
            writer.transport.abort()
            self._forget(task, writer, server)

    def _forget(self, task: asyncio.Task[None], *writers: asyncio.StreamWriter) -> None:
        self._tasks.discard(task)
        self._writers.difference_update(writers)

    async def _upwards(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        unread = bytearray()
        while data := await reader.read(_CHUNK):
            unread += data
            self.requests += _requests(unread)
            server.write(data)
            await server.drain()
        raise ConnectionResetError

    async def _downwards(self, other: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await other.read(_CHUNK):
            await self._flowing.wait()
            place = data.find(b"\ndata: ")
            if self._cut_in_frame and place >= 0:
                self._cut_in_frame = False
                # With its id, and without its end: whoever took it for whole would skip an event.
                data = data[: place + 9]
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(0.05)
                raise ConnectionResetError
            self.received += data
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


def _requests(unread: bytearray) -> Iterator[Request]:
    """Take whole requests from ``unread``; bodies are passed over."""
    while found := _HEAD.match(unread):
        lines = found[3].decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        end = found.end() + int(headers.get("content-length", 0))
        if len(unread) < end:
            return
        yield Request(found[1].decode(), found[2].decode(), {"accept": "", **headers})
        del unread[:end]

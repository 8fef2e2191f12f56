"""A Runtime API that a test plays: it gives the work, and keeps every byte of what is answered."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

WAIT_SECONDS = 10.0
PREFIX = "/2018-06-01/runtime"
DELIMITER = bytes(8)


@dataclass
class Post:
    """A POST, as far as it has come; its body chunk by chunk, as it was sent."""

    path: str
    head: bytes
    headers: list[tuple[str, str]]
    body: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether the connection ended before the body did."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _chunks: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def header(self, name: str) -> str | None:
        """Return the header's value; None if it was not sent."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2
        return found[0] if found else None

    def add(self, chunk: bytes) -> None:
        self.body += chunk
        self._chunks.put_nowait(chunk)

    async def chunk(self) -> bytes:
        """Return the next chunk."""
        return await asyncio.wait_for(self._chunks.get(), WAIT_SECONDS)

    async def whole(self) -> Self:
        """Wait for the body's end."""
        await asyncio.wait_for(self.ended.wait(), WAIT_SECONDS)
        return self

    @property
    def prelude(self) -> dict[str, Any]:
        """What a streamed response says before its payload."""
        prelude, _, _ = bytes(self.body).partition(DELIMITER)
        said: dict[str, Any] = json.loads(prelude)
        return said

    @property
    def payload(self) -> bytes:
        """What a streamed response says after its prelude."""
        return bytes(self.body).partition(DELIMITER)[2]

    @property
    def error(self) -> dict[str, Any]:
        """What was said in place of a response."""
        said: dict[str, Any] = json.loads(self.body)
        return said


@dataclass
class Peer:
    """One connection to the API."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: tuple[str, ...] = ()
    """More of them, for whatever is answered."""

    def answer(self, status: int, headers: tuple[str, ...] = (), body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} Played", f"Content-Length: {len(body)}"]
        lines += [*headers, *self.headers, "", ""]
        self.writer.write("\r\n".join(lines).encode() + body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read a chunked body up to its trailers; each chunk as it was sent."""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"


Taker = Callable[[Post, Peer], Awaitable[None]]
"""Takes a POST's body and answers it; the connection ends if its writer is closed then."""


async def take_body(post: Post, peer: Peer) -> None:
    """Read the whole body."""
    if post.header("Transfer-Encoding") == "chunked":
        async for chunk in peer.chunks():
            post.add(chunk)
        post.trailers = dict(_fields(await _lines(peer.reader)))
    else:
        size = int(post.header("Content-Length") or 0)
        post.add(await peer.reader.readexactly(size))


async def take(post: Post, peer: Peer, status: int = 202) -> None:
    """Read the whole body, then answer."""
    await take_body(post, peer)
    peer.answer(status)


def takes(status: int) -> Taker:
    """Return what reads the whole body and answers with ``status``."""
    return lambda post, peer: take(post, peer, status)


def takes_part(chunks: int, status: int | None) -> Taker:
    """Return what reads some chunks, then answers with ``status``; None ends the connection."""

    async def part(post: Post, peer: Peer) -> None:
        left = chunks
        async for chunk in peer.chunks():
            post.add(chunk)
            if not (left := left - 1):
                break
        if status is None:
            raise ConnectionResetError("as the test wants it")
        peer.answer(status)
        await discard(peer)

    return part


async def discard(peer: Peer) -> None:
    """Read on, and look at nothing, until the other side has ended the connection."""
    await peer.writer.drain()
    async with asyncio.timeout(WAIT_SECONDS):
        while await peer.reader.read(65_536):
            pass
    raise ConnectionResetError("it left")


class PlayedApi:
    """The API on a loopback port. Use as a context manager."""

    def __init__(self) -> None:
        self.address = ""
        self.requests: list[str] = []
        """Method and path of each request, in order."""
        self.connections = 0
        self.waiting = 0
        """How many requests for work wait."""
        self.next_status = 200
        self.closes_after: int | None = None
        """End a connection after so many answers."""
        self.says_so = True
        """Whether the last answer on a connection says that it is the last."""
        self._calls: asyncio.Queue[tuple[bytes, tuple[str, ...], Taker]] = asyncio.Queue()
        self._posts: asyncio.Queue[Post] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.StreamWriter] = set()
        self._sent = 0

    def give(
        self, event: object, *, id: str | None = None, taker: Taker = take, **headers: str
    ) -> str:
        """Have the next one that asks for work get ``event``; return the request's id.

        ``headers``: more of them, without ``Lambda-Runtime-``; ``taker`` deals with the answer.
        """
        self._sent += 1
        id = id or f"request-{self._sent}"
        lines = [f"Lambda-Runtime-Aws-Request-Id: {id}"]
        for name, value in headers.items():
            lines.append(f"Lambda-Runtime-{name.replace('_', '-')}: {value}")
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        self._calls.put_nowait((body, tuple(lines), taker))
        return id

    async def posted(self) -> Post:
        """Return the next POST, which may not be whole yet."""
        return await asyncio.wait_for(self._posts.get(), WAIT_SECONDS)

    async def answered(self) -> Post:
        """Return the next POST, once it is whole."""
        return await (await self.posted()).whole()

    async def asked(self, count: int = 1) -> None:
        """Wait until exactly so many requests for work wait."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self.waiting != count:
                await asyncio.sleep(0.005)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Be gone."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._peers):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._peers.add(writer)
        taken: Taker = take
        answers = 0
        try:
            while answers != self.closes_after:
                head = await reader.readuntil(b"\r\n\r\n")
                request, *lines = head.decode().split("\r\n")[:-2]
                method, path, _ = request.split()
                self.requests.append(f"{method} {path}")
                last = self.says_so and answers + 1 == self.closes_after
                peer = Peer(reader, writer, ("Connection: close",) if last else ())
                if method == "GET":
                    taken = await self._give(peer)
                else:
                    post = Post(path, head, _fields(lines))
                    self._posts.put_nowait(post)
                    try:
                        await taken(post, peer)
                    except (asyncio.IncompleteReadError, OSError):
                        post.cut = True
                        raise
                    finally:
                        post.ended.set()
                await writer.drain()
                answers += 1
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._peers.discard(writer)
            writer.transport.abort()

    async def _give(self, peer: Peer) -> Taker:
        if self.next_status != 200:
            peer.answer(self.next_status)
            return take
        self.waiting += 1
        left = asyncio.ensure_future(peer.reader.read(1))
        work = asyncio.ensure_future(self._calls.get())
        try:
            waits: set[asyncio.Future[Any]] = {left, work}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ConnectionResetError("the runtime left")
            body, headers, taker = work.result()
            peer.answer(200, headers, body)
            return taker
        finally:
            self.waiting -= 1
            for future in (left, work):
                future.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await future


async def _lines(reader: asyncio.StreamReader) -> list[str]:
    lines = []
    while line := (await reader.readuntil(b"\r\n"))[:-2]:
        lines.append(line.decode())
    return lines


def _fields(lines: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]

"""A server whose streams are wrong in known ways, written in chunks that are cut anywhere."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

OPENING = b'id: 0\nevent: stream\ndata: {"state":"live"}\n\n'


def _chunks(raw: bytes, random: Random) -> bytes:
    """Return ``raw`` in HTTP chunks of a few bytes."""
    out = b""
    begin = 0
    while begin < len(raw):
        part = raw[begin : begin + random.randint(1, 40)]
        out += b"%x\r\n%b\r\n" % (len(part), part)
        begin += len(part)
    return out


@asynccontextmanager
async def serving_wrongly(streams: Sequence[Sequence[int]]) -> AsyncIterator[int]:
    """Give the n-th connection the events of ``streams[n]``; yields the port."""
    random = Random(7)
    left = iter(streams)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        raw = OPENING + b"".join(b"data: ~%d:1~xxx\n\n" % number for number in next(left))
        out = head + b"Transfer-Encoding: chunked\r\n\r\n" + _chunks(raw, random)
        while out:
            size = random.randint(1, 60)
            writer.write(out[:size])
            out = out[size:]
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()  # until the client leaves
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def answering(ids: Sequence[str]) -> AsyncIterator[int]:
    """Take one publish after the other and give them ``ids``; yields the port."""
    left = iter(ids)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for identifier in left:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
            body = b'{"ids":["%b"]}' % identifier.encode()
            writer.write(
                b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def resuming(events: int, slip: int) -> AsyncIterator[int]:
    """Go on ``slip`` events beside the place after Last-Event-ID; yields the port.

    Events come one by one. Who has no id begins at the start.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, found, after = asked.partition(b"last-event-id: ")
            place = max(int(after.split()[0]) + slip, 0) if found else 0
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for number in range(place, events):
                writer.write(b"id: %d\ndata: ~%d:1~xxx\n\n" % (number + 1, number))
                await writer.drain()
                await asyncio.sleep(0.005)
            await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client was cut
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]

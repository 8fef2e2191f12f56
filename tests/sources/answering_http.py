"""An HTTP server on loopback that answers what a test says, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

WAIT_SECONDS = 10.0


@dataclass
class Answering:
    """``answers`` are sent as they are, one a request; then the connection is closed.

    ``hold``: it is kept open until the client leaves.
    """

    url: str
    answers: list[bytes]
    hold: bool = False
    asked: list[bytes] = field(default_factory=list)


def answer(body: bytes | str, status: int = 200, **headers: str) -> bytes:
    """Return a whole HTTP/1.1 answer."""
    content = body.encode() if isinstance(body, str) else body
    fields = {"content-length": str(len(content)), "connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


@asynccontextmanager
async def answering(answers: Sequence[bytes]) -> AsyncIterator[Answering]:
    """Serve ``answers``; an empty one closes the connection without a word."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                asked = await reader.readuntil(b"\r\n\r\n")
                server.asked.append(asked)
                writer.write(server.answers.pop(0))
                await writer.drain()
                if server.hold:
                    await reader.read()
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server = Answering(f"http://{host}:{port}", list(answers))
    async with listening:
        yield server

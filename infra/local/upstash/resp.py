"""The Redis protocol, version 2: just enough of a client, with replies told apart by their kind.

Written here because the REST API needs what clients throw away: a status (+OK) is not encoded, a
string ($2 OK) is.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

Command = Sequence[bytes]


class Status(bytes):
    """A simple string."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error reply: its text, which begins with a code like ERR or NOSCRIPT."""

    text: str


type Reply = Status | bytes | int | Failure | list[Reply] | None


class Connection:
    """One connection; its calls do not overlap. OSError and EOFError when it breaks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection(host, port, limit=2**20))

    async def call(self, *command: bytes) -> Reply:
        """Send a command and return its reply."""
        return (await self.call_all([command]))[0]

    async def call_all(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands at once and return their replies, in their order."""
        self._writer.write(b"".join(map(encode, commands)))
        await self._writer.drain()
        return [await self.receive() for _ in commands]

    async def send(self, *command: bytes) -> None:
        """Send a command; its replies are to be received."""
        self._writer.write(encode(command))
        await self._writer.drain()

    async def receive(self) -> Reply:
        """Return the next reply."""
        line = await self._reader.readuntil(b"\r\n")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return Status(rest)
            case b"-":
                return Failure(rest.decode(errors="replace"))
            case b":":
                return int(rest)
            case b"$":
                if (length := int(rest)) < 0:
                    return None
                return (await self._reader.readexactly(length + 2))[:-2]
            case b"*":
                if (count := int(rest)) < 0:
                    return None
                return [await self.receive() for _ in range(count)]
        raise ConnectionError(f"no reply begins with {kind!r}")

    def close(self) -> None:
        """Close the connection, whatever is still to come."""
        self._writer.transport.abort()


def encode(command: Command) -> bytes:
    """Return a command as it is sent."""
    parts = [b"*%d\r\n" % len(command)]
    for argument in command:
        parts += b"$%d\r\n" % len(argument), argument, b"\r\n"
    return b"".join(parts)


def encode_reply(reply: Reply) -> bytes:
    """Return a reply as a server sends it (the REST API's `resp2` format)."""
    match reply:
        case Status():
            return b"+%s\r\n" % reply
        case bytes():
            return b"$%d\r\n%s\r\n" % (len(reply), reply)
        case int():
            return b":%d\r\n" % reply
        case None:
            return b"$-1\r\n"
        case Failure(text):
            return b"-%s\r\n" % text.encode()
    return b"*%d\r\n" % len(reply) + b"".join(map(encode_reply, reply))

"""SUBSCRIBE and PSUBSCRIBE as server-sent events (REST API, "Subscribe & Publish Commands")."""

import asyncio
from collections.abc import AsyncIterator
from typing import Literal

from starlette.types import Receive

from infra.local.connection import disconnected
from infra.local.upstash.database import Database
from infra.local.upstash.refusal import Refused
from infra.local.upstash.resp import Connection, Reply

type Channels = Literal["many", "first", "refused"]
"""What becomes of several channels in one path: all are subscribed, only the first is, or the
request is refused. The documentation shows only one; Upstash's client uses one each."""


class Subscriptions:
    """The open subscriptions."""

    def __init__(self, database: Database, channels: Channels) -> None:
        self.muted = False
        self._database = database
        self._channels = channels
        self._cut = asyncio.Event()

    def cut(self) -> None:
        """Break all connections that are subscribed now."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def open(self, name: str, channels: list[bytes]) -> "Subscription":
        """Subscribe; the confirmations come first. Raises Refused."""
        if not channels or not all(channels):
            raise Refused(f"ERR wrong number of arguments for '{name.lower()}' command")
        if len(channels) > 1 and self._channels == "refused":
            raise Refused(f"ERR '{name.lower()}' takes one channel")
        if self._channels == "first":
            channels = channels[:1]
        connection = await self._database.primary.connect()
        await connection.send(name.encode(), *channels)
        self._database.count_subscription(name, len(channels))
        return Subscription(self, connection, self._cut)


class Subscription:
    """One response's subscription."""

    def __init__(self, owner: Subscriptions, connection: Connection, cut: asyncio.Event) -> None:
        self._owner = owner
        self._connection = connection
        self._cut = cut
        self.was_cut = False

    async def frames(self, receive: Receive) -> AsyncIterator[bytes]:
        """Yield what is sent, until the client goes, the store ends, or the connection is cut."""
        ends = [
            asyncio.create_task(self._cut.wait()),
            asyncio.create_task(disconnected(receive)),
        ]
        try:
            while True:
                message = asyncio.create_task(self._connection.receive())
                await asyncio.wait([message, *ends], return_when=asyncio.FIRST_COMPLETED)
                if not message.done():
                    message.cancel()
                    self.was_cut = ends[0].done()
                    return
                if message.exception():
                    return
                frame = _frame(message.result())
                if not (self._owner.muted and b"message," in frame[:15]):
                    yield frame
        finally:
            for end in ends:
                end.cancel()
            self.close()

    def close(self) -> None:
        """Unsubscribe."""
        self._connection.close()


def _frame(reply: Reply) -> bytes:
    """Return a message: its parts with commas between them. A line break in it is not documented;
    here it is sent as server-sent events say."""
    assert isinstance(reply, list)
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in reply]
    return b"data: " + b",".join(parts).replace(b"\n", b"\ndata: ") + b"\n\n"

"""Messages of a Redis or Valkey by SUBSCRIBE, on one connection for all streams of a process.

A blocking XREAD could wait for events too. But it tells of appends only, not of closings and
deletions, it comes again every few seconds, and it names all streams anew whenever one of them
moves. A subscription costs one command for the streams that come, and none while nothing happens.
"""

import asyncio
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import batched
from typing import TYPE_CHECKING

from lastevent.stores.channel import Listener, channel_name, parse_message
from lastevent.stores.upstash.connection import Connect, translated

if TYPE_CHECKING:
    from redis.asyncio.connection import Connection

MAX_CHANNELS = 500
"""Channels in one command: the server does nothing else meanwhile."""

CONFIRM_SECONDS = 5.0
"""Until a command is confirmed, connecting included."""


class TcpPush:
    """channel.Push. ``prefix`` is that of the channels."""

    def __init__(self, connect: Connect, prefix: str = "") -> None:
        self._connect = connect
        self._prefix = prefix

    def subscription(self, listener: Listener) -> "TcpSubscription":
        return TcpSubscription(self._connect, self._prefix, listener)


class TcpSubscription:
    """channel.Subscription. One channel is its own: its pings arrive there."""

    def __init__(self, connect: Connect, prefix: str, listener: Listener) -> None:
        self.proven = True
        self._connect = connect
        self._prefix = prefix
        self._listener = listener
        self._own = f"{prefix}lastevent:ping:{secrets.token_hex(8)}"
        self._wanted: dict[str, str] = {}  # streams by channel
        self._confirmed: set[str] = set()  # channels
        self._awaited: set[str] = set()
        self._standing: set[str] = set()  # channels of which the listener knows
        self._changed = asyncio.Event()
        self._complete = asyncio.Event()

    def watch(self, streams: Iterable[str]) -> None:
        self._wanted.update((channel_name(name, self._prefix), name) for name in streams)
        self._changed.set()

    def unwatch(self, streams: Iterable[str]) -> None:
        for name in streams:
            channel = channel_name(name, self._prefix)
            self._wanted.pop(channel, None)
            self._standing.discard(channel)
        self._changed.set()

    def probe(self) -> Collection[str]:
        self.proven = False
        return [self._own]

    async def run(self) -> None:
        connection = self._connect(None)
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(connection), name="lastevent subscription")
                await self._subscribe(connection, [self._own])
                while True:
                    self._changed.clear()
                    await self._keep_up(connection)
                    await self._changed.wait()
        except* Exception as failures:
            failure = translated(failures.exceptions[0])
        finally:
            with suppress(Exception):
                await connection.disconnect(nowait=True)
        raise failure

    async def _keep_up(self, connection: "Connection") -> None:
        """Subscribe to what is missing, and no longer to what nobody wants."""
        gone = self._confirmed - self._wanted.keys() - {self._own}
        for channels in batched(gone, MAX_CHANNELS):
            self._confirmed.difference_update(channels)
            async with asyncio.timeout(CONFIRM_SECONDS):
                await connection.send_command("UNSUBSCRIBE", *channels)
        missing = [channel for channel in self._wanted if channel not in self._confirmed]
        for channels in batched(missing, MAX_CHANNELS):
            await self._subscribe(connection, channels)
        new = [channel for channel in self._wanted if channel not in self._standing]
        new = [channel for channel in new if channel in self._confirmed]
        if new:
            self._standing.update(new)
            self._listener.standing([self._wanted[channel] for channel in new])

    async def _subscribe(self, connection: "Connection", channels: Collection[str]) -> None:
        self._awaited = set(channels)
        self._complete.clear()
        async with asyncio.timeout(CONFIRM_SECONDS):
            await connection.send_command("SUBSCRIBE", *channels)
            await self._complete.wait()
        self._confirmed.update(channels)

    async def _listen(self, connection: "Connection") -> None:
        while True:
            kind, channel, text = await connection.read_response()
            if kind == "subscribe":
                self._awaited.discard(channel)
                if not self._awaited:
                    self._complete.set()
            elif kind == "message":
                self.proven = True
                stream, end = self._wanted.get(channel), parse_message(text)
                if stream is not None and end is not None:
                    self._listener.moved(stream, end)

"""Messages of Upstash Redis over its REST API: SUBSCRIBE as server-sent events.

``POST /subscribe/a/b`` answers ``data: subscribe,a,1`` for each channel as its subscription comes
to stand, then ``data: message,a,text`` (upstash.com/docs/redis/features/restapi). The documentation
shows one channel in a path, and Upstash's own client opens a connection for each. Whether the
service takes several is found out: where not all are confirmed, there is one channel a connection
from then on, and the streams for which no connection is left are looked at (``hints``).

With several, a process has one connection as a rule. Streams that come later get an additional one
at once; when there are too many, the small ones become one. The new one stands before the old are
closed, so that nothing falls between. Each also follows a channel of this subscription alone, on
which its pings arrive.

Reading has no time limit, since nothing may happen for hours: ``hints`` sees to the pings.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from urllib.parse import quote

from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.stores.channel import Listener, channel_name, parse_message
from lastevent.stores.upstash.http import Connections, HttpFailure, Response

CONFIRM_SECONDS = 2.0
"""Until all channels are confirmed, from the response's first byte."""

RESPONSE_SECONDS = 5.0
"""Until that byte."""

DEBOUNCE_SECONDS = 0.015
"""Streams that come within this time share a connection."""

MAX_CONNECTIONS = 32
MAX_SMALL = 4
"""Connections that are less than half full; more of them become one."""

MAX_PATH = 6000
"""Bytes of a path: servers and proxies refuse a request line of more than 8 KiB."""

MAX_LINE = 64 * 1024

_NOT_SEVERAL = frozenset({400, 404, 405, 414})
"""What a service may answer that takes no path of several channels."""


class RestPush:
    """channel.Push. ``open`` makes a client of the database, such as rest.Rest.open does.

    ``usage`` counts the subscriptions, a command for each channel.
    """

    def __init__(
        self,
        open: Callable[[], Awaitable[Connections]],
        prefix: str = "",
        usage: Counter[str] | None = None,
    ) -> None:
        self.open = open
        self.prefix = prefix
        self.usage = Counter() if usage is None else usage
        self.several = True
        """Whether a path may name several channels, as far as is known."""

    def subscription(self, listener: Listener) -> "RestSubscription":
        return RestSubscription(self, listener)


class RestSubscription:
    """channel.Subscription, over as many connections as it takes."""

    def __init__(self, push: RestPush, listener: Listener) -> None:
        self._push = push
        self._listener = listener
        self._wanted: dict[str, None] = {}
        self._standing: set[str] = set()
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._own = f"{push.prefix}lastevent:ping:{secrets.token_hex(8)}"

    def watch(self, streams: Iterable[str]) -> None:
        self._wanted.update(dict.fromkeys(streams))
        self._changed.set()

    def unwatch(self, streams: Iterable[str]) -> None:
        for stream in streams:
            self._wanted.pop(stream, None)
            self._standing.discard(stream)
        self._changed.set()

    def probe(self) -> Collection[str]:
        channels: set[str] = set()
        for connection in self._connections:
            if not connection.stands.is_set():
                continue  # the confirmations are its proof
            connection.proven = False
            own = self._own in connection.channels
            channels.update([self._own] if own else connection.channels)
        return channels

    @property
    def proven(self) -> bool:
        return all(connection.proven for connection in self._connections)

    async def run(self) -> None:
        try:
            async with await self._push.open() as client, asyncio.TaskGroup() as group:
                while True:
                    await self._changed.wait()
                    await asyncio.sleep(DEBOUNCE_SECONDS)
                    self._changed.clear()
                    await self._keep_up(client, group)
        except* Transient as failures:
            failure = failures.exceptions[0]
        raise failure

    async def _keep_up(self, client: Connections, group: asyncio.TaskGroup) -> None:
        """Close what nobody wants, open what is missing."""
        self._close(
            connection
            for connection in self._connections
            if connection.streams.keys().isdisjoint(self._wanted)
        )
        covered = {name for connection in self._connections for name in connection.streams}
        missing = [name for name in self._wanted if name not in covered]
        chunks = self._chunks(missing)
        small = [connection for connection in self._connections if connection.is_small]
        if not missing or not self._push.several or len(small) + len(chunks) <= MAX_SMALL:
            small = []
        else:
            kept = [name for old in small for name in old.streams if name in self._wanted]
            chunks = self._chunks([*kept, *missing])
        room = MAX_CONNECTIONS - len(self._connections) + len(small)
        opened = [self._connection(streams) for streams in chunks[:room]]
        for connection in opened:
            self._connections[connection] = group.create_task(connection.run(client))
        if small:
            await asyncio.gather(*(connection.stands.wait() for connection in opened))
            self._close(small)
        self.stood()  # also what came back before its connection was closed

    def _close(self, connections: Iterable["_Connection"]) -> None:
        for connection in list(connections):
            self._connections.pop(connection).cancel()

    def _chunks(self, names: Iterable[str]) -> list[dict[str, str]]:
        """Divide streams over paths: the channel of each stream in each path."""
        chunks: list[dict[str, str]] = []
        room = 0
        for name in names:
            channel = channel_name(name, self._push.prefix)
            size = len(_in_path(channel))
            if size > room or not self._push.several:
                chunks.append({})
                room = MAX_PATH - len(_in_path(self._own))
            chunks[-1][name] = channel
            room -= size
        return chunks

    def _connection(self, streams: dict[str, str]) -> "_Connection":
        own = [self._own] if self._push.several else []
        return _Connection(self, streams, [*streams.values(), *own])

    # What connections tell.

    def stood(self) -> None:
        """Tell of all streams that have come to stand."""
        new = [
            name
            for connection in self._connections
            if connection.stands.is_set()
            for name in connection.streams
            if name in self._wanted and name not in self._standing
        ]
        if new:
            self._standing.update(new)
            self._listener.standing(new)

    def heard(self, stream: str, text: str) -> None:
        """Tell of a message."""
        end = parse_message(text)
        if end is not None and stream in self._wanted:
            self._listener.moved(stream, end)

    def asked(self, channels: int) -> None:
        """Count what the service counts."""
        self._push.usage["SUBSCRIBE"] += channels

    def not_several(self) -> Transient:
        """Have the next subscription name one channel in a path."""
        self._push.several = False
        return Transient("the store confirms one channel a connection")


class _Connection:
    """One response. ``streams`` are the channels of its streams, ``channels`` all of them.

    ``proven``: something has arrived since this was last reset.
    """

    def __init__(
        self, owner: RestSubscription, streams: dict[str, str], channels: Sequence[str]
    ) -> None:
        self.streams = streams
        self.channels = channels
        self.proven = True
        self.stands = asyncio.Event()
        self._owner = owner
        self._stream_of = {channel: stream for stream, channel in streams.items()}
        self._unconfirmed = set(channels)
        self._path = "/subscribe" + "".join(map(_in_path, channels))

    @property
    def is_small(self) -> bool:
        """Whether as many streams again would have a place in it."""
        return len(self._path) < MAX_PATH // 2

    async def run(self, client: Connections) -> None:
        """Pass messages on. Raises Transient when there will be no more."""
        headers = [(b"Accept", b"text/event-stream"), (b"Cache-Control", b"no-cache")]
        try:
            async with asyncio.timeout(RESPONSE_SECONDS) as limit:
                async with client.post(
                    self._path, headers, connect=RESPONSE_SECONDS, answer=None
                ) as response:
                    self._check(response)
                    self._owner.asked(len(self.channels))
                    limit.reschedule(asyncio.get_running_loop().time() + CONFIRM_SECONDS)
                    async for line in _lines(response.pieces()):
                        self._take(line)
                        if not self._unconfirmed and not self.stands.is_set():
                            limit.reschedule(None)
                            self.stands.set()
                            self._owner.stood()
        except TimeoutError as error:
            if 1 == len(self.channels) - len(self._unconfirmed) < len(self.channels):
                raise self._owner.not_several() from error
            raise Transient("the store takes too long to subscribe") from error
        except HttpFailure as error:
            raise Transient("the connection to the store's messages was lost") from error
        raise Transient("the store has ended the subscription")

    def _check(self, response: Response) -> None:
        status = response.status
        if status == 200:
            return
        if status in _NOT_SEVERAL and len(self.channels) > 1:
            raise self._owner.not_several()
        if status in (401, 403):
            raise StoreUnavailable("the store refuses the token: check UPSTASH_REDIS_REST_TOKEN")
        raise Transient(f"the store refuses the subscription with status {status}")

    def _take(self, line: str) -> None:
        kind, _, rest = line.partition(",")
        channel, _, text = rest.partition(",")
        if kind == "subscribe":
            self._unconfirmed.discard(channel)
        elif kind == "message":
            self.proven = True
            if (stream := self._stream_of.get(channel)) is not None:
                self._owner.heard(stream, text)


def _in_path(channel: str) -> str:
    return "/" + quote(channel, safe="")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Return the contents of the ``data:`` lines. Raises Transient for one that has no end."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise Transient("the store sends a line without an end")
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip().decode("utf-8", "replace")

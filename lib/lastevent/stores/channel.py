"""Channels: how a store tells of a stream's new end at once, and how a process listens.

What is told is the stream's End, as a message on a channel of the stream's own. It is a hint: late,
doubled, out of order or missing (promise 5). ``hints.Hints`` makes a base.Wakeup of it.

Ends           looks up the ends of logs
Push           opens subscriptions
Subscription   one of them: a changing set of streams, while ``run`` runs
Listener       hears what a subscription has to tell
Announcer      tells, for a log that lies in another store
Channel        the push and the announcer of one store
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from lastevent.core.cursor import Cursor
from lastevent.core.errors import InvalidRequest

PING = "ping"
"""A message that tells of no stream: the subscription on which it arrives is alive."""

_CLOSED = " closed"


class End(NamedTuple):
    """The position of a log's end, as outline.Outline.end gives it, and whether it is closed."""

    cursor: Cursor
    closed: bool = False

    @property
    def order(self) -> tuple[int, int, bool]:
        """Grows with what happens to a stream. Generations never return, see outline.Outline."""
        return self.cursor.generation, self.cursor.sequence, self.closed

    def moved_from(self, cursor: Cursor) -> bool:
        """Whether a reader at ``cursor`` has something to read.

        A lower position is old news: the reader has been further already. A closed stream has
        moved for whoever waits for it.
        """
        if self.order[:2] < (cursor.generation, cursor.sequence):
            return False
        return self.closed or self.cursor != cursor


def channel_name(stream: str, prefix: str = "") -> str:
    """Return the channel of ``stream``. The braces are meant: names of streams have none."""
    return f"{prefix}lastevent:{{{stream}}}"


def message(end: End) -> str:
    """Return what is published on a stream's channel when this has become its end."""
    return f"{end.cursor}{_CLOSED if end.closed else ''}"


def parse_message(text: str) -> End | None:
    """Read a message; None for a PING and for what none of us has published."""
    closed = text.endswith(_CLOSED)
    try:
        return End(Cursor.parse(text.removesuffix(_CLOSED)), closed)
    except InvalidRequest:
        return None


class Ends(Protocol):
    """Looks up the ends of logs."""

    async def __call__(
        self, streams: Collection[str], ping: Collection[str] = ()
    ) -> Mapping[str, End]:
        """Return the end of each of ``streams``, of those that do not exist too; authoritative.

        Costs one command where the store can. Publishes a PING on each of the channels
        ``ping``, by the same command; without a push there are none. Raises Transient.
        """
        ...


class Listener(Protocol):
    """What a subscription tells. Neither method blocks or raises."""

    def standing(self, streams: Iterable[str]) -> None:
        """The subscription to these stands: what is published from now on will be told."""
        ...

    def moved(self, stream: str, end: End) -> None:
        """A message about ``stream`` has arrived."""
        ...


class Subscription(Protocol):
    """A subscription to a changing set of streams. Belongs to one event loop."""

    def watch(self, streams: Iterable[str]) -> None:
        """Follow these too; the listener hears when they stand. May be called before ``run``."""
        ...

    def unwatch(self, streams: Iterable[str]) -> None:
        """Follow these no longer than is convenient."""
        ...

    def probe(self) -> Collection[str]:
        """Begin a proof of life: return the channels on which somebody is to publish a PING.

        They reach every connection of the subscription; see ``proven``.
        """
        ...

    @property
    def proven(self) -> bool:
        """Whether every connection has heard something since the last ``probe``."""
        ...

    async def run(self) -> None:
        """Hold the subscription until cancelled. Raises Transient when it is lost in any part."""
        ...


class Push(Protocol):
    """Opens subscriptions; knows no event loop itself."""

    def subscription(self, listener: Listener) -> Subscription:
        """Return a subscription to nothing yet. Connects to nothing before its ``run``."""
        ...


class Announcer(Protocol):
    """Tells others of the end of a log that lies in another store."""

    async def announce(self, stream: str, end: End) -> None:
        """Publish ``end`` on the channel of ``stream``. Raises Transient."""
        ...

    async def ping(self, channels: Collection[str]) -> None:
        """Publish a PING on each of ``channels``. Raises Transient."""
        ...


class Channel(NamedTuple):
    """What a store has to offer to a log that lies in another."""

    push: Push
    announcer: Announcer

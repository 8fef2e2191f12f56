"""A log and its channel that do what a test says: what they tell, when, and what they keep back."""

import asyncio
from collections.abc import Collection, Iterable, Mapping

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Transient
from lastevent.stores.channel import PING, End, Listener

GENERATION = 7


def at(sequence: int, *, proof: int = 1, generation: int = GENERATION) -> Cursor:
    """Return the position after an event."""
    return Cursor(generation, sequence, proof)


class ScriptedLog:
    """Ends of logs, and the one subscription to them that a process has.

    ``looks`` are the looks made: when, at what, and whether they pinged. The switches say what
    happens from now on.
    """

    def __init__(self) -> None:
        self.ends: dict[str, End] = {}
        self.looks: list[tuple[float, frozenset[str], bool]] = []
        self.subscriptions: list[ScriptedSubscription] = []
        self.latency = 0.001
        """Seconds that a message, a look and a confirmation take."""
        self.away = False
        """The store answers no look."""
        self.refuses = False
        """It takes no subscription."""
        self.mute = False
        """Subscriptions stay open and bring nothing."""
        self.ending = 0.0
        """Seconds that a subscription takes to end."""
        self.fails_in_the_end = False
        """Part of a subscription fails while the whole is cancelled."""

    # Ends.

    async def look(self, streams: Collection[str], ping: Collection[str] = ()) -> Mapping[str, End]:
        """channel.Ends. What it says was so halfway through."""
        self.looks.append((self.now, frozenset(streams), bool(ping)))
        await asyncio.sleep(self.latency / 2)
        if self.away:
            raise Transient("the store is away")
        found = {name: self.end(name) for name in streams}
        if ping:
            self.publish("", PING)
        await asyncio.sleep(self.latency / 2)
        return found

    def looked(self, since: float = 0.0) -> list[frozenset[str]]:
        """Return the streams of each look since then."""
        return [streams for when, streams, _ in self.looks if when >= since]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    # Writers.

    def end(self, stream: str) -> End:
        return self.ends.get(stream, End(Cursor.after(0)))

    def append(self, stream: str, *, told: bool = True, late: float = 0.0) -> End:
        """Append an event in another process; return the end. ``late``: the message is."""
        before = self.end(stream).cursor
        sequence = 1 if before.is_after_generation else before.sequence + 1
        return self.put(stream, End(at(sequence)), told=told, late=late)

    def put(self, stream: str, end: End, *, told: bool = True, late: float = 0.0) -> End:
        """Make this the end."""
        self.ends[stream] = end
        if told:
            self.publish(stream, end, late)
        return end

    def publish(self, stream: str, what: End | str, late: float = 0.0) -> None:
        """Send a message to the subscriptions that are open when it is sent."""
        for subscription in self.open:
            asyncio.get_running_loop().call_later(
                self.latency + late, subscription.receive, stream, what
            )

    # Subscriptions.

    @property
    def open(self) -> "list[ScriptedSubscription]":
        return [subscription for subscription in self.subscriptions if subscription.is_open]

    def subscription(self, listener: Listener) -> "ScriptedSubscription":
        """channel.Push."""
        made = ScriptedSubscription(self, listener)
        self.subscriptions.append(made)
        return made

    def cut(self) -> None:
        """End every open subscription."""
        for subscription in self.open:
            subscription.ended.set()


class ScriptedSubscription:
    """channel.Subscription."""

    def __init__(self, log: ScriptedLog, listener: Listener) -> None:
        self.began = log.now
        self.streams: set[str] = set()
        self.standing: set[str] = set()
        self.is_open = False
        self.ended = asyncio.Event()
        self.proven = True
        self._log = log
        self._listener = listener
        self._confirming: asyncio.TimerHandle | None = None

    def watch(self, streams: Iterable[str]) -> None:
        self.streams.update(streams)
        self._confirm_soon()

    def unwatch(self, streams: Iterable[str]) -> None:
        self.streams.difference_update(streams)
        self.standing.difference_update(streams)

    def probe(self) -> Collection[str]:
        self.proven = False
        return ("ping",)

    async def run(self) -> None:
        await asyncio.sleep(self._log.latency)
        if self._log.refuses:
            raise Transient("no subscription today")
        self.is_open = True
        try:
            self._confirm_soon()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._part())
                await self.ended.wait()
                raise Transient("the connection was cut")
        except* Transient as failures:
            failure = failures.exceptions[0]
        finally:
            self.is_open = False
            await asyncio.sleep(self._log.ending)
        raise failure

    async def _part(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            if self._log.fails_in_the_end:
                raise Transient("the connection was lost")

    def receive(self, stream: str, what: End | str) -> None:
        if self._log.mute or not self.is_open:
            return
        if not isinstance(what, End):
            self.proven = True
        elif stream in self.standing:
            self._listener.moved(stream, what)

    def _confirm_soon(self) -> None:
        if self.is_open and self._confirming is None:
            loop = asyncio.get_running_loop()
            self._confirming = loop.call_later(self._log.latency, self._confirm)

    def _confirm(self) -> None:
        self._confirming = None
        if self.is_open:
            new = self.streams - self.standing
            self.standing |= new
            self._listener.standing(new)

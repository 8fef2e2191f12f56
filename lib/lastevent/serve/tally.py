"""What is counted on the way of every event: plain numbers, at which serve.metrics looks.

Nothing here is counted for an event and a reader at a time: a reader's are counted by the send,
appended ones by the append, and how late they come by the pass of a tail.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lastevent.core.event import NewEvent
from lastevent.services.metrics.histogram import Histogram
from lastevent.stores.base import Appended, EventLog


class Tally:
    """The counts of one process, since it began.

    ``latency``: from the store's acknowledgement of an event to the end of the pass that brought it
    to the readers. ``touched`` is called before what does not happen all the time is counted.
    """

    __slots__ = ("delivered", "latency", "polls", "published", "touched")

    def __init__(self) -> None:
        self.published = 0
        self.delivered = 0
        self.polls = 0
        self.latency = Histogram()
        self.touched: Callable[[], None] | None = None

    def append(self, count: int) -> None:
        """Count the events of an append."""
        self._touch()
        self.published += count

    def answer(self, count: int) -> None:
        """Count an answer of the JSON face, and its events."""
        self._touch()
        self.polls += 1
        self.delivered += count

    def _touch(self) -> None:
        if self.touched is not None:
            self.touched()


class CountedLog:
    """An EventLog whose appended events are counted, but for those of a repeated call."""

    def __init__(self, log: EventLog, tally: Tally) -> None:
        self._log = log
        self._tally = tally
        self.read = log.read
        self.describe = log.describe
        self.delete = log.delete

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        """Append as the log does."""
        appended = await self._log.append(stream, events, **options)
        if events and not appended.repeated:
            self._tally.append(len(events))
        return appended

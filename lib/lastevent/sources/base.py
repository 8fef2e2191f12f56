"""Sources: what produces events outside, and what a pump asks of it.

A source is read, and never pushes: the next batch is asked for when the last one is stored, so that
it is held back by whatever holds the store back. It knows nothing of streams, leases and retries;
those are the host's (host) and the pump's (pump).
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, NamedTuple, Protocol

from lastevent.core.event import NewEvent

Replays = Literal["full", "snapshot", "none"]
"""What a source can tell again (RULES 16): everything (an API with history), its state but not the
steps that led to it, or nothing (a socket, a process)."""

MAX_BATCH_BYTES = 256 * 1024
"""Data of one batch, and what the last of its events adds."""


class Batch(NamedTuple):
    """Events that are appended in one step.

    At most ``stores.base.MAX_BATCH_EVENTS`` of them, with about MAX_BATCH_BYTES of data.
    ``position`` is where the source goes on after them, in a text of its own; None leaves it where
    it was. ``over``: nothing will follow, so the stream is closed with them.
    """

    events: Sequence[NewEvent] = ()
    position: str | None = None
    over: bool = False


class Source(Protocol):
    """Something outside that produces events. One object of it belongs to one pump."""

    replays: Replays

    def read(self, position: str | None) -> AsyncGenerator[Batch]:
        """Yield what follows ``position``, a batch's own; None is the beginning.

        The first batch, perhaps of no events, says that the upstream answers. After it each that
        has nothing to say is free: a source that polls yields one after each poll, so that its pump
        sees it alive. Who returns is at its end.

        Raises UpstreamLost for what passes: after a pause ``read`` is called again, on the same
        object, with the position of the last batch. Raises UpstreamRefused for what does not.

        It may be cancelled or closed wherever it awaits or yields, and then lets go of what it
        holds in bounded time. Every wait inside has a time limit of its own.
        """
        ...

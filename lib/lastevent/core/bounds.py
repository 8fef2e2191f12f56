"""What ends a leg. Every reason for which a response may stop is in Reason, and nowhere else.

A leg ends by itself before its platform would cut it (promise 3), whatever the client does: a
client's disconnect is not visible on every platform, so these bounds are also what limits a leg
that nobody reads any more.
"""

import enum
from math import inf
from typing import NamedTuple


class Reason(enum.Enum):
    """Why a leg stopped."""

    DURATION = enum.auto()  # the longest duration, or the platform's deadline, has come
    BYTES = enum.auto()  # it has sent as many bytes as one response may have
    IDLE = enum.auto()  # nothing happened for long: coming back is cheaper than waiting
    BATCH = enum.auto()  # it reaches its client only when it is whole, and has something to bring
    SHUTDOWN = enum.auto()  # the process is going away
    ENDED = enum.auto()  # the log is closed, and read to its end
    DENIED = enum.auto()  # the token expired
    TROUBLE = enum.auto()  # the store is away

    @property
    def state(self) -> str:
        """The ``state`` of the control event that says so: ``rotate`` is a planned end."""
        return _STATES.get(self, "rotate")


_STATES = {Reason.ENDED: "end", Reason.DENIED: "denied", Reason.TROUBLE: "error"}


class Bounds(NamedTuple):
    """How long and how much one leg may be.

    Instants (``deadline``, ``token_expires``) are seconds on the clock that the leg is driven by;
    None means that there is none.

    ``max_seconds``: the longest duration. ``deadline``: when the platform cuts, ``margin`` seconds
    before which the leg is over, or a quarter of the time that there is, if that is less. Of the
    shorter of the two each leg takes off up to ``spread`` by chance, so that legs that began
    together do not end together. ``buffered``: the response reaches its client only when it is
    whole, so it ends with the first events.

    Two bounds end a leg that has caught up: ``idle_seconds`` without an event in this leg, and
    ``hold_seconds`` without one in the stream, which when the leg began had been quiet for
    ``quiet_before`` (infinite: nobody knows).
    """

    max_seconds: float = 55.0
    spread: float = 0.15
    deadline: float | None = None
    margin: float = 3.0
    max_bytes: int = 64 * 1024 * 1024
    idle_seconds: float | None = None
    hold_seconds: float | None = None
    quiet_before: float = inf
    buffered: bool = False
    token_expires: float | None = None

    def ends_at(self, now: float, chance: float) -> float:
        """Return when a leg that begins ``now`` reaches its duration; ``chance`` is in [0, 1).

        Legs that a deadline ends are spread as well, always to before it.
        """
        longest = self.max_seconds
        if self.deadline is not None:
            left = self.deadline - now
            longest = min(longest, left - min(self.margin, max(left, 0.0) / 4))
        return now + longest * (1 - self.spread * chance)

"""What ends a leg. Every reason for which a response may stop is in Reason, and nowhere else.

A leg ends by itself before its platform would cut it (promise 3), whatever the client does: a
client's disconnect is not visible on every platform, so these bounds are also what limits a leg
that nobody reads any more.
"""

import enum
from dataclasses import dataclass


class Reason(enum.Enum):
    """Why a leg stopped."""

    DURATION = enum.auto()  # the longest duration, or the platform's deadline, has come
    BYTES = enum.auto()  # it has sent as many bytes as one response may have
    IDLE = enum.auto()  # nothing happened for long: coming back is cheaper than waiting
    SHUTDOWN = enum.auto()  # the process is going away
    ENDED = enum.auto()  # the log is closed, and read to its end
    DENIED = enum.auto()  # the token expired
    TROUBLE = enum.auto()  # the store is away

    @property
    def state(self) -> str:
        """The ``state`` of the control event that says so: ``rotate`` is a planned end."""
        return _STATES.get(self, "rotate")


_STATES = {Reason.ENDED: "end", Reason.DENIED: "denied", Reason.TROUBLE: "error"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long and how much one leg may be.

    Instants (``deadline``, ``token_expires``) are seconds on the clock that the leg is driven by;
    None means that there is none.

    ``max_seconds``: the longest duration. ``deadline``: when the platform cuts, ``margin`` seconds
    before which the leg is over. Of the shorter of the two each leg takes off up to ``spread`` by
    chance, so that legs that began together do not end together. ``idle_seconds``: ends a leg
    without events.
    """

    max_seconds: float = 55.0
    spread: float = 0.15
    deadline: float | None = None
    margin: float = 2.0
    max_bytes: int = 64 * 1024 * 1024
    idle_seconds: float | None = None
    token_expires: float | None = None

    def ends_at(self, now: float, chance: float) -> float:
        """Return when a leg that begins ``now`` reaches its duration; ``chance`` is in [0, 1).

        Legs that a deadline ends are spread as well, always to before it.
        """
        longest = self.max_seconds
        if self.deadline is not None:
            longest = min(longest, self.deadline - self.margin - now)
        return now + longest * (1 - self.spread * chance)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long clients stay away after a planned end: the cost dial. Times in ms.

    Each pair is a range from which one value is drawn for each end. ``flowing`` holds while events
    came within ``flowing_seconds``, ``idle`` otherwise, ``trouble`` when the store is away or the
    process goes. ``ordinary`` is in force during the leg, for cuts that nobody planned. None is
    tiny: a client repeats it against a server that no longer answers.
    """

    name: str = "balanced"
    ordinary: int = 1500
    flowing: tuple[int, int] = (30, 120)
    idle: tuple[int, int] = (100, 500)
    trouble: tuple[int, int] = (1000, 3000)
    flowing_seconds: float = 10.0

    def retry_ms(self, reason: Reason, quiet_seconds: float, chance: float) -> int:
        """Return the pause after an end for ``reason``; ``chance`` is in [0, 1)."""
        if reason in (Reason.TROUBLE, Reason.SHUTDOWN):
            low, high = self.trouble
        elif quiet_seconds < self.flowing_seconds:
            low, high = self.flowing
        else:
            low, high = self.idle
        return int(low + (high - low) * chance)

"""How long clients stay away after a planned end: the cost dial.

A policy is chosen by name. What it does depends on what the platform bills: where a held response
costs next to nothing (a server, Vercel) every policy holds an idle client's. Where each held second
is billed (Lambda) a quiet stream is *looked at* instead: once nothing has come for
``hold_seconds``, legs end as soon as they have caught up, and clients come back after ``idle``.
That pause is then also the worst latency of the first event; from it on, the stream is held and
served live again.
"""

from collections.abc import Mapping
from typing import NamedTuple

from lastevent.core.bounds import Reason


class RetryPolicy(NamedTuple):
    """How long clients stay away, and how long an idle one is held. Pauses in ms.

    Each pair is a range from which one value is drawn for each end. ``flowing`` holds while events
    came within ``flowing_seconds``, ``idle`` otherwise, ``trouble`` when the store is away or the
    process goes. ``ordinary`` is in force during the leg, for cuts that nobody planned. None is
    tiny: a client repeats it against a server that no longer answers. ``hold_seconds``: how long
    after the last event a leg is still held; None: to its end.
    """

    name: str = "balanced"
    ordinary: int = 1500
    flowing: tuple[int, int] = (30, 120)
    idle: tuple[int, int] = (100, 500)
    trouble: tuple[int, int] = (1000, 3000)
    flowing_seconds: float = 10.0
    hold_seconds: float | None = None

    def retry_ms(self, reason: Reason, quiet_seconds: float, chance: float) -> int:
        """Return the pause after an end for ``reason``; ``chance`` is in [0, 1)."""
        if reason in (Reason.TROUBLE, Reason.SHUTDOWN):
            low, high = self.trouble
        elif quiet_seconds < self.flowing_seconds:
            low, high = self.flowing
        else:
            low, high = self.idle
        return int(low + (high - low) * chance)


POLICIES: Mapping[str, RetryPolicy] = {
    "latency": RetryPolicy("latency", idle=(30, 120)),
    "balanced": RetryPolicy("balanced"),
    "cost": RetryPolicy("cost"),
}
"""By name, where holding is cheap."""

METERED: Mapping[str, RetryPolicy] = {
    "latency": POLICIES["latency"],
    "balanced": POLICIES["balanced"]._replace(idle=(1000, 1500), hold_seconds=60.0),
    # On average as seldom as polling every 5 seconds.
    "cost": POLICIES["cost"]._replace(idle=(4500, 5500), hold_seconds=10.0),
}
"""By name, where each held second is billed."""

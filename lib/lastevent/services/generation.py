"""What is known of one generation, and what its log says of how it ended. No IO.

It is a run (run.py) that ends as ``done``, ``cancelled`` or ``failed``, and has its stream's name.
"""

from dataclasses import dataclass, replace

from lastevent.core.event import Event
from lastevent.services.run import Run, State, iso

_ENDS: dict[str, State] = {"done": "done", "cancelled": "cancelled"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation(Run):
    """A generation's record."""

    @classmethod
    def new(cls, stream: str, now_ms: int) -> "Generation":
        """Return one that is about to start."""
        return cls(id=stream, state="starting", started_at=iso(now_ms))

    def ended(self, last: Event) -> "Generation":
        """Return it after the end that the ``last`` event of its log tells."""
        return replace(self, state=_ENDS.get(last.type, "failed"), ended_at=iso(last.time))

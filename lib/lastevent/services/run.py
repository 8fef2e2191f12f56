"""What is known of a run: work whose words only the process in which it began can have. No IO.

    starting ─► running ─► stopping ─► its end, as the last event of its log tells
        │          └───────────┴─────► lost     its process is gone, and the work with it
        └────────────────────────────► failed   it could not begin

Nobody's run (``host`` is empty) waits in ``starting`` for an invocation that was asked to do it.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Self

from lastevent.core.event import Event

State = Literal["starting", "running", "stopping", "exited", "done", "cancelled", "failed", "lost"]
ACTIVE: tuple[State, ...] = ("starting", "running", "stopping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run's record. Times are ISO 8601 in UTC; ``host`` tells processes apart.

    ``ends_at``: when it will be ended at the latest, if that is known.
    """

    id: str
    state: State
    started_at: str
    host: str = ""
    ends_at: str | None = None
    ended_at: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gave."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """The record's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @property
    def stream(self) -> str:
        """The name of the stream with its log."""
        return self.id

    @property
    def is_active(self) -> bool:
        """Whether it is not known to have ended."""
        return self.state in ACTIVE

    @property
    def is_waiting(self) -> bool:
        """Whether it is still nobody's."""
        return self.state == "starting" and not self.host

    def waited_ms(self, now_ms: int) -> float:
        """Return how long ago it was started, in ms."""
        return now_ms - datetime.fromisoformat(self.started_at).timestamp() * 1000

    def claimed(self, host: str, ends_at_ms: int | None) -> Self:
        """Return it as it is in the hands of ``host``."""
        return replace(self, host=host, ends_at=None if ends_at_ms is None else iso(ends_at_ms))

    def running(self) -> Self:
        """Return it after its work has begun."""
        return replace(self, state="running") if self.state == "starting" else self

    def stopping(self) -> Self:
        """Return it after somebody asked for its end."""
        return replace(self, state="stopping") if self.is_active else self

    def failed(self, now_ms: int) -> Self:
        """Return it after it could not begin."""
        return replace(self, state="failed", ended_at=iso(now_ms))

    def ended(self, last: Event) -> Self:
        """Return it after the end that the ``last`` event of its log tells."""
        return replace(self, state="lost", ended_at=iso(last.time))


def iso(ms: int) -> str:
    """Return a time in Unix ms as ISO 8601 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")

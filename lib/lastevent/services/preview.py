"""What is known of one preview, and what its log says of how it ended. No IO.

starting ─► running ─► stopping ─► exited     its command ended, with a code or by a signal
    │          └───────────┴─────► lost       its server is gone, and its command with it
    └────────────────────────────► failed     its command could not be started
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from lastevent.core.event import Event, NewEvent

State = Literal["starting", "running", "stopping", "exited", "failed", "lost"]
ACTIVE: tuple[State, ...] = ("starting", "running", "stopping")

_LATEST = (1 << 44) - 1


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview's record. Times are ISO 8601 in UTC; ``host`` tells servers apart, for operators.

    ``code`` and ``signal`` are known of what has exited: one of them, None the other.
    """

    id: str
    name: str
    state: State
    started_at: str
    host: str
    ended_at: str | None = None
    code: int | None = None
    signal: str | None = None

    @classmethod
    def new(cls, name: str, host: str, now_ms: int) -> "Preview":
        """Return one that is about to start. Ids sort newest first, as lists are to be."""
        id = f"{_LATEST - now_ms:011x}{secrets.token_hex(3)}"
        return cls(id, name, "starting", iso(now_ms), host)

    @classmethod
    def parse(cls, text: str) -> "Preview":
        """Read what ``text`` gave."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """The record's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @property
    def stream(self) -> str:
        """The name of the stream with its log."""
        return stream_of(self.id)

    @property
    def is_active(self) -> bool:
        """Whether it is not known to have ended."""
        return self.state in ACTIVE

    def running(self) -> "Preview":
        """Return it after its command started."""
        return replace(self, state="running") if self.state == "starting" else self

    def stopping(self) -> "Preview":
        """Return it after somebody asked for its end."""
        return replace(self, state="stopping") if self.is_active else self

    def failed(self, now_ms: int) -> "Preview":
        """Return it after its command could not be started."""
        return replace(self, state="failed", ended_at=iso(now_ms))

    def ended(self, last: Event) -> "Preview":
        """Return it after the end that the ``last`` event of its log tells."""
        it = replace(self, state="lost", ended_at=iso(last.time))
        if last.type != "exit":
            return it
        said = json.loads(last.data)
        return replace(it, state="exited", code=said["code"], signal=said["signal"])


def stream_of(id: str) -> str:
    """Return the name of the stream with the log of the preview ``id``."""
    return f"preview:{id}"


def failure(error: str, now_ms: int) -> NewEvent:
    """Return the event that tells why a log ends, or is about to."""
    data = json.dumps({"error": error, "time": now_ms}, separators=(",", ":"))
    return NewEvent("failure", data)


def iso(ms: int) -> str:
    """Return a time in Unix ms as ISO 8601 in UTC, to the millisecond."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")

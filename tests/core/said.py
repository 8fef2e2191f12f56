"""What bytes of a leg say, as a client reads it."""

import json
from dataclasses import dataclass
from typing import Any

from lastevent.core.wire import Decoder


@dataclass(frozen=True)
class Said:
    """One block: its own id (None if it has no id line), its type, and its fields."""

    id: str | None
    type: str
    fields: dict[str, Any]

    @property
    def state(self) -> str:
        """The state of a control event, else the type."""
        return str(self.fields["state"]) if self.type == "stream" else self.type


def blocks(raw: bytes) -> list[Said]:
    """Return the messages of ``raw``, which must be whole; the fields of events are their data."""
    assert raw == b"" or raw.endswith(b"\n\n")
    said: list[Said] = []
    for block in raw.split(b"\n\n")[:-1]:
        # A decoder for each block: an id that holds on must not pass for the block's own.
        for message in Decoder(last_event_id="none").feed(block + b"\n\n"):
            own = message.id if message.id != "none" else None
            is_json = message.type in ("stream", "heartbeat")
            fields = json.loads(message.data) if is_json else {"data": message.data}
            said.append(Said(own, message.type, fields))
    return said


def states(raw: bytes) -> list[str]:
    """Return the state or type of each message of ``raw``."""
    return [one.state for one in blocks(raw)]


def retries(raw: bytes) -> list[int]:
    """Return every reconnection time that ``raw`` sets, in order."""
    return [
        int(line.removeprefix(b"retry: "))
        for line in raw.splitlines()
        if line.startswith(b"retry: ")
    ]

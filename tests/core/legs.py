"""A leg to test, and what its bytes say as a client reads them."""

import json
from dataclasses import dataclass
from typing import Any

from lastevent.core.bounds import Bounds
from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.core.leg import Leg, LegPlan
from lastevent.core.policy import RetryPolicy
from lastevent.core.wire import Decoder, encode

NOW = 100.0
HEARTBEAT = 15.0
FOREVER = Bounds(max_seconds=1e6, spread=0)
POLICY = RetryPolicy(ordinary=1500, flowing=(40, 60), idle=(200, 400), trouble=(1000, 3000))


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


def at(sequence: int) -> str:
    return str(Cursor(7, sequence, 9))


def frame(sequence: int, data: str = "x", type: str = "note") -> bytes:
    return encode(Event(at(sequence), type, data, 0))


def leg(
    *,
    position: int = 10,
    sent: str | None = None,
    trimmed: bool = False,
    streams: tuple[str, ...] = ("s",),
    bounds: Bounds = FOREVER,
    chances: tuple[float, float] = (0.0, 0.0),
) -> Leg:
    plan = LegPlan(
        streams=streams,
        position=at(position),
        sent=sent,
        trimmed=trimmed,
        heartbeat_seconds=HEARTBEAT,
        bounds=bounds,
        policy=POLICY,
        chances=chances,
    )
    return Leg(plan, NOW)

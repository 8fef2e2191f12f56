"""What a client makes of a stream's messages, as decisions without IO.

A follower outlives the legs: it keeps the position, passes on events that are new, and says after
each leg how long to stay away.

    begin ──► take, take, … ──► over, or cut ──► pause ──► begin

How a leg counts (RULES 21):

    ended in rotate           no failure; the count of failures is back to zero
    moved the position        likewise, and whatever ended it is the first failure after that
    heard heartbeats only     counts neither way
    ended in error            a failure
    brought nothing at all    a failure
"""

import enum
import json
from typing import Any, NamedTuple

from lastevent.client.backoff import Backoff
from lastevent.client.position import Position
from lastevent.core.wire import Message

LONGEST_PAUSE = 3600.0
"""Seconds that a server may send a client away for; what it says beyond is cut to this."""

LONGEST_HOLD = 60.0
"""Seconds that a whole answer is believed to be held; gateways give up after about 30."""

ORDINARY_RETRY = 1.0
"""The pause after a planned end that names none."""

_EMPTY_LEGS = 3
_EMPTY_LEG_SECONDS = 1.0


class StreamEvent(NamedTuple):
    """One event, as it came over the wire."""

    id: str
    type: str
    data: str

    def json(self) -> Any:
        """Return ``data`` read as JSON; raises ValueError if it is none."""
        return json.loads(self.data)


class Reset(NamedTuple):
    """The server has lost events: after ``lost_after`` it goes on at ``position``."""

    lost_after: str
    position: str


class End(enum.StrEnum):
    """How a leg said that it is over."""

    ROTATE = "rotate"
    END = "end"
    DENIED = "denied"
    ERROR = "error"


_ENDS = tuple(End)


class GaveUp(Exception):
    """As many failures in a row as the caller allows."""


class Follower:
    """A stream's reader over many legs. ``now`` is in seconds on a clock that does not go back.

    ``heartbeat`` is the server's, in seconds, as far as it is known. ``hold``: how long a platform
    that sends whole answers may keep one back, as the last leg said; 0 where they come in pieces.
    ``over`` says how the present
    leg ended, None if it did not say. ``trimmed``: the stream's beginning was gone when we came
    without a cursor.
    """

    def __init__(
        self, cursor: str | None, heartbeat: float, attempts: int | None, backoff: Backoff
    ) -> None:
        self.position = Position(cursor)
        self.heartbeat = heartbeat
        self.hold = 0.0
        self.over: End | None = None
        self.trimmed = False
        self.failures = 0
        self._ordinary_heartbeat = heartbeat
        self._attempts = attempts
        self._backoff = backoff
        self._began = 0.0
        self._moved = False
        self._heard = False
        self._retry = ORDINARY_RETRY
        self._empty_legs = 0

    def begin(self, now: float) -> None:
        """Begin a leg."""
        self._began = now
        self.heartbeat = self._ordinary_heartbeat
        self.over = None
        self._moved = self._heard = False
        self._retry = ORDINARY_RETRY

    @property
    def has_proven(self) -> bool:
        """Whether this leg has shown that the connection works, beyond having been accepted."""
        return self._moved or self._heard or self.over is End.ROTATE

    def take(self, message: Message) -> StreamEvent | Reset | None:
        """Take a message in; return what the caller must hear of it.

        The position has moved when this returns. Messages after one that set ``over`` belong to
        nobody.
        """
        if message.type == "heartbeat":
            self._heard = True
            return None
        if message.type == "stream":
            return self._control(message)
        behind = self.position.is_ahead_of(message.id)
        if behind is None:
            # Not our kind of id. The one this leg was resumed from may come again, before others;
            # later the same id may just be inherited (WHATWG HTML §9.2.6).
            behind = not self._moved and bool(message.id) and message.id == self.position.text
        if behind:
            return None
        self._move(message.id)
        self._moved = True
        return StreamEvent(*message)

    def _control(self, message: Message) -> Reset | None:
        try:
            fields = json.loads(message.data)
        except ValueError:
            return None
        if not isinstance(fields, dict):
            return None
        state = fields.get("state")
        if state == "reset":
            return self._reset(message, fields)
        if state == "open":
            # Its id repeats ours. Any other must not count: it might lie beyond a reset that we
            # have not read yet (RULES 1).
            if self.position.text is None:
                self._move(message.id)
            self.trimmed |= fields.get("trimmed") is True
            heartbeat = _seconds(fields.get("heartbeat"))
            if heartbeat:
                self.heartbeat = heartbeat
            buffered = fields.get("buffered") is True
            self.hold = min(_seconds(fields.get("ends_in")) or 0.0, LONGEST_HOLD) * buffered
            return None
        if message.id and not self.position.is_ahead_of(message.id):
            self._moved |= message.id != self.position.text
            self._move(message.id)
        if state in _ENDS:
            self.over = End(state)
            retry_ms = _seconds(fields.get("retry_ms"))
            if retry_ms is not None:
                self._retry = min(retry_ms / 1000, LONGEST_PAUSE)
        return None

    def _reset(self, message: Message, fields: dict[str, Any]) -> Reset:
        """Go where the server goes on, which may lie before our position."""
        position = message.id or str(fields.get("to", ""))
        lost_after = str(fields.get("from", self.position.text or ""))
        self._move(position)
        self._moved = True
        return Reset(lost_after, position)

    def _move(self, identifier: str) -> None:
        if identifier:
            self.position.move(identifier)

    def pause(self, now: float, chance: float, after: float = 0.0) -> float:
        """Return how many seconds to stay away after this leg; ``chance`` is in [0, 1).

        ``after`` is the least that the server asked for in a refusal (``Retry-After``). Raises
        GaveUp when the leg was one failure too many.
        """
        if self._moved:
            self.failures = 0
        if self.over is End.ROTATE:
            self.failures = 0
            return self._planned(now)
        self._empty_legs = 0
        if self.over is End.ERROR:
            after = max(after, self._retry)
        if self.over is End.ERROR or self._moved or not self._heard:
            self.failures += 1
        if self._attempts is not None and self.failures > self._attempts:
            self.failures = 0  # whoever iterates again begins anew
            raise GaveUp
        return max(min(after, LONGEST_PAUSE), self._backoff.pause(self.failures, chance))

    def _planned(self, now: float) -> float:
        # To the letter, but for a server that turns everybody round at its door: three planned
        # ends in a row within a second each, and nothing read, cost at least a second from then on.
        empty = not self._moved and now - self._began < _EMPTY_LEG_SECONDS
        self._empty_legs = self._empty_legs + 1 if empty else 0
        if self._empty_legs >= _EMPTY_LEGS:
            return max(self._retry, _EMPTY_LEG_SECONDS)
        return self._retry


def _seconds(value: object) -> float | None:
    """Return a number that a control event holds, None if it is none that can be waited for."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e12:
        return None
    return float(value)

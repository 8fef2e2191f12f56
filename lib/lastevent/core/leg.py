"""The leg: one bounded response, as decisions without IO.

A leg replays, goes live, and comes to a planned end. The shell that drives it tells it what
happened (events were read, the clock moved, a stream closed) and gets back the bytes to send now.
``wake_at`` says until when there is nothing to do, and ``stopped`` why it is over, once it is; the
last bytes have then been returned.

    open ──► events, reset ──► caught_up ──► events, reset, tick ──► stop

Control events and their ids (RULES 1):

    open      the client's own cursor, or the position that the leg starts from
    live      the position reached: caught up, or a checkpoint of a filtered leg
    reset     the position reached: history between the reader and this was lost
    rotate    the position reached: a planned end, come back after retry_ms
    end       the position reached: the log is closed, do not come back
    denied    the position reached: the token expired
    error     no id: the store is away, come back

``open`` does not move a client's cursor to a position whose ``reset`` it might never read.

A buffered leg ends when it has caught up, if it has anything to bring: events, a reset or, for a
client without a cursor, the position that it starts from (RULES 20). Else it is held until
something comes.
"""

from typing import NamedTuple

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.policy import RetryPolicy
from lastevent.core.wire import encode_control, encode_retry

CHECKPOINT_EVENTS = 500
"""Events that a filter may pass over before the client's cursor is moved (RULES 2)."""

CHECKPOINT_SECONDS = 15.0
"""How long a client's cursor may lag behind what its filter passed over."""


class LegPlan(NamedTuple):
    """What a leg is asked for.

    ``sent`` is the cursor text that the client sent, ``position`` the text of the position that the
    leg starts from. ``chances`` are two numbers in [0, 1), for the duration and the pause.
    """

    streams: tuple[str, ...]
    position: str
    sent: str | None = None
    trimmed: bool = False
    heartbeat_seconds: float = 15.0
    bounds: Bounds = Bounds()
    policy: RetryPolicy = RetryPolicy()
    chances: tuple[float, float] = (0.0, 0.0)


class Leg:
    """The state of one response. Every method returns the bytes to send now, perhaps none.

    ``now`` is in seconds on one clock that does not go back, ``wall_ms`` in Unix milliseconds.
    """

    __slots__ = (
        "_beat_at",
        "_began_at",
        "_brings",
        "_checkpoint_at",
        "_ends_at",
        "_last_event_at",
        "_live",
        "_plan",
        "_room",
        "_unsaid",
        "position",
        "stopped",
    )

    def __init__(self, plan: LegPlan, now: float) -> None:
        self._plan = plan
        self.position = plan.position
        self.stopped: Reason | None = None
        self._ends_at = plan.bounds.ends_at(now, plan.chances[0])
        self._beat_at = now + plan.heartbeat_seconds
        self._began_at = now
        self._last_event_at: float | None = None
        self._brings = plan.sent is None  # something that a buffered client waits for
        self._room = plan.bounds.max_bytes
        self._live = False
        self._unsaid = 0  # events passed over since the client last heard of its position
        self._checkpoint_at = 0.0

    def open(self, now: float) -> bytes:
        """Begin: the ordinary retry, and ``open``."""
        plan = self._plan
        fields: dict[str, object] = {"state": "open"}
        if len(plan.streams) == 1:
            fields["stream"] = plan.streams[0]
        else:
            fields["streams"] = plan.streams
        fields["ends_in"] = round(max(0.0, self._ends_at - now), 1)
        fields["policy"] = plan.policy.name
        fields["heartbeat"] = plan.heartbeat_seconds
        if plan.bounds.buffered:
            fields["buffered"] = True
        if plan.trimmed:
            fields["trimmed"] = True
        identifier = plan.position if plan.sent is None else plan.sent
        frames = encode_retry(plan.policy.ordinary) + encode_control("stream", fields, identifier)
        self._room -= len(frames)
        return frames

    def events(self, frames: bytes, position: str, passed_over: int, now: float) -> bytes:
        """Take ``frames`` (those that match) up to ``position``; return what to send.

        ``passed_over`` counts the events that a filter left out after the last frame, or in all
        when there is no frame.
        """
        self.position = position
        if frames:
            self._last_event_at = now
            self._brings = True
            self._unsaid = passed_over
            self._room -= len(frames)
        else:
            self._unsaid += passed_over
        if passed_over and self._unsaid == passed_over:
            self._checkpoint_at = now + CHECKPOINT_SECONDS
        if self._unsaid >= CHECKPOINT_EVENTS:
            frames += self._say_position()
        if self._room <= 0:
            frames += self.stop(Reason.BYTES, now)
        elif self._live and self._brings and self._plan.bounds.buffered:
            frames += self.stop(Reason.BATCH, now)
        return frames

    @property
    def room(self) -> int | None:
        """Bytes of events that it may still send; None before the first, whatever its size."""
        return None if self._last_event_at is None else self._room

    def reset(self, lost_after: str, position: str, now: float) -> bytes:
        """Say that what followed ``lost_after`` is gone and reading goes on after ``position``."""
        self.position = position
        self._last_event_at = now
        self._brings = True
        self._unsaid = 0
        return self._control({"state": "reset", "from": lost_after, "to": position}, position)

    def caught_up(self, now: float) -> bytes:
        """Note that everything there was has been sent; say ``live`` the first time."""
        frames = b"" if self._live else self._say_position()
        self._live = True
        if self._brings and self._plan.bounds.buffered:
            frames += self.stop(Reason.BATCH, now)
        return frames

    @property
    def wake_at(self) -> float:
        """When tick has something to do next, if nothing else happens before."""
        instants = [self._ends_at, self._beat_at]
        bounds = self._plan.bounds
        if self._idle_at is not None:
            instants.append(self._idle_at)
        if bounds.token_expires is not None:
            instants.append(bounds.token_expires)
        if self._unsaid:
            instants.append(self._checkpoint_at)
        return min(instants)

    @property
    def ends_at(self) -> float:
        """When the leg is over at the latest."""
        expires = self._plan.bounds.token_expires
        return self._ends_at if expires is None else min(self._ends_at, expires)

    def tick(self, now: float, wall_ms: int) -> bytes:
        """Do what is due by ``now``: a planned end, a checkpoint, a heartbeat."""
        bounds = self._plan.bounds
        if bounds.token_expires is not None and now >= bounds.token_expires:
            return self.stop(Reason.DENIED, now)
        if now >= self._ends_at:
            return self.stop(Reason.DURATION, now)
        if self._idle_at is not None and now >= self._idle_at:
            return self.stop(Reason.IDLE, now)
        frames = b""
        if self._unsaid and now >= self._checkpoint_at:
            frames = self._say_position()
        if now >= self._beat_at:
            self._beat_at = now + self._plan.heartbeat_seconds
            beat = encode_control("heartbeat", {"timestamp": wall_ms})
            self._room -= len(beat)
            frames += beat
        return frames

    def stop(self, reason: Reason, now: float) -> bytes:
        """End the leg for ``reason``; return its last bytes. A second call returns nothing."""
        if self.stopped is not None:
            return b""
        self.stopped = reason
        if reason in (Reason.ENDED, Reason.DENIED):
            return self._control({"state": reason.state}, self.position)
        quiet = now - self._quiet_since
        pause = self._plan.policy.retry_ms(reason, quiet, self._plan.chances[1])
        fields = {"state": reason.state, "retry_ms": pause}
        # Without an id on trouble: a client that is only told that the store is away keeps its own.
        identifier = None if reason is Reason.TROUBLE else self.position
        return encode_retry(pause) + self._control(fields, identifier)

    @property
    def _idle_at(self) -> float | None:
        """When it has been idle for long enough; not before it has caught up."""
        bounds = self._plan.bounds
        if not self._live:
            return None
        instants = []
        if bounds.idle_seconds is not None:
            since = self._began_at if self._last_event_at is None else self._last_event_at
            instants.append(since + bounds.idle_seconds)
        if bounds.hold_seconds is not None:
            instants.append(self._quiet_since + bounds.hold_seconds)
        return min(instants, default=None)

    @property
    def _quiet_since(self) -> float:
        """When the stream's last event came, as far as is known."""
        if self._last_event_at is not None:
            return self._last_event_at
        return self._began_at - self._plan.bounds.quiet_before

    def _say_position(self) -> bytes:
        self._unsaid = 0
        return self._control({"state": "live"}, self.position)

    def _control(self, fields: dict[str, object], identifier: str | None) -> bytes:
        frame = encode_control("stream", fields, identifier)
        self._room -= len(frame)
        return frame

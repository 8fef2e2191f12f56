"""A client that follows legs through any interleaving ends with everything, once, or is told."""

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.cursor import Cursor
from lastevent.core.leg import CHECKPOINT_EVENTS, CHECKPOINT_SECONDS, Leg, LegPlan
from lastevent.core.wire import Decoder
from tests.core.legs import at, frame

WANTED, OTHER = "wanted", "other"


class Follower(RuleBasedStateMachine):
    """A log, a leg over it that passes over one of two types, and a client behind a bad line.

    The line holds bytes that the leg has sent and the client has not received; a cut loses them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.log: list[str] = []  # the types of events 1, 2, …
        self.floor = 1  # the first event that is not trimmed
        self.cursor = ""
        self.origin = 0  # where the client began: it has no history before that
        self.read: list[int] = []
        self.lost: set[int] = set()  # as the client was told
        self.state = ""
        self._connect()

    # The server.

    def _connect(self) -> None:
        self.decoder = Decoder(last_event_id=self.cursor)
        if self.cursor:
            self.place = Cursor.parse(self.cursor).sequence
        else:
            self.place = self.origin = self.floor - 1
        bounds = Bounds(max_seconds=60, max_bytes=20_000, idle_seconds=40)
        self.leg = Leg(
            LegPlan(("s",), at(self.place), self.cursor or None, bounds=bounds), self.now
        )
        self.line = b""
        self.sent = Decoder()  # what a client knows that is never cut
        self.lagging_since: float | None = None
        self._send(self.leg.open(self.now))

    def _send(self, data: bytes) -> None:
        self.line += data
        before = self.sent.last_event_id
        self.sent.feed(data)
        if self.sent.last_event_id == at(self.place):
            self.lagging_since = None
        elif self.lagging_since is None or self.sent.last_event_id != before:
            self.lagging_since = self.now

    @property
    def _running(self) -> bool:
        return self.leg.stopped is None

    @rule(type=st.sampled_from([WANTED, OTHER]), count=st.integers(1, CHECKPOINT_EVENTS))
    def append(self, type: str, count: int) -> None:
        self.log += [type] * (count if type == OTHER else 1 + count % 5)

    @rule(count=st.integers(1, 5))
    def trim(self, count: int) -> None:
        self.floor = min(self.floor + count, len(self.log) + 1)

    @precondition(lambda self: self._running)
    @rule(limit=st.integers(1, 2 * CHECKPOINT_EVENTS))
    def serve(self, limit: int) -> None:
        if self.place < self.floor - 1:
            lost_after, self.place = self.place, self.floor - 1
            self._send(self.leg.reset(at(lost_after), at(self.place), self.now))
        page = range(self.place + 1, min(self.place + limit, len(self.log)) + 1)
        if page:
            kept = [number for number in page if self.log[number - 1] == WANTED]
            frames = b"".join(frame(number, type=WANTED) for number in kept)
            self.place = page[-1]
            passed_over = self.place - kept[-1] if kept else len(page)
            self._send(self.leg.events(frames, at(self.place), passed_over, self.now))
        else:
            self._send(self.leg.caught_up(self.now))

    @precondition(lambda self: self._running)
    @rule(seconds=st.floats(0.1, 20))
    def wait(self, seconds: float) -> None:
        """Sleep as a shell does: until the time it wants, or until the leg wants to be woken."""
        until = self.now + seconds
        while self._running and self.leg.wake_at <= until:
            self.now = max(self.now, self.leg.wake_at)
            self._tick()
        self.now = until

    @precondition(lambda self: self._running)
    @rule(seconds=st.floats(0.1, 100))
    def oversleep(self, seconds: float) -> None:
        """Wake too late, as a frozen process does."""
        self.now += seconds
        self._tick()

    def _tick(self) -> None:
        self._send(self.leg.tick(self.now, int(self.now * 1000)))
        assert not self._running or self.leg.wake_at > self.now

    @precondition(lambda self: self._running)
    @rule(reason=st.sampled_from([Reason.SHUTDOWN, Reason.TROUBLE]))
    def stop(self, reason: Reason) -> None:
        self._send(self.leg.stop(reason, self.now))

    # The line and the client.

    @rule(share=st.floats(0, 1))
    def deliver(self, share: float) -> None:
        self._receive(int(len(self.line) * share))

    def _receive(self, size: int) -> None:
        piece, self.line = self.line[:size], self.line[size:]
        for message in self.decoder.feed(piece):
            if message.type == WANTED:
                self.read.append(Cursor.parse(message.id).sequence)
            elif message.type == "stream":
                self._control(message.data)
        self.cursor = self.decoder.last_event_id

    def _control(self, data: str) -> None:
        fields = json.loads(data)
        self.state = fields["state"]
        if self.state == "reset":
            first, last = (Cursor.parse(fields[end]).sequence for end in ("from", "to"))
            self.lost.update(range(first + 1, last + 1))

    @rule(share=st.floats(0, 1))
    def cut(self, share: float) -> None:
        self._receive(int(len(self.line) * share))
        self._connect()

    @precondition(lambda self: not self._running)
    @rule()
    def come_back(self) -> None:
        self._receive(len(self.line))
        assert self.state in ("rotate", "error")
        self._connect()

    # What holds at every moment, and at the end.

    @invariant()
    def nothing_is_read_twice_or_out_of_order(self) -> None:
        assert self.read == sorted(set(self.read))
        assert self.lost.isdisjoint(self.read)

    @invariant()
    def the_cursor_is_never_beyond_what_was_read(self) -> None:
        if self.cursor:
            reached = Cursor.parse(self.cursor).sequence
            assert self.read == [number for number in self._wanted() if number <= reached]

    @invariant()
    def the_cursor_is_never_far_behind(self) -> None:
        if self._running:
            told = Cursor.parse(self.sent.last_event_id).sequence
            assert 0 <= self.place - told < CHECKPOINT_EVENTS
            assert self.lagging_since is None or self.now < self.lagging_since + CHECKPOINT_SECONDS

    def _wanted(self) -> list[int]:
        """The events that the client must have, had it read everything."""
        return [
            number
            for number, type in enumerate(self.log, 1)
            if type == WANTED and number > self.origin and number not in self.lost
        ]

    def teardown(self) -> None:
        """Let the client read to the end: it then has everything."""
        for _ in range(10_000):
            if not self._running:
                self.come_back()
            elif self.place < len(self.log) or not self.cursor:
                self.serve(100)
                self.deliver(1.0)
            else:
                break
        self.deliver(1.0)
        assert self.read == self._wanted()


TestFollower = Follower.TestCase
TestFollower.settings = settings(max_examples=150, stateful_step_count=40)

"""What one leg reads: its streams, how far it is in each, and whence the next bytes come.

From the tails' windows without waiting where they reach, else from the log. With several streams
every id is the vector of all positions (RULES 4), so frames are written again under it; with one,
all subscribers at a position share the very same bytes.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from lastevent.core.bounds import Reason
from lastevent.core.cursor import Cursor, name_hash, render_vector
from lastevent.core.leg import Leg
from lastevent.core.wire import with_id
from lastevent.serve.tail import Tail
from lastevent.serve.tally import Tally
from lastevent.serve.window import FRAME_ID, RUN_BYTES, Run, Types, run_of
from lastevent.stores.base import Page


@dataclass(slots=True, eq=False)
class Feed:
    """One stream of a leg, and the position up to which the leg has read it."""

    tail: Tail
    position: Cursor
    read_in: int | None = None
    """The tail's epoch when the log was last read to its end, which is here; None before."""

    unsent: tuple[Page, int] | None = None
    """What was read of the log and not sent, and the tail's epoch when it was read. It is of use
    where it begins at the position, which the window may have led on meanwhile."""

    @property
    def has_ended(self) -> bool:
        """Whether the log is closed and read to its end."""
        return self.tail.closed and self.position == self.tail.head

    @property
    def is_ahead(self) -> bool:
        """Whether the log has led here, where the tail will come too.

        Then there is nothing to read: to ask the log again would keep this leg ahead for ever, and
        have it read alone what the tail reads for all.
        """
        head = self.tail.head
        return (
            self.read_in == self.tail.epoch
            and self.position.generation == head.generation
            and self.position.sequence > head.sequence
        )


def position_text(feeds: Sequence[Feed]) -> str:
    """Return the cursor that the client carries for these positions."""
    if len(feeds) == 1:
        return str(feeds[0].position)
    return render_vector({feed.tail.stream: str(feed.position) for feed in feeds})


class Reader:
    """Moves ``leg`` along ``feeds``, passing over the types that are not in ``types``."""

    __slots__ = ("_feeds", "_leg", "_tally", "_types", "tails")

    def __init__(
        self, leg: Leg, feeds: Sequence[Feed], types: Types, tally: Tally | None = None
    ) -> None:
        self.tails = [feed.tail for feed in feeds]
        self._leg = leg
        self._feeds = feeds
        self._types = types
        self._tally = tally or Tally()

    @property
    def has_ended(self) -> bool:
        """Whether every log is closed and read to its end."""
        for feed in self._feeds:  # noqa: SIM110  # asked for each delivery: without a generator
            if not feed.tail.closed or not feed.has_ended:
                return False
        return True

    @property
    def is_stale(self) -> bool:
        """Whether a tail follows its log no more although this leg is not at its end."""
        return any(feed.tail.is_over and not feed.has_ended for feed in self._feeds)

    def gather(self, now: float) -> bytes | None:
        """Return what the windows hold next, perhaps nothing; None if the log must be read."""
        if len(self._feeds) == 1:
            return self._take(self._feeds[0], now)
        pieces = [self._take(feed, now) for feed in self._feeds if self._leg.stopped is None]
        data = b"".join(piece for piece in pieces if piece)
        return data if data or None not in pieces else None

    def _take(self, feed: Feed, now: float) -> bytes | None:
        """Return the next bytes of one window; of events that are passed over, none come."""
        if feed.position is feed.tail.head:
            return b""
        while (run := feed.tail.run(feed.position, self._types)) is not None and not run.is_empty:
            if data := self._move(feed, run, now):
                return data
        return b"" if run is not None or feed.is_ahead else None

    async def fetch(self) -> tuple[bytes, bool]:
        """Take the next piece of a log whose tail's window does not reach back to the position.

        Returns the bytes to send, and whether nothing more is there. Raises Transient.
        """
        nothing_more = True
        for feed in self._feeds:
            if feed.is_ahead or feed.tail.run(feed.position, self._types) is not None:
                continue
            if feed.unsent is None or feed.unsent[0].start != feed.position:
                epoch = feed.tail.epoch
                feed.unsent = await feed.tail.read(feed.position), epoch
            page, epoch = feed.unsent
            now = asyncio.get_running_loop().time()
            data = b""
            if page.truncated:
                before = position_text(self._feeds)
                feed.position = page.start
                data = self._leg.reset(before, position_text(self._feeds), now)
            room = self._leg.room
            limit = RUN_BYTES if room is None else min(room, RUN_BYTES)
            run, rest = run_of(page, self._types, limit)
            data += self._move(feed, run, now)
            feed.position = run.cursor
            feed.unsent = (rest, epoch) if rest.events else None
            if at_end := page.at_end and not rest.events:
                feed.read_in = epoch
            if data:
                return data, False
            nothing_more = nothing_more and at_end
        return b"", nothing_more

    def forget(self) -> None:
        """Let go of what was read and is not sent: it will be read again."""
        for feed in self._feeds:
            feed.unsent = None

    def _move(self, feed: Feed, run: Run, now: float) -> bytes:
        if run.is_empty:
            return b""
        room = self._leg.room
        if room is not None and len(run.joined) > room:
            return self._leg.stop(Reason.BYTES, now)
        feed.position = run.cursor
        self._tally.delivered += len(run.frames)
        if len(self._feeds) == 1:
            return self._leg.events(run.joined, run.text, run.passed_over, now)
        others = [other for other in self._feeds if other is not feed]
        begin = "~" + name_hash(feed.tail.stream)
        end = "." + render_vector({other.tail.stream: str(other.position) for other in others})
        frames = [with_id(begin + frame[FRAME_ID].decode() + end, frame) for frame in run.frames]
        return self._leg.events(b"".join(frames), position_text(self._feeds), run.passed_over, now)

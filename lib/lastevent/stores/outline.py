"""What a log keeps of a stream beside its events, and how an append changes it: in every store.

A backend loads a stream's Outline, has it admit an append, and writes the Outline that follows
together with the events, in one atomic step. Nothing here does IO.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, Fenced, InvalidRequest, StreamClosed, TooLarge
from lastevent.core.event import NewEvent
from lastevent.core.extent import Extent
from lastevent.stores.base import MAX_BATCH_EVENTS, MAX_BOOKMARK_BYTES, Retention

MAX_KEY_LENGTH = 255


def check_append(events: Sequence[NewEvent], key: str | None, bookmark: str | None) -> None:
    """Raise TooLarge or InvalidRequest for an append that no log takes."""
    if len(events) > MAX_BATCH_EVENTS:
        raise TooLarge(f"one append has at most {MAX_BATCH_EVENTS} events")
    if key is not None and not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise InvalidRequest(f"an idempotency key has 1 to {MAX_KEY_LENGTH} characters")
    if bookmark is not None:
        _check_bookmark(bookmark)


def _check_bookmark(bookmark: str) -> None:
    try:
        size = len(bookmark.encode())
    except UnicodeEncodeError as error:
        raise InvalidRequest("a bookmark holds half a surrogate pair") from error
    if size > MAX_BOOKMARK_BYTES:
        raise TooLarge(f"a bookmark has at most {MAX_BOOKMARK_BYTES} bytes")


class Outline(NamedTuple):
    """The state of a stream; as it is, of one that never existed.

    ``head``, ``proof`` and ``time`` (Unix ms) are the last event's; ``floor`` is the sequence of
    the first event that is stored, whether or not it has expired meanwhile. Generation and fence
    outlive a deletion.
    """

    exists: bool = False
    generation: int = 0
    previous: int = 0
    floor: int = 1
    head: int = 0
    proof: int = 0
    time: int = 0
    closed: bool = False
    fence: int = 0
    bookmark: str | None = None

    @property
    def end(self) -> Cursor:
        """The position of the log's end, as readers know it."""
        if not self.exists:
            return Cursor.after(self.generation)
        return Cursor(self.generation, self.head, self.proof)

    def extent(self, floor: int) -> Extent:
        """Return what readers see, when the first event that they may have is ``floor``."""
        if not self.exists:
            return Extent.absent(self.generation)
        return Extent(
            True,
            self.generation,
            self.previous,
            floor,
            self.end,
            self.closed,
            self.time,
            self.bookmark,
        )

    def admit(self, count: int, expect: Cursor | None, fence: int | None) -> None:
        """Raise Fenced, StreamClosed or Conflict, in this order, if ``count`` events may not come.

        An idempotency key is looked up before this (RULES 9).
        """
        if fence is not None and fence < self.fence:
            raise Fenced("a later holder of the lease writes to this stream")
        if self.closed and count:
            raise StreamClosed("the stream is closed and takes no more events")
        if expect is not None and expect != self.end:
            raise Conflict(f"the stream's end is {self.end}, not {expect}")

    def appended(
        self,
        count: int,
        proof: int,
        now_ms: int,
        fence: int | None,
        close: bool,
        bookmark: str | None,
    ) -> "Outline":
        """Return the outline after ``count`` more events; of a new generation if there was none.

        The time of the new events is its ``time``: the store's, and never earlier than the last.
        """
        if self.exists:
            before = self
        else:
            # Greater than the last even if the clock went back: a generation never returns.
            generation = max(now_ms, self.generation + 1)
            before = Outline(True, generation, self.generation, fence=self.fence)
        return Outline(
            True,
            before.generation,
            before.previous,
            before.floor,
            before.head + count,
            proof if count else before.proof,
            max(now_ms, before.time) if count else before.time,
            before.closed or close,
            max(before.fence, fence or 0),
            before.bookmark if bookmark is None else bookmark,
        )

    def deleted(self) -> "Outline":
        """Return the outline that stays when the stream is deleted."""
        return Outline(generation=self.generation, fence=self.fence)

    def first_kept(self, retention: Retention, now: float, time_of: Callable[[int], int]) -> int:
        """Return the sequence of the first event that ``retention`` keeps; head + 1 if none.

        ``now`` is in Unix seconds, ``time_of`` gives the time of a stored event by its sequence.
        Times never decrease, so what has expired is a prefix, and its end is found by bisection.
        """
        floor = max(self.floor, self.head - retention.max_events + 1)
        oldest = (now - retention.max_seconds) * 1000
        if floor > self.head or self.time < oldest:
            return self.head + 1
        if time_of(floor) >= oldest:
            return floor
        return floor + bisect_left(range(floor, self.head + 1), oldest, key=time_of)

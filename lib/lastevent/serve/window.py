"""A stream's newest frames in memory, and runs of them for subscribers.

Sequences are dense, so a frame's place in the window is its sequence less that of the first frame.
Subscribers hold positions, not copies: those that stand at the same place share one joined run.
"""

from bisect import bisect_right
from collections.abc import Sequence

from lastevent.core.cursor import CURSOR_LENGTH, Cursor
from lastevent.core.event import Event
from lastevent.core.wire import encode
from lastevent.stores.base import Page

WINDOW_BYTES = 4 * 2**20
WINDOW_EVENTS = 20_000
RUN_BYTES = 64 * 1024
"""Bytes in one send at most (RULES 19), but for a frame that is larger by itself."""

MAX_RUNS = 64
"""Joined runs that are kept for others at the same place, until the window moves."""

Types = frozenset[str] | None
"""The event types that a subscriber wants; None for all."""

FRAME_ID = slice(len("id: "), len("id: ") + CURSOR_LENGTH)


class Run:
    """Consecutive frames for one subscriber.

    ``joined`` is all frames as one piece, joined once for everybody who stands at this place.
    ``cursor`` is the position after the last event that was looked at, ``text`` its wire form.
    ``passed_over`` counts the events that the filter left out after the last frame. A run that
    ``is_empty`` moves nobody.
    """

    __slots__ = ("cursor", "frames", "is_empty", "joined", "passed_over", "text")

    def __init__(self, frames: Sequence[bytes], cursor: Cursor, passed_over: int = 0) -> None:
        self.frames = frames
        self.joined = b"".join(frames)
        self.cursor = cursor
        self.text = str(cursor)
        self.passed_over = passed_over
        self.is_empty = not frames and not passed_over


def run_of(page: Page, types: Types, room: int) -> tuple[Run, Page]:
    """Return the run of a page's events, and the page of those that it leaves.

    Of more than ``room`` bytes it is the beginning that fits, but at least one frame.
    """
    frames: list[bytes] = []
    passed_over = 0
    for index, event in enumerate(page.events):
        if types is None or event.type in types:
            frame = encode(event)
            room -= len(frame)
            if frames and room < 0:
                cursor = Cursor.parse(page.events[index - 1].id)
                rest = page._replace(events=page.events[index:], start=cursor, truncated=False)
                return Run(frames, cursor, passed_over), rest
            frames.append(frame)
            passed_over = 0
        else:
            passed_over += 1
    rest = page._replace(events=(), start=page.cursor, truncated=False)
    return Run(frames, page.cursor, passed_over), rest


class Window:
    """The newest frames of one generation of a stream; ``head`` is the position after the last."""

    __slots__ = ("_base", "_first", "_frames", "_offsets", "_runs", "_types", "head")

    def __init__(self, head: Cursor) -> None:
        self.head = head
        # The position before the first frame held. It is of the generation before, if the window
        # began when the stream did not exist; so the first frame's sequence is kept beside it.
        self._base = head
        self._first = head.sequence + 1
        self._frames: list[bytes] = []
        self._types: list[str] = []
        self._offsets: list[int] = [0]  # where each frame begins in the joined whole, and its end
        self._runs: dict[tuple[Cursor, Types], Run] = {}

    def extend(self, events: Sequence[Event], cursor: Cursor) -> None:
        """Take in the ``events`` that follow ``head`` without a hole, up to ``cursor``."""
        if not self._frames and events:
            self._first = cursor.sequence - len(events) + 1
        frames = [encode(event) for event in events]
        end = self._offsets[-1]
        for frame in frames:
            end += len(frame)
            self._offsets.append(end)
        self._frames += frames
        self._types += [event.type for event in events]
        self.head = cursor
        self._runs.clear()
        self._trim()

    def _trim(self) -> None:
        size = self._offsets[-1] - self._offsets[0]
        if size <= WINDOW_BYTES and len(self._frames) <= WINDOW_EVENTS:
            return
        # A quarter at once, since taking from the front of a list moves all that stays.
        keep_from = bisect_right(self._offsets, self._offsets[-1] - WINDOW_BYTES * 3 // 4)
        keep_from = max(keep_from, len(self._frames) - WINDOW_EVENTS * 3 // 4)
        keep_from = min(keep_from, len(self._frames))
        self._base = self._position(keep_from)
        self._first += keep_from
        del self._frames[:keep_from], self._types[:keep_from], self._offsets[:keep_from]

    def _position(self, index: int) -> Cursor:
        """Return the position before frame ``index``."""
        if index == len(self._frames):
            return self.head
        return (
            self._base if index == 0 else Cursor.parse(self._frames[index - 1][FRAME_ID].decode())
        )

    def _index(self, position: Cursor) -> int | None:
        """Return the place of the frame that follows ``position``, None if it is not held.

        A position that the window cannot prove (RULES 5) is not held: the log decides on it.
        """
        if position == self.head:
            return len(self._frames)
        if position == self._base:
            return 0
        index = position.sequence - self._first + 1
        if position.generation != self.head.generation or not 0 <= index <= len(self._frames):
            return None
        if index == 0:
            return 0 if position.sequence == 0 else None
        proven = self._frames[index - 1][FRAME_ID] == str(position).encode()
        return index if proven else None

    def run(self, position: Cursor, types: Types) -> Run | None:
        """Return what follows ``position``, at most RUN_BYTES; None if the log must be read."""
        found = self._runs.get((position, types))
        if found is None:
            begin = self._index(position)
            if begin is None:
                return None
            if len(self._runs) >= MAX_RUNS:
                self._runs.clear()
            found = self._runs[position, types] = self._cut(begin, types)
        return found

    def _cut(self, begin: int, types: Types) -> Run:
        limit = self._offsets[begin] + RUN_BYTES
        end = bisect_right(self._offsets, limit) - 1
        end = min(max(end, begin + 1), len(self._frames))
        cursor = self._position(end)
        if types is None:
            return Run(self._frames[begin:end], cursor)
        frames: list[bytes] = []
        last = begin
        for index in range(begin, end):
            if self._types[index] in types:
                frames.append(self._frames[index])
                last = index + 1
        return Run(frames, cursor, end - last)

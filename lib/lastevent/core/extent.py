"""What a store knows of a stream as a whole, and where a reader's cursor stands in it.

Every store answers a resume from here, so that all of them mean the same by "history was lost".
"""

from typing import NamedTuple

from lastevent.core.cursor import Cursor


class Place(NamedTuple):
    """Where a reader goes on: after ``position``.

    ``truncated``: events between the reader's cursor and ``position`` are lost to it. ``unproven``:
    the log still holds the cursor's own event, whose proof decides (RULES 5); when it differs, the
    reader's place is ``Extent.lost`` instead.
    """

    position: Cursor
    truncated: bool = False
    unproven: bool = False


class Extent(NamedTuple):
    """A stream's outline.

    ``generation`` is the present one, or of a stream that does not exist the last that is known (0:
    none); ``previous`` is the one before it. ``floor`` is the sequence of the first event kept,
    ``head`` the position of the last event ever appended, kept longer than the event (RULES 6),
    and ``time`` when that was (Unix ms; 0: not known). ``bookmark`` is the text that came with an
    append last: how far the stream's source has been read (RULES 15).
    """

    exists: bool
    generation: int
    previous: int
    floor: int
    head: Cursor
    closed: bool
    time: int = 0
    bookmark: str | None = None

    @classmethod
    def absent(cls, generation: int = 0) -> "Extent":
        """Return the outline of a stream that does not exist, after ``generation``."""
        return cls(False, generation, 0, 1, Cursor.after(generation), False)

    @property
    def start(self) -> Cursor:
        """The position before the first event kept."""
        if not self.exists or self.floor > self.head.sequence:
            return self.head
        return Cursor(self.generation, self.floor - 1)

    @property
    def lost(self) -> Place:
        """The place of a reader whose cursor says nothing about this log."""
        return Place(self.start, truncated=True)

    def newest(self, count: int) -> Cursor:
        """Return the position before the newest ``count`` events kept."""
        if not self.exists or count <= 0:
            return self.head
        first = max(self.floor, self.head.sequence - count + 1)
        return self.start if first == self.floor else Cursor(self.generation, first - 1)

    def place(self, cursor: Cursor | None) -> Place:
        """Return where a reader with ``cursor`` goes on; None reads from the start.

        A reader without a cursor has no history to lose, yet hears whether the beginning is gone.
        """
        if cursor is None:
            return Place(self.start, truncated=self.exists and self.floor > 1)
        if not self.exists:
            return Place(self.head) if cursor == self.head else self.lost
        if cursor.is_after_generation:
            # It waited for this stream to be created; it has missed what is trimmed since.
            if cursor.generation != self.previous:
                return self.lost
            return Place(self.start, truncated=self.floor > 1)
        if cursor.generation != self.generation or cursor.sequence > self.head.sequence:
            return self.lost
        if cursor.sequence < self.floor - 1:
            return self.lost
        if cursor.sequence == self.head.sequence:
            proven = cursor.proof in (0, self.head.proof)
            return Place(self.head) if proven else self.lost
        held = cursor.sequence >= self.floor
        return Place(cursor, unproven=held and cursor.proof != 0)

"""Outlines and events as rows; always within a transaction that the caller has begun."""

import sqlite3

from lastevent.core.errors import StoreUnavailable
from lastevent.stores.base import Retention
from lastevent.stores.outline import Outline
from lastevent.stores.sqlite.schema import MAX_SEQUENCE, MAX_STREAM, SEQUENCE_BITS

MAX_REMOVED = 1000
"""Events whose rows are removed at once; the rows of more go little by little (sweep)."""

_NEXT = "(SELECT coalesce(max(change), 0) + 1 FROM streams)"
"""The number of the next change of any stream."""


def row_id(number: int, sequence: int) -> int:
    """Return the row number of an event: of the stream ``number``, its ``sequence``."""
    return number << SEQUENCE_BITS | sequence


def load(db: sqlite3.Connection, stream: str) -> tuple[int, Outline]:
    """Return the stream's number and outline; 0 and an empty outline if nothing is known of it."""
    row = db.execute(
        "SELECT id, present, generation, previous, floor, head, proof, time, closed, fence,"
        " bookmark FROM streams WHERE name = ?",
        (stream,),
    ).fetchone()
    if row is None:
        return 0, Outline()
    number, present, generation, previous, floor, head, proof, time, closed, *rest = row
    return number, Outline(
        bool(present), generation, previous, floor, head, proof, time, bool(closed), *rest
    )


def create(db: sqlite3.Connection, stream: str, outline: Outline, now_ms: int) -> int:
    """Write the outline of a stream that is made, for the first time or again; return its number.

    Raises StoreUnavailable when the numbers are used up.
    """
    number = db.execute(
        "INSERT OR REPLACE INTO streams (present, generation, previous, floor, head, proof, time,"
        " closed, fence, bookmark, touched, name, change)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, {_NEXT})",
        (*_values(outline), now_ms, stream),
    ).lastrowid
    if number is None or not _fits(number, outline):
        raise StoreUnavailable("the database has no numbers left for events: begin a new one")
    return number


def update(db: sqlite3.Connection, number: int, outline: Outline, now_ms: int) -> None:
    """Write the outline of a stream that has changed. Raises as create does."""
    if not _fits(number, outline):
        raise StoreUnavailable("the stream has no numbers left for events: begin a new one")
    db.execute(
        "UPDATE streams SET present = ?, generation = ?, previous = ?, floor = ?, head = ?,"
        " proof = ?, time = ?, closed = ?, fence = ?, bookmark = ?, touched = ?,"
        f" change = {_NEXT} WHERE id = ?",
        (*_values(outline), now_ms, number),
    )


def trim(db: sqlite3.Connection, number: int, floor: int) -> None:
    """Move a stream's floor. Nobody waits for that."""
    db.execute("UPDATE streams SET floor = ? WHERE id = ?", (floor, number))


def forget(db: sqlite3.Connection, number: int) -> None:
    """Remove the outline of a stream; that of the last change stays, for the count of changes."""
    db.execute(f"DELETE FROM streams WHERE id = ? AND change < {_NEXT} - 1", (number,))


def first_kept(
    db: sqlite3.Connection, number: int, outline: Outline, retention: Retention, now: float
) -> int:
    """Return the sequence of the first event that readers may have, by Unix seconds ``now``."""

    def time_of(sequence: int) -> int:
        row = db.execute("SELECT time FROM events WHERE id = ?", (row_id(number, sequence),))
        return int(row.fetchone()[0])

    return outline.first_kept(retention, now, time_of)


def remove(db: sqlite3.Connection, number: int, first: int, last: int) -> None:
    """Remove the rows of these events, or note that it is to be done if they are many."""
    if first > last:
        return
    range = row_id(number, first), row_id(number, last)
    if last - first < MAX_REMOVED:
        db.execute("DELETE FROM events WHERE id BETWEEN ? AND ?", range)
    else:
        db.execute("INSERT INTO leftovers (first, last) VALUES (?, ?)", range)


def _values(outline: Outline) -> tuple[int | str | None, ...]:
    return (
        outline.exists,
        outline.generation,
        outline.previous,
        outline.floor,
        outline.head,
        outline.proof,
        outline.time,
        outline.closed,
        outline.fence,
        outline.bookmark,
    )


def _fits(number: int, outline: Outline) -> bool:
    """Whether the row numbers stay within the stream's own range."""
    return number <= MAX_STREAM and outline.head <= MAX_SEQUENCE

"""How outlines and events are read and written, within a transaction that the caller has begun."""

import sqlite3

from lastevent.core.errors import StoreUnavailable
from lastevent.stores.base import RetentionRules
from lastevent.stores.outline import Outline
from lastevent.stores.sqlite.schema import MAX_STREAM, SEQUENCE_BITS

MAX_REMOVED = 1000
"""Events whose rows are removed at once; of more, the rows go little by little (sweep)."""

_COLUMNS = "present, generation, previous, floor, head, proof, time, closed, fence"


def row_id(number: int, sequence: int) -> int:
    """Return the row number of an event: of the stream ``number``, its ``sequence``."""
    return number << SEQUENCE_BITS | sequence


def load(db: sqlite3.Connection, stream: str) -> tuple[int, Outline]:
    """Return the stream's number and outline; 0 and an empty outline if nothing is known of it."""
    row = db.execute(f"SELECT id, {_COLUMNS} FROM streams WHERE name = ?", (stream,)).fetchone()
    return outline_of(row) if row else (0, Outline())


def outline_of(row: tuple[int, ...]) -> tuple[int, Outline]:
    """Return number and outline of a row of both."""
    number, present, generation, previous, floor, head, proof, time, closed, fence = row
    return number, Outline(
        bool(present), generation, previous, floor, head, proof, time, bool(closed), fence
    )

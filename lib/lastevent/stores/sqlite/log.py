"""The log in SQLite: outlines, events and idempotency keys; see schema for how they lie."""

import json
import random
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.core.errors import KeyReused, StoreUnavailable
from lastevent.core.event import Event, NewEvent, digest
from lastevent.core.extent import Extent
from lastevent.stores.base import KEY_SECONDS, Appended, Clock, Page, RetentionRules
from lastevent.stores.outline import Outline, check_append
from lastevent.stores.sqlite.engine import Engine
from lastevent.stores.sqlite.schema import MAX_SEQUENCE, MAX_STREAM, SEQUENCE_BITS

MAX_PAGE_CHARACTERS = 4 * 1024 * 1024
"""Data in one page; the event that goes over it is the last."""

MAX_REMOVED = 1000
"""Events that one call removes at once; of more, the rows go little by little (sweep)."""

_OUTLINE = (
    "SELECT id, present, generation, previous, floor, head, proof, time, closed, fence"
    " FROM streams WHERE name = ?"
)


def load(db: sqlite3.Connection, stream: str) -> tuple[int, Outline]:
    """Return the stream's number and outline; 0 and an empty outline if nothing is known of it."""
    row = db.execute(_OUTLINE, (stream,)).fetchone()
    if row is None:
        return 0, Outline()
    number, present, generation, previous, floor, head, proof, time, closed, fence = row
    return number, Outline(
        bool(present), generation, previous, floor, head, proof, time, bool(closed), fence
    )


def save(db: sqlite3.Connection, number: int, outline: Outline, now_ms: int) -> None:
    """Write the outline of a stream that is there."""
    db.execute(
        "UPDATE streams SET present = ?, generation = ?, previous = ?, floor = ?, head = ?,"
        " proof = ?, time = ?, closed = ?, fence = ?, touched = ? WHERE id = ?",
        (*_columns(outline), now_ms, number),
    )


def create(db: sqlite3.Connection, stream: str, outline: Outline, now_ms: int) -> int:
    """Write the outline of a stream that is new, or made again; return its number."""
    number = db.execute(
        "INSERT OR REPLACE INTO streams (name, present, generation, previous, floor, head, proof,"
        " time, closed, fence, touched) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (stream, *_columns(outline), now_ms),
    ).lastrowid
    if number is None or number > MAX_STREAM:
        raise StoreUnavailable("the database is out of numbers for streams: begin a new one")
    return number


def _columns(outline: Outline) -> tuple[int, ...]:
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
    )


def row_id(number: int, sequence: int) -> int:
    """Return the row number of a stream's event."""
    return number << SEQUENCE_BITS | sequence


def first_kept(
    db: sqlite3.Connection, number: int, outline: Outline, rules: RetentionRules, name: str, now: float
) -> int:
    ...

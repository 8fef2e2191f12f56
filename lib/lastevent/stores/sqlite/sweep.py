"""What nobody appends to expires too: a sweep removes it piece by piece.

A piece is some hundred rows, in a transaction that is over in milliseconds, so that calls never
wait long. Each process sweeps for itself; what another has removed is not there any more.
"""

import sqlite3

from lastevent.stores.base import EXTENT_SECONDS, KEY_SECONDS, Clock, RetentionRules
from lastevent.stores.sqlite.rows import MAX_REMOVED, first_kept, forget, load, remove, trim

PIECE = 500
"""Streams, keys, leases or records looked at in one piece."""


class Sweep:
    """One round: call it until it returns False."""

    def __init__(self, retention: RetentionRules, clock: Clock) -> None:
        self._retention = retention
        self._clock = clock
        self._steps = (
            self._trim_streams,
            self._remove_leftovers,
            self._remove_keys,
            self._remove_leases,
            self._remove_records,
        )
        self._step = 0
        self._seen = 0  # streams up to this number have had their turn in this round

    def __call__(self, db: sqlite3.Connection) -> bool:
        """Do a piece; return whether there is more to do in this round."""
        is_more = self._steps[self._step](db, self._clock())
        if not is_more:
            self._step = (self._step + 1) % len(self._steps)
        return is_more or self._step > 0

    def _trim_streams(self, db: sqlite3.Connection, now: float) -> bool:
        rows = db.execute(
            "SELECT id, name, touched FROM streams WHERE id > ? ORDER BY id LIMIT ?",
            (self._seen, PIECE),
        ).fetchall()
        room = MAX_REMOVED
        for number, name, touched in rows:
            self._seen = number
            retention = self._retention.of(name)
            _, outline = load(db, name)
            floor = first_kept(db, number, outline, retention, now)
            if floor > outline.floor:
                remove(db, number, outline.floor, floor - 1)
                trim(db, number, floor)
                room -= floor - outline.floor
            if touched / 1000 + retention.max_seconds + EXTENT_SECONDS < now:
                forget(db, number)
            if room <= 0:
                return True
        if len(rows) == PIECE:
            return True
        self._seen = 0
        return False

    def _remove_leftovers(self, db: sqlite3.Connection, now: float) -> bool:
        row = db.execute("SELECT first, last FROM leftovers LIMIT 1").fetchone()
        if row is None:
            return False
        first, last = row
        end = min(first + MAX_REMOVED, last + 1)
        db.execute("DELETE FROM events WHERE id >= ? AND id < ?", (first, end))
        if end > last:
            db.execute("DELETE FROM leftovers WHERE first = ?", (first,))
        else:
            db.execute("UPDATE leftovers SET first = ? WHERE first = ?", (end, first))
        return True

    def _remove_keys(self, db: sqlite3.Connection, now: float) -> bool:
        removed = db.execute(
            "DELETE FROM keys WHERE id IN"
            " (SELECT id FROM (SELECT id, time FROM keys ORDER BY id LIMIT ?) WHERE time <= ?)",
            (PIECE, int((now - KEY_SECONDS) * 1000)),
        )
        return removed.rowcount == PIECE

    def _remove_leases(self, db: sqlite3.Connection, now: float) -> bool:
        removed = db.execute(
            "DELETE FROM leases WHERE token IN"
            " (SELECT token FROM leases WHERE expires <= ? LIMIT ?)",
            (int(now * 1000), PIECE),
        )
        return removed.rowcount == PIECE

    def _remove_records(self, db: sqlite3.Connection, now: float) -> bool:
        removed = db.execute(
            "DELETE FROM records WHERE rowid IN"
            " (SELECT rowid FROM records WHERE expires <= ? LIMIT ?)",
            (int(now * 1000), PIECE),
        )
        return removed.rowcount == PIECE

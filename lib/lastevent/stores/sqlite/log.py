"""The log in SQLite. See schema for how it lies in the tables."""

import json
import random
import sqlite3
from collections.abc import Sequence

from lastevent.core.cursor import MAX_PROOF, Cursor
from lastevent.core.errors import KeyReused
from lastevent.core.event import Event, NewEvent, digest
from lastevent.core.extent import Extent
from lastevent.stores.base import KEY_SECONDS, Appended, Clock, Page, RetentionRules
from lastevent.stores.outline import Outline, check_append
from lastevent.stores.sqlite.engine import Engine
from lastevent.stores.sqlite.rows import create, first_kept, load, remove, row_id, update

MAX_PAGE_CHARACTERS = 4 * 1024 * 1024
"""Data in one page, so that pages of large events stay small. The event that exceeds it is in."""


class SqliteLog:
    """base.EventLog."""

    def __init__(self, engine: Engine, retention: RetentionRules, clock: Clock) -> None:
        self._engine = engine
        self._retention = retention
        self._clock = clock

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        key: str | None = None,
        expect: Cursor | None = None,
        fence: int | None = None,
        close: bool = False,
        bookmark: str | None = None,
    ) -> Appended:
        check_append(events, key, bookmark)
        keyed = None if key is None else (key, digest(events, close))

        def work(db: sqlite3.Connection) -> Appended:
            return self._append(db, stream, events, keyed, expect, fence, close, bookmark)

        return await self._engine.write(work, stream)

    async def read(self, stream: str, after: Cursor | None, limit: int = 500) -> Page:
        return await self._engine.read(lambda db: self._page(db, stream, after, limit))

    async def describe(self, stream: str) -> Extent:
        return await self._engine.read(lambda db: self._extent(db, stream)[1])

    async def delete(self, stream: str) -> bool:
        return await self._engine.write(lambda db: self._delete(db, stream), stream)

    def _append(
        self,
        db: sqlite3.Connection,
        stream: str,
        events: Sequence[NewEvent],
        keyed: tuple[str, bytes] | None,
        expect: Cursor | None,
        fence: int | None,
        close: bool,
        bookmark: str | None,
    ) -> Appended:
        now = self._clock()
        now_ms = int(now * 1000)
        number, before = load(db, stream)
        if keyed and before.exists and (first := _answer(db, number, before, keyed, now_ms)):
            return first
        before.admit(len(events), expect, fence)

        proof = random.randint(1, MAX_PROOF)
        outline = before.appended(len(events), proof, now_ms, fence, close, bookmark)
        if not before.exists:
            number = create(db, stream, outline, now_ms)
        base = row_id(number, outline.head - len(events) + 1)
        db.executemany(
            "INSERT INTO events (id, proof, time, type, data, headers) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (id, proof, outline.time, event.type, event.data, _headers_text(event))
                for id, event in enumerate(events, base)
            ],
        )
        floor = first_kept(db, number, outline, self._retention.of(stream), now)
        remove(db, number, outline.floor, floor - 1)
        update(db, number, outline._replace(floor=floor), now_ms)
        if keyed:
            db.execute(
                "INSERT OR REPLACE INTO keys (stream, key, digest, last, proof, count, closed,"
                " time) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (number, *keyed, outline.head, outline.proof, len(events), outline.closed, now_ms),
            )
        return Appended.up_to(outline.end, len(events), outline.closed)

    def _page(self, db: sqlite3.Connection, stream: str, after: Cursor | None, limit: int) -> Page:
        number, extent = self._extent(db, stream)
        place = extent.place(after)
        if place.unproven:
            own = row_id(number, place.position.sequence)
            row = db.execute("SELECT proof FROM events WHERE id = ?", (own,)).fetchone()
            if row[0] != place.position.proof:
                place = extent.lost
        head, closed = extent.head, extent.closed
        if place.position == head:
            return Page((), head, head, head, closed, place.truncated)

        base = row_id(number, 0)
        rows = db.execute(
            "SELECT id, proof, type, data, time, headers FROM events"
            " WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
            (base + place.position.sequence, base + head.sequence, limit),
        )
        prefix = f"{extent.generation:012x}"  # Cursor.__str__, without making a Cursor of each
        events = []
        room = MAX_PAGE_CHARACTERS
        for number, proof, type, data, time, headers in rows:
            id = f"{prefix}{number - base:010x}{proof:04x}"
            if headers is None:
                events.append(Event(id, type, data, time))
            else:
                events.append(Event(id, type, data, time, json.loads(headers)))
            room -= len(data)
            if room < 0:
                break
        cursor = Cursor.parse(events[-1].id) if events else place.position
        return Page(tuple(events), place.position, cursor, head, closed, place.truncated)

    def _extent(self, db: sqlite3.Connection, stream: str) -> tuple[int, Extent]:
        number, outline = load(db, stream)
        floor = first_kept(db, number, outline, self._retention.of(stream), self._clock())
        return number, outline.extent(floor)

    def _delete(self, db: sqlite3.Connection, stream: str) -> bool:
        number, outline = load(db, stream)
        if outline.exists:
            remove(db, number, outline.floor, outline.head)
            # Its keys are bound to its number, which a stream of this name does not get again.
            update(db, number, outline.deleted(), int(self._clock() * 1000))
        return outline.exists


def _answer(
    db: sqlite3.Connection, number: int, outline: Outline, keyed: tuple[str, bytes], now_ms: int
) -> Appended | None:
    """Return what this key was answered within a day, if it came; raise KeyReused."""
    key, said = keyed
    row = db.execute(
        "SELECT digest, last, proof, count, closed FROM keys"
        " WHERE stream = ? AND key = ? AND time > ?",
        (number, key, now_ms - KEY_SECONDS * 1000),
    ).fetchone()
    if row is None:
        return None
    first_said, last, proof, count, closed = row
    if first_said != said:
        raise KeyReused("this idempotency key came before, with other events")
    return Appended.up_to(
        Cursor(outline.generation, last, proof), count, bool(closed), repeated=True
    )


def _headers_text(event: NewEvent) -> str | None:
    if not event.headers:
        return None
    return json.dumps(dict(event.headers), ensure_ascii=False, separators=(",", ":"))

"""Records in SQLite."""

import sqlite3
from itertools import takewhile

from lastevent.core.errors import Conflict
from lastevent.stores.base import Clock, Record
from lastevent.stores.sqlite.engine import Engine

_SELECT = "SELECT kind, id, version, value, updated FROM records WHERE kind = ?"
_LIVING = " AND (expires IS NULL OR expires > ?)"


class SqliteRecords:
    """base.Records."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def get(self, kind: str, id: str) -> Record | None:
        return await self._engine.read(lambda db: self._get(db, kind, id))

    async def put(
        self,
        kind: str,
        id: str,
        value: str,
        *,
        expect: int | None = None,
        seconds: float | None = None,
    ) -> Record:
        return await self._engine.write(lambda db: self._put(db, kind, id, value, expect, seconds))

    async def query(
        self, kind: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> list[Record]:
        def work(db: sqlite3.Connection) -> list[Record]:
            rows = db.execute(
                f"{_SELECT}{_LIVING} AND id >= ? AND id > ? ORDER BY id LIMIT ?",
                (kind, self._now_ms(), prefix, after, limit),
            )
            # Ids with a common beginning lie side by side: the first other one ends them.
            return list(
                takewhile(lambda it: it.id.startswith(prefix), (Record(*row) for row in rows))
            )

        return await self._engine.read(work)

    async def delete(self, kind: str, id: str, *, expect: int | None = None) -> bool:
        return await self._engine.write(lambda db: self._delete(db, kind, id, expect))

    def _get(self, db: sqlite3.Connection, kind: str, id: str) -> Record | None:
        row = db.execute(f"{_SELECT}{_LIVING} AND id = ?", (kind, self._now_ms(), id)).fetchone()
        return Record(*row) if row else None

    def _put(
        self,
        db: sqlite3.Connection,
        kind: str,
        id: str,
        value: str,
        expect: int | None,
        seconds: float | None,
    ) -> Record:
        version = self._version(db, kind, id, expect) + 1
        record = Record(kind, id, version, value, self._now_ms())
        expires = None if seconds is None else self._now_ms(seconds)
        db.execute(
            "INSERT OR REPLACE INTO records (kind, id, version, value, updated, expires)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (kind, id, version, value, record.updated, expires),
        )
        return record

    def _delete(self, db: sqlite3.Connection, kind: str, id: str, expect: int | None) -> bool:
        version = self._version(db, kind, id, expect)
        db.execute("DELETE FROM records WHERE kind = ? AND id = ?", (kind, id))
        return version > 0

    def _version(self, db: sqlite3.Connection, kind: str, id: str, expect: int | None) -> int:
        """Return the version that is there, 0 for none; raise Conflict for another expectation."""
        record = self._get(db, kind, id)
        version = record.version if record else 0
        if expect is not None and expect != version:
            raise Conflict(f"the document has version {version}, not {expect}")
        return version

    def _now_ms(self, later: float = 0.0) -> int:
        return int((self._clock() + later) * 1000)

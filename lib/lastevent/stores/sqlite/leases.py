"""Leases in SQLite, on the clock of the processes that share the file, which is one machine's."""

import sqlite3

from lastevent.stores.base import Clock, Lease
from lastevent.stores.sqlite.engine import Engine


class SqliteLeases:
    """base.Leases. A token is its row's number, which SQLite never gives out again."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        held = await self._engine.read(lambda db: self._held(db, name))
        if held is not None and held.holder != holder:
            return None  # nothing was written
        return await self._engine.write(lambda db: self._acquire(db, name, holder, seconds))

    async def renew(self, lease: Lease, seconds: float) -> bool:
        return await self._engine.write(lambda db: self._renew(db, lease, seconds))

    async def release(self, lease: Lease) -> None:
        await self._engine.write(
            lambda db: db.execute("DELETE FROM leases WHERE token = ?", (lease.token,))
        )

    def _held(self, db: sqlite3.Connection, name: str) -> Lease | None:
        row = db.execute(
            "SELECT holder, token FROM leases WHERE name = ? AND expires > ?",
            (name, self._now_ms()),
        ).fetchone()
        return Lease(name, *row) if row else None

    def _acquire(
        self, db: sqlite3.Connection, name: str, holder: str, seconds: float
    ) -> Lease | None:
        held = self._held(db, name)
        if held is not None:
            is_own = held.holder == holder and self._renew(db, held, seconds)
            return held if is_own else None
        token = db.execute(
            "INSERT OR REPLACE INTO leases (name, holder, expires) VALUES (?, ?, ?)",
            (name, holder, self._now_ms(seconds)),
        ).lastrowid
        assert token is not None
        return Lease(name, holder, token)

    def _renew(self, db: sqlite3.Connection, lease: Lease, seconds: float) -> bool:
        renewed = db.execute(
            "UPDATE leases SET expires = ? WHERE token = ? AND expires > ?",
            (self._now_ms(seconds), lease.token, self._now_ms()),
        )
        return renewed.rowcount > 0

    def _now_ms(self, later: float = 0.0) -> int:
        return int((self._clock() + later) * 1000)

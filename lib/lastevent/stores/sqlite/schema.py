"""The tables of the SQLite store, and connections to them.

An event's row number is its stream's number and its sequence, one behind the other. So the events
of a stream lie side by side in the table's own B-tree: reading on from a cursor is one seek and a
walk, and appending needs no second index. (A WITHOUT ROWID table keyed by both would do as much for
small rows only: it keeps content in the inner pages.)

All times are Unix milliseconds.
"""

import sqlite3
import time
from pathlib import Path

from lastevent.core.errors import ConfigError

VERSION = 3
"""``PRAGMA user_version`` of a database with these tables."""

SEQUENCE_BITS = 36
"""Of a row number's 63: 2^36 events a stream and 2^27 streams, more than a disk holds of either."""

MAX_SEQUENCE = (1 << SEQUENCE_BITS) - 1
MAX_STREAM = (1 << 63 - SEQUENCE_BITS) - 1

_TABLES = """
-- A stream that is made again gets a new number (AUTOINCREMENT: never one that was in use), so that
-- rows and keys which are left of the old one are not its own. Changes are counted over all
-- streams, so that who watches finds those that have changed among however many. The bookmark is
-- last, since a long one lies on pages of its own, which who wants the rest does not touch.
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    present INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    previous INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    head INTEGER NOT NULL,
    proof INTEGER NOT NULL,
    time INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    change INTEGER NOT NULL UNIQUE,
    bookmark TEXT
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    proof INTEGER NOT NULL,
    time INTEGER NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    headers TEXT
) STRICT;

-- Row numbers of events that nobody sees any more, to be removed bit by bit.
CREATE TABLE leftovers (first INTEGER PRIMARY KEY, last INTEGER NOT NULL) STRICT;

-- Idempotency keys with the first answer: count events up to last, all with this proof. They are
-- numbered as they come, so that the oldest are found without an index of times.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    key TEXT NOT NULL,
    digest BLOB NOT NULL,
    last INTEGER NOT NULL,
    proof INTEGER NOT NULL,
    count INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    time INTEGER NOT NULL,
    UNIQUE (stream, key)
) STRICT;

-- AUTOINCREMENT: a token never comes again, though its row goes.
CREATE TABLE leases (
    token INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    holder TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT;

CREATE TABLE records (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL,
    updated INTEGER NOT NULL,
    expires INTEGER,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX records_expires ON records (expires) WHERE expires IS NOT NULL;
"""

_STEPS = {0: _TABLES, 2: "ALTER TABLE streams ADD COLUMN bookmark TEXT"}
"""What makes a database of an earlier version one of this; 0 is a new one."""


def connect(path: Path, busy_seconds: float, *, readonly: bool = False) -> sqlite3.Connection:
    """Return a connection that waits ``busy_seconds`` for others; make the database if need be.

    A database of an earlier version is brought up to this one. Raises ConfigError for one of a
    later or unknown version, and what sqlite3 and the file system raise. Transactions are begun and
    ended by hand. To be used and closed in one thread.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
    try:
        _use_write_ahead_log(db, busy_seconds)
        # FULL: an acknowledged event survives the loss of power (RULES 11).
        db.execute("PRAGMA synchronous = FULL")
        _bring_up_to_date(db)
        if readonly:
            db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def _use_write_ahead_log(db: sqlite3.Connection, busy_seconds: float) -> None:
    """Switch to WAL, for good: readers and a writer do not wait for each other then.

    SQLite does not wait on its own while another connection is making the switch.
    """
    give_up = time.monotonic() + busy_seconds
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    if _version(db) in _STEPS:
        db.execute("BEGIN IMMEDIATE")
        try:
            if (steps := _STEPS.get(_version(db))) is not None:  # and no other process was faster
                for statement in steps.split(";\n"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    if (found := _version(db)) != VERSION:
        raise ConfigError(
            f"the database is of version {found}, and this Lastevent reads version {VERSION}: "
            "name another file in the store's URL, or use the Lastevent that wrote it"
        )


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])

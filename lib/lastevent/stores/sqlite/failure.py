"""What sqlite3 and the file system raise, as errors of ours. No message holds a path."""

import sqlite3

from lastevent.core.errors import StoreUnavailable, Transient

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_SENTENCES = {
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened: its directory must be writable",
    sqlite3.SQLITE_READONLY: "the database cannot be written: see the permissions of its file",
    sqlite3.SQLITE_PERM: "the database cannot be opened: see the permissions of its file",
    sqlite3.SQLITE_FULL: "the database's disk is full",
    sqlite3.SQLITE_IOERR: "the database's disk fails",
    sqlite3.SQLITE_CORRUPT: "the database is damaged",
    sqlite3.SQLITE_NOTADB: "the file in the place of the database is something else",
}


def translated(error: Exception) -> Exception:
    """Return a new error of the store's for ``error``, or ``error`` itself if it is not of a kind.

    New for each caller: an exception that several tasks raise would collect all their tracebacks.
    """
    found: Exception
    if isinstance(error, sqlite3.Error):
        # The lowest byte is the primary code (sqlite.org/rescode.html).
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BUSY:
            found = Transient("the database is busy with another process")
        else:
            found = StoreUnavailable(_SENTENCES.get(code, "the database failed"))
    elif isinstance(error, OSError):
        found = StoreUnavailable("the database's directory cannot be made or entered")
    else:
        return error
    found.__cause__ = error
    return found

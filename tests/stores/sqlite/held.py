"""An engine whose writing thread can be held, so that calls pile up behind it."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from lastevent.stores.sqlite.engine import Engine
from tests.stores.harness import WAIT_SECONDS


@asynccontextmanager
async def held(engine: Engine) -> AsyncIterator[None]:
    """Hold the writing thread in the block; what is called there makes one group, at its end."""
    is_reached, is_over = threading.Event(), threading.Event()

    def work(db: sqlite3.Connection) -> None:
        is_reached.set()
        is_over.wait(WAIT_SECONDS)

    call = asyncio.create_task(engine.write(work))
    await asyncio.to_thread(is_reached.wait, WAIT_SECONDS)
    try:
        yield
        await asyncio.sleep(0)  # tasks made in the block begin, and call
    finally:
        is_over.set()
        await call


def insert(text: str) -> Callable[[sqlite3.Connection], str]:
    """Return work that writes a row, which can be there once only; it returns the text."""

    def work(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO records VALUES ('k', ?, 1, '', 0, NULL)", (text,))
        return text

    return work


def rows(path: Path) -> list[str]:
    """Return the texts of the rows in the file."""
    with closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT id FROM records ORDER BY id")]


def plain_engine(path: Path, *, call_seconds: float = 10.0, max_waiting: int = 1024) -> Engine:
    """Return an engine that sweeps nothing and reports to nobody."""
    return Engine(
        path,
        moved=lambda streams: None,
        sweep=lambda db: False,
        call_seconds=call_seconds,
        max_waiting=max_waiting,
    )

"""A file of the test's own, a store in it, and another process's connection to it."""

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lastevent.stores.base import RetentionRules, Store
from lastevent.stores.sqlite import open_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "test.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    """A store that waits half a second for other writers."""
    store = open_file(path, RetentionRules(), time.time, busy_seconds=0.5)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def other(store: Store, path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        yield db

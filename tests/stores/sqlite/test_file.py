"""The file: durability, versions, several at once, paths that cannot be used."""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import ConfigError, Fenced, StoreUnavailable
from lastevent.stores.base import Appended, RetentionRules
from lastevent.stores.sqlite import open_file
from tests.stores.harness import (
    WAIT_SECONDS,
    append,
    notes,
    texts_after,
)
from tests.stores.sqlite.held import insert, plain_engine


async def test_what_is_acknowledged_is_on_the_disk(path: Path) -> None:
    engine = plain_engine(path)
    pragma = "PRAGMA synchronous"
    assert await engine.write(lambda db: db.execute(pragma).fetchone()) == (2,), "FULL (RULES 11)"
    await engine.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_reading_threads_cannot_write(path: Path) -> None:
    engine = plain_engine(path)
    with pytest.raises(StoreUnavailable):
        await engine.read(insert("x"))
    await engine.close()


async def test_data_survives_the_store(path: Path) -> None:
    for n in range(3):
        store = open_file(path, RetentionRules(), time.time)
        await append(store, "s", n)
        await store.close()
    store = open_file(path, RetentionRules(), time.time)
    assert await texts_after(store, "s") == ["0", "1", "2"]
    await store.close()


async def test_many_open_a_new_file_at_once(path: Path) -> None:
    stores = [open_file(path, RetentionRules(), time.time) for _ in range(8)]
    await asyncio.gather(*(store.prepare() for store in stores))
    await asyncio.gather(*(append(store, "s", n) for n, store in enumerate(stores)))
    assert sorted(await texts_after(stores[0], "s")) == list("01234567")
    await asyncio.gather(*(store.close() for store in stores))


async def make_version_2(path: Path) -> Appended:
    """Make a database as it was before streams had bookmarks, with one stream."""
    store = open_file(path, RetentionRules(), time.time)
    answer = await store.log.append("s", notes(1, 2), key="k", fence=5)
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("ALTER TABLE streams DROP COLUMN bookmark")
        db.execute("PRAGMA user_version = 2")
    return answer


async def test_a_database_of_version_2_is_brought_up_to_date(path: Path) -> None:
    before = await make_version_2(path)
    for expected in (None, "two"):
        store = open_file(path, RetentionRules(), time.time)
        extent = await store.log.describe("s")
        assert (extent.head, extent.bookmark) == (before.cursor, expected)
        assert (await store.log.append("s", notes(1, 2), key="k")).ids == before.ids
        assert await texts_after(store, "s") == ["1", "2"]
        with pytest.raises(Fenced):
            await store.log.append("s", notes(3), fence=4)
        await store.log.append("s", [], bookmark="two")
        await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)


async def test_many_bring_a_database_up_to_date_at_once(path: Path) -> None:
    await make_version_2(path)
    stores = [open_file(path, RetentionRules(), time.time) for _ in range(8)]
    await asyncio.gather(
        *(store.log.append("s", notes(n), bookmark="b") for n, store in enumerate(stores))
    )
    assert len(await texts_after(stores[0], "s")) == 10
    assert {(await store.log.describe("s")).bookmark for store in stores} == {"b"}
    await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("version", [1, 99])
async def test_a_database_of_another_version_is_refused(path: Path, version: int) -> None:
    await (store := open_file(path, RetentionRules(), time.time)).prepare()
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {version}")
    store = open_file(path, RetentionRules(), time.time)
    with pytest.raises(ConfigError, match=f"version {version}"):
        await store.prepare()
    with pytest.raises(ConfigError, match=f"version {version}"):
        await store.log.read("s", None)
    waited = await store.wakeup.wait({"s": Cursor.after(0)}, WAIT_SECONDS)
    assert waited == {"s"}, "a hint: who follows it reads, and hears why"
    await store.close()


def a_directory(path: Path) -> None:
    path.mkdir()


def below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file")


def something_else(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


@pytest.mark.parametrize("spoil", [a_directory, below_a_file, something_else])
async def test_a_path_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "secret-directory" / "test.db"
    path.parent.mkdir()
    spoil(path)
    store = open_file(path, RetentionRules(), time.time)
    for call in (store.prepare(), append(store, "s", 1), store.log.read("s", None)):
        with pytest.raises(StoreUnavailable) as refusal:
            await call
        assert str(refusal.value).startswith(("the database", "the file"))
        assert "secret" not in str(refusal.value)
    await store.close()


def damage(path: Path) -> None:
    """Leave only the first page as it was."""
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:4096] + b"\xa5" * (size - 4096))


async def test_a_damaged_database_is_said(path: Path) -> None:
    store = open_file(path, RetentionRules(), time.time)
    await append(store, "s", *range(1000))
    await store.close()
    await asyncio.to_thread(damage, path)
    store = open_file(path, RetentionRules(), time.time)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.log.read("s", None)
    await store.close()

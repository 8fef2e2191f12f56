"""Group commit: what waits is one transaction, in which each call fails alone (RULES 9)."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.errors import Conflict, StoreUnavailable
from lastevent.stores.base import Appended, RetentionRules, Store
from lastevent.stores.sqlite import open_file
from lastevent.stores.sqlite.engine import Engine
from tests.project.tree import ROOT
from tests.stores.harness import (
    append,
    follow,
    notes,
)
from tests.stores.sqlite.held import held, insert, rows


@pytest.fixture
def moved() -> list[set[str]]:
    """What the engine has reported, a set for each commit."""
    return []


@pytest.fixture
async def engine(path: Path, moved: list[set[str]]) -> AsyncIterator[Engine]:
    engine = Engine(path, moved=moved.append, sweep=lambda db: False)
    yield engine
    await engine.close()


def refused(db: sqlite3.Connection) -> None:
    """Write something, then refuse."""
    insert("taken back")(db)
    raise Conflict("no")


async def test_each_call_fails_alone(engine: Engine, moved: list[set[str]], path: Path) -> None:
    def broken(db: sqlite3.Connection) -> None:
        insert("taken back too")(db)
        insert("a")(db)  # is there already

    works = [insert("a"), refused, insert("b"), broken, insert("c")]
    async with held(engine):
        calls = [
            asyncio.create_task(engine.write(work, f"stream {n}")) for n, work in enumerate(works)
        ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [outcomes[n] for n in (0, 2, 4)] == ["a", "b", "c"]
    assert isinstance(outcomes[1], Conflict)
    assert isinstance(outcomes[3], StoreUnavailable)
    assert rows(path) == ["a", "b", "c"]
    assert moved == [{"stream 0", "stream 2", "stream 4"}], "once, and of those that succeeded"


async def test_a_commit_that_fails_fails_for_all(
    engine: Engine, moved: list[set[str]], path: Path
) -> None:
    def fatal(db: sqlite3.Connection) -> None:
        """Lose the transaction, as SQLite does it by itself when the disk is full."""
        db.execute("ROLLBACK")
        error = sqlite3.OperationalError()
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    works = [insert("a"), refused, fatal, insert("b")]
    async with held(engine):
        calls = [asyncio.create_task(engine.write(work, "s")) for work in works]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * 4, (
        "the refused one too: it was refused in a state that never was"
    )
    assert {str(outcome) for outcome in outcomes} == {"the database's disk is full"}
    assert len({id(outcome) for outcome in outcomes}) == 4, "each caller has an error of its own"
    assert rows(path) == []
    assert moved == []
    assert await engine.write(insert("later")) == "later"


async def test_nobody_hears_of_success_before_the_commit(engine: Engine, path: Path) -> None:
    seen_at_answer = []

    async def write(text: str) -> None:
        await engine.write(insert(text))
        seen_at_answer.append(text in rows(path))

    async with held(engine):
        calls = [asyncio.create_task(write(text)) for text in "abc"]
    await asyncio.gather(*calls)
    assert seen_at_answer == [True] * 3


async def test_appends_in_a_group_see_each_other(store: Store, other: sqlite3.Connection) -> None:
    end = (await append(store, "s", 0)).cursor
    other.execute("BEGIN IMMEDIATE")
    calls = [append(store, "held", 0)]
    calls += [store.log.append("s", notes(n), expect=end) for n in range(3)]
    calls += [append(store, "s", n) for n in range(3)]
    answers = asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0.1)
    other.execute("COMMIT")
    outcomes = await answers
    assert [type(outcome) for outcome in outcomes] == [Appended, Appended, *[Conflict] * 2] + (
        [Appended] * 3
    )
    events, _ = await follow(store, "s")
    assert [Cursor.parse(event.id).sequence for event in events] == [1, 2, 3, 4, 5]


async def test_a_full_disk_refuses_and_loses_nothing(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.stores.sqlite.disk_full", str(path)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    store = open_file(path, RetentionRules(), time.time)
    events, _ = await follow(store, "s")
    assert len(events) == 2 * int(output)
    assert [Cursor.parse(event.id).sequence for event in events] == list(range(1, len(events) + 1))
    await store.close()

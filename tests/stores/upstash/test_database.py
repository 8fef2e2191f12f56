"""How a log lies in the database, and what becomes of it when the database loses something."""

import asyncio
import re
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from infra.local.upstash import UpstashServer
from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import NewEvent
from lastevent.stores.base import EXTENT_SECONDS, KEY_SECONDS, Retention, RetentionRules, Store
from lastevent.stores.upstash import log as module
from lastevent.stores.upstash.commands import instant
from lastevent.stores.url import open_store
from tests.stores.harness import KEPT_SECONDS, append, follow, notes, texts_after, upstash_url

Database = redis.asyncio.Redis


async def everything(store: Store) -> None:
    """Leave a key of every kind behind."""
    await store.log.append("short:s", notes(1, 2), key="k")
    await append(store, "short:s", 3)
    await append(store, "short:deleted", 1)
    await store.log.delete("short:deleted")
    lease = await store.leases.acquire("l", "h", 10)
    assert lease
    await store.leases.release(lease)
    await store.records.put("vanishing", "a", "1", seconds=100)
    await store.records.put("vanishing", "b", "1", seconds=10)
    await store.records.put("staying", "a", "1", seconds=10)
    await store.records.put("staying", "b", "1")


async def test_every_key_expires_but_those_of_documents_that_stay(
    store: Store, database: Database, prefix: str
) -> None:
    await everything(store)
    lives: dict[str, float] = {}
    async for key in database.scan_iter(f"{prefix}*"):
        lives[key.removeprefix(prefix)] = await database.pttl(key) / 1000
    stream = "lastevent:{short:s}"
    (keyed,) = [key for key, life in lives.items() if f"{stream}:key:" in key and life > 60]
    outline = KEPT_SECONDS + EXTENT_SECONDS
    wanted = {
        f"{stream}:outline": outline,
        f"{stream}:events": KEPT_SECONDS + 60,
        keyed: KEY_SECONDS,
        "lastevent:{short:deleted}:outline": outline,
        "lastevent:lease:l": 30 * 24 * 3600,
        "lastevent:records:{vanishing}:values": 160,
        "lastevent:records:{vanishing}:ids": 160,
        "lastevent:records:{vanishing}:expiry": 160,
        "lastevent:records:{staying}:values": -0.001,
        "lastevent:records:{staying}:ids": -0.001,
        "lastevent:records:{staying}:expiry": -0.001,
    }
    answers = {key: life for key, life in lives.items() if key not in wanted}
    assert len(answers) == 7, "one of each call that would not recognise itself otherwise"
    assert all(0 < life <= 60 for life in answers.values())
    for key, life in wanted.items():
        assert life - 20 <= lives[key] <= life + 1, key


async def test_trimmed_events_are_gone(store: Store, database: Database, prefix: str) -> None:
    await append(store, "few:s", *range(1000))
    await append(store, "few:s", *range(1000))
    assert await database.hlen(f"{prefix}lastevent:{{few:s}}:events") == 10
    await store.log.delete("few:s")
    assert not await database.exists(f"{prefix}lastevent:{{few:s}}:events")


async def test_expired_documents_are_gone(url: str, database: Database, prefix: str) -> None:
    now = 1_800_000_000.0
    store = open_store(url, RetentionRules(), lambda: now)
    for n in range(150):
        await store.records.put("k", f"{n}", "1", seconds=10)
    await store.records.put("k", "stays", "1")
    now += 11
    for n in range(2):
        await store.records.delete("k", f"absent {n}")
    kind = f"{prefix}lastevent:records:{{k}}:"
    assert await database.hkeys(f"{kind}values") == ["stays"]
    assert await database.zrange(f"{kind}ids", 0, -1) == ["stays"]
    assert await database.zcard(f"{kind}expiry") == 0
    await store.close()


def test_a_store_goes_by_the_databases_time_unless_it_is_given_another() -> None:
    assert instant(time.time) == ""
    assert instant(lambda: 1_800_000_000.25) == "1800000000250"


async def test_prefixes_keep_applications_apart(upstash: UpstashServer, prefix: str) -> None:
    stores = [open_store(upstash_url(upstash, f"{prefix}{name}:")) for name in "ab"]
    waiting = asyncio.create_task(stores[1].wakeup.wait({"s": Cursor.after(0)}, 0.5))
    await asyncio.sleep(0.2)
    await append(stores[0], "s", 1)
    await stores[0].records.put("k", "a", "1")
    assert await stores[0].leases.acquire("l", "h", 10)
    assert not (await stores[1].log.describe("s")).exists
    assert await stores[1].records.query("k") == []
    assert await stores[1].leases.acquire("l", "i", 10)
    assert await waiting == frozenset()
    for store in stores:
        await store.close()


# Sizes


async def test_a_large_event(store: Store) -> None:
    data = '"\\\n' * (256 * 1024 // 3)
    await store.log.append("s", [NewEvent("note", data)])
    assert await texts_after(store, "s") == [data]


async def test_a_large_batch(store: Store) -> None:
    events = [NewEvent("note", f"{n} " + "x" * 4000) for n in range(1000)]
    answer = await store.log.append("s", events)
    back, end = await follow(store, "s")
    assert [event.id for event in back] == list(answer.ids)
    assert [event.data for event in back] == [event.data for event in events]
    assert end == answer.cursor


async def test_a_page_stays_far_below_what_one_answer_may_have(store: Store) -> None:
    """Control characters are six bytes each in JSON."""
    for _ in range(10):
        await store.log.append("s", [NewEvent("note", "\x01" * 256 * 1024)])
    events, _ = await follow(store, "s")
    assert len(events) == 10


async def test_many_large_documents_are_found_in_one_query(store: Store) -> None:
    for n in range(30):
        await store.records.put("k", f"{n:02}", "\x01" * 100_000)
    found = await store.records.query("k", limit=25)
    assert [record.id for record in found] == [f"{n:02}" for n in range(25)]


async def test_numbers_stay_exact(url: str) -> None:
    """The largest generation that a cursor can hold, and times beyond what Lua writes in full."""
    latest = (1 << 48) - 1
    store = open_store(url, RetentionRules(), lambda: latest / 1000)
    answer = await store.log.append("s", notes(1), fence=(1 << 53) - 1)
    assert answer.cursor.generation == latest
    (event,) = (await store.log.read("s", None)).events
    assert (event.id, event.time) == (answer.ids[0], latest)
    lease = await store.leases.acquire("l", "h", 10)
    assert lease and lease.token == latest
    assert (await store.records.put("k", "a", "1", seconds=5)).updated == latest
    assert await store.records.get("k", "a")
    await store.close()


async def test_a_stream_stays_below_what_the_database_keeps_under_one_key(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STREAM_BYTES", 100_000)
    first = (await append(store, "s", "x" * 10_000)).cursor
    for _ in range(30):
        await append(store, "s", "x" * 10_000)
    page = await store.log.read("s", first)
    assert page.truncated, "loss is said"
    assert 8 <= len(page.events) <= 10
    await append(store, "s", "y" * 200_000)
    assert [event.data[0] for event in (await store.log.read("s", None)).events] == ["y"]
    await append(store, "s", *range(500))
    assert len((await store.log.read("s", None)).events) == 500, "what is gone is not counted"


async def test_an_outline_of_before_there_were_bookmarks(
    store: Store, database: Database, prefix: str
) -> None:
    """Numbers alone, as they lie in databases that an earlier Lastevent has written."""
    answer = await append(store, "s", 1)
    outline = f"{prefix}lastevent:{{s}}:outline"
    assert re.fullmatch(r"\d+( \d+){9}", str(await database.get(outline)))
    await store.log.append("s", [], bookmark="b")
    extent = await store.log.describe("s")
    assert (extent.head, extent.bookmark) == (answer.cursor, "b")


# What the database loses, as in a fail-over to a replica that lagged


@pytest.fixture
async def outline(database: Database, prefix: str) -> AsyncIterator[str]:
    yield f"{prefix}lastevent:{{s}}:outline"


@pytest.fixture
async def events(prefix: str) -> str:
    return f"{prefix}lastevent:{{s}}:events"


async def test_the_last_appends_are_lost(
    store: Store, database: Database, outline: str, events: str
) -> None:
    """Their sequences are given again, and whoever has read them hears it (RULES 5)."""
    await append(store, "s", 1)
    before = str(await database.get(outline))
    lost = [(await append(store, "s", text)).cursor for text in ("lost", "lost too")]
    await database.set(outline, before)
    for cursor in lost:
        page = await store.log.read("s", cursor)
        assert ([event.data for event in page.events], page.truncated) == (["1"], True)
    await append(store, "s", "other", "more")
    assert await texts_after(store, "s") == ["1", "other", "more"]
    for cursor in lost:
        page = await store.log.read("s", cursor)
        assert page.truncated
        assert [event.data for event in page.events] == ["1", "other", "more"]


@pytest.mark.parametrize("gone", [["2"], ["2", "3"], ["2", "3", "4"], ["1", "2"]])
async def test_events_are_lost(
    store: Store, database: Database, events: str, gone: list[str]
) -> None:
    """The reader hears of the hole and goes on behind it (RULES 8)."""
    await append(store, "s", *range(1, 7))
    await database.hdel(events, *gone)
    left = [text for text in "123456" if text not in gone]
    texts: list[str] = []
    losses, page = 0, await store.log.read("s", None)
    while True:
        texts += [event.data for event in page.events]
        losses += page.truncated
        if page.at_end:
            break
        page = await store.log.read("s", page.cursor)
    assert (texts, losses) == (left, 1)
    await append(store, "s", 7)
    assert await texts_after(store, "s", page.cursor) == ["7"]


async def test_all_events_are_lost(store: Store, database: Database, events: str) -> None:
    first = (await append(store, "s", 1)).cursor
    end = (await append(store, "s", 2)).cursor
    await database.delete(events)
    page = await store.log.read("s", first)
    assert (page.events, page.truncated, page.cursor) == ((), True, end)
    assert await texts_after(store, "s", end) == []
    await append(store, "s", 3)
    assert await texts_after(store, "s", end) == ["3"]


async def test_a_call_that_fails_on_its_way_has_changed_nothing(
    store: Store, database: Database, outline: str, events: str
) -> None:
    await append(store, "s", 1)
    before = await database.get(outline)
    await database.rename(events, f"{events}:aside")
    await database.set(events, "in the way")
    with pytest.raises(StoreUnavailable):
        await store.log.append("s", notes(2), key="k", bookmark="two")
    assert await database.get(outline) == before
    await database.rename(f"{events}:aside", events)
    answer = await store.log.append("s", notes("other"), key="k")
    assert not answer.repeated
    assert await texts_after(store, "s") == ["1", "other"]


async def test_a_short_retention_empties_the_stream_in_the_database(
    url: str, database: Database, events: str
) -> None:
    now = 1_800_000_000.0
    rules = RetentionRules(otherwise=Retention(max_seconds=10))
    store = open_store(url, rules, lambda: now)
    await append(store, "s", *range(700))
    now += 5
    await append(store, "s", *range(3))
    now += 6
    answer = await append(store, "s", "new")
    assert await database.hlen(events) == 4
    now += 11
    assert await store.log.append("s", []) is not None
    assert not await database.exists(events)
    assert (await store.log.describe("s")).head == answer.cursor
    await store.close()

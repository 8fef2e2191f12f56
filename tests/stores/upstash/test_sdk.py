"""Upstash's own Python client finds in the database what the store has written there."""

import pytest
from upstash_redis.asyncio import Redis

from infra.local.upstash import UpstashServer
from lastevent.core.event import NewEvent
from lastevent.stores.base import Store

TEXTS = ["plain", '{"json": "ü", "quote": "\\""}', "lines\r\n\n", "nul \0", "\U0001f600\u2028", ""]


@pytest.fixture
async def sdk(upstash: UpstashServer) -> Redis:
    return Redis(upstash.url, upstash.token, allow_telemetry=False)


async def test_events(store: Store, sdk: Redis, prefix: str) -> None:
    answer = await store.log.append("s", [NewEvent("note", text, {"a": "ü"}) for text in TEXTS])
    async with sdk:
        found = await sdk.hgetall(f"{prefix}lastevent:{{s}}:events")
        outline = await sdk.get(f"{prefix}lastevent:{{s}}:outline")
    page = await store.log.read("s", None)
    assert [event.data for event in page.events] == TEXTS
    assert found == {
        str(n): f'{page.events[0].time} {answer.cursor.proof} note\n{{"a":"ü"}}\n{text}'
        for n, text in enumerate(TEXTS, 1)
    }
    assert outline is not None
    head = answer.cursor
    assert outline.split()[:6] == ["1", str(head.generation), "0", "1", "6", str(head.proof)]


async def test_documents(store: Store, sdk: Redis, prefix: str) -> None:
    for id in ("b", "a", "ü"):
        await store.records.put("k", id, f'{{"id":"{id}"}}')
    async with sdk:
        ids = await sdk.zrange(f"{prefix}lastevent:records:{{k}}:ids", 0, -1)
        text = await sdk.hget(f"{prefix}lastevent:records:{{k}}:values", "ü")
    assert ids == ["a", "b", "ü"]
    assert text is not None
    assert text.split("\n") == [f"1 {text.split()[1]} 0", '{"id":"ü"}']

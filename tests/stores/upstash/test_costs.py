"""What a call costs: one command, as the bill counts them."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from time import time

import pytest

from infra.local.upstash import UpstashServer
from lastevent.core.errors import Fenced
from lastevent.stores.base import Lease, Store
from lastevent.stores.hints import Hints
from lastevent.stores.upstash.commands import Reply, Word
from lastevent.stores.upstash.log import RedisLog
from lastevent.stores.upstash.rest import Rest
from tests.stores.harness import RETENTION, append, notes

SCRIPT = {"EVALSHA": 1}

Call = Callable[[Store, Lease], Awaitable[object]]
CALLS: dict[str, Call] = {
    "append": lambda store, _: append(store, "s", 2),
    "append of many": lambda store, _: append(store, "s", *range(1000)),
    "append with everything": lambda store, _: store.log.append(
        "t", notes(1), key="k", fence=3, close=True, bookmark="b"
    ),
    "append that trims": lambda store, _: append(store, "few:s", *range(100)),
    "read": lambda store, _: store.log.read("s", None),
    "read of nothing": lambda store, _: store.log.read("absent", None),
    "describe": lambda store, _: store.log.describe("s"),
    "delete": lambda store, _: store.log.delete("s"),
    "acquire": lambda store, _: store.leases.acquire("new", "h", 10),
    "acquire in vain": lambda store, _: store.leases.acquire("l", "other", 10),
    "renew": lambda store, lease: store.leases.renew(lease, 10),
    "release": lambda store, lease: store.leases.release(lease),
    "get": lambda store, _: store.records.get("k", "a"),
    "put": lambda store, _: store.records.put("k", "a", "2", seconds=10),
    "query": lambda store, _: store.records.query("k"),
    "delete document": lambda store, _: store.records.delete("k", "a"),
}


async def spent(server: UpstashServer, call: Awaitable[object]) -> dict[str, int]:
    """Return the commands that a call costs."""
    before = Counter(await server.commands())
    await call
    return dict(Counter(await server.commands()) - before)


async def prepared(store: Store) -> Lease:
    """Leave something to work on behind."""
    await append(store, "s", 1)
    await store.records.put("k", "a", "1")
    lease = await store.leases.acquire("l", "h", 10)
    assert lease
    return lease


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_call_is_one_command(store: Store, upstash: UpstashServer, call: Call) -> None:
    lease = await prepared(store)
    await call(store, lease)  # the database learns the script
    assert await spent(upstash, call(store, lease)) == SCRIPT


async def test_a_delivered_event_costs_an_append_and_a_read(
    store: Store, upstash: UpstashServer
) -> None:
    cursor = (await append(store, "s", 1)).cursor
    await append(store, "s", 2)
    assert await spent(upstash, append(store, "s", 3)) == SCRIPT
    await store.log.read("s", cursor)  # the replicas learn the script
    assert await spent(upstash, store.log.read("s", cursor)) == {"EVALSHA_RO": 1}


class Overheard:
    """Commands that remember what they were answered."""

    key_locking = True
    usage: Mapping[str, int] = {}

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.replies: list[str] = []

    async def call(self, *words: Word) -> Reply:
        reply = await self.rest.call(*words)
        self.replies.append(repr(reply))
        return reply

    async def close(self) -> None:
        await self.rest.close()


async def test_a_bookmark_is_sent_to_nobody_but_who_describes(
    upstash: UpstashServer, prefix: str
) -> None:
    """It may be long, and readers come by the thousand."""
    commands = Overheard(Rest(upstash.url, upstash.token))
    log = RedisLog(commands, RETENTION, time, prefix)
    log.hints = Hints(log.ends)
    cursor = (await log.append("s", notes(1), fence=2, bookmark="a bookmark")).cursor
    await log.append("s", notes(2))
    for after in (None, cursor):
        assert (await log.read("s", after)).at_end
    assert "s" in await log.ends(["s"])
    with pytest.raises(Fenced):
        await log.append("s", notes(3), fence=1)
    assert not any("a bookmark" in reply for reply in commands.replies)
    assert (await log.describe("s")).bookmark == "a bookmark"
    assert "a bookmark" in commands.replies[-1]
    assert await log.delete("s")
    assert "a bookmark" not in commands.replies[-1]
    await commands.close()


async def test_the_ends_of_many_streams_are_one_command(
    store: Store, upstash: UpstashServer
) -> None:
    names = [f"s:{n}" for n in range(600)]
    ends = await store.wakeup.ends(names)  # type: ignore[attr-defined]
    assert set(ends) == set(names)
    call = store.wakeup.ends(names, ["channel"])  # type: ignore[attr-defined]
    assert await spent(upstash, call) == SCRIPT


async def test_the_store_counts_as_the_bill_does(store: Store, upstash: UpstashServer) -> None:
    before = Counter(await upstash.commands())
    await prepared(store)
    await store.log.read("s", None)
    assert store.usage is not None
    assert store.usage() == dict(Counter(await upstash.commands()) - before)

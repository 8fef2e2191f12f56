"""What a call costs: one command, as the bill counts them."""

from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from infra.local.upstash import UpstashServer
from lastevent.stores.base import Lease, Store
from tests.stores.harness import append, notes

SCRIPT = {"EVALSHA": 1}

Call = Callable[[Store, Lease], Awaitable[object]]
CALLS: dict[str, Call] = {
    "append": lambda store, _: append(store, "s", 2),
    "append of many": lambda store, _: append(store, "s", *range(1000)),
    "append with everything": lambda store, _: store.log.append(
        "t", notes(1), key="k", fence=3, close=True
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

"""Presence: online while a leg is open on any server, and told of whoever died in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lastevent.core.errors import StoreUnavailable
from lastevent.services.messaging.presence import KIND, ONLINE, Presence
from lastevent.services.messaging.service import Messaging
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.services.dying import Died, Life, dying
from tests.services.logs import eventually
from tests.services.talk import ANN, LOOSE, PAUL, draft, told
from tests.sources.trouble import Trouble

ALIVE_SECONDS = 0.4
RENEW_SECONDS = 0.1

Serve = Callable[..., Presence]


@pytest.fixture
async def serve(store: Store) -> AsyncIterator[Serve]:
    """Return a function that makes a server's presence, on a store where Ann and Paul talk."""
    await Messaging(store, LOOSE).begin(ANN, PAUL.id, draft("hello"))
    made: list[Presence] = []

    def server(other: Store | None = None, **options: Any) -> Presence:
        options = {"renew_seconds": RENEW_SECONDS, "alive_seconds": ALIVE_SECONDS} | options
        made.append(Presence(other or store, Messaging(store, LOOSE).others, **options))
        return made[-1]

    yield server
    for presence in made:
        await presence.aclose()
    assert len(asyncio.all_tasks()) == 1, "nothing runs on"


async def turns(store: Store) -> list[str]:
    """Return what Paul was told of Ann's presence, in order."""
    events = [data for type, data in await told(store, PAUL) if type == "presence"]
    assert [data["turn"] for data in events] == list(range(1, len(events) + 1))
    assert {data["user"] for data in events} <= {ANN.id}
    return [data["state"] for data in events]


async def test_online_while_a_leg_is_open(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    assert (await there.look(ANN.id)).told == {"user": ANN.id, "state": "offline", "lastSeen": 0}
    async with here.watch(ANN.id):
        await eventually(lambda: there.look(ANN.id), lambda seen: seen.online)
        await asyncio.sleep(2 * ALIVE_SECONDS)
        assert (await there.look(ANN.id)).online, "it is renewed"
        assert await turns(store) == ["online"]
    assert (await there.look(ANN.id)).online, "a leg may follow"
    await eventually(lambda: turns(store), lambda it: it == ["online", "offline"])
    seen = await there.look(ANN.id)
    assert not seen.online
    assert seen.last_seen > 0
    (*_, (_, last)) = await told(store, PAUL)
    assert last["lastSeen"] == seen.last_seen
    assert await store.records.query(ONLINE) == []


async def test_between_two_legs_nothing_is_told_and_nothing_written(
    store: Store, serve: Serve
) -> None:
    here = serve(renew_seconds=60.0, alive_seconds=180.0)
    async with here.watch(ANN.id):
        async with asyncio.timeout(5):
            while ANN.id not in here._renewed:
                await asyncio.sleep(0.01)
    (before,) = await store.records.query(ONLINE)
    for _ in range(5):
        async with here.watch(ANN.id):
            await asyncio.sleep(0.01)
    assert await store.records.query(ONLINE) == [before]
    assert await turns(store) == ["online"]


async def test_several_legs_on_two_servers_are_one_presence(store: Store, serve: Serve) -> None:
    here, there = serve(), serve()
    async with here.watch(ANN.id):
        async with here.watch(ANN.id), there.watch(ANN.id):
            await eventually(lambda: here.look(ANN.id), lambda seen: seen.online)
        await asyncio.sleep(1.5 * ALIVE_SECONDS)
        assert await turns(store) == ["online"]
    await eventually(lambda: turns(store), lambda it: it == ["online", "offline"])


async def online_and_dead(store: Store, serve: Serve) -> None:
    """Have Ann be online by a server that dies without a word."""
    life = Life(1000, carried_out=False)
    dead = serve(dying(store, life))
    async with dead.watch(ANN.id):
        await eventually(lambda: turns(store), lambda it: it == ["online"])
        life.left = 0
        await asyncio.sleep(ALIVE_SECONDS * 1.2)


async def test_the_sweep_tells_of_a_server_s_death(store: Store, serve: Serve) -> None:
    await online_and_dead(store, serve)
    assert await turns(store) == ["online"]
    sweeps = [serve(), serve()]
    gone = await asyncio.gather(*(it.sweep() for it in sweeps))
    assert {id for ids in gone for id in ids} == {ANN.id}
    assert await turns(store) == ["online", "offline"]
    assert await sweeps[0].sweep() == []


async def test_whoever_looks_tells_of_a_server_s_death(store: Store, serve: Serve) -> None:
    await online_and_dead(store, serve)
    seen = await asyncio.gather(*(serve().look(ANN.id) for _ in range(3)))
    assert [it.online for it in seen] == [False] * 3
    assert await turns(store) == ["online", "offline"]


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("leaves", [False, True], ids=["coming", "going"])
async def test_death_at_every_call_of_a_turn(leaves: bool, carried_out: bool) -> None:
    for calls in range(30):
        store = open_store("memory://")
        messaging = Messaging(store, LOOSE)
        await messaging.begin(ANN, PAUL.id, draft("hello"))
        alive_seconds = 60.0
        if leaves:
            await Presence(store, messaging.others)._renew(ANN.id)
            alive_seconds = -1.0
        life = Life(calls, carried_out=carried_out)
        dead = Presence(dying(store, life), messaging.others, alive_seconds=alive_seconds)
        with contextlib.suppress(Died):
            await (dead.look(ANN.id) if leaves else dead._renew(ANN.id))
        living = Presence(store, messaging.others, alive_seconds=alive_seconds)
        await living.sweep()
        told_of = await turns(store)
        if leaves:
            assert told_of == ["online", "offline"]
            assert await store.records.query(ONLINE) == []
        else:
            assert told_of == ["online"] * len(await store.records.query(KIND))
            await living._renew(ANN.id)
            assert await turns(store) == ["online"]
        if not life.is_over:
            assert calls > 4
            return
    raise AssertionError("it never came to its end")


async def test_who_comes_back_while_being_seen_off_is_online(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leg's sign of life comes between the looker's look and the change it makes of it."""
    here, there = serve(alive_seconds=60.0), serve(alive_seconds=0.2)
    await here._renew(ANN.id)
    await asyncio.sleep(0.25)
    put = store.records.put

    async def late(kind: str, id: str, value: str, **options: Any) -> Any:
        if kind == KIND and '"online":false' in value:
            monkeypatch.undo()
            await here._renew(ANN.id)  # finds itself online already
        return await put(kind, id, value, **options)

    monkeypatch.setattr(
        type(store.records), "put", lambda _, *args, **options: late(*args, **options)
    )
    monkeypatch.setattr(there, "_alive_seconds", -1.0)
    assert (await there.look(ANN.id)).online
    assert len(await store.records.query(ONLINE)) == 1, "the sign of life stays"
    assert await turns(store) == ["online", "offline"]
    await here._renew(ANN.id)
    assert await turns(store) == ["online", "offline", "online"]


async def test_trouble_with_the_store_is_nothing_to_a_leg(store: Store, serve: Serve) -> None:
    trouble = Trouble(before=3)
    here = serve(trouble.over(store))
    async with here.watch(ANN.id):
        await eventually(lambda: turns(store), lambda it: it == ["online"])
    assert trouble.met == 3
    trouble.before = 1000
    with pytest.raises(StoreUnavailable):
        await here.look(ANN.id)


async def test_where_a_process_may_be_frozen_nothing_is_left_running(
    store: Store, serve: Serve
) -> None:
    here = serve()
    async with here.watch(ANN.id, asyncio.get_running_loop().time() + 10):
        await eventually(lambda: turns(store), lambda it: it == ["online"])
    assert len(asyncio.all_tasks()) == 1
    async with here.watch(ANN.id):
        pass
    await here.rest()
    assert len(asyncio.all_tasks()) == 1


async def test_only_so_many_are_told(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastevent.services.messaging.presence.MAX_TOLD", 0)
    here = serve()
    await here._renew(ANN.id)
    assert await turns(store) == []
    assert (await here.look(ANN.id)).online

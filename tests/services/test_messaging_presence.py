"""Presence: online while a leg is open on any server, and told of whoever died in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from lastevent.core.errors import StoreUnavailable, Transient
from lastevent.services.messaging import presence as presence_module
from lastevent.services.messaging.presence import KIND, ONLINE, Presence
from lastevent.services.messaging.service import Messaging
from lastevent.stores.base import Records, Store
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


@pytest.mark.parametrize("may_freeze", [False, True])
async def test_a_visit_that_is_over_at_once_is_one(
    store: Store, serve: Serve, may_freeze: bool
) -> None:
    """Who polls has no leg open at any time."""
    here = serve(renew_seconds=60.0, alive_seconds=180.0)
    ends_at = asyncio.get_running_loop().time() + 10 if may_freeze else None
    async with here.watch(ANN.id, ends_at):
        pass
    assert (await serve().look(ANN.id)).online
    assert await turns(store) == ["online"]
    (before,) = await store.records.query(ONLINE)
    for _ in range(3):
        async with here.watch(ANN.id, ends_at):
            pass
    assert await store.records.query(ONLINE) == [before], "one sign is good for a while"


async def test_a_store_that_is_away_keeps_no_visit_for_long(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_module, "SIGN_SECONDS", 0.05)
    here = serve(Trouble(before=1000).over(store))
    async with here.watch(ANN.id):
        pass
    deaf = serve()
    monkeypatch.setattr(deaf, "_renew", lambda id: asyncio.sleep(60))
    async with asyncio.timeout(5), deaf.watch(ANN.id):
        pass
    assert await turns(store) == []


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
    with contextlib.suppress(Died):
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
    here, there = serve(alive_seconds=60.0), serve(alive_seconds=60.0)
    await here._renew(ANN.id)
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
    assert await turns(store) == ["online", "offline", "online"], "whoever was wrong says so"


class NotOf:
    """Records that are away for one user's presence."""

    def __init__(self, records: Records, id: str) -> None:
        self._records = records
        self._id = id

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._records, name)

        async def call(kind: str, *args: Any, **options: Any) -> Any:
            if kind == KIND and args and args[0] == self._id:
                raise StoreUnavailable("away")
            return await method(kind, *args, **options)

        return call


async def test_one_who_cannot_be_seen_off_keeps_nobody_online(store: Store, serve: Serve) -> None:
    here = serve(alive_seconds=60.0)
    for id in ("a", "b", "c"):
        await here._renew(id)
    await store.records.put(f"{KIND}-untold", "a", "")
    records = cast(Records, NotOf(store.records, "a"))
    sweeper = serve(store._replace(records=records), alive_seconds=-1.0)
    with pytest.raises(Transient, match="not all presence"):
        await sweeper.sweep()
    seen = {id: await here.look(id) for id in ("a", "b", "c")}
    assert [id for id, it in seen.items() if it.online] == ["a"]


async def test_a_sweep_goes_on_where_the_one_before_it_ended(
    store: Store, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or those at the end of a long list would be online for ever."""
    monkeypatch.setattr(presence_module, "MAX_SWEPT", 2)
    monkeypatch.setattr(presence_module, "_PAGE", 1)
    here, sweeper = serve(alive_seconds=60.0), serve(alive_seconds=60.0)
    for id in ("a", "b", "c"):
        await here._renew(id)
    assert await sweeper.sweep() == []
    sweeper._alive_seconds = -1.0
    assert await sweeper.sweep() == ["c"]
    assert await sweeper.sweep() == ["a", "b"]


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

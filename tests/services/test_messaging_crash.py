"""A process dies between a record and what follows from it: nothing is lost, nothing doubled."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import pytest

from lastevent.services.messaging.service import Messaging
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.services.dying import Died, Life, dying
from tests.services.talk import ANN, LOOSE, PAIR, PAUL, View, draft, told

Deed = Callable[[Messaging], Awaitable[object]]

DEEDS: dict[str, Deed] = {
    "begin": lambda it: it.begin(ANN, PAUL.id, draft("new", "the-one")),
    "send": lambda it: it.send(PAUL, PAIR, draft("new", "the-one")),
    "edit": lambda it: it.edit(ANN, f"{PAIR}-1", "other"),
    "delete": lambda it: it.delete(ANN, f"{PAIR}-2"),
    "delivered": lambda it: it.mark(PAUL, PAIR, "delivered", 2),
    "read": lambda it: it.mark(PAUL, PAIR, "read", 1),
}
MOST_CALLS = 40


async def prepared(store: Store, deed: str) -> None:
    if deed != "begin":
        messaging = Messaging(store, LOOSE)
        await messaging.begin(ANN, PAUL.id, draft("first"))
        await messaging.begin(ANN, PAUL.id, draft("second"))


async def repaired_by_sweep(store: Store) -> None:
    await Messaging(store, LOOSE).sweep()


async def repaired_by_history(store: Store) -> None:
    messaging = Messaging(store, LOOSE)
    if await messaging.known(PAUL, [ANN.id]):
        await messaging.history(PAUL, PAIR, None, 10)


async def repaired_by_the_next_change(store: Store) -> None:
    messaging = Messaging(store, LOOSE)
    await messaging.begin(ANN, PAUL.id, draft("another"))


async def repaired_by_many(store: Store) -> None:
    await asyncio.gather(*(repaired_by_sweep(store) for _ in range(3)), repaired_by_history(store))


async def must_agree(store: Store) -> None:
    """Records, both streams from their beginning, and lists say the same."""
    messaging = Messaging(store, LOOSE)
    if not await messaging.known(PAUL, [ANN.id]):
        assert await told(store, ANN) == await told(store, PAUL) == []
        return
    for user in (ANN, PAUL):
        snapshot, stream = View(user), View(user)
        await snapshot.load(messaging)
        events = await told(store, user)
        for type, data in events:
            stream.take(type, data)
        for mark in snapshot.marks:
            stream.marks.setdefault(mark, {})
            for who in (ANN.id, PAUL.id):
                stream.marks[mark].setdefault(who, 0)
        assert stream.agrees(snapshot), (stream, snapshot)
        said = [(type, data["number"], data.get("revision")) for type, data in events]
        assert len(set(said)) == len(said), "nothing comes twice"
        numbers = [data["number"] for type, data in events if type == "message"]
        assert numbers == list(range(1, len(snapshot.messages) + 1))
        (listed,) = (await messaging.conversations(user, None, 10)).items
        assert listed["number"] == len(snapshot.messages)
    for kind in ("conversations-of",):
        assert len(await store.records.query(kind)) == 2, "each has one place in one list"


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "repair",
    [repaired_by_sweep, repaired_by_history, repaired_by_the_next_change, repaired_by_many],
)
@pytest.mark.parametrize("deed", DEEDS)
async def test_death_at_every_call(
    deed: str, repair: Callable[[Store], Awaitable[None]], carried_out: bool
) -> None:
    for calls in range(MOST_CALLS):
        store = open_store("memory://")
        await prepared(store, deed)
        life = Life(calls, carried_out=carried_out)
        with contextlib.suppress(Died):
            await DEEDS[deed](Messaging(dying(store, life), LOOSE))
        await repair(store)
        await must_agree(store)
        # Who heard no answer asks again, and nothing is there twice.
        answer: Any = await DEEDS[deed](Messaging(store, LOOSE))
        assert await DEEDS[deed](Messaging(store, LOOSE)) == answer
        await must_agree(store)
        if not life.is_over:
            assert calls > 5, "it lived through it all"
            return
    raise AssertionError("it never came to its end")


class Late:
    """Records and streams that take what one process writes after the record only when told to."""

    def __init__(self, power: object, until: asyncio.Event, held: set[str]) -> None:
        self._power = power
        self._until = until
        self._held = held

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._power, name)

        async def call(*args: Any, **options: Any) -> Any:
            is_read = name in ("get", "query", "read", "describe")
            if not is_read and args[0] not in ("conversations", "conversations-untold", "rates"):
                self._held.add(str(args[0]))
                await self._until.wait()
            return await method(*args, **options)

        return call


@pytest.mark.parametrize("deed", ["send", "edit"])
async def test_a_process_that_was_frozen_changes_nothing_when_it_goes_on(deed: str) -> None:
    """Others have done its work meanwhile, and have gone on."""
    store = open_store("memory://")
    await prepared(store, deed)
    until, held = asyncio.Event(), set[str]()
    powers: Any = {it: Late(getattr(store, it), until, held) for it in ("log", "records")}
    frozen = Messaging(store._replace(**powers), LOOSE)
    work = asyncio.create_task(cast(Coroutine[Any, Any, object], DEEDS[deed](frozen)))
    messaging = Messaging(store, LOOSE)
    for _ in range(20):
        await asyncio.sleep(0)
    assert {"messages", "user:paul"} <= held
    number, who = (3, PAUL) if deed == "send" else (1, ANN)
    await messaging.edit(who, f"{PAIR}-{number}", "meanwhile")
    await messaging.send(ANN, PAIR, draft("another"))
    until.set()
    await asyncio.wait_for(work, 5)
    history = (await messaging.history(ANN, PAIR, None, 10)).items
    assert history[number - 1]["text"] == "meanwhile"
    (listed,) = (await messaging.conversations(PAUL, None, 10)).items
    assert listed["number"] == len(history)
    await must_agree(store)

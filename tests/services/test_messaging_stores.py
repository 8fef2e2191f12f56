"""Messaging on every backend: two servers at once, one of which dies, and both sides agree."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from lastevent.services.messaging.service import Messaging
from tests.services.dying import Died, Life, dying
from tests.services.talk import ANN, LOOSE, PAIR, PAUL, View, draft, told
from tests.stores.harness import BACKENDS, Harness


@pytest.mark.parametrize("backend", BACKENDS)
async def test_two_servers_and_a_death(backend: type[Harness], tmp_path: Path) -> None:
    harness = backend(tmp_path)
    store = await harness.open()
    other = await harness.open() if harness.shared else store
    here, there = Messaging(store, LOOSE), Messaging(other, LOOSE)
    await here.begin(ANN, PAUL.id, draft("first"))
    views = [View(ANN), View(PAUL)]
    for view in views:
        await view.load(here)

    async def talk(messaging: Messaging, user: str) -> None:
        who = ANN if user == "ann" else PAUL
        for n in range(4):
            number = (await messaging.send(who, PAIR, draft(f"{user} {n}")))["number"]
            assert isinstance(number, int)
            if n % 2:
                await messaging.edit(who, f"{PAIR}-{number}", "edited")
            else:
                await messaging.mark(who, PAIR, "read", number)

    await asyncio.gather(talk(here, "ann"), talk(there, "paul"))
    for calls in (6, 9):
        with suppress(Died):
            doomed = Messaging(dying(other, Life(calls, carried_out=True)), LOOSE)
            await doomed.delete(ANN, f"{PAIR}-1")
        await there.sweep()
    truth = [View(ANN), View(PAUL)]
    for view, whole in zip(views, truth, strict=True):
        await view.listen(store)
        await whole.load(there)
        assert view.agrees(whole), (view, whole)
    assert truth[0].agrees(truth[1])
    assert sorted(truth[0].messages) == list(range(1, 10))
    said = [(type, data["number"], data.get("revision")) for type, data in await told(store, PAUL)]
    assert len(set(said)) == len(said)
    (listed,) = (await here.conversations(PAUL, None, 10)).items
    assert listed["number"] == 9
    await harness.close()

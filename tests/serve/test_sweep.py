"""The time of a sweep: whoever is to be pumped gets some of it, however many there are."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field

import pytest

from lastevent.core.errors import NotFound
from lastevent.core.event import NewEvent
from lastevent.serve import live as module
from lastevent.serve.app import App, router
from lastevent.serve.invocation import Invocation
from lastevent.serve.live import MAX_AT_ONCE, SHORTEST_TURN_SECONDS, pumps, sweep
from lastevent.serve.service import Service
from lastevent.serve.settings import Settings
from lastevent.sources.base import Batch, Replays
from lastevent.sources.keeper import Live
from tests.stores.timeless import timeless


@dataclass
class Endless:
    """Says one thing, and is never over. ``turns``: how long it was read, each time."""

    replays: Replays = "full"
    turns: list[float] = field(default_factory=list)

    async def read(self, position: str | None) -> AsyncGenerator[Batch]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield Batch([NewEvent("note", "1")], "1")
            await asyncio.sleep(24 * 3600)
        finally:
            self.turns.append(loop.time() - began)


@contextlib.asynccontextmanager
async def unfinished(count: int) -> AsyncIterator[tuple[Service, dict[str, Endless]]]:
    """A service with so many sources that others have begun."""
    app = App(router([]))
    app.configure(Settings(store_url="memory://", auth_secret="s" * 32))
    service = await app.begin()
    sources = {f"job:{number:03}": Endless() for number in range(count)}
    for stream, source in sources.items():
        await pumps(service).register(live(stream, source))
    yield service, sources
    await service.close()


def live(stream: str, source: Endless) -> Live:
    return Live(stream, "jobs", lambda: source)


async def swept(service: Service, sources: dict[str, Endless], seconds: float) -> set[str]:
    """Sweep for so long; return what became of the sources."""

    async def resume(service: Service, stream: str) -> Live:
        if stream not in sources:
            raise NotFound("it is gone")
        return live(stream, sources[stream])

    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await sweep(service, Invocation(deadline=began + seconds / 0.75), {"jobs": resume})
    assert loop.time() - began == pytest.approx(seconds, abs=0.5)
    assert {one["stream"] for one in found} == sources.keys()
    return {one["state"] for one in found}


@pytest.mark.parametrize("count", [1, MAX_AT_ONCE, MAX_AT_ONCE + 1, 3 * MAX_AT_ONCE + 1])
def test_each_gets_its_part_of_the_time(count: int) -> None:
    @timeless
    async def play() -> None:
        rounds = -(-count // MAX_AT_ONCE)
        async with unfinished(count) as (service, sources):
            assert await swept(service, sources, 12.0) == {"unfinished"}
            turns = [source.turns for source in sources.values()]
            assert {len(its) for its in turns} == {1}
            assert min(turns)[0] == pytest.approx(12.0 / rounds, abs=0.5)
            for stream in sources:
                assert (await service.store.log.describe(stream)).head.sequence == 1

    play()


def test_where_time_is_too_short_for_all_chance_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left out for ever, and who is left out this time costs nothing."""
    monkeypatch.setattr(module, "MAX_AT_ONCE", 1)

    @timeless
    async def play() -> None:
        async with unfinished(3) as (service, sources):
            for sweeps in range(1, 100):
                await swept(service, sources, SHORTEST_TURN_SECONDS * 0.9)
                turns = [len(source.turns) for source in sources.values()]
                assert sum(turns) == sweeps
                if all(turns):
                    return
            pytest.fail(f"there were {turns} turns")

    play()

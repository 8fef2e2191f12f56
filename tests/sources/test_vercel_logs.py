"""A deployment's log: every line once, in order, to its end, whoever is killed in between.

The two faults of the vendor's own follower, a lost tail after READY and doubled lines of one
millisecond after a reconnect, are what most of the chaos here is about.
"""

import asyncio
import json
import re
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from infra.local.vercel_api.builds import BUILDS
from infra.local.vercel_api.chaos import ORDERLY, WILD, Chaos
from infra.local.vercel_api.script import Line, Phase, Script
from lastevent.core.errors import UpstreamLost
from lastevent.core.event import NewEvent
from lastevent.sources.base import MAX_BATCH_BYTES, Batch
from lastevent.sources.vercel import logs
from lastevent.sources.vercel.logs import DeploymentLog, Pace
from lastevent.sources.vercel.telling import NO_LOG
from lastevent.stores.base import MAX_BATCH_EVENTS
from tests.sources.played import Notes, PlayedApi
from tests.stores.timeless import timeless

SEEDS = range(40)


@dataclass
class Stored:
    """A stream: what was appended, the position with it, and when each line came."""

    position: str | None = None
    events: list[NewEvent] = field(default_factory=list)
    came: dict[str, float] = field(default_factory=dict)
    over: bool = False

    def append(self, batch: Batch, now: float) -> None:
        assert not self.over
        assert len(batch.events) <= MAX_BATCH_EVENTS
        *others, last = [event.size for event in batch.events] or [0]
        assert sum(others) <= MAX_BATCH_BYTES, last
        self.events += batch.events
        self.position = batch.position or self.position
        assert self.position is None or len(self.position) < 48 * 1024
        self.over = batch.over
        for line in said("log", batch.events):
            self.came.setdefault(line["id"], now)

    @property
    def ids(self) -> list[str]:
        """The ids of lines, but for that of assigned names, which the vendor gives none."""
        return [line["id"] for line in self.of("log") if line["id"].startswith("evt_")]

    def of(self, type: str) -> list[dict[str, Any]]:
        return said(type, self.events)


def said(type: str, events: Any) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in events if event.type == type]


async def follow(
    api: PlayedApi,
    notes: Notes,
    *,
    pace: Pace = Pace(),
    seed: int = 0,
    kills: float = 0.0,
    longest_life: float = 3600.0,
) -> Stored:
    """Pump the log to its end; ``kills`` is the probability that the pump dies with a batch, and
    ``longest_life`` how many seconds each of them has."""
    chance = Random(seed)
    stored = Stored()
    while not stored.over:
        source = DeploymentLog(api, api.played.id, notes, pace)
        life = chance.uniform(0.0, 60.0) if kills else longest_life
        try:
            async with asyncio.timeout(life):
                await _pump(source, api, stored, chance, kills)
        except (TimeoutError, ZeroDivisionError):
            await asyncio.sleep(chance.uniform(0.0, 5.0))
    return stored


async def _pump(
    source: DeploymentLog, api: PlayedApi, stored: Stored, chance: Random, kills: float
) -> None:
    while True:
        try:
            async with aclosing(source.read(stored.position)) as batches:
                async for batch in batches:
                    if chance.random() < kills:
                        raise ZeroDivisionError("killed with a batch in its hands")
                    stored.append(batch, api.now)
                    if chance.random() < kills:
                        raise ZeroDivisionError("killed after a batch was stored")
                assert stored.over
                return
        except UpstreamLost:
            await asyncio.sleep(chance.uniform(0.1, 3.0))


def check(api: PlayedApi, stored: Stored) -> None:
    """Every line once, in order but for those that became visible late; all else as it must be."""
    assert sorted(stored.ids) == sorted(api.ids)
    entries = {entry.id: entry for entry in api.played.lines()}
    latest = (0, "")
    for id in stored.ids:
        place = entries[id].date, entries[id].serial
        assert place > latest or entries[id].visible > entries[id].date
        latest = max(latest, place)
    percents = [event["percent"] for event in stored.of("progress")]
    assert percents == sorted(percents)
    assert len({event["text"] for event in stored.of("progress")}) == len(percents)
    states = [event["readyState"] for event in stored.of("state")]
    assert states[-1] == states[-2] == api.played.script.phases[-1].state
    assert len(set(states)) == len(states) - 1, "each once, and the last one at the end again"
    assert stored.of("state")[-1]["over"] is True
    assert (100 in percents) == (states[-1] == "READY")


@timeless
async def test_an_orderly_build() -> None:
    api, notes = PlayedApi("next", ORDERLY), Notes()
    stored = await follow(api, notes)
    check(api, stored)
    assert stored.ids == api.ids
    assert notes.states == ["QUEUED", "INITIALIZING", "BUILDING", "READY"]
    assert notes.took[0].lines == len(stored.of("log"))
    late = [stored.came[entry.id] - entry.date for entry in api.played.lines()]
    assert max(late) < 1500, "each line within about a second"
    first = stored.of("log")[0]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", first["time"])
    assert first.keys() == {"time", "date", "level", "text", "step", "id"}
    texts = [event["text"] for event in stored.of("progress")]
    assert texts[0] == "Queued 0 %"
    assert "Building 35 %" in texts
    assert texts[-1] == "Ready 100 %"


@pytest.mark.parametrize("build", ["next", "failing", "canceled"])
def test_nothing_is_lost_or_doubled_whatever_happens(build: str) -> None:
    for seed in SEEDS:
        chaos = replace(WILD, seed=seed, late=seed % 8, tail=float(seed % 5))

        @timeless
        async def play(seed: int = seed, chaos: Chaos = chaos) -> None:
            api = PlayedApi(build, chaos, seed=seed, trouble=0.1)
            stored = await follow(api, Notes(), seed=seed, kills=0.15)
            check(api, stored)

        play()


def test_a_long_build_that_is_over_comes_in_batches_and_survives_kills_between_them() -> None:
    for seed in range(2):

        @timeless
        async def play(seed: int = seed) -> None:
            api = PlayedApi("long", replace(WILD, seed=seed, same_ms=7), seed=seed)
            await asyncio.sleep(60 * (seed % 2))  # half of them are over before anybody looks
            check(api, await follow(api, Notes(), seed=seed, kills=0.1 + 0.3 * (seed % 2)))

        play()


@timeless
async def test_what_was_over_long_ago_comes_at_once() -> None:
    api = PlayedApi("next", ORDERLY, began=1_600_000_000_000)
    await asyncio.sleep(600)
    began = api.now
    stored = await follow(api, Notes())
    check(api, stored)
    assert api.now - began < 2000
    assert api.polls == 2


@timeless
async def test_the_tail_after_the_end_is_read() -> None:
    """The vendor's follower leaves at READY."""
    api = PlayedApi("next", Chaos(tail=4.0, tail_lines=8))
    stored = await follow(api, Notes())
    check(api, stored)
    over = api.played.over
    assert over is not None
    assert sum(came > over for came in stored.came.values()) >= 7


@timeless
async def test_the_lines_of_one_millisecond_come_once_after_a_reconnect() -> None:
    """The vendor's follower asks again from the last date, and tells all of it twice."""
    api = PlayedApi("next", Chaos(same_ms=10))
    stored = await follow(api, Notes(), seed=1, kills=0.3)
    check(api, stored)


@timeless
async def test_a_line_that_announces_another_is_waited_for() -> None:
    phases = (Phase(0, "BUILDING"), Phase(1, "READY"))
    lines = (Line(0.5, "Creating build cache..."), Line(15, "Created build cache: 14s"))
    api = PlayedApi(Script(phases=phases, lines=lines), ORDERLY)
    check(api, await follow(api, Notes()))
    check(api, await follow(api, Notes(), kills=0.1))


@timeless
async def test_a_log_that_goes_on_for_ever_has_an_end() -> None:
    phases = (Phase(0, "BUILDING"), Phase(1, "READY"))
    lines = tuple(Line(second, f"request {second}") for second in range(2, 4000, 2))
    api = PlayedApi(Script(phases=phases, lines=lines), ORDERLY)
    stored = await follow(api, Notes())
    assert 80 < api.now / 1000 - api.played.begun / 1000 < 100
    assert stored.of("state")[-1]["over"] is True


@pytest.mark.parametrize("quiet", [True, False])
def test_pumps_that_live_for_seconds_come_to_the_end_as_soon(
    quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each goes on counting where the one before it was killed."""

    @timeless
    async def play() -> None:
        phases = (Phase(0, "BUILDING"), Phase(1, "READY"))
        last = 2 if quiet else 4000
        lines = tuple(Line(second, f"request {second}") for second in range(1, last))
        api = PlayedApi(Script(phases=phases, lines=lines), ORDERLY)
        monkeypatch.setattr(logs, "time", lambda: api.now / 1000)
        stored = await follow(api, Notes(), longest_life=4.0)
        if quiet:
            check(api, stored)
        seconds = (api.now - api.played.begun) / 1000
        assert seconds < 15 if quiet else 80 < seconds < 100

    play()


@pytest.mark.parametrize("gone_as", ["empty", "404"])
def test_a_log_that_the_vendor_has_no_more_is_said(gone_as: Any) -> None:
    @timeless
    async def play() -> None:
        api = PlayedApi("failing", Chaos(gone=1.0, gone_as=gone_as), began=1_600_000_000_000)
        await asyncio.sleep(600)
        stored = await follow(api, Notes())
        assert [event["error"] for event in stored.of("failure")] == [NO_LOG]
        assert stored.of("state")[-1]["error"] == 'Command "npm run build" exited with 1'
        assert [event.type for event in stored.events[-2:]] == ["failure", "state"]

    play()


@timeless
async def test_a_deployment_that_is_blocked_ends_without_a_log() -> None:
    api, notes = PlayedApi("blocked", ORDERLY), Notes()
    stored = await follow(api, notes)
    assert [event.type for event in stored.events] == ["state", "progress", "state", "state"]
    assert stored.of("state")[-1]["state"] == "blocked"
    assert notes.states == ["QUEUED", "BLOCKED"]


@timeless
async def test_long_lines_fit_their_batches() -> None:
    phases = (Phase(0, "BUILDING"), Phase(1, "READY"))
    lines = tuple(Line(0.5, f"{number}" + "\u20ac\0" * 14_000) for number in range(12))
    api = PlayedApi(Script(phases=phases, lines=lines), ORDERLY)
    await asyncio.sleep(5)
    check(api, await follow(api, Notes(), kills=0.2))


@timeless
async def test_how_often_the_api_is_asked() -> None:
    api = PlayedApi("next", ORDERLY)
    await follow(api, Notes())
    assert 40 <= api.polls <= 55
    assert api.calls <= 20


@timeless
async def test_progress_goes_by_the_last_build_of_the_project() -> None:
    notes = Notes()
    await follow(PlayedApi("next", ORDERLY), notes)
    api = PlayedApi("next", ORDERLY, seed=1)
    stored = await follow(api, notes)
    halfway = api.played.begun + 20_000
    told = [event["percent"] for event in stored.of("progress")]
    lines = [line for line in stored.of("log") if line["date"] < halfway]
    assert lines
    assert any(40 <= percent <= 60 for percent in told)
    assert len(told) > 15


@timeless
async def test_a_state_that_the_log_tells_is_looked_at_at_once() -> None:
    api = PlayedApi("next", ORDERLY)
    stored = await follow(api, Notes(), pace=Pace(look=3600))
    check(api, stored)


def test_the_build_that_is_played_has_what_is_tested() -> None:
    assert len(BUILDS["long"].lines) > 4000

"""A pump goes on where the last one left off, tells what was lost on the way, and has an end."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable
from time import time
from typing import Any

import pytest

from lastevent.core.errors import StoreUnavailable, UpstreamLost, UpstreamRefused
from lastevent.core.event import Event, NewEvent
from lastevent.sources import pump as module
from lastevent.sources.base import Batch, Replays, Source
from lastevent.sources.host import Host
from lastevent.sources.lease import patiently
from lastevent.sources.pump import DEFECT, Place, Pump
from lastevent.stores.base import Store
from lastevent.stores.url import open_store
from tests.sources.processes import WAIT_SECONDS, until
from tests.sources.scripted import Numbers, Scripted, Step, notes
from tests.sources.trouble import Trouble

STREAM = "source:1"
LEASE_SECONDS = 5.0


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    store = open_store("memory://")
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)


async def pump(store: Store, source: Source, **options: Any) -> Pump:
    """Take the stream over, as a process does."""
    host = Host(store, STREAM, lease_seconds=LEASE_SECONDS)
    extent = await host.acquire()
    assert extent and not extent.closed
    return Pump(host, source, extent.bookmark, **options)


async def run(store: Store, source: Source, **options: Any) -> bool:
    return await in_time((await pump(store, source, **options)).run())


async def in_time[T](work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, WAIT_SECONDS)


async def events(store: Store) -> list[Event]:
    found: list[Event] = []
    after = None
    while True:
        page = await store.log.read(STREAM, after)
        found += page.events
        after = page.cursor
        if page.at_end:
            return found


async def texts(store: Store) -> list[str]:
    return [event.data for event in await events(store) if event.type == "note"]


async def said(store: Store, *types: str) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in await events(store) if event.type in types]


async def types(store: Store) -> list[str]:
    return [event.type for event in await events(store)]


async def is_closed(store: Store) -> bool:
    return (await store.log.describe(STREAM)).closed


# To the end.


@pytest.mark.parametrize(
    "script",
    [
        [notes(1, position="1"), notes(2, over=True)],
        [notes(1), notes(2), Batch(over=True)],
        [Batch(), notes(1), Batch(), notes(2)],
    ],
    ids=["with the last events", "after them", "by returning"],
)
@pytest.mark.parametrize("replays", ["full", "snapshot", "none"])
async def test_a_source_that_is_at_its_end_closes_the_stream(
    store: Store, script: list[Step], replays: Replays
) -> None:
    source = Scripted([script], replays)
    assert await run(store, source)
    assert await types(store) == ["note", "note"]
    assert await is_closed(store)
    assert source.open == 0
    assert await store.leases.acquire(STREAM, "another", 1), "the lease was let go"


async def test_the_last_events_and_the_closing_are_one_step(store: Store) -> None:
    """Or a kill between them would leave a stream that waits for its end."""
    trouble = Trouble(only="append")
    one = await pump(trouble.over(store), Scripted([[notes(1, over=True)]]))
    assert await in_time(one.run())
    assert await is_closed(store)
    appended = [event.time for event in await events(store)]
    assert len(appended) == 1


async def test_what_says_nothing_costs_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    append = store.log.append

    async def counting(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        return await append(*args, **options)

    one = await pump(store, Scripted([[Batch(position=str(n)) for n in range(100)]]))
    monkeypatch.setattr(store.log, "append", counting)
    assert await in_time(one.run())
    assert calls == 1, "only the closing"


async def test_events_beside_its_own_do_not_disturb_it(store: Store) -> None:
    """The API may publish to the stream too: a fence, not only an expected end (RULES 14)."""
    one = asyncio.create_task(run(store, Numbers(50, pause=0.01)))
    for n in range(20):
        await store.log.append(STREAM, [NewEvent("aside", str(n))])
        await asyncio.sleep(0.002)
    assert await in_time(one)
    assert await texts(store) == [str(n) for n in range(50)]


# From one to the next.


async def test_a_halted_pump_is_gone_on_with(store: Store) -> None:
    first = await pump(store, Numbers(50, pause=0.01))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.05)
    first.halt()
    assert await in_time(running) is False
    assert not await is_closed(store)
    before = len(await texts(store))
    assert 0 < before < 50
    assert await run(store, source := Numbers(50))
    assert await texts(store) == [str(n) for n in range(50)]
    assert source.open == 0


async def test_halting_does_not_wait_for_the_upstream(store: Store) -> None:
    source = Scripted([[notes(1), 3600.0]])
    one = await pump(store, source)
    running = asyncio.create_task(one.run())
    await until(lambda: source.open)
    await asyncio.sleep(0.02)
    one.halt()
    one.halt()
    assert await in_time(running) is False
    assert source.open == 0
    assert not running.cancelling(), "its own cancelling is over"


async def test_halting_before_it_runs(store: Store) -> None:
    source = Scripted([[notes(1)]])
    one = await pump(store, source)
    one.halt()
    assert await in_time(one.run()) is False
    assert source.positions == []


async def test_who_is_cancelled_is_cancelled(store: Store) -> None:
    """A cancelled pump is no halted one: its caller has to know."""
    source = Scripted([[notes(1), 3600.0]])
    one = await pump(store, source)
    running = asyncio.create_task(one.run())
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert source.open == 0
    assert await store.leases.acquire(STREAM, "another", 1)


@pytest.mark.parametrize("seed", range(20))
async def test_killed_at_any_instant_nothing_is_lost_or_doubled(store: Store, seed: int) -> None:
    """The position is stored with the events, in one step (RULES 15)."""
    chance = random.Random(seed)
    source = Numbers(200, size=7)
    lost = chance.random() < 0.5

    def trouble() -> None:
        if lost and chance.random() < 0.1:
            raise UpstreamLost("cut")

    over = False
    while not over:
        source.trouble = trouble
        source.pause = chance.choice((0, 0, 0.0005))
        answers = Trouble(after=chance.choice((0, 1, 2)), only="append")
        host = Host(answers.over(store), STREAM, lease_seconds=LEASE_SECONDS)
        extent = await in_time(patiently(host.acquire, WAIT_SECONDS))
        assert extent
        running = asyncio.create_task(Pump(host, source, extent.bookmark).run())
        for _ in range(chance.randint(1, 60)):
            await asyncio.sleep(0)
        running.cancel()
        try:
            over = await running
        except asyncio.CancelledError:
            over = await is_closed(store)
    assert await texts(store) == [str(n) for n in range(200)]
    assert await said(store, "gap") == []


async def test_the_late_pump_does_not_write(store: Store) -> None:
    late = await pump(store, Numbers(30, pause=0.01))
    running = asyncio.create_task(late.run())
    await asyncio.sleep(0.05)
    lease = late._host._lease
    assert lease
    await store.leases.release(lease)  # it ran out, and the late one does not know
    assert await run(store, Numbers(30))
    assert await in_time(running) is False
    assert await texts(store) == [str(n) for n in range(30)]


async def test_a_stream_that_somebody_closes_is_over(store: Store) -> None:
    source = Scripted([[notes(1), 0.05, notes(2), 3600.0]])
    running = asyncio.create_task(run(store, source))
    await asyncio.sleep(0.02)
    await store.log.append(STREAM, [], close=True)
    assert await in_time(running) is True
    assert source.open == 0


# What cannot be told again.


@pytest.mark.parametrize("replays", ["snapshot", "none"])
async def test_a_takeover_says_what_may_be_missing(store: Store, replays: Replays) -> None:
    before = int(time() * 1000)
    first = await pump(store, Scripted([[notes(1), 3600.0]], replays))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.05)
    first.halt()
    await in_time(running)
    await asyncio.sleep(0.05)
    assert await run(store, Scripted([[Batch(), notes(2)]], replays))
    assert await types(store) == ["note", "gap", "note"]
    [gap] = await said(store, "gap")
    assert before <= gap["from"] < gap["to"] <= time() * 1000
    assert gap["to"] - gap["from"] >= 50


async def test_the_first_pump_tells_of_no_gap(store: Store) -> None:
    source = Scripted([[UpstreamLost("not yet")], [Batch(), notes(1)]], "none")
    assert await run(store, source)
    assert await said(store, "gap") == []


async def test_a_connection_that_comes_back_says_so(store: Store) -> None:
    source = Scripted([[notes(1), UpstreamLost("it hung up")], [Batch(), notes(2)]], "none")
    assert await run(store, source)
    assert await types(store) == ["note", "upstream", "gap", "upstream", "note"]
    lost, back = await said(store, "upstream")
    assert (lost["state"], lost["error"]) == ("lost", "it hung up")
    assert back["state"] == "back"
    [gap] = await said(store, "gap")
    assert gap["from"] <= lost["time"] <= gap["to"] == back["time"]


async def test_a_quiet_connection_is_known_to_the_next_pump(store: Store) -> None:
    """Killed before the upstream has said anything, which it may have done since."""
    first = await pump(store, Scripted([[Batch(), 3600.0]], "none"))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.wait([running])
    assert await run(store, Scripted([[Batch()]], "none"))
    assert await types(store) == ["gap"]


async def test_killed_while_it_tells_that_the_upstream_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says of its own is another step than the first events: those are still to come."""
    monkeypatch.setattr(module, "PROVEN_SECONDS", 0.0)
    script: list[Step] = [notes(2, position="2")]
    one = await pump(store, Scripted([[notes(1, position="1"), UpstreamLost("cut")], script]))
    append = store.log.append

    async def dies(*args: Any, **options: Any) -> Any:
        if [event.data for event in args[1]] == ["2"]:
            raise asyncio.CancelledError
        return await append(*args, **options)

    monkeypatch.setattr(store.log, "append", dies)
    with pytest.raises(asyncio.CancelledError):
        await in_time(one.run())
    monkeypatch.setattr(store.log, "append", append)
    source = Scripted([script])
    assert await run(store, source)
    assert source.positions == ["1"]
    assert await types(store) == ["note", "upstream", "upstream", "note"]


async def test_each_absence_is_told(store: Store) -> None:
    cut: list[Step] = [notes(1), UpstreamLost("cut")]
    assert await run(store, Scripted([cut, cut, [Batch()]], "none"))
    states = [it["state"] for it in await said(store, "upstream")]
    assert states == ["lost", "back", "lost", "back"]


async def test_the_gap_begins_when_it_was_last_heard(store: Store) -> None:
    """A source that says now and then that it hears, and nothing more, makes a gap shorter."""
    script: list[Step] = [notes(1), 0.05, Batch(), 0.05, Batch(), 3600.0]
    first = await pump(store, Scripted([script], "none"))
    began = int(time() * 1000)
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.15)
    first.halt()
    await in_time(running)
    assert await run(store, Scripted([[Batch()]], "none"))
    [gap] = await said(store, "gap")
    assert gap["from"] - began >= 90


async def test_that_it_is_away_is_known_to_the_next_pump(store: Store) -> None:
    source = Scripted([[notes(1), UpstreamLost("away")], [UpstreamLost("still away")]], "none")
    first = await pump(store, source)
    running = asyncio.create_task(first.run())
    await until(lambda: len(source.positions) > 3)
    first.halt()
    assert await in_time(running) is False
    assert await run(store, Scripted([[Batch()]], "none"))
    states = [it["state"] for it in await said(store, "upstream")]
    assert states == ["lost", "back"]


# Trouble upstream.


async def test_a_short_absence_of_what_can_be_told_again_is_nothing(store: Store) -> None:
    lost = UpstreamLost("busy")
    source = Scripted([[notes(1, position="1"), lost], [lost], [notes(2, position="2")]])
    assert await run(store, source)
    assert await types(store) == ["note", "note"]
    assert source.positions == [None, "1", "1"]


async def test_a_long_absence_is_told_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROVEN_SECONDS", 0.1)
    lost: list[Step] = [UpstreamLost("busy")]
    source = Scripted([*([lost] * 8), [Batch(), notes(1)]])
    assert await run(store, source)
    assert [it["state"] for it in await said(store, "upstream")] == ["lost", "back"]


@pytest.mark.parametrize(
    ("step", "pause"),
    [
        ([UpstreamLost("too many", retry_after=0.5)], 0.01),
        ([0.3, UpstreamLost("no answer in time")], 0.01),
        ([UpstreamLost("no answer")], 0.5),
    ],
    ids=["it wants to be left alone", "a call hung", "it is asked again late"],
)
async def test_the_first_failure_of_a_long_absence_tells_it(
    store: Store, step: list[Step], pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROVEN_SECONDS", 0.2)
    monkeypatch.setattr(module, "FIRST_PAUSE", pause)
    source = Scripted([[notes(1, position="1"), *step], [Batch(), notes(2, position="2")]])
    assert await run(store, source)
    assert source.positions == [None, "1"]
    assert await types(store) == ["note", "upstream", "upstream", "note"]
    lost, back = await said(store, "upstream")
    assert (lost["state"], back["state"]) == ("lost", "back")


async def test_what_was_quiet_before_a_takeover_is_no_absence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked meanwhile: the upstream may have been there all the time."""
    monkeypatch.setattr(module, "PROVEN_SECONDS", 0.2)
    first = await pump(store, Scripted([[notes(1, position="1"), 3600.0]]))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.3)
    first.halt()
    assert await in_time(running) is False
    source = Scripted([[UpstreamLost("busy")], [notes(2, position="2")]])
    assert await run(store, source)
    assert await types(store) == ["note", "note"]


async def test_who_answers_and_hangs_up_is_asked_for_as_long_as_it_takes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause that only doubles is no number any more after a thousand failures."""
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.0)
    hangs_up: list[Step] = [Batch(), UpstreamLost("hung up")]
    assert await run(store, Scripted([*([hangs_up] * 1100), [Batch(), notes(1)]]))
    assert await types(store) == ["note"]


async def test_pauses_grow_until_a_connection_has_proven_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers and ends at once is no success: others came back 400 times a second."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        if seconds == LEASE_SECONDS / 3:
            await sleep(seconds)
        else:
            pauses.append(seconds)

    monkeypatch.setattr(module, "FIRST_PAUSE", 1.0)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 20.0)
    monkeypatch.setattr(asyncio, "sleep", noting)
    answers: list[Step] = [Batch(), UpstreamLost("hung up")]
    assert await run(store, Scripted([*([answers] * 8), [Batch()]], "none"))
    most = [1, 2, 4, 8, 16, 20, 20, 20]
    assert pauses != most, "they come back all at once"
    assert all(high / 2 <= pause <= high for pause, high in zip(pauses, most, strict=True)), pauses


async def test_a_proven_connection_counts_failures_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROVEN_SECONDS", 0.05)
    lost = UpstreamLost("busy")
    source = Scripted([[lost], [lost], [lost], [notes(1), 0.1, notes(2), lost], [Batch()]])
    one = await pump(store, source)
    assert await in_time(one.run())
    assert one._failures == 1


async def test_it_waits_as_long_as_it_is_told_to(store: Store) -> None:
    source = Scripted([[UpstreamLost("too many", retry_after=0.3)], [notes(1)]])
    began = time()
    assert await run(store, source)
    assert time() - began >= 0.3


async def test_who_takes_over_waits_too(store: Store) -> None:
    """Or each hand-over would ask an upstream again that wants to be left alone."""
    source = Scripted([[UpstreamLost("too many", retry_after=0.4)]])
    first = await pump(store, source)
    began = time()
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.05)
    first.halt()
    assert await in_time(running) is False
    assert await run(store, Scripted([[notes(1)]]))
    assert time() - began >= 0.4
    assert len(source.positions) == 1


async def test_an_upstream_that_refuses_ends_it(store: Store) -> None:
    assert await run(store, Scripted([[UpstreamRefused("There is no such job.")]]))
    [failure] = await said(store, "failure")
    assert failure["error"] == "There is no such job."
    assert abs(failure["time"] - time() * 1000) < 10_000
    assert await is_closed(store)


async def test_an_upstream_that_stays_away_is_given_up(store: Store) -> None:
    source = Scripted([[notes(1), UpstreamLost("gone fishing")], [UpstreamLost("gone fishing")]])
    source.replays = "none"
    assert await run(store, source, patience_seconds=0.2)
    [failure] = await said(store, "failure")
    assert "too long" in failure["error"] and "gone fishing" in failure["error"]
    assert await is_closed(store)


async def test_patience_is_counted_over_all_pumps(store: Store) -> None:
    away: list[list[Step]] = [[UpstreamLost("gone")]]
    first = await pump(store, Scripted(away, "none"), patience_seconds=0.3)
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.1)
    first.halt()
    await in_time(running)
    await asyncio.sleep(0.3)
    source = Scripted(away, "none")
    assert await run(store, source, patience_seconds=0.3)
    assert len(source.positions) == 1


async def test_who_asks_to_wait_for_too_long_is_given_up_at_once(store: Store) -> None:
    source = Scripted([[UpstreamLost("tomorrow", retry_after=86400)]], "none")
    assert await run(store, source)
    assert await is_closed(store)


async def test_a_source_has_an_end_in_any_case(store: Store) -> None:
    source = Scripted([[notes(1), 3600.0]])
    assert await run(store, source, longest_seconds=0.1)
    [failure] = await said(store, "failure")
    assert "given up after" in failure["error"]
    assert await is_closed(store)
    assert source.open == 0


async def test_its_age_is_counted_over_all_pumps(store: Store) -> None:
    first = await pump(store, Scripted([[notes(1), 3600.0]]))
    running = asyncio.create_task(first.run())
    await asyncio.sleep(0.1)
    first.halt()
    await in_time(running)
    began = time()
    assert await run(store, Scripted([[Batch(), 3600.0]]), longest_seconds=0.1)
    assert time() - began < 0.09 or await is_closed(store)
    assert Place.parse((await store.log.describe(STREAM)).bookmark)


# Defects.


async def test_a_defect_is_logged_told_and_tried_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    source = Scripted([[notes(1), ZeroDivisionError("secret")], [Batch(), notes(2)]], "none")
    assert await run(store, source)
    lost, _ = await said(store, "upstream")
    assert lost["error"] == DEFECT
    assert await texts(store) == ["1", "2"]
    assert "ZeroDivisionError" in caplog.text


async def test_what_cannot_be_stored_ends_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    assert await run(store, Scripted([[notes(*range(1001))]]))
    [failure] = await said(store, "failure")
    assert "cannot be stored" in failure["error"]
    assert await is_closed(store)


async def test_a_store_that_stays_away_is_the_callers_matter(store: Store) -> None:
    trouble = Trouble(only="append")
    source = Scripted([[Batch(), 0.05, notes(1)]])
    host = Host(trouble.over(store), STREAM, lease_seconds=LEASE_SECONDS, patience_seconds=0.1)
    assert await host.acquire()
    running = asyncio.create_task(Pump(host, source, None).run())
    await asyncio.sleep(0.01)
    trouble.before = 1e9
    with pytest.raises(StoreUnavailable):
        await in_time(running)
    assert source.open == 0

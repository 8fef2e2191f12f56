"""Hints: what they cost, and that no schedule of the log, its messages and looks loses movement."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from lastevent.core.cursor import Cursor
from lastevent.stores.channel import End
from lastevent.stores.hints import Hints
from tests.stores.scripted_channel import GENERATION, ScriptedLog, at
from tests.stores.timeless import TimelessLoop, timeless

NOBODY: frozenset[str] = frozenset()
S = frozenset({"s"})
LONG = 10_000.0
"""A wait that ends by itself only when a hint was lost."""


class Wall:
    """The wall clock: the loop's time, unless a test moves it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + 1.7e9 + self.ahead


def own_tasks() -> list[str]:
    """Return the names of the tasks that a wake-up has."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("lastevent")]


@asynccontextmanager
async def hints_on(
    log: ScriptedLog, *, push: bool = True, wall: Wall | None = None
) -> AsyncIterator[Hints]:
    hints = Hints(log.look, log if push else None, wall=wall or Wall())
    try:
        yield hints
    finally:
        await hints.close()
        assert not log.open
        assert own_tasks() == [], "a closed wake-up has no task"


def waiting(hints: Hints, cursors: dict[str, Cursor]) -> "asyncio.Task[frozenset[str]]":
    return asyncio.create_task(hints.wait(cursors, LONG))


async def woken(task: "asyncio.Task[frozenset[str]]", within: float) -> frozenset[str]:
    """Return what a waiter is told, which must be before so many seconds have passed."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    streams = await task
    assert loop.time() - began <= within
    return streams


async def settled(hints: Hints, log: ScriptedLog, stream: str = "s") -> Cursor:
    """Make a stream that stands and rests; return its end."""
    end = log.append(stream).cursor
    assert await hints.wait({stream: end}, 5.0) == NOBODY
    return end


# What it costs


@timeless
async def test_with_push_an_idle_minute_costs_one_command() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        ends = {f"s:{n}": log.append(f"s:{n}").cursor for n in range(100)}
        tasks = [waiting(hints, {name: end}) for name, end in ends.items()]
        await asyncio.sleep(1)
        assert log.looked() == [frozenset(ends)], "one look for all that came to stand together"
        await asyncio.sleep(600)
        assert 9 <= len(log.looks) - 1 <= 10
        assert set(log.looked()) == {frozenset(ends)}, "all at once"
        assert not any(task.done() for task in tasks)
        assert len(log.subscriptions) == 1
        for task in tasks:
            task.cancel()


@timeless
async def test_without_push_an_idle_minute_costs_few() -> None:
    log = ScriptedLog()
    async with hints_on(log, push=False) as hints:
        ends = {f"s:{n}": log.append(f"s:{n}").cursor for n in range(100)}
        tasks = [waiting(hints, {name: end}) for name, end in ends.items()]
        for _ in range(5):
            before = len(log.looks)
            await asyncio.sleep(60)
            assert 25 <= len(log.looks) - before <= 40
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()


@timeless
async def test_a_message_costs_no_command() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        await settled(hints, log)
        before = len(log.looks)
        for _ in range(50):
            cursor = log.end("s").cursor
            task = waiting(hints, {"s": cursor})
            await asyncio.sleep(0.1)
            log.append("s")
            assert await task == S
        assert len(log.looks) == before


@timeless
async def test_own_appends_wake_at_once_and_cost_nothing() -> None:
    log = ScriptedLog()
    log.latency = 0.5
    async with hints_on(log) as hints:
        end = await settled(hints, log)
        before, now = len(log.looks), log.now
        task = waiting(hints, {"s": end})
        await asyncio.sleep(0)
        hints.moved("s", log.append("s"))
        assert await task == S
        assert log.now == now
        # The message that follows tells nothing new.
        assert await hints.wait({"s": log.end("s").cursor}, 5.0) == NOBODY
        assert len(log.looks) == before


@timeless
async def test_who_comes_late_is_told_without_a_command() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = await settled(hints, log)
        before = len(log.looks)
        log.append("s")
        await asyncio.sleep(0.1)
        now = log.now
        assert await hints.wait({"s": end}, LONG) == S
        assert log.now == now
        assert len(log.looks) == before


@timeless
async def test_nobody_waits_nobody_works() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        await settled(hints, log)
        before = len(log.looks)
        await asyncio.sleep(55)
        assert log.open, "who waited has perhaps only gone to read"
        await asyncio.sleep(10)
        assert not log.open
        assert own_tasks() == []
        await asyncio.sleep(3600)
        assert len(log.looks) == before
        # It begins again.
        task = waiting(hints, {"s": log.end("s").cursor})
        await asyncio.sleep(1)
        log.append("s")
        assert await task == S


@timeless
async def test_who_may_be_frozen_lets_go_of_everything_at_once() -> None:
    """RULES 17: and what moved meanwhile is found by who waits then, whom nothing old is told."""
    log = ScriptedLog()
    async with hints_on(log) as hints:
        before = await settled(hints, log)
        assert log.open
        await hints.rest()
        assert not log.open
        assert own_tasks() == []
        log.append("s")
        assert await woken(waiting(hints, {"s": before}), 1.0) == S


@timeless
async def test_a_stream_that_nobody_waits_for_is_dropped_alone() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        task = waiting(hints, {"kept": log.append("kept").cursor})
        await settled(hints, log, "left")
        (subscription,) = log.open
        assert subscription.streams == {"kept", "left"}
        await asyncio.sleep(70)
        assert subscription.streams == {"kept"}
        task.cancel()


@timeless
async def test_many_wait_for_many() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        ends = {f"s:{n}": log.append(f"s:{n}").cursor for n in range(1000)}
        tasks = {name: [waiting(hints, {name: ends[name]}) for _ in range(10)] for name in ends}
        await asyncio.sleep(1)
        moved = list(ends)[::2]
        for name in moved:
            log.append(name)
        await asyncio.sleep(1)
        assert all(task.done() == (name in moved) for name in ends for task in tasks[name])
        assert len(log.looks) == 1
        for name in ends:
            for task in tasks[name]:
                task.cancel()


@timeless
async def test_beyond_the_limit_streams_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastevent.stores.watcher.MAX_STREAMS", 5)
    log = ScriptedLog()
    async with hints_on(log) as hints:
        left = await settled(hints, log, "left")
        ends = {f"s:{n}": log.append(f"s:{n}").cursor for n in range(8)}
        tasks = {name: waiting(hints, {name: end}) for name, end in ends.items()}
        await asyncio.sleep(5)
        followed = log.open[0].streams
        assert len(followed) == 5
        assert "left" not in followed, "who is not waited for makes room first"
        for name in ends:
            log.append(name)
            assert await woken(tasks[name], 0.1 if name in followed else 2.1) == {name}
        assert await hints.wait({"left": left}, 5.0) == NOBODY


# Nothing is lost (RULES 13)


@timeless
async def test_an_append_between_reading_and_waiting() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = log.append("s").cursor
        log.append("s")
        assert await hints.wait({"s": end}, LONG) == S


@pytest.mark.parametrize("push", [True, False])
def test_an_append_at_any_moment_of_the_beginning(push: bool) -> None:
    @timeless
    async def append_after(pause: float) -> None:
        log = ScriptedLog()
        log.latency = 0.01
        async with hints_on(log, push=push) as hints:
            task = waiting(hints, {"s": log.append("s").cursor})
            await asyncio.sleep(pause)
            log.append("s")
            assert await woken(task, 2.1) == S

    for step in range(100):
        append_after(step * 0.0005)


@pytest.mark.parametrize("refuses", [False, True])
def test_an_append_at_any_moment_of_a_cut(refuses: bool) -> None:
    @timeless
    async def append_after(pause: float) -> None:
        log = ScriptedLog()
        log.latency = 0.01
        async with hints_on(log) as hints:
            task = waiting(hints, {"s": await settled(hints, log)})
            await asyncio.sleep(0.1)
            log.cut()
            log.refuses = refuses
            await asyncio.sleep(pause)
            log.append("s")
            assert await woken(task, 2.1) == S
            assert await hints.wait({"s": log.end("s").cursor}, 5.0) == NOBODY
            assert len(log.open) == (not refuses)

    for step in range(100):
        append_after(step * 0.003)


@timeless
async def test_a_message_between_the_confirmation_and_the_look() -> None:
    log = ScriptedLog()
    log.latency = 0.01
    async with hints_on(log) as hints:
        end = log.append("s").cursor
        task = waiting(hints, {"s": end})
        await asyncio.sleep(0.0205)  # it stands, and the look is on its way
        assert log.open[0].standing
        assert len(log.looks) == 1
        log.ends["s"] = End(at(2))
        looked_before = log.end("s")
        log.publish("s", looked_before)
        assert await task == S
        assert await hints.wait({"s": looked_before.cursor}, 5.0) == NOBODY


@timeless
async def test_a_message_that_overtakes_the_look_is_not_forgotten() -> None:
    log = ScriptedLog()
    log.latency = 0.3
    async with hints_on(log) as hints:
        end = log.append("s").cursor
        first = waiting(hints, {"s": end})
        await asyncio.sleep(0.8)  # the look has seen the old end, and is on its way back
        assert len(log.looks) == 1
        log.latency = 0.01
        log.append("s")
        assert await first == S
        await asyncio.sleep(1)
        assert await hints.wait({"s": end}, LONG) == S, "the look's answer is the older one"
        assert len(log.looks) == 1


@timeless
async def test_a_look_that_knows_more_than_the_message_meanwhile() -> None:
    log = ScriptedLog()
    log.latency = 0.1
    async with hints_on(log) as hints:
        first = waiting(hints, {"s": log.append("s").cursor})
        await asyncio.sleep(0.21)
        assert len(log.looks) == 1
        log.ends["s"] = End(at(3))
        hints.moved("s", End(at(2)))
        assert await first == S
        await asyncio.sleep(0.2)
        assert await woken(waiting(hints, {"s": at(2)}), 0.0) == S


@timeless
async def test_who_knows_more_than_the_look_on_its_way_is_not_woken() -> None:
    log = ScriptedLog()
    log.latency = 0.1
    async with hints_on(log) as hints:
        first = waiting(hints, {"s": log.append("s").cursor})
        await asyncio.sleep(0.29)  # the look has seen the end, and is on its way back
        assert len(log.looks) == 1
        log.ends["s"] = End(at(2))
        hints.moved("s", End(at(2)))
        assert await first == S
        assert await hints.wait({"s": at(2)}, 5.0) == NOBODY


@timeless
async def test_messages_out_of_order_are_old_news() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = await settled(hints, log)
        task = waiting(hints, {"s": end})
        await asyncio.sleep(0.1)
        log.append("s", late=1.0)
        log.append("s")
        assert await task == S
        now = log.now
        assert await hints.wait({"s": log.end("s").cursor}, 5.0) == NOBODY
        assert log.now == now + 5.0


MOVES = {
    "an append": End(at(2)),
    "a closing": End(at(1), closed=True),
    "a deletion": End(Cursor.after(GENERATION)),
    "a re-creation": End(at(1, generation=GENERATION + 1)),
    "another event in its place": End(at(1, proof=2)),
}


@pytest.mark.parametrize("end", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("push", [True, False])
def test_what_counts_as_movement(end: End, push: bool) -> None:
    @timeless
    async def test() -> None:
        log = ScriptedLog()
        async with hints_on(log, push=push) as hints:
            before = await settled(hints, log)
            task = waiting(hints, {"s": before})
            await asyncio.sleep(0.1)
            assert not task.done()
            log.put("s", end)
            assert await woken(task, 0.1 if push else 2.1) == S
            assert await woken(waiting(hints, {"s": before}), 0.1 if push else 2.1) == S

    test()


@timeless
async def test_a_late_message_of_a_deleted_stream_is_old_news() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        before = await settled(hints, log)
        log.put("s", End(Cursor.after(GENERATION)))
        log.publish("s", End(at(2)), late=1.0)
        assert await hints.wait({"s": before}, LONG) == S
        assert await hints.wait({"s": Cursor.after(GENERATION)}, 5.0) == NOBODY
        log.put("s", End(at(1, generation=GENERATION + 1)))
        log.publish("s", End(Cursor.after(GENERATION)), late=1.0)
        assert await hints.wait({"s": Cursor.after(GENERATION)}, LONG) == S
        assert await hints.wait({"s": at(1, generation=GENERATION + 1)}, 5.0) == NOBODY


@timeless
async def test_a_stream_that_is_closed_has_moved_for_who_comes() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = log.put("s", End(at(3), closed=True)).cursor
        assert await hints.wait({"s": end}, LONG) == S


@timeless
async def test_who_waits_for_several_hears_which() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        ends = {name: log.append(name).cursor for name in "abc"}
        assert await hints.wait(ends, 5.0) == NOBODY
        log.append("b")
        assert await hints.wait(ends, LONG) == {"b"}
        log.append("c")
        await asyncio.sleep(0.1)
        assert await hints.wait({**ends, "b": log.end("b").cursor}, LONG) == {"c"}


# Subscriptions that fail


@timeless
async def test_a_push_that_is_refused_for_ever() -> None:
    log = ScriptedLog()
    log.refuses = True
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": log.append("s").cursor})
        await asyncio.sleep(300)
        before, tried = len(log.looks), len(log.subscriptions)
        await asyncio.sleep(600)
        assert len(log.looks) - before + len(log.subscriptions) - tried <= 10 * 40 + 40
        assert 10 <= len(log.subscriptions) - tried <= 50
        log.append("s")
        assert await woken(task, 2.1) == S
        # New streams are looked at at once, since there is no subscription to wait for.
        still = waiting(hints, {"s": log.end("s").cursor})
        await asyncio.sleep(60.5)
        end = log.append("new").cursor
        log.append("new")
        assert await woken(waiting(hints, {"new": end}), 0.01) == {"new"}
        still.cancel()


@timeless
async def test_looks_are_frequent_after_a_movement_and_rare_at_rest() -> None:
    log = ScriptedLog()
    async with hints_on(log, push=False) as hints:
        end = await settled(hints, log)
        task = waiting(hints, {"s": end})
        await asyncio.sleep(60)
        log.append("s")
        assert await task == S
        for _ in range(20):
            task = waiting(hints, {"s": log.end("s").cursor})
            await asyncio.sleep(0.04)
            log.append("s")
            assert await woken(task, 0.2) == S


@timeless
async def test_after_a_cut_all_are_looked_at_once_and_pushed_again() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        ends = {f"s:{n}": log.append(f"s:{n}").cursor for n in range(50)}
        tasks = [waiting(hints, {name: end}) for name, end in ends.items()]
        await asyncio.sleep(5)
        before = log.now
        log.cut()
        await asyncio.sleep(5)
        assert set(log.looked(before)) == {frozenset(ends)}
        assert len(log.looked(before)) < 6
        (subscription,) = log.open
        assert subscription.streams == set(ends)
        before = log.now
        await asyncio.sleep(50)
        assert log.looked(before) == []
        for task in tasks:
            task.cancel()


@timeless
async def test_a_half_open_subscription_is_found_by_its_ping() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": await settled(hints, log)})
        log.mute = True
        await asyncio.sleep(58)
        assert [ping for *_, ping in log.looks] == [False, True]
        log.mute = False  # as a new connection is
        await asyncio.sleep(10)
        assert len(log.subscriptions) == 2
        assert len(log.open) == 1
        log.append("s")
        assert await woken(task, 0.1) == S


@timeless
async def test_a_dead_subscription_that_takes_long_to_end() -> None:
    log = ScriptedLog()
    log.ending = 100.0
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": await settled(hints, log)})
        log.mute = True
        await asyncio.sleep(140)  # its ping was missed after one minute, and two have passed
        assert len(log.looks) == 3
        log.append("s")
        assert await woken(task, 61) == S
        log.ending = 0.0


@timeless
async def test_a_subscription_that_has_lost_a_stream_is_made_anew() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": await settled(hints, log)})
        log.open[0].standing.clear()
        log.append("s")
        began = log.now
        assert await task == S, "the safety look finds it"
        assert 50 < log.now - began <= 61
        still = waiting(hints, {"s": log.end("s").cursor})
        await asyncio.sleep(10)
        assert len(log.subscriptions) == 2
        assert log.open[0].standing == S
        still.cancel()


@timeless
async def test_a_message_on_its_way_during_the_safety_look_is_no_fault() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": await settled(hints, log)})
        await asyncio.sleep(54.5)
        while len(log.looks) < 2:
            await asyncio.sleep(0.0001)
        log.append("s", late=1.0)
        assert await task == S
        still = waiting(hints, {"s": log.end("s").cursor})
        await asyncio.sleep(30)
        assert len(log.subscriptions) == 1
        still.cancel()


@timeless
async def test_what_came_before_a_subscription_is_no_fault_of_it() -> None:
    log = ScriptedLog()
    log.latency = 0.01
    async with hints_on(log) as hints:
        task = waiting(hints, {"s": await settled(hints, log)})
        await asyncio.sleep(50)
        log.cut()
        log.refuses = True
        await asyncio.sleep(20)  # the minute is over, and the next look of all is due
        log.refuses = False
        while not log.open or not log.open[0].standing:
            await asyncio.sleep(0.001)
        log.append("s", told=False)
        assert await woken(task, 0.1) == S
        tried = len(log.subscriptions)
        still = waiting(hints, {"s": log.end("s").cursor})
        await asyncio.sleep(30)
        assert len(log.subscriptions) == tried
        still.cancel()


@pytest.mark.parametrize("clock", ["both", "wall", "monotonic"])
@pytest.mark.parametrize("idle", [False, True])
def test_a_frozen_process_begins_anew(clock: str, idle: bool) -> None:
    @timeless
    async def test() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, TimelessLoop)
        log, wall = ScriptedLog(), Wall()
        async with hints_on(log, wall=wall) as hints:
            end = await settled(hints, log)
            task = None if idle else waiting(hints, {"s": end})
            await asyncio.sleep(0.5)
            log.mute = True  # the other side has forgotten the connection
            log.ends["s"] = End(at(2))
            if clock != "wall":
                loop.skip(40)
            if clock != "monotonic":
                wall.ahead += 0 if clock == "both" else 40
            else:
                wall.ahead -= 40
            assert await woken(task or waiting(hints, {"s": end}), 1.5) == S
            log.mute = False
            assert await hints.wait({"s": at(2)}, 10.0) == NOBODY
            assert len(log.subscriptions) == 2

    test()


# A store that is away


@pytest.mark.parametrize("push", [True, False])
def test_trouble_wakes_who_waits_and_is_looked_into_ever_less(push: bool) -> None:
    @timeless
    async def test() -> None:
        log = ScriptedLog()
        log.away = True
        async with hints_on(log, push=push) as hints:
            end = log.append("s").cursor
            task = waiting(hints, {"s": end})
            assert await woken(task, 2.0) == S, "so that the caller reads, and is told"
            before, began = len(log.looks), log.now
            while log.now < began + 60:
                assert await hints.wait({"s": end}, LONG) == S
            assert 10 <= len(log.looks) - before <= 30
            log.away = False
            await asyncio.sleep(10)
            task = waiting(hints, {"s": end})
            await asyncio.sleep(10)
            assert not task.done()
            log.append("s")
            assert await woken(task, 0.1 if push else 2.1) == S

    test()


@timeless
async def test_a_defect_ends_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    log = ScriptedLog()

    async def defective(streams: Collection[str], ping: Collection[str] = ()) -> dict[str, End]:
        return {}

    async with hints_on(log) as hints:
        end = log.append("s").cursor
        hints.ends = defective
        assert await woken(waiting(hints, {"s": end}), 1.0) == S
        assert "cannot be looked up" in caplog.text
        task = waiting(hints, {"s": end})
        log.append("s")
        assert await woken(task, 1.0) == S


@timeless
async def test_trouble_with_the_first_look_is_not_the_last_word() -> None:
    log = ScriptedLog()
    log.away = True
    async with hints_on(log) as hints:
        end = log.append("s").cursor
        assert await hints.wait({"s": end}, LONG) == S
        log.away = False
        log.append("s", told=False)
        assert await woken(waiting(hints, {"s": end}), 1.0) == S
        assert await hints.wait({"s": log.end("s").cursor}, 5.0) == NOBODY


@timeless
async def test_a_store_that_lost_what_a_message_told_makes_nobody_spin() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = await settled(hints, log)
        log.publish("s", End(at(9)))  # the log itself still ends at 1
        await asyncio.sleep(0.1)
        assert await hints.wait({"s": end}, LONG) == S
        now = log.now
        assert await hints.wait({"s": end}, 30.0) == NOBODY
        assert log.now == now + 30
        assert len(log.looks) == 2
        log.append("s")
        assert await hints.wait({"s": end}, LONG) == S


@timeless
async def test_who_never_finds_what_he_is_woken_for_is_woken_ever_less() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = await settled(hints, log)
        log.append("s")
        began, woken = log.now, 0
        while log.now < began + 60:
            assert await hints.wait({"s": end}, LONG) == S
            woken += 1
        assert woken < 50


@timeless
async def test_a_log_that_went_back_is_told_of() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        for _ in range(5):
            log.append("s")
        end = await settled(hints, log)
        task = waiting(hints, {"s": end})
        await asyncio.sleep(0.1)
        log.put("s", End(at(3)), told=False)
        assert await task == S
        assert await hints.wait({"s": at(3)}, 30.0) == NOBODY


# Callers


@timeless
async def test_who_is_cancelled_leaves_nothing_behind() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        end = log.append("s").cursor
        tasks = [waiting(hints, {"s": end}) for _ in range(20)]
        tasks[0].cancel()
        await asyncio.sleep(1)
        for task in tasks[1::2]:
            task.cancel()
        log.append("s")
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes[2::2] == 9 * [S]
        await asyncio.sleep(70)
        assert not log.open


@timeless
async def test_a_closed_wake_up_tells_nothing() -> None:
    log = ScriptedLog()
    async with hints_on(log) as hints:
        task = asyncio.create_task(hints.wait({"s": at(1)}, 5.0))
        await asyncio.sleep(0)
        await hints.close()
        assert await task == NOBODY
        assert await hints.wait({"s": at(1)}, 5.0) == NOBODY


@timeless
async def test_a_close_is_not_lost_in_the_end_of_a_subscription() -> None:
    log = ScriptedLog()
    loop = asyncio.get_running_loop()
    log.fails_in_the_end = True
    async with hints_on(log) as hints:
        await settled(hints, log)
        assert log.open
        began = loop.time()
        await hints.close()
        assert loop.time() - began < 1
        assert own_tasks() == []
    assert len(log.subscriptions) == 1, "none was made anew"


def test_a_second_loop_begins_anew() -> None:
    log = ScriptedLog()
    hints: Hints | None = None

    @timeless
    async def use() -> None:
        nonlocal hints
        hints = hints or Hints(log.look, log, wall=Wall())
        task = waiting(hints, {"s": log.append("s").cursor})
        await asyncio.sleep(1)
        log.append("s")
        assert await task == S

    for _ in range(3):
        use()

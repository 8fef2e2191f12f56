"""Why and how a leg stops, and what it tells clients about coming back: promise 3, RULES 21."""

from collections.abc import Callable

import pytest

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.leg import Leg
from tests.core.legs import HEARTBEAT, NOW, at, blocks, frame, leg, retries, states

BOUNDS = [
    (Bounds(max_seconds=60, spread=0), 60.0, Reason.DURATION),
    (Bounds(max_seconds=60, spread=0, deadline=NOW + 50, margin=2), 48.0, Reason.DURATION),
    (Bounds(max_seconds=60, spread=0, idle_seconds=8), 8.0, Reason.IDLE),
    (Bounds(max_seconds=60, spread=0, token_expires=NOW + 9), 9.0, Reason.DENIED),
    (Bounds(max_seconds=9, spread=0, token_expires=NOW + 9), 9.0, Reason.DENIED),
    (Bounds(max_seconds=9, spread=0, idle_seconds=9), 9.0, Reason.DURATION),
]


@pytest.mark.parametrize(("bounds", "seconds", "reason"), BOUNDS)
def test_each_bound_ends_the_leg_at_its_time(
    bounds: Bounds, seconds: float, reason: Reason
) -> None:
    it = leg(bounds=bounds)
    before, beats = it.wake_at, 0
    while before < NOW + seconds:
        beats += states(it.tick(before, 0)).count("heartbeat")
        assert it.stopped is None
        before = it.wake_at
    assert beats == (seconds - 0.01) // HEARTBEAT
    assert it.wake_at == NOW + seconds
    assert states(it.tick(it.wake_at, 0)) == [reason.state]
    assert it.stopped is reason


def test_a_clock_that_jumped_ends_the_leg_instead_of_beating() -> None:
    it = leg(bounds=Bounds(max_seconds=60, spread=0))
    assert states(it.tick(NOW + 1000, 0)) == ["rotate"]


def an_event(it: Leg) -> bytes:
    return it.events(frame(11), at(11), 0, NOW + 1)


def a_loss(it: Leg) -> bytes:
    return it.reset(at(10), at(20), NOW + 1)


@pytest.mark.parametrize("happens", [an_event, a_loss])
def test_what_happens_keeps_an_idle_leg_alive(happens: Callable[[Leg], bytes]) -> None:
    it = leg(bounds=Bounds(idle_seconds=5))
    happens(it)  # one second in
    assert it.tick(NOW + 5.5, 0) == b""
    assert it.wake_at == NOW + 6
    it.tick(NOW + 6, 0)
    assert it.stopped is Reason.IDLE


def test_events_that_nobody_wants_do_not() -> None:
    it = leg(bounds=Bounds(idle_seconds=5))
    it.events(b"", at(11), 1, NOW + 4)
    it.tick(NOW + 5, 0)
    assert it.stopped is Reason.IDLE


def test_the_longest_that_a_leg_may_last() -> None:
    assert leg(bounds=Bounds(max_seconds=60, spread=0)).ends_at == NOW + 60
    expiring = Bounds(max_seconds=60, spread=0, token_expires=NOW + 9)
    assert leg(bounds=expiring).ends_at == NOW + 9


def test_chance_spreads_the_ends() -> None:
    bounds = Bounds(max_seconds=100, spread=0.2)
    assert leg(bounds=bounds, chances=(0.5, 0.0)).ends_at == NOW + 90


@pytest.mark.parametrize(("short_of_limit", "rotates"), [(1, False), (0, True), (-1, True)])
def test_bytes_end_the_leg_once_they_are_sent(short_of_limit: int, rotates: bool) -> None:
    it = leg(bounds=Bounds(max_bytes=1000))
    left = 1000 - len(it.open(NOW)) - short_of_limit
    data = frame(11, "x" * (left - len(frame(11, ""))))
    raw = it.events(data, at(11), 0, NOW)
    assert raw.startswith(data)
    ended = [("rotate", at(11))] if rotates else []
    assert [(one.state, one.id) for one in blocks(raw)] == [("note", at(11)), *ended]
    assert it.stopped is (Reason.BYTES if rotates else None)


def test_what_the_leg_says_itself_counts_too() -> None:
    it = leg(bounds=Bounds(max_seconds=1e6, max_bytes=1000))
    size = len(it.open(NOW))
    while size < 1000:
        assert it.events(b"", at(11), 0, NOW) == b""
        size += len(it.tick(it.wake_at, 0))
    assert states(it.events(b"", at(11), 0, NOW)) == ["rotate"]


# Pauses on purpose (RULES 21).

QUIET = 20.0
PAUSES = [
    (Reason.DURATION, 1.0, 50),
    (Reason.BYTES, 1.0, 50),
    (Reason.DURATION, QUIET, 300),
    (Reason.IDLE, QUIET, 300),
    (Reason.SHUTDOWN, 1.0, 2000),
    (Reason.TROUBLE, 1.0, 2000),
]


@pytest.mark.parametrize(("reason", "quiet", "pause"), PAUSES)
def test_an_end_says_when_to_come_back_to_both_kinds_of_clients(
    reason: Reason, quiet: float, pause: int
) -> None:
    it = leg(chances=(0.0, 0.5))
    an_event(it)
    raw = it.stop(reason, NOW + 1 + quiet)
    assert blocks(raw)[0].fields == {"state": reason.state, "retry_ms": pause}
    assert retries(raw) == [pause]
    assert raw.startswith(b"retry: ")  # before the event on which a client may already leave


@pytest.mark.parametrize("reason", [Reason.ENDED, Reason.DENIED])
def test_whoever_is_not_to_come_back_is_told_no_time(reason: Reason) -> None:
    raw = leg().stop(reason, NOW)
    assert blocks(raw)[0].fields == {"state": reason.state}
    assert retries(raw) == []


def test_a_leg_that_had_no_event_leaves_the_long_pause() -> None:
    """However short it was: its stream is not flowing."""
    quiet = leg(bounds=Bounds(max_seconds=2, spread=0))
    assert retries(quiet.tick(NOW + 2, 0)) == [200]
    busy = leg(bounds=Bounds(max_seconds=2, spread=0))
    an_event(busy)
    assert retries(busy.tick(NOW + 2, 0)) == [40]

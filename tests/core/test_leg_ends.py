"""Why and how a leg stops, and what it tells clients about coming back: promise 3, RULES 21."""

from collections.abc import Callable
from math import inf

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
    it.caught_up(NOW)
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
    it.caught_up(NOW)
    happens(it)  # one second in
    assert it.tick(NOW + 5.5, 0) == b""
    assert it.wake_at == NOW + 6
    it.tick(NOW + 6, 0)
    assert it.stopped is Reason.IDLE


def test_events_that_nobody_wants_do_not() -> None:
    it = leg(bounds=Bounds(idle_seconds=5))
    it.caught_up(NOW)
    it.events(b"", at(11), 1, NOW + 4)
    it.tick(NOW + 5, 0)
    assert it.stopped is Reason.IDLE


@pytest.mark.parametrize(
    ("quiet_before", "seconds"), [(0.0, 10.0), (4.0, 6.0), (10.0, 0.0), (1e9, 0.0), (inf, 0.0)]
)
def test_a_leg_is_held_for_as_long_as_its_stream_is_not_quiet(
    quiet_before: float, seconds: float
) -> None:
    it = leg(bounds=Bounds(hold_seconds=10, quiet_before=quiet_before))
    it.caught_up(NOW)
    if seconds:
        assert it.tick(NOW + seconds - 0.1, 0) == b""
        assert it.wake_at == NOW + seconds
    it.tick(NOW + seconds, 0)
    assert it.stopped is Reason.IDLE


def test_an_event_has_it_held_again() -> None:
    it = leg(bounds=Bounds(hold_seconds=10, quiet_before=1e6))
    an_event(it)
    it.caught_up(NOW + 1)
    assert it.wake_at == NOW + 11


def test_nothing_is_idle_before_it_has_caught_up() -> None:
    """Or a reader of a quiet stream would be sent away before it has read its history, for ever."""
    it = leg(bounds=Bounds(hold_seconds=10, idle_seconds=10, quiet_before=1e6))
    assert it.tick(NOW + 14, 0) == b""
    assert it.wake_at > NOW + 14


def test_a_short_pause_follows_when_the_stream_has_just_flowed() -> None:
    """Also for a leg that had no event itself: another had, an instant before."""
    it = leg(bounds=Bounds(quiet_before=3.0))
    assert retries(it.stop(Reason.DURATION, NOW + 2)) == [40]
    it = leg(bounds=Bounds(quiet_before=3.0))
    assert retries(it.stop(Reason.DURATION, NOW + 20)) == [200]


# Buffered legs: what is sent arrives when the response is over (RULES 20).


def buffered(sent: str | None = at(10)) -> Leg:
    return leg(sent=sent, bounds=Bounds(max_seconds=25, spread=0, buffered=True))


def test_a_buffered_leg_brings_what_there_is_at_once() -> None:
    it = buffered()
    assert blocks(it.open(NOW))[0].fields["buffered"] is True
    assert states(an_event(it)) == ["note"], "there may be more: it has not caught up"
    assert states(it.caught_up(NOW + 1)) == ["live", "rotate"]
    assert it.stopped is Reason.BATCH


def test_a_buffered_leg_waits_for_something_to_bring() -> None:
    it = buffered()
    assert states(it.caught_up(NOW)) == ["live"]
    assert it.events(b"", at(11), 1, NOW + 1) == b"", "nobody wanted that one"
    assert it.stopped is None
    raw = it.events(frame(12), at(12), 0, NOW + 2)
    assert [(one.state, one.id) for one in blocks(raw)] == [("note", at(12)), ("rotate", at(12))]
    assert it.stopped is Reason.BATCH
    assert retries(raw) == [40]


def test_a_buffered_leg_brings_a_loss() -> None:
    it = buffered()
    it.caught_up(NOW)
    a_loss(it)
    assert states(it.caught_up(NOW + 1)) == ["rotate"]


def test_a_buffered_leg_gives_a_client_without_a_cursor_one_at_once() -> None:
    """Held, it would leave a client that is cut without a place to go on from."""
    it = buffered(sent=None)
    assert blocks(it.open(NOW))[0].id == at(10)
    assert states(it.caught_up(NOW)) == ["live", "rotate"]


def test_a_buffered_leg_ends_after_its_hold() -> None:
    it = buffered()
    it.caught_up(NOW)
    it.tick(NOW + 15, 0)
    assert it.stopped is None
    it.tick(NOW + 25, 0)
    assert it.stopped is Reason.DURATION


def test_a_leg_that_is_not_buffered_goes_on() -> None:
    it = leg()
    an_event(it)
    it.caught_up(NOW + 1)
    an_event(it)
    assert it.stopped is None


def test_the_room_that_is_left() -> None:
    it = leg(bounds=Bounds(max_bytes=1000))
    opened = it.open(NOW)
    assert it.room is None, "the first event comes whatever its size"
    size = len(an_event(it))
    assert it.room == 1000 - len(opened) - size


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

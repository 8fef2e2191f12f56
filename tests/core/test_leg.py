"""What a leg says, under which id, and when it tells its position: RULES 1, 2 and 20."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lastevent.core.bounds import Bounds, Reason
from lastevent.core.leg import CHECKPOINT_EVENTS, CHECKPOINT_SECONDS, Leg
from lastevent.core.wire import Decoder
from tests.core.legs import HEARTBEAT, NOW, Said, at, blocks, frame, leg, states

# How a leg opens.


def test_it_opens_with_the_ordinary_retry_and_what_it_is() -> None:
    opening = leg(bounds=Bounds(max_seconds=60, spread=0)).open(NOW + 5)
    assert opening.startswith(b"retry: 1500\n\n")
    assert blocks(opening) == [
        Said(
            at(10),
            "stream",
            {
                "state": "open",
                "stream": "s",
                "ends_in": 55.0,
                "policy": "balanced",
                "heartbeat": HEARTBEAT,
            },
        )
    ]


def test_several_streams_are_all_named() -> None:
    (opened,) = blocks(leg(streams=("a", "b")).open(NOW))
    assert opened.fields["streams"] == ["a", "b"]
    assert "stream" not in opened.fields


def test_it_never_promises_less_than_nothing() -> None:
    (opened,) = blocks(leg(bounds=Bounds(deadline=NOW - 10)).open(NOW))
    assert opened.fields["ends_in"] == 0.0


def test_a_reader_without_a_cursor_hears_whether_the_beginning_is_gone() -> None:
    assert "trimmed" not in blocks(leg().open(NOW))[0].fields
    assert blocks(leg(trimmed=True).open(NOW))[0].fields["trimmed"] is True


def test_a_new_reader_has_a_cursor_from_the_first_block_on() -> None:
    """RULES 20: what comes while it is cut off is not lost to it."""
    decoder = Decoder()
    decoder.feed(leg(position=0).open(NOW))
    assert decoder.last_event_id == at(0)


def test_opening_does_not_move_a_cursor_past_a_reset_that_may_never_be_read() -> None:
    """RULES 1: a client that is cut before ``reset`` must come back with its old cursor."""
    stale = leg(position=10, sent=at(3))
    decoder = Decoder(last_event_id=at(3))
    decoder.feed(stale.open(NOW))
    assert decoder.last_event_id == at(3)
    decoder.feed(stale.reset(at(3), at(10), NOW))
    assert decoder.last_event_id == at(10)


# Which id each control event carries (RULES 1).

Step = Callable[[Leg], bytes]


@dataclass(frozen=True)
class Story:
    """What happens to a leg that starts at 10, in order; what it then says, and under which id."""

    name: str
    steps: tuple[Step, ...]
    said: tuple[tuple[str, int | None], ...]


def opened(it: Leg) -> bytes:
    return it.open(NOW)


def two_events(it: Leg) -> bytes:
    return it.events(frame(11) + frame(12), at(12), 0, NOW + 1)


def passed_over(count: int, until: int, seconds: float = 1.0) -> Step:
    return lambda it: it.events(b"", at(until), count, NOW + seconds)


def lost(it: Leg) -> bytes:
    return it.reset(at(10), at(20), NOW + 1)


def caught_up(it: Leg) -> bytes:
    return it.caught_up(NOW + 1)


def tick(seconds: float) -> Step:
    return lambda it: it.tick(NOW + seconds, 1_700_000_000_000)


def stop(reason: Reason) -> Step:
    return lambda it: it.stop(reason, NOW + 2)


STORIES = [
    Story("nothing new", (opened, caught_up), (("open", 10), ("live", 10))),
    Story(
        "replay, then live",
        (opened, two_events, caught_up),
        (("open", 10), ("note", 11), ("note", 12), ("live", 12)),
    ),
    Story("live is said once", (opened, caught_up, two_events, caught_up, caught_up),
          (("open", 10), ("live", 10), ("note", 11), ("note", 12))),
    Story("a planned end before anything", (opened, stop(Reason.DURATION)),
          (("open", 10), ("rotate", 10))),
    Story("a planned end after events", (two_events, stop(Reason.DURATION)),
          (("note", 11), ("note", 12), ("rotate", 12))),
    Story("a planned end after events that nobody wanted",
          (two_events, passed_over(3, 15), stop(Reason.DURATION)),
          (("note", 11), ("note", 12), ("rotate", 15))),
    Story("the log's end, whose last event nobody wanted",
          (passed_over(1, 11), stop(Reason.ENDED)), (("end", 11),)),
    Story("a token that expired", (two_events, passed_over(1, 13), stop(Reason.DENIED)),
          (("note", 11), ("note", 12), ("denied", 13))),
    Story("the process goes", (passed_over(1, 11), stop(Reason.SHUTDOWN)), (("rotate", 11),)),
    Story("trouble moves nobody's cursor", (passed_over(1, 11), stop(Reason.TROUBLE)),
          (("error", None),)),
    Story("loss, then live", (opened, lost, caught_up),
          (("open", 10), ("reset", 20), ("live", 20))),
    Story("a heartbeat moves nobody's cursor", (two_events, tick(HEARTBEAT)),
          (("note", 11), ("note", 12), ("heartbeat", None))),
    Story("a second end says nothing", (stop(Reason.DURATION), stop(Reason.ENDED)),
          (("rotate", 10),)),
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_what_is_said_and_under_which_id(story: Story) -> None:
    it = leg()
    raw = b"".join(step(it) for step in story.steps)
    expected = [(state, None if place is None else at(place)) for state, place in story.said]
    assert [(one.state, one.id) for one in blocks(raw)] == expected


def test_a_reset_says_what_is_lost() -> None:
    it = leg(sent=at(3))
    (reset,) = blocks(it.reset(at(3), at(10), NOW))
    assert reset.fields == {"state": "reset", "from": at(3), "to": at(10)}
    assert it.position == at(10)


def test_a_heartbeat_tells_the_time() -> None:
    (beat,) = blocks(leg().tick(NOW + HEARTBEAT, 1_697_097_615_000))
    assert beat == Said(None, "heartbeat", {"timestamp": 1_697_097_615_000})


# Checkpoints of a filtered leg (RULES 2).


def test_many_events_passed_over_move_the_cursor() -> None:
    it = leg()
    almost = CHECKPOINT_EVENTS - 1
    assert it.events(b"", at(10 + almost), almost, NOW) == b""
    assert blocks(it.events(b"", at(11 + almost), 1, NOW)) == [
        Said(at(11 + almost), "stream", {"state": "live"})
    ]
    assert it.events(b"", at(1000), almost, NOW) == b""  # it counts anew


def test_events_passed_over_after_a_frame_count_too() -> None:
    it = leg()
    raw = it.events(frame(11), at(11 + CHECKPOINT_EVENTS), CHECKPOINT_EVENTS, NOW)
    assert [(one.state, one.id) for one in blocks(raw)] == [
        ("note", at(11)),
        ("live", at(11 + CHECKPOINT_EVENTS)),
    ]


def test_an_event_that_is_sent_moves_the_cursor_by_itself() -> None:
    it = leg()
    it.events(b"", at(400), CHECKPOINT_EVENTS - 1, NOW)
    assert states(it.events(frame(401), at(401), 0, NOW)) == ["note"]
    assert states(it.events(b"", at(402), 1, NOW)) == []
    assert it.tick(NOW + CHECKPOINT_SECONDS - 0.01, 0) == b""


def test_a_cursor_does_not_lag_for_long() -> None:
    it = leg()
    it.tick(NOW + 5, 0)
    it.events(b"", at(11), 1, NOW + 5)
    it.events(b"", at(12), 1, NOW + 14)  # the first one counts
    assert states(it.tick(NOW + HEARTBEAT, 0)) == ["heartbeat"]
    assert it.wake_at == NOW + 5 + CHECKPOINT_SECONDS
    said = blocks(it.tick(NOW + 5 + CHECKPOINT_SECONDS, 0))
    assert [(one.state, one.id) for one in said] == [("live", at(12))]
    assert it.wake_at == NOW + 2 * HEARTBEAT


def test_what_follows_the_last_frame_lags_from_then_on() -> None:
    it = leg()
    it.events(b"", at(11), 1, NOW)
    it.events(frame(12), at(13), 1, NOW + 10)
    assert states(it.tick(NOW + HEARTBEAT, 0)) == ["heartbeat"]
    assert states(it.tick(NOW + 10 + CHECKPOINT_SECONDS, 0)) == ["live"]


def test_a_leg_that_passes_nothing_over_has_no_checkpoints() -> None:
    it = leg()
    it.events(frame(11), at(11), 0, NOW)
    for beat in range(1, 10):
        assert states(it.tick(NOW + beat * HEARTBEAT, 0)) == ["heartbeat"]


@pytest.mark.parametrize("clear", [caught_up, lost], ids=["caught up", "reset"])
def test_whatever_tells_the_position_is_a_checkpoint(clear: Step) -> None:
    it = leg()
    it.events(b"", at(11), CHECKPOINT_EVENTS - 1, NOW)
    clear(it)
    assert it.events(b"", at(30), CHECKPOINT_EVENTS - 1, NOW) == b""

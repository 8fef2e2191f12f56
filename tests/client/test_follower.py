"""The follower by itself: what passes, where it stands, how long it stays away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.client import Backoff, StreamEvent
from lastevent.client.follower import LONGEST_PAUSE, End, Follower, GaveUp, Reset
from lastevent.core.cursor import render_vector
from lastevent.core.wire import Decoder, Message
from tests.client.scripted import BEAT, at, control, event, events, opening, rotate

BACKOFF = Backoff(first=1.0, longest=30.0)
CHANCE = 1.0  # the longest of each range, so that every pause is one number


def follower(cursor: str | None = None, attempts: int | None = None) -> Follower:
    return Follower(cursor, 15.0, attempts, BACKOFF)


def run(reader: Follower, *frames: bytes, now: float = 0.0) -> list[StreamEvent | Reset]:
    """Have ``reader`` take one leg; return what it passes on."""
    reader.begin(now)
    found = []
    for message in Decoder().feed(b"".join(frames)):
        taken = reader.take(message)
        if taken is not None:
            found.append(taken)
        if reader.over is not None:
            break
    return found


def data(found: list[StreamEvent | Reset]) -> list[str]:
    return [item.data for item in found if isinstance(item, StreamEvent)]


class TestWhatPasses:
    def test_events_pass_and_the_leg_s_own_messages_do_not(self) -> None:
        reader = follower()
        found = run(reader, opening(0), event(1), BEAT, event(2), rotate(2))
        assert found == [
            StreamEvent(at(1), "note", "event 1"),
            StreamEvent(at(2), "note", "event 2"),
        ]

    def test_what_was_passed_is_dropped(self) -> None:
        reader = follower(at(3))
        assert data(run(reader, opening(3), events(2, 5), event(4), event(6))) == [
            "event 4",
            "event 5",
            "event 6",
        ]
        assert reader.position.text == at(6)

    def test_nothing_is_dropped_behind_a_reset(self) -> None:
        reader = follower(at(9))
        found = run(reader, opening(9), control("reset", at(2), **{"from": at(9), "to": at(2)}))
        assert found == [Reset(at(9), at(2))]
        assert data(run(reader, events(3, 4))) == ["event 3", "event 4"]

    def test_of_several_streams_each_is_followed_by_itself(self) -> None:
        reader = follower(render_vector({"a": at(5), "b": at(3)}))
        ids = [
            render_vector({"a": at(6), "b": at(3)}, moved="a"),
            render_vector({"a": at(6), "b": at(3)}, moved="b"),  # comes again
            render_vector({"a": at(6), "b": at(4)}, moved="b"),
        ]
        reader.begin(0)
        taken = [reader.take(Message(identifier, "note", "x")) for identifier in ids]
        assert [item is not None for item in taken] == [True, False, True]
        assert reader.position.text == ids[2]

    def test_of_foreign_ids_the_one_resumed_from_is_dropped_once(self) -> None:
        reader = follower("7")
        # The last has no id line of its own: it inherits 8, and is an event nevertheless.
        found = run(reader, b"id: 7\ndata: old\n\nid: 8\ndata: new\n\ndata: bare\n\n")
        assert data(found) == ["new", "bare"]

    def test_events_without_any_id_pass(self) -> None:
        assert data(run(follower(at(3)), b"data: a\n\ndata: b\n\n")) == ["a", "b"]

    def test_data_is_read_as_json(self) -> None:
        (found,) = run(follower(), event(1, '{"n":[1,2]}'))
        assert isinstance(found, StreamEvent)
        assert found.json() == {"n": [1, 2]}


class TestPosition:
    def test_open_gives_one_to_those_who_have_none(self) -> None:
        reader = follower()
        run(reader, opening(4))
        assert reader.position.text == at(4)

    def test_open_moves_nobody_beyond_a_reset_that_was_not_read(self) -> None:
        reader = follower(at(9))
        run(reader, opening(20))
        assert reader.position.text == at(9)

    @pytest.mark.parametrize("state", ["live", "rotate", "end", "denied"])
    def test_other_control_events_carry_the_position_reached(self, state: str) -> None:
        reader = follower(at(3))
        run(reader, opening(3), control(state, at(500)))
        assert reader.position.text == at(500)

    def test_no_control_event_but_reset_moves_back(self) -> None:
        reader = follower(at(9))
        run(reader, control("live", at(3)), control("rotate", at(4), retry_ms=1))
        assert reader.position.text == at(9)

    def test_an_error_without_an_id_keeps_it(self) -> None:
        reader = follower(at(9))
        run(reader, control("error", retry_ms=1))
        assert reader.position.text == at(9)
        with pytest.raises(GaveUp):  # nor does it count as progress
            Follower.pause(_with_attempts(reader, 0), 0, CHANCE)

    @pytest.mark.parametrize("text", ["not json", "[1]", '"rotate"', '{"state":["rotate"]}', "{}"])
    def test_control_events_that_nobody_understands_do_nothing(self, text: str) -> None:
        reader = follower(at(3))
        assert run(reader, f"event: stream\ndata: {text}\n\n".encode()) == []
        assert reader.over is None


def _with_attempts(reader: Follower, attempts: int) -> Follower:
    other = Follower(reader.position.text, 15.0, attempts, BACKOFF)
    run(other, control("error", retry_ms=1))
    return other


class TestOpen:
    def test_it_names_the_heartbeat_of_its_leg(self) -> None:
        reader = follower()
        run(reader, opening(0, heartbeat=2.5))
        assert reader.heartbeat == 2.5
        reader.begin(1.0)
        assert reader.heartbeat == 15.0

    @pytest.mark.parametrize("value", [0, -1, "2", None, True, float("inf")])
    def test_a_heartbeat_that_cannot_be_is_ignored(self, value: object) -> None:
        reader = follower()
        run(reader, opening(0, heartbeat=value))
        assert reader.heartbeat == 15.0

    def test_it_names_the_hold_of_whole_answers_for_the_legs_to_come(self) -> None:
        reader = follower()
        run(reader, opening(0, ends_in=22.5, buffered=True))
        reader.begin(1.0)
        assert reader.hold == 22.5
        run(reader, opening(0, ends_in=50))
        assert reader.hold == 0

    @pytest.mark.parametrize("value", [1e9, "9", None, -1])
    def test_a_hold_that_cannot_be_is_no_reason_to_wait(self, value: object) -> None:
        reader = follower()
        run(reader, opening(0, ends_in=value, buffered=True))
        assert reader.hold <= 60

    def test_it_says_that_the_beginning_is_gone(self) -> None:
        reader = follower()
        run(reader, opening(40, trimmed=True))
        assert reader.trimmed


class TestPause:
    @pytest.mark.parametrize("retry_ms", [0, 1, 40, 250, 12_345, 40.5])
    def test_a_planned_end_is_obeyed_to_the_letter(self, retry_ms: float) -> None:
        reader = follower(at(1))
        run(reader, opening(1), event(2), control("rotate", at(2), retry_ms=retry_ms))
        assert reader.pause(0, 0.5) == retry_ms / 1000

    @pytest.mark.parametrize("retry_ms", [None, -1, "40", 1e300])
    def test_a_planned_end_without_a_sensible_pause_costs_a_second(self, retry_ms: object) -> None:
        reader = follower(at(1))
        run(reader, control("rotate", at(2), retry_ms=retry_ms))
        assert reader.pause(0, CHANCE) == 1.0

    def test_nobody_is_sent_away_for_ever(self) -> None:
        reader = follower(at(1))
        run(reader, control("rotate", at(2), retry_ms=10**10))
        assert reader.pause(0, CHANCE) == LONGEST_PAUSE
        run(reader)
        assert reader.pause(0, CHANCE, after=1e9) == LONGEST_PAUSE

    def test_failures_in_a_row_double_it(self) -> None:
        reader = follower(at(1))
        pauses = []
        for _ in range(4):
            run(reader, opening(1))
            pauses.append(reader.pause(0, CHANCE))
        assert pauses == [1, 2, 4, 8]

    @pytest.mark.parametrize(
        "proof",
        [event(2), control("live", at(2)), rotate(1), control("reset", at(0), to=at(0))],
        ids=["event", "checkpoint", "rotate", "reset"],
    )
    def test_a_leg_that_proved_itself_starts_the_count_again(self, proof: bytes) -> None:
        reader = follower(at(1))
        for _ in range(5):
            run(reader)
            reader.pause(0, CHANCE)
        run(reader, opening(1), proof)
        reader.pause(10, CHANCE)
        run(reader)
        assert reader.pause(0, CHANCE) <= 2

    @pytest.mark.parametrize(
        "frames", [b"", opening(1), opening(1) + control("live", at(1)), event(1)]
    )
    def test_a_leg_that_brought_nothing_does_not(self, frames: bytes) -> None:
        reader = follower(at(1))
        for _ in range(5):
            run(reader)
            reader.pause(0, CHANCE)
        run(reader, frames)
        assert reader.pause(0, CHANCE) == 30

    def test_a_quiet_leg_that_beat_counts_neither_way(self) -> None:
        reader = follower(at(1))
        for _ in range(3):
            run(reader)
            reader.pause(0, CHANCE)
        for _ in range(20):
            run(reader, opening(1), BEAT)
            assert reader.pause(0, CHANCE) == 4
        assert reader.failures == 3

    def test_trouble_is_a_failure_and_its_pause_the_least(self) -> None:
        reader = follower(at(1))
        pauses = []
        for _ in range(4):
            run(reader, opening(1), BEAT, control("error", retry_ms=3000))
            pauses.append(reader.pause(0, CHANCE))
        assert pauses == [3, 3, 4, 8]

    def test_what_a_refusal_asks_for_is_the_least(self) -> None:
        reader = follower(at(1))
        run(reader)
        assert reader.pause(0, CHANCE, after=7.0) == 7
        run(reader)
        assert reader.pause(0, CHANCE, after=0.5) == 2

    def test_it_gives_up_after_the_attempts_and_then_begins_anew(self) -> None:
        reader = follower(at(1), attempts=3)
        for _ in range(2):
            for _ in range(3):
                run(reader)
                reader.pause(0, CHANCE)
            run(reader)
            with pytest.raises(GaveUp):
                reader.pause(0, CHANCE)

    def test_planned_ends_never_give_up(self) -> None:
        reader = follower(at(1), attempts=0)
        for number in range(50):
            run(reader, opening(1), rotate(1), now=10.0 * number)
            assert reader.pause(10.0 * number + 5, CHANCE) == 0.005

    def test_a_server_that_turns_everybody_round_at_its_door_is_slowed_down(self) -> None:
        reader = follower(at(1))
        pauses = []
        for _ in range(4):
            run(reader, opening(1), rotate(1))
            pauses.append(reader.pause(0.1, CHANCE))
        assert pauses == [0.005, 0.005, 1.0, 1.0]
        run(reader, opening(1), event(2), rotate(2))
        assert reader.pause(0.1, CHANCE) == 0.005

    def test_what_has_proven_itself(self) -> None:
        reader = follower(at(1))
        for frames, proven in [
            (opening(1), False),
            (opening(1) + control("denied", at(1)), False),
            (opening(1) + BEAT, True),
            (event(2), True),
            (rotate(2), True),
        ]:
            run(reader, frames)
            assert reader.has_proven is proven


@given(
    cuts=st.lists(st.integers(0, 12), max_size=8),
    overlap=st.integers(0, 3),
)
def test_every_event_passes_once_whatever_is_cut_and_sent_again(
    cuts: list[int], overlap: int
) -> None:
    """Each leg repeats a few events before the reader's cursor, and is cut after some messages."""
    reader = follower()
    seen: list[str] = []
    last = 10
    for cut in [*cuts, 100]:
        begin = int(reader.position.text[12:22], 16) if reader.position.text else 0
        frames = [opening(begin)]
        frames += [event(n) for n in range(max(1, begin + 1 - overlap), last + 1)]
        seen += data(run(reader, *frames[:cut]))
    assert seen == [f"event {n}" for n in range(1, last + 1)]


def test_the_end_is_known() -> None:
    reader = follower(at(1))
    run(reader, control("end", at(1)))
    assert reader.over is End.END

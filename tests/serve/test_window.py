"""The window gives every position exactly what follows it, or admits that it does not know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.core.wire import encode
from lastevent.serve import window as module
from lastevent.serve.window import RUN_BYTES, Window

GENERATION = 7


def cursor(sequence: int, proof: int = 9) -> Cursor:
    return Cursor(GENERATION, sequence, proof)


def events(first: int, last: int, data: str = "x", type: str = "message") -> list[Event]:
    return [Event(str(cursor(n)), type, data, 0) for n in range(first, last + 1)]


def filled(first: int, last: int, **how: str) -> Window:
    window = Window(cursor(first - 1))
    window.extend(events(first, last, **how), cursor(last))
    return window


def test_every_position_gets_what_follows_it() -> None:
    window = filled(5, 9)
    for sequence in range(4, 10):
        run = window.run(cursor(sequence), None)
        assert run is not None
        assert run.joined == b"".join(map(encode, events(sequence + 1, 9)))
        assert run.cursor == cursor(9)


def test_a_window_may_begin_before_the_stream_does() -> None:
    waiting = Cursor.after(GENERATION - 1)
    window = Window(waiting)
    window.extend(events(1, 5), cursor(5))
    for position, rest in [
        (waiting, 1),
        (Cursor(GENERATION, 0), 1),
        *((cursor(n), n + 1) for n in range(1, 6)),
    ]:
        run = window.run(position, None)
        assert run is not None
        assert run.joined == b"".join(map(encode, events(rest, 5)))


@pytest.mark.parametrize(
    "position",
    [
        cursor(3),  # before the window
        cursor(10),  # ahead of it
        cursor(6, proof=8),  # another event under the same sequence
        cursor(9, proof=8),
        cursor(4, proof=8),
        Cursor(GENERATION + 1, 6, 9),  # another generation
        Cursor.after(GENERATION),
    ],
)
def test_a_position_that_it_cannot_prove_is_left_to_the_log(position: Cursor) -> None:
    assert filled(5, 9).run(position, None) is None


def test_subscribers_at_one_position_share_the_bytes() -> None:
    window = filled(1, 3)
    first, second = window.run(cursor(1), None), window.run(cursor(1), None)
    assert first is not None
    assert second is not None
    assert first.joined is second.joined


def test_a_run_is_cut_at_the_size_of_a_send() -> None:
    window = filled(1, 100, data="y" * 2000)
    position, got = cursor(0), b""
    while (run := window.run(position, None)) is not None and not run.is_empty:
        assert len(run.joined) <= RUN_BYTES
        position, got = run.cursor, got + run.joined
    assert got == b"".join(map(encode, events(1, 100, data="y" * 2000)))
    assert position == cursor(100)


def test_a_frame_larger_than_a_send_is_a_run_of_its_own() -> None:
    run = filled(1, 3, data="y" * (RUN_BYTES + 1)).run(cursor(0), None)
    assert run is not None
    assert run.cursor == cursor(1)


def test_a_filter_counts_what_it_passes_over() -> None:
    window = Window(cursor(0))
    mixed = [*events(1, 2, type="a"), *events(3, 3, type="b"), *events(4, 6, type="a")]
    window.extend(mixed, cursor(6))
    run = window.run(cursor(0), frozenset({"b"}))
    assert run is not None
    assert (run.joined, run.cursor, run.passed_over) == (encode(mixed[2]), cursor(6), 3)
    run = window.run(cursor(3), frozenset({"b"}))
    assert run is not None
    assert (run.joined, run.cursor, run.passed_over) == (b"", cursor(6), 3)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_BYTES", 10_000)
    monkeypatch.setattr(module, "WINDOW_EVENTS", 50)
    window = Window(cursor(0))
    for first in range(1, 2001, 7):
        window.extend(events(first, first + 6), cursor(first + 6))
        held = [n for n in range(first + 7) if window.run(cursor(n), None) is not None]
        assert len(held) <= 51
        assert held == list(range(held[0], first + 7)), "what is held is the newest, without a hole"
    window.extend(events(2003, 2003, data="z" * 20_000), cursor(2003))
    assert window.run(cursor(2003), None) is not None


def test_runs_that_are_kept_for_others_are_few() -> None:
    window = filled(1, 500)
    for n in range(500):
        assert window.run(cursor(n), None) is not None
    assert len(window._runs) <= module.MAX_RUNS


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.data())
def test_whatever_the_appends_a_reader_gets_each_event_once(
    sizes: list[int], data: st.DataObject
) -> None:
    window, position, got, last = Window(cursor(0)), cursor(0), b"", 0
    for size in sizes:
        window.extend(events(last + 1, last + size), cursor(last + size))
        last += size
        if data.draw(st.booleans()):
            run = window.run(position, None)
            assert run is not None
            position, got = run.cursor, got + run.joined
    run = window.run(position, None)
    assert run is not None
    assert got + run.joined == b"".join(map(encode, events(1, last)))

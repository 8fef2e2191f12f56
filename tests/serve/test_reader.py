"""Whence a leg's bytes come: as a rule from the window that all share."""

from typing import Any, cast

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.core.leg import Leg, LegPlan
from lastevent.serve.reader import Feed, Reader
from lastevent.serve.tail import Tail
from lastevent.serve.window import Run, Types, Window
from lastevent.stores.base import Page


def cursor(sequence: int) -> Cursor:
    return Cursor(1, sequence, 5)


def events(first: int, last: int) -> tuple[Event, ...]:
    return tuple(Event(str(cursor(n)), "message", str(n), 0) for n in range(first, last + 1))


class LaggingTail:
    """A tail that has read to ``seen`` of a log of 20 events."""

    stream = "s"
    closed = is_over = False
    epoch = 0

    def __init__(self, seen: int) -> None:
        self.reads = 0
        self.window = Window(cursor(0))
        self.window.extend(events(1, seen), cursor(seen))

    @property
    def head(self) -> Cursor:
        return self.window.head

    def run(self, position: Cursor, types: Types) -> Run | None:
        return self.window.run(position, types)

    async def read(self, position: Cursor) -> Page:
        self.reads += 1
        found = events(position.sequence + 1, 20)
        end = cursor(20)
        return Page(found, position, end, end, False)


def reader(tail: LaggingTail, position: Cursor) -> Reader:
    leg = Leg(LegPlan(("s",), str(position)), 0.0)
    return Reader(leg, [Feed(cast(Tail, cast(Any, tail)), position)], None)


async def test_a_leg_that_the_log_has_led_ahead_waits_for_its_tail() -> None:
    tail = LaggingTail(seen=10)
    ahead = reader(tail, cursor(15))
    assert ahead.gather(0.0) is None, "a client's cursor is for the log to judge"
    data, nothing_more = await ahead.fetch()
    assert data.count(b"data:") == 5
    assert not nothing_more
    for seen in range(11, 20):
        tail.window.extend(events(seen, seen), cursor(seen))
        assert ahead.gather(0.0) == b""
    assert await ahead.fetch() == (b"", True)
    assert tail.reads == 1
    tail.window.extend(events(20, 20), cursor(20))
    assert ahead.gather(0.0) == b""
    tail.window.extend(events(21, 21), cursor(21))
    assert (ahead.gather(0.0) or b"").count(b"data:") == 1


async def test_a_log_that_changed_behind_it_is_read_again() -> None:
    tail = LaggingTail(seen=10)
    ahead = reader(tail, cursor(15))
    await ahead.fetch()
    assert ahead.gather(0.0) == b""
    tail.epoch += 1
    assert ahead.gather(0.0) is None


def texts(data: bytes | None) -> list[int]:
    return [int(line[6:]) for line in (data or b"").split(b"\n") if line.startswith(b"data: ")]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece holds three or four of these events."""
    monkeypatch.setattr("lastevent.serve.reader.RUN_BYTES", 150)


@pytest.mark.usefixtures("small_pieces")
async def test_a_page_is_sent_in_pieces_and_read_once() -> None:
    tail = LaggingTail(seen=0)
    tail.window = Window(cursor(20))
    behind = reader(tail, cursor(0))
    got, pieces = list[int](), 0
    while not (fetched := await behind.fetch())[1]:
        assert len(fetched[0]) <= 150
        got += texts(fetched[0])
        pieces += 1
    assert got == list(range(1, 21))
    assert pieces > 4
    assert tail.reads == 1


@pytest.mark.usefixtures("small_pieces")
async def test_what_was_let_go_of_is_read_again_from_the_position() -> None:
    tail = LaggingTail(seen=0)
    tail.window = Window(cursor(20))
    behind = reader(tail, cursor(0))
    got = texts((await behind.fetch())[0])
    behind.forget()
    while not (fetched := await behind.fetch())[1]:
        got += texts(fetched[0])
    assert got == list(range(1, 21))
    assert tail.reads == 2


@pytest.mark.usefixtures("small_pieces")
async def test_what_was_read_before_the_window_led_on_is_not_sent_after_it() -> None:
    tail = LaggingTail(seen=1)
    ahead = reader(tail, cursor(5))
    got = texts((await ahead.fetch())[0])
    assert ahead.gather(0.0) is None, "the page holds more"
    tail.window.extend(events(2, 15), cursor(15))
    while data := ahead.gather(0.0):
        got += texts(data)
    tail.window = Window(cursor(20))  # which reaches back to nothing
    while not (fetched := await ahead.fetch())[1]:
        got += texts(fetched[0])
    assert got == list(range(6, 21))
    assert tail.reads == 2

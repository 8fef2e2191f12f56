"""Chunks: slots in the chain's order, events as bytes and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.cursor import Cursor
from lastevent.core.errors import StoreUnavailable
from lastevent.core.event import NewEvent
from lastevent.stores.dynamodb.chunk import (
    OUTLINE,
    Chunk,
    Tip,
    chunk_attributes,
    chunk_of,
    data_of,
    heads_of,
    packed,
    slot,
    tip_attributes,
    tip_of,
)
from lastevent.stores.dynamodb.table import key
from lastevent.stores.outline import Outline

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
TYPE = TEXT.filter(lambda text: 0 < len(text) <= 128 and not set(text) & set("\0\r\n"))
EVENTS = st.lists(
    st.builds(
        NewEvent,
        TYPE.filter(lambda text: text not in ("open", "error", "stream", "heartbeat")),
        TEXT | TEXT.map(lambda text: text * 200),
        st.dictionaries(TEXT.filter(bool), TEXT, max_size=2),
    ),
    min_size=1,
    max_size=5,
)


def chunk(events: list[NewEvent], proof: int = 7, head: int = 10) -> Chunk:
    """A chunk of these events that ends at ``head``."""
    blob = packed([heads_of(events, proof)], [data_of(events)])
    tip = Tip(slot(5, head + 1), Outline(True, 5, 0, 1, head, proof, 1234), 1000, "n")
    return Chunk(slot(5, head - len(events) + 1), tip, len(events), 3, "l", blob)


@given(EVENTS)
def test_events_come_back_as_they_were(events: list[NewEvent]) -> None:
    it = chunk(events)
    back = chunk_of({**key("stream#s", it.slot), **chunk_attributes(it)})
    assert back == it
    read = list(back.events())
    assert [(e.type, e.data, dict(e.headers)) for e in read] == [
        (e.type, e.data, dict(e.headers)) for e in events
    ]
    first = 10 - len(events) + 1
    assert [e.id for e in read] == [str(Cursor(5, first + n, 7)) for n in range(len(events))]
    assert {e.time for e in read} == {1234}
    assert list(back.events(first)) == read[1:]


@given(EVENTS, EVENTS)
def test_a_group_s_appends_lie_in_order(one: list[NewEvent], two: list[NewEvent]) -> None:
    blob = packed([heads_of(one, 1), heads_of(two, 2)], [data_of(one), data_of(two)])
    tip = Tip(slot(5, 11), Outline(True, 5, 0, 1, 10, 2))
    it = Chunk(slot(5, 1), tip, len(one + two), 0, "", blob)
    assert [e.data for e in it.events()] == [e.data for e in one + two]
    proofs = [Cursor.parse(e.id).proof for e in it.events()]
    assert proofs == [1] * len(one) + [2] * len(two)


def test_data_is_stored_as_it_is_or_compressed() -> None:
    hostile = chunk([NewEvent("note", '"\\\n\0' * 10)])
    assert len(hostile.blob) < 80, "no escapes"
    assert len(chunk([NewEvent("note", "abc" * 10_000)]).blob) < 500


def test_slots_sort_as_the_chain_goes() -> None:
    slots = [
        slot(0, 1),
        slot(0, 1, 1),
        slot(9, 1),
        slot(9, 2),
        slot(9, 2, 10),
        slot(9, 300),
        slot(10, 1),
        slot((1 << 48) - 1, (1 << 40) - 1, (1 << 24) - 1),
        OUTLINE,
    ]
    assert slots == sorted(slots)


def test_where_a_chain_goes_on() -> None:
    made = Outline(True, 9, 0, head=2, proof=1)
    tip = Tip().followed(made, 2, 1000, "a")
    assert (tip.next, tip.born, tip.nonce) == (slot(9, 3), 1000, "a"), "its own generation"
    fenced = tip.followed(made, 0, 2000, "b")
    assert (fenced.next, fenced.born) == (slot(9, 3, 1), 1000)
    gone = fenced.followed(made.deleted(), 0, 3000, "c")
    assert gone.next == slot(9, 3, 2), "a deletion has a slot like all others"
    again = gone.followed(Outline(True, 12, 9), 0, 4000, "d")
    assert (again.next, again.born) == (slot(12, 1), 4000)
    assert again.followed(Outline(True, 12, 9, head=5), 5, 5000, "e").next == slot(12, 6)


def test_ordinals_have_an_end() -> None:
    last = Tip(slot(9, 3, (1 << 24) - 1), Outline(True, 9, head=2))
    with pytest.raises(StoreUnavailable):
        last.followed(last.outline, 0, 0, "a")


@given(
    st.booleans(),
    st.integers(0, (1 << 48) - 1),
    st.integers(0, (1 << 40) - 1),
    st.none() | TEXT,
)
def test_a_state_comes_back_as_it_was(
    flag: bool, generation: int, head: int, bookmark: str | None
) -> None:
    outline = Outline(flag, generation, 3, head, head, 65535, generation, not flag, 12, bookmark)
    tip = Tip(slot(generation, head), outline, generation, "abc")
    assert tip_of(tip_attributes(tip)) == tip


def test_what_a_cursor_proves() -> None:
    it = chunk([NewEvent("note", "a"), NewEvent("note", "b")])
    assert it.proves(Cursor(5, 8, 3)), "right before its first"
    assert not it.proves(Cursor(5, 8, 4))
    assert it.proves(Cursor(5, 9, 7))
    assert not it.proves(Cursor(5, 9, 8))
    assert it.proves(Cursor(5, 8, 0)) and it.proves(Cursor(5, 9, 0)), "claims nothing"
    assert not it.proves(Cursor(6, 9, 7))
    assert not it.proves(Cursor(5, 7, 3))

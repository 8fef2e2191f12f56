"""What holds of the wire for all events and all cuts."""

import re

from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.cursor import Cursor
from lastevent.core.event import MAX_TYPE_LENGTH, RESERVED_TYPES, Event, NewEvent
from lastevent.core.wire import Decoder, Message, encode, encode_control, encode_retry, with_id
from tests.core.cuts import at, decode

characters = st.characters(exclude_categories=["Cs"])
line_ends = st.sampled_from(["\n", "\r", "\r\n", "\0", "\ufeff", ": ", " "])
data = st.lists(st.one_of(st.text(characters, max_size=12), line_ends), max_size=8).map("".join)
types = st.one_of(
    st.just("message"),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"),
        min_size=1,
        max_size=MAX_TYPE_LENGTH,
    ).filter(lambda text: text not in RESERVED_TYPES),
)
places = st.lists(st.integers(0, 10_000), max_size=8)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Consecutive events of one generation, each such that a store could hold it."""
    new = draw(st.lists(st.builds(NewEvent, types, data, st.just({})), max_size=8))
    return [
        Event(str(Cursor(7, number, 9)), event.type, event.data, 0)
        for number, event in enumerate(new, 1)
    ]


def _as_read(event: Event) -> Message:
    """What a reader gets: the format knows lines, and not how they ended."""
    return Message(event.id, event.type, re.sub("\r\n|\r", "\n", event.data))


@given(logs(), places)
def test_decoding_undoes_encoding_under_any_cuts(log: list[Event], places: list[int]) -> None:
    raw = b"".join(map(encode, log))
    assert decode(at(raw, places)) == [_as_read(event) for event in log]


@given(logs(), st.text(st.sampled_from("0123456789abcdef.~"), min_size=1, max_size=80))
def test_events_under_another_id_are_otherwise_the_same(log: list[Event], identifier: str) -> None:
    raw = b"".join(with_id(identifier, encode(event)) for event in log)
    assert decode([raw]) == [_as_read(event)._replace(id=identifier) for event in log]


@given(logs(), st.lists(st.integers(0, 10_000), min_size=1, max_size=6), places)
def test_any_cuts_and_resumes_give_every_event_once(
    log: list[Event], cuts: list[int], places: list[int]
) -> None:
    """Each response begins after the last id and is cut at some byte; the last one is whole."""
    read: list[Message] = []
    cursor = ""
    for cut in [*cuts, None]:
        rest = [event for event in log if event.id > cursor]
        opening = encode_retry(1500) + encode_control(
            "stream", {"state": "open"}, cursor or "start"
        )
        raw = opening + b"".join(map(encode, rest)) + encode_control("heartbeat", {"timestamp": 1})
        decoder = Decoder(last_event_id=cursor)
        raw = raw[: len(raw) if cut is None else cut % (len(raw) + 1)]
        got = decode(at(raw, places), decoder)
        read += [message for message in got if message.type not in RESERVED_TYPES]
        cursor = decoder.last_event_id if decoder.last_event_id != "start" else ""
        # The suffix is exact after each cut, and not only when all is read.
        assert read == [_as_read(event) for event in log if event.id <= cursor]
    assert read == [_as_read(event) for event in log]


@given(st.binary(max_size=200), places)
def test_no_bytes_break_the_decoder(raw: bytes, places: list[int]) -> None:
    whole, cut = Decoder(), Decoder()
    assert decode([raw], whole) == decode(at(raw, places), cut)
    assert (whole.last_event_id, whole.retry) == (cut.last_event_id, cut.retry)


lines = st.sampled_from(
    [
        b"data:a",
        b"data: ",
        b"data",
        b"id:7",
        b"id",
        b"id:\0",
        b"event:x",
        b"event",
        b"retry:5",
        b":",
        b"",
    ]
)
wire_like = st.lists(
    st.tuples(lines, st.sampled_from([b"\n", b"\r", b"\r\n"])).map(b"".join), max_size=12
).map(b"".join)


@given(wire_like, places)
def test_no_fields_in_any_order_depend_on_the_cuts(raw: bytes, places: list[int]) -> None:
    whole, cut = Decoder(), Decoder()
    assert decode([raw], whole) == decode(at(raw, places), cut)
    assert (whole.last_event_id, whole.retry) == (cut.last_event_id, cut.retry)

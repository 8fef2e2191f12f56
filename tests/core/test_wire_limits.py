"""What the decoder holds back from an endless or hostile stream, and what it costs."""

import time

import pytest

from lastevent.core.errors import TooLarge
from lastevent.core.wire import Decoder, Message
from tests.core.cuts import bytewise, every_way

GENEROUS_SECONDS = 10.0
"""A loop that is quadratic in these sizes takes minutes."""

LIMIT = 100
TOO_LARGE = [
    pytest.param(b"data:" + b"x" * LIMIT, id="a line without end"),
    pytest.param(b":" + b"x" * LIMIT, id="a comment without end"),
    pytest.param(b"data:12345\n" * 12, id="a message without end"),
    pytest.param(b"data\n" * 30, id="empty lines without end"),
    pytest.param("data:€€€€€\n".encode() * 6, id="bytes count, not characters"),
    pytest.param(b"data:" + b"x" * LIMIT + b"\n\n", id="a message that came whole"),
    pytest.param(b"id:" + b"x" * LIMIT + b"\ndata:a\n\n", id="an id"),
]


@pytest.mark.parametrize("tail", TOO_LARGE)
def test_a_message_over_the_limit_is_refused_however_it_is_cut(tail: bytes) -> None:
    head = b"id: 1\ndata:a\n\nid: 2\ndata:b\n\n"
    for pieces in every_way(head + tail):
        decoder = Decoder(max_bytes=LIMIT)
        got: list[Message] = []
        with pytest.raises(TooLarge, match="over 100 bytes"):
            for piece in [*pieces, b""]:
                got += decoder.feed(piece)
        # What came before is not lost with it: the id says that the reader has it.
        assert [message.data for message in got] == ["a", "b"]
        assert decoder.last_event_id == "2"
        for more in (b"\n\n", b"data:c\n\n", b""):
            with pytest.raises(TooLarge):
                decoder.feed(more)


ALLOWED = [
    pytest.param(b"data:" + b"x" * (LIMIT - 6) + b"\n\n", id="a message of the limit"),
    pytest.param(b": beat\n" * 50, id="comments, as many as there are"),
    pytest.param(b"event:x\n" * 50, id="types, of which the last counts"),
    pytest.param(b"data:x\n\n" * 50, id="many messages in one piece"),
]


@pytest.mark.parametrize("raw", ALLOWED)
def test_the_limit_is_a_message_s_not_the_stream_s(raw: bytes) -> None:
    for pieces in ([raw], bytewise(raw)):
        decoder = Decoder(max_bytes=LIMIT)
        got = [message.data for piece in pieces for message in decoder.feed(piece)]
        assert len(got) == raw.count(b"\n\n")


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_a_long_line_in_small_pieces_is_not_copied_for_each(piece: int) -> None:
    raw = b"data:" + b"x" * 2**20 + b"\n\n"
    pieces = [raw[begin : begin + piece] for begin in range(0, len(raw), piece)]
    decoder = Decoder()
    began = time.monotonic()
    messages = [message for part in pieces for message in decoder.feed(part)]
    assert time.monotonic() - began < GENEROUS_SECONDS
    assert [len(message.data) for message in messages] == [2**20]


def test_a_message_of_many_lines_is_not_counted_anew_for_each() -> None:
    lines = 200_000
    decoder = Decoder()
    began = time.monotonic()
    for _ in range(lines):
        decoder.feed(b"data:x\n")
    (message,) = decoder.feed(b"\n")
    assert time.monotonic() - began < GENEROUS_SECONDS
    assert message.data.count("\n") == lines - 1

"""The decoder against the rules of WHATWG HTML §9.2.6, each case cut in every way.

The cases go through the same ground as the web-platform-tests under eventsource/format-*.
"""

from dataclasses import dataclass

import pytest

from lastevent.core.wire import Decoder, Message
from tests.core.cuts import bytewise, decode, every_way


@dataclass(frozen=True)
class Case:
    """What a stream of bytes holds; ``data`` alone stands for messages without type and id."""

    name: str
    raw: bytes
    data: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    last_event_id: str = ""
    retry: int | None = None

    @property
    def expected(self) -> list[Message]:
        return [Message("", "message", data) for data in self.data] + list(self.messages)


def _sent(id: str, data: str, type: str = "message") -> Message:
    return Message(id, type, data)


LINES = [
    Case("LF", b"data:a\n\ndata:b\n\n", ("a", "b")),
    Case("CR", b"data:a\r\rdata:b\r\r", ("a", "b")),
    Case("CRLF", b"data:a\r\n\r\ndata:b\r\n\r\n", ("a", "b")),
    Case("CRLF between lines of one message", b"data:a\r\ndata:b\r\n\r\n", ("a\nb",)),
    Case("all three mixed", b"data:a\rdata:b\ndata:c\r\n\ndata:d\r\n\r", ("a\nb\nc", "d")),
    Case("LF CR is two ends", b"data:a\n\rdata:b\n\n", ("a", "b")),
    Case("CR CR LF is two ends", b"data:a\r\r\ndata:b\n\n", ("a", "b")),
    Case("a CR at the end of everything", b"data:a\r\n\r", ("a",)),
    Case("blank lines dispatch nothing", b"\n\r\n\r\n\ndata:a\n\n\n\n", ("a",)),
    Case(
        "other separators are text",
        "data:a\x0b\x0c\x85\u2028b\n\n".encode(),
        ("a\x0b\x0c\x85\u2028b",),
    ),
    Case("nothing", b""),
]

BOM = b"\xef\xbb\xbf"
TEXT = [
    Case("one BOM goes", BOM + b"data:a\n\n", ("a",)),
    Case("one BOM goes, not two", BOM * 2 + b"data:a\n\ndata:b\n\n", ("b",)),
    Case(
        "a BOM later is part of a name", b"data:a\n\n" + BOM + b"data:b\n\ndata:c\n\n", ("a", "c")
    ),
    Case("a BOM later is part of a value", b"data:" + BOM + b"\n\n", ("\ufeff",)),
    Case("a BOM before a blank line", BOM + b"\r\n\r\ndata:a\n\n", ("a",)),
    Case("a BOM and nothing", BOM),
    Case("half a BOM is an unknown field", BOM[:2] + b"data:a\ndata:b\n\n", ("b",)),
    Case("characters of 1 to 4 bytes", "data:aé€🌊\n\n".encode(), ("aé€🌊",)),
    Case("wrong bytes become U+FFFD", b"data:\xff\xc3(\xf0\x9f\n\n", ("\ufffd\ufffd(\ufffd",)),
    Case("a character cut by a line end", b"data:\xe2\x82\ndata:\xac\n\n", ("\ufffd\n\ufffd",)),
    Case("NUL is a character in data", b"data:\0\n\n", ("\0",)),
]

FIELDS = [
    Case("one space after the colon goes", b"data: a\ndata:  b\ndata:\tc\n\n", ("a\n b\n\tc",)),
    Case("an empty value", b"data:\n\n", ("",)),
    Case("a value of one space", b"data: \n\n", ("",)),
    Case("a field without a colon", b"data\n\n", ("",)),
    Case("two of them", b"data\ndata\n\n", ("\n",)),
    Case("a colon in the value", b"data:a:b: c\n\n", ("a:b: c",)),
    Case("comments", b":\n: a\n:data:b\ndata:c\n:\0\n\n", ("c",)),
    Case("a comment between two lines", b"data:a\r:" + b"x" * 300 + b"\ndata:b\n\n", ("a\nb",)),
    Case("only a comment", b": hello\n\n"),
    Case("unknown fields", b"date:a\nDATA:b\n data:c\ndata :d\ndata\0:e\n-\ndata:f\n\n", ("f",)),
    Case("no blank line, no message", b"data:a\n\ndata:b", ("a",)),
    Case("no blank line, no message, though the line is whole", b"data:a\n\ndata:b\n", ("a",)),
]

TYPES = [
    Case("a type", b"event:x\ndata:a\n\n", messages=(_sent("", "a", "x"),)),
    Case("a type after the data", b"data:a\nevent: x\n\n", messages=(_sent("", "a", "x"),)),
    Case("the last of two types", b"event:x\nevent:y\ndata:a\n\n", messages=(_sent("", "a", "y"),)),
    Case("an empty type", b"event:x\nevent:\ndata:a\n\n", ("a",)),
    Case("a type without data is forgotten", b"event:x\n\ndata:a\n\n", ("a",)),
    Case("a type holds for one message", b"event:x\ndata:a\n\ndata:b\n\n",
         messages=(_sent("", "a", "x"), _sent("", "b"))),
]  # fmt: skip

IDS = [
    Case("an id", b"id: 1\ndata:a\n\n", messages=(_sent("1", "a"),), last_event_id="1"),
    Case("an id holds on", b"id:1\ndata:a\n\ndata:b\n\n",
         messages=(_sent("1", "a"), _sent("1", "b")), last_event_id="1"),
    Case("an id alone", b"data:a\n\nid:1\n\n", ("a",), last_event_id="1"),
    Case("an id alone, then data", b"id:1\n\ndata:a\n\n",
         messages=(_sent("1", "a"),), last_event_id="1"),
    Case("an id whose block is not over", b"id:1\ndata:a\n\nid:2\ndata:b\n",
         messages=(_sent("1", "a"),), last_event_id="1"),
    Case("the last of two ids", b"id:1\ndata:a\nid:2\n\n",
         messages=(_sent("2", "a"),), last_event_id="2"),
    Case("an empty id", b"id:1\ndata:a\n\nid\ndata:b\n\n",
         messages=(_sent("1", "a"), _sent("", "b"))),
    *(Case(f"an id with NUL: {value!r}", b"id:1\nid:" + value + b"\ndata:a\n\n",
           messages=(_sent("1", "a"),), last_event_id="1")
      for value in (b"\0", b"2\0", b"\x002", b"2\x003", b" \0")),
    Case("an id with spaces", b"id:  1 \ndata:a\n\n",
         messages=(_sent(" 1 ", "a"),), last_event_id=" 1 "),
    Case("a character beyond ASCII", "id:é\n\n".encode(), last_event_id="é"),
]  # fmt: skip

RETRIES = [
    Case("retry", b"retry:3000\n\n", retry=3000),
    Case("retry needs no blank line", b"retry: 40\n", retry=40),
    Case("retry beside data", b"data:a\nretry:7\n\n", ("a",), retry=7),
    Case("the last retry", b"retry:1\n\nretry:2\n\n", retry=2),
    Case("no retry yet, its line is not over", b"retry:3000"),
    Case("zero", b"retry:0\n", retry=0),
    Case("leading zeros", b"retry:000000000000120\n", retry=120),
    Case("only zeros", b"retry:0000000000000000\n", retry=0),
    *(
        Case(f"not digits: {value!r}", b"retry:5\nretry:" + value + b"\n", retry=5)
        for value in (b"", b"-1", b"+1", b"1.5", b"1e3", b"1000x", b"  7", b"7 ", "٣".encode())
    ),
    Case("more digits than a number may have", b"retry:" + b"9" * 5000 + b"\n", retry=10**9),
]

CASES = LINES + TEXT + FIELDS + TYPES + IDS + RETRIES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_stream_means_the_same_however_it_is_cut(case: Case) -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    ways = every_way(case.raw) if len(case.raw) < 1000 else [[case.raw], bytewise(case.raw)]
    for pieces in ways:
        decoder = Decoder()
        assert decode(pieces, decoder) == case.expected, pieces
        assert decoder.last_event_id == case.last_event_id, pieces
        assert decoder.retry == case.retry, pieces


def test_messages_come_with_the_piece_that_completes_them() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data:a\n") == []
    assert decoder.feed(b"\ndata:b\n\ndata:c") == [_sent("", "a"), _sent("", "b")]
    assert decoder.feed(b"\r") == []
    assert decoder.feed(b"\r") == [_sent("", "c")]


def test_the_id_of_an_earlier_response_holds_on() -> None:
    decoder = Decoder(last_event_id="7")
    assert decoder.feed(b"event:beat\ndata:a\n\n") == [_sent("7", "a", "beat")]
    assert decoder.last_event_id == "7"

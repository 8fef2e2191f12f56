"""What an event, a control event and a retry look like on the wire, to the byte."""

import pytest

from lastevent.core.cursor import Cursor
from lastevent.core.event import Event
from lastevent.core.wire import ID_LINE_LENGTH, encode, encode_control, encode_retry, with_id

ID = str(Cursor(0x19AA7C3B1F4, 42, 0x7F3C))


def _encoded(type: str, data: str) -> bytes:
    return encode(Event(ID, type, data, 1_700_000_000_000))


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("one line", b"data: one line\n"),
        ("", b"data: \n"),
        ("a\nb", b"data: a\ndata: b\n"),
        ("a\rb", b"data: a\ndata: b\n"),
        ("a\r\nb", b"data: a\ndata: b\n"),
        ("a\n\rb", b"data: a\ndata: \ndata: b\n"),
        ("ends\n", b"data: ends\ndata: \n"),
        ("\n", b"data: \ndata: \n"),
        (" keeps its space", b"data:  keeps its space\n"),
        ("a: b", b"data: a: b\n"),
        ("naïve 🌊", b"data: na\xc3\xafve \xf0\x9f\x8c\x8a\n"),
        ("not\x0bline\u2028ends\x85", "data: not\x0bline\u2028ends\x85\n".encode()),
        ("nul\0stays", b"data: nul\0stays\n"),
    ],
)
def test_data_is_one_line_for_each_of_its_lines(data: str, lines: bytes) -> None:
    assert _encoded("note", data) == f"id: {ID}\nevent: note\n".encode() + lines + b"\n"


def test_the_type_message_goes_without_saying() -> None:
    assert _encoded("message", "x") == f"id: {ID}\ndata: x\n\n".encode()


def test_a_type_keeps_its_spaces_and_letters() -> None:
    assert _encoded(" état ", "x") == f"id: {ID}\nevent:  état \ndata: x\n\n".encode()


def test_headers_and_time_stay_off_the_wire() -> None:
    event = Event(ID, "note", "x", 7, {"producer": "p"})
    assert encode(event) == _encoded("note", "x")


@pytest.mark.parametrize("type", ["note", "message"])
def test_an_event_under_another_id_is_otherwise_the_same(type: str) -> None:
    frame = _encoded(type, "x\ny")
    assert frame[ID_LINE_LENGTH - 1 : ID_LINE_LENGTH] == b"\n"
    assert with_id("~vector.of.several", frame) == frame.replace(ID.encode(), b"~vector.of.several")


def test_a_control_event_is_compact_json_on_one_line() -> None:
    fields = {"state": "open", "streams": ("a", "b"), "ends_in": 54.2, "note": "ü\n"}
    assert encode_control("stream", fields, ID) == (
        f"id: {ID}\nevent: stream\n".encode()
        + rb'data: {"state":"open","streams":["a","b"],"ends_in":54.2,"note":"\u00fc\n"}'
        + b"\n\n"
    )


def test_a_control_event_without_an_id_has_no_id_line() -> None:
    beat = encode_control("heartbeat", {"timestamp": 1697097615000})
    assert beat == b'event: heartbeat\ndata: {"timestamp":1697097615000}\n\n'


def test_a_retry_is_a_block_of_its_own() -> None:
    assert encode_retry(1500) == b"retry: 1500\n\n"

"""An event is checked when it is made: whatever lies in a log can be written to the wire."""

import pytest

from lastevent.core.errors import InvalidEvent
from lastevent.core.event import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_TYPE_LENGTH,
    RESERVED_TYPES,
    Event,
    NewEvent,
    digest,
)


@pytest.mark.parametrize("type", ["message", "a", "po.stage", "é 🌊", " x ", "x" * MAX_TYPE_LENGTH])
def test_a_type_that_can_be_written(type: str) -> None:
    assert NewEvent(type, "").type == type


@pytest.mark.parametrize("type", ["", "x" * (MAX_TYPE_LENGTH + 1)])
def test_a_type_has_some_characters_and_not_too_many(type: str) -> None:
    with pytest.raises(InvalidEvent, match="1 to 128 characters"):
        NewEvent(type, "")


def test_the_reserved_types_are_the_browser_s_and_the_leg_s() -> None:
    assert {"open", "error", "stream", "heartbeat"} == RESERVED_TYPES


@pytest.mark.parametrize("type", sorted(RESERVED_TYPES))
def test_reserved_types_are_refused(type: str) -> None:
    with pytest.raises(InvalidEvent, match="reserved"):
        NewEvent(type, "")


@pytest.mark.parametrize("char", ["\0", "\r", "\n"])
@pytest.mark.parametrize("place", ["{}x", "x{}", "x{}x", "{}"])
def test_what_would_end_or_spoil_the_field_is_refused_in_a_type(char: str, place: str) -> None:
    with pytest.raises(InvalidEvent, match="NUL, CR or LF"):
        NewEvent(place.format(char), "")


@pytest.mark.parametrize("data", ["", "\0", "a\r\nb\n", "\ufeff", "é🌊", "\ud7ff\ue000"])
def test_data_is_any_text(data: str) -> None:
    assert NewEvent("note", data).data == data


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a\ud83d", "\udf0a\ud83c"])
def test_half_a_surrogate_pair_is_refused_everywhere(half: str) -> None:
    for type, data, headers in (
        (half, "", {}),
        ("note", half, {}),
        ("note", "", {half: "x"}),
        ("note", "", {"x": half}),
    ):
        with pytest.raises(InvalidEvent, match="surrogate") as caught:
            NewEvent(type, data, headers)
        str(caught.value).encode()  # what is said about it can itself be written


@pytest.mark.parametrize(("data", "size"), [("", 0), ("abc", 3), ("é", 2), ("€a", 4), ("🌊", 4)])
def test_size_is_bytes_of_utf_8(data: str, size: int) -> None:
    assert NewEvent("note", data).size == size


def test_headers_are_a_small_map_of_text() -> None:
    most = {f"name{number}": "v" for number in range(MAX_HEADERS)}
    longest = {"é": "x" * (MAX_HEADER_BYTES - 2)}
    assert NewEvent("note", "", most).headers == most
    assert NewEvent("note", "", longest).headers == longest
    assert NewEvent("note", "").headers == {}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({f"name{number}": "v" for number in range(MAX_HEADERS + 1)}, "at most 16 headers"),
        ({"é": "x" * (MAX_HEADER_BYTES - 1)}, "at most 2048 bytes"),
        ({"": "x"}, "map names to text"),
        ({"n": 1}, "map names to text"),
        ({1: "v"}, "map names to text"),
    ],
)
def test_other_headers_are_refused(headers: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidEvent, match=why):
        NewEvent("note", "", headers)


def test_an_event_is_frozen() -> None:
    with pytest.raises(AttributeError):
        NewEvent("note", "x").type = "open"  # type: ignore[misc]


def test_an_event_of_a_log_is_a_plain_tuple() -> None:
    assert Event("1", "note", "x", 7) == ("1", "note", "x", 7, {})


def _said(*events: NewEvent, close: bool = False) -> bytes:
    return digest(events, close)


def test_the_digest_is_of_everything_said() -> None:
    one = NewEvent("note", "x", {"a": "1", "b": "2"})
    assert _said(one) == _said(NewEvent("note", "x", {"b": "2", "a": "1"}))
    different = [
        _said(one),
        _said(),
        _said(close=True),
        _said(one, close=True),
        _said(one, one),
        _said(NewEvent("note", "x")),
        _said(NewEvent("note", "y")),
        _said(NewEvent("notes", "x")),
        _said(NewEvent("note", "é")),
        _said(NewEvent("note", "x", {"a": "2", "b": "1"})),
        # The same text, cut in other places.
        _said(NewEvent("a", "bc")),
        _said(NewEvent("ab", "c")),
        _said(NewEvent("a", 'b"],["c')),
        _said(NewEvent("a", "b"), NewEvent("c", "")),
        _said(NewEvent("a", ""), NewEvent("b", "c")),
    ]
    assert len(set(different)) == len(different)


def test_the_digest_is_the_same_in_every_process() -> None:
    """It is stored: a store that a later version opens must still recognise a retried publish."""
    digested = _said(NewEvent("note", "é", {"b": "2", "a": "1"}), close=True)
    assert digested.hex() == "1d8c0ba5545eb906849f65e5e863cb14"

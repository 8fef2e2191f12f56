"""Three shapes of log events as one, and what is no part of a build's log."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastevent.core.event import NewEvent
from lastevent.sources.vercel.events import MAX_TEXT, LogEvent, parse_events

WRAPPED = {
    "type": "stdout",
    "created": 1_700_000_000_123,
    "payload": {
        "deploymentId": "dpl_a",
        "info": {"type": "build", "name": "bld_a", "entrypoint": ".", "step": "install"},
        "text": "added 3 packages",
        "id": "evt_1",
        "date": 1_700_000_000_123,
        "serial": "170000000012300000",
    },
}
FLAT = {
    "type": "stderr",
    "created": 1_700_000_000_124,
    "deploymentId": "dpl_a",
    "info": {"type": "build", "name": "bld_a"},
    "text": "npm warn",
    "id": "evt_2",
    "date": 1_700_000_000_124,
    "serial": "170000000012400001",
    "level": "warning",
}
ALIAS = {
    "type": "alias-assigned",
    "deploymentId": "dpl_a",
    "date": 1_700_000_000_200,
    "alias": ["shop.vercel.app", "shop.example.com"],
    "aliasError": None,
    "aliasWarning": None,
}


def test_all_shapes() -> None:
    wrapped, flat, alias = parse_events([ALIAS, FLAT, WRAPPED])
    assert wrapped == LogEvent(
        "evt_1", 1_700_000_000_123, "170000000012300000", "info", "added 3 packages", "install"
    )
    assert flat == LogEvent("evt_2", 1_700_000_000_124, "170000000012400001", "warning", "npm warn")
    assert alias.text == "Assigned to shop.vercel.app, shop.example.com"
    assert alias.tells_state
    assert parse_events([ALIAS])[0].id == alias.id, "its id is the same each time"


@pytest.mark.parametrize(
    ("type", "level", "expected"),
    [
        ("stdout", None, "info"),
        ("stdout", "error", "error"),
        ("stderr", None, "warning"),
        ("stderr", "error", "error"),
        ("fatal", None, "error"),
        ("command", None, "command"),
        ("stdout", "loud", "info"),
    ],
)
def test_levels(type: str, level: str | None, expected: str) -> None:
    (event,) = parse_events([FLAT | {"type": type, "level": level}])
    assert event.level == expected


def test_the_trouble_of_an_alias_is_told() -> None:
    error = {"code": "x", "message": "The domain is taken"}
    (event,) = parse_events([ALIAS | {"aliasError": error}])
    assert (event.level, event.text) == ("error", "The domain is taken")


@pytest.mark.parametrize(
    "type", ["delimiter", "metric", "report", "middleware-invocation", "tomorrow's", None, 3]
)
def test_what_is_no_line_is_passed_over(type: object) -> None:
    assert parse_events([WRAPPED | {"type": type}, FLAT | {"type": type}]) == []


def test_a_state_change_is_no_line_and_tells_the_state() -> None:
    payload = {"id": "e", "date": 5, "serial": "1", "info": {"readyState": "READY"}}
    (event,) = parse_events([{"type": "deployment-state", "created": 5, "payload": payload}])
    assert (event.text, event.tells_state) == (None, True)


def line(id: str, date: object, serial: object = None) -> dict[str, Any]:
    event = {"type": "stdout", "id": id, "date": date, "text": id}
    return event if serial is None else event | {"serial": serial}


def test_order_is_by_date_then_by_serial_as_a_number() -> None:
    events = [
        line("e", 2, "1"),
        line("d", 1, "100"),
        line("c", 1, "99"),
        line("b", 1, 9),
        line("a", 1),
    ]
    assert [event.id for event in parse_events(events)] == list("abcde")


def test_each_id_is_there_once() -> None:
    assert [event.id for event in parse_events([WRAPPED, FLAT, WRAPPED])] == ["evt_1", "evt_2"]


def test_what_has_no_id_is_told_apart_by_what_it_says() -> None:
    nameless = [{"type": "stdout", "date": 1, "text": text} for text in ("a", "b", "a")]
    assert [event.text for event in parse_events(nameless)].count("a") == 1
    assert len(parse_events(nameless)) == 2


def test_a_line_without_end_is_cut() -> None:
    (event,) = parse_events([line("a", 1) | {"text": "x" * (MAX_TEXT + 5)}])
    assert event.text is not None
    assert event.text.endswith("… [5 more characters]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = ("type", "payload", "id", "date", "created", "serial", "text", "level", "info", "alias")
TYPES = st.sampled_from(["stdout", "stderr", "command", "deployment-state", "alias-assigned"])
FIELDS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))


@given(st.lists(st.builds(lambda fields, type: {**fields, "type": type}, FIELDS, TYPES) | JSON))
def test_nothing_that_the_api_may_say_is_an_error(events: list[Any]) -> None:
    found = parse_events(events)
    assert found == sorted(found, key=lambda event: event.place)
    for event in found:
        NewEvent("log", f"{event.id}{event.text}{event.step}")  # it can be stored
        assert event.date > 0


def test_half_a_surrogate_pair_can_be_stored() -> None:
    said = json.loads('{"type": "stdout", "id": "\\ud800", "date": 1, "text": "\\udc00"}')
    (event,) = parse_events([said])
    NewEvent("log", f"{event.id}{event.text}")

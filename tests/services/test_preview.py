"""A preview's record: what it says, and how it follows from the log."""

import json

import pytest

from lastevent.core.event import Event
from lastevent.core.topic import stream_name
from lastevent.services.preview import Preview
from lastevent.services.run import iso
from lastevent.sources.pump import failure

NOW = 1_800_000_000_123


def preview(**changes: object) -> Preview:
    made = Preview.new("site", "host", NOW)
    return Preview(**{**json.loads(made.text), **changes})


def test_a_record_reads_what_it_wrote() -> None:
    made = preview(state="exited", ended_at=iso(NOW + 1), code=3)
    assert Preview.parse(made.text) == made


def test_a_new_one() -> None:
    made = Preview.new("site", "host", NOW)
    assert made.state == "starting"
    assert made.is_active
    assert made.started_at == "2027-01-15T08:00:00.123Z"
    assert made.stream == stream_name(f"preview:{made.id}")
    assert made.id != Preview.new("site", "host", NOW).id


def test_ids_sort_newest_first() -> None:
    ids = [Preview.new("site", "host", NOW + 10**exponent).id for exponent in range(10)]
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("state", "running", "stopping"),
    [
        ("starting", "running", "stopping"),
        ("running", "running", "stopping"),
        ("stopping", "stopping", "stopping"),
        ("exited", "exited", "exited"),
        ("failed", "failed", "failed"),
        ("lost", "lost", "lost"),
    ],
)
def test_states_follow_each_other(state: str, running: str, stopping: str) -> None:
    assert preview(state=state).running().state == running
    assert preview(state=state).stopping().state == stopping
    assert preview(state=state).is_active == (stopping == "stopping")


def last(type: str, **said: object) -> Event:
    return Event("", type, json.dumps(said), NOW + 5000)


@pytest.mark.parametrize(
    ("event", "state", "code", "signal"),
    [
        (last("exit", code=3, signal=None), "exited", 3, None),
        (last("exit", code=None, signal="SIGTERM"), "exited", None, "SIGTERM"),
        (last("failure", error="gone"), "lost", None, None),
        (last("stdout", text="and then"), "lost", None, None),
    ],
)
def test_the_end_is_as_the_log_says(
    event: Event, state: str, code: int | None, signal: str | None
) -> None:
    ended = preview(state="running").ended(event)
    assert (ended.state, ended.code, ended.signal) == (state, code, signal)
    assert ended.ended_at == iso(NOW + 5000)


def test_one_that_could_not_be_started() -> None:
    failed = preview().failed(NOW + 1)
    assert (failed.state, failed.ended_at) == ("failed", iso(NOW + 1))


def test_a_failure_is_an_event() -> None:
    event = failure("Why not.", NOW)
    assert event.type == "failure"
    assert json.loads(event.data) == {"error": "Why not.", "time": NOW}

"""How services word their updates, and what is made of them."""

import json
from typing import Any

import pytest

from lastevent.core.errors import ConfigError
from lastevent.sources.job_updates import (
    MAX_EVENT_BYTES,
    MAX_TEXT,
    Mapper,
    Unreadable,
    Update,
)
from lastevent.sources.job_words import parse_fields, parse_types


def read(message: object, mapper: Mapper = Mapper()) -> Update:
    return mapper.read(json.dumps(message), "7")


def told(message: object, mapper: Mapper = Mapper()) -> tuple[str, dict[str, Any]]:
    event = read(message, mapper).event
    return event.type, json.loads(event.data)


@pytest.mark.parametrize(
    ("message", "kind", "data"),
    [
        ({"type": "progress", "progress": 45}, "progress", {"progress": 45}),
        ({"progress": 45.5}, "progress", {"progress": 45.5}),
        ({"percent": "45 %"}, "progress", {"progress": 45}),
        ({"progress": 140}, "progress", {"progress": 100}),
        ({"progress": -1}, "progress", {"progress": 0}),
        ({"processed": 30, "total": 120}, "progress", {"progress": 25}),
        ({"processed": 30, "total": 0}, "update", {"data": {"processed": 30, "total": 0}}),
        (
            {"progress": {"current": 1, "total": 3, "message": "m"}},
            "progress",
            {"progress": 33.33, "message": "m"},
        ),
        ({"status": "running"}, "progress", {"status": "running"}),
        (
            {"event": "job:progress", "data": {"job_id": "7", "progress": 9, "shop": "x"}},
            "progress",
            {"progress": 9, "data": {"shop": "x"}},
        ),
        ({"type": "completed"}, "done", {"progress": 100}),
        (
            {"type": "jobCompleted", "result": {"n": 1}},
            "done",
            {"progress": 100, "result": {"n": 1}},
        ),
        (
            {"type": "progress", "status": "COMPLETED", "progress": 99},
            "done",
            {"progress": 100, "status": "COMPLETED"},
        ),
        ({"status": "succeeded"}, "done", {"progress": 100, "status": "succeeded"}),
        ({"type": "failed", "error": "e"}, "failed", {"error": "e"}),
        ({"type": "failed", "error": {"message": "e"}}, "failed", {"error": "e"}),
        ({"status": "failed"}, "failed", {"status": "failed", "error": "The job failed."}),
        ({"status": "error", "message": "m"}, "failed", None),
        ({"type": "cancelled"}, "failed", {"error": "The job failed."}),
        # A type of the service's own never ends a job.
        (
            {"type": "step", "status": "completed", "name": "images"},
            "update",
            {"type": "step", "status": "completed", "data": {"name": "images"}},
        ),
        ({"note": 1}, "update", {"data": {"note": 1}}),
        ({"type": "progress", "progress": True}, "progress", None),
        ({"type": "progress", "progress": "soon"}, "progress", None),
    ],
)
def test_what_messages_mean(message: object, kind: str, data: dict[str, Any] | None) -> None:
    found, said = told(message)
    assert found == kind
    assert said.pop("jobId") == "7"
    if data is not None:
        assert {name: said.get(name) for name in data} == data
    assert "progress" not in said or isinstance(said["progress"], int | float)


@pytest.mark.parametrize("word", ["ping", "heartbeat", "joined", "welcome"])
def test_what_is_not_about_the_job(word: str) -> None:
    assert read({"type": word}).kind == "ignored"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        ("Infinity", "not JSON"),
        ('{"a":NaN}', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("7", "not a JSON object"),
        ('{"jobId":"8"}', "another job"),
        ('{"data":{"job_id":8}}', "another job"),
    ],
)
def test_what_is_passed_over(message: str | bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        Mapper().read(message, "7")


def test_a_job_may_be_named_by_a_number() -> None:
    assert told({"jobId": 7, "progress": 1})[0] == "progress"


def test_large_things_are_left_out_and_the_event_stays() -> None:
    kind, said = told({"type": "done", "result": "x" * MAX_EVENT_BYTES, "message": "m" * 9000})
    assert kind == "done"
    assert said["truncated"] is True
    assert "result" not in said
    assert len(said["message"]) == MAX_TEXT + 1


def test_half_a_surrogate_pair_is_text() -> None:
    assert told({"progress": 1, "message": "\ud800"})[1]["message"] == "\ud800"


def test_marks_tell_apart_what_is_said_of_the_job() -> None:
    mark = read({"progress": 1, "message": "m", "clock": 1}).mark
    assert read({"progress": 1, "message": "m", "clock": 2}).mark == mark
    for other in ({"progress": 2, "message": "m"}, {"progress": 1, "message": "n"}):
        assert read(other).mark != mark


def test_fields_of_ones_own() -> None:
    fields, factor = parse_fields("progress=state.ratio*100; type=kind,data.kind; job=ref")
    mapper = Mapper(fields, parse_types(""), factor)
    message = {"data": {"kind": "progress"}, "state": {"ratio": 0.25, "x": 1}, "ref": "7"}
    kind, said = told(message, mapper)
    assert (kind, said["progress"]) == ("progress", 25)
    with pytest.raises(Unreadable):
        read({"ref": "8"}, mapper)
    assert told({"progress": 40}, mapper)[0] == "update", "the usual place does not count now"


def test_types_of_ones_own() -> None:
    mapper = Mapper(words=parse_types("done=shipped, progress; joined=welcome"))
    assert told({"type": "SHIPPED"}, mapper)[0] == "done"
    assert told({"type": "progress"}, mapper)[0] == "done", "a word means what was said last"
    assert told({"type": "completed"}, mapper)[0] == "update", "these words only"
    assert read({"type": "welcome"}, mapper).kind == "joined"
    assert mapper.waits_for_join
    assert not Mapper().waits_for_join


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_fields, "progress"),
        (parse_fields, "speed=a.b"),
        (parse_fields, "progress=a b"),
        (parse_fields, "progress=a..b"),
        (parse_fields, "progress=a*b"),
        (parse_fields, "progress=a*0"),
        (parse_types, "finished=x"),
        (parse_types, "done="),
    ],
)
def test_tables_that_cannot_be(parse: Any, text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)

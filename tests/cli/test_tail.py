import json
import signal
from pathlib import Path

import pytest

from lastevent.client.transport import host_of
from tests.cli.command import Server, lastevent, running, start


@pytest.fixture
def filled(server: Server, stream: str) -> str:
    """A closed stream of five events."""
    lines = "".join(f"event {number}\n" for number in range(1, 5))
    lastevent("publish", stream, stdin=lines, LASTEVENT_URL=server.url)
    lastevent(
        "publish", stream, "two\nlines", "--type", "note", "--close", LASTEVENT_URL=server.url
    )
    return stream


def tail(server: Server, *arguments: str) -> str:
    ended = lastevent("tail", *arguments, LASTEVENT_URL=server.url)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout


def test_text(server: Server, filled: str) -> None:
    assert tail(server, filled) == (
        "message event 1\nmessage event 2\nmessage event 3\nmessage event 4\nnote two\n     lines\n"
    )


def test_data(server: Server, filled: str) -> None:
    assert tail(server, filled, "--format", "data", "--types", "note") == "two\nlines\n"


def test_json_and_going_on_after_a_cursor(server: Server, filled: str) -> None:
    found = [json.loads(line) for line in tail(server, filled, "--format", "json").splitlines()]
    assert [event["data"] for event in found[:4]] == [f"event {n}" for n in range(1, 5)]
    assert found[4]["type"] == "note"
    rest = tail(server, filled, "--format", "data", "--cursor", found[3]["id"])
    assert rest == "two\nlines\n"


def test_from_the_newest(server: Server, filled: str) -> None:
    assert tail(server, filled, "--from", "last:2", "--format", "data") == ("event 4\ntwo\nlines\n")


def test_several_streams_and_a_whole_url(server: Server, filled: str) -> None:
    other = f"{filled}:other"
    lastevent("publish", other, "from the other", "--close", LASTEVENT_URL=server.url)
    both = tail(server, filled, other, "--format", "data")
    assert sorted(both.splitlines()) == sorted(
        [*(f"event {n}" for n in range(1, 5)), "two", "lines", "from the other"]
    )
    assert tail(server, f"{server.url}/api/streams/{other}") == "message from the other\n"


def test_states_are_told_where_asked(server: Server, filled: str) -> None:
    ended = lastevent("tail", filled, "-v", LASTEVENT_URL=server.url)
    assert ended.stderr.split("\n") == [
        "[connecting]",
        "[connected]",
        "[ended: the stream has ended]",
        "",
    ]


def test_loss_is_said_also_when_nobody_asked(server: Server, stream: str) -> None:
    first = lastevent("publish", stream, "old", LASTEVENT_URL=server.url).stdout.strip()
    lastevent("publish", stream, "old too", "--close", LASTEVENT_URL=server.url)
    lost = first[:12] + "000000ffff" + first[22:]  # beyond the end: of a log that was restored
    ended = lastevent("tail", stream, "--cursor", lost, LASTEVENT_URL=server.url)
    assert ended.returncode == 0
    assert f"[events after {lost} are lost" in ended.stderr
    assert ended.stdout == "message old\nmessage old too\n"


def test_a_cursor_that_nobody_gave(server: Server, stream: str) -> None:
    ended = lastevent("tail", stream, "--cursor", "yesterday", LASTEVENT_URL=server.url)
    assert ended.returncode == 1
    assert "'yesterday' is not a cursor" in ended.stderr


def test_it_survives_planned_ends_and_a_killed_server(tmp_path: Path) -> None:
    with running(tmp_path, LASTEVENT_MAX_LEG_SECONDS="0.5") as server:
        process = start("tail", "log", "--format", "data", "-v", LASTEVENT_URL=server.url)
        assert process.stdout is not None
        expected = 0
        for round in range(3):
            lines = "".join(f"{n}\n" for n in range(expected, expected + 50))
            assert (
                lastevent("publish", "log", stdin=lines, LASTEVENT_URL=server.url).returncode == 0
            )
            for _ in range(50):
                assert process.stdout.readline() == f"{expected}\n"
                expected += 1
            if round < 2:
                server.kill(signal.SIGKILL if round == 0 else signal.SIGTERM)
                server.start()
        lastevent("publish", "log", "--close", LASTEVENT_URL=server.url)
        rest, said = process.communicate(timeout=20)
        assert rest == ""
        assert process.returncode == 0
        assert "[reconnecting: " in said
        assert host_of(server.url) in said

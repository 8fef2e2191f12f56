import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from lastevent.cli.publish import MAX_LINE_BYTES, read_lines
from lastevent.core.errors import TooLarge
from tests.cli.command import Server, lastevent, start


def events(server: Server, stream: str) -> list[tuple[str, str]]:
    """Return type and data of a closed stream's events."""
    printed = lastevent("tail", stream, "--format", "json", LASTEVENT_URL=server.url).stdout
    found = [json.loads(line) for line in printed.splitlines()]
    return [(event["type"], event["data"]) for event in found]


def publish(
    server: Server, stream: str, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    return lastevent("publish", stream, *arguments, stdin=stdin, LASTEVENT_URL=server.url)


def test_one_event(server: Server, stream: str) -> None:
    ended = publish(server, stream, "hello", "--type", "note", "--close")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert len(ended.stdout.split()) == 1
    assert events(server, stream) == [("note", "hello")]


def test_text_that_looks_like_json_stays_text(server: Server, stream: str) -> None:
    publish(server, stream, '{"n":   1}')
    publish(server, stream, '{"n":   1}', "--json", "--close")
    assert events(server, stream) == [("message", '{"n":   1}'), ("message", '{"n":1}')]


def test_lines_of_stdin(server: Server, stream: str) -> None:
    ended = publish(server, stream, stdin="one\r\n\ntwo\nlast")
    assert len(ended.stdout.split()) == 4
    publish(server, stream, "--close")
    assert events(server, stream) == [("message", line) for line in ("one", "", "two", "last")]


def test_lines_of_a_file(server: Server, stream: str, tmp_path: Path) -> None:
    lines = [f"line {number} äöü" for number in range(3000)]
    file = tmp_path / "lines"
    file.write_text("\n".join(lines))
    ended = publish(server, stream, "--file", str(file), "--close")
    assert len(ended.stdout.split()) == 3000
    assert [data for _, data in events(server, stream)] == lines


def test_lines_of_json(server: Server, stream: str) -> None:
    publish(server, stream, "--file", "-", "--json", "--close", stdin='{"a": 1}\n\n"text"\n')
    assert events(server, stream) == [("message", '{"a":1}'), ("message", "text")]


def test_a_line_that_is_no_json_is_named(server: Server, stream: str) -> None:
    ended = publish(server, stream, "--json", stdin="1\n2\nthree\n")
    assert ended.returncode == 1
    assert ended.stderr.startswith("lastevent: line 3 is not JSON")


def test_a_line_is_sent_on_before_the_next_comes(server: Server, stream: str) -> None:
    process = start("publish", stream, stdin=subprocess.PIPE, LASTEVENT_URL=server.url)
    assert process.stdin is not None
    assert process.stdout is not None
    for number in range(3):
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        assert process.stdout.readline().strip()
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_a_key_publishes_once(server: Server, stream: str) -> None:
    first = publish(server, stream, "--key", "k", stdin="a\nb\n")
    again = publish(server, stream, "--key", "k", stdin="a\nb\n")
    assert first.stdout == again.stdout
    other = publish(server, stream, "other", "--key", "k")
    assert other.returncode == 1
    publish(server, stream, "--close")
    assert events(server, stream) == [("message", "a"), ("message", "b")]


def test_closing_reads_nothing(server: Server, stream: str) -> None:
    """It may stand in a shell's loop, whose stdin is not its own."""
    process = start("publish", stream, "--close", stdin=subprocess.PIPE, LASTEVENT_URL=server.url)
    assert process.wait(10) == 0
    process.communicate()


def test_a_closed_stream_takes_no_more(server: Server, stream: str) -> None:
    publish(server, stream, "--close")
    ended = publish(server, stream, "late")
    assert ended.returncode == 1
    assert "closed" in ended.stderr


def test_a_batch_over_the_limit_is_refused_whole(server: Server, stream: str) -> None:
    ended = publish(server, stream, "--key", "k", stdin="x\n" * 1001)
    assert ended.returncode == 1
    assert "1000" in ended.stderr


class TestReadLines:
    @pytest.fixture
    def pipe(self) -> Iterator[tuple[int, int]]:
        reading, writing = os.pipe()
        yield reading, writing
        os.close(reading)

    def test_a_character_that_comes_in_two_pieces(self, pipe: tuple[int, int]) -> None:
        reading, writing = pipe
        lines = read_lines(reading)
        os.write(writing, "a\nä".encode()[:-1])
        assert next(lines) == ["a"]
        os.write(writing, "ä€\n".encode()[1:])
        assert next(lines) == ["ä€"]
        os.close(writing)
        assert list(lines) == []

    def test_bytes_that_are_no_text(self, pipe: tuple[int, int]) -> None:
        reading, writing = pipe
        os.write(writing, b"\xff\0x\n\xc3")
        os.close(writing)
        assert list(read_lines(reading)) == [["\ufffd\0x"], ["\ufffd"]]

    def test_a_line_without_end(self, pipe: tuple[int, int]) -> None:
        reading, writing = pipe

        def fill() -> None:
            try:
                for _ in range(MAX_LINE_BYTES // 65536 + 2):
                    os.write(writing, b"x" * 65536)
            finally:
                os.close(writing)

        filler = Thread(target=fill)
        filler.start()
        with pytest.raises(TooLarge, match="line"):
            list(read_lines(reading))
        while os.read(reading, 1 << 20):
            pass
        filler.join(10)

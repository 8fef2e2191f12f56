import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.command import LIMIT_SECONDS, Server, free_port, lastevent, start


def events(server: Server, stream: str) -> list[tuple[str, dict[str, object]]]:
    printed = lastevent("tail", stream, "--format", "json", LASTEVENT_URL=server.url).stdout
    found = [json.loads(line) for line in printed.splitlines()]
    return [(event["type"], json.loads(event["data"])) for event in found]


def wait_until_gone(pid: int) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} still runs")


def test_output_and_exit_code_of_a_command(server: Server, stream: str) -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); print('--'); sys.exit(7)"
    ended = lastevent(
        "run", "--stream", stream, "--", sys.executable, "-c", script, LASTEVENT_URL=server.url
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "", "")
    found = events(server, stream)  # ends by itself: the stream is closed
    assert found[0][0] == "started"
    assert found[-1][0] == "exit"
    assert found[-1][1]["code"] == 7
    assert [data["text"] for type, data in found if type == "stdout"] == ["out", "--"]
    assert [data["text"] for type, data in found if type == "stderr"] == ["err"]


def test_a_burst_keeps_its_order(server: Server, stream: str) -> None:
    ended = lastevent("run", "--stream", stream, "--", "seq", "20000", LASTEVENT_URL=server.url)
    assert ended.returncode == 0, ended.stderr
    out = [data for type, data in events(server, stream) if type == "stdout"]
    # An open piece is continued by the next one: a line may come in two when it is held back.
    text = "".join(f"{data['text']}{'' if data.get('open') else ' '}" for data in out)
    assert text.split() == [str(number) for number in range(1, 20_001)]


def test_arguments_are_the_command_s_own(server: Server, stream: str) -> None:
    lastevent("run", "--stream", stream, "--", "echo", "--help", "--", LASTEVENT_URL=server.url)
    assert "--help --" in [data.get("text") for _, data in events(server, stream)]


@pytest.mark.parametrize(
    ("command", "code"), [(["no-such-program-here"], 127), (["sh", "-c", "kill -9 $$"], 137)]
)
def test_exit_codes_are_those_of_a_shell(
    command: list[str], code: int, server: Server, stream: str
) -> None:
    ended = lastevent("run", "--stream", stream, "--", *command, LASTEVENT_URL=server.url)
    assert ended.returncode == code
    assert events(server, stream)[-1][0] == "exit"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_ends_the_command_and_closes_the_stream(
    number: signal.Signals, server: Server, stream: str, tmp_path: Path
) -> None:
    ready = tmp_path / "pid"
    script = f"echo begun; echo $$ > {ready}.new; mv {ready}.new {ready}; exec sleep 60"
    process = start("run", "--stream", stream, "--", "sh", "-c", script, LASTEVENT_URL=server.url)
    until = time.monotonic() + LIMIT_SECONDS
    while not ready.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.communicate(timeout=LIMIT_SECONDS) == ("", "")
    assert process.returncode == 128 + number
    wait_until_gone(int(ready.read_text()))
    found = events(server, stream)
    assert [data["text"] for type, data in found if type == "stdout"] == ["begun"]
    assert found[-1][1]["signal"] == "SIGTERM"


def test_a_second_signal_waits_for_nobody(tmp_path: Path) -> None:
    """The server is away, so the first one cannot be carried out to its end."""
    ready = tmp_path / "ready"
    url = f"http://127.0.0.1:{free_port()}"
    process = start(
        "run", "--stream", "x", "--", "sh", "-c", f"touch {ready}; exec sleep 60", LASTEVENT_URL=url
    )
    until = time.monotonic() + LIMIT_SECONDS
    while not ready.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 130


def test_a_refusal_ends_the_command(server: Server, stream: str, tmp_path: Path) -> None:
    lastevent("publish", stream, "--close", LASTEVENT_URL=server.url)
    ready = tmp_path / "pid"
    ended = lastevent(
        "run", "--stream", stream, "--", "sh", "-c", f"echo $$ > {ready}; exec sleep 60",
        LASTEVENT_URL=server.url,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "closed" in ended.stderr
    assert ended.stderr.count("\n") == 1
    if ready.exists() and ready.read_text():  # it may have been ended before it got that far
        wait_until_gone(int(ready.read_text()))

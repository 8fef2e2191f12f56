"""What holds for all commands: help, exit codes, and errors in a sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lastevent import __version__
from lastevent.cli import COMMANDS, main
from tests.cli.command import (
    COMMAND,
    ROOT,
    Invoke,
    Server,
    end,
    environment,
    free_port,
    lastevent,
    start,
)

NAMES = ("serve", "init", "publish", "tail", "run", "token", "doctor")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"    {name} " in printed for name in NAMES)
    assert len(COMMANDS) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert f"usage: lastevent {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"lastevent {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["tail"],
        ["tail", "s", "--from", "yesterday"],
        ["tail", "s", "--format", "xml"],
        ["token"],
        ["token", "--sub", "x", "--expires", "soon"],
        ["token", "--sub", "x", "--read", "*:a"],
        ["serve", "--port", "http"],
        ["run", "--stream", "s"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: lastevent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["publish", "bad name", "x"], 1, "not a stream name"),
        (["publish", "s", "x", "--file", "y"], 1, "either DATA or --file"),
        (["publish", "s", "{", "--json"], 1, "not JSON"),
        (["publish", "s", "--file", "/nowhere/at/all"], 1, "cannot read /nowhere/at/all"),
        (["publish", "s", "x", "--url", "nowhere"], 1, "must be a URL"),
        (["tail", "a/b"], 1, "not a stream name"),
        (["tail", *[f"s{n}" for n in range(3)], "--url", "ftp://x"], 1, "must be a URL"),
        (["init", "--store", "tape://drive"], 2, "must begin with"),
        (["init", "--store", "sqlite:////proc/nowhere/x.db"], 1, ""),
        (["serve", "--host", "0.0.0.0"], 2, "LASTEVENT_AUTH_SECRET"),
        (["serve", "--store", "tape://drive", "--port", "0"], 2, "must begin with"),
    ],
)  # fmt: skip
def test_an_error_is_one_sentence(
    arguments: list[str], code: int, said: str, invoke: Invoke
) -> None:
    ended = invoke(*arguments)
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.startswith("lastevent: ")
    assert ended.stderr.count("\n") == 1
    assert said in ended.stderr
    assert ended.stdout == ""


def test_a_server_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = lastevent("doctor", "--url", url, cwd=tmp_path)
    assert "FAIL  server    cannot connect" in ended.stdout
    assert "Traceback" not in ended.stderr


def test_interrupting_is_quiet(server: Server, stream: str) -> None:
    lastevent("publish", stream, "hello", LASTEVENT_URL=server.url)
    process = start("tail", stream, LASTEVENT_URL=server.url)
    assert process.stdout is not None
    assert process.stdout.readline() == "message hello\n"
    assert end(process, signal.SIGINT) == ("", "")
    assert process.returncode == 130


def test_interrupting_while_reading_stdin_is_quiet(server: Server, stream: str) -> None:
    process = start("publish", stream, stdin=subprocess.PIPE, LASTEVENT_URL=server.url)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("one\n")
    process.stdin.flush()
    assert process.stdout.readline()  # its id: a line is sent on before the next one comes
    process.send_signal(signal.SIGINT)
    process.wait(10)
    assert process.returncode == 130
    assert process.communicate()[1] == ""


def test_a_reader_that_has_had_enough_is_no_error(server: Server, stream: str) -> None:
    lines = "".join(f"{n}\n" for n in range(20_000))
    lastevent("publish", stream, "--file", "-", "--close", stdin=lines, LASTEVENT_URL=server.url)
    process = start("tail", stream, "--format", "data", LASTEVENT_URL=server.url)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "0\n"
    process.stdout.close()
    assert process.wait(20) == 141
    assert process.stderr.read() == ""
    process.stderr.close()


def test_commands_that_only_talk_to_a_server_load_no_server() -> None:
    """Publishing from a shell's loop must start quickly."""
    script = (
        "import sys, lastevent.cli, lastevent.client; lastevent.cli.parser();"
        "print([name for name in ('httpx', 'pydantic', 'starlette', 'uvicorn', 'sqlite3', 'jwt')"
        " if name in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    assert printed == "[]\n"


def test_the_command_is_installed() -> None:
    assert os.access(COMMAND, os.X_OK)
    assert lastevent("--version").stdout == f"lastevent {__version__}\n"

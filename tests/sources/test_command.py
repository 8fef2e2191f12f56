"""A command's output becomes events: all of it, in order, at once, in bounded memory."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import time

import pytest
import uvloop

from lastevent.core.errors import Fenced
from lastevent.core.event import NewEvent
from lastevent.sources import command as module
from lastevent.sources.base import MAX_BATCH_BYTES
from lastevent.sources.command import Command, CommandSpec, Exit
from lastevent.sources.process import CHUNK_BYTES, PIPE_BYTES
from lastevent.stores.base import MAX_BATCH_EVENTS
from tests.sources.processes import (
    WAIT_SECONDS,
    Held,
    Sink,
    alive,
    drain,
    python,
    run,
    sh,
    until,
)


async def test_the_events_of_a_run() -> None:
    before = int(time() * 1000)
    sink = await run(sh("echo out; echo err >&2; exit 3"), name="site")
    assert set(sink.said("started")[0]) == {"name", "pid", "time"}
    started, *output, ended = (json.loads(event.data) for event in sink.events)
    assert [event.type for event in sink.events[:1]] == ["started"]
    assert started["name"] == "site"
    assert started["pid"] > 0
    assert sink.lines("stdout") == ["out"]
    assert sink.lines("stderr") == ["err"]
    assert ended == {"code": 3, "signal": None, "time": ended["time"]}
    assert sink.exit == (3, None)
    times = [said["time"] for said in (started, *output, ended)]
    assert all(before <= moment <= time() * 1000 for moment in times)


@pytest.mark.parametrize(
    ("script", "end"),
    [("exit 0", (0, None)), ("kill -KILL $$", (None, "SIGKILL")), ("kill -40 $$", (None, "SIG40"))],
)
async def test_how_it_ended(script: str, end: tuple[int | None, str | None]) -> None:
    assert (await run(sh(script))).exit == end


async def test_a_program_that_does_not_exist_says_so_in_the_log() -> None:
    sink = await run(CommandSpec(("no-such-program",)))
    assert sink.lines("stderr") == ["no-such-program: command not found"]
    assert sink.said("started") == []
    assert sink.exit == (127, None)


async def test_a_directory_that_does_not_exist_cannot_start(tmp_path: Path) -> None:
    held = Held()
    command = Command(CommandSpec(("true",), cwd=tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        await command.start()
    await command.stop()
    assert Held() == held


async def test_where_and_with_what_it_runs(tmp_path: Path) -> None:
    spec = CommandSpec(("sh", "-c", "pwd; env"), tmp_path, {"PATH": os.defpath, "COLOUR": "blue"})
    lines = (await run(spec)).lines("stdout")
    assert lines[0] == str(tmp_path)
    assert {"COLOUR=blue", "PYTHONUNBUFFERED=1"} <= set(lines)
    assert not any(line.startswith("HOME=") for line in lines), "its own environment only"


async def test_output_is_there_before_the_command_goes_on(tmp_path: Path) -> None:
    """Unbuffered, and without its line's end: a prompt. The command waits until it was seen."""
    go = tmp_path / "go"
    script = """
import pathlib, sys, time
print("line")
print("Name? ", end="")
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)
print("Ada")
"""
    command, sink = Command(python(script, go)), Sink()
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: len(sink.said("stdout")) == 2, "the prompt")
    line, prompt = sink.said("stdout")
    assert (line["text"], line.get("open")) == ("line", None)
    assert (prompt["text"], prompt["open"]) == ("Name? ", True)
    go.touch()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.lines("stdout") == ["line", "Name? Ada"]


async def test_progress_that_never_pauses_is_shown(tmp_path: Path) -> None:
    """Text waits for so long after its own first byte, and not after the last that came."""
    go = tmp_path / "go"
    script = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    print("\\rworking", end="")
    time.sleep(0.02)
"""
    command, sink = Command(python(script, go)), Sink()
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: sink.said("stdout"), "a piece of the line")
    go.touch()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert set(sink.lines("stdout")[0].split("\r")) == {"", "working"}


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"no newline at the end", ["no newline at the end"]),
        (b"\0\1\2\x1b[0m\x7f\n", ["\0\1\2\x1b[0m\x7f"]),
        (b"\xff\xc3(\xe2\x82\n", ["\ufffd\ufffd(\ufffd"]),
        ("a\u2028b\x85c\n".encode(), ["a\u2028b\x85c"]),
        (b'"quoted" \\ back\r\n', ['"quoted" \\ back']),
        (bytes(range(256)) * 3, None),
        (b"x" * 100_000 + b"\ny", ["x" * 100_000, "y"]),
    ],
    ids=["unfinished", "control", "not utf-8", "separators", "quotes", "garbage", "long"],
)
async def test_any_bytes_can_be_output(
    data: bytes, lines: list[str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    path.write_bytes(data)
    sink = await run(CommandSpec(("cat", str(path))))
    if lines is None:
        lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    assert sink.lines("stdout") == lines
    assert sink.exit == (0, None)
    for event in sink.events:
        assert event.size < 256 * 1024


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_burst_is_complete_and_in_order(loop: str) -> None:
    script = "for i in range(50_000): print('line', i)"

    async def burst() -> Sink:
        return await run(python(script))

    factory = uvloop.new_event_loop if loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        sink = runner.run(burst())
    assert sink.lines("stdout") == [f"line {i}" for i in range(50_000)]
    assert sink.exit == (0, None)
    assert max(map(len, sink.batches)) <= MAX_BATCH_EVENTS


async def test_batches_are_bounded_in_bytes() -> None:
    sink = Sink()
    sink.gate.clear()
    command = Command(python("for i in range(4000): print('x' * 1000)"))
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    assert command.pid is not None
    await asyncio.sleep(0.2)  # some output waits
    sink.gate.set()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert len(sink.lines("stdout")) == 4000
    sizes = [sum(event.size for event in batch) for batch in sink.batches]
    assert max(sizes) <= MAX_BATCH_BYTES + 2000
    assert max(map(len, sink.batches)) > 100, "what waits goes out together"


@pytest.mark.parametrize("lines", range(5))
async def test_the_end_is_one_append_wherever_batches_end(
    lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BATCH_EVENTS", 3)
    sink = Sink()
    sink.gate.clear()
    command = Command(sh(f"seq {lines}"))
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: command.pid is not None and not alive(command.pid), "the end")
    await asyncio.sleep(0.05)
    sink.gate.set()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.lines("stdout") == [str(n) for n in range(1, lines + 1)]
    assert sink.closed
    assert sink.events[-1].type == "exit"


async def test_a_slow_sink_holds_the_command_back(tmp_path: Path) -> None:
    """Memory is bounded by what the command can write while nobody takes anything."""
    count = tmp_path / "count"
    script = """
import os, sys
with open(sys.argv[1], "w") as count:
    for i in range(60_000):
        os.write(1, b"%0999d\\n" % i)
        count.seek(0)
        count.write(str(i + 1))
        count.flush()
"""
    sink = Sink()
    sink.gate.clear()
    command = Command(python(script, count))
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    written = -1
    async with asyncio.timeout(WAIT_SECONDS):
        while written != (written := int(count.read_text() or 0) if count.exists() else 0) or (
            not written
        ):
            await asyncio.sleep(0.3)
    assert 0 < written * 1000 <= 1024**2 + CHUNK_BYTES + PIPE_BYTES, "of 60 MB"
    sink.gate.set()
    await asyncio.wait_for(pump, 2 * WAIT_SECONDS)
    assert [int(line) for line in sink.lines("stdout")] == list(range(60_000))


async def test_what_the_sink_raises_ends_the_command() -> None:
    command = Command(sh("echo up; sleep 600"))
    await command.start()

    async def refuse(events: Sequence[NewEvent], close: bool) -> None:
        raise Fenced("another has it")

    with pytest.raises(Fenced):
        await asyncio.wait_for(drain(command, refuse), WAIT_SECONDS)
    assert command.pid is not None and not alive(command.pid)


async def test_stop_ends_all_and_hands_on_the_last_words() -> None:
    script = "trap 'echo bye; exit 7' TERM; sleep 600 & echo $!; while :; do sleep 0.05; done"
    command, sink = Command(sh(script)), Sink()
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: sink.said("stdout"))
    grandchild = int(sink.said("stdout")[0]["text"])
    assert alive(grandchild)
    await command.stop("The day is over.")
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.lines("stdout")[1:] == ["bye"]
    assert [event.type for event in sink.events[-2:]] == ["failure", "exit"]
    assert sink.said("failure")[0]["error"] == "The day is over."
    assert sink.exit == (7, None)
    await until(lambda: not alive(grandchild), "the grandchild's end")
    await command.stop()  # again, to no effect


async def test_stop_does_not_wait_for_a_slow_sink() -> None:
    """The command stands still in a write; it is ended, and what it had written is not lost."""
    sink = Sink()
    sink.gate.clear()
    command = Command(CommandSpec(("yes", "x" * 99)))
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await asyncio.sleep(0.2)
    await asyncio.wait_for(command.stop(), WAIT_SECONDS)
    assert command.pid is not None and not alive(command.pid)
    assert not pump.done()
    sink.gate.set()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    *lines, last = sink.lines("stdout")
    assert len(lines) > 1024**2 / 100, "the buffer and the pipe were full"
    assert set(lines) == {"x" * 99}
    assert ("x" * 99).startswith(last)
    assert sink.exit == (None, "SIGTERM")


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_grandchild_that_left_the_group_is_not_waited_for(quiet: bool) -> None:
    """It keeps the pipe open, perhaps writes on; what was written before the end is all there."""
    script = f"""
import os, subprocess, sys
left = subprocess.Popen(["sh", "-c", "exec {"sleep 600" if quiet else f"yes {'n' * 999}"}"],
                        start_new_session=True)
print("%d" % left.pid, file=sys.stderr)
os.write(1, b"z" * 60_000 + b"the last of it\\n")
"""
    sink = await run(python(script))
    left = int(sink.lines("stderr")[0])
    try:
        assert sink.exit == (0, None)
        assert any("the last of it" in line for line in sink.lines("stdout"))
        assert alive(left) or not quiet
    finally:
        if alive(left):
            os.kill(left, signal.SIGKILL)


async def test_no_ctrl_c_reaches_the_guard() -> None:
    """The terminal's signal is for the server, which then ends the command in its own way."""
    sink = await run(sh("cut -d ' ' -f 6 /proc/$PPID/stat"))
    (session,) = sink.lines("stdout")
    assert int(session) != os.getsid(0)


async def test_what_a_full_buffer_left_in_the_pipe_is_not_lost() -> None:
    sink = Sink()
    sink.gate.clear()
    command = Command(sh("echo 0; sleep 0.2; seq 10000"), buffer_bytes=1)
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: command.pid is not None and not alive(command.pid), "the end")
    await command.stop()  # the guard's end too
    sink.gate.set()
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.lines("stdout") == [str(n) for n in range(10_001)]


async def test_when_the_guard_is_killed_so_is_the_command() -> None:
    command, sink = Command(sh("echo $PPID; sleep 600")), Sink()
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: sink.said("stdout"))
    os.kill(int(sink.said("stdout")[0]["text"]), signal.SIGKILL)
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.exit == (None, "SIGKILL")
    assert command.pid is not None
    await until(lambda: not alive(command.pid or 0), "the command's end")


async def test_a_guard_that_hangs_is_ended_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lastevent.sources.process.MARGIN_SECONDS", 0.2)
    command, sink = Command(sh("echo $PPID; sleep 600"), grace_seconds=0.1), Sink()
    await command.start()
    pump = asyncio.create_task(drain(command, sink))
    await until(lambda: sink.said("stdout"))
    os.kill(int(sink.said("stdout")[0]["text"]), signal.SIGSTOP)
    await asyncio.wait_for(command.stop(), WAIT_SECONDS)
    await asyncio.wait_for(pump, WAIT_SECONDS)
    assert sink.exit == (None, "SIGKILL")
    await until(lambda: not alive(command.pid or 0), "the command's end")


async def test_a_cancelled_pump_leaves_nothing_behind() -> None:
    held = Held()
    command = Command(sh("sleep 600"))
    await command.start()
    pump = asyncio.create_task(drain(command, Sink()))
    await asyncio.sleep(0.05)
    pump.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(pump, WAIT_SECONDS)
    assert command.pid is not None and not alive(command.pid)
    assert Held() == held


async def test_a_start_that_is_cancelled_leaves_nothing_behind() -> None:
    await run(sh("true"))  # the thread pool's first thread
    held = Held()
    for pause in (0.0, 0.001, 0.003, 0.01):
        command = Command(sh("sleep 600"))
        start = asyncio.create_task(command.start())
        await asyncio.sleep(pause)
        start.cancel()
        await asyncio.wait([start])
        await command.stop()
    await until(lambda: Held() == held, "all to be gone")


async def test_what_is_stopped_and_never_pumped_leaves_nothing_behind() -> None:
    held = Held()
    command = Command(sh("sleep 600"))
    await command.start()
    await command.stop()
    assert command.pid is not None and not alive(command.pid)
    assert Held() == held


async def test_a_stop_before_the_start_counts() -> None:
    command, sink = Command(sh("sleep 600")), Sink()
    await command.stop()
    await command.start()
    await asyncio.wait_for(drain(command, sink), WAIT_SECONDS)
    assert sink.exit == (None, "SIGTERM")


async def test_fifty_runs_leave_nothing_behind() -> None:
    await run(sh("true"))
    held = Held()
    for number in range(50):
        sink = await run(sh(f"echo {number}; exit {number % 2}"))
        assert sink.lines("stdout") == [str(number)]
    assert Held() == held


async def test_a_pump_needs_a_start_and_happens_once() -> None:
    command = Command(sh("true"))
    with pytest.raises(RuntimeError):
        await drain(command, Sink())
    await command.start()
    await drain(command, Sink())
    with pytest.raises(RuntimeError):
        await drain(command, Sink())


def test_the_environment_is_not_shown() -> None:
    """Specifications end up in logs, and environments hold secrets."""
    assert "hush" not in repr(CommandSpec((sys.executable,), env={"SECRET": "hush"}))


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (3, 3), (-15, 143), (-40, 168)])
def test_an_exit_as_a_shell_shows_it(returncode: int, code: int) -> None:
    assert Exit.of(returncode).shell_code == code

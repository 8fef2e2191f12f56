"""The guard: it ends as its command does, and its command ends when its socket does."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lastevent.sources.process import GUARD
from tests.sources.processes import WAIT_SECONDS, alive

IGNORES_TERM = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


class Guarded:
    """A command under a guard; ``control`` is our end of the guard's socket."""

    def __init__(self, *command: str, grace: float = 5.0) -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(WAIT_SECONDS)
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), "--grace", str(grace), "--", *command],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        said = self.control.recv(64)
        self.pid = int(said) if said else None

    def line(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def wait(self) -> tuple[int, str, str]:
        out, err = self.popen.communicate(timeout=WAIT_SECONDS)
        return self.popen.returncode, out, err

    def close(self) -> None:
        self.control.close()
        if self.popen.poll() is None:
            try:
                self.popen.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        with self.popen:
            pass


@pytest.fixture
def guard() -> Iterator[Callable[..., Guarded]]:
    made: list[Guarded] = []

    def start(*command: str, **options: float) -> Guarded:
        made.append(Guarded(*command, **options))
        return made[-1]

    yield start
    for guarded in made:
        guarded.close()


Guard = Callable[..., Guarded]


def gone(pid: int) -> bool:
    until = time.monotonic() + WAIT_SECONDS
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not alive(pid)


@pytest.mark.parametrize(
    ("script", "returncode"),
    [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", -signal.SIGTERM),
        ("kill -INT $$", -signal.SIGINT),
        ("kill -KILL $$", -signal.SIGKILL),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -PIPE $$", -signal.SIGPIPE),
    ],
)
def test_it_ends_as_the_command_does(guard: Guard, script: str, returncode: int) -> None:
    assert guard("sh", "-c", script).wait()[0] == returncode


def test_a_command_that_is_not_there(guard: Guard) -> None:
    guarded = guard("no-such-command-here")
    assert guarded.pid is None
    assert guarded.wait() == (127, "", "no-such-command-here: command not found\n")


def test_a_command_that_cannot_be_run(guard: Guard, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("no program")
    assert guard(str(path)).wait() == (126, "", f"{path}: Permission denied\n")


def test_arguments_and_output_pass_as_they_are(guard: Guard) -> None:
    guarded = guard("printf", "%s|", "a b", "", "--", "--grace", "*")
    assert guarded.wait() == (0, "a b||--|--grace|*|", "")


def test_standard_input_is_empty(guard: Guard) -> None:
    assert guard("cat").wait() == (0, "", "")


def test_it_tells_the_process_and_gives_it_a_session(guard: Guard) -> None:
    script = "import os; print(os.getpid(), os.getpgid(0), os.getsid(0))"
    guarded = guard(sys.executable, "-c", script)
    assert guarded.wait()[1].split() == [str(guarded.pid)] * 3


def test_signals_are_not_ignored(guard: Guard) -> None:
    """Python ignores SIGPIPE, and a child would inherit that: `yes | head` would not end."""
    ignored = guard("grep", "SigIgn", "/proc/self/status").wait()[1].split()[1]
    assert int(ignored, 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_the_end_of_its_input_ends_the_command_gently(guard: Guard) -> None:
    guarded = guard(
        "sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    )
    assert guarded.line() == "up"
    guarded.control.close()
    assert guarded.wait()[:2] == (7, "bye\n")


def test_who_does_not_listen_is_killed(guard: Guard) -> None:
    guarded = guard(
        sys.executable, "-c", IGNORES_TERM + "print('up', flush=True); time.sleep(600)", grace=0.2
    )
    assert guarded.line() == "up"
    guarded.control.shutdown(socket.SHUT_WR)
    assert guarded.wait()[0] == -signal.SIGKILL


def test_term_to_the_guard_is_the_same(guard: Guard) -> None:
    guarded = guard("sh", "-c", "echo up; sleep 600")
    assert guarded.line() == "up"
    guarded.popen.terminate()
    assert guarded.wait()[0] == -signal.SIGTERM
    assert guarded.pid is not None and not alive(guarded.pid)


@pytest.mark.parametrize("how", ["stopped", "by itself"])
def test_nothing_of_the_group_is_left(guard: Guard, how: str) -> None:
    """A grandchild that ignores TERM goes too, also when the command leaves it behind."""
    deaf = IGNORES_TERM + "print('x', flush=True); time.sleep(600)"
    script = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {deaf!r}], stdout=subprocess.PIPE)
child.stdout.read(1)
print(child.pid, flush=True)
{"time.sleep(600)" if how == "stopped" else ""}
"""
    guarded = guard(sys.executable, "-c", script)
    grandchild = int(guarded.line())
    if how == "stopped":
        guarded.control.close()
    returncode, _, _ = guarded.wait()
    assert returncode == (-signal.SIGTERM if how == "stopped" else 0)
    assert gone(grandchild)


def test_the_rest_of_the_group_gets_a_moment(guard: Guard, tmp_path: Path) -> None:
    """It was told to end, as its leader was, and may have something to put away."""
    script = (
        f"sh -c \"trap 'sleep 0.02; echo clean >{tmp_path}/made; exit' TERM; echo up; "
        'while :; do sleep 0.01; done" & trap exit TERM; while :; do sleep 0.01; done'
    )
    guarded = guard("sh", "-c", script)
    assert guarded.line() == "up"
    guarded.control.close()
    guarded.wait()
    assert (tmp_path / "made").read_text() == "clean\n"


def test_the_command_ends_when_its_host_is_killed(tmp_path: Path) -> None:
    """Nobody can run any code then: it is the kernel that shuts the socket."""
    script = f"""
import socket, subprocess, sys, time
ours, theirs = socket.socketpair()
subprocess.Popen([sys.executable, "-I", "-S", {str(GUARD)!r}, "--grace", "5", "--",
                  "sleep", "600"], stdin=theirs, start_new_session=True)
print(ours.recv(64).decode().strip(), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as host:
        try:
            assert host.stdout is not None
            command = int(host.stdout.readline())
            assert alive(command)
        finally:
            host.kill()
    assert gone(command)

"""The real ``lastevent`` command, as a process, and a server that it runs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = str(Path(sys.executable).with_name("lastevent"))
LIMIT_SECONDS = 50.0

Invoke = Callable[..., subprocess.CompletedProcess[str]]
"""``invoke(*arguments, **environment variables)``; see conftest."""

_OURS = ("LASTEVENT_", "NEXTAUTH_", "VERCEL", "AWS_")


def environment(**variables: str) -> dict[str, str]:
    """Return an environment with ``variables`` for the only settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return kept | variables


def lastevent(
    *arguments: str, cwd: Path = ROOT, stdin: str | bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment(**variables),
        input=stdin.decode() if isinstance(stdin, bytes) else stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


def start(
    *arguments: str, cwd: Path = ROOT, stdin: int = subprocess.DEVNULL, **variables: str
) -> subprocess.Popen[str]:
    """Start the command, its output in pipes."""
    return subprocess.Popen(
        [COMMAND, *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> tuple[str, str]:
    """Send a signal and wait; return what is left of stdout and stderr."""
    if process.poll() is None:
        process.send_signal(number)
    return process.communicate(timeout=LIMIT_SECONDS)


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A ``lastevent serve`` on a store of its own; may be killed and started again."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.store = f"sqlite:///{directory}/test.db"
        self._variables = {"LASTEVENT_DATA_DIR": str(directory)} | variables
        self._log = directory / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, "serve", "--port", str(self.port), "--store", self.store],
                cwd=ROOT,
                env=environment(**self._variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server does not start:\n{self.log}")

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(LIMIT_SECONDS)


@contextmanager
def running(directory: Path, **variables: str) -> Iterator[Server]:
    """Run a server."""
    server = Server(directory, **variables)
    server.start()
    try:
        yield server
    finally:
        server.kill()

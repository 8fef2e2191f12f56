"""Servers as processes of their own: given a port, started, waited for, ended by their id."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
GUARD = Path(__file__).with_name("guard.py")
START_SECONDS = 30.0
STOP_SECONDS = 5.0
KILLED_SECONDS = 15.0
# Below the range that the system takes ports for outgoing connections from: one that is free now
# is still free when its server is killed and comes back.
PORTS = range(20_000, 32_000)
_given: deque[int] = deque(maxlen=1000)  # whose servers may not listen yet


class ServerFailed(RuntimeError):
    """A local server did not start; the message ends with what it said."""


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that was not returned just before."""
    for port in random.sample(PORTS, 100):
        if port in _given:
            continue
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            _given.append(port)
            return port
    raise ServerFailed("no free port was found")


def answers(port: int) -> bool:
    """Return whether somebody accepts connections at this port."""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


class Startable(ABC):
    """What is started and stopped, as a context manager too, in code of either kind."""

    @abstractmethod
    def start(self) -> None:
        """Start it; return when it serves. Raises ServerFailed."""

    @abstractmethod
    def stop(self) -> None:
        """End it, if it runs, and wait for it."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


class Child:
    """A server's process, which ends with this one even if this one is killed.

    What it says goes to the file ``log``. Raises ServerFailed if it has ended, or is not ready
    within START_SECONDS.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as output:
            # A session of its own: Ctrl-C reaches the starter, who ends things in their order.
            self._guard = subprocess.Popen(
                [sys.executable, "-I", str(GUARD), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        assert self._guard.stdout
        line = self._guard.stdout.readline()
        if not line:
            self._reap()
            raise self._failed("cannot be run")
        self.pid = int(line)
        try:
            self._wait_until(ready)
        except BaseException:
            self.kill()
            raise

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._guard.poll() is None

    def stop(self) -> None:
        """End the server and wait for it: by SIGTERM, and by SIGKILL when that is not obeyed."""
        self._signal(signal.SIGTERM)
        try:
            self._guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._reap()

    def kill(self) -> None:
        """End the server as a crash would, and wait for it."""
        self._signal(signal.SIGKILL)
        self._reap()

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if not self.running:
                raise self._failed("ended at once")
            if time.monotonic() > until:
                raise self._failed(f"was not ready in {START_SECONDS:.0f} s")
            time.sleep(0.02)

    def _failed(self, what: str) -> ServerFailed:
        said = self._log.read_text(errors="replace")[-2000:].strip()
        return ServerFailed(f"{self._log.stem} {what}: {said or 'it said nothing'}")

    def _signal(self, number: signal.Signals) -> None:
        # While the guard lives, the id is not reused: it has yet to collect the exit code.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _reap(self) -> None:
        self._guard.wait(KILLED_SECONDS)
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe:
                pipe.close()

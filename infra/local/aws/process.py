"""A function's process and all that it started, which can be frozen; and what outlives its owner.

The processes of one execution environment form a process group. Frozen means stopped (SIGSTOP).
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

KEEPER = Path(__file__).with_name("keeper.py")
STOP_SECONDS = 5.0


class Keeper:
    """Sees to it that no function's process outlives this one, not even a frozen one."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C reaches the owner, who ends things in their order.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def remember(self, group: int) -> None:
        """Kill this process group when the owner has gone."""
        self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        """This group has ended."""
        self._say(f"-{group}\n")

    def stop(self) -> None:
        """Kill what has not ended, and end."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(STOP_SECONDS)

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line)
        self._process.stdin.flush()


class FunctionProcess:
    """The processes of one execution environment."""

    def __init__(self, process: asyncio.subprocess.Process, keeper: Keeper) -> None:
        self.frozen = False
        self._process = process
        self._keeper = keeper
        keeper.remember(process.pid)

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        log: IO[bytes],
        keeper: Keeper,
    ) -> "FunctionProcess":
        """Run a command with these variables and no others. Raises OSError if it cannot be run."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        return cls(process, keeper)

    @property
    def pid(self) -> int:
        """The id of the first process, and of the group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the first process has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait until the first process has ended; end the others; return its exit code."""
        code = await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._keeper.forget(self.pid)
        return code

    def freeze(self) -> None:
        """Stop all processes where they are."""
        self.frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let them go on."""
        if self.frozen:
            self.frozen = False
            self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask them to end."""
        # In this order: what comes to a stopped process may reach a thread that cannot handle it.
        self.thaw()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End them at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # Until it is waited for, the first process keeps the group's id from being used again.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

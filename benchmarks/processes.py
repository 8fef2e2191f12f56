"""Child processes of a run: started, spoken to by lines of JSON, measured, and always ended."""

import asyncio
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 10.0
FOREIGN_SETTINGS = ("LASTEVENT_", "AWS_", "UPSTASH_", "KV_REST_")
LINE_BYTES = 2**24
"""A result names every event that was published."""


class Worker:
    """A process of the load generator: a task in, READY perhaps, and a result out."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(
        cls, module: str, task: Mapping[str, Any], environ: Mapping[str, str] | None = None
    ) -> AsyncIterator["Worker"]:
        """Run ``module`` with ``task`` in a process that is ended with the context."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            json.dumps(task),
            cwd=ROOT,
            env={**_clean_environ(), **(environ or {})},
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES,
        )
        try:
            yield cls(process)
        finally:
            await _end(process)

    async def ready(self, seconds: float) -> None:
        """Wait for its READY; raise RuntimeError if something else comes."""
        line = await self._line(seconds)
        if line != b"READY\n":
            raise RuntimeError(f"instead of READY the load generator said {line[:200]!r}")

    def release(self, message: Mapping[str, Any]) -> None:
        """Tell it that publishing is over."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def result(self, seconds: float) -> dict[str, Any]:
        """Wait for its result."""
        line = await self._line(seconds)
        if not line:
            raise RuntimeError("the load generator ended without a result")
        result: dict[str, Any] = json.loads(line)
        return result

    async def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            return await self._process.stdout.readline()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, all threads together."""
        spent = 0
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
        return spent / 1e9

    def memory_kib(self) -> int:
        """Return its own resident memory: what it shares with others, such as code, left out."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise RuntimeError("this kernel does not tell a process's memory")


@asynccontextmanager
async def serving(
    app: str,
    environ: Mapping[str, str] = MappingProxyType({}),
    *,
    python: str = sys.executable,
    lifespan: str = "on",
) -> AsyncIterator[Server]:
    """Run ``app`` under ``python``'s uvicorn, uvloop and httptools on a free loopback port."""
    port = free_port()
    command = (
        *(python, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--lifespan", lifespan),
        *("--no-access-log", "--log-level", "warning"),
    )
    async with listening(command, port, environ) as server:
        yield server


@asynccontextmanager
async def listening(
    command: Sequence[str], port: int, environ: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Server]:
    """Run ``command``, which listens on ``port`` of this machine."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**_clean_environ(), **environ}, stdin=DEVNULL
    )
    try:
        await _accepting(process, port)
        yield Server(process.pid, port)
    finally:
        await _end(process)


def _clean_environ() -> dict[str, str]:
    """Return our environment without settings: what is measured is the same everywhere.

    Nor is there the way to anybody's account.
    """
    return {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)
    }


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _accepting(process: Process, port: int) -> None:
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
    raise RuntimeError(f"the server ended with {process.returncode} before it listened")


async def _end(process: Process) -> None:
    """Terminate ``process`` if it still runs, and wait for it; kill it if it will not go."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
